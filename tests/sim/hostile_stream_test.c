/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams that are wrong in one place, fed to a real target: each is refused with its sentence, the
 * VM is as it was, and a good stream moves into it afterwards. docs/hostile-input.md lists what is
 * bounded and has the numbers of the rows.
 */
#include "tests/unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/own.h"
#include "tests/sim/migrate_pair.h"

#define TEN_MS INT64_C(10000000)

/* A good stream, in pieces that can be told apart. */
enum piece {
    MAGIC,
    VERSION,
    CONFIG,
    ASK,
    PING,
    START,
    LIST,
    LIST_END,
    PART,
    PAGE,
    ZERO,
    DELTA,
    PART_END,
    SWITCH,
    END,
    END_END,
    COUNTER,
    COUNTER_DATA,
    COUNTER_FOOTER,
    BLOB,
    BLOB_DATA,
    BLOB_FOOTER,
    END_MARK,
    DESCRIPTION,
    PIECES,
};

#define BYTES(s) (s), sizeof(s) - 1
#define Z4       "\0\0\0\0"
#define ID(n)    "\0\0\0" n
#define EOS      Z4 ID("\x10")
#define TOY      "\7toy.ram"

static const struct {
    const char *bytes;
    size_t n;
} pieces[PIECES] = {
    [MAGIC] = {BYTES("QEVM")},
    [VERSION] = {BYTES("\0\0\0\3")},
    [CONFIG] = {BYTES("\7\0\0\0\3toy")},
    [ASK] = {BYTES("\10\0\1\0\0")},
    [PING] = {BYTES("\10\0\2\0\4\0\0\0\1")},
    [START] = {BYTES("\1" ID("\1") "\3ram" Z4 ID("\4"))},
    [LIST] = {BYTES(Z4 "\0\1\0\4" TOY Z4 "\0\1\0\0")},
    [LIST_END] = {BYTES(EOS "\x7e" ID("\1"))},
    [PART] = {BYTES("\2" ID("\1"))},
    /* 4096 bytes follow. */
    [PAGE] = {BYTES(Z4 "\0\0\x10\x08" TOY)},
    [ZERO] = {BYTES(Z4 "\0\0\x20\x22\0")},
    [DELTA] = {BYTES(Z4 "\0\0\x10\x60\1\0\3\0\1\x55")},
    [PART_END] = {BYTES(EOS "\x7e" ID("\1"))},
    [SWITCH] = {BYTES("\10\0\13\0\0")},
    [END] = {BYTES("\3" ID("\1"))},
    [END_END] = {BYTES(EOS "\x7e" ID("\1"))},
    [COUNTER] = {BYTES("\4" ID("\2") "\7counter" ID("\0") ID("\2"))},
    [COUNTER_DATA] = {BYTES(Z4 ID("\7") "\1")},
    [COUNTER_FOOTER] = {BYTES("\x7e" ID("\2"))},
    [BLOB] = {BYTES("\4" ID("\3") "\7counter" ID("\1") ID("\2"))},
    [BLOB_DATA] = {BYTES(Z4 ID("\1") "\3")},
    [BLOB_FOOTER] = {BYTES("\x7e" ID("\3"))},
    [END_MARK] = {BYTES("\0")},
    [DESCRIPTION] = {BYTES("\6\0\0\0\2{}")},
};

enum how {
    INSTEAD, /* of the piece */
    BEFORE,  /* it */
    PATCH,   /* its bytes from offset on */
    CUT,     /* here the stream ends */
};

struct row {
    const char *item; /* of docs/hostile-input.md */
    enum how how;
    enum piece at;
    size_t offset;
    const char *bytes;
    size_t n;
    const char *says; /* NULL: nothing is wrong with it */
};

