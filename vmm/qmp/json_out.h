/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON values to text as QMP writes it: pure ASCII, ", " and ": ", everything else in strings as
 * \uXXXX, CR LF at the end of each line. Pure; failures are the buffer's.
 */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>

#include "base/buf.h"

/* One message and its line end; pretty: several lines, indented by four. NULL is null. */
void json_out_line(struct buf *out, struct json_object *value, bool pretty);
/* Just the compact value. */
void json_out_value(struct buf *out, struct json_object *value);
/* The same as a string, to be freed; NULL when out of memory. */
char *json_out_text(struct json_object *value);
