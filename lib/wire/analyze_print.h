/* SPDX-License-Identifier: Apache-2.0 */
/* What an analysis found, as text. Pure. */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>

/* For people, or one line of JSON; to be freed. NULL: out of memory. */
char *analyze_print(struct json_object *o, bool json);
