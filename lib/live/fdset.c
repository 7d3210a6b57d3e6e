/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/live/fdset.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/own.h"

#define FDSET_LIST_BYTES 160 /* two lists fit in a sentence */

void fdset_close(struct fdset *set)
{
    for (size_t i = 0; i < set->arrived_count; i++)
        own_close_fd(&set->arrived[i].fd);
    for (size_t i = 0; i < set->extra_count; i++)
        own_close_fd(&set->extras[i].fd);
    set->arrived_count = set->extra_count = 0;
}

int fdset_declare(struct fdset *set, const struct ferry_vm *vm, struct ferry_err *err)
{
    set->declared_count = 0;
    for (size_t i = 0; i < ferry_vm_part_count(vm); i++) {
        const struct ferry_part *part = ferry_vm_part(vm, i);

        if (!part->ops || !part->ops->fd_at)
            continue;
        for (size_t k = 0;; k++) {
            if (set->declared_count == LIVE_FDS_MAX)
                return err_set(err, E2BIG, "the machine declares more than %u named fds",
                               LIVE_FDS_MAX);
            if (part->ops->fd_at(part->obj, k, &set->declared[set->declared_count]) < 0)
                break;
            set->owners[set->declared_count++] = part;
        }
    }
    return 0;
}

/* Where name is in list, looking at the place where it should be first; count if nowhere. */
static size_t fdset_find(const struct ferry_named_fd *list, size_t count, const char *name,
                         size_t hint)
{
    if (hint < count && !strcmp(list[hint].name, name))
        return hint;
    for (size_t i = 0; i < count; i++)
        if (!strcmp(list[i].name, name))
            return i;
    return count;
}

/* "a, b, c", cut with "..." when it is long. */
static const char *fdset_list(const struct ferry_named_fd *list, size_t count,
                              char text[static FDSET_LIST_BYTES])
{
    size_t used = 0;

    snprintf(text, FDSET_LIST_BYTES, "none");
    for (size_t i = 0; i < count; i++) {
        size_t n = strlen(list[i].name);

        if (used + n + 8 > FDSET_LIST_BYTES) {
            snprintf(text + used, FDSET_LIST_BYTES - used, ", ...");
            break;
        }
        used += (size_t)snprintf(text + used, FDSET_LIST_BYTES - used, "%s%s", i ? ", " : "",
                                 list[i].name);
    }
    return text;
}

static int fdset_differ(const struct fdset *set, const char *name, const char *fault,
                        struct ferry_err *err)
{
    char arrived[FDSET_LIST_BYTES], declared[FDSET_LIST_BYTES];

    return err_set(err, EINVAL,
                   "the file descriptor \"%s\" %s. The source has: %s. The target needs: %s", name,
                   fault, fdset_list(set->arrived, set->arrived_count, arrived),
                   fdset_list(set->declared, set->declared_count, declared));
}

int fdset_compare(const struct fdset *set, struct ferry_err *err)
{
    for (size_t i = 0; i < set->arrived_count; i++) {
        const char *name = set->arrived[i].name;

        if (fdset_find(set->declared, set->declared_count, name, i) == set->declared_count)
            return fdset_differ(set, name, "arrived and belongs to no device", err);
        if (fdset_find(set->arrived, i, name, i) < i)
            return fdset_differ(set, name, "arrived twice", err);
    }
    for (size_t i = 0; i < set->declared_count; i++)
        if (fdset_find(set->arrived, set->arrived_count, set->declared[i].name, i) ==
            set->arrived_count)
            return fdset_differ(set, set->declared[i].name, "did not arrive", err);
    return 0;
}

static int fdset_adopt_one(struct ferry_named_fd *arrived, const struct ferry_part *part,
                           struct live_marks *marks, struct ferry_err *err)
{
    int r;

    if (!part->ops->adopt)
        return err_set(err, ENOTSUP, "the device \"%s\" cannot adopt \"%s\"", part->idstr,
                       arrived->name);
    marks_part(marks, part, false);
    r = part->ops->adopt(part->obj, arrived->name, &arrived->fd, err);
    marks_part(marks, part, true);
    if (r < 0)
        return err_prefix(err, "adopting \"%s\"", arrived->name);
    return 0;
}

int fdset_adopt(struct fdset *set, struct live_marks *marks, struct ferry_err *err)
{
    for (size_t i = 0; i < set->arrived_count; i++) {
        struct ferry_named_fd *arrived = &set->arrived[i];
        size_t at = fdset_find(set->declared, set->declared_count, arrived->name, i);
        int r;

        if (arrived->fd < 0)
            continue;
        r = fdset_adopt_one(arrived, set->owners[at], marks, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static const struct ferry_part *fdset_part_of(const struct ferry_vm *vm, const char *name)
{
    for (size_t i = 0; i < ferry_vm_part_count(vm); i++) {
        const struct ferry_part *part = ferry_vm_part(vm, i);
        size_t n = strlen(part->idstr);

        if (part->ops && part->ops->extra_fd_at && part->ops->adopt &&
            !strncmp(name, part->idstr, n) && name[n] == '/')
            return part;
    }
    return NULL;
}

void fdset_offer_extras(struct fdset *set, const struct ferry_vm *vm)
{
    for (size_t i = 0; i < set->extra_count; i++) {
        struct ferry_named_fd *extra = &set->extras[i];
        const struct ferry_part *part = extra->fd >= 0 ? fdset_part_of(vm, extra->name) : NULL;
        struct ferry_err ignored;

        if (!part || part->ops->adopt(part->obj, extra->name, &extra->fd, &ignored) < 0)
            own_close_fd(&extra->fd);
    }
}
