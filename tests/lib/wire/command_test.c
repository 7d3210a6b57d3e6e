/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/be.h"
#include "lib/wire/command.h"
#include "lib/wire/stream_in.h"
#include "lib/wire/stream_out.h"

/* Written, read again, and one byte more or less is refused. */
static struct command round_trip(const struct command *c)
{
    struct buf out = {0};
    struct command got, ignored;
    struct ferry_err err = {0};
    uint8_t *exact;
    size_t n;

    command_put(&out, c);
    n = be16_load(out.data + 3);
    assert_int_equal(out.len_bytes, 5 + n);
    assert_int_equal(be16_load(out.data + 1), c->number);
    exact = malloc(n + 1);
    memcpy(exact, out.data + 5, n);
    exact[n] = 0;
    buf_free(&out);
    if (command_get(c->number, rd_make(exact, n), &got, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(got.value, c->value);
    assert_int_equal(got.package_bytes, c->package_bytes);
    assert_int_equal(got.with_ram, c->with_ram);
    assert_int_equal(got.page_sizes_bytes, c->page_sizes_bytes);
    assert_int_equal(got.page_bytes, c->page_bytes);
    assert_string_equal(got.block, c->block);
    assert_int_equal(got.range_count, c->range_count);
    for (uint32_t i = 0; i < got.range_count; i++) {
        assert_int_equal(command_range(&got, i).start_bytes, command_range(c, i).start_bytes);
        assert_int_equal(command_range(&got, i).length_bytes, command_range(c, i).length_bytes);
    }
    assert_int_equal(command_get(c->number, rd_make(exact, n + 1), &ignored, &err), -EINVAL);
    assert_non_null(strstr(err.text, command_name(c->number)));
    for (size_t less = c->number == WIRE_CMD_POSTCOPY_ADVISE; less < n; less++)
        assert_int_equal(command_get(c->number, rd_make(exact, less), &ignored, &err), -EINVAL);
    free(exact);
    got.ranges = NULL; /* was a loan */
    return got;
}

static void test_round_trip(void **state)
{
    static const enum wire_command empty[] = {
        WIRE_CMD_OPEN_RETURN_PATH, WIRE_CMD_POSTCOPY_LISTEN, WIRE_CMD_POSTCOPY_RUN,
        WIRE_CMD_ENABLE_COLO,      WIRE_CMD_POSTCOPY_RESUME, WIRE_CMD_SWITCHOVER_START,
        WIRE_CMD_FERRY_COMMIT,
    };
    uint8_t range[16] = {0};

    be64_store(range, 0x100000);
    be64_store(range + 8, 0x60000);
    for (size_t i = 0; i < sizeof(empty) / sizeof(empty[0]); i++)
        round_trip(&(struct command){.number = empty[i]});
    round_trip(&(struct command){.number = WIRE_CMD_PING, .value = WIRE_PING_FERRY});
    round_trip(&(struct command){.number = WIRE_CMD_PACKAGED, .package_bytes = 4572});
    round_trip(&(struct command){.number = WIRE_CMD_POSTCOPY_ADVISE,
                                 .with_ram = true,
                                 .page_sizes_bytes = 0x201000,
                                 .page_bytes = 4096});
    round_trip(&(struct command){.number = WIRE_CMD_RECV_BITMAP, .block = "virt.flash0"});
    round_trip(&(struct command){.number = WIRE_CMD_POSTCOPY_DISCARD,
                                 .block = "riscv_virt_board.ram",
                                 .range_count = 1,
                                 .ranges = range});
}

static void refuse(enum wire_command number, const char *payload, size_t n, const char *want)
{
    struct command c;
    struct ferry_err err = {0};

    assert_int_equal(command_get(number, rd_make(payload, n), &c, &err), -EINVAL);
    if (!strstr(err.text, want))
        fail_msg("\"%s\" does not say \"%s\"", err.text, want);
}

static void test_refusals(void **state)
{
    struct command c;
    struct ferry_err err = {0};

    refuse(0, "", 0, "unknown command 0");
    refuse(12, "", 0, "unknown command 12");
    refuse(0x4602, "", 0, "unknown command 17922");
    refuse(WIRE_CMD_PACKAGED, "\x04\x00\x00\x01", 4, "67108865 bytes is more than 67108864");
    refuse(WIRE_CMD_RECV_BITMAP, "\x00", 1, "no name");
    refuse(WIRE_CMD_RECV_BITMAP, "\x02x\0", 3, "no name");
    refuse(WIRE_CMD_RECV_BITMAP, "\x02xyz", 4, "too many");
    refuse(WIRE_CMD_POSTCOPY_DISCARD, "\1\1x\0aaaaaaaabbbbbbbb", 20, "in version 1");
    refuse(WIRE_CMD_POSTCOPY_DISCARD, "\0\1x\1aaaaaaaabbbbbbbb", 20, "behind the name come 01");
    refuse(WIRE_CMD_POSTCOPY_DISCARD, "\0\1x\0", 4, "0 bytes, not 00 and one or more ranges");
    refuse(WIRE_CMD_POSTCOPY_DISCARD, "\0\0\0aaaaaaaabbbbbbbb", 19, "no name");
    /* Only dirty bitmaps. */
    assert_int_equal(command_get(WIRE_CMD_POSTCOPY_ADVISE, rd_make("", 0), &c, &err), 0);
    assert_false(c.with_ram);
    assert_string_equal(command_name(0), "unknown");
    assert_string_equal(command_name(0x4600), "unknown");
}

/* The stream's reader knows ferry's own command, and none of its neighbours. */
static void test_in_stream(void **state)
{
    for (unsigned number = WIRE_CMD_FERRY_COMMIT - 1; number <= WIRE_CMD_FERRY_COMMIT + 1;
         number++) {
        struct buf out = {0};
        struct wire_config config;
        struct stream_in *s = NULL;
        struct stream_item item;
        struct ferry_err err = {0};
        bool known = number == WIRE_CMD_FERRY_COMMIT;

        assert_int_equal(wire_config_make(&config, "virt", &err), 0);
        assert_int_equal(stream_put_header(&out, &config, &err), 0);
        command_put_empty(&out, number);
        assert_int_equal(stream_in_new(&s, &err), 0);
        stream_in_whole(s, out.data, out.len_bytes);
        assert_int_equal(stream_in_next(s, &item, &err), 1);
        assert_int_equal(stream_in_next(s, &item, &err), known ? 1 : -EINVAL);
        if (known)
            assert_int_equal(item.command, WIRE_CMD_FERRY_COMMIT);
        stream_in_free(s);
        buf_free(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_in_stream),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
