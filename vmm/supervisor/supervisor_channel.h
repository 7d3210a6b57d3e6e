/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a VMM asks its supervisor: one message for each thing it wants, over a UNIX socket of
 * SOCK_SEQPACKET that it was started with,
 *
 *     0  u32  bytes of the operator's words, 0 = the words are in this message
 *     4  text: the words, a QMP command as JSON, if they are; or SUPERVISOR_CONNECT and the ID of a
 *        netdev, which the VMM may say itself: the address is of the operator's command line; then,
 *        behind a NUL, a letter for each thing that the VMM knows of and older ones do not
 *        (SUPERVISOR_KEEPS)
 *
 * in the byte order of the host, with the file descriptors: the mail (base/mail.h) for the answers,
 * and the client's connection from which the words are to be read. Without any it asks for nothing:
 * one byte is what a process says of itself (errand.h), and only ERRAND_PAUSES is answered, by the
 * same byte; 'n' and more bytes are the VM's name.
 *
 * The VMM is believed nothing: it may belong to the guest. A supervisor lives as long as its VM,
 * through any number of updates, so this format only grows.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define SUPERVISOR_HEAD_BYTES  4u
#define SUPERVISOR_WORDS_BYTES 16384u
#define SUPERVISOR_KNOWS_BYTES 15u /* the NUL and the letters */
/* Says when a file that was opened for it shall have its name. Else it is written in place. */
#define SUPERVISOR_KEEPS       'k'
/* Connect to a netdev's peer again. No JSON, so an older supervisor refuses it. */
#define SUPERVISOR_CONNECT     "netdev-connect "
#define SUPERVISOR_NAME        'n'
#define SUPERVISOR_NAME_BYTES  128u /* with a NUL, which is not sent */

struct supervisor_message {
    enum {
        SUPERVISOR_SILENCE,  /* none yet */
        SUPERVISOR_HUNG_UP,  /* none will come */
        SUPERVISOR_SAYS,     /* what it says of itself */
        SUPERVISOR_NAMES,    /* words: the name, of any characters */
        SUPERVISOR_ASKS,     /* mail, words and perhaps client */
        SUPERVISOR_NONSENSE, /* mail, if one came */
    } kind;
    char says;
    uint32_t words_bytes;
    bool keeps;       /* SUPERVISOR_KEEPS */
    int mail, client; /* owned; -1 = none */
    char words[SUPERVISOR_WORDS_BYTES + SUPERVISOR_KNOWS_BYTES + 1];
};

/* Does not block. */
void supervisor_channel_recv(int channel, struct supervisor_message *ret);
void supervisor_message_free(struct supervisor_message *m); /* closes what fds are left */
