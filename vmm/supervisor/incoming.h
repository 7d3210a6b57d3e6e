/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a command line says that a guest comes from (`ferry receive URI`, -incoming URI), opened in
 * the process that becomes the VM's supervisor, before there is a VMM: a name server may take its
 * time there; a command is outside the VMM's sandbox, where it can be ended; and a place stays when
 * a VMM that refused what came has ended, for the next one.
 *
 * A VMM gets it as what it asks a supervisor for: over a mail (base/mail.h), whose number the
 * environment tells (supervisor_link.h).
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include <ferry/err.h>

#define INCOMING_TEXT_BYTES 512

struct incoming {
    pid_t child;     /* it listens, and tidies up when `mail` is closed; or it is the command */
    int mail;        /* owned: our end of what it sends; -1: none */
    int mail_to_vmm; /* owned: a command's other end, where its end is told; -1 */
    int offered;     /* owned: of a listener, hung up when the VMM has whom it waited for; -1 */
    int fd;          /* owned: listens; -1: what comes can come once only, or nothing is open */
    char text[INCOMING_TEXT_BYTES]; /* "tcp:127.0.0.1:40123" */
};

/*
 * Blocks for as long as a name server takes; signals are the process's. What a VMM opens itself (a
 * file, an inherited fd, "defer") is left to it. only_loopback: other hosts shall not reach it.
 */
int incoming_open(struct incoming *ret, const char *uri, bool only_loopback,
                  struct ferry_err *err) FERRY_MUST_CHECK;
/* For one VMM: the end of a mail, which is the caller's; -1: there is nothing for it. */
int incoming_offer(struct incoming *i, int *ret_mail, struct ferry_err *err) FERRY_MUST_CHECK;
void incoming_close(struct incoming *i);

/* What a refusal to listen says to whoever named a place that other hosts reach. */
int incoming_explain(int rc, const char *uri, struct ferry_err *err);
