/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/backend/fd_table_state.h"

#include <errno.h>
#include <limits.h>

#include "base/err.h"
#include "base/log.h"
#include "base/own.h"
#include "vmm/backend/fd_table_struct.h"

enum { ENTRY_NAME = 1, ENTRY_MEMBER = 2 };

const struct extras_kind fd_table_state_kind = {
    .part = "fd-table",
    .what = "the record of the file descriptors that clients gave",
    .magic = 0x66464453u, /* "fFDS" */
    .version = 1,
    .max_bytes = 128u << 10,
    .max_entries = FD_TABLE_MAX,
};

_Static_assert(FD_TABLE_TEXT_MAX_BYTES <= EXTRAS_TEXT_MAX_BYTES, "a text goes along");
_Static_assert(1u + FD_TABLE_MAX <= EXTRAS_FDS_MAX, "the record, and all of a table, go along");

/* --- Save --- */

static void save_entry(const struct fd_entry *entry, struct extras *e)
{
    struct buf *out = &e->record;

    buf_u8(out, entry->name ? ENTRY_NAME : ENTRY_MEMBER);
    if (entry->name) {
        extras_put_text(e, entry->name);
        return;
    }
    buf_be64(out, (uint64_t)entry->set);
    buf_be32(out, (uint32_t)entry->number);
    buf_u8(out, entry->opaque != NULL);
    extras_put_text(e, entry->opaque ? entry->opaque : "");
}

void fd_table_save(const struct fd_table *t, struct extras *e)
{
    for (size_t i = 0; i < t->count; i++) {
        extras_begin_entry(e);
        save_entry(&t->entries[i], e);
        extras_add_fd(e, t->entries[i].fd);
        (void)extras_end_entry(e, true);
    }
}

/* --- Load --- */

static int malformed(struct ferry_err *err)
{
    return err_set(err, EPROTO, "%s is malformed", fd_table_state_kind.what);
}

static int load_member(struct fd_table *t, uint64_t set, uint32_t number, const char *opaque,
                       int *fd, struct ferry_err *err)
{
    int known_by = (int)number;

    if (set > INT64_MAX || number > INT_MAX)
        return malformed(err);
    return fd_table_add_as(t, (int64_t)set, opaque, &known_by, fd, err);
}

/* What the table does not take is closed with the rest. */
static int load_next(struct fd_table *t, struct rd *in, int *fd, struct ferry_err *err)
{
    char text[EXTRAS_TEXT_MAX_BYTES + 1];
    uint8_t kind = rd_u8(in);
    uint64_t set = kind == ENTRY_MEMBER ? rd_be64(in) : 0;
    uint32_t number = kind == ENTRY_MEMBER ? rd_be32(in) : 0;
    bool has_opaque = kind == ENTRY_MEMBER && rd_u8(in);
    bool has_text = extras_get_text(in, text);

    if (kind != ENTRY_NAME && kind != ENTRY_MEMBER)
        in->failed = true; /* what follows cannot be told apart */
    if (in->failed || !has_text)
        return malformed(err);
    return kind == ENTRY_NAME ? fd_table_name(t, text, fd, err)
                              : load_member(t, set, number, has_opaque ? text : NULL, fd, err);
}

void fd_table_load(struct fd_table *t, struct extras *e)
{
    struct ferry_err err;
    struct rd in;
    size_t left;
    int *fd;

    if (!extras_arrived(e))
        return;
    if (extras_read(e, &in, &left, &err) < 0) {
        log_warn("the file descriptors of getfd and add-fd are lost: %s", err.text);
        left = 0;
    }
    for (; left && !in.failed && (fd = extras_next_fds(e, 1)); left--)
        if (load_next(t, &in, fd, &err) < 0)
            log_warn("a file descriptor of getfd or add-fd is lost: %s", err.text);
    if (left)
        log_warn("%zu file descriptors of getfd and add-fd are lost: they did not come", left);
    extras_done(e);
}
