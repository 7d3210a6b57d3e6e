/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "vmm/qmp/json_budget.h"
#include "vmm/qmp/json_in.h"
#include "vmm/qmp/json_out.h"

/* Another one goes on for *j. */
static void replace(struct json_in **j, struct json_budget *budget)
{
    OWN(buf_free) struct buf saved = {0};
    struct json_in *next = json_in_new(budget);
    struct ferry_err err;
    struct rd rd;

    json_in_save(*j, &saved);
    rd = rd_make(saved.data, saved.len_bytes);
    assert_int_equal(json_in_load(next, &rd, &err), 0);
    assert_int_equal(rd_left(&rd), 0);
    assert_int_equal(json_in_idle(next), json_in_idle(*j));
    json_in_free(*j);
    *j = next;
}

/*
 * Everything that a piece of input gives: "value;" and "!error;" one after the other. replacer: of
 * the budget of *j, which is another one for each piece; NULL: it stays.
 */
static void run_pieces(struct json_in **replaced, const char *data, size_t n, size_t piece,
                       struct json_budget *replacer, struct buf *out)
{
    for (size_t pos = 0; pos < n;) {
        struct json_in *j = *replaced;
        size_t end = pos + piece < n ? pos + piece : n;

        while (pos < end) {
            struct json_in_result r;

            pos += json_in_feed(j, data + pos, end - pos, &r);
            if (r.kind == JSON_IN_ERROR)
                buf_printf(out, "!%s;", r.err.text);
            if (r.kind != JSON_IN_VALUE)
                continue;
            json_out_value(out, r.value);
            buf_u8(out, ';');
            json_object_put(r.value);
        }
        if (replacer)
            replace(replaced, replacer);
    }
}

static void expect(const char *data, size_t n, const char *wanted)
{
    for (size_t piece = 1; piece <= n; piece += piece < 40 ? 1 : 997) {
        for (int replaced = 0; replaced < (n < 512 ? 2 : 1); replaced++) {
            struct json_budget budget = {.max_bytes = SIZE_MAX};
            struct json_in *j = json_in_new(&budget);
            OWN(buf_free) struct buf out = {0};

            run_pieces(&j, data, n, piece, replaced ? &budget : NULL, &out);
            buf_u8(&out, 0);
            assert_string_equal(out.data, wanted);
            json_in_free(j);
        }
    }
}

struct row {
    const char *in, *out;
};

static void expect_rows(const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++)
        expect(rows[i].in, strlen(rows[i].in), rows[i].out);
}
#define EXPECT_ROWS(rows) expect_rows(rows, sizeof(rows) / sizeof((rows)[0]))
#define E                 "!JSON parse error, "

static void values_are_cut_by_their_own_delimiters(void **state)
{
    static const struct row rows[] = {
        {"{}", "{};"},
        {"{}{}[]", "{};{};[];"},
        {" \r\n\t{\n}\n", "{};"},
        {"{\"a\":[1,2,{\"b\":null}],\"c\":true}", "{\"a\": [1, 2, {\"b\": null}], \"c\": true};"},
        {"5", ""},
        {"5 ", "5;"},
        {"5{}", "5;{};"},
        {"null true false ", "null;true;false;"},
        {"\"x\"\"y\"", "\"x\";\"y\";"},
        {"{'a':'\\''}", "{\"a\": \"'\"};"},
        {"'\"'", "\"\\\"\";"},
        {"{\"a\":1", ""},
    };

    EXPECT_ROWS(rows);
}

static void numbers(void **state)
{
    static const struct row rows[] = {
        {"-0 ", "0;"},
        {"9223372036854775807 ", "9223372036854775807;"},
        {"-9223372036854775808 ", "-9223372036854775808;"},
        {"18446744073709551615 ", "18446744073709551615;"},
        {"18446744073709551616 ", "1.8446744073709552e+19;"},
        {"-9223372036854775809 ", "-9.223372036854776e+18;"},
        {"0.1 1e3 1.5E-3 1E+2 -0.0 ", "0.1;1000.0;0.0015;100.0;-0.0;"},
        {"0.30000000000000004 ", "0.30000000000000004;"},
        {"1e400 ", E "number '1e400' is beyond what a double can hold;"},
        {"-1e400 ", E "number '-1e400' is beyond what a double can hold;"},
        {"01 ", E "stray '01';"},
        {"-x\n5\n", E "stray '-x';5;"},
        {"1.x\n", E "stray '1.x';"},
        {"1e\n", E "stray '1e?';"},
        {"+1\n", E "stray '+';"},
        {"NaN\n", E "stray 'N';"},
        {"nan ", E "invalid keyword 'nan';"},
        {"inf ", E "invalid keyword 'inf';"},
    };

    EXPECT_ROWS(rows);
}

