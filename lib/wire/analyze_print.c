/* SPDX-License-Identifier: Apache-2.0 */
/* Names and texts in it are a stranger's: in printable ASCII, whatever they hold. */
#include "lib/wire/analyze_print.h"

#include <string.h>

#include "base/buf.h"
#include "base/own.h"
#include "base/text.h"
#include "lib/state/json.h"

static void print_json(struct buf *out, struct json_object *o);

static void print_object(struct buf *out, struct json_object *o)
{
    const char *between = "";

    buf_str(out, "{");
    json_object_object_foreach(o, key, value)
    {
        buf_str(out, between);
        json_string(out, key);
        buf_str(out, ":");
        print_json(out, value);
        between = ",";
    }
    buf_str(out, "}");
}

static void print_array(struct buf *out, struct json_object *o)
{
    buf_str(out, "[");
    for (size_t i = 0; i < json_object_array_length(o); i++) {
        buf_str(out, i ? "," : "");
        print_json(out, json_object_array_get_idx(o, i));
    }
    buf_str(out, "]");
}

/* Of the types that an analysis makes. */
static void print_json(struct buf *out, struct json_object *o)
{
    if (json_object_is_type(o, json_type_object))
        print_object(out, o);
    else if (json_object_is_type(o, json_type_array))
        print_array(out, o);
    else if (json_object_is_type(o, json_type_string))
        json_string(out, json_object_get_string(o));
    else if (json_object_is_type(o, json_type_int))
        json_u64(out, json_object_get_uint64(o));
    else
        buf_str(out, !o ? "null" : json_object_get_boolean(o) ? "true" : "false");
}

static bool is_list_of_objects(struct json_object *o)
{
    return json_object_is_type(o, json_type_array) && json_object_array_length(o) &&
           json_object_is_type(json_object_array_get_idx(o, 0), json_type_object);
}

static void print_text(struct buf *out, struct json_object *o, int indent)
{
    json_object_object_foreach(o, key, value)
    {
        buf_printf(out, "%*s", 2 * indent, "");
        text_put(out, key, strlen(key));
        if (json_object_is_type(value, json_type_object)) {
            buf_str(out, "\n");
            print_text(out, value, indent + 1);
            continue;
        }
        if (!is_list_of_objects(value)) {
            buf_str(out, ": ");
            print_json(out, value);
            buf_str(out, "\n");
            continue;
        }
        buf_str(out, "\n");
        for (size_t i = 0; i < json_object_array_length(value); i++) {
            struct json_object *one = json_object_array_get_idx(value, i);

            buf_printf(out, "%*s-\n", 2 * indent, "");
            if (json_object_is_type(one, json_type_object))
                print_text(out, one, indent + 1);
        }
    }
}

char *analyze_print(struct json_object *o, bool json)
{
    OWN(buf_free) struct buf out = {0};

    if (json)
        print_json(&out, o);
    else
        print_text(&out, o, 0);
    buf_u8(&out, 0);
    return out.failed ? NULL : (char *)TAKE_PTR(out.data);
}
