/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/qmp/json_parse.h"

#include <errno.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/own.h"
#include "vmm/qmp/json_budget.h"
#include "vmm/qmp/json_scalar.h"

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

void json_parse_drop(struct json_parse *p)
{
    while (p->depth > 0) {
        struct json_frame *f = &p->frames[--p->depth];

        json_object_put(f->container);
        free(f->key);
    }
    json_object_put(p->value);
    p->value = NULL;
    json_budget_return(p->budget, p->held_bytes);
    p->held_bytes = 0;
}

void json_parse_free(struct json_parse *p)
{
    json_parse_drop(p);
    free(p->frames);
}

struct json_object *json_parse_take(struct json_parse *p, size_t *held_bytes)
{
    *held_bytes = p->held_bytes;
    p->held_bytes = 0;
    return TAKE_PTR(p->value);
}

static int parse_error(struct ferry_err *err, const char *what)
{
    return err_set(err, EINVAL, "JSON parse error, %s", what);
}

/* Before something is created that takes this much. */
static int parse_charge(struct json_parse *p, size_t bytes, struct ferry_err *err)
{
    int rc = json_budget_charge(p->budget, bytes, err);

    if (!rc)
        p->held_bytes += bytes;
    return rc;
}

static int parse_scalar(struct json_parse *p, enum json_token token, const struct buf *text,
                        struct json_object **ret, struct ferry_err *err)
{
    int rc = parse_charge(p, JSON_ELEMENT_BYTES + JSON_SCALAR_BYTES + text->len_bytes, err);

    return rc < 0 ? rc : json_scalar(token, text, ret, err);
}

/* A complete value goes where it belongs. Takes it. */
static int parse_attach(struct json_parse *p, struct json_object *value, struct ferry_err *err)
{
    struct json_frame *f = p->depth ? &p->frames[p->depth - 1] : NULL;
    int rc = 0;

    if (!f) {
        p->value = value;
        return 0;
    }
    f->expect = EXPECT_COMMA_OR_END;
    if (!f->is_object) {
        rc = json_object_array_add(f->container, value);
    } else if (json_object_object_get_ex(f->container, f->key, NULL)) {
        json_object_put(value);
        return parse_error(err, "duplicate key");
    } else {
        rc = json_object_object_add_ex(f->container, f->key, value, JSON_C_OBJECT_ADD_KEY_IS_NEW);
        free(TAKE_PTR(f->key));
    }
    if (rc == 0)
        return 0;
    json_object_put(value);
    return parse_error(err, "out of memory");
}

static int parse_begin(struct json_parse *p, bool is_object, struct ferry_err *err)
{
    struct json_object *container;
    int rc = parse_charge(
        p, JSON_ELEMENT_BYTES + (is_object ? JSON_OBJECT_BYTES : JSON_ARRAY_BYTES), err);

    if (rc < 0)
        return rc;
    if (p->depth == p->frame_cap) {
        size_t cap = p->frame_cap ? p->frame_cap * 2 : 16;
        struct json_frame *frames = realloc(p->frames, cap * sizeof(*frames));

        if (!frames)
            return parse_error(err, "out of memory");
        p->frames = frames;
        p->frame_cap = cap;
    }
    container = is_object ? json_object_new_object() : json_object_new_array();
    if (!container)
        return parse_error(err, "out of memory");
    p->frames[p->depth++] = (struct json_frame){
        .container = container,
        .is_object = is_object,
        .expect = is_object ? EXPECT_KEY_OR_END : EXPECT_VALUE_OR_END,
    };
    return 0;
}

static int parse_end(struct json_parse *p, struct ferry_err *err)
{
    struct json_frame *f = &p->frames[--p->depth];

    free(f->key);
    return parse_attach(p, f->container, err);
}

static int parse_value(struct json_parse *p, enum json_token token, const struct buf *text,
                       struct ferry_err *err)
{
    struct json_object *value;
    int rc;

    switch (token) {
    case JSON_TOKEN_OBJECT_BEGIN:
    case JSON_TOKEN_ARRAY_BEGIN:
        return parse_begin(p, token == JSON_TOKEN_OBJECT_BEGIN, err);
    case JSON_TOKEN_STRING:
    case JSON_TOKEN_INTEGER:
    case JSON_TOKEN_FLOAT:
    case JSON_TOKEN_KEYWORD:
        rc = parse_scalar(p, token, text, &value, err);
        return rc < 0 ? rc : parse_attach(p, value, err);
    default:
        return parse_error(err, "expecting value");
    }
}

static int parse_key(struct json_parse *p, enum json_token token, const struct buf *text,
                     struct ferry_err *err)
{
    OWN(buf_free) struct buf key = {0};
    struct json_frame *f = &p->frames[p->depth - 1];
    struct json_object *ignored = NULL;
    int rc;

    if (token == JSON_TOKEN_STRING) {
        rc = parse_charge(p, JSON_MEMBER_BYTES + text->len_bytes, err);
        if (!rc)
            rc = json_scalar_string(text, &key, err);
        if (rc < 0)
            return rc;
        f->key = (char *)TAKE_PTR(key.data);
        f->expect = EXPECT_COLON;
        return 0;
    }
    if (token == JSON_TOKEN_KEYWORD || token == JSON_TOKEN_INTEGER || token == JSON_TOKEN_FLOAT) {
        rc = parse_scalar(p, token, text, &ignored, err);
        json_object_put(ignored);
        if (rc < 0)
            return rc;
    } else if (token != JSON_TOKEN_OBJECT_BEGIN && token != JSON_TOKEN_ARRAY_BEGIN) {
        return parse_error(err, "expecting value");
    }
    return parse_error(err, "key is not a string in object");
}

int json_parse_token(struct json_parse *p, enum json_token token, const struct buf *text,
                     struct ferry_err *err)
{
    struct json_frame *f = p->depth ? &p->frames[p->depth - 1] : NULL;
    bool ends = f && token == (f->is_object ? JSON_TOKEN_OBJECT_END : JSON_TOKEN_ARRAY_END);

    switch (f ? f->expect : EXPECT_VALUE) {
    case EXPECT_KEY_OR_END:
        return ends ? parse_end(p, err) : parse_key(p, token, text, err);
    case EXPECT_KEY:
        return parse_key(p, token, text, err);
    case EXPECT_COLON:
        if (token != JSON_TOKEN_COLON)
            return parse_error(err, "missing : in object pair");
        f->expect = EXPECT_VALUE;
        return 0;
    case EXPECT_COMMA_OR_END:
        if (ends)
            return parse_end(p, err);
        if (token != JSON_TOKEN_COMMA)
            return parse_error(err, f->is_object ? "expected separator in dict"
                                                 : "expected separator in list");
        f->expect = f->is_object ? EXPECT_KEY : EXPECT_VALUE;
        return 0;
    case EXPECT_VALUE_OR_END:
        return ends ? parse_end(p, err) : parse_value(p, token, text, err);
    default:
        return parse_value(p, token, text, err);
    }
}
