/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A migration is cancelled wherever it is, each part of the VM is refused in turn, and a disk gets
 * full after each byte: the guest runs on, the reason is right, and the next attempt moves it.
 */
#include "tests/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/sim/migrate_pair.h"

#define SMALL_RAM_BYTES (UINT64_C(16) * FERRY_PAGE_BYTES)

static void tick(struct migrate_pair *p)
{
    toy_tick(&p->from);
}

static struct migrate_pair *pair_new(unsigned channels, const char *compression)
{
    struct migrate_pair *p = malloc(sizeof(*p));

    assert_non_null(p);
    migrate_pair_init_sized(p, false, SMALL_RAM_BYTES);
    p->from.scribble_pages = 4;
    p->act_at = FERRY_MIGRATE_ROUND;
    p->act = tick;
    if (channels)
        migrate_pair_multifd(p, channels, compression);
    return p;
}

static void pair_delete(struct migrate_pair *p)
{
    migrate_pair_free(p);
    free(p);
}

struct seen {
    unsigned phases, points; /* in which it was cancelled, as bits */
};

/* After n steps. Returns whether it was over by then. */
static bool cancel_after(struct migrate_pair *p, int n, bool hold, bool proceed, struct seen *seen)
{
    struct ferry_migrate_info info = {.size_bytes = sizeof(info)};
    struct ferry_err err;
    bool over;
    int r;

    p->source_params.capabilities.pause_before_switchover = hold;
    migrate_pair_start(p);
    for (int i = 0; i < n && p->source_status == FERRY_MOVE_BUSY; i++) {
        migrate_pair_step(p);
        if (proceed)
            (void)!ferry_migrate_source_proceed(p->source, &err);
    }
    over = p->source_status != FERRY_MOVE_BUSY;
    ferry_migrate_source_info(p->source, &info);
    r = ferry_move_cancel(p->source, &err);
    migrate_pair_step(p);
    /* A target that nobody has connected to waits for somebody who does. */
    if (p->wire_count || p->source_status == FERRY_MOVE_BUSY)
        migrate_pair_run(p, 20000);
    if (p->source_status != FERRY_MOVE_FAILED) {
        assert_true(r == -EBUSY || over);
        migrate_pair_check_moved(p, true);
        return true;
    }
    assert_int_equal(r, 0);
    assert_int_equal(p->source_err.errnum, ECANCELED);
    migrate_pair_check_stayed(p);
    seen->phases |= 1u << info.phase;
    seen->points |= p->points;
    p->source_params.capabilities.pause_before_switchover = false;
    migrate_pair_again(p);
    return false;
}

static void cancel_anywhere(unsigned channels, const char *compression)
{
    struct seen seen = {0};
    bool over[3] = {0};

    for (int n = 0; !over[0] || !over[1] || n < 40; n++) {
        for (int way = 0; way < 3; way++) {
            struct migrate_pair *p;

            if (over[way])
                continue;
            p = pair_new(channels, compression);
            /* Without a hold, with one that is passed, and in it. */
            over[way] = cancel_after(p, n, way > 0, way == 1, &seen);
            pair_delete(p);
        }
        assert_true(n < 2000);
    }
    for (enum ferry_migrate_phase phase = FERRY_MIGRATE_SETUP; phase <= FERRY_MIGRATE_DEVICE;
         phase++)
        if (!(seen.phases & 1u << phase))
            fail_msg("never cancelled in phase %s", ferry_migrate_phase_name(phase));
    for (enum ferry_migrate_point point = FERRY_MIGRATE_CONNECTED; point <= FERRY_MIGRATE_ALL_SENT;
         point++)
        if (!(seen.points & 1u << point))
            fail_msg("never cancelled behind point %d", (int)point);
}

static void test_cancel(void **state)
{
    cancel_anywhere(0, NULL);
}

static void test_cancel_with_channels(void **state)
{
    cancel_anywhere(2, "none");
    cancel_anywhere(3, "zstd");
}

/* The target names what it cannot take, and so does the source. */
static void test_each_part_is_refused(void **state)
{
    for (unsigned channels = 0; channels <= 2; channels += 2) {
        for (unsigned instance = 0; instance < 2; instance++) {
            struct migrate_pair *p = pair_new(channels, "none");
            struct toy_counter *part = instance ? &p->from.blob : &p->from.counter;
            uint8_t good = part->mode;
            char says[64];

            part->mode = 7; /* the loader's bound is 3 */
            migrate_pair_start(p);
            migrate_pair_run(p, 20000);
            assert_int_equal(p->source_status, FERRY_MOVE_FAILED);
            assert_int_equal(p->target_status, FERRY_MOVE_FAILED);
            snprintf(says, sizeof(says), "section \"counter\" (instance %u)", instance);
            assert_non_null(strstr(p->target_err.text, says));
            assert_non_null(strstr(p->target_err.text, "mode"));
            assert_non_null(strstr(p->source_err.text, p->target_err.text));
            assert_non_null(strstr(p->source_err.text, "the target refused: "));
            migrate_pair_check_stayed(p);
            part->mode = good;
            migrate_pair_again(p);
            pair_delete(p);
        }
    }
}

/* --- A file --- */

