/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The devices of a whole board, as a hostile guest and its surroundings see them. Input:
 *
 *     u8 which board: bit 0 modern transports, bits 1-2 whose guests it can take
 *     operations of OP_BYTES each: u8 code, u8 a, le16 b, le32 c
 *
 * Those that matter most are a step of a working driver, so that a short input gets deep; the
 * others are any access to any register or to RAM, and what the host does meanwhile: frames, bytes
 * on the serial line, peers that go, time that passes, handovers that fail or succeed. What must
 * hold is in machine.h.
 */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/be.h"
#include "base/own.h"
#include "fuzz/driver.h"
#include "fuzz/fuzz.h"
#include "fuzz/ops.h"
#include "vmm/dev/virtio/mmio.h"
#include "vmm/virt/memmap.h"

/* Of one input, repeats included: see work_of(). */
#define WORK_MAX  4000u
#define FRAME_MAX 70000u

enum {
    OP_READ,
    OP_WRITE,
    OP_STORE,
    OP_START,
    OP_SET_UP_QUEUE,
    OP_SEG,
    OP_PUT,
    OP_DISK,
    OP_CONTROL,
    OP_KICK,
    OP_RESET_QUEUE,
    OP_NET_FRAME,
    OP_NET_BYTES,
    OP_SERIAL_BYTES,
    OP_PEER,
    OP_TURN,
    OP_ADVANCE,
    OP_SETTLE,
    OP_QUIESCE,
    OP_RETURN,
    OP_HAND_OVER,
    OP_RESET,
    OP_ANNOUNCE,
    OP_REPEAT,
    OP_COUNT,
};

struct op {
    uint8_t code, a;
    uint16_t b;
    uint32_t c;
};

struct play {
    struct machine m;
    struct driver d;
    struct driver_seg segs[DRIVER_SEGS_MAX]; /* of the next chain */
    unsigned seg_count;
    unsigned work_left;
};

/* --- The guest --- */

static uint64_t window_gpa(unsigned window)
{
    static const uint64_t others[] = {
        MEMMAP_UART_GPA,     MEMMAP_RTC_GPA,    MEMMAP_TEST_GPA,       MEMMAP_CLINT_GPA,
        MEMMAP_MTIMER_GPA,   MEMMAP_PLIC_GPA,   MEMMAP_FW_CFG_GPA,     MEMMAP_PLIC_GPA + 0x200000,
        MEMMAP_PCI_ECAM_GPA, MEMMAP_PCI_IO_GPA, MEMMAP_PCI_MMIO_GPA,   MEMMAP_FLASH_GPA,
        MEMMAP_RAM_GPA,      MEMMAP_MROM_GPA,   UINT64_C(0x400000000), UINT64_MAX - 0xffff,
    };

    if (window < DRIVER_SLOTS)
        return MEMMAP_VIRTIO_GPA + window * (uint64_t)MEMMAP_VIRTIO_SLOT_BYTES;
    return others[(window - DRIVER_SLOTS) % (sizeof(others) / sizeof(others[0]))];
}

/* a: 6 bits of window, 2 of width; b: offset. */
static void play_access(struct play *p, const struct op *op)
{
    uint64_t gpa = window_gpa(op->a & 0x3f) + op->b, value = op->c | (uint64_t)op->c << 32;
    unsigned size_bytes = 1u << (op->a >> 6);

    if (op->code == OP_READ)
        machine_read(&p->m, gpa, size_bytes, &value);
    else
        machine_write(&p->m, gpa, size_bytes, value);
}

/* a: bits 0-2 slot and 3-4 queue, whose rings are meant, or bit 5 data; bits 6-7 width. */
static void play_store(struct play *p, const struct op *op)
{
    uint64_t rings = DRIVER_RINGS + (op->a & 7) * DRIVER_SLOT_BYTES +
                     (op->a >> 3 & 3) * (DRIVER_SLOT_BYTES / DRIVER_QUEUES);
    uint8_t raw[8];

    le64_store(raw, op->c);
    machine_store(&p->m, (op->a & 0x20 ? DRIVER_DATA : rings) + op->b, raw, 1u << (op->a >> 6));
}

/* a: bits 0-2 slot, 3 all that is offered (else c, and half of b); b: low bits size of the rings */
static void play_start(struct play *p, const struct op *op)
{
    uint64_t mask = op->a & 8 ? UINT64_MAX : op->c | (uint64_t)(op->b >> 8) << 32;

    driver_start(&p->d, op->a & 7, mask, (uint16_t)(op->b % DRIVER_NUM_MAX + 1));
}

