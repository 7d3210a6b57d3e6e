/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include <stdio.h>
#include <string.h>

#include "vmm/gdb/packet.h"

static struct packet packet;

/* What the last byte made of it; those before made nothing. */
static enum packet_event take(const char *bytes, size_t n)
{
    enum packet_event event = PACKET_NONE;

    for (size_t i = 0; i < n; i++) {
        assert_int_equal(event, PACKET_NONE);
        event = packet_take(&packet, (uint8_t)bytes[i]);
    }
    return event;
}
#define TAKE(bytes) take(bytes, sizeof(bytes) - 1)

static void whole_packets(void **state)
{
    assert_int_equal(TAKE("$OK#9a"), PACKET_WHOLE);
    assert_string_equal(packet.data, "OK");
    assert_int_equal(TAKE("+noise$#00"), PACKET_WHOLE);
    assert_string_equal(packet.data, "");
    assert_int_equal(TAKE("\x03"), PACKET_INTERRUPT);
    assert_int_equal(TAKE("-"), PACKET_REPEAT);
    assert_int_equal(TAKE("$cut$?#3F"), PACKET_WHOLE);
    assert_string_equal(packet.data, "?");
    /* Escaped: '}' and the byte with one bit turned. */
    assert_int_equal(TAKE("$X}\x03}]#b2"), PACKET_WHOLE);
    assert_int_equal(packet.data_bytes, 3);
    assert_memory_equal(packet.data, "X#}", 3);
}

static void damaged_packets(void **state)
{
    assert_int_equal(TAKE("$OK#9b"), PACKET_DAMAGED);
    assert_int_equal(TAKE("$OK#zz"), PACKET_DAMAGED);
    assert_int_equal(TAKE("$OK#9a"), PACKET_WHOLE);
}

static void a_packet_has_a_limit(void **state)
{
    static char bytes[2 * PACKET_BYTES];

    for (size_t extra = 0; extra < 2; extra++) {
        size_t n = PACKET_BYTES + extra;
        uint8_t sum = (uint8_t)(n * 'a');
        char end[4];

        memset(bytes, 'a', sizeof(bytes));
        bytes[0] = '$';
        snprintf(end, sizeof(end), "#%02x", sum);
        memcpy(bytes + 1 + n, end, 3);
        assert_int_equal(take(bytes, n + 4), extra ? PACKET_DAMAGED : PACKET_WHOLE);
    }
}

/* Each answer is waited for, or who asks for it again and again is answered as often at once. */
static void one_answer_at_a_time(void **state)
{
    static const struct {
        const char *before, *waits;
        size_t bytes;
    } cases[] = {
        {"", "----", 1},       {"", "\x03\x03", 1},  {"", "++-$", 3},   {"", "$?#3f$?#3f", 5},
        {"", "$Hg-1#df", 8},   {"", "$?#", 3},       {"$?", "#3f+", 3}, {"$?#", "3f", 1},
        {"$?#3", "f$?#3f", 1}, {"$Hg", "-1#df-", 5}, {"", "++", 2},     {"", "+$Hg-1", 6},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *waits = cases[i].waits;

        memset(&packet, 0, sizeof(packet));
        take(cases[i].before, strlen(cases[i].before));
        assert_int_equal(packet_look(&packet, (const uint8_t *)waits, strlen(waits)),
                         cases[i].bytes);
    }
    memset(&packet, 0, sizeof(packet));
}

static void what_is_put_can_be_taken(void **state)
{
    const char data[] = "a$b#c}d*e\0f";
    char framed[2 * sizeof(data) + 4];
    size_t n = packet_put(framed, data, sizeof(data));

    assert_int_equal(take(framed, n), PACKET_WHOLE);
    assert_int_equal(packet.data_bytes, sizeof(data));
    assert_memory_equal(packet.data, data, sizeof(data));
}

static void hex(void **state)
{
    const char *text = "12aF,";
    uint8_t bytes[2];
    char back[5];
    uint64_t n;

    assert_true(hex_number(&text, &n));
    assert_int_equal(n, 0x12af);
    assert_string_equal(text, ",");
    assert_false(hex_number(&text, &n));
    text = "ffffffffffffffff";
    assert_true(hex_number(&text, &n) && n == UINT64_MAX);
    text = "10000000000000000";
    assert_false(hex_number(&text, &n));
    text = "01fE9";
    assert_true(hex_bytes(&text, bytes, 2));
    assert_int_equal(bytes[1], 0xfe);
    assert_false(hex_bytes(&text, bytes, 1));
    hex_put(back, bytes, 2);
    assert_string_equal(back, "01fe");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_packets),
        cmocka_unit_test(damaged_packets),
        cmocka_unit_test(a_packet_has_a_limit),
        cmocka_unit_test(one_answer_at_a_time),
        cmocka_unit_test(what_is_put_can_be_taken),
        cmocka_unit_test(hex),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
