/* SPDX-License-Identifier: Apache-2.0 */
/* struct session from the inside: what it does (session.c), how it moves (session_state.c). Others
 * include session.h. */
#pragma once

#include "vmm/qmp/json_budget.h"
#include "vmm/qmp/json_in.h"
#include "vmm/qmp/session.h"

#define SESSION_READ_BYTES     4096u
#define SESSION_LINE_MAX_BYTES 4096u /* of a person */

/* A message in the queue, or the error that took its place. */
struct queued {
    struct json_object *message; /* owned */
    size_t held_bytes;           /* of the budget */
    bool is_error;
    struct ferry_err err;
};

/* A file descriptor that no command has taken yet. */
struct sent_fd {
    int fd;     /* owned */
    bool first; /* of its message */
};

struct session {
    struct monitor *monitor;
    struct chardev *link;
    bool owns_link;
    bool pretty;

    struct json_budget budget; /* for all that it sent and all that it does not read */
    struct json_in *json;
    uint8_t in[SESSION_READ_BYTES]; /* read, not yet parsed */
    size_t in_pos, in_end;
    bool input_over;
    struct sent_fd fds[SESSION_FDS_MAX]; /* [0] is the oldest */
    size_t fd_count;

    /* Of a command whose words are in the link still. */
    enum { WORDS_NONE, WORDS_HERE, WORDS_ASKED } words;
    size_t words_bytes;
    size_t pass_over_bytes; /* words that nobody read, to be read and forgotten */

    bool human;      /* a person: lines in, text out (session_human.c) */
    bool edits;      /* who does not see what they type (session_edit.c) */
    bool away;       /* what is typed goes to somebody else: no prompt */
    struct buf line; /* of a person, not yet ended */
    enum edit_keys { EDIT_PLAIN, EDIT_ESCAPE, EDIT_SEQUENCE } edit_keys; /* within a key's bytes */
    bool greeted;
    bool serving;
    bool oob;
    bool frozen;
    struct queued queue[SESSION_QUEUE_MAX]; /* [0] is next */
    size_t queue_count;
    struct qmp_call *deferred; /* loan; what is queued waits for it */
    size_t deferred_held_bytes;
    bool running; /* inside session_run */
    bool waits;   /* what it would ask for has to wait for the end of a quiesce */
    bool stalled; /* the link was told that there is no room */

    struct buf out; /* what the link has not taken */
    size_t out_held_bytes;
    struct json_object *late; /* owned, NULL: none; name to event that waits for out to be empty */
    bool dead;
};

/* out has grown. False: the client leaves more unread than it may. */
bool session_hold_out(struct session *s);

/* A message that is whole: executed, or to wait for its turn. */
void session_enqueue(struct session *s, struct json_in_result *r);

/* Text of no message, as an echo; to be followed by session_flush(). */
void session_put(struct session *s, const char *text, size_t n);
/* As much as the link takes; the rest follows when it has room. */
void session_flush(struct session *s);

/* session_edit.c */
/* Sends back what is typed. True: the byte was a key that edits the line, or nothing. */
bool session_edit_key(struct session *s, uint8_t byte);

/* session_human.c */
void session_human_prompt(struct session *s);
/* As session_parse(): false: there is nothing to look at. */
bool session_human_parse(struct session *s);
/* What a QMP client would be sent, as text. NULL: it is greeted. */
void session_human_print(struct session *s, struct json_object *message);
