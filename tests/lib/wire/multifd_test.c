/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/be.h"
#include "lib/wire/multifd.h"

/* A head as it is on the wire: where its numbers are. */
enum at { FLAGS = 8, ROOM = 12, NORMAL = 16, DATA = 20, ZERO = 32, BLOCK = 64, OFFSETS = 320 };

static struct ram_block blocks_at[] = {
    {.name = "a", .used_bytes = 0x8000, .listed = true},
    {.name = "tiny", .used_bytes = 0, .listed = true},
    {.name = "s", .used_bytes = 0x8000, .listed = true, .ignored = true},
    {.name = "later", .used_bytes = 0x8000},
};
static const struct ram_blocks blocks = {.at = blocks_at, .count = 4};

static void make(uint8_t head[static MULTIFD_HEAD_BYTES], enum wire_multifd_method method)
{
    struct multifd_packet p = {.method = method,
                               .normal_count = 2,
                               .zero_count = 1,
                               .data_bytes = 8192,
                               .block = 0,
                               .offsets = {0x7000, 0x1000, 0}};

    multifd_put_head(head, &p, &blocks);
}

static int get(const uint8_t *head, size_t n, enum wire_multifd_method method,
               struct multifd_packet *p, struct ferry_err *err)
{
    uint8_t *exact = malloc(n ? n : 1); /* so that overruns show */
    int r;

    memcpy(exact, head, n);
    r = multifd_get_head(exact, n, method, &blocks, p, err);
    free(exact);
    return r;
}

static void test_round_trip(void **state)
{
    uint8_t head[MULTIFD_HEAD_BYTES];
    struct multifd_packet p;
    struct ferry_err err = {0};

    make(head, WIRE_METHOD_NONE);
    for (size_t n = 0; n < sizeof(head); n += 7)
        assert_int_equal(get(head, n, WIRE_METHOD_NONE, &p, &err), 0);
    assert_int_equal(get(head, sizeof(head), WIRE_METHOD_NONE, &p, &err), 1);
    assert_false(p.sync);
    assert_int_equal(p.normal_count, 2);
    assert_int_equal(p.zero_count, 1);
    assert_int_equal(p.data_bytes, 8192);
    assert_int_equal(p.offsets[0], 0x7000);

    multifd_put_head(head, &(struct multifd_packet){.sync = true, .number = 7}, &blocks);
    assert_int_equal(get(head, sizeof(head), WIRE_METHOD_ZSTD, &p, &err), 1);
    assert_true(p.sync);
    assert_int_equal(p.number, 7);
    /* The method may be said in a SYNC. */
    be32_store(head + FLAGS, WIRE_MULTIFD_SYNC | WIRE_METHOD_ZSTD);
    assert_int_equal(get(head, sizeof(head), WIRE_METHOD_ZSTD, &p, &err), 1);
    /* An old sender's SYNC with pages. */
    make(head, WIRE_METHOD_ZSTD);
    be32_store(head + FLAGS, WIRE_MULTIFD_SYNC | WIRE_METHOD_ZSTD);
    assert_int_equal(get(head, sizeof(head), WIRE_METHOD_ZSTD, &p, &err), 1);
    assert_true(p.sync);
    assert_int_equal(p.normal_count, 2);
}

/* One number of a good head changed. early: refused as soon as it can be seen. */
static void refuse(enum wire_multifd_method method, size_t at, uint32_t v, bool early,
                   const char *want)
{
    uint8_t head[MULTIFD_HEAD_BYTES];
    struct multifd_packet p;
    struct ferry_err err = {0};

    make(head, method);
    be32_store(head + at, v);
    assert_int_equal(get(head, sizeof(head), method, &p, &err), -EINVAL);
    if (!strstr(err.text, want))
        fail_msg("\"%s\" does not say \"%s\"", err.text, want);
    assert_int_equal(get(head, 12, method, &p, &err), early ? -EINVAL : 0);
}

static void test_numbers(void **state)
{
    const enum wire_multifd_method none = WIRE_METHOD_NONE, zlib = WIRE_METHOD_ZLIB;

    refuse(none, 0, 0x5145564d, true, "something else connected");
    refuse(none, 4, 2, true, "version 2");
    refuse(none, FLAGS, WIRE_MULTIFD_DEVICE_STATE, true, "state of a device");
    refuse(none, FLAGS, 0x80, true, "unknown flags 0x80");
    refuse(none, FLAGS, WIRE_METHOD_ZSTD, true, "compressed with zstd (flags 0x4), but here it is");
    refuse(zlib, FLAGS, 0, true, "compressed with none");
    refuse(zlib, FLAGS, WIRE_METHOD_ZLIB | WIRE_METHOD_ZSTD, true, "with unknown");
    refuse(zlib, FLAGS, WIRE_MULTIFD_SYNC, false, "SYNC with pages that are not packed");
    refuse(none, ROOM, 129, false, "room for 129 pages");
    refuse(none, ROOM, 2, false, "2 normal and 1 zero pages has room for 2");
    refuse(none, NORMAL, 129, false, "has room for 128");
    refuse(none, NORMAL, 0xffffffff, false, "has room for 128");
    refuse(none, ZERO, 127, false, "has room for 128");
    refuse(none, ZERO, 0xffffffff, false, "has room for 128");
    refuse(none, DATA, 8191, false, "with 8191 bytes of data, not 8192");
    refuse(none, DATA, 0, false, "with 0 bytes of data");
    refuse(zlib, DATA, 0, false, "without data");
    refuse(zlib, DATA, (1u << 20) + 1, false, "1048576 are the most");
    refuse(zlib, NORMAL, 0, false, "0 pages with 8192 bytes");
    refuse(none, OFFSETS, 1, false, "0x100007000");
    refuse(none, OFFSETS + 4, 0x8000, false, "only 0x8000");
    refuse(none, OFFSETS + 4, 0x7001, false, "not a multiple");
    refuse(none, OFFSETS + 16 + 4, 0x8000, false, "only 0x8000"); /* of the zero page */
    refuse(none, OFFSETS, 0xffffffff, false, "only 0x8000");
}

