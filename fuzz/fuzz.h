/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fuzz target is one file with LLVMFuzzerTestOneInput(). Under clang with -Dfuzz=true it is
 * linked with libFuzzer; always with replay.c, which runs it over its corpus as a test.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* A property that the target promises, also in a build without assertions. */
#define FUZZ_CHECK(cond, text)                                                           \
    do {                                                                                 \
        if (!(cond)) {                                                                   \
            fprintf(stderr, "%s:%d: broken: %s: %s\n", __FILE__, __LINE__, #cond, text); \
            abort();                                                                     \
        }                                                                                \
    } while (0)
