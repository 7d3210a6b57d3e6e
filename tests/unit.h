/* SPDX-License-Identifier: Apache-2.0 */
/* cmocka and what it needs before it. The first include of every unit test. */
#pragma once

/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
