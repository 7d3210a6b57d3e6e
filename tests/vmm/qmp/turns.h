/* SPDX-License-Identifier: Apache-2.0 */
/* A monitor's clients in the thread that runs its loop: they take turns. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "vmm/machine/loop.h"

void turn_ns(struct loop *loop, int64_t ns);
void turn(struct loop *loop);

/* Non-blocking. */
int client_new(const char *path);
void client_send(int fd, const char *text);
/* All there is to read; "" when nothing, "EOF" at the end. */
const char *client_read(int fd, char *ret, size_t bytes);

#define GREETING                                                                       \
    "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 2, \"minor\": 0, \"major\": 10}, " \
    "\"package\": \"ferry 0.1.0\"}, \"capabilities\": [\"oob\"]}}\r\n"
#define OK             "{\"return\": {}}\r\n"
#define ERROR_OF(c, d) "{\"error\": {\"class\": \"" c "\", \"desc\": \"" d "\"}}\r\n"
#define ERROR(d)       ERROR_OF("GenericError", d)

/* b has a member loop. */
#define ASSERT_SAYS(b, fd, text)                                          \
    do {                                                                  \
        static char said_[65536];                                         \
        turn((b)->loop);                                                  \
        assert_string_equal(client_read(fd, said_, sizeof(said_)), text); \
    } while (0)