static void put_stream(struct buf *out, const struct row *row, bool ask_ferry)
{
    for (enum piece i = 0; i < PIECES; i++) {
        bool here = row && row->at == i;
        size_t at = out->len_bytes;

        if (here && row->how == CUT)
            return;
        if (here && row->how != PATCH)
            buf_put(out, row->bytes, row->n);
        if (here && row->how == INSTEAD)
            continue;
        buf_put(out, pieces[i].bytes, pieces[i].n);
        if (i == PING && ask_ferry)
            memcpy(out->data + at + 5, "FERY", 4);
        if (here && row->how == PATCH)
            memcpy(out->data + at + row->offset, row->bytes, row->n);
        if (i == PAGE) {
            memset(buf_extend(out, FERRY_PAGE_BYTES), 0x33, FERRY_PAGE_BYTES);
        }
    }
    if (ask_ferry)
        buf_put(out, BYTES("\10\x46\1\0\0"));
}

struct victim {
    struct migrate_pair pair; /* its target's side */
    int fd;
    uint8_t heard[4096];
    size_t heard_bytes;
};

static int setup(void **state)
{
    static struct victim v;

    migrate_pair_init_sized(&v.pair, false, UINT64_C(16) * FERRY_PAGE_BYTES);
    v.pair.target_params.vm = v.pair.to.vm;
    v.pair.target_params.build = NULL;
    v.fd = -1;
    *state = &v;
    return 0;
}

static int teardown(void **state)
{
    struct victim *v = *state;

    own_close_fd(&v->fd);
    migrate_pair_free(&v->pair);
    return 0;
}

static void arm(struct victim *v)
{
    struct ferry_chan *chan;
    struct ferry_err err;
    int fds[2];

    own_close_fd(&v->fd);
    ferry_move_free(v->pair.target);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
    v->fd = fds[0];
    v->heard_bytes = 0;
    assert_int_equal(ferry_chan_from_fd(&chan, &fds[1], &err), 0);
    assert_int_equal(
        ferry_migrate_target_new(&v->pair.target, &v->pair.target_params, NULL, &chan, &err), 0);
    v->pair.target_status = FERRY_MOVE_BUSY;
}

static void step(struct victim *v)
{
    ssize_t n =
        recv(v->fd, v->heard + v->heard_bytes, sizeof(v->heard) - v->heard_bytes, MSG_DONTWAIT);

    v->heard_bytes += n > 0 ? (size_t)n : 0;
    v->pair.now_ns += TEN_MS;
    if (v->pair.target_status == FERRY_MOVE_BUSY)
        v->pair.target_status = ferry_move_step(v->pair.target, &v->pair.target_err);
}

/* In pieces of so many bytes, and what the target makes of it. */
static void feed(struct victim *v, const struct buf *bytes, size_t chunk, bool close_after)
{
    size_t at = 0;

    while (at < bytes->len_bytes && v->pair.target_status == FERRY_MOVE_BUSY) {
        size_t left = bytes->len_bytes - at;
        ssize_t n =
            send(v->fd, bytes->data + at, left < chunk ? left : chunk, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0 && errno != EAGAIN)
            break;
        at += n > 0 ? (size_t)n : 0;
        step(v);
    }
    if (close_after)
        shutdown(v->fd, SHUT_WR);
    for (int i = 0; i < 5000 && v->pair.target_status == FERRY_MOVE_BUSY; i++)
        step(v);
    step(v);
}

static bool heard(const struct victim *v, const void *what, size_t n)
{
    return memmem(v->heard, v->heard_bytes, what, n) != NULL;
}

