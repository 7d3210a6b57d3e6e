/* SPDX-License-Identifier: Apache-2.0 */
/* Recursive: values that came from outside are at most JSON_IN_DEPTH_MAX deep. */
#include "vmm/qmp/json_out.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

struct json_out {
    struct buf *out;
    bool pretty;
    size_t depth;
};

static void out_value(struct json_out *o, struct json_object *value);

static void out_unicode(struct buf *out, uint32_t c)
{
    if (c >= 0x10000) {
        c -= 0x10000;
        buf_printf(out, "\\u%04X\\u%04X", 0xd800 + (c >> 10), 0xdc00 + (c & 0x3ff));
    } else {
        buf_printf(out, "\\u%04X", c);
    }
}

static void out_string(struct buf *out, const char *text, size_t n)
{
    static const char bytes[] = "\"\\\b\f\n\r\t", names[] = "\"\\bfnrt";
    const uint8_t *at = (const uint8_t *)text;

    buf_u8(out, '"');
    while (n > 0) {
        const char *escape = *at ? strchr(bytes, *at) : NULL;
        uint32_t c;

        if (escape) {
            buf_u8(out, '\\');
            buf_u8(out, (uint8_t)names[escape - bytes]);
            at++;
            n--;
        } else if (*at >= 0x20 && *at < 0x7f) {
            buf_u8(out, *at);
            at++;
            n--;
        } else {
            /* What is not valid UTF-8 becomes the replacement character. */
            out_unicode(out, utf8_next(&at, &n, &c) < 0 ? 0xfffd : c);
        }
    }
    buf_u8(out, '"');
}

/* The shortest text that reads back as the same number, and as a double. */
static void out_double(struct buf *out, double number)
{
    char text[32];

    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, number);
        if (strtod(text, NULL) == number)
            break;
    }
    buf_str(out, text);
    if (!strpbrk(text, ".en"))
        buf_str(out, ".0");
}

static void out_newline(struct json_out *o)
{
    if (!o->pretty)
        return;
    buf_str(o->out, "\r\n");
    for (size_t i = 0; i < o->depth; i++)
        buf_str(o->out, "    ");
}

/* Before each element of a container but the first. */
static void out_separator(struct json_out *o, bool first)
{
    if (!first)
        buf_str(o->out, o->pretty ? "," : ", ");
    out_newline(o);
}

static void out_array(struct json_out *o, struct json_object *array)
{
    size_t n = json_object_array_length(array);

    buf_u8(o->out, '[');
    o->depth++;
    for (size_t i = 0; i < n; i++) {
        out_separator(o, i == 0);
        out_value(o, json_object_array_get_idx(array, i));
    }
    o->depth--;
    out_newline(o);
    buf_u8(o->out, ']');
}

static void out_object(struct json_out *o, struct json_object *object)
{
    bool first = true;

    buf_u8(o->out, '{');
    o->depth++;
    json_object_object_foreach(object, key, value)
    {
        out_separator(o, first);
        first = false;
        out_string(o->out, key, strlen(key));
        buf_str(o->out, ": ");
        out_value(o, value);
    }
    o->depth--;
    out_newline(o);
    buf_u8(o->out, '}');
}

static void out_value(struct json_out *o, struct json_object *value)
{
    if (o->out->failed) /* so that what is refused costs no more time either */
        return;
    switch (json_object_get_type(value)) {
    case json_type_null:
        buf_str(o->out, "null");
        break;
    case json_type_boolean:
        buf_str(o->out, json_object_get_boolean(value) ? "true" : "false");
        break;
    case json_type_int:
        if (json_object_get_int64(value) < 0)
            buf_printf(o->out, "%" PRId64, json_object_get_int64(value));
        else
            buf_printf(o->out, "%" PRIu64, json_object_get_uint64(value));
        break;
    case json_type_double:
        out_double(o->out, json_object_get_double(value));
        break;
    case json_type_string:
        out_string(o->out, json_object_get_string(value),
                   (size_t)json_object_get_string_len(value));
        break;
    case json_type_array:
        out_array(o, value);
        break;
    case json_type_object:
        out_object(o, value);
        break;
    }
}

void json_out_value(struct buf *out, struct json_object *value)
{
    struct json_out o = {.out = out};

    out_value(&o, value);
}

char *json_out_text(struct json_object *value)
{
    struct buf text = {0};
    char *ret;

    json_out_value(&text, value);
    ret = text.failed ? NULL : strndup((const char *)text.data, text.len_bytes);
    buf_free(&text);
    return ret;
}

void json_out_line(struct buf *out, struct json_object *value, bool pretty)
{
    struct json_out o = {.out = out, .pretty = pretty};

    out_value(&o, value);
    buf_str(out, "\r\n");
}
