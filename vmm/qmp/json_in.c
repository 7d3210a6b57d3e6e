/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens to values, with a stack of containers under construction instead of recursion.
 *
 * A value ends when its braces and brackets are balanced (or one closes that was never opened), so
 * an error inside it costs exactly this value and one answer. After a limit was exceeded, all is
 * passed over up to the matching closer. After a byte that cannot be JSON nothing is certain: an
 * opener begins a new value, and closers, commas, colons and scalars that may belong to the broken
 * one are passed over while it still owes closers ("debt").
 */
#include "vmm/qmp/json_in.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/num.h"
#include "base/own.h"
#include "vmm/qmp/json_budget.h"
#include "vmm/qmp/json_lex.h"
#include "vmm/qmp/json_string.h"

/* Between two looks at the budget. */
#define IN_PIECE_BYTES 4096u

enum json_expect {
    EXPECT_VALUE = 0,
    EXPECT_VALUE_OR_END, /* just after '[' */
    EXPECT_KEY,
    EXPECT_KEY_OR_END, /* just after '{' */
    EXPECT_COLON,
    EXPECT_COMMA_OR_END,
};

struct json_frame {
    struct json_object *container; /* owned */
    bool is_object;
    char *key; /* owned; of the member whose value comes next */
    enum json_expect expect;
};

struct json_in {
    struct json_budget *budget; /* loan */
    struct json_lex lex;
    size_t text_held_bytes; /* of the budget: the lexer's text */

    /* The value under way. */
    struct json_frame *frames; /* owned */
    size_t depth, frame_cap;
    struct json_object *done; /* owned; when depth is 0 again */
    long braces, brackets;    /* open ones; negative: one closed that was never opened */
    size_t token_count, token_bytes;
    size_t held_bytes; /* of the budget: what was created */
    bool over_budget;
    bool failed;
    struct ferry_err err; /* of the first failure */

    size_t skip; /* closers to pass over after a limit was exceeded */
    size_t debt; /* closers that a broken value may still have */
};

struct json_in *json_in_new(struct json_budget *budget)
{
    struct json_in *j = calloc(1, sizeof(*j));

    if (!j)
        return NULL;
    j->budget = budget;
    j->lex.text_max_bytes = JSON_IN_BYTES_MAX;
    return j;
}

static void in_drop_frames(struct json_in *j)
{
    while (j->depth > 0) {
        struct json_frame *f = &j->frames[--j->depth];

        json_object_put(f->container);
        free(f->key);
    }
    json_object_put(j->done);
    j->done = NULL;
    json_budget_return(j->budget, j->held_bytes);
    j->held_bytes = 0;
}

static void in_reset(struct json_in *j)
{
    in_drop_frames(j);
    j->braces = j->brackets = 0;
    j->token_count = j->token_bytes = 0;
    j->lex.text_max_bytes = JSON_IN_BYTES_MAX;
    j->failed = j->over_budget = false;
}

void json_in_free(struct json_in *j)
{
    if (!j)
        return;
    in_drop_frames(j);
    free(j->frames);
    json_lex_free(&j->lex);
    json_budget_return(j->budget, j->text_held_bytes);
    free(j);
}

/* --- Grammar --- */

static int in_error(struct json_in *j, const char *what)
{
    return err_set(&j->err, EINVAL, "JSON parse error, %s", what);
}

/* Before something is created that takes this much. */
static int in_take(struct json_in *j, size_t bytes)
{
    const struct json_budget *b = j->budget;

    if (json_budget_take(j->budget, bytes)) {
        j->held_bytes += bytes;
        return 0;
    }
    j->over_budget = true;
    return err_set(&j->err, E2BIG,
                   "JSON memory limit exceeded: what one client sends may hold %zu KiB%s",
                   b->max_bytes >> 10,
                   b->max_bytes - b->held_bytes < bytes
                       ? "; send less at once"
                       : ", and all clients hold as much as they may; send it again later");
}

/* A complete value goes where it belongs. Takes it. */
static int in_attach(struct json_in *j, struct json_object *value)
{
    struct json_frame *f = j->depth ? &j->frames[j->depth - 1] : NULL;
    int rc = 0;

    if (!f) {
        j->done = value;
        return 0;
    }
    f->expect = EXPECT_COMMA_OR_END;
    if (!f->is_object) {
        rc = json_object_array_add(f->container, value);
    } else if (json_object_object_get_ex(f->container, f->key, NULL)) {
        json_object_put(value);
        return in_error(j, "duplicate key");
    } else {
        rc = json_object_object_add_ex(f->container, f->key, value, JSON_C_OBJECT_ADD_KEY_IS_NEW);
        free(TAKE_PTR(f->key));
    }
    if (rc == 0)
        return 0;
    json_object_put(value);
    return in_error(j, "out of memory");
}

