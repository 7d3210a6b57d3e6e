/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Both ends of a handover, with real file descriptors, and somebody hostile on the wire between
 * them who can be either one to the other. Input:
 *
 *     u8 bit 0 the guest is paused, 1 a request is in flight, 2 the target has one device more,
 *        3 a device of the target takes no fd
 *     operations: u8 code and what belongs to it
 *
 * Whatever happens, no fd is left over, the guest runs on one side at most, it is on the source
 * until that has given it up, and a source that has not can be told to stop and resumes. But
 * whoever puts another lock into the place of the guest's is a source of his own to the target: its
 * copy is then another guest.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <ferry/live.h>

#include "base/be.h"
#include "base/own.h"
#include "fuzz/fuzz.h"
#include "fuzz/script.h"
#include "lib/chan/unixfd.h"
#include "lib/live/format.h"
#include "lib/live/owner.h"
#include "tests/sim/toy.h"

#define OPS_MAX    200u
#define TIMEOUT_NS INT64_C(20000000)
/* Of the steps that are left when the input is at its end; each may wait a moment. */
#define STEPS_MAX  64u

enum way { TO_TARGET, TO_SOURCE };

enum {
    OP_STEP_SOURCE,
    OP_STEP_TARGET,
    OP_FORWARD,
    OP_FRAME,
    OP_BYTES,
    OP_REPLACE_FD,
    OP_DROP_FD,
    OP_FLIP,
    OP_STARVE,
    OP_CANCEL,
    OP_SET_RUNNING,
    OP_DRAINED,
    OP_CUT,
    OP_RUN,
    OP_COUNT,
};

struct handover {
    struct toy from, to;
    struct ferry_owner *owner;
    struct ferry_move *source;
    struct ferry_move *target;
    enum ferry_move_status source_status, target_status;
    struct ferry_err source_err, target_err;
    int wire[2]; /* [TO_TARGET] leads to the target, [TO_SOURCE] to the source; -1: cut */
    size_t forwarded_fds;
    size_t replace_fd, drop_fd; /* the n-th from the source; SIZE_MAX: none */
    uint8_t replace_kind;
    uint8_t flip;  /* of the next byte */
    bool given_up; /* by the source */
    bool other_lock;
};

/* --- File descriptors of all kinds --- */

static int sealed_memfd(uint64_t size_bytes, int seals)
{
    int fd = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd >= 0 && (ftruncate(fd, (off_t)size_bytes) < 0 || fcntl(fd, F_ADD_SEALS, seals) < 0))
        own_close_fd(&fd);
    return fd;
}

static int one_of_two(int fds[2], int rc, unsigned which)
{
    if (rc < 0)
        return -1;
    close(fds[!which]);
    return fds[which];
}

