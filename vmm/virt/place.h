/* SPDX-License-Identifier: Apache-2.0 */
/* What `virt` starts from, placed where QEMU places it, and the reset vector that ties it together.
 */
#pragma once

#include <ferry/err.h>

struct boot;
struct guestmem;

/* As in struct boot_type; no hart runs. */
int virt_place(const struct boot *b, const struct guestmem *mem,
               struct ferry_err *err) FERRY_MUST_CHECK;
