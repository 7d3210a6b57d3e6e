/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/machine/extras.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/err.h"
#include "base/own.h"
#include "base/utf8.h"

#define HEADER_BYTES  12u
#define ENTRIES_AT    6u
#define LENGTH_AT     8u
#define PREPARE_BYTES 4096u

void extras_init(struct extras *e, const struct extras_kind *kind)
{
    *e = (struct extras){.kind = kind, .record_fd = -1};
}

void extras_free(struct extras *e)
{
    if (!e->given)
        extras_done(e);
    own_close_fd(&e->record_fd);
    buf_free(&e->record);
}

/* --- Source --- */

void extras_prepare(struct extras *e)
{
    if (e->record_fd < 0)
        e->record_fd = memfd_create(e->kind->part, MFD_CLOEXEC);
    buf_reset(&e->record);
    buf_zeros(&e->record, PREPARE_BYTES);
    if (e->record_fd >= 0 &&
        pwrite(e->record_fd, e->record.data, PREPARE_BYTES, 0) != (ssize_t)PREPARE_BYTES)
        own_close_fd(&e->record_fd);
}

void extras_begin(struct extras *e)
{
    e->given = true;
    e->entries = 0;
    e->fds[0] = e->record_fd;
    e->fd_count = 1;
    buf_reset(&e->record);
    buf_be32(&e->record, e->kind->magic);
    buf_be16(&e->record, e->kind->version);
    buf_be16(&e->record, 0);
    buf_be32(&e->record, 0);
}

void extras_begin_entry(struct extras *e)
{
    e->entry_at = e->record.len_bytes;
    e->entry_fds = e->fd_count;
}

void extras_add_fd(struct extras *e, int fd)
{
    if (e->fd_count < EXTRAS_FDS_MAX)
        e->fds[e->fd_count++] = fd;
    else
        e->record.failed = ENOSPC;
}

bool extras_end_entry(struct extras *e, bool wanted)
{
    if (wanted && !e->record.failed && e->record.len_bytes <= e->kind->max_bytes &&
        e->entries < e->kind->max_entries) {
        e->entries++;
        return true;
    }
    e->record.len_bytes = e->entry_at;
    e->record.failed = 0;
    e->fd_count = e->entry_fds;
    return false;
}

void extras_put_text(struct extras *e, const char *text)
{
    size_t n = strlen(text);

    if (n > EXTRAS_TEXT_MAX_BYTES)
        e->record.failed = E2BIG;
    buf_u8(&e->record, (uint8_t)n);
    buf_put(&e->record, text, n);
}

bool extras_end(struct extras *e)
{
    struct buf *out = &e->record;
    bool written = false;

    buf_set_be16(out, ENTRIES_AT, (uint16_t)e->entries);
    buf_set_be32(out, LENGTH_AT, (uint32_t)(out->len_bytes - HEADER_BYTES));
    if (e->entries && e->record_fd >= 0 && !out->failed)
        written = pwrite(e->record_fd, out->data, out->len_bytes, 0) == (ssize_t)out->len_bytes;
    if (!written)
        e->fd_count = 0;
    return written || !e->entries;
}

int extras_at(const struct extras *e, size_t index, struct ferry_named_fd *ret)
{
    if (!e->given || index >= e->fd_count)
        return -ENOENT;
    snprintf(ret->name, sizeof(ret->name), "%s/%zu", e->kind->part, index);
    ret->fd = e->fds[index];
    return 0;
}

void extras_forget(struct extras *e)
{
    if (!e->given)
        return;
    e->given = false;
    e->fd_count = 0;
}

/* --- Target --- */

int extras_adopt(struct extras *e, const char *name, int *fd, struct ferry_err *err)
{
    char expected[FERRY_FD_NAME_BYTES];

    snprintf(expected, sizeof(expected), "%s/%zu", e->kind->part, e->fd_count);
    if (e->given || e->fd_count == EXTRAS_FDS_MAX || strcmp(name, expected) != 0)
        return err_set(err, EINVAL, "\"%s\" was expected", expected);
    e->fds[e->fd_count++] = take_fd(fd);
    return 0;
}

bool extras_arrived(const struct extras *e)
{
    return !e->given && e->fd_count > 0;
}

int extras_read(struct extras *e, struct rd *ret, size_t *entries, struct ferry_err *err)
{
    const struct extras_kind *kind = e->kind;
    uint8_t header[HEADER_BYTES] = {0};
    struct rd rd = rd_make(header, sizeof(header));
    uint32_t magic, n;
    uint16_t version, count;

    e->fds_used = 1;
    /* Of anything else a read might wait for somebody. */
    if (fcntl(e->fds[0], F_GET_SEALS) < 0)
        return err_set(err, EPROTO, "%s is no memfd", kind->what);
    if (pread(e->fds[0], header, sizeof(header), 0) != (ssize_t)sizeof(header))
        return err_set(err, EPROTO, "%s is cut", kind->what);
    magic = rd_be32(&rd);
    version = rd_be16(&rd);
    count = rd_be16(&rd);
    n = rd_be32(&rd);
    if (magic != kind->magic || !n || n > kind->max_bytes)
        return err_set(err, EPROTO, "%s is malformed", kind->what);
    if (version != kind->version)
        return err_set(err, ENOTSUP, "%s is of version %u, not %u", kind->what, version,
                       kind->version);
    if (count > kind->max_entries)
        return err_set(err, E2BIG, "%s has %u entries, more than %u", kind->what, count,
                       kind->max_entries);
    buf_reset(&e->record);
    if (!buf_extend(&e->record, n))
        return err_set(err, ENOMEM, "out of memory");
    if (pread(e->fds[0], e->record.data, n, HEADER_BYTES) != (ssize_t)n)
        return err_set(err, EPROTO, "%s is cut", kind->what);
    *ret = rd_make(e->record.data, n);
    *entries = count;
    return 0;
}

int *extras_next_fds(struct extras *e, size_t n)
{
    int *fds = e->fds + e->fds_used;

    if (n > e->fd_count - e->fds_used)
        return NULL;
    e->fds_used += n;
    return fds;
}

bool extras_get_text(struct rd *in, char ret[EXTRAS_TEXT_MAX_BYTES + 1])
{
    size_t n = rd_u8(in);
    const uint8_t *text = rd_take(in, n);
    uint32_t code_point;

    if (!text || memchr(text, 0, n))
        return false;
    memcpy(ret, text, n);
    ret[n] = '\0';
    while (n)
        if (utf8_next(&text, &n, &code_point) < 0)
            return false;
    return true;
}

void extras_done(struct extras *e)
{
    while (e->fd_count)
        own_close_fd(&e->fds[--e->fd_count]);
    buf_free(&e->record);
}
