/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is in a migration stream or a mapped-ram file: its header, sections with every field by the
 * name that the description at the end gives it, commands, and what came of each block of RAM.
 * Any bytes may be given: nothing is believed, a broken stream is told up to where it breaks.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <ferry/err.h>

/*
 * *ret: text for people, or one JSON object; to be freed. It is there also with -EINVAL, when the
 * stream is broken or ends early: then what comes before that, and err says what is wrong where.
 */
FERRY_API int ferry_analyze(char **ret, const void *data, size_t n, bool json,
                            struct ferry_err *err) FERRY_MUST_CHECK;
