/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one process opens for another that may not: messages with file descriptors over a UNIX
 * socket of SOCK_SEQPACKET, from who opens to who asked. One socket for each thing asked for; who
 * asked hangs up when it has no more use for it.
 *
 * Both ends may be of different versions of ferry, and the asker may be anybody's: a message is
 *
 *     0  u32  kind, an enum mail_kind        4  i32  value        8  text, without a NUL
 *
 * in the byte order of the host. Kinds are never renumbered. Nothing blocks. Any thread.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <ferry/err.h>

#define MAIL_TEXT_BYTES 512
#define MAIL_FDS_MAX    2

enum mail_kind {
    MAIL_OPENED = 1,  /* the fds are it; value and text say more, as the thing asked for defines */
    MAIL_REFUSED = 2, /* value: a positive errno; text: the sentence */
    MAIL_ENDED = 3,   /* the process that was started; value: its status as waitpid(2) gives it */
    MAIL_HEARD = 4,   /* the words that were to be read from a connection have been; more follows */
    MAIL_KEPT = 5,    /* the file that was written has its name */
};

struct mail {
    enum mail_kind kind;
    int value;
    char text[MAIL_TEXT_BYTES];
    int fds[MAIL_FDS_MAX]; /* owned; -1 = none */
};

/* [0] is for who asks, [1] for who answers; both close-on-exec and non-blocking. */
int mail_pair(int ret[2], struct ferry_err *err) FERRY_MUST_CHECK;
/* fds are loans. -errno; whoever asked may be gone. */
int mail_send(int fd, enum mail_kind kind, int value, const char *text, const int *fds,
              size_t fd_count);
/* The sentence as it is. */
void mail_refuse(int fd, const struct ferry_err *err);
/*
 * One message: 0, or -EAGAIN, or -errno with a sentence: the other end has gone, or sent what is no
 * message. A refusal is an error like others: its errno and its sentence.
 */
int mail_recv(int fd, struct mail *ret, struct ferry_err *err) FERRY_MUST_CHECK;
void mail_free(struct mail *m); /* closes what fds are left */
