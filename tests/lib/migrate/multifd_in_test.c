/* SPDX-License-Identifier: Apache-2.0 */
/* A target's channels without threads: the test is the source. */
#include "tests/unit.h"

#include <errno.h>
#include <string.h>

#include "base/own.h"
#include "lib/migrate/multifd_in.h"
#include "tests/lib/migrate/channels.h"

struct fixture {
    struct channels_ram ram;
    struct multifd_in *in;
    struct ferry_chan *here[3]; /* the source's ends */
    unsigned woken;
};

static void count(void *arg)
{
    ++*(unsigned *)arg;
}

static void open_with(struct fixture *f, const char *codec, unsigned channels)
{
    const struct multifd_in_params params = {
        .guest = &f->ram.guest, .channels = channels, .codec = codec_find(codec), .uuid = {7}};
    struct ferry_err err;

    *f = (struct fixture){0};
    channels_ram_init(&f->ram);
    assert_int_equal(multifd_in_new(&f->in, &params, &err), 0);
    multifd_in_wake(f->in, count, &f->woken);
    for (unsigned i = 0; i < channels; i++) {
        struct ferry_chan *pair[2];

        assert_int_equal(ferry_chan_pair(pair, &err), 0);
        f->here[i] = pair[0];
        assert_int_equal(multifd_in_attach(f->in, &pair[1], &err), 0);
        assert_null(pair[1]);
    }
}

static int setup(void **state)
{
    static struct fixture f;

    open_with(&f, "none", 2);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    multifd_in_free(f->in);
    for (unsigned i = 0; i < 3; i++)
        ferry_chan_free(f->here[i]);
    channels_ram_free(&f->ram);
    return 0;
}

static void say_hello(struct fixture *f, unsigned channel, uint8_t id)
{
    const struct multifd_hello hello = {.uuid = {7}, .channel = id};
    uint8_t data[MULTIFD_HELLO_BYTES];

    multifd_put_hello(data, &hello);
    channels_send(f->here[channel], data, sizeof(data));
}

static void say_packet(struct fixture *f, unsigned channel, const struct multifd_packet *p)
{
    uint8_t data[MULTIFD_HEAD_BYTES];

    multifd_put_head(data, p, &f->ram.guest.blocks);
    channels_send(f->here[channel], data, sizeof(data));
}

static void say_sync(struct fixture *f, unsigned channel)
{
    say_packet(f, channel, &(struct multifd_packet){.sync = true});
}

/* A page of this byte; zero: named only. */
static void say_page(struct fixture *f, unsigned channel, uint64_t page, uint8_t byte)
{
    struct multifd_packet p = {.offsets = {page * WIRE_PAGE_BYTES}};
    uint8_t data[WIRE_PAGE_BYTES];

    p.normal_count = byte != 0;
    p.zero_count = byte == 0;
    p.data_bytes = byte ? WIRE_PAGE_BYTES : 0;
    say_packet(f, channel, &p);
    memset(data, byte, sizeof(data));
    if (byte)
        channels_send(f->here[channel], data, sizeof(data));
}

static void begin(struct fixture *f)
{
    struct ferry_err err = {0};

    for (uint8_t i = 0; i < 2; i++) {
        say_hello(f, i, i);
        say_sync(f, i);
    }
    multifd_in_step(f->in);
    if (multifd_in_mark(f->in, &err) != 1)
        fail_msg("%s", err.text);
}

static void refused(struct fixture *f, const char *text)
{
    struct ferry_err err = {0};

    for (unsigned i = 0; i < 4; i++)
        multifd_in_step(f->in);
    assert_true(multifd_in_mark(f->in, &err) < 0);
    if (!strstr(err.text, text))
        fail_msg("%s", err.text);
}

