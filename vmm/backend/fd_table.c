/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/backend/fd_table.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/own.h"
#include "vmm/backend/fd_table_struct.h"

int fd_table_new(struct fd_table **ret, struct ferry_err *err)
{
    *ret = calloc(1, sizeof(**ret));
    return *ret ? 0 : err_set(err, ENOMEM, "no memory for a table of file descriptors");
}

static void entry_clear(struct fd_entry *e)
{
    own_close_fd(&e->fd);
    free(e->name);
    free(e->opaque);
}

void fd_table_free(struct fd_table *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->count; i++)
        entry_clear(&t->entries[i]);
    free(t);
}

static void table_drop(struct fd_table *t, size_t at)
{
    entry_clear(&t->entries[at]);
    t->count--;
    memmove(&t->entries[at], &t->entries[at + 1], (t->count - at) * sizeof(t->entries[0]));
}

/* An entry at `at`, with text in one of its strings; takes *fd. */
static int table_insert(struct fd_table *t, size_t at, const struct fd_entry *e, int *fd,
                        struct ferry_err *err)
{
    struct fd_entry copy = {.set = e->set, .number = e->number};

    if (t->count == FD_TABLE_MAX)
        return err_set(err, ENFILE,
                       "the VM keeps %u file descriptors for its clients already, which is all it "
                       "can; close some (closefd, remove-fd)",
                       FD_TABLE_MAX);
    if ((e->name && strlen(e->name) > FD_TABLE_TEXT_MAX_BYTES) ||
        (e->opaque && strlen(e->opaque) > FD_TABLE_TEXT_MAX_BYTES))
        return err_set(err, E2BIG, "the text that goes with a file descriptor has at most %u bytes",
                       FD_TABLE_TEXT_MAX_BYTES);
    copy.name = e->name ? strdup(e->name) : NULL;
    copy.opaque = e->opaque ? strdup(e->opaque) : NULL;
    if ((e->name && !copy.name) || (e->opaque && !copy.opaque)) {
        free(copy.name);
        free(copy.opaque);
        return err_set(err, ENOMEM, "no memory for a file descriptor's name");
    }
    copy.fd = take_fd(fd);
    memmove(&t->entries[at + 1], &t->entries[at], (t->count - at) * sizeof(t->entries[0]));
    t->entries[at] = copy;
    t->count++;
    return 0;
}

/* --- Names --- */

static struct fd_entry *table_find(struct fd_table *t, const char *name)
{
    for (size_t i = 0; i < t->count; i++)
        if (t->entries[i].name && !strcmp(t->entries[i].name, name))
            return &t->entries[i];
    return NULL;
}

int fd_table_name(struct fd_table *t, const char *name, int *fd, struct ferry_err *err)
{
    struct fd_entry *old = table_find(t, name);

    if (name[0] >= '0' && name[0] <= '9')
        return err_set(err, EINVAL, "Parameter 'fdname' expects a name not starting with a digit");
    if (old) {
        own_close_fd(&old->fd);
        old->fd = take_fd(fd);
        return 0;
    }
    return table_insert(t, t->count, &(struct fd_entry){.name = (char *)(uintptr_t)name}, fd, err);
}

int fd_table_forget(struct fd_table *t, const char *name, struct ferry_err *err)
{
    struct fd_entry *e = table_find(t, name);

    if (!e)
        return err_set(err, ENOENT, "File descriptor named '%.255s' not found", name);
    table_drop(t, (size_t)(e - t->entries));
    return 0;
}

static int table_take(void *opaque, const char *name, struct ferry_err *err)
{
    const struct fd_entry *e = table_find(opaque, name);
    int fd;

    if (!e)
        return err_set(err, ENOENT,
                       "File descriptor named '%.200s' has not been found: getfd gives names, and "
                       "no such number is open here",
                       name);
    fd = fcntl(e->fd, F_DUPFD_CLOEXEC, 3);
    return fd < 0 ? err_sys(err, errno, "fd:%.255s", name) : fd;
}

/* --- Sets --- */

/* Where the members of a set end; its own ones, or those of lower numbers. */
static size_t table_end_of_set(const struct fd_table *t, int64_t set)
{
    size_t end = t->count;

    while (end > 0 && (t->entries[end - 1].name || t->entries[end - 1].set > set))
        end--;
    return end;
}

