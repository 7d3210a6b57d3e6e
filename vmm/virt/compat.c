/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/virt/compat.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "vmm/machine/config.h"

/*
 * QEMU is to be started with
 *   -cpu rv64i,m=on,a=on,f=on,d=on,c=on,s=on,u=on,zicsr=on,zifencei=on,zicntr=on,sstc=on,mmu=on,
 *        pmp=off,priv_spec=v1.12.0,sv39=on,debug=off
 * and these have the same CPU. No 10.0 sets the timers of a guest that arrives, except that the
 * later one knows a subsection for that of Sstc; 11.1 sets all of them.
 */
static const struct compat compats[] = {
    {
        .name = "qemu-10.0.2",
        .qemu_devices = true,
        .hart = {.no_pmp = true, .no_sv48 = true, .timers_due = true},
        .mmu_type = "riscv,sv39",
    },
    {
        .name = "qemu-10.0.13",
        .qemu_devices = true,
        .hart = {.no_pmp = true, .no_sv48 = true, .timers_due = true, .stimer_saved = true},
        .mmu_type = "riscv,sv39",
        .virtio_queue_num = 1024,
    },
    {
        .name = "qemu-11.1",
        .qemu_devices = true,
        .hart = {.no_pmp = true, .no_sv48 = true, .stimer_saved = true, .cpu12 = true},
        .mtimer3 = true,
        .mmu_type = "riscv,sv39",
        .virtio_queue_num_fixed = true,
    },
};
#define COMPAT_COUNT (sizeof(compats) / sizeof(compats[0]))

int compat_find(const struct compat **ret, const char *name, struct ferry_err *err)
{
    char known[128] = "";
    size_t n = 0;

    *ret = NULL;
    if (!name)
        return 0;
    for (size_t i = 0; i < COMPAT_COUNT; i++) {
        if (!strcmp(compats[i].name, name)) {
            *ret = &compats[i];
            return 0;
        }
        n += (size_t)snprintf(known + n, sizeof(known) - n, "%s%s", i ? ", " : "", compats[i].name);
    }
    return err_set(err, EINVAL, "compat '%s' is not known; known are: %s", name, known);
}

const struct compat *compat_of(const struct vm_config *c)
{
    for (size_t i = 0; c->compat && i < COMPAT_COUNT; i++)
        if (!strcmp(compats[i].name, c->compat))
            return &compats[i];
    return NULL;
}