/* Its process stands still for ever, after so many bytes; nobody closes anything. */
static void stop_source(struct migrate_pair *p, size_t after_bytes)
{
    int64_t began_ns;

    p->stop_at_bytes[PAIR_THERE] = after_bytes;
    migrate_pair_start(p);
    for (int i = 0; i < 500; i++)
        migrate_pair_step(p);
    assert_int_equal(p->target_status, FERRY_MOVE_BUSY);
    began_ns = p->now_ns;
    while (p->target_status == FERRY_MOVE_BUSY &&
           p->now_ns < began_ns + INT64_C(2000) * 1000000000) {
        int64_t due_ns = ferry_move_deadline_ns(p->target);

        if (due_ns == INT64_MAX)
            break;
        p->now_ns = due_ns > p->now_ns ? due_ns : p->now_ns + 1;
        p->target_status = ferry_move_step(p->target, &p->target_err);
    }
    p->now_ns -= began_ns;
}

static void test_a_source_is_stopped(void **state)
{
    /* At once behind the hello, in RAM, and behind it. */
    static const size_t places[] = {4096, 20000, 60000};
    struct migrate_pair p;

    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        migrate_pair_init(&p, false);
        for (uint64_t page = 1; page < 100; page++)
            memset(ferry_ram_host(p.from.region) + page * FERRY_PAGE_BYTES, 0x77, 64);
        stop_source(&p, places[i]);
        assert_int_equal(p.target_status, FERRY_MOVE_FAILED);
        assert_in_range(p.now_ns, INT64_C(295) * 1000000000, INT64_C(320) * 1000000000);
        assert_non_null(strstr(p.target_err.text, "nothing came from the source for 300000 ms"));
        migrate_pair_free(&p);
    }
    /* One that may wait for its operator is waited for. */
    migrate_pair_init(&p, false);
    p.source_params.capabilities.pause_before_switchover = true;
    stop_source(&p, SIZE_MAX);
    assert_int_equal(p.target_status, FERRY_MOVE_BUSY);
    migrate_pair_free(&p);
}

static void limit_files(rlim_t bytes)
{
    struct rlimit limit;

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void save(struct migrate_pair *p, const char *uri)
{
    struct ferry_address *a;
    struct ferry_err err;

    ferry_move_free(p->source);
    p->source = NULL;
    assert_int_equal(ferry_address_parse(&a, uri, NULL, O_WRONLY, &err), 0);
    assert_int_equal(ferry_migrate_source_new(&p->source, &p->source_params, a, NULL, &err), 0);
    ferry_address_free(a);
    p->source_status = FERRY_MOVE_BUSY;
    while (p->source_status == FERRY_MOVE_BUSY) {
        toy_tick(&p->from);
        p->now_ns += p->step_ns;
        p->source_status = ferry_move_step(p->source, &p->source_err);
    }
}

static void restore(struct migrate_pair *p, const char *uri)
{
    struct ferry_listener *listener;
    struct ferry_address *a;
    struct ferry_err err;

    ferry_move_free(p->target);
    assert_int_equal(ferry_address_parse(&a, uri, NULL, O_RDONLY, &err), 0);
    assert_int_equal(ferry_listener_new(&listener, a, &err), 0);
    ferry_address_free(a);
    assert_int_equal(ferry_migrate_target_new(&p->target, &p->target_params, &listener, NULL, &err),
                     0);
    p->target_status = FERRY_MOVE_BUSY;
    while (p->target_status == FERRY_MOVE_BUSY)
        p->target_status = ferry_move_step(p->target, &p->target_err);
}

static void test_the_disk_gets_full(void **state)
{
    struct migrate_pair *p = pair_new(0, NULL);
    char path[] = "/tmp/ferry-full-XXXXXX", uri[64];
    int fd = mkstemp(path);
    struct stat st;
    off_t end;

    assert_true(fd >= 0);
    close(fd);
    snprintf(uri, sizeof(uri), "file:%s", path);
    signal(SIGXFSZ, SIG_IGN);
    for (end = 0;; end += 7) {
        limit_files((rlim_t)end);
        save(p, uri);
        limit_files(RLIM_INFINITY);
        if (p->source_status == FERRY_MOVE_DONE)
            break;
        assert_int_equal(p->source_status, FERRY_MOVE_FAILED);
        assert_non_null(strstr(p->source_err.text, "File too large"));
        migrate_pair_check_stayed(p);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_size, 0); /* what was there */
    }
    assert_true(end > 9000);
    fd = open(path, O_RDWR | O_CLOEXEC);
    /* Nor may a file be more than was written. */
    end = lseek(fd, 0, SEEK_END);
    assert_int_equal(write(fd, "more", 4), 4);
    restore(p, uri);
    assert_int_equal(p->target_status, FERRY_MOVE_FAILED);
    assert_non_null(strstr(p->target_err.text, "4 bytes of "));
    assert_int_equal(ftruncate(fd, end), 0);
    restore(p, uri);
    migrate_pair_check_moved(p, true);
    unlink(path);
    close(fd);
    pair_delete(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_cancel_with_channels),
        cmocka_unit_test(test_a_source_is_stopped),
        cmocka_unit_test(test_each_part_is_refused),
        cmocka_unit_test(test_the_disk_gets_full),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