/* The VM that was there, and a good stream moves into it. */
static void check_unharmed(struct victim *v, const char *item)
{
    struct toy *to = &v->pair.to;
    struct buf good = {0};

    if (atomic_load(&to->running) || to->counter.ticks || to->blob.mode || to->pipe.in_use)
        fail_msg("%s: the VM is not as it was", item);
    put_stream(&good, NULL, false);
    arm(v);
    feed(v, &good, SIZE_MAX, false);
    if (v->pair.target_status != FERRY_MOVE_DONE)
        fail_msg("%s: then a good stream: %s", item, v->pair.target_err.text);
    assert_true(atomic_load(&to->running));
    assert_int_equal(to->counter.ticks, 7);
    assert_int_equal(to->blob.mode, 3);
    assert_int_equal(ferry_ram_host(to->region)[FERRY_PAGE_BYTES], 0x55);
    assert_int_equal(ferry_ram_host(to->region)[FERRY_PAGE_BYTES + 1], 0x33);
    assert_true(heard(v, BYTES("\0\1\0\4\0\0\0\0")));
    buf_free(&good);
    ferry_move_free(v->pair.target);
    v->pair.target = NULL;
    atomic_store(&to->running, false);
    to->counter = to->blob = (struct toy_counter){0};
    to->pipe.in_use = false;
}

static void check_refused(struct victim *v, const struct row *row, bool ask_ferry)
{
    const char *text = v->pair.target_err.text;
    bool asked = row->at > PING;

    if (v->pair.target_status != FERRY_MOVE_FAILED)
        fail_msg("%s: expected \"%s\", but status %d", row->item, row->says,
                 (int)v->pair.target_status);
    if (!strstr(text, row->says))
        fail_msg("%s: expected \"%s\", but \"%s\"", row->item, row->says, text);
    /* The same sentence is for the source; QEMU's knows only that it went wrong. */
    if (asked && row->how != CUT && !ask_ferry)
        assert_true(heard(v, BYTES("\0\1\0\4\0\0\0\1")));
    if (asked && row->how != CUT && ask_ferry && !heard(v, text, strlen(text)))
        fail_msg("%s: the source did not hear \"%s\"", row->item, text);
}

static void run_row(struct victim *v, const struct row *row, size_t chunk, bool ask_ferry)
{
    struct buf bytes = {0};

    put_stream(&bytes, row, ask_ferry);
    arm(v);
    feed(v, &bytes, chunk, row->how == CUT);
    buf_free(&bytes);
    if (row->says) {
        check_refused(v, row, ask_ferry);
        check_unharmed(v, row->item);
        return;
    }
    if (v->pair.target_status != FERRY_MOVE_DONE)
        fail_msg("%s: %s", row->item, v->pair.target_err.text);
    atomic_store(&v->pair.to.running, false);
    v->pair.to.counter = v->pair.to.blob = (struct toy_counter){0};
    v->pair.to.pipe.in_use = false;
}

static void run_rows(void **state, const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        run_row(*state, &rows[i], SIZE_MAX, false);
        run_row(*state, &rows[i], 3, true);
    }
}
#define RUN(rows) run_rows(state, rows, sizeof(rows) / sizeof(rows[0]))

