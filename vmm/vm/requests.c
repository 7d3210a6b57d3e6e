/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/vm/requests.h"

#include "vmm/machine/vm.h"

static bool requests_needed(const void *obj)
{
    const struct requests *r = obj;

    return r->reset_cause || r->shutdown_cause;
}

static const struct ferry_field requests_fields[] = {
    FERRY_U8(struct requests, reset_cause, .max = SHUTDOWN_CAUSE_GUEST_RESET),
    FERRY_U8(struct requests, shutdown_cause, .max = SHUTDOWN_CAUSE_GUEST_RESET),
    FERRY_U32(struct requests, exit_status, .max = UINT16_MAX),
};

static const struct ferry_table requests_table = {
    .name = "ferry/requests",
    .version = 1,
    .minimum_version = 1,
    .needed = requests_needed,
    FERRY_FIELDS(requests_fields),
};

struct ferry_part requests_part(struct requests *r)
{
    return (struct ferry_part){
        .idstr = "ferry/requests", .table = &requests_table, .obj = r, .obj_bytes = sizeof(*r)};
}
