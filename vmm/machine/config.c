/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/machine/config.h"

#include <string.h>

const struct config_memory *config_ram_memory(const struct vm_config *c)
{
    for (size_t i = 0; c->ram_backend && i < c->memory_count; i++)
        if (!strcmp(c->memories[i].id, c->ram_backend))
            return &c->memories[i];
    return NULL;
}
