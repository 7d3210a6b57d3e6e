/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Channels with pages that are wrong in one place, fed to a real target next to a good main
 * channel, without and with threads. docs/hostile-input.md has the numbers of the rows.
 */
#include "tests/unit.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/own.h"
#include "lib/codec/codec.h"
#include "lib/wire/multifd.h"
#include "tests/sim/migrate_pair.h"

#define CHANNELS  2u
#define RAM_PAGES 16u

#define BYTES(s) (s), sizeof(s) - 1
#define Z4       "\0\0\0\0"
#define ID(n)    "\0\0\0" n
#define EOS      Z4 ID("\x10")
#define MARK     Z4 "\0\0\2\0"
#define FOOTER   "\x7e" ID("\1")

/* A good main channel: header, three sections of RAM with a mark each, two parts. */
static const char main_begin[] = "QEVM\0\0\0\3\7\0\0\0\3toy\10\0\1\0\0";
static const char main_start[] =
    "\1" ID("\1") "\3ram" Z4 ID("\4") Z4 "\0\1\0\4\7toy.ram" Z4 "\0\1\0\0" MARK EOS FOOTER;
static const char main_part[] = "\2" ID("\1") MARK EOS FOOTER;
static const char main_end[] = "\3" ID("\1") MARK EOS FOOTER;
static const char main_parts[] = "\4" ID("\2") "\7counter" ID("\0") ID("\2")
    Z4 ID("\7") "\1"
                "\x7e" ID("\2") "\4" ID("\3") "\7counter" ID("\1") ID("\2")
                    Z4 ID("\1") "\3\x7e" ID("\3") "\0\6\0\0\0\2{}";

/* What is on a channel. Only the first one has pages. */
enum piece { HELLO, FIRST_SYNC, HEAD, DATA, SYNC, LAST_SYNC, BEHIND, PIECES };

enum how { PATCH, INSTEAD, CLOSE, STOP };

struct row {
    const char *item; /* of docs/hostile-input.md */
    const char *codec;
    enum how how;
    enum piece at; /* of the first channel */
    size_t offset;
    const char *bytes;
    size_t n;
    const char *says; /* NULL: nothing is wrong with it */
};

struct victim {
    struct migrate_pair pair; /* its target's side */
    int main;
    int channels[CHANNELS + 1];
    char dir[32];
};

static void victim_new(struct victim *v, bool threads, const char *codec)
{
    struct ferry_migrate_target_params *params = &v->pair.target_params;

    migrate_pair_init_sized(&v->pair, false, (uint64_t)RAM_PAGES * FERRY_PAGE_BYTES);
    v->pair.threads = threads;
    params->no_threads = !threads;
    params->vm = v->pair.to.vm;
    params->build = NULL;
    params->capabilities.multifd = true;
    params->parameters.multifd_channels = CHANNELS;
    params->parameters.multifd_compression = codec;
    v->main = -1;
    for (size_t i = 0; i <= CHANNELS; i++)
        v->channels[i] = -1;
    strcpy(v->dir, "/tmp/ferry-lanes-XXXXXX");
    assert_non_null(mkdtemp(v->dir));
}

static void hang_up(struct victim *v)
{
    own_close_fd(&v->main);
    for (size_t i = 0; i <= CHANNELS; i++)
        own_close_fd(&v->channels[i]);
}

static void victim_free(struct victim *v)
{
    hang_up(v);
    migrate_pair_free(&v->pair);
    rmdir(v->dir);
}

static void arm(struct victim *v)
{
    struct ferry_listener *listener;
    struct ferry_address *a;
    struct ferry_err err;
    char path[64];

    hang_up(v);
    ferry_move_free(v->pair.target);
    snprintf(path, sizeof(path), "%s/lane", v->dir);
    assert_int_equal(ferry_address_unix(&a, path, &err), 0);
    assert_int_equal(ferry_listener_new(&listener, a, &err), 0);
    ferry_address_free(a);
    assert_int_equal(
        ferry_migrate_target_new(&v->pair.target, &v->pair.target_params, &listener, NULL, &err),
        0);
    v->pair.target_status = FERRY_MOVE_BUSY;
}

static int dial(struct victim *v)
{
    struct sockaddr_un place = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    snprintf(place.sun_path, sizeof(place.sun_path), "%s/lane", v->dir);
    assert_int_equal(connect(fd, (struct sockaddr *)&place, sizeof(place)), 0);
    return fd;
}