static void refuse_block(const char *name, size_t n, const char *want)
{
    uint8_t head[MULTIFD_HEAD_BYTES];
    struct multifd_packet p;
    struct ferry_err err = {0};

    make(head, WIRE_METHOD_NONE);
    memset(head + BLOCK, 0, 256);
    memcpy(head + BLOCK, name, n);
    assert_int_equal(get(head, sizeof(head), WIRE_METHOD_NONE, &p, &err), -EINVAL);
    if (!strstr(err.text, want))
        fail_msg("\"%s\" does not say \"%s\"", err.text, want);
}

static void test_blocks(void **state)
{
    char endless[256];

    memset(endless, 'a', sizeof(endless));
    refuse_block(endless, sizeof(endless), "no end of the name");
    refuse_block("b", 1, "does not exist");
    refuse_block("", 0, "does not exist");
    refuse_block("tiny", 4, "only 0x0 bytes"); /* no room for a page: must not wrap */
    refuse_block("s", 1, "x-ignore-shared");
    refuse_block("later", 5, "not in the block list");
}

static void test_hello(void **state)
{
    const uint8_t uuid[WIRE_UUID_BYTES] = {1, 2, 3}, other[WIRE_UUID_BYTES] = {0};
    struct multifd_hello hello = {.uuid = {1, 2, 3}, .channel = 1}, got;
    uint8_t wire[MULTIFD_HELLO_BYTES];
    bool seen[2] = {0};
    struct ferry_err err = {0};

    multifd_put_hello(wire, &hello);
    assert_int_equal(multifd_get_hello(wire, other, 2, seen, &got, &err), -EINVAL);
    assert_non_null(strstr(err.text, "UUID"));
    assert_int_equal(multifd_get_hello(wire, uuid, 1, seen, &got, &err), -EINVAL);
    assert_non_null(strstr(err.text, "channel 1, but there are 1"));
    assert_int_equal(multifd_get_hello(wire, uuid, 2, seen, &got, &err), 0);
    assert_int_equal(got.channel, 1);
    assert_int_equal(multifd_get_hello(wire, uuid, 2, seen, &got, &err), -EINVAL);
    assert_non_null(strstr(err.text, "twice"));
    seen[1] = false;
    wire[24] = 2; /* the number of channels is no channel */
    assert_int_equal(multifd_get_hello(wire, uuid, 2, seen, &got, &err), -EINVAL);
    wire[24] = 1;
    wire[7] = 2;
    assert_int_equal(multifd_get_hello(wire, uuid, 2, seen, &got, &err), -EINVAL);
    wire[7] = 1;
    wire[0] = 0;
    assert_int_equal(multifd_get_hello(wire, uuid, 2, seen, &got, &err), -EINVAL);
    assert_false(seen[1]);
}

static void test_epochs(void **state)
{
    struct multifd_epochs e;
    struct ferry_err err = {0};

    multifd_epochs_init(&e, 2);
    assert_int_equal(multifd_epochs_packet(&e, 0, false, true, &err), -EPROTO);
    assert_non_null(strstr(err.text, "begins with pages"));
    assert_int_equal(multifd_epochs_packet(&e, 0, true, false, &err), 0);
    assert_int_equal(multifd_epochs_mark(&e), 0);
    /* Channel 0 waits for the mark. */
    assert_int_equal(multifd_epochs_packet(&e, 0, false, true, &err), -EPROTO);
    assert_int_equal(multifd_epochs_packet(&e, 0, true, false, &err), -EPROTO);
    assert_int_equal(multifd_epochs_packet(&e, 1, true, false, &err), 0);
    /* RAM may not end with a SYNC that was not met, or with a mark too many. */
    assert_int_equal(multifd_epochs_end(&e, &err), -EPROTO);
    assert_int_equal(multifd_epochs_mark(&e), 1);
    assert_int_equal(multifd_epochs_end(&e, &err), 0);
    assert_int_equal(multifd_epochs_mark(&e), 0);
    assert_int_equal(multifd_epochs_packet(&e, 0, false, true, &err), 0);
    assert_int_equal(multifd_epochs_packet(&e, 1, true, false, &err), 0);
    assert_int_equal(multifd_epochs_mark(&e), 0);
    assert_int_equal(multifd_epochs_end(&e, &err), -EPROTO);
    assert_non_null(
        strstr(err.text, "1 sync marks on the main channel and 2 on multifd channel 1"));
    assert_int_equal(multifd_epochs_packet(&e, 0, true, true, &err), 0);
    assert_int_equal(multifd_epochs_mark(&e), 1);
    assert_int_equal(multifd_epochs_end(&e, &err), 0);
    /* Nor with pages that no SYNC follows. */
    assert_int_equal(multifd_epochs_packet(&e, 1, false, true, &err), 0);
    assert_int_equal(multifd_epochs_end(&e, &err), -EPROTO);
    assert_non_null(strstr(err.text, "channel 1 sends on behind the end of RAM"));
}

static void test_names(void **state)
{
    assert_string_equal(multifd_method_name(WIRE_METHOD_NONE), "none");
    assert_string_equal(multifd_method_name(WIRE_METHOD_QATZIP), "qatzip");
    assert_string_equal(multifd_method_name(0x3e), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_blocks),     cmocka_unit_test(test_hello),
        cmocka_unit_test(test_epochs),     cmocka_unit_test(test_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