/* a: what is at b: data, rings, ROM, the end of RAM, anywhere. c: bytes, and 4 bits of flags. */
static void play_seg(struct play *p, const struct op *op)
{
    const uint64_t places[] = {
        MEMMAP_RAM_GPA + DRIVER_DATA,
        MEMMAP_RAM_GPA + DRIVER_DATA + 0x10000,
        MEMMAP_RAM_GPA + DRIVER_RINGS,
        MEMMAP_RAM_GPA + MACHINE_RAM_BYTES - 0x8000,
        MEMMAP_MROM_GPA,
        MEMMAP_FLASH_GPA,
        MEMMAP_RAM_GPA,
        UINT64_MAX - 0x7fff,
    };

    if (p->seg_count == DRIVER_SEGS_MAX)
        return;
    p->segs[p->seg_count++] = (struct driver_seg){
        .gpa = places[op->a & 7] + op->b,
        .bytes = op->c & 0xfffffff,
        .flags = (uint16_t)(op->c >> 28),
    };
}

/* a: bits 0-2 slot, 3-4 queue, 5 without a kick, 6 indirect, 7 the segments stay for another. */
static void play_put(struct play *p, const struct op *op)
{
    driver_put(&p->d, op->a & 7, op->a >> 3 & 3, p->segs, p->seg_count, op->a & 0x40);
    if (!(op->a & 0x20))
        driver_kick(&p->d, op->a & 7, op->a >> 3 & 3);
    if (!(op->a & 0x80))
        p->seg_count = 0;
}

/* The segments as the data of a request. a as above, b: its type, c: its sector. */
static void play_disk(struct play *p, const struct op *op)
{
    const uint64_t header = DRIVER_DATA + 0xff00, status = DRIVER_DATA + 0xfff0;
    struct driver_seg segs[DRIVER_SEGS_MAX];
    unsigned count = p->seg_count < DRIVER_SEGS_MAX - 2 ? p->seg_count : DRIVER_SEGS_MAX - 2;
    struct op put = *op;
    uint8_t raw[16] = {0};

    le32_store(raw, op->b & 0xf);
    le64_store(raw + 8, op->c);
    machine_store(&p->m, header, raw, sizeof(raw));
    memcpy(&segs[1], p->segs, count * sizeof(segs[0]));
    segs[0] = (struct driver_seg){.gpa = MEMMAP_RAM_GPA + header, .bytes = sizeof(raw)};
    segs[count + 1] =
        (struct driver_seg){.gpa = MEMMAP_RAM_GPA + status, .bytes = 1, .flags = DRIVER_SEG_WRITE};
    memcpy(p->segs, segs, sizeof(segs));
    p->seg_count = count + 2;
    play_put(p, &put);
}

/* A command of the card's control queue. a: class, b: command and bytes of arguments, c of them. */
static void play_control(struct play *p, const struct op *op)
{
    const uint64_t at = DRIVER_DATA + 0xfe00;
    uint8_t raw[2 + 255] = {op->a & 7, (uint8_t)op->b};
    unsigned bytes = op->b >> 8;

    for (unsigned i = 0; i < bytes; i++)
        raw[2 + i] = (uint8_t)(op->c >> 8 * (i % 4));
    machine_store(&p->m, at, raw, sizeof(raw));
    p->segs[0] = (struct driver_seg){.gpa = MEMMAP_RAM_GPA + at, .bytes = 2 + bytes};
    p->segs[1] = (struct driver_seg){
        .gpa = MEMMAP_RAM_GPA + at + 0x1f0, .bytes = 1, .flags = DRIVER_SEG_WRITE};
    p->seg_count = 2;
    /* The card is where the description of the board put it. */
    play_put(p, &(struct op){.a = (uint8_t)(6 | 2 << 3)});
}

static void play_reset_queue(struct play *p, const struct op *op)
{
    driver_write(&p->d, op->a & 7, VIRTIO_MMIO_R_QUEUE_SEL, op->b);
    driver_write(&p->d, op->a & 7, VIRTIO_MMIO_R_QUEUE_RESET, 1);
}

/* --- The host --- */