static void test_frame(void **state)
{
    static const struct row rows[] = {
        {"1 magic", PATCH, MAGIC, 3, BYTES("N"), "this is no migration stream"},
        {"1 version", PATCH, VERSION, 3, BYTES("\2"), "format version 2"},
        {"1 configuration", PATCH, CONFIG, 0, BYTES("\1"), "not a configuration"},
        {"2 no name", PATCH, CONFIG, 1, BYTES("\0\0\0\0"), "machine_bytes"},
        {"2 long name", PATCH, CONFIG, 1, BYTES("\0\0\1\0"), "machine_bytes"},
        {"2 endless name", PATCH, CONFIG, 1, BYTES("\xff\xff\xff\xff"), "machine_bytes"},
        {"2 other name", PATCH, CONFIG, 5, BYTES("tox"), "the stream is of machine \"tox\""},
        {"2 its beginning", INSTEAD, CONFIG, 0, BYTES("\7\0\0\0\2to"), "is of machine \"to\""},
        {"2 NUL", PATCH, CONFIG, 6, BYTES("\0"), "has a NUL inside"},
        {"3 many capabilities", BEFORE, ASK, 0,
         BYTES("\5\x1a"
               "configuration/capabilities\0\0\0\1\xff\xff\xff\xff"),
         "capability_count"},
        {"4 unknown capability", BEFORE, ASK, 0,
         BYTES("\5\x1a"
               "configuration/capabilities\0\0\0\1\0\0\0\1\3foo"),
         "\"foo\" is unknown"},
        {"4 NUL", BEFORE, ASK, 0,
         BYTES("\5\x1a"
               "configuration/capabilities\0\0\0\1\0\0\0\1\13mapped-ram\0"),
         "is unknown"},
        {"3 capability is off", BEFORE, ASK, 0,
         BYTES("\5\x1a"
               "configuration/capabilities\0\0\0\1\0\0\0\1\12mapped-ram"),
         "mapped-ram"},
        {"5 page bits", BEFORE, ASK, 0,
         BYTES("\5\x1e"
               "configuration/target-page-bits\0\0\0\1\0\0\0\15"),
         "pages of 2^13 bytes"},
        {"10 item 09", BEFORE, START, 0, BYTES("\11"), "item type 09"},
        {"10 item 05", BEFORE, START, 0, BYTES("\5"), "item type 05"},
        {"10 item 7e", BEFORE, START, 0, BYTES("\x7e"), "item type 7e"},
        {"10 description too early", BEFORE, START, 0, BYTES("\6"), "item type 06"},
        {"47 long description", PATCH, DESCRIPTION, 1, BYTES("\1\0\0\1"), "is more than 16777216"},
        {"47 no description", PATCH, DESCRIPTION, 0, BYTES("\1"), "after the end mark comes item"},
    };

    RUN(rows);
}

static void test_sections(void **state)
{
    static const struct row rows[] = {
        {"6 no name", INSTEAD, COUNTER, 0, BYTES("\4" ID("\2") "\0" Z4 ID("\2")),
         "a section without a name"},
        {"6 unknown", PATCH, COUNTER, 6, BYTES("C"), "section \"Counter\" (instance 0) is of a"},
        {"6 not text", PATCH, COUNTER, 6, BYTES("\n"), "has byte 0a in it"},
        {"7 id twice", PATCH, BLOB, 4, BYTES("\2"), "section id 2 is taken by \"counter\""},
        {"7 not started", PATCH, PART, 4, BYTES("\5"), "part of section id 5, which was not"},
        {"7 never in pieces", BEFORE, BLOB, 0, BYTES("\2" ID("\2")), "part of section id 2"},
        {"7 after its end", BEFORE, COUNTER, 0, BYTES("\2" ID("\1")), "\"ram\", which has ended"},
        {"7 no footer", PATCH, COUNTER_FOOTER, 0, BYTES("\x7f"), "not a footer"},
        {"7 another footer", PATCH, COUNTER_FOOTER, 4, BYTES("\3"), "has id 3, not 2"},
        {"8 twice", PATCH, BLOB, 16, BYTES("\0"), "\"counter\" (instance 0) comes twice"},
        {"8 no RAM", INSTEAD, START, 0, BYTES("\0\6\0\0\0\0"), "the stream ends without RAM"},
        {"8 missing", BEFORE, BLOB, 0, BYTES("\0"), "no state for 1 of this machine's parts"},
        {"9 instance", PATCH, BLOB, 13, BYTES("\xff\xff\xff\xff"), "(instance 4294967295)"},
        {"9 newer", PATCH, COUNTER, 17, BYTES("\0\0\0\3"), "version"},
        {"9 older", PATCH, COUNTER, 17, BYTES("\0\0\0\1"), "version"},
        {"9 negative", PATCH, COUNTER, 17, BYTES("\xff\xff\xff\xff"), "version"},
        {"9 RAM", PATCH, START, 16, BYTES("\3"), "RAM in version 3"},
        {"10 RAM at once", PATCH, START, 0, BYTES("\4"), "RAM in a section that is sent at once"},
        {"10 in pieces", PATCH, COUNTER, 0, BYTES("\1"), "does not come in pieces"},
        {"12 subsection", BEFORE, COUNTER_FOOTER, 0, BYTES("\5\1x"), "not a footer"},
        {"13 bound", PATCH, BLOB_DATA, 8, BYTES("\4"), "mode"},
        {"52 dirty-bitmap", INSTEAD, COUNTER, 0, BYTES("\1" ID("\2") "\14dirty-bitmap" Z4 ID("\1")),
         "dirty-bitmap"},
        {"53 unknown state", INSTEAD, COUNTER, 0, BYTES("\4" ID("\2") "\13globalstate" Z4 ID("\1")),
         "globalstate"},
    };

    RUN(rows);
}

