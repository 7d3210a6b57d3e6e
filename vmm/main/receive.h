/* SPDX-License-Identifier: Apache-2.0 */
/* A process that receives a VM: for `ferry receive` and `ferry run --restore`. */
#pragma once

#include <stdbool.h>

#include <ferry/err.h>

#include "vmm/config/this_host.h"
#include "vmm/move/fault.h"
#include "vmm/move/settings.h"

struct command;

struct receive {
    const char *uri;     /* NULL: QMP migrate-incoming will say */
    const char *sandbox; /* as -sandbox; NULL: on */
    char *qmp; /* owned, its name absolute; NULL: no monitor of its own before the VM has come */
    bool supervised;
    bool once;                /* what comes first comes, or nothing does */
    bool insecure;            /* other hosts may connect, although nothing proves who they are */
    unsigned channels;        /* 0: no channels besides the main one; of a file: one reads it */
    bool catch_up;            /* the guest's clock; else it stands still */
    bool direct_io;           /* a file's pages are read past the host's page cache */
    const char *compression;  /* NULL: none */
    struct settings settings; /* what else QMP could set */
    struct fault fault;
    struct this_host this_host;
};

int receive_init(struct receive *r, struct ferry_err *err) FERRY_MUST_CHECK;
void receive_free(struct receive *r);
/* What both commands take: 1: argv[*i] was one, and *i is at its last word; 0: it was none. */
int receive_parse(struct receive *r, int argc, char *const argv[], int *i,
                  struct ferry_err *err) FERRY_MUST_CHECK;
/* As the supervisor of a process with the same words; returns the exit status. */
int receive_supervise(const struct receive *r, const struct command *self, int argc,
                      char *const argv[]);
/* Until the VM ends; *status is the exit status. */
int receive_vm(const struct receive *r, int *status, struct ferry_err *err) FERRY_MUST_CHECK;