static void steps(struct victim *v, int n)
{
    struct ferry_migrate_info info = {.size_bytes = sizeof(info)};

    for (int i = 0; i < n && v->pair.target_status == FERRY_MOVE_BUSY; i++) {
        struct pollfd wait = {.fd = ferry_move_fd(v->pair.target), .events = POLLIN};

        v->pair.now_ns += 10000000;
        v->pair.target_status = ferry_move_step(v->pair.target, &v->pair.target_err);
        /* Who has heard why hangs up. */
        ferry_migrate_target_info(v->pair.target, &info);
        if (info.phase == FERRY_MIGRATE_ENDED_FAILED)
            own_close_fd(&v->main);
        else if (v->pair.threads)
            (void)!poll(&wait, 1, 1);
    }
}

static void say(struct victim *v, int fd, const void *bytes, size_t n)
{
    size_t at = 0;

    for (int i = 0; at < n && i < 1000; i++) {
        ssize_t sent = send(fd, (const char *)bytes + at, n - at, MSG_NOSIGNAL);

        if (sent < 0 && errno != EAGAIN)
            return; /* it was refused already */
        at += sent > 0 ? (size_t)sent : 0;
        steps(v, 1);
    }
}

static const char name[] = "toy.ram";
static struct ram_block blocks_at[1] = {{.name = name, .used_bytes = RAM_PAGES * 4096}};

/* Three normal pages and a zero one. */
static size_t put_piece(uint8_t *out, enum piece piece, unsigned channel, const char *codec_name)
{
    const struct ram_blocks blocks = {.at = blocks_at, .count = 1};
    const struct codec_ops *codec = codec_find(codec_name);
    struct multifd_packet p = {.sync = true, .method = codec->method, .number = 5};
    const struct multifd_hello hello = {.channel = (uint8_t)channel};
    static uint8_t page[3][FERRY_PAGE_BYTES];
    const uint8_t *pages[] = {page[0], page[1], page[2]};
    static uint8_t data[WIRE_MULTIFD_DATA_MAX_BYTES];
    struct ferry_err err;
    void *compressor = NULL;
    int n = sizeof(page);

    memset(page[0], 0x11, FERRY_PAGE_BYTES);
    memset(page[1], 0x22, FERRY_PAGE_BYTES);
    memset(page[2], 0x33, FERRY_PAGE_BYTES);
    if (!codec->plain) {
        assert_int_equal(codec->compressor_new(&compressor, codec->level_default, &err), 0);
        n = codec->compress(compressor, pages, 3, data, &err);
        codec->compressor_free(compressor);
    } else {
        memcpy(data, page, sizeof(page));
    }
    assert_true(n > 0);
    switch (piece) {
    case HELLO:
        multifd_put_hello(out, &hello);
        return MULTIFD_HELLO_BYTES;
    case FIRST_SYNC:
    case SYNC:
    case LAST_SYNC:
        multifd_put_head(out, &p, &blocks);
        return MULTIFD_HEAD_BYTES;
    case HEAD:
        p.sync = false;
        p.normal_count = 3;
        p.zero_count = 1;
        p.data_bytes = (uint32_t)n;
        for (uint64_t i = 0; i < 4; i++)
            p.offsets[i] = (i + 2) * FERRY_PAGE_BYTES;
        multifd_put_head(out, &p, &blocks);
        return MULTIFD_HEAD_BYTES;
    case DATA:
        memcpy(out, data, (size_t)n);
        return (size_t)n;
    case BEHIND:
    case PIECES:
        break;
    }
    return 0;
}

/* Returns whether it goes on. */
static bool say_piece(struct victim *v, enum piece piece, unsigned channel, const char *codec,
                      const struct row *row)
{
    static uint8_t out[WIRE_MULTIFD_DATA_MAX_BYTES];
    size_t n = put_piece(out, piece, channel, codec);
    bool here = row && channel == 0 && row->at == piece;

    if (here && row->how == STOP) {
        say(v, v->channels[0], row->bytes, row->n);
        return false;
    }
    if (here && row->how == CLOSE) {
        own_close_fd(&v->channels[0]);
        return false;
    }
    if (here && row->how == INSTEAD) {
        memcpy(out, row->bytes, row->n);
        n = row->n;
    }
    if (here && row->how == PATCH)
        memcpy(out + row->offset, row->bytes, row->n);
    say(v, v->channels[channel], out, n);
    return true;
}

