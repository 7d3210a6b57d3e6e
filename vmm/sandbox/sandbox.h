/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a process of a VM gives up, so that a guest which takes it over has got little:
 *
 *   privileges.c   no_new_privs, capabilities, limits
 *   filter.c       system calls, for each thread what its role needs (rules.c; libseccomp)
 *   landlock.c     files and ports; the kernel's Landlock
 *
 * Nothing of it can be taken back. A kernel that lacks a part is no reason to go without the
 * others: sandbox_missing() says what it lacks. docs/sandbox.md says what each role may do and why.
 * A call that is refused returns EPERM and is said on stderr, with the thread's name.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <ferry/err.h>

enum sandbox_role {
    SANDBOX_MAIN = 1, /* the loop, and threads that move a migration's pages */
    SANDBOX_BUILDER,  /* the main thread before its machine is built from what a peer sends */
    SANDBOX_HART,
    SANDBOX_BLOCK,
};

enum sandbox_access {
    SANDBOX_READ = 1, /* files are opened to read, folders listed */
    SANDBOX_WRITE,    /* also written, made and removed; devices are asked by ioctl(2) */
    SANDBOX_SOCKETS, /* of a folder: sockets are made there, and names removed; nothing is opened */
};

/* A file or folder with all beneath it that can still be reached by name. */
struct sandbox_path {
    const char *path;
    enum sandbox_access access;
};

/* Before the first thread: what is given up by every role, also the builder's. */
int sandbox_begin(struct ferry_err *err) FERRY_MUST_CHECK;
/*
 * The calling thread, and each that it makes from now on: has the system calls of this role only,
 * no file by name but these, and unless it is the builder's, no capability. Again and for another
 * role: only what both allow.
 */
int sandbox_enter(enum sandbox_role role, const struct sandbox_path *paths, size_t path_count,
                  struct ferry_err *err) FERRY_MUST_CHECK;
/* What this kernel does not have, for one sentence: "Landlock (...)"; "" = nothing is missing. */
void sandbox_missing(char *text, size_t n);