static int fd_of_kind(struct handover *h, uint8_t kind)
{
    const int size_seals = F_SEAL_SHRINK | F_SEAL_GROW;
    int fds[2];

    switch (kind & 0xf) {
    case 0:
        return one_of_two(fds, pipe2(fds, O_CLOEXEC), 0);
    case 1:
        return one_of_two(fds, pipe2(fds, O_CLOEXEC), 1);
    case 2:
        return one_of_two(fds, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    case 3:
        return socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    case 4:
        return open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    case 5:
        return open("/dev/null", O_RDWR | O_CLOEXEC);
    case 6:
        return open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    case 7:
        return open("/proc/self/exe", O_PATH | O_CLOEXEC);
    case 8:
        return memfd_create("fuzz", MFD_CLOEXEC);
    case 9:
        return sealed_memfd(4096, size_seals);
    case 10:
        return sealed_memfd(TOY_RAM_BYTES, size_seals);
    case 11:
        return sealed_memfd(TOY_RAM_BYTES, size_seals | F_SEAL_WRITE);
    case 12:
        return sealed_memfd(4096, size_seals | F_SEAL_WRITE);
    case 13:
        return eventfd(0, EFD_CLOEXEC);
    case 14:
        return epoll_create1(EPOLL_CLOEXEC);
    default:
        return h->wire[0] < 0 ? -1 : dup(h->wire[0]); /* the connection itself */
    }
}

static size_t open_fds(void)
{
    DIR *d = opendir("/proc/self/fd");
    size_t count = 0;

    FUZZ_CHECK(d, "no /proc/self/fd");
    while (readdir(d))
        count++;
    closedir(d);
    return count;
}

/* --- The wire --- */

static void cut(struct handover *h)
{
    own_close_fd(&h->wire[0]);
    own_close_fd(&h->wire[1]);
}

static void wire_send(struct handover *h, enum way way, const void *data, size_t n, const int *fds,
                      size_t fd_count)
{
    struct ferry_err ignored;

    if (h->wire[way] >= 0 && n > 0)
        (void)!unixfd_send(h->wire[way], data, n, fds, fd_count, &ignored);
    for (size_t i = 0; i < fd_count; i++)
        close(fds[i]);
}

/* Which of the source's fds pass. The first that it sends is the lock. */
static size_t filter_fds(struct handover *h, int *fds, size_t fd_count)
{
    size_t kept = 0;

    for (size_t i = 0; i < fd_count; i++) {
        size_t at = h->forwarded_fds++;
        int fd = fds[i];

        if (at == h->drop_fd || at == h->replace_fd) {
            h->other_lock |= at == 0;
            close(fd);
            fd = at == h->drop_fd ? -1 : fd_of_kind(h, h->replace_kind);
        }
        if (fd >= 0)
            fds[kept++] = fd;
    }
    return kept;
}

static bool forward(struct handover *h, enum way way, size_t n)
{
    int fds[UNIXFD_BATCH_MAX];
    uint8_t bytes[4096];
    struct ferry_err ignored;
    size_t fd_count = 0;
    ssize_t got;

    n = n < sizeof(bytes) ? n : sizeof(bytes);
    if (h->wire[!way] < 0 || n == 0)
        return false;
    got = unixfd_recv(h->wire[!way], bytes, n, fds, &fd_count, &ignored);
    if (got <= 0)
        return false;
    bytes[0] ^= h->flip;
    h->flip = 0;
    if (way == TO_TARGET)
        fd_count = filter_fds(h, fds, fd_count);
    wire_send(h, way, bytes, (size_t)got, fds, fd_count);
    return true;
}

/* u8: bits 0-6 how many fds, 7 to whom; then their kinds. */
static size_t take_fds(struct handover *h, struct script *s, enum way *way, int *fds)
{
    uint8_t byte = script_u8(s);
    size_t count = 0, wanted = byte & 0x7f;

    *way = byte & 0x80 ? TO_SOURCE : TO_TARGET;
    for (size_t i = 0; i < wanted && s->left_bytes; i++) {
        fds[count] = fd_of_kind(h, script_u8(s));
        count += fds[count] >= 0;
    }
    /* Who sends fds of his own in front of the source's may have sent the lock. */
    if (*way == TO_TARGET && count && h->forwarded_fds == 0)
        h->other_lock = true;
    return count;
}

/* u8 type, u8 fds it says it has, u8 length, payload, then fds. Else bytes as they are. */
static void send_own(struct handover *h, struct script *s, bool frame)
{
    uint8_t bytes[LIVE_FRAME_HEADER_BYTES + 255];
    size_t header = frame ? LIVE_FRAME_HEADER_BYTES : 0, n;
    int fds[128] = {-1};
    const uint8_t *payload;
    enum way way;
    size_t fd_count;

    if (frame) {
        be32_store(bytes, script_u8(s));
        be32_store(bytes + 8, script_u8(s));
    }
    payload = script_take(s, script_u8(s), &n);
    if (frame)
        be32_store(bytes + 4, (uint32_t)n);
    memcpy(bytes + header, payload, n);
    fd_count = take_fds(h, s, &way, fds);
    wire_send(h, way, bytes, header + n, fds, fd_count);
}

/* --- The two ends --- */

static void trace(void *opaque, enum ferry_live_point point)
{
    if (point == FERRY_LIVE_LOCK_RELEASED)
        ((struct handover *)opaque)->given_up = true;
}

static void check_now(const struct handover *h)
{
    bool here = atomic_load(&h->from.running), there = atomic_load(&h->to.running);

    FUZZ_CHECK(!here || !there || h->other_lock, "the guest runs twice");
    FUZZ_CHECK(!there || h->given_up || h->other_lock, "it runs there before it was given up");
    FUZZ_CHECK(!h->from.memory || h->other_lock || !atomic_load(&h->from.memory->broken),
               "the guest broke");
}

static void step_source(struct handover *h)
{
    if (h->source_status == FERRY_MOVE_BUSY)
        h->source_status = ferry_move_step(h->source, &h->source_err);
    toy_tick(&h->from);
    check_now(h);
}

static void step_target(struct handover *h)
{
    if (h->target_status == FERRY_MOVE_BUSY)
        h->target_status = ferry_move_step(h->target, &h->target_err);
    if (h->to.memory)
        toy_tick(&h->to);
    check_now(h);
}

/* So few files may be open that what arrives is lost on the way. */
static void step_starved(struct handover *h, uint8_t more)
{
    struct rlimit old, starved;
    size_t count = open_fds();

    FUZZ_CHECK(getrlimit(RLIMIT_NOFILE, &old) == 0, "no limits");
    starved = old;
    starved.rlim_cur = count - 3 + more % 8;
    FUZZ_CHECK(setrlimit(RLIMIT_NOFILE, &starved) == 0, "no limit");
    step_target(h);
    FUZZ_CHECK(setrlimit(RLIMIT_NOFILE, &old) == 0, "no limit");
}

static void run(struct handover *h)
{
    bool moved = true;

    for (unsigned i = 0; i < STEPS_MAX && moved; i++) {
        step_source(h);
        moved = forward(h, TO_TARGET, SIZE_MAX);
        step_target(h);
        moved |= forward(h, TO_SOURCE, SIZE_MAX);
    }
}

static void open_wire(int *near, int *far)
{
    struct ferry_err err = {0};
    int fds[2];

    FUZZ_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0, "no sockets");
    FUZZ_CHECK(unixfd_prepare(fds[0], 1 << 20, &err) == 0, err.text);
    *near = fds[0];
    *far = fds[1];
}