/* The whole migration; the first channel is as row says. */
static void play(struct victim *v, const char *codec, const struct row *row)
{
    static const enum piece rounds[][3] = {
        {HELLO, FIRST_SYNC, PIECES}, {HEAD, DATA, SYNC}, {LAST_SYNC, PIECES, PIECES}};
    static const struct {
        const char *bytes;
        size_t n;
    } marks[] = {{BYTES(main_start)}, {BYTES(main_part)}, {BYTES(main_end)}};
    bool first = true;

    arm(v);
    v->main = dial(v);
    say(v, v->main, BYTES(main_begin));
    for (unsigned c = 0; c < CHANNELS; c++)
        v->channels[c] = dial(v);
    for (size_t r = 0; r < 3; r++) {
        for (size_t i = 0; i < 3 && rounds[r][i] != PIECES; i++) {
            first = first && say_piece(v, rounds[r][i], 0, codec, row);
            if (rounds[r][i] != HEAD && rounds[r][i] != DATA)
                say_piece(v, rounds[r][i], 1, codec, NULL);
        }
        say(v, v->main, marks[r].bytes, marks[r].n);
        steps(v, 5);
        if (r == 2 && first)
            say_piece(v, BEHIND, 0, codec, row);
    }
    say(v, v->main, BYTES(main_parts));
    steps(v, 4000);
}

/* A good migration moves into the VM. */
static void check_good(struct victim *v, const char *item, const char *codec)
{
    struct toy *to = &v->pair.to;
    const uint8_t *ram = ferry_ram_host(to->region);

    if (atomic_load(&to->running) || to->counter.ticks || to->pipe.in_use)
        fail_msg("%s: the VM is not as it was", item);
    play(v, codec, NULL);
    if (v->pair.target_status != FERRY_MOVE_DONE)
        fail_msg("%s: then a good one: %d %s", item, (int)v->pair.target_status,
                 v->pair.target_err.text);
    assert_int_equal(to->counter.ticks, 7);
    for (size_t page = 2; page < 6; page++)
        assert_int_equal(ram[page * FERRY_PAGE_BYTES + 9], page < 5 ? 0x11 * (page - 1) : 0);
    atomic_store(&to->running, false);
}

static void run_row(const struct row *row, bool threads)
{
    static struct victim v;
    const char *codec = row->codec ? row->codec : "none";

    victim_new(&v, threads, codec);
    play(&v, codec, row);
    if (!row->says) {
        if (v.pair.target_status != FERRY_MOVE_DONE)
            fail_msg("%s: %d %s", row->item, (int)v.pair.target_status, v.pair.target_err.text);
        atomic_store(&v.pair.to.running, false);
        victim_free(&v);
        return;
    }
    if (v.pair.target_status != FERRY_MOVE_FAILED)
        fail_msg("%s: expected \"%s\", but status %d", row->item, row->says,
                 (int)v.pair.target_status);
    if (!strstr(v.pair.target_err.text, row->says))
        fail_msg("%s: expected \"%s\", but \"%s\"", row->item, row->says, v.pair.target_err.text);
    check_good(&v, row->item, codec);
    victim_free(&v);
}

static void run_rows(const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        run_row(&rows[i], false);
        run_row(&rows[i], true);
    }
}
#define RUN(rows) run_rows(rows, sizeof(rows) / sizeof(rows[0]))

static void test_hello(void **state)
{
    static const struct row rows[] = {
        {"27 number", NULL, PATCH, HELLO, 24, BYTES("\2"), "multifd channel 2, but there are 2"},
        {"27 far number", NULL, PATCH, HELLO, 24, BYTES("\xff"), "multifd channel 255"},
        {"27 twice", NULL, PATCH, HELLO, 24, BYTES("\1"), "multifd channel 1 connected twice"},
        {"27 UUID", NULL, PATCH, HELLO, 8, BYTES("u"), "of a VM with another UUID"},
        {"27 version", NULL, PATCH, HELLO, 7, BYTES("\2"), "multifd version 2"},
        {"27 magic", NULL, PATCH, HELLO, 0, BYTES("\x16\3\1\0"), "begins with 16030100"},
        {"27 closed before it", NULL, CLOSE, HELLO, 0, BYTES(""), "closed the connection"},
    };
    /* After 30 s, which only a test's clock has. */
    static const struct row silent[] = {
        {"27 silent", NULL, STOP, HELLO, 0, BYTES(""), "only 1 of 2 channels said within 30000 ms"},
        {"27 half a hello", NULL, STOP, HELLO, 0, BYTES("\x11\x22\x33\x44\0\0\0\1"), "channels"},
    };

    RUN(rows);
    for (size_t i = 0; i < sizeof(silent) / sizeof(silent[0]); i++)
        run_row(&silent[i], false);
}

