/* SPDX-License-Identifier: Apache-2.0 */
/* Is a page all zeros? Transformation only: who skips such pages is elsewhere. Any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* n is a multiple of 128. The guest may write meanwhile: then either answer is right. */
bool zero_check(const void *page, size_t n);