static void start(struct handover *h, uint8_t options)
{
    struct ferry_live_source_params source = {
        .size_bytes = sizeof(source),
        .description = TOY_DESCRIPTION,
        .version = "1.0",
        .running = !(options & 1),
        .prepare_timeout_ns = TIMEOUT_NS,
        .pause_timeout_ns = TIMEOUT_NS,
        .spin_ns = -1,
        .trace = trace,
        .opaque = h,
    };
    struct ferry_live_target_params target = {
        .size_bytes = sizeof(target),
        .version = "1.1",
        .build = toy_build,
        .clock_go_on = toy_clock_go_on,
        .spin_ns = -1,
        .opaque = &h->to,
    };
    struct ferry_err err = {0};
    int ends[2];

    *h = (struct handover){.from.id = 1, .to.id = 2, .drop_fd = SIZE_MAX, .replace_fd = SIZE_MAX};
    h->from.pipe.busy = options & 2;
    h->to.with_extra = options & 4;
    h->to.refuse_adopt = options & 8;
    toy_fresh(&h->from);
    atomic_store(&h->from.running, source.running);
    FUZZ_CHECK(ferry_owner_new(&h->owner, &err) == 0, err.text);
    open_wire(&h->wire[TO_SOURCE], &ends[0]);
    open_wire(&h->wire[TO_TARGET], &ends[1]);
    source.vm = h->from.vm;
    source.owner = h->owner;
    FUZZ_CHECK(ferry_live_source_new(&h->source, &source, &ends[0], &err) == 0, err.text);
    FUZZ_CHECK(ferry_live_target_new(&h->target, &target, &ends[1], &err) == 0, err.text);
}

/* --- What is promised --- */