static void peer_send(int fd, const void *data, size_t n)
{
    if (fd >= 0)
        (void)!send(fd, data, n, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* A frame of b bytes (up to 70000) that begins with c; its length is a lie if a is not 0. */
static void play_net_frame(struct play *p, const struct op *op)
{
    static uint8_t raw[4 + FRAME_MAX];
    uint32_t bytes = op->b % FRAME_MAX;

    be32_store(raw, op->a ? bytes + op->a * 0x101u : bytes);
    memset(raw + 4, 0xff, 12);
    be32_store(raw + 4, op->c);
    be32_store(raw + 16, op->c * 0x9e3779b9u);
    peer_send(p->m.net_fd, raw, 4 + bytes);
}

static void play_bytes(int fd, const struct op *op)
{
    uint8_t raw[256];

    for (size_t i = 0; i < sizeof(raw); i++)
        raw[i] = (uint8_t)(op->c >> 8 * (i % 4));
    peer_send(fd, raw, op->a);
}

static void peer_read(int fd)
{
    uint8_t raw[65536];

    if (fd >= 0)
        (void)!recv(fd, raw, sizeof(raw), MSG_DONTWAIT);
}

static void play_peer(struct play *p, const struct op *op)
{
    int *fd = op->b & 1 ? &p->m.serial_fd : &p->m.net_fd;

    switch (op->a & 3) {
    case 0:
        peer_read(*fd);
        break;
    case 1:
        own_close_fd(fd);
        break;
    default:
        machine_connect(&p->m);
        break;
    }
}

/* What an operation costs the fuzzer, in plain accesses, so that no input takes seconds. */
static unsigned work_of(unsigned code)
{
    switch (code) {
    case OP_TURN:
    case OP_ADVANCE:
    case OP_NET_FRAME:
        return 10;
    case OP_SETTLE:
    case OP_PEER:
        return 40;
    case OP_RETURN:
    case OP_RESET:
        return 200;
    case OP_HAND_OVER:
        return 1000;
    default:
        return 1;
    }
}

static void play_op(struct play *p, const struct op *op)
{
    unsigned code = op->code % OP_COUNT, work = work_of(code);

    if (p->work_left < work) {
        p->work_left = 0;
        return;
    }
    p->work_left -= work;
    switch (code) {
    case OP_READ:
    case OP_WRITE:
        play_access(p, op);
        break;
    case OP_STORE:
        play_store(p, op);
        break;
    case OP_START:
        play_start(p, op);
        break;
    case OP_SET_UP_QUEUE:
        driver_set_up_queue(&p->d, op->a & 7, op->a >> 3 & 3,
                            (uint16_t)(op->b % DRIVER_NUM_MAX + 1));
        break;
    case OP_SEG:
        play_seg(p, op);
        break;
    case OP_PUT:
        play_put(p, op);
        break;
    case OP_DISK:
        play_disk(p, op);
        break;
    case OP_CONTROL:
        play_control(p, op);
        break;
    case OP_KICK:
        driver_kick(&p->d, op->a & 7, op->b);
        break;
    case OP_RESET_QUEUE:
        play_reset_queue(p, op);
        break;
    case OP_NET_FRAME:
        play_net_frame(p, op);
        break;
    case OP_NET_BYTES:
        play_bytes(p->m.net_fd, op);
        break;
    case OP_SERIAL_BYTES:
        play_bytes(p->m.serial_fd, op);
        break;
    case OP_PEER:
        play_peer(p, op);
        break;
    case OP_TURN:
        machine_turn(&p->m);
        break;
    case OP_ADVANCE:
        machine_advance(&p->m, (int64_t)op->c << (op->a & 0x1f));
        break;
    case OP_SETTLE:
        machine_settle(&p->m);
        break;
    case OP_QUIESCE:
        machine_toggle_quiesce(&p->m);
        break;
    case OP_RETURN:
        machine_return(&p->m);
        break;
    case OP_HAND_OVER:
        machine_hand_over(&p->m);
        break;
    case OP_RESET:
        machine_reset(&p->m);
        break;
    case OP_ANNOUNCE:
        board_announce(p->m.board);
        break;
    default: /* a repeat inside of one */
        break;
    }
}

static struct op op_at(const uint8_t *ops, size_t index)
{
    const uint8_t *raw = ops + index * OP_BYTES;

    return (struct op){
        .code = raw[0], .a = raw[1], .b = le16_load(raw + 2), .c = le32_load(raw + 4)};
}

/* a: how many of the operations in front of this one; b: how often. Of repeats, none. */
static void play_repeat(struct play *p, const uint8_t *ops, size_t index, const struct op *op)
{
    size_t count = op->a < index ? op->a : index;

    for (unsigned round = 0; round < op->b && count && p->work_left; round++) {
        for (size_t i = index - count; i < index; i++) {
            struct op again = op_at(ops, i);

            play_op(p, &again);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const char *const compats[] = {NULL, "qemu-10.0.2", "qemu-10.0.13", "qemu-11.1"};
    struct play p = {.work_left = WORK_MAX};
    struct machine_model model;
    const uint8_t *ops = data + OPS_AT;

    if (n < OPS_AT)
        return 0;
    model = (struct machine_model){.modern = data[0] & 1, .compat = compats[data[0] >> 1 & 3]};
    machine_new(&p.m, &model);
    p.d.m = &p.m;
    p.d.modern = model.modern;
    for (size_t i = 0; i < (n - OPS_AT) / OP_BYTES && p.work_left; i++) {
        struct op op = op_at(ops, i);

        if (op.code % OP_COUNT == OP_REPEAT)
            play_repeat(&p, ops, i, &op);
        else
            play_op(&p, &op);
    }
    machine_free(&p.m);
    return 0;
}