static void strings(void **state)
{
    static const struct row rows[] = {
        {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\\"\\\\/\\b\\f\\n\\r\\t\";"},
        {"\"\\u00e9\xc3\xa9\\u20AC\"", "\"\\u00E9\\u00E9\\u20AC\";"},
        {"\"\\ud83d\\ude00\xf0\x9f\x98\x80\"", "\"\\uD83D\\uDE00\\uD83D\\uDE00\";"},
        {"\"a\\u0000b\xc0\x80\"", "\"a\\u0000b\\u0000\";"},
        {"\"\x7f\"", "\"\\u007F\";"},
        {"{\"a\\u0000\":1,\"a\":2}", "{\"a\\u0000\": 1, \"a\": 2};"},
        {"\"\\x\"", E "invalid escape sequence in string;"},
        {"\"\\v\"", E "invalid escape sequence in string;"},
        {"\"\\ud800\"", E "\\ud800 is not a valid Unicode character;"},
        {"\"\\udc00\"", E "\\udc00 is not a valid Unicode character;"},
        {"\"\\ud800\\u0041\"", E "\\ud800 is not a valid Unicode character;"},
        {"\"\\uffff\"", E "\\uffff is not a valid Unicode character;"},
        {"\"\\u12\"", E "\\u12 is not a valid Unicode character;"},
        {"\"\xc1\x81\"", E "invalid UTF-8 sequence in string;"},
        {"\"\xe0\x80\x80\"", E "invalid UTF-8 sequence in string;"},
        {"\"\xed\xa0\x80\"", E "invalid UTF-8 sequence in string;"},
        {"\"\xef\xbf\xbf\"", E "invalid UTF-8 sequence in string;"},
        {"\"\xf4\x90\x80\x80\"", E "invalid UTF-8 sequence in string;"},
        {"\"\x80\"", E "invalid UTF-8 sequence in string;"},
        {"\"\xc3\"", E "invalid UTF-8 sequence in string;"},
        {"{\"a\":\"\xc3\",\"b\":{}}{}", E "invalid UTF-8 sequence in string;{};"},
    };

    EXPECT_ROWS(rows);
}

static void each_mistake_costs_one_value_and_one_answer(void **state)
{
    static const struct row rows[] = {
        {"{\"a\":}{}", E "expecting value;{};"},
        {"{,}{}", E "expecting value;{};"},
        {"{\"a\" 1}{}", E "missing : in object pair;{};"},
        {"{1:2}{}", E "key is not a string in object;{};"},
        {"{[1]:2}{}", E "key is not a string in object;{};"},
        {"{nul:2}{}", E "invalid keyword 'nul';{};"},
        {"{\"a\":1,\"a\":2}{}", E "duplicate key;{};"},
        {"{\"a\":1 2}{}", E "expected separator in dict;{};"},
        {"{\"a\":1,}{}", E "expecting value;{};"},
        {"[1 2]{}", E "expected separator in list;{};"},
        {"[1,]{}", E "expecting value;{};"},
        {"[{\"a\":[nul]},[[]],{}]{}", E "invalid keyword 'nul';{};"},
        {"{\"a\":1,\"a\":{\"b\":@}}{}", E "stray '@';{};"},
        {"}", E "expecting value;"},
        {"]", E "expecting value;"},
        {"{]", E "expecting value;"},
        {"[}", E "expecting value;"},
        {":", E "expecting value;"},
        {",", E "expecting value;"},
        {"/* x */\n{}", E "stray '/';{};"},
    };

    EXPECT_ROWS(rows);
}