static int in_push(struct json_in *j, bool is_object)
{
    struct json_object *container;
    int rc = in_take(j, JSON_ELEMENT_BYTES + (is_object ? JSON_OBJECT_BYTES : JSON_ARRAY_BYTES));

    if (rc < 0)
        return rc;
    if (j->depth == j->frame_cap) {
        size_t cap = j->frame_cap ? j->frame_cap * 2 : 16;
        struct json_frame *frames = realloc(j->frames, cap * sizeof(*frames));

        if (!frames)
            return in_error(j, "out of memory");
        j->frames = frames;
        j->frame_cap = cap;
    }
    container = is_object ? json_object_new_object() : json_object_new_array();
    if (!container)
        return in_error(j, "out of memory");
    j->frames[j->depth++] = (struct json_frame){
        .container = container,
        .is_object = is_object,
        .expect = is_object ? EXPECT_KEY_OR_END : EXPECT_VALUE_OR_END,
    };
    return 0;
}

static int in_pop(struct json_in *j)
{
    struct json_frame *f = &j->frames[--j->depth];

    free(f->key);
    return in_attach(j, f->container);
}

/* The string token, decoded and NUL terminated. */
static int in_string(struct json_in *j, struct buf *out)
{
    int rc = json_string_decode(out, (const char *)j->lex.text.data + 1, j->lex.text.len_bytes - 3,
                                &j->err);

    if (rc < 0)
        return rc;
    buf_u8(out, 0);
    return out->failed || out->len_bytes > INT32_MAX ? in_error(j, "out of memory") : 0;
}

static struct json_object *in_integer(const char *text)
{
    char *end;
    int64_t i;
    uint64_t u;

    errno = 0;
    i = strtoll(text, &end, 10);
    if (!errno)
        return json_object_new_int64(i);
    errno = 0;
    u = strtoull(text, &end, 10);
    if (!errno && text[0] != '-')
        return json_object_new_uint64(u);
    return NULL;
}

/* A scalar token to *ret; NULL is a valid value. */
static int in_scalar(struct json_in *j, enum json_token token, struct json_object **ret)
{
    OWN(buf_free) struct buf string = {0};
    const char *text = (const char *)j->lex.text.data;
    double number;
    int rc;

    *ret = NULL;
    rc = in_take(j, JSON_ELEMENT_BYTES + JSON_SCALAR_BYTES + j->lex.text.len_bytes);
    if (rc < 0)
        return rc;
    if (token == JSON_TOKEN_KEYWORD) {
        if (!strcmp(text, "null"))
            return 0;
        if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
            return err_set(&j->err, EINVAL, "JSON parse error, invalid keyword '%.100s'", text);
        *ret = json_object_new_boolean(text[0] == 't');
    } else if (token == JSON_TOKEN_STRING) {
        rc = in_string(j, &string);
        if (rc < 0)
            return rc;
        *ret = json_object_new_string_len((const char *)string.data, (int)string.len_bytes - 1);
    } else {
        if (token == JSON_TOKEN_INTEGER)
            *ret = in_integer(text);
        if (!*ret) {
            number = strtod(text, NULL);
            if (!isfinite(number))
                return err_set(&j->err, ERANGE,
                               "JSON parse error, number '%.100s' is beyond what a double can hold",
                               text);
            *ret = json_object_new_double(number);
        }
    }
    return *ret ? 0 : in_error(j, "out of memory");
}

static int in_value(struct json_in *j, enum json_token token)
{
    struct json_object *value;
    int rc;

    switch (token) {
    case JSON_TOKEN_OBJECT_BEGIN:
    case JSON_TOKEN_ARRAY_BEGIN:
        return in_push(j, token == JSON_TOKEN_OBJECT_BEGIN);
    case JSON_TOKEN_STRING:
    case JSON_TOKEN_INTEGER:
    case JSON_TOKEN_FLOAT:
    case JSON_TOKEN_KEYWORD:
        rc = in_scalar(j, token, &value);
        return rc < 0 ? rc : in_attach(j, value);
    default:
        return in_error(j, "expecting value");
    }
}

