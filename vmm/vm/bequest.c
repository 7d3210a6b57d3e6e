/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/vm/bequest.h"

#include <errno.h>

#include "base/log.h"
#include "vmm/backend/fd_table_state.h"
#include "vmm/vm/mover.h"
#include "vmm/vm/vm_internal.h"

static void save_settings(struct vm *vm, struct extras *e)
{
    vm_mover(vm)->save_settings(vm_migration(vm), e);
}

static void load_settings(struct vm *vm, struct extras *e)
{
    vm_mover(vm)->load_settings(vm_migration(vm), e);
}

static void save_fds(struct vm *vm, struct extras *e)
{
    fd_table_save(vm_fds(vm), e);
}

static void load_fds(struct vm *vm, struct extras *e)
{
    fd_table_load(vm_fds(vm), e);
}

static const struct {
    const char *what;
    void (*save)(struct vm *vm, struct extras *e);
    void (*load)(struct vm *vm, struct extras *e);
} kinds[BEQUEST_KINDS] = {
    [BEQUEST_SETTINGS] = {"migration capabilities and parameters", save_settings, load_settings},
    [BEQUEST_FDS] = {"file descriptors of getfd and add-fd", save_fds, load_fds},
};

void bequest_init(struct bequest *b, struct vm *vm)
{
    const struct extras_kind *const extras[BEQUEST_KINDS] = {
        [BEQUEST_SETTINGS] = vm_mover(vm)->settings,
        [BEQUEST_FDS] = &fd_table_state_kind,
    };

    for (size_t i = 0; i < BEQUEST_KINDS; i++) {
        b->items[i].vm = vm;
        b->items[i].kind = (enum bequest_kind)i;
        extras_init(&b->items[i].extras, extras[i]);
    }
}

void bequest_free(struct bequest *b)
{
    for (size_t i = 0; i < BEQUEST_KINDS; i++)
        extras_free(&b->items[i].extras);
}

/* --- Source --- */

static bool is_replaced(const struct bequest_item *item)
{
    return vm_mover(item->vm)->is_update(vm_migration(item->vm));
}

static int item_quiesce(void *obj)
{
    struct bequest_item *item = obj;

    if (is_replaced(item))
        extras_prepare(&item->extras);
    return 0;
}

static void item_pause(void *obj)
{
    struct bequest_item *item = obj;

    if (!is_replaced(item))
        return;
    extras_begin(&item->extras);
    kinds[item->kind].save(item->vm, &item->extras);
    if (!extras_end(&item->extras))
        log_warn("the update leaves %s behind: they could not be written down",
                 kinds[item->kind].what);
}

static void item_resume(void *obj)
{
    extras_forget(&((struct bequest_item *)obj)->extras);
}

static int item_extra_fd_at(void *obj, size_t index, struct ferry_named_fd *ret)
{
    return extras_at(&((struct bequest_item *)obj)->extras, index, ret);
}

void bequest_say_lost(const struct bequest *b, const char *runner)
{
    struct ferry_named_fd ignored;

    for (size_t i = 0; i < BEQUEST_KINDS; i++)
        if (extras_at(&b->items[i].extras, 0, &ignored) == 0)
            log_warn("%s have to be given to this VM again: ferry %s, which runs it now, does not "
                     "take them over",
                     kinds[i].what, runner);
}

/* --- Target --- */

static int item_adopt(void *obj, const char *name, int *fd, struct ferry_err *err)
{
    return extras_adopt(&((struct bequest_item *)obj)->extras, name, fd, err);
}

void bequest_arrived(struct bequest *b)
{
    for (size_t i = 0; i < BEQUEST_KINDS; i++)
        kinds[i].load(b->items[i].vm, &b->items[i].extras);
}

static const struct ferry_part_ops item_ops = {
    .quiesce = item_quiesce,
    .pause = item_pause,
    .resume = item_resume,
    .adopt = item_adopt,
    .extra_fd_at = item_extra_fd_at,
};

struct ferry_part bequest_part(struct bequest *b, enum bequest_kind kind)
{
    return (struct ferry_part){.idstr = b->items[kind].extras.kind->part,
                               .ops = &item_ops,
                               .obj = &b->items[kind],
                               .obj_bytes = sizeof(b->items[kind])};
}
