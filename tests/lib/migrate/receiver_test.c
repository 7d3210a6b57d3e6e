/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/migrate/receiver.h"
#include "lib/wire/ram_out.h"
#include "lib/wire/stream_out.h"

#define PAGES 16u

struct fixture {
    struct ferry_ram *ram;
    struct ferry_ram_region *region;
    struct guest_ram guest;
    struct ferry_chan *ends[2];
    struct stream_in *stream;
    struct receiver *receiver;
    int notify;
    struct ram_out records;
    struct buf bytes;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct ferry_err err;

    assert_int_equal(ferry_ram_new(&f->ram, &err), 0);
    assert_int_equal(ferry_ram_add(f->ram, "ram0", PAGES * WIRE_PAGE_BYTES, &f->region, &err), 0);
    assert_int_equal(guest_ram_init(&f->guest, f->ram, false, &err), 0);
    assert_int_equal(ferry_chan_pair(f->ends, &err), 0);
    assert_int_equal(stream_in_new(&f->stream, &err), 0);
    f->notify = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    ram_out_init(&f->records, &f->guest.blocks);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    receiver_free(f->receiver);
    stream_in_free(f->stream);
    ferry_chan_free(f->ends[0]);
    ferry_chan_free(f->ends[1]);
    guest_ram_free(&f->guest);
    ferry_ram_free(f->ram);
    buf_free(&f->bytes);
    close(f->notify);
    free(f);
    return 0;
}

/* Up to where the receiver takes over; what follows on the channel is its. */
static void begin(struct fixture *f)
{
    const struct receiver_params params = {
        .chan = f->ends[1], .stream = f->stream, .guest = &f->guest, .notify = f->notify};
    const struct wire_config config = {.machine_bytes = 3, .machine = "toy"};
    const struct ram_rules rules = {0};
    struct stream_item item;
    struct ferry_err err;
    struct buf out = {0};

    assert_int_equal(receiver_new(&f->receiver, &params, &err), 0);
    assert_int_equal(stream_put_header(&out, &config, &err), 0);
    stream_put_section(&out, WIRE_SECTION_START, 1, WIRE_RAM_IDSTR, 0, WIRE_RAM_VERSION);
    ram_put_list(&out, &rules, &f->guest.blocks);
    assert_int_equal(stream_in_feed(f->stream, out.data, out.len_bytes, &err), 0);
    buf_free(&out);
    assert_int_equal(stream_in_next(f->stream, &item, &err), 1);
    assert_int_equal(stream_in_next(f->stream, &item, &err), 1);
    assert_int_equal(item.kind, STREAM_SECTION);
    assert_int_equal(receiver_begin(f->receiver, item.section, &err), 0);
}

static void put_page(struct fixture *f, uint64_t page, uint8_t contents)
{
    uint8_t head[RAM_HEAD_MAX_BYTES], body[WIRE_PAGE_BYTES];

    memset(body, contents, sizeof(body));
    buf_put(&f->bytes, head, ram_out_page(&f->records, head, 0, page * WIRE_PAGE_BYTES));
    buf_put(&f->bytes, body, sizeof(body));
}

static void put_zero(struct fixture *f, uint64_t page)
{
    uint8_t head[RAM_HEAD_MAX_BYTES];

    buf_put(&f->bytes, head, ram_out_zero(&f->records, head, 0, page * WIRE_PAGE_BYTES));
}

/* Everything that was put arrives, in pieces of that size. */
static void receive(struct fixture *f, size_t piece_bytes)
{
    uint8_t head[RAM_HEAD_MAX_BYTES];
    struct ferry_err err;

    buf_put(&f->bytes, head, ram_out_eos(head));
    for (size_t at = 0; at < f->bytes.len_bytes; at += piece_bytes) {
        size_t left = f->bytes.len_bytes - at;
        struct iovec iov = {f->bytes.data + at, left < piece_bytes ? left : piece_bytes};
        struct lane_want want = {.fd = -1};

        assert_int_equal(chan_send(f->ends[0], &iov, 1, &err), iov.iov_len);
        receiver_step(f->receiver, &want);
    }
    assert_int_equal(receiver_state(f->receiver, &err), RECEIVER_IDLE);
}

static void check_page(const struct fixture *f, uint64_t page, uint8_t contents)
{
    const uint8_t *host = ferry_ram_host(f->region) + page * WIRE_PAGE_BYTES;

    for (size_t i = 0; i < WIRE_PAGE_BYTES; i++)
        assert_int_equal(host[i], contents);
}

static void each_page_is_where_it_belongs(void **state)
{
    const size_t pieces_bytes[] = {1 << 20, 1, 100, 4096, 4104, 5000, 3 * 4104};

    for (size_t i = 0; i < sizeof(pieces_bytes) / sizeof(pieces_bytes[0]); i++) {
        struct fixture *f;

        setup((void **)&f);
        begin(f);
        for (uint64_t page = 0; page < 7; page++)
            put_page(f, page, (uint8_t)(page + 1));
        put_zero(f, 7);
        put_page(f, 9, 9);
        put_page(f, 8, 8);
        receive(f, pieces_bytes[i]);
        for (uint64_t page = 0; page < 7; page++)
            check_page(f, page, (uint8_t)(page + 1));
        check_page(f, 7, 0);
        check_page(f, 8, 8);
        check_page(f, 9, 9);
        check_page(f, 10, 0);
        assert_int_equal(atomic_load(&receiver_counters(f->receiver)->normal_pages), 9);
        teardown((void **)&f);
    }
}

/* In one burst, before any of it was written. */
static void what_comes_later_wins(void **state)
{
    struct fixture *f = *state;

    begin(f);
    put_page(f, 1, 0x11);
    put_page(f, 2, 0x22);
    put_page(f, 3, 0x33);
    put_page(f, 2, 0x44);
    put_page(f, 3, 0x55);
    put_zero(f, 1);
    put_page(f, 4, 0x66);
    put_zero(f, 4);
    receive(f, 1 << 20);
    check_page(f, 1, 0);
    check_page(f, 2, 0x44);
    check_page(f, 3, 0x55);
    check_page(f, 4, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_page_is_where_it_belongs),
        cmocka_unit_test_setup_teardown(what_comes_later_wins, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
