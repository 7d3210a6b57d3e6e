/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/wire/analyze_print.h"

#include <string.h>

#include "base/buf.h"

static void print_text(struct buf *out, struct json_object *o, int indent)
{
    json_object_object_foreach(o, key, value)
    {
        buf_printf(out, "%*s%s", 2 * indent, "", key);
        if (json_object_is_type(value, json_type_object)) {
            buf_str(out, "\n");
            print_text(out, value, indent + 1);
            continue;
        }
        if (!json_object_is_type(value, json_type_array) || !json_object_array_length(value) ||
            !json_object_is_type(json_object_array_get_idx(value, 0), json_type_object)) {
            buf_printf(out, ": %s\n",
                       json_object_to_json_string_ext(value, JSON_C_TO_STRING_SPACED |
                                                                 JSON_C_TO_STRING_NOSLASHESCAPE));
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
    struct buf out = {0};
    char *text = NULL;

    if (json)
        buf_str(&out, json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
                                                            JSON_C_TO_STRING_NOSLASHESCAPE));
    else
        print_text(&out, o, 0);
    buf_u8(&out, 0);
    if (!out.failed)
        text = strdup((const char *)out.data);
    buf_free(&out);
    return text;
}