static void after_a_byte_that_fits_nowhere(void **state)
{
    static const struct row rows[] = {
        /* The rest of the broken value is passed over ... */
        {"{\"a\":\"x\ny\"}{}", E "stray '\"x?';{};"},
        {"{\"a\":[@,1,\"b\"],\"c\":true}{}", E "stray '@';{};"},
        {"[[[@]]]]", E "stray '@';" E "expecting value;"},
        /* ... but a request that follows an unfinished one is not. */
        {"{\"a\":\"x\n{\"b\":1}", E "stray '\"x?';{\"b\": 1};"},
        /* A client forces a known state. */
        {"{\"a\":\"x\xff{\"b\":1}", E "stray '\"x?';{\"b\": 1};"},
        {"{\"a\":[[\x01{\"b\":1}5 ", E "stray '?';{\"b\": 1};5;"},
        {"\xfe{}", E "stray '?';{};"},
    };

    EXPECT_ROWS(rows);
}

static void depth_is_limited_and_answered_once(void **state)
{
    char in[3000] = {0}, out[3000] = {0};

    memset(in, '[', JSON_IN_DEPTH_MAX);
    memset(in + JSON_IN_DEPTH_MAX, ']', JSON_IN_DEPTH_MAX);
    memcpy(out, in, 2048);
    out[2048] = ';';
    expect(in, strlen(in), out);

    memset(in, '[', JSON_IN_DEPTH_MAX + 10);
    memset(in + JSON_IN_DEPTH_MAX + 10, ']', JSON_IN_DEPTH_MAX + 10);
    strcat(in, "{}");
    expect(in, strlen(in), "!JSON nesting depth limit exceeded;{};");
    /* A client that gives up gets a known state here, too. */
    strcpy(in + JSON_IN_DEPTH_MAX + 1, "@\xff{}");
    expect(in, strlen(in), "!JSON nesting depth limit exceeded;!JSON parse error, stray '?';{};");
}

static void run_whole(const char *data, size_t n, const char *wanted)
{
    struct json_budget budget = {.max_bytes = SIZE_MAX};
    struct json_in *j = json_in_new(&budget);
    OWN(buf_free) struct buf out = {0};

    run_pieces(&j, data, n, 65536, NULL, &out);
    buf_u8(&out, 0);
    assert_string_equal(out.data, wanted);
    json_in_free(j);
}

static void size_is_limited_and_answered_once(void **state)
{
    size_t n = JSON_IN_BYTES_MAX + 3000;
    OWN_MEM char *in = malloc(n);

    /* One giant string: of one byte too many, unfinished for long after. */
    memset(in, 'x', n);
    memcpy(in, "{\"a\":\"", 6);
    memcpy(in + n - 8, "\",[1]}{}", 8);
    run_whole(in, n, "!JSON token size limit exceeded;{};");
    /* Many strings. */
    for (size_t i = 1; i < n; i++)
        in[i] = i % 1000 == 1 || i % 1000 == 999 ? '"' : i % 1000 == 0 ? ',' : 'y';
    in[0] = '[';
    strcpy(in + n - 60 - (n - 60) % 1000, "]{}");
    run_whole(in, strlen(in), "!JSON token size limit exceeded;{};");
}

static void tokens_are_limited_and_answered_once(void **state)
{
    size_t n = JSON_IN_TOKEN_MAX + 100;
    OWN_MEM char *in = malloc(n + 1);

    for (size_t i = 0; i < n; i++)
        in[i] = i % 2 ? '1' : ',';
    in[n] = 0;
    in[0] = '[';
    memcpy(in + n - 4, ",1]5", 4);
    run_whole(in, n, "!JSON token count limit exceeded;");
    run_whole("{}", 2, "{};");
}

/* What hostile texts repeat, and how often it fits into 4 MiB of text. */
static const char *const repeated[] = {
    "{},", "[],", "0,", "\"\",", "{\"a\":1},", "[[0]],", "1.5,", "null,", "\"0123456789abcdef\",",
};

/* Repeats until it is refused or n bytes were fed; true: refused. */
static bool feed_repeated(struct json_in *j, const char *piece, size_t n, struct json_in_result *r)
{
    size_t length = strlen(piece);

    for (size_t fed = json_in_feed(j, "[", 1, r); fed < n; fed += length) {
        struct json_in_result rest;
        size_t used = json_in_feed(j, piece, length, r);

        if (r->kind != JSON_IN_ERROR)
            continue;
        json_in_feed(j, piece + used, length - used, &rest);
        return rest.kind == JSON_IN_NOTHING;
    }
    return false;
}

