/* SPDX-License-Identifier: Apache-2.0 */
/* TCP sockets that listen on loopback, non-blocking and close-on-exec. Any thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <ferry/err.h>

/* port 0: any. */
int tcp_listen_loopback(uint16_t port, int *ret_fd, struct ferry_err *err) FERRY_MUST_CHECK;
/* 0, or a refusal that says what fd is instead of a TCP socket that listens, or not. */
int tcp_verify(int fd, bool listens, struct ferry_err *err) FERRY_MUST_CHECK;