static void test_ram(void **state)
{
    static const struct row rows[] = {
        {"17 retired FULL", PATCH, ZERO, 7, BYTES("\1"), "flags 0x001"},
        {"17 retired COMPRESS", PATCH, ZERO, 6, BYTES("\1\0"), "flags 0x100"},
        {"17 HOOK", PATCH, ZERO, 7, BYTES("\x80"), "flags 0x080"},
        {"17 two flags", PATCH, ZERO, 7, BYTES("\x0a"), "flags 0x00a"},
        {"17 none", PATCH, ZERO, 7, BYTES("\0"), "flags 0x000"},
        {"17 EOS of a block", PATCH, PART_END, 7, BYTES("\x30"), "flags 0x030"},
        {"17 EOS somewhere", PATCH, PART_END, 6, BYTES("\x10\x10"), "the mark has an address"},
        {"17 list in a part", INSTEAD, ZERO, 0, BYTES(Z4 "\0\1\0\4"), "where none may come"},
        {"17 list twice", INSTEAD, LIST_END, 0, BYTES(Z4 "\0\1\0\4"), "where none may come"},
        {"17 nothing before it", INSTEAD, LIST, 0, BYTES(""), "in front of the list"},
        {"17 mark without multifd", PATCH, ZERO, 6, BYTES("\2\0"), "multifd is off here"},
        {"18 too much", PATCH, LIST, 5, BYTES("\2"), "RAM block \"\" (0x"},
        {"18 too little", PATCH, LIST, 5, BYTES("\0\x80"), "only 0x8000 of the announced total"},
        {"18 block twice", INSTEAD, LIST, 0,
         BYTES(Z4 "\0\2\0\4" TOY Z4 "\0\1\0\0" TOY Z4 "\0\1\0\0"), "is listed twice"},
        {"18 block missing", INSTEAD, LIST, 0, BYTES(Z4 "\0\0\0\4"), "list"},
        {"19 unknown block", PATCH, LIST, 9, BYTES("T"), "\"Toy.ram\" (0x10000 bytes)"},
        {"19 of a page", PATCH, PAGE, 9, BYTES("T"), "\"Toy.ram\", which does not exist"},
        {"19 no name", INSTEAD, PAGE, 0, BYTES(Z4 "\0\0\x10\x08\0"), "which does not exist"},
        {"20 shorter", INSTEAD, LIST, 0, BYTES(Z4 "\0\0\xf0\4" TOY Z4 "\0\0\xf0\0"),
         "0xf000 bytes at the sender and 0x10000 here"},
        {"20 longer", INSTEAD, LIST, 0, BYTES(Z4 "\0\1\x10\4" TOY Z4 "\0\1\x10\0"),
         "0x11000 bytes at the sender and 0x10000 here"},
        {"20 half a page", INSTEAD, LIST, 0, BYTES(Z4 "\0\1\x10\4" TOY Z4 "\0\1\x08\0"),
         "not whole pages"},
        {"20 wraps", INSTEAD, LIST, 0, BYTES(Z4 "\0\1\0\4" TOY "\xff\xff\xff\xff\xff\xff\xf0\0"),
         "of the announced total"},
        {"22 no block before", INSTEAD, PAGE, 0, BYTES(Z4 "\0\0\x10\x28"), "but there was none"},
        {"23 behind the end", PATCH, ZERO, 5, BYTES("\1\0\x22"), "which has only 0x10000 bytes"},
        {"23 far behind it", PATCH, ZERO, 0, BYTES("\xff\xff\xff\xff\xff\xff\xf0\x22"),
         "which has only 0x10000 bytes"},
        {"24 not zero", PATCH, ZERO, 8, BYTES("\1"), "is filled with 01"},
        {"25 encoding", PATCH, DELTA, 8, BYTES("\2"), "has encoding 2"},
        {"25 empty", PATCH, DELTA, 9, BYTES("\0\0"), "a delta of 0 bytes"},
        {"25 too long", PATCH, DELTA, 9, BYTES("\x10\1"), "a delta of 4097 bytes"},
        {"25 endless number", PATCH, DELTA, 11, BYTES("\xff\xff\xff"), "a delta"},
        {"25 beyond the page", PATCH, DELTA, 11, BYTES("\xff\x1f\2"), "a delta"},
        {"25 beyond itself", PATCH, DELTA, 12, BYTES("\2"), "a delta replaces 2 bytes"},
        {"25 changes nothing", PATCH, DELTA, 12, BYTES("\0"), "a delta"},
    };

    RUN(rows);
}