static int in_key(struct json_in *j, struct json_frame *f, enum json_token token)
{
    OWN(buf_free) struct buf key = {0};
    struct json_object *ignored = NULL;
    int rc;

    if (token == JSON_TOKEN_STRING) {
        rc = in_take(j, JSON_MEMBER_BYTES + j->lex.text.len_bytes);
        if (!rc)
            rc = in_string(j, &key);
        if (rc < 0)
            return rc;
        f->key = (char *)TAKE_PTR(key.data);
        f->expect = EXPECT_COLON;
        return 0;
    }
    if (token == JSON_TOKEN_KEYWORD || token == JSON_TOKEN_INTEGER || token == JSON_TOKEN_FLOAT) {
        rc = in_scalar(j, token, &ignored);
        json_object_put(ignored);
        if (rc < 0)
            return rc;
    } else if (token != JSON_TOKEN_OBJECT_BEGIN && token != JSON_TOKEN_ARRAY_BEGIN) {
        return in_error(j, "expecting value");
    }
    return in_error(j, "key is not a string in object");
}

static int in_parse(struct json_in *j, enum json_token token)
{
    struct json_frame *f = j->depth ? &j->frames[j->depth - 1] : NULL;
    bool ends = f && token == (f->is_object ? JSON_TOKEN_OBJECT_END : JSON_TOKEN_ARRAY_END);

    switch (f ? f->expect : EXPECT_VALUE) {
    case EXPECT_KEY_OR_END:
    case EXPECT_KEY:
        return ends && f->expect == EXPECT_KEY_OR_END ? in_pop(j) : in_key(j, f, token);
    case EXPECT_COLON:
        if (token != JSON_TOKEN_COLON)
            return in_error(j, "missing : in object pair");
        f->expect = EXPECT_VALUE;
        return 0;
    case EXPECT_COMMA_OR_END:
        if (ends)
            return in_pop(j);
        if (token != JSON_TOKEN_COMMA)
            return in_error(j, f->is_object ? "expected separator in dict"
                                            : "expected separator in list");
        f->expect = f->is_object ? EXPECT_KEY : EXPECT_VALUE;
        return 0;
    case EXPECT_VALUE_OR_END:
        if (ends)
            return in_pop(j);
        return in_value(j, token);
    default:
        return in_value(j, token);
    }
}

/* --- Where values begin and end --- */

static size_t in_open(const struct json_in *j)
{
    return (size_t)(j->braces + j->brackets);
}

static void in_limit(struct json_in *j, const char *what, struct json_in_result *ret)
{
    ret->kind = JSON_IN_ERROR;
    err_set(&ret->err, E2BIG, "%s", what);
    j->skip = in_open(j);
    in_reset(j);
}

static void in_stray(struct json_in *j, struct json_in_result *ret)
{
    const struct buf *text = &j->lex.text;
    bool reset = json_lex_is_reset(text->data[text->len_bytes - 2]);

    if (j->skip > 0 && !reset)
        return;
    ret->kind = JSON_IN_ERROR;
    err_set(&ret->err, EINVAL, "JSON parse error, stray '%s'", (const char *)text->data);
    j->debt = reset ? 0 : j->debt + in_open(j);
    j->skip = 0;
    in_reset(j);
}

static void in_finish(struct json_in *j, struct json_in_result *ret)
{
    if (j->failed) {
        ret->kind = JSON_IN_ERROR;
        ret->err = j->err;
    } else {
        ret->kind = JSON_IN_VALUE;
        ret->value = TAKE_PTR(j->done);
        ret->held_bytes = j->held_bytes;
        j->held_bytes = 0;
    }
    in_reset(j);
}

static void in_count(struct json_in *j, enum json_token token)
{
    j->braces += (token == JSON_TOKEN_OBJECT_BEGIN) - (token == JSON_TOKEN_OBJECT_END);
    j->brackets += (token == JSON_TOKEN_ARRAY_BEGIN) - (token == JSON_TOKEN_ARRAY_END);
    j->token_count++;
    j->token_bytes += j->lex.text.len_bytes - 1;
}

static void in_token(struct json_in *j, enum json_token token, struct json_in_result *ret)
{
    bool opens = token == JSON_TOKEN_OBJECT_BEGIN || token == JSON_TOKEN_ARRAY_BEGIN;
    bool closes = token == JSON_TOKEN_OBJECT_END || token == JSON_TOKEN_ARRAY_END;

    if (token == JSON_TOKEN_STRAY) {
        in_stray(j, ret);
        return;
    }
    if (j->skip > 0) {
        j->skip += opens ? 1 : 0;
        j->skip -= closes ? 1 : 0;
        return;
    }
    if (token == JSON_TOKEN_TOO_LONG) {
        in_limit(j, "JSON token size limit exceeded", ret);
        return;
    }
    if (j->debt > 0 && in_open(j) == 0 && !opens) {
        j->debt -= closes ? 1 : 0;
        return;
    }
    in_count(j, token);
    if (j->token_bytes > JSON_IN_BYTES_MAX) {
        in_limit(j, "JSON token size limit exceeded", ret);
        return;
    }
    if (j->token_count > JSON_IN_TOKEN_MAX) {
        in_limit(j, "JSON token count limit exceeded", ret);
        return;
    }
    if (j->braces + j->brackets > (long)JSON_IN_DEPTH_MAX) {
        in_limit(j, "JSON nesting depth limit exceeded", ret);
        return;
    }
    j->lex.text_max_bytes = JSON_IN_BYTES_MAX - j->token_bytes;
    if (!j->failed && in_parse(j, token) < 0) {
        if (j->over_budget) {
            in_limit(j, j->err.text, ret);
            return;
        }
        j->failed = true;
        in_drop_frames(j);
    }
    if (j->braces < 0 || j->brackets < 0 || in_open(j) == 0)
        in_finish(j, ret);
}