static int64_t table_free_set(const struct fd_table *t)
{
    int64_t set = 0;

    for (size_t i = 0; i < t->count; i++)
        if (!t->entries[i].name && t->entries[i].set == set)
            set++;
    return set;
}

static bool table_has_number(const struct fd_table *t, int number)
{
    for (size_t i = 0; i < t->count; i++)
        if (!t->entries[i].name && t->entries[i].number == number)
            return true;
    return false;
}

int fd_table_add_as(struct fd_table *t, int64_t set, const char *opaque, int *number, int *fd,
                    struct ferry_err *err)
{
    struct fd_entry e = {.set = set, .opaque = (char *)(uintptr_t)opaque, .number = *number};
    int rc;

    while (table_has_number(t, e.number))
        e.number = e.number == INT_MAX ? 0 : e.number + 1;
    rc = table_insert(t, table_end_of_set(t, set), &e, fd, err);
    if (!rc)
        *number = e.number;
    return rc;
}

int fd_table_add(struct fd_table *t, int64_t *set, const char *opaque, int *fd, int *number,
                 struct ferry_err *err)
{
    int64_t id = *set == FD_TABLE_ANY_SET ? table_free_set(t) : *set;
    int rc;

    /* As QEMU does, as long as no member from before an update has that number. */
    *number = *fd;
    rc = fd_table_add_as(t, id, opaque, number, fd, err);
    if (!rc)
        *set = id;
    return rc;
}

int fd_table_remove(struct fd_table *t, int64_t set, const int64_t *number, struct ferry_err *err)
{
    bool found = false;

    for (size_t i = 0; i < t->count;) {
        const struct fd_entry *e = &t->entries[i];

        if (e->name || e->set != set || (number && e->number != *number)) {
            i++;
            continue;
        }
        table_drop(t, i);
        found = true;
    }
    if (found)
        return 0;
    if (number)
        return err_set(err, ENOENT,
                       "File descriptor named 'fdset-id:%" PRId64 ", fd:%" PRId64 "' not found",
                       set, *number);
    return err_set(err, ENOENT, "File descriptor named 'fdset-id:%" PRId64 "' not found", set);
}

int fd_table_member_at(const struct fd_table *t, size_t index, struct fd_table_member *ret)
{
    for (size_t i = 0; i < t->count; i++) {
        const struct fd_entry *e = &t->entries[i];

        if (e->name || index-- > 0)
            continue;
        *ret = (struct fd_table_member){.set = e->set, .number = e->number, .opaque = e->opaque};
        return 0;
    }
    return -ENOENT;
}

static int table_open_set(void *opaque, uint64_t id, int flags, struct ferry_err *err)
{
    const struct fd_table *t = opaque;
    const struct fd_entry *best = NULL;
    bool found = false;
    int fd;

    for (size_t i = 0; i < t->count; i++) {
        const struct fd_entry *e = &t->entries[i];
        int mode;

        if (e->name || (uint64_t)e->set != id)
            continue;
        found = true;
        mode = fcntl(e->fd, F_GETFL);
        /* Who writes a stream to an fd with O_DIRECT fails, who asks for one wants no other. */
        if ((mode ^ flags) & O_DIRECT)
            continue;
        mode &= O_ACCMODE;
        if (mode == (flags & O_ACCMODE)) {
            best = e;
            break;
        }
        if (mode == O_RDWR && !best)
            best = e;
    }
    if (!found)
        return err_set(err, ENOENT, "there is no fd set %" PRIu64 " (add-fd makes one)", id);
    if (!best)
        return err_set(err, EACCES,
                       "no file descriptor in fd set %" PRIu64 " is open for %s %s O_DIRECT", id,
                       (flags & O_ACCMODE) == O_RDONLY ? "reading" : "writing",
                       flags & O_DIRECT ? "with" : "without");
    fd = fcntl(best->fd, F_DUPFD_CLOEXEC, 3);
    return fd < 0 ? err_sys(err, errno, "fd set %" PRIu64, id) : fd;
}

struct ferry_fd_names fd_table_names(struct fd_table *t)
{
    return (struct ferry_fd_names){.take = table_take, .open_set = table_open_set, .opaque = t};
}