static void check_source(struct handover *h, bool running)
{
    struct ferry_err err = {0};
    bool here;

    if (h->source_status == FERRY_MOVE_BUSY && !h->given_up) {
        FUZZ_CHECK(ferry_move_cancel(h->source, &err) == 0, err.text);
        step_source(h);
        FUZZ_CHECK(h->source_status != FERRY_MOVE_BUSY, "cancelled, and still busy");
    }
    here = h->source_status == FERRY_MOVE_FAILED;
    FUZZ_CHECK(here || h->given_up, "not here, and not given up");
    FUZZ_CHECK(atomic_load(&h->from.running) == (here && running), h->source_err.text);
    if (here) {
        FUZZ_CHECK(h->source_err.text[0], "failed without a word");
        FUZZ_CHECK(h->from.pipe.in_use && !h->from.pipe.quiesced, "its devices do not work");
        FUZZ_CHECK(owner_held(h->owner), "it is not this process's");
    }
}

static void check_target(struct handover *h)
{
    bool done = h->target_status == FERRY_MOVE_DONE;

    FUZZ_CHECK(done || !atomic_load(&h->to.running), "it runs in a target that has failed");
    FUZZ_CHECK(done || !h->to.pipe.in_use, "its devices work in a target that has failed");
    FUZZ_CHECK(h->target_status != FERRY_MOVE_FAILED || h->target_err.text[0],
               "refused without a word");
    FUZZ_CHECK(!done || atomic_load(&h->to.running) == ferry_move_running(h->target),
               "it does not run");
}

static void finish(struct handover *h, bool running)
{
    cut(h);
    step_target(h);
    step_source(h);
    step_target(h);
    check_source(h, running);
    check_target(h);
    ferry_owner_free(ferry_live_target_take_owner(h->target));
    ferry_move_free(h->source);
    ferry_move_free(h->target);
    ferry_owner_free(h->owner);
    toy_free(&h->from);
    toy_free(&h->to);
}

static void play_op(struct handover *h, struct script *s, bool *running)
{
    struct ferry_err ignored;
    uint8_t byte;

    switch (script_u8(s) % OP_COUNT) {
    case OP_STEP_SOURCE:
        step_source(h);
        break;
    case OP_STEP_TARGET:
        step_target(h);
        break;
    case OP_FORWARD: /* u8: bit 7 to the source, 0-6 how many bytes; 0 is all */
        byte = script_u8(s);
        forward(h, byte & 0x80 ? TO_SOURCE : TO_TARGET, byte & 0x7f ? byte & 0x7f : SIZE_MAX);
        break;
    case OP_FRAME:
        send_own(h, s, true);
        break;
    case OP_BYTES:
        send_own(h, s, false);
        break;
    case OP_REPLACE_FD:
        byte = script_u8(s);
        h->replace_fd = h->forwarded_fds + (byte >> 4);
        h->replace_kind = byte & 0xf;
        break;
    case OP_DROP_FD:
        h->drop_fd = h->forwarded_fds + script_u8(s) % 8;
        break;
    case OP_FLIP:
        h->flip = script_u8(s);
        break;
    case OP_STARVE:
        step_starved(h, script_u8(s));
        break;
    case OP_CANCEL:
        if (ferry_move_cancel(h->source, &ignored) < 0)
            FUZZ_CHECK(h->given_up, "too late, before it was given up");
        break;
    case OP_SET_RUNNING:
        byte = script_u8(s) & 1;
        if (h->source_status == FERRY_MOVE_BUSY &&
            ferry_move_set_running(h->source, byte, &ignored) == 0) {
            atomic_store(&h->from.running, byte);
            *running = byte;
        }
        break;
    case OP_DRAINED:
        h->from.pipe.busy = false;
        if (h->from.pipe.quiesced)
            ferry_vm_drained(h->from.vm);
        break;
    case OP_CUT:
        cut(h);
        break;
    case OP_RUN:
        run(h);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct script s = {.at = data, .left_bytes = n};
    size_t before = open_fds();
    uint8_t options = script_u8(&s);
    bool running = !(options & 1);
    struct handover h;

    start(&h, options);
    for (unsigned i = 0; i < OPS_MAX && s.left_bytes; i++)
        play_op(&h, &s, &running);
    finish(&h, running);
    FUZZ_CHECK(open_fds() == before, "file descriptors are left over");
    return 0;
}