static void what_is_created_is_limited(void **state)
{
    for (size_t i = 0; i < sizeof(repeated) / sizeof(repeated[0]); i++) {
        struct json_budget shared = {.max_bytes = 1 << 20};
        struct json_budget budget = {&shared, 8 << 20, 64 << 10, 0};
        struct json_in *j = json_in_new(&budget);
        struct json_in_result r;

        assert_true(feed_repeated(j, repeated[i], 4 << 20, &r));
        assert_non_null(strstr(r.err.text, "memory limit"));
        assert_true(budget.held_bytes <= 4096 * 2); /* the value is gone, a token's text may stay */
        /* Passed over to its end, at no cost, and understood again behind it. */
        for (size_t n = 0; n < 1 << 20; n += strlen(repeated[i])) {
            json_in_feed(j, repeated[i], strlen(repeated[i]), &r);
            assert_int_equal(r.kind, JSON_IN_NOTHING);
        }
        assert_int_equal(json_in_feed(j, "0]{}", 4, &r), 4);
        assert_int_equal(r.kind, JSON_IN_VALUE);
        json_object_put(r.value);
        json_budget_return(&budget, r.held_bytes);
        json_in_free(j);
        assert_int_equal(budget.held_bytes, 0);
        assert_int_equal(shared.held_bytes, 0);
    }
}

static void what_is_created_takes_no_more_than_was_counted(void **state)
{
    for (size_t i = 0; i < sizeof(repeated) / sizeof(repeated[0]); i++) {
        struct json_budget budget = {.max_bytes = 16 << 20};
        struct json_in *j = json_in_new(&budget);
        struct json_in_result r;
        size_t before = mallinfo2().uordblks + mallinfo2().hblkhd; /* 0 under a sanitizer */

        assert_false(feed_repeated(j, repeated[i], 40000, &r));
        assert_in_range(mallinfo2().uordblks + mallinfo2().hblkhd - before, 0,
                        budget.held_bytes + 65536);
        json_in_free(j);
    }
}

static void nobody_takes_what_is_anothers_own(void **state)
{
    struct json_budget shared = {.max_bytes = 1 << 20};
    struct json_budget greedy = {&shared, 8 << 20, 64 << 10, 0};
    struct json_budget other = {&shared, 8 << 20, 64 << 10, 0};

    assert_true(json_budget_take(&greedy, (1 << 20) + (64 << 10)));
    assert_false(json_budget_take(&greedy, 1));
    assert_true(json_budget_take(&other, 64 << 10));
    assert_false(json_budget_take(&other, 1));
    json_budget_return(&greedy, 1);
    assert_true(json_budget_take(&other, 1));
    json_budget_return(&greedy, (1 << 20) + (64 << 10) - 1);
    json_budget_return(&other, (64 << 10) + 1);
    assert_int_equal(shared.held_bytes + greedy.held_bytes + other.held_bytes, 0);
}

static void a_token_that_is_kept_counts(void **state)
{
    struct json_budget budget = {.max_bytes = 1 << 20};
    struct json_in *j = json_in_new(&budget);
    struct json_in_result r;
    char text[4096];

    memset(text, 'x', sizeof(text));
    json_in_feed(j, "[\"", 2, &r);
    for (int i = 0; i < 1024 && r.kind == JSON_IN_NOTHING; i++) {
        json_in_feed(j, text, sizeof(text), &r);
        assert_true(budget.held_bytes <= 1 << 20);
    }
    assert_int_equal(r.kind, JSON_IN_ERROR);
    json_in_free(j);
    assert_int_equal(budget.held_bytes, 0);
}

