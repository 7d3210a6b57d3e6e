/* SPDX-License-Identifier: Apache-2.0 */
/* A source's channels without threads, into a target's. */
#include "tests/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "lib/migrate/multifd_in.h"
#include "lib/migrate/multifd_out.h"
#include "tests/lib/migrate/channels.h"

#define LANES 3u

struct fixture {
    struct channels_ram from, to;
    struct multifd_out *out;
    struct multifd_in *in;
};

static void open_with(struct fixture *f, const char *codec, bool look_for_zeros)
{
    struct multifd_out_params out = {.guest = &f->from.guest,
                                     .channels = LANES,
                                     .codec = codec_find(codec),
                                     .look_for_zeros = look_for_zeros};
    struct multifd_in_params in = {
        .guest = &f->to.guest, .channels = LANES, .codec = codec_find(codec)};
    struct ferry_err err;

    *f = (struct fixture){0};
    channels_ram_init(&f->from);
    channels_ram_init(&f->to);
    assert_int_equal(multifd_out_new(&f->out, &out, &err), 0);
    assert_int_equal(multifd_in_new(&f->in, &in, &err), 0);
    for (unsigned i = 0; i < LANES; i++) {
        struct ferry_chan *pair[2];

        assert_false(multifd_out_complete(f->out));
        assert_int_equal(ferry_chan_pair(pair, &err), 0);
        assert_int_equal(multifd_out_attach(f->out, &pair[0], &err), 0);
        assert_null(pair[0]);
        assert_int_equal(multifd_in_attach(f->in, &pair[1], &err), 0);
    }
    assert_true(multifd_out_complete(f->out));
}

static void close_all(struct fixture *f)
{
    multifd_out_free(f->out);
    multifd_in_free(f->in);
    channels_ram_free(&f->from);
    channels_ram_free(&f->to);
}

/* The mark is passed. */
static void sync_both(struct fixture *f)
{
    struct ferry_err err = {0};

    multifd_out_sync(f->out);
    for (unsigned i = 0; i < 1000; i++) {
        int r;

        multifd_out_step(f->out);
        multifd_in_step(f->in);
        r = multifd_in_mark(f->in, &err);
        if (r < 0)
            fail_msg("%s", err.text);
        if (r > 0)
            return;
    }
    fail_msg("the mark is not passed");
}

/* All pages in packets as large as can be. */
static void send_all(struct fixture *f)
{
    struct ferry_err err = {0};
    uint64_t page = 0;

    for (unsigned i = 0; i < 1000 && (page < CHANNELS_PAGES || !multifd_out_idle(f->out, &err));
         i++) {
        uint64_t offsets[WIRE_MULTIFD_PAGES];
        size_t n = 0;

        while (page < CHANNELS_PAGES && n < WIRE_MULTIFD_PAGES && multifd_out_room(f->out))
            offsets[n++] = page++ * WIRE_PAGE_BYTES;
        if (n)
            multifd_out_pages(f->out, 0, offsets, n);
        multifd_out_step(f->out);
        multifd_in_step(f->in);
    }
    assert_int_equal(multifd_out_idle(f->out, &err), 1);
}

static void fill(struct fixture *f, unsigned seed)
{
    srand(seed);
    for (uint64_t page = 0; page < CHANNELS_PAGES; page++) {
        uint8_t *at = channels_page(&f->from, page);

        if (rand() % 3 == 0)
            continue;
        for (unsigned i = 0; i < WIRE_PAGE_BYTES; i += 1 + (unsigned)rand() % 64)
            at[i] = (uint8_t)rand();
    }
    guest_ram_find_backed(&f->from.guest);
}

static void check_same(struct fixture *f)
{
    assert_memory_equal(ferry_ram_host(f->from.region), ferry_ram_host(f->to.region),
                        CHANNELS_PAGES * WIRE_PAGE_BYTES);
}

static void each_codec_carries_all_pages(void **state)
{
    for (size_t i = 0; codec_types[i]; i++) {
        struct fixture f;
        struct multifd_totals out, in;
        struct ferry_err err;

        open_with(&f, codec_types[i]->name, true);
        sync_both(&f);
        for (unsigned round = 1; round < 4; round++) {
            fill(&f, round);
            send_all(&f);
            sync_both(&f);
            check_same(&f);
        }
        assert_int_equal(multifd_in_end(f.in, &err), 0);
        out = multifd_out_totals(f.out);
        in = multifd_in_totals(f.in);
        assert_int_equal(out.bytes, in.bytes);
        assert_int_equal(out.zero_pages, in.zero_pages);
        assert_int_equal(out.normal_pages, in.normal_pages);
        assert_int_equal(out.zero_pages + out.normal_pages, 3 * CHANNELS_PAGES);
        assert_true(out.zero_pages > 0);
        close_all(&f);
    }
}

/* Nobody looks: an untouched page travels like any other. */
static void zeros_can_be_sent_as_pages(void **state)
{
    struct fixture f;

    open_with(&f, "none", false);
    sync_both(&f);
    send_all(&f);
    sync_both(&f);
    assert_int_equal(multifd_out_totals(f.out).zero_pages, 0);
    assert_int_equal(multifd_out_totals(f.out).normal_pages, CHANNELS_PAGES);
    close_all(&f);
}

/* Who deals out must ask; a queue has an end. */
static void room_ends(void **state)
{
    const uint64_t offset = 0;
    struct fixture f;
    struct ferry_err err;
    unsigned n = 0;

    open_with(&f, "none", true);
    assert_int_equal(multifd_out_idle(f.out, &err), 1);
    for (; multifd_out_room(f.out); n++)
        multifd_out_pages(f.out, 0, &offset, 1);
    assert_in_range(n, LANES, LANES * 100);
    assert_int_equal(multifd_out_idle(f.out, &err), 0);
    multifd_out_pages(f.out, 0, &offset, 1); /* has no effect */
    for (unsigned i = 0; i < 4 * n && multifd_out_idle(f.out, &err) == 0; i++)
        multifd_out_step(f.out);
    assert_int_equal(multifd_out_idle(f.out, &err), 1);
    assert_true(multifd_out_room(f.out));
    assert_int_equal(multifd_out_totals(f.out).zero_pages, n);
    close_all(&f);
}

static void count(void *arg)
{
    ++*(unsigned *)arg;
}

static void a_channel_that_is_gone_fails_all(void **state)
{
    struct ferry_chan *pair[2];
    struct channels_ram ram;
    const struct multifd_out_params params = {
        .guest = &ram.guest, .channels = 1, .codec = codec_find("none")};
    struct multifd_out *out;
    struct ferry_err err = {0};
    unsigned woken = 0;

    channels_ram_init(&ram);
    assert_int_equal(multifd_out_new(&out, &params, &err), 0);
    multifd_out_wake(out, count, &woken);
    assert_int_equal(ferry_chan_pair(pair, &err), 0);
    assert_int_equal(multifd_out_attach(out, &pair[0], &err), 0);
    multifd_out_sync(out);
    multifd_out_step(out);
    ferry_chan_free(pair[1]);
    for (unsigned i = 0; i < 4; i++)
        multifd_out_step(out);
    assert_true(multifd_out_idle(out, &err) < 0);
    assert_true(err.text[0] != '\0');
    assert_true(woken > 0);
    multifd_out_free(out);
    channels_ram_free(&ram);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_codec_carries_all_pages),
        cmocka_unit_test(zeros_can_be_sent_as_pages),
        cmocka_unit_test(room_ends),
        cmocka_unit_test(a_channel_that_is_gone_fails_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
