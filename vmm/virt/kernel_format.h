/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is that something that firmware can start? A file that is none is refused by what it is, instead
 * of a guest that says nothing. Pure.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <ferry/err.h>

/* head: its first n bytes, n > 0. Magic numbers: Linux, Documentation/arch/riscv/boot-image-header.
 */
int kernel_format_check(const uint8_t *head, size_t n, struct ferry_err *err) FERRY_MUST_CHECK;
