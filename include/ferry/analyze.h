/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is in a migration stream or a mapped-ram file: its header, sections with every field by the
 * name that the description at the end gives it, commands, and what came of each block of RAM.
 * Any bytes may be given: nothing is believed, a broken stream is told up to where it breaks. The
 * text is printable ASCII and line ends, whatever names are in the stream. What a file describes
 * without being as long is refused (-E2BIG): the memory taken is 4 MiB and 128 bytes for each byte
 * of it, at most 256 MiB and half its length, and as much again for the text. Any thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <ferry/err.h>

/*
 * *ret: text for people, or one JSON object; to be freed. It is there also with -EINVAL or -E2BIG,
 * when the stream is broken or ends early: then what comes before that, and err says what is wrong
 * where. Of what does not begin as a stream the text for people is empty.
 */
FERRY_API int ferry_analyze(char **ret, const void *data, size_t n, bool json,
                            struct ferry_err *err) FERRY_MUST_CHECK;
