/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/state/vm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/own.h"
#include "lib/state/state.h"

#define VM_IDSTR_MAX_BYTES 255u

struct ferry_vm {
    char *machine_name; /* owned */
    struct ferry_ram *ram;
    const struct ferry_vm_ops *ops;
    void *opaque;
    struct ferry_part *parts; /* owned array; idstr, table and obj are loans */
    size_t part_count;
    size_t part_cap;

    bool quiescing;
    bool asking; /* inside vm_quiesce_begin: a drained part may be counted after its report */
    ptrdiff_t draining;
    void (*all_drained)(void *arg);
    void *all_drained_arg;
};

int ferry_vm_new(struct ferry_vm **ret, const struct ferry_vm_params *params, struct ferry_err *err)
{
    OWN_MEM struct ferry_vm *vm = NULL;
    size_t name_bytes;

    if (params->size_bytes != sizeof(*params))
        return err_set(err, EINVAL, "ferry_vm_params has %zu bytes, this library knows %zu",
                       params->size_bytes, sizeof(*params));
    name_bytes = params->machine_name ? strlen(params->machine_name) : 0;
    if (name_bytes == 0 || name_bytes > VM_IDSTR_MAX_BYTES)
        return err_set(err, EINVAL, "machine name has %zu bytes, it needs 1 to %u", name_bytes,
                       VM_IDSTR_MAX_BYTES);
    vm = calloc(1, sizeof(*vm));
    if (!vm)
        return err_set(err, ENOMEM, "no memory for a VM");
    vm->machine_name = strdup(params->machine_name);
    if (!vm->machine_name)
        return err_set(err, ENOMEM, "no memory for a VM");
    vm->ram = params->ram;
    vm->ops = params->ops;
    vm->opaque = params->opaque;
    *ret = TAKE_PTR(vm);
    return 0;
}

void ferry_vm_free(struct ferry_vm *vm)
{
    if (!vm)
        return;
    free(vm->machine_name);
    free(vm->parts);
    free(vm);
}

static int vm_check_part(const struct ferry_vm *vm, const struct ferry_part *part,
                         struct ferry_err *err)
{
    size_t idstr_bytes = part->idstr ? strlen(part->idstr) : 0;

    if (idstr_bytes == 0 || idstr_bytes > VM_IDSTR_MAX_BYTES)
        return err_set(err, EINVAL, "part name \"%.40s\" has %zu bytes, it needs 1 to %u",
                       part->idstr ? part->idstr : "", idstr_bytes, VM_IDSTR_MAX_BYTES);
    if (vm_find_part(vm, part->idstr, part->instance_id))
        return err_set(err, EEXIST, "there is a part \"%s\" instance %u already", part->idstr,
                       part->instance_id);
    if (part->table && (!part->obj || part->obj_bytes == 0))
        return err_set(err, EINVAL, "part \"%s\" has a state table and no object", part->idstr);
    return part->table ? state_table_check(part->table, part->obj_bytes, err) : 0;
}

/* Who was asked to take no new request has to be told that it may again. */
static int vm_check_still(const struct ferry_vm *vm, const char *idstr, struct ferry_err *err)
{
    if (!vm->quiescing)
        return 0;
    return err_set(err, EBUSY,
                   "part \"%.40s\": the list of parts cannot change while the VM is about to move",
                   idstr ? idstr : "");
}

int ferry_vm_add_part(struct ferry_vm *vm, const struct ferry_part *part, struct ferry_err *err)
{
    int r = vm_check_still(vm, part->idstr, err);

    if (!r)
        r = vm_check_part(vm, part, err);
    if (r < 0)
        return r;
    if (vm->part_count == vm->part_cap) {
        size_t cap = vm->part_cap ? vm->part_cap * 2 : 16;
        struct ferry_part *parts = reallocarray(vm->parts, cap, sizeof(*parts));

        if (!parts)
            return err_set(err, ENOMEM, "no memory for part \"%s\"", part->idstr);
        vm->parts = parts;
        vm->part_cap = cap;
    }
    vm->parts[vm->part_count++] = *part;
    return 0;
}

int ferry_vm_remove_part(struct ferry_vm *vm, const char *idstr, uint32_t instance_id,
                         struct ferry_err *err)
{
    const struct ferry_part *part = vm_find_part(vm, idstr, instance_id);
    size_t index;
    int r = vm_check_still(vm, idstr, err);