static void test_commands(void **state)
{
    static const struct row rows[] = {
        {"40 number 0", BEFORE, START, 0, BYTES("\10\0\0\0\0"), "unknown command 0"},
        {"40 number 12", BEFORE, START, 0, BYTES("\10\0\14\0\0"), "unknown command 12"},
        {"40 length of PING", BEFORE, START, 0, BYTES("\10\0\2\0\3abc"), "command 2 with 3 bytes"},
        {"40 length of OPEN", BEFORE, START, 0, BYTES("\10\0\1\0\1a"), "command 1 with 1 bytes"},
        {"40 COMMIT too early", BEFORE, START, 0, BYTES("\10\x46\1\0\0"), "not served"},
        {"41 short", BEFORE, START, 0, BYTES("\10\0\6\0\2ab"), "command 6 with 2 bytes"},
        {"41 version", BEFORE, START, 0, BYTES("\10\0\6\0\32\1" TOY "\0" Z4 Z4 Z4 Z4),
         "POSTCOPY_DISCARD in version 1"},
        {"41 half a range", BEFORE, START, 0, BYTES("\10\0\6\0\42\0" TOY "\0" Z4 Z4 Z4 Z4 Z4 Z4),
         "POSTCOPY_DISCARD for RAM block \"toy.ram\""},
        {"41 DISCARD", BEFORE, START, 0, BYTES("\10\0\6\0\32\0" TOY "\0" Z4 Z4 Z4 Z4),
         "POSTCOPY_DISCARD"},
        {"42 endless", BEFORE, START, 0, BYTES("\10\0\7\0\4\xff\xff\xff\xff"), "a package of"},
        {"42 PACKAGED", BEFORE, START, 0, BYTES("\10\0\7\0\4\0\0\0\1"), "PACKAGED"},
        {"43 ADVISE", BEFORE, START, 0, BYTES("\10\0\3\0\0"), "POSTCOPY_ADVISE"},
        {"43 ADVISE with RAM", BEFORE, START, 0,
         BYTES("\10\0\3\0\20" Z4 "\0\0\x10\0" Z4 "\0\0\x10\0"), "POSTCOPY_ADVISE"},
        {"43 length", BEFORE, START, 0, BYTES("\10\0\3\0\1a"), "command 3 with 1 bytes"},
        {"44 LISTEN", BEFORE, START, 0, BYTES("\10\0\4\0\0"), "POSTCOPY_LISTEN"},
        {"44 RUN", BEFORE, START, 0, BYTES("\10\0\5\0\0"), "POSTCOPY_RUN"},
        {"44 COLO", BEFORE, START, 0, BYTES("\10\0\10\0\0"), "ENABLE_COLO"},
        {"44 RESUME", BEFORE, START, 0, BYTES("\10\0\11\0\0"), "POSTCOPY_RESUME"},
        {"44 RECV_BITMAP", BEFORE, START, 0, BYTES("\10\0\12\0\10" TOY), "RECV_BITMAP"},
    };

    RUN(rows);
}