static void test_heads(void **state)
{
    static const struct row rows[] = {
        {"28 room", NULL, PATCH, HEAD, 12, BYTES("\0\0\0\x81"), "with room for 129 pages"},
        {"28 normal", NULL, PATCH, HEAD, 16, BYTES("\0\0\0\x81"), "has room for 128"},
        {"28 zero", NULL, PATCH, HEAD, 32, BYTES("\0\0\0\x7e"), "has room for 128"},
        {"28 their sum wraps", NULL, PATCH, HEAD, 32, BYTES("\xff\xff\xff\xff"), "room for 128"},
        {"29 unknown block", NULL, PATCH, HEAD, 64, BYTES("T"), "\"Toy.ram\", which does not"},
        {"29 no name", NULL, PATCH, HEAD, 64, BYTES("\0"), "\"\", which does not exist"},
        {"30 half a page", NULL, PATCH, HEAD, 326, BYTES("\x20\1"), "not a multiple of 0x1000"},
        {"30 behind the end", NULL, PATCH, HEAD, 320, BYTES(Z4 "\0\1\0\0"), "only 0x10000 bytes"},
        {"30 far behind it", NULL, PATCH, HEAD, 320, BYTES("\xff\xff\xff\xff\xff\xff\xf0\0"),
         "only 0x10000 bytes"},
        {"30 a zero page's", NULL, PATCH, HEAD, 344, BYTES(Z4 "\0\1\0\0"), "only 0x10000 bytes"},
        {"30 twice", NULL, PATCH, HEAD, 344, BYTES(Z4 "\0\0\x50\0"), NULL},
        {"31 plain", NULL, PATCH, HEAD, 20, BYTES("\0\0\x20\0"), "of 3 pages with 8192 bytes"},
        {"31 too much", "zlib", PATCH, HEAD, 20, BYTES("\0\x10\0\1"), "1048576 are the most"},
        {"31 nothing", "zlib", PATCH, HEAD, 20, BYTES(Z4), "of 3 pages without data"},
        {"31 without pages", NULL, PATCH, SYNC, 20, BYTES("\0\0\0\1"), "of 0 pages with 1 bytes"},
        {"34 another method", NULL, PATCH, HEAD, 11, BYTES("\2"), "compressed with zlib"},
        {"34 two methods", "zstd", PATCH, HEAD, 11, BYTES("\6"), "multifd-compression alike"},
        {"34 unknown flags", NULL, PATCH, HEAD, 8, BYTES("\1"), "unknown flags 0x1000000"},
        {"34 DEVICE_STATE", NULL, PATCH, HEAD, 11, BYTES("\x40"), "with the state of a device"},
        {"34 magic", NULL, PATCH, HEAD, 0, BYTES("\0"), "sends 00223344"},
        {"36 its number", NULL, PATCH, HEAD, 24, BYTES("\xff\xff\xff\xff\xff\xff\xff\xff"), NULL},
    };

    RUN(rows);
}

/* A frame that wants a window of 2 GiB. */
#define ZSTD_BOMB "\x28\xb5\x2f\xfd\0\xa8\1\0\0"

static void test_data(void **state)
{
    static const struct row rows[] = {
        {"32 garbage", "zlib", PATCH, DATA, 0, BYTES("\xff\xff\xff\xff"), "channel 0"},
        {"32 garbage", "zstd", PATCH, DATA, 0, BYTES("\xff\xff\xff\xff"), "channel 0"},
        {"32 window", "zstd", PATCH, DATA, 0, BYTES(ZSTD_BOMB), "channel 0"},
        {"32 more pages", "zlib", PATCH, HEAD, 16, BYTES("\0\0\0\2"), "channel 0"},
        {"32 more pages", "zstd", PATCH, HEAD, 16, BYTES("\0\0\0\2"), "channel 0"},
        {"32 fewer pages", "zlib", PATCH, HEAD, 16, BYTES("\0\0\0\4"), "channel 0"},
        {"32 fewer pages", "zstd", PATCH, HEAD, 16, BYTES("\0\0\0\4"), "channel 0"},
    };

    RUN(rows);
}