/* A token whose text could not be stored is not what the client sent. */
static bool in_no_memory(struct json_in *j, struct json_in_result *ret)
{
    if (!j->lex.text.failed)
        return false;
    ret->kind = JSON_IN_ERROR;
    err_set(&ret->err, ENOMEM, "JSON parse error, out of memory");
    j->skip = in_open(j);
    in_reset(j);
    return true;
}

/* Before n more bytes: as much text as the budget has room for, which may be none. */
static void in_text_take(struct json_in *j, size_t n)
{
    size_t want = 2 * (j->lex.text.len_bytes + n), left = JSON_IN_BYTES_MAX - j->token_bytes;

    if (want > j->text_held_bytes && !json_budget_take(j->budget, want - j->text_held_bytes))
        left = num_min(left, j->text_held_bytes / 2);
    else if (want > j->text_held_bytes)
        j->text_held_bytes = want;
    j->lex.text_max_bytes = left;
}

/* And behind them: what was kept. */
static void in_text_settle(struct json_in *j)
{
    size_t kept = num_min(j->lex.text.cap_bytes, j->text_held_bytes);

    json_budget_return(j->budget, j->text_held_bytes - kept);
    j->text_held_bytes = kept;
}

size_t json_in_feed(struct json_in *j, const void *data, size_t n, struct json_in_result *ret)
{
    const uint8_t *at = data;
    size_t pos = 0;

    *ret = (struct json_in_result){0};
    while (pos < n && ret->kind == JSON_IN_NOTHING) {
        size_t piece_end = pos + num_min(n - pos, IN_PIECE_BYTES);

        in_text_take(j, piece_end - pos);
        while (pos < piece_end && ret->kind == JSON_IN_NOTHING) {
            bool used;
            enum json_token token = json_lex_byte(&j->lex, at[pos], &used);

            pos += used;
            if (token != JSON_TOKEN_NONE && !in_no_memory(j, ret))
                in_token(j, token, ret);
        }
        in_text_settle(j);
    }
    return pos;
}

void json_in_end(struct json_in *j, struct json_in_result *ret)
{
    enum json_token token = json_lex_end(&j->lex);

    *ret = (struct json_in_result){0};
    if (token != JSON_TOKEN_NONE && !in_no_memory(j, ret))
        in_token(j, token, ret);
    j->skip = j->debt = 0;
    if (ret->kind != JSON_IN_NOTHING || in_open(j) == 0)
        return;
    if (!j->failed)
        in_error(j, "premature EOI");
    j->failed = true;
    in_finish(j, ret);
}

bool json_in_idle(const struct json_in *j)
{
    return in_open(j) == 0 && j->skip == 0 && j->debt == 0;
}

int json_in_text(const char *text, struct json_object **ret, struct ferry_err *err)
{
    struct json_budget budget = {.max_bytes = JSON_IN_TEXT_MAX};
    struct json_in *j = json_in_new(&budget);
    struct json_in_result first, second = {0};
    size_t n = strlen(text), used;

    if (!j)
        return err_set(err, ENOMEM, "no memory to read JSON");
    used = json_in_feed(j, text, n, &first);
    if (first.kind == JSON_IN_NOTHING)
        json_in_end(j, &first);
    else if (json_in_feed(j, text + used, n - used, &second), second.kind == JSON_IN_NOTHING)
        json_in_end(j, &second);
    json_in_free(j);
    if (first.kind == JSON_IN_VALUE && second.kind == JSON_IN_NOTHING) {
        *ret = first.value;
        return 0;
    }
    json_object_put(first.value);
    json_object_put(second.value);
    if (first.kind == JSON_IN_ERROR)
        return err_set(err, first.err.errnum, "%s", first.err.text);
    return err_set(err, EINVAL,
                   first.kind == JSON_IN_NOTHING ? "there is no JSON value"
                                                 : "there is more than one JSON value");
}