    if (r < 0)
        return r;
    if (!part)
        return err_set(err, ENOENT, "there is no part \"%.40s\" instance %u", idstr, instance_id);
    index = (size_t)(part - vm->parts);
    vm->part_count--;
    memmove(&vm->parts[index], &vm->parts[index + 1],
            (vm->part_count - index) * sizeof(vm->parts[0]));
    return 0;
}

size_t ferry_vm_part_count(const struct ferry_vm *vm)
{
    return vm->part_count;
}

const struct ferry_part *ferry_vm_part(const struct ferry_vm *vm, size_t index)
{
    return index < vm->part_count ? &vm->parts[index] : NULL;
}

struct ferry_ram *ferry_vm_ram(const struct ferry_vm *vm)
{
    return vm->ram;
}

const char *vm_machine_name(const struct ferry_vm *vm)
{
    return vm->machine_name;
}

const struct ferry_part *vm_find_part(const struct ferry_vm *vm, const char *idstr,
                                      uint32_t instance_id)
{
    for (size_t i = 0; i < vm->part_count; i++) {
        const struct ferry_part *part = &vm->parts[i];

        if (part->instance_id == instance_id && strcmp(part->idstr, idstr) == 0)
            return part;
    }
    return NULL;
}

int vm_quiesce_begin(struct ferry_vm *vm, void (*all_drained)(void *arg), void *arg)
{
    vm->quiescing = true;
    vm->asking = true;
    vm->draining = 0;
    vm->all_drained = all_drained;
    vm->all_drained_arg = arg;
    for (size_t i = 0; i < vm->part_count; i++) {
        const struct ferry_part *p = &vm->parts[i];

        if (p->ops && p->ops->quiesce && p->ops->quiesce(p->obj) > 0)
            vm->draining++;
    }
    vm->asking = false;
    return vm->draining > 0;
}

void ferry_vm_drained(struct ferry_vm *vm)
{
    if (!vm->quiescing)
        return;
    vm->draining--;
    if (vm->draining == 0 && !vm->asking)
        vm->all_drained(vm->all_drained_arg);
}

void vm_unquiesce(struct ferry_vm *vm)
{
    if (!vm->quiescing)
        return;
    vm->quiescing = false;
    vm->draining = 0;
    for (size_t i = 0; i < vm->part_count; i++) {
        const struct ferry_part *p = &vm->parts[i];

        if (p->ops && p->ops->unquiesce)
            p->ops->unquiesce(p->obj);
    }
}

size_t vm_draining(const struct ferry_vm *vm)
{
    return vm->draining > 0 ? (size_t)vm->draining : 0;
}

int64_t vm_pause_harts(struct ferry_vm *vm)
{
    return vm->ops && vm->ops->pause ? vm->ops->pause(vm->opaque) : 0;
}

void vm_resume_harts(struct ferry_vm *vm)
{
    if (vm->ops && vm->ops->resume)
        vm->ops->resume(vm->opaque);
}

static void vm_observe(vm_part_fn *observe, void *arg, const struct ferry_part *part, bool done)
{
    if (observe)
        observe(arg, part, done);
}

void vm_pause_parts(struct ferry_vm *vm, vm_part_fn *observe, void *arg)
{
    for (size_t i = 0; i < vm->part_count; i++) {
        const struct ferry_part *p = &vm->parts[i];

        if (!p->ops || !p->ops->pause)
            continue;
        vm_observe(observe, arg, p, false);
        p->ops->pause(p->obj);
        vm_observe(observe, arg, p, true);
    }
}

void ferry_vm_resume(struct ferry_vm *vm)
{
    vm_resume_parts(vm, NULL, NULL);
    vm_unquiesce(vm);
}

void vm_resume_parts(struct ferry_vm *vm, vm_part_fn *observe, void *arg)
{
    for (size_t i = 0; i < vm->part_count; i++) {
        const struct ferry_part *p = &vm->parts[i];

        if (!p->ops || !p->ops->resume)
            continue;
        vm_observe(observe, arg, p, false);
        p->ops->resume(p->obj);
        vm_observe(observe, arg, p, true);
    }
}