static void pages_arrive(void **state)
{
    struct fixture *f = *state;
    struct multifd_totals t;
    struct ferry_err err;

    memset(channels_page(&f->ram, 3), 0xee, WIRE_PAGE_BYTES);
    guest_ram_find_backed(&f->ram.guest);
    begin(f);
    say_page(f, 0, 5, 0x55);
    say_page(f, 1, 199, 0x99);
    say_page(f, 1, 3, 0);
    for (unsigned i = 0; i < 2; i++)
        multifd_in_step(f->in);
    assert_int_equal(channels_page(&f->ram, 5)[0], 0x55);
    assert_int_equal(channels_page(&f->ram, 5)[WIRE_PAGE_BYTES - 1], 0x55);
    assert_int_equal(channels_page(&f->ram, 6)[0], 0);
    assert_int_equal(channels_page(&f->ram, 199)[77], 0x99);
    assert_int_equal(channels_page(&f->ram, 3)[0], 0);
    assert_true(guest_bit(f->ram.guest.backed[0], 5));
    assert_false(guest_bit(f->ram.guest.backed[0], 6));
    assert_int_equal(multifd_in_mark(f->in, &err), 0);
    say_sync(f, 0);
    multifd_in_step(f->in);
    assert_int_equal(multifd_in_mark(f->in, &err), 0);
    say_sync(f, 1);
    f->woken = 0;
    multifd_in_step(f->in);
    assert_true(f->woken > 0);
    assert_int_equal(multifd_in_mark(f->in, &err), 1);
    assert_int_equal(multifd_in_end(f->in, &err), 0);
    t = multifd_in_totals(f->in);
    assert_int_equal(t.normal_pages, 2);
    assert_int_equal(t.zero_pages, 1);
    assert_int_equal(t.bytes,
                     2 * MULTIFD_HELLO_BYTES + 7 * MULTIFD_HEAD_BYTES + 2 * WIRE_PAGE_BYTES);
}

/* What comes behind a SYNC belongs behind the mark. */
static void pages_wait_for_their_mark(void **state)
{
    struct fixture *f = *state;
    struct ferry_err err;

    begin(f);
    say_page(f, 0, 5, 0x11);
    say_sync(f, 0);
    say_page(f, 0, 5, 0x22);
    for (unsigned i = 0; i < 4; i++)
        multifd_in_step(f->in);
    assert_int_equal(channels_page(&f->ram, 5)[0], 0x11);
    say_sync(f, 1);
    multifd_in_step(f->in);
    assert_int_equal(multifd_in_mark(f->in, &err), 1);
    multifd_in_step(f->in);
    assert_int_equal(channels_page(&f->ram, 5)[0], 0x22);
}

static void bytes_come_one_by_one(void **state)
{
    struct fixture *f = *state;
    uint8_t data[MULTIFD_HEAD_BYTES + WIRE_PAGE_BYTES];
    const struct multifd_packet p = {
        .normal_count = 1, .data_bytes = WIRE_PAGE_BYTES, .offsets = {9 * WIRE_PAGE_BYTES}};

    begin(f);
    multifd_put_head(data, &p, &f->ram.guest.blocks);
    memset(data + MULTIFD_HEAD_BYTES, 0x77, WIRE_PAGE_BYTES);
    for (size_t i = 0; i < sizeof(data); i++) {
        channels_send(f->here[1], data + i, 1);
        multifd_in_step(f->in);
    }
    assert_int_equal(channels_page(&f->ram, 9)[WIRE_PAGE_BYTES - 1], 0x77);
    assert_int_equal(multifd_in_totals(f->in).normal_pages, 1);
}

/* A source that dies between two packets: nobody would ever pass the mark. */
static void a_channel_that_ends_too_early_is_missed(void **state)
{
    struct fixture *f = *state;

    begin(f);
    say_page(f, 1, 5, 0x55);
    ferry_chan_free(TAKE_PTR(f->here[1]));
    refused(f, "the source closed channel 1 in front of SYNC 2");
}

static void a_channel_may_end_behind_its_last_sync(void **state)
{
    struct fixture *f = *state;
    struct ferry_err err;

    begin(f);
    say_sync(f, 1);
    ferry_chan_free(TAKE_PTR(f->here[1]));
    for (unsigned i = 0; i < 4; i++)
        multifd_in_step(f->in);
    assert_int_equal(multifd_in_mark(f->in, &err), 0);
    say_sync(f, 0);
    multifd_in_step(f->in);
    assert_int_equal(multifd_in_mark(f->in, &err), 1);
    multifd_in_step(f->in);
    assert_int_equal(multifd_in_end(f->in, &err), 0);
}

