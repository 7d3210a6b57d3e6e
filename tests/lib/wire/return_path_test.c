/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/wire/return_path.h"

/* All of out through a reader, in pieces. */
static int decode(const struct buf *out, size_t piece, struct buf *said, struct ferry_err *err)
{
    struct return_path_in *in = calloc(1, sizeof(*in));
    struct return_message m;
    int r = 0;

    return_path_in_init(in);
    for (size_t at = 0; at < out->len_bytes && r >= 0; at += piece) {
        size_t n = out->len_bytes - at < piece ? out->len_bytes - at : piece;
        uint8_t *exact = malloc(n); /* so that overruns show */
        struct rd bytes = rd_make(exact, n);

        memcpy(exact, out->data + at, n);
        while ((r = return_path_in_next(in, &bytes, &m, err)) > 0)
            buf_printf(said, "%s %x %llx %x %u/%u \"%s\" %.*s;", return_path_name(m.type), m.value,
                       (unsigned long long)m.offset_bytes, m.length_bytes, m.protocol, m.oldest,
                       m.text, (int)m.ledger_bytes, m.ledger ? (const char *)m.ledger : "");
        free(exact);
    }
    free(in);
    buf_u8(said, 0);
    return r;
}

static void test_round_trip(void **state)
{
    static const char want[] = "SHUT 1 0 0 0/0 \"\" ;"
                               "PONG 46455259 0 0 0/0 \"\" ;"
                               "REQ_PAGES_ID 0 120000 1000 0/0 \"riscv_virt_board.ram\" ;"
                               "REQ_PAGES 0 127000 1000 0/0 \"\" ;"
                               "RESUME_ACK 1 0 0 0/0 \"\" ;"
                               "SWITCHOVER_ACK 0 0 0 0/0 \"\" ;"
                               "FERRY_HELLO 0 0 0 1/1 \"0.1.0\" ;"
                               "FERRY_ACCEPT 0 0 0 0/0 \"\" ;"
                               "FERRY_REFUSE 0 0 0 0/0 \"memory differs: 8 and 16 MiB\" ;"
                               "FERRY_LOADED 0 0 0 0/0 \"\" ;"
                               "FERRY_LEDGER 0 0 0 0/0 \"\" what was when;";
    struct buf out = {0};

    return_path_put_shut(&out, 1);
    return_path_put_pong(&out, WIRE_PING_FERRY);
    return_path_put_request(&out, "riscv_virt_board.ram", 0x120000, 0x1000);
    return_path_put_request(&out, NULL, 0x127000, 0x1000);
    return_path_put_plain(&out, WIRE_RP_RESUME_ACK);
    return_path_put_plain(&out, WIRE_RP_SWITCHOVER_ACK);
    return_path_put_hello(&out, "0.1.0");
    return_path_put_plain(&out, WIRE_RP_FERRY_ACCEPT);
    return_path_put_refuse(&out, "memory differs: 8 and 16 MiB");
    return_path_put_plain(&out, WIRE_RP_FERRY_LOADED);
    return_path_put_ledger(&out, "what was when", 13);
    for (size_t piece = 1; piece < 300; piece = piece * 2 + 1) {
        struct buf said = {0};
        struct ferry_err err = {0};

        assert_int_equal(decode(&out, piece, &said, &err), 0);
        assert_string_equal((char *)said.data, want);
        buf_free(&said);
    }
    buf_free(&out);
}

/* The most of each, and a sentence that is longer than fits. */
static void test_limits(void **state)
{
    char *text = malloc(2000);
    uint8_t *ledger = calloc(1, WIRE_RP_LEDGER_MAX_BYTES);
    struct return_path_in *in = calloc(1, sizeof(*in));
    struct return_message m;
    struct buf out = {0};
    struct rd bytes;
    struct ferry_err err = {0};

    memset(text, 'x', 2000);
    text[1999] = 0;
    return_path_put_refuse(&out, text);
    return_path_put_ledger(&out, ledger, WIRE_RP_LEDGER_MAX_BYTES);
    return_path_in_init(in);
    bytes = rd_make(out.data, out.len_bytes);
    assert_int_equal(return_path_in_next(in, &bytes, &m, &err), 1);
    assert_int_equal(strlen(m.text), WIRE_RP_TEXT_MAX_BYTES);
    assert_int_equal(return_path_in_next(in, &bytes, &m, &err), 1);
    assert_int_equal(m.ledger_bytes, WIRE_RP_LEDGER_MAX_BYTES);
    buf_free(&out);
    free(in);
    free(ledger);
    free(text);
}

static void refuse(const char *data, size_t n, const char *want)
{
    struct buf out = {0};

    buf_put(&out, data, n);
    for (size_t piece = 1; piece < 100; piece *= 10) {
        struct buf said = {0};
        struct ferry_err err = {0};

        assert_int_equal(decode(&out, piece, &said, &err), -EINVAL);
        if (!strstr(err.text, want))
            fail_msg("\"%s\" does not say \"%s\"", err.text, want);
        buf_free(&said);
    }
    buf_free(&out);
}

static void test_refusals(void **state)
{
    refuse("\0\0\0\0", 4, "unknown type 0x0");
    refuse("\0\x08\0\0", 4, "unknown type 0x8");
    refuse("\x46\x00\0\0", 4, "unknown type 0x4600");
    refuse("\x46\x06\0\0", 4, "unknown type 0x4606");
    refuse("\0\1\0\3", 4, "SHUT with 3 bytes");
    refuse("\0\2\0\5", 4, "PONG with 5 bytes");
    refuse("\0\3\0\x0d", 4, "REQ_PAGES_ID with 13 bytes");
    refuse("\0\3\2\0", 4, "REQ_PAGES_ID with 512 bytes");
    refuse("\0\3\0\x0f"
           "aaaaaaaabbbb\1xy",
           19, "too many for its name");
    refuse("\0\3\0\x0f"
           "aaaaaaaabbbb\3xy",
           19, "too few for its name");
    refuse("\0\3\0\x0e"
           "aaaaaaaabbbb\1\n",
           18, "has byte 0a in it");
    refuse("\0\4\0\x0b", 4, "REQ_PAGES with 11 bytes");
    refuse("\0\5\0\1", 4, "RECV_BITMAP with 1 bytes");
    refuse("\0\5\0\4\1xyz", 8, "too many");
    refuse("\0\5\0\2\1x\0", 7, "a bitmap that nobody asked for");
    refuse("\0\6\0\4\0\0\0\0", 8, "RESUME_ACK says 0, not 1");
    refuse("\0\7\0\1", 4, "SWITCHOVER_ACK with 1 bytes");
    refuse("\x46\1\0\4", 4, "FERRY_HELLO with 4 bytes");
    refuse("\x46\2\0\1", 4, "FERRY_ACCEPT with 1 bytes");
    refuse("\x46\3\2\0", 4, "FERRY_REFUSE with 512 bytes");
    refuse("\x46\4\0\1", 4, "FERRY_LOADED with 1 bytes");
    refuse("\x46\5\x40\1", 4, "FERRY_LEDGER with 16385 bytes");
}

/* A peer's sentence goes to people: what does not print is replaced. */
static void test_sentence(void **state)
{
    struct return_path_in *in = calloc(1, sizeof(*in));
    struct return_message m;
    struct rd bytes = rd_make("\x46\3\0\7a\0\033[m\x7f\xff", 11);
    struct ferry_err err = {0};

    return_path_in_init(in);
    assert_int_equal(return_path_in_next(in, &bytes, &m, &err), 1);
    assert_string_equal(m.text, "a??[m??");
    free(in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_sentence),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