static void test_order(void **state)
{
    static const struct row rows[] = {
        {"35 no first SYNC", NULL, INSTEAD, FIRST_SYNC, 0, BYTES(""), "begins with pages"},
        {"35 a SYNC too many", NULL, INSTEAD, HEAD, 0, NULL, 0, "channel 0"},
        {"35 closed", NULL, CLOSE, FIRST_SYNC, 0, BYTES(""), "closed channel 0 in front of SYNC 1"},
        {"35 closed later", NULL, CLOSE, HEAD, 0, BYTES(""), "channel 0 in front of SYNC 2"},
        {"35 closed in a packet", NULL, CLOSE, DATA, 0, BYTES(""), "in the middle of a packet"},
        {"35 closed at the end", NULL, CLOSE, LAST_SYNC, 0, BYTES(""), "in front of SYNC 3"},
        {"35 pages behind the end", NULL, INSTEAD, BEHIND, 0, NULL, 0, "behind the end of RAM"},
        {"35 bytes behind the end", NULL, INSTEAD, BEHIND, 0, BYTES("x"), "behind the end of RAM"},
        {"56 closed behind the end", NULL, CLOSE, BEHIND, 0, BYTES(""), NULL},
    };
    static uint8_t packet[MULTIFD_HEAD_BYTES + 3 * FERRY_PAGE_BYTES], syncs[2 * MULTIFD_HEAD_BYTES];
    size_t n = put_piece(packet, HEAD, 0, "none");

    n += put_piece(packet + n, DATA, 0, "none");
    put_piece(syncs, SYNC, 0, "none");
    put_piece(syncs + MULTIFD_HEAD_BYTES, SYNC, 0, "none");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct row row = rows[i];

        if (!row.bytes) {
            row.bytes = (const char *)(row.at == HEAD ? syncs : packet);
            row.n = row.at == HEAD ? sizeof(syncs) : n;
        }
        run_row(&row, false);
        run_row(&row, true);
    }
}

/* The main channel has begun, and the others are there. */
static void begin(struct victim *v, bool threads)
{
    victim_new(v, threads, "none");
    arm(v);
    v->main = dial(v);
    say(v, v->main, BYTES(main_begin));
    for (unsigned c = 0; c < CHANNELS; c++) {
        v->channels[c] = dial(v);
        say_piece(v, HELLO, c, "none", NULL);
    }
}

/* RAM ends on the main channel before the channels have met its marks. */
static void test_end_of_ram_too_early(void **state)
{
    static struct victim v;

    begin(&v, false);
    for (unsigned c = 0; c < CHANNELS; c++)
        say_piece(&v, FIRST_SYNC, c, "none", NULL);
    say(&v, v.main, BYTES(main_start));
    for (unsigned c = 0; c < CHANNELS; c++)
        say_piece(&v, SYNC, c, "none", NULL);
    say(&v, v.main, BYTES("\3" ID("\1") EOS FOOTER));
    say(&v, v.main, BYTES(main_parts));
    steps(&v, 3000);
    assert_int_equal(v.pair.target_status, FERRY_MOVE_FAILED);
    assert_non_null(strstr(v.pair.target_err.text, "RAM ends with 1 sync marks"));
    check_good(&v, "35", "none");
    victim_free(&v);
}

/* It would take what it has before it says more: the target must not wait for it. */
static void test_a_channel_fails_and_the_main_one_is_silent(void **state)
{
    for (int threads = 0; threads < 2; threads++) {
        static struct victim v;

        begin(&v, threads);
        for (unsigned c = 0; c < CHANNELS; c++)
            say_piece(&v, FIRST_SYNC, c, "none", NULL);
        say(&v, v.main, BYTES(main_start));
        say(&v, v.main, BYTES("\2" ID("\1")));
        steps(&v, 10);
        assert_int_equal(v.pair.target_status, FERRY_MOVE_BUSY);
        say(&v, v.channels[0], BYTES("no packet at all"));
        steps(&v, 3000);
        assert_int_equal(v.pair.target_status, FERRY_MOVE_FAILED);
        assert_non_null(strstr(v.pair.target_err.text, "channel 0: a multifd channel sends"));
        victim_free(&v);
    }
}

