/* SPDX-License-Identifier: Apache-2.0 */
/* Its life, and bytes from and to the client. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/num.h"
#include "base/own.h"
#include "vmm/backend/bell.h"
#include "vmm/backend/chardev.h"
#include "vmm/gdb/internal.h"

/* --- Out ------------------------------------------------------------------------------------- */

static void flush(struct gdb *g)
{
    g->s.out_done +=
        chardev_write(g->chardev, g->s.out + g->s.out_done, g->s.out_bytes - g->s.out_done);
    if (g->s.out_done == g->s.out_bytes)
        g->s.out_bytes = g->s.out_done = 0;
}

/* One packet is taken when the answer to the one before is out; a stop may come besides. */
static void send_bytes(struct gdb *g, const char *data, size_t n)
{
    if (n > sizeof(g->s.out) - g->s.out_bytes)
        return;
    memcpy(g->s.out + g->s.out_bytes, data, n);
    g->s.out_bytes += n;
    flush(g);
}

static void send_reply(struct gdb *g)
{
    char framed[2 * PACKET_BYTES + 4];

    send_bytes(g, framed, packet_put(framed, g->s.reply, g->s.reply_bytes));
}

void gdb_reply_bytes(struct gdb *g, const char *data, size_t n)
{
    g->s.reply_bytes = num_min(n, PACKET_BYTES);
    memcpy(g->s.reply, data, g->s.reply_bytes);
    send_reply(g);
}

void gdb_reply(struct gdb *g, const char *text)
{
    gdb_reply_bytes(g, text, strlen(text));
}

/* --- In -------------------------------------------------------------------------------------- */

static void acknowledge(struct gdb *g, const char *how)
{
    if (!g->s.no_ack)
        send_bytes(g, how, 1);
}

static size_t can_receive(void *arg)
{
    const struct gdb *g = arg;

    return g->s.out_bytes == 0 ? PACKET_BYTES : 0;
}

/* What follows waits until what is read is answered. */
static size_t look(void *arg, const uint8_t *data, size_t n)
{
    return packet_look(&((const struct gdb *)arg)->s.in, data, n);
}

static void receive(void *arg, const uint8_t *data, size_t n)
{
    struct gdb *g = arg;

    for (size_t i = 0; i < n; i++) {
        switch (packet_take(&g->s.in, data[i])) {
        case PACKET_NONE:
            break;
        case PACKET_WHOLE:
            /* Who has let go is only waited for to close. */
            if (!g->s.attached)
                break;
            acknowledge(g, "+");
            gdb_command(g, g->s.in.data, g->s.in.data_bytes);
            break;
        case PACKET_DAMAGED:
            acknowledge(g, "-");
            break;
        case PACKET_INTERRUPT:
            gdb_interrupt(g);
            break;
        case PACKET_REPEAT:
            send_reply(g);
            break;
        }
    }
}

static void writable(void *arg)
{
    struct gdb *g = arg;

    flush(g);
    if (g->s.out_bytes == 0)
        chardev_input_ready(g->chardev);
}

static void event(void *arg, enum chardev_event event)
{
    struct gdb *g = arg;

    if (event == CHARDEV_CLOSED) {
        gdb_detach(g);
        g->s.let_go = false;
        return;
    }
    /* One that came along in a handover is there already, or no longer. */
    if (g->s.attached || g->s.let_go)
        return;
    gdb_attach(g);
}

static const struct chardev_frontend frontend = {
    .can_receive = can_receive,
    .receive = receive,
    .look = look,
    .writable = writable,
    .event = event,
    .same_user = true,
};

/* --- Life ------------------------------------------------------------------------------------ */

static void ring(void *bell)
{
    bell_ring(bell);
}

int gdb_new(struct gdb **ret, const struct gdb_params *params, struct ferry_err *err)
{
    const struct accel *accel = params->vcpus[0]->accel;
    struct gdb *g;
    int rc;

    if (!accel->debug)
        return err_set(
            err, ENOTSUP,
            "GDB cannot look at this guest: accelerator '%s' has no debugger's view of a "
            "%s CPU; leave out -gdb and -s",
            accel->name, accel->target);
    g = calloc(1, sizeof(*g));
    if (!g)
        return err_set(err, ENOMEM, "no memory for a server of GDB's protocol");
    g->memory_fd = -1;
    g->vm = params->vm;
    g->hart_count = num_min(params->hart_count, CONFIG_HARTS_MAX);
    memcpy(g->vcpus, params->vcpus, g->hart_count * sizeof(g->vcpus[0]));
    g->debug = accel->debug;
    g->debug->describe(g->vcpus[0], &g->features);
    rc = gdb_new_memory(g, err);
    if (!rc && g->features.failed)
        rc = err_set(err, g->features.failed, "no memory for GDB's features");
    if (!rc)
        rc = bell_new(&g->stopped, params->loop, gdb_hart_stopped, g, err);
    for (size_t i = 0; i < g->hart_count && !rc; i++)
        g->debug->attach(g->vcpus[i], ring, g->stopped);
    if (!rc)
        rc = vm_observe(g->vm, gdb_observe, g, err);
    if (!rc) {
        rc = chardev_set_frontend(params->chardev, &frontend, g, err);
        g->chardev = rc ? NULL : params->chardev;
    }
    if (rc) {
        gdb_free(g);
        return rc;
    }
    *ret = g;
    return 0;
}

void gdb_free(struct gdb *g)
{
    if (!g)
        return;
    if (g->chardev)
        chardev_clear_frontend(g->chardev);
    for (size_t i = 0; i < g->hart_count; i++)
        g->debug->attach(g->vcpus[i], NULL, NULL);
    bell_free(g->stopped);
    buf_free(&g->features);
    own_close_fd(&g->memory_fd);
    free(g);
}