/* Cut anywhere or with a bit flipped, it is refused, or is what can be gone on with. */
static void what_is_not_a_saved_state_is_refused(void **state)
{
    static const char after[] = "\"]}, {\"b\": 2}";
    static const char *const begun[] = {"{\"a\": [1, 'b", "{\"a\" 1, [", "[1, \001 {", "x"};

    for (size_t i = 0; i < sizeof(begun) / sizeof(begun[0]); i++) {
        struct json_budget budget = {.max_bytes = 1 << 20};
        struct json_in *j = json_in_new(&budget);
        OWN(buf_free) struct buf saved = {0};
        struct json_in_result r;

        for (size_t pos = 0; pos < strlen(begun[i]);)
            pos += json_in_feed(j, begun[i] + pos, strlen(begun[i]) - pos, &r);
        json_in_save(j, &saved);
        json_in_free(j);
        for (size_t bit = 0; bit < 9 * saved.len_bytes; bit++) {
            bool cut = bit >= 8 * saved.len_bytes;
            size_t n = cut ? bit - 8 * saved.len_bytes : saved.len_bytes;
            struct rd rd = rd_make(saved.data, n);
            struct ferry_err err;
            int rc;

            if (!cut)
                saved.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
            j = json_in_new(&budget);
            rc = json_in_load(j, &rd, &err);
            assert_true(rc == 0 ? !cut : rc == -EPROTO);
            for (size_t k = 0; rc == 0 && k < 64; k++) {
                json_in_feed(j, &after[k % 14], 1, &r);
                json_object_put(r.value);
                json_budget_return(&budget, r.held_bytes);
            }
            json_in_free(j);
            assert_int_equal(budget.held_bytes, 0);
            if (!cut)
                saved.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
    }
}

static void a_text_is_one_value(void **state)
{
    struct json_object *value = NULL;
    struct ferry_err err;

    assert_int_equal(json_in_text("5", &value, &err), 0);
    assert_int_equal(json_object_get_int64(value), 5);
    json_object_put(value);
    assert_int_equal(json_in_text(" {\"a\":1} ", &value, &err), 0);
    json_object_put(value);
    assert_true(json_in_text("{\"a\":1", &value, &err) < 0);
    assert_string_equal(err.text, "JSON parse error, premature EOI");
    assert_true(json_in_text("\"a", &value, &err) < 0);
    assert_true(json_in_text("", &value, &err) < 0);
    assert_string_equal(err.text, "there is no JSON value");
    assert_true(json_in_text("{} 5", &value, &err) < 0);
    assert_string_equal(err.text, "there is more than one JSON value");
    assert_true(json_in_text("{} }", &value, &err) < 0);
}

static void lines_are_written_as_qmp_writes_them(void **state)
{
    OWN(buf_free) struct buf out = {0};
    struct json_object *value;
    struct ferry_err err;

    assert_int_equal(json_in_text("{\"a\":{\"b\":[1,{}],\"c\":[]},\"d\":\"\\n\"}", &value, &err),
                     0);
    json_out_line(&out, value, false);
    buf_u8(&out, 0);
    assert_string_equal(out.data, "{\"a\": {\"b\": [1, {}], \"c\": []}, \"d\": \"\\n\"}\r\n");
    buf_reset(&out);
    json_out_line(&out, value, true);
    buf_u8(&out, 0);
    assert_string_equal(out.data, "{\r\n"
                                  "    \"a\": {\r\n"
                                  "        \"b\": [\r\n"
                                  "            1,\r\n"
                                  "            {\r\n"
                                  "            }\r\n"
                                  "        ],\r\n"
                                  "        \"c\": [\r\n"
                                  "        ]\r\n"
                                  "    },\r\n"
                                  "    \"d\": \"\\n\"\r\n"
                                  "}\r\n");
    json_object_put(value);
    buf_reset(&out);
    value = json_object_new_string("bad \xc3( \xff");
    json_out_value(&out, value);
    buf_u8(&out, 0);
    assert_string_equal(out.data, "\"bad \\uFFFD( \\uFFFD\"");
    json_object_put(value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_cut_by_their_own_delimiters),
        cmocka_unit_test(numbers),
        cmocka_unit_test(strings),
        cmocka_unit_test(each_mistake_costs_one_value_and_one_answer),
        cmocka_unit_test(after_a_byte_that_fits_nowhere),
        cmocka_unit_test(depth_is_limited_and_answered_once),
        cmocka_unit_test(size_is_limited_and_answered_once),
        cmocka_unit_test(tokens_are_limited_and_answered_once),
        cmocka_unit_test(what_is_created_is_limited),
        cmocka_unit_test(what_is_created_takes_no_more_than_was_counted),
        cmocka_unit_test(nobody_takes_what_is_anothers_own),
        cmocka_unit_test(a_token_that_is_kept_counts),
        cmocka_unit_test(what_is_not_a_saved_state_is_refused),
        cmocka_unit_test(a_text_is_one_value),
        cmocka_unit_test(lines_are_written_as_qmp_writes_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