static void a_packet_cut_in_two_is_refused(void **state)
{
    struct fixture *f = *state;
    uint8_t data[MULTIFD_HEAD_BYTES] = {0};

    begin(f);
    multifd_put_head(data, &(struct multifd_packet){.sync = true}, &f->ram.guest.blocks);
    channels_send(f->here[0], data, 100);
    ferry_chan_free(TAKE_PTR(f->here[0]));
    refused(f, "channel 0: the source closed it in the middle of a packet");
}

static void a_stranger_is_refused(void **state)
{
    struct fixture *f = *state;
    const struct multifd_hello hello = {.uuid = {8}, .channel = 0};
    uint8_t data[MULTIFD_HELLO_BYTES];

    multifd_put_hello(data, &hello);
    channels_send(f->here[0], data, sizeof(data));
    refused(f, "a VM with another UUID");
}

static void a_channel_comes_once(void **state)
{
    struct fixture *f = *state;

    say_hello(f, 0, 1);
    say_hello(f, 1, 1);
    refused(f, "multifd channel 1 connected twice");
}

static void a_channel_too_many_is_refused(void **state)
{
    struct fixture *f = *state;
    struct ferry_chan *pair[2];
    struct ferry_err err;

    assert_int_equal(ferry_chan_pair(pair, &err), 0);
    assert_int_equal(multifd_in_attach(f->in, &pair[1], &err), -EPROTO);
    assert_string_equal(err.text, "the source opens more than 2 channels");
    assert_non_null(pair[1]); /* not taken */
    ferry_chan_free(pair[0]);
    ferry_chan_free(pair[1]);
}

static void pages_before_the_first_sync_are_refused(void **state)
{
    struct fixture *f = *state;

    say_hello(f, 0, 0);
    say_page(f, 0, 0, 1);
    refused(f, "begins with pages, not with a SYNC");
}

static void ram_does_not_end_with_a_sync_left(void **state)
{
    struct fixture *f = *state;
    struct ferry_err err;

    begin(f);
    say_sync(f, 0);
    multifd_in_step(f->in);
    assert_true(multifd_in_end(f->in, &err) < 0);
}

static void a_page_outside_is_refused(void **state)
{
    struct fixture *f = *state;

    begin(f);
    say_page(f, 0, CHANNELS_PAGES, 1);
    refused(f, "channel 0: ");
}

static void what_cannot_be_unpacked_is_refused(void **state)
{
    static const char *const codecs[] = {"zlib", "zstd"};
    static const enum wire_multifd_method methods[] = {WIRE_METHOD_ZLIB, WIRE_METHOD_ZSTD};

    for (int i = 0; i < 2; i++) {
        struct multifd_packet p = {.method = methods[i], .normal_count = 1, .data_bytes = 64};
        struct fixture f;
        void *pf = &f;
        uint8_t garbage[64];
        struct ferry_err err;

        open_with(&f, codecs[i], 1);
        memset(garbage, 0xa5, sizeof(garbage));
        say_hello(&f, 0, 0);
        say_packet(&f, 0, &(struct multifd_packet){.sync = true});
        multifd_in_step(f.in);
        assert_int_equal(multifd_in_mark(f.in, &err), 1);
        say_packet(&f, 0, &p);
        channels_send(f.here[0], garbage, sizeof(garbage));
        refused(&f, "channel 0: ");
        teardown(&pf);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(pages_arrive),
        TEST(pages_wait_for_their_mark),
        TEST(bytes_come_one_by_one),
        TEST(a_channel_that_ends_too_early_is_missed),
        TEST(a_channel_may_end_behind_its_last_sync),
        TEST(a_packet_cut_in_two_is_refused),
        TEST(a_stranger_is_refused),
        TEST(a_channel_comes_once),
        TEST(a_channel_too_many_is_refused),
        TEST(pages_before_the_first_sync_are_refused),
        TEST(ram_does_not_end_with_a_sync_left),
        TEST(a_page_outside_is_refused),
        cmocka_unit_test(what_cannot_be_unpacked_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