/* 56: the end is nowhere but at the end. */
static void test_ends_anywhere(void **state)
{
    struct victim *v = *state;

    for (enum piece i = 0; i < PIECES; i++) {
        const struct row row = {.item = "56 cut", .how = CUT, .at = i, .says = ""};

        if (i == DESCRIPTION)
            continue; /* QEMU, too, may leave it out */
        run_row(v, &row, SIZE_MAX, false);
        run_row(v, &row, 3, true);
    }
}

/* 11: many are allowed, each is little work. */
static void test_many_empty_parts(void **state)
{
    struct victim *v = *state;
    char parts[18 * 1000];
    struct row row = {"11 empty parts", BEFORE, PART, 0, parts, sizeof(parts), NULL};

    for (size_t i = 0; i < sizeof(parts); i += 18)
        memcpy(parts + i, "\2" ID("\1") EOS "\x7e" ID("\1"), 18);
    run_row(v, &row, SIZE_MAX, false);
}

/* 46: who asks and does not read is not answered for ever. */
static void test_pings_without_end(void **state)
{
    struct victim *v = *state;
    struct buf bytes = {0};

    for (enum piece i = MAGIC; i <= ASK; i++)
        buf_put(&bytes, pieces[i].bytes, pieces[i].n);
    for (int i = 0; i < 200000; i++)
        buf_put(&bytes, pieces[PING].bytes, pieces[PING].n);
    arm(v);
    v->heard_bytes = sizeof(v->heard); /* reads nothing */
    feed(v, &bytes, SIZE_MAX, false);
    assert_int_equal(v->pair.target_status, FERRY_MOVE_FAILED);
    assert_non_null(strstr(v->pair.target_err.text, "asks and does not read the answers"));
    buf_free(&bytes);
    check_unharmed(v, "46");
}

/* 55: they go nowhere. */
static void test_file_descriptors_come_along(void **state)
{
    struct victim *v = *state;
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {0};
    struct iovec iov = {.iov_base = (void *)(uintptr_t)pieces[MAGIC].bytes, .iov_len = 4};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control.bytes,
                         .msg_controllen = sizeof(control.bytes)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
    struct buf bytes = {0};
    int fds[2];
    char end;

    assert_int_equal(pipe(fds), 0);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &fds[1], sizeof(int));
    arm(v);
    assert_int_equal(sendmsg(v->fd, &msg, 0), 4);
    close(fds[1]);
    step(v);
    /* Nobody has the other end of the pipe. */
    assert_int_equal(read(fds[0], &end, 1), 0);
    close(fds[0]);
    put_stream(&bytes, NULL, false);
    buf_consume(&bytes, 4);
    feed(v, &bytes, SIZE_MAX, false);
    assert_int_equal(v->pair.target_status, FERRY_MOVE_DONE);
    buf_free(&bytes);
}

/* 57: on a socket nobody looks at it. */
static void test_something_follows(void **state)
{
    struct victim *v = *state;
    struct buf bytes = {0};

    put_stream(&bytes, NULL, false);
    buf_put(&bytes, BYTES("more"));
    arm(v);
    feed(v, &bytes, SIZE_MAX, false);
    assert_int_equal(v->pair.target_status, FERRY_MOVE_DONE);
    buf_free(&bytes);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_frame),
        TEST(test_sections),
        TEST(test_ram),
        TEST(test_commands),
        TEST(test_ends_anywhere),
        TEST(test_many_empty_parts),
        TEST(test_pings_without_end),
        TEST(test_file_descriptors_come_along),
        TEST(test_something_follows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