static void test_a_channel_too_many(void **state)
{
    static struct victim v;

    victim_new(&v, false, "none");
    arm(&v);
    for (unsigned c = 0; c <= CHANNELS; c++) {
        v.channels[c] = dial(&v);
        say_piece(&v, HELLO, c, "none", NULL);
    }
    steps(&v, 100);
    v.main = dial(&v);
    say(&v, v.main, BYTES(main_begin));
    say(&v, v.main, BYTES(main_start));
    steps(&v, 6000);
    assert_int_equal(v.pair.target_status, FERRY_MOVE_FAILED);
    check_good(&v, "27", "none");
    victim_free(&v);
}

/* It is whole, and the next one is served. */
static void call_off(struct victim *v)
{
    assert_int_equal(ferry_move_cancel(v->pair.target, &v->pair.target_err), 0);
    steps(v, 100);
    check_good(v, "27", "none");
    victim_free(v);
}

/* 58: who says nothing, or looks and goes, is not the source, and not in its way. */
static void test_silent_connections(void **state)
{
    static struct victim v;
    int silent[64];
    char byte;

    victim_new(&v, false, "none");
    arm(&v);
    for (size_t i = 0; i < 64; i++) {
        silent[i] = dial(&v);
        steps(&v, 2);
        close(dial(&v));
        steps(&v, 2);
    }
    assert_int_equal(v.pair.target_status, FERRY_MOVE_BUSY);
    /* The first had to make room, the last may be silent for a while. */
    assert_int_equal(recv(silent[0], &byte, 1, MSG_DONTWAIT), 0);
    assert_int_equal(recv(silent[63], &byte, 1, MSG_DONTWAIT), -1);
    steps(&v, 4000);
    assert_int_equal(v.pair.target_status, FERRY_MOVE_BUSY);
    assert_int_equal(recv(silent[63], &byte, 1, MSG_DONTWAIT), 0);
    for (size_t i = 0; i < 64; i++)
        close(silent[i]);
    call_off(&v);
}

/* 58: nor is who says something else, as a port scanner or a browser. */
static void test_no_streams(void **state)
{
    static struct victim v;
    int fd;
    char byte;

    victim_new(&v, false, "none");
    arm(&v);
    for (size_t i = 0; i < 64; i++) {
        fd = dial(&v);
        say(&v, fd, BYTES("GET / HTTP/1.1\r\n\r\n"));
        steps(&v, 5);
        /* It is hung up on. */
        if (recv(fd, &byte, 1, MSG_DONTWAIT) != 0)
            assert_int_equal(errno, ECONNRESET);
        close(fd);
    }
    assert_int_equal(v.pair.target_status, FERRY_MOVE_BUSY);
    call_off(&v);
}

/* 58: nor does it have the target for good who says a little. */
static void test_silent_after_the_header(void **state)
{
    static struct victim v;

    begin(&v, false);
    steps(&v, 100);
    assert_int_equal(v.pair.target_status, FERRY_MOVE_BUSY);
    steps(&v, 3000);
    assert_int_equal(v.pair.target_status, FERRY_MOVE_FAILED);
    assert_non_null(strstr(v.pair.target_err.text, "did not say within 30000 ms what it sends"));
    check_good(&v, "27", "none");
    victim_free(&v);
}

/* Who cannot be accepted for want of a file waits for one, and does not end what was begun. */
static void test_no_file_left(void **state)
{
    static struct victim v;
    struct rlimit before, none;

    victim_new(&v, false, "none");
    arm(&v);
    steps(&v, 5);
    v.main = dial(&v);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = 3;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    steps(&v, 5);
    assert_true(ferry_move_deadline_ns(v.pair.target) > v.pair.now_ns);
    steps(&v, 100);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(v.pair.target_status, FERRY_MOVE_BUSY);
    call_off(&v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hello),
        cmocka_unit_test(test_heads),
        cmocka_unit_test(test_data),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_end_of_ram_too_early),
        cmocka_unit_test(test_a_channel_fails_and_the_main_one_is_silent),
        cmocka_unit_test(test_a_channel_too_many),
        cmocka_unit_test(test_silent_connections),
        cmocka_unit_test(test_no_streams),
        cmocka_unit_test(test_silent_after_the_header),
        cmocka_unit_test(test_no_file_left),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
