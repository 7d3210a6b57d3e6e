/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a client has said so far goes along in a handover, in a memfd ("gdb/state") and not in the
 * stream, which also goes to other hosts and to QEMU. A process of another version, whose idea of
 * it is another, takes the client for a new one: the guest stands still, and nothing else is lost.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "base/own.h"
#include "vmm/gdb/internal.h"

#define STATE_VERSION 2u
/* The layout of that version; who changes it writes the next number above. */
_Static_assert(sizeof(struct gdb_state) == 17048, "another version of gdb/state");

static const char fd_name[] = "gdb/state";

int gdb_new_memory(struct gdb *g, struct ferry_err *err)
{
    g->memory_fd = memfd_create("gdb", MFD_CLOEXEC);
    if (g->memory_fd < 0 || ftruncate(g->memory_fd, sizeof(g->s)) < 0)
        return err_sys(err, errno, "no memory for what GDB says");
    return 0;
}

static void pause_part(void *obj)
{
    struct gdb *g = obj;

    g->s.version = STATE_VERSION;
    if (pwrite(g->memory_fd, &g->s, sizeof(g->s), 0) != sizeof(g->s))
        log_error("gdb: the state of its client cannot be kept");
}

/* Of bytes that came from elsewhere. */
static bool is_bool(const bool *flag)
{
    uint8_t byte;

    memcpy(&byte, flag, sizeof(byte));
    return byte <= 1;
}

static bool is_sound(const struct gdb *g, const struct gdb_state *s)
{
    uint32_t harts = (1u << g->hart_count) - 1;

    return s->version == STATE_VERSION && is_bool(&s->attached) && is_bool(&s->let_go) &&
           is_bool(&s->waiting) && is_bool(&s->no_ack) && is_bool(&s->resume) &&
           is_bool(&s->in.escaped) && is_bool(&s->in.too_long) && s->hart < g->hart_count &&
           !(s->step & ~harts) && !(s->held & ~harts) && s->count <= VCPU_BREAKPOINTS_MAX &&
           s->in.data_bytes <= PACKET_BYTES && s->in.state <= PACKET_SUM2 &&
           s->out_bytes <= sizeof(s->out) && s->out_done <= s->out_bytes &&
           s->reply_bytes <= PACKET_BYTES;
}

static void resume_part(void *obj)
{
    struct gdb *g = obj;
    struct gdb_state s;

    if (!g->arrived)
        return;
    g->arrived = false;
    if (pread(g->memory_fd, &s, sizeof(s), 0) != sizeof(s) || !is_sound(g, &s))
        return;
    g->s = s;
    /* No hart has run here yet. */
    gdb_apply(g);
}

static int fd_at(void *obj, size_t index, struct ferry_named_fd *ret)
{
    const struct gdb *g = obj;

    if (index > 0)
        return -ENOENT;
    snprintf(ret->name, sizeof(ret->name), "%s", fd_name);
    ret->fd = g->memory_fd;
    return 0;
}

static int adopt(void *obj, const char *name, int *fd, struct ferry_err *err)
{
    struct gdb *g = obj;

    if (strcmp(name, fd_name) != 0)
        return err_set(err, ENOENT, "GDB's server has no \"%s\"", name);
    /* Of anything else a read might wait for somebody. */
    if (fcntl(*fd, F_GET_SEALS) < 0)
        return err_set(err, EINVAL, "\"%s\" is no memfd", name);
    own_close_fd(&g->memory_fd);
    g->memory_fd = take_fd(fd);
    g->arrived = true;
    return 0;
}

static const struct ferry_part_ops part_ops = {
    .pause = pause_part, .resume = resume_part, .fd_at = fd_at, .adopt = adopt};

struct ferry_part gdb_part(struct gdb *g)
{
    return (struct ferry_part){.idstr = "gdb", .ops = &part_ops, .obj = g};
}
