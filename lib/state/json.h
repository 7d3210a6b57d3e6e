/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Just enough JSON to write the description of a stream the way QEMU does: compact, with a blank
 * after ',' and ':', in ASCII. The caller places brackets and commas.
 */
#pragma once

#include <stdint.h>

#include "base/buf.h"

/* A quoted string; control characters, '"', '\' and bytes above 0x7e (each as one \u00xx) escaped.
 */
void json_string(struct buf *b, const char *text);
void json_u64(struct buf *b, uint64_t v);
/* `"key": ` */
void json_key(struct buf *b, const char *key);
