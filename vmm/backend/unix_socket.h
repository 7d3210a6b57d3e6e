/* SPDX-License-Identifier: Apache-2.0 */
/* UNIX stream sockets, non-blocking and close-on-exec. Any thread. */
#pragma once

#include <stdbool.h>

#include <ferry/err.h>

int unix_connect(const char *path, int *ret_fd, struct ferry_err *err) FERRY_MUST_CHECK;
/* Takes the place of a socket that nobody listens on any more. */
int unix_listen(const char *path, int *ret_fd, struct ferry_err *err) FERRY_MUST_CHECK;
/* Removes a socket that nobody listens on; 0 if path is free then, or a refusal. */
int unix_remove_stale(const char *path, struct ferry_err *err) FERRY_MUST_CHECK;
/* 0, or a refusal that says what fd is instead of a UNIX stream socket that listens, or not. */
int unix_verify(int fd, bool listens, struct ferry_err *err) FERRY_MUST_CHECK;
