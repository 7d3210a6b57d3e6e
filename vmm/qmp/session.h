/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One QMP client: its input, its place in the protocol, its queue and its output. For monitor.c.
 *
 * negotiating --qmp_capabilities--> serving --end of input--> finishing --all answered--> dead
 */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ferry/err.h>

#include "base/buf.h"
#include "vmm/qmp/command.h"

struct chardev;
struct session;

/* Of file descriptors that wait for their command: of one client, of all of a VM's. */
#define SESSION_FDS_MAX     16u
#define SESSION_ALL_FDS_MAX 128u

/*
 * Of memory, for what a client sent and what it does not read: in all; and the part that is its own
 * (json_budget.h). All clients together hold no more than MONITOR_SESSIONS_MAX times the latter and
 * MONITOR_MEMORY_MAX_BYTES.
 */
#define SESSION_MEMORY_MAX_BYTES (8u << 20)
#define SESSION_MEMORY_OWN_BYTES (256u << 10)

/* With out-of-band execution on; otherwise one command at a time. */
#define SESSION_QUEUE_MAX 8u

/* link is a loan, or taken if owns_link; the session is not its frontend yet. NULL: no memory. */
struct session *session_new(struct monitor *m, struct chardev *link, bool owns_link, bool pretty);
/*
 * It is a person: lines of HMP in, text out, and no events. edits: what is typed is sent back, and
 * can be corrected. Before it is opened.
 */
void session_is_human(struct session *s, bool edits);
/* Does not tell the monitor. A deferred call loses its session and goes on. */
void session_close(struct session *s);

/* The frontend's callbacks of its link. */
size_t session_can_receive(struct session *s);
void session_receive(struct session *s, const uint8_t *data, size_t n);
/* These came with the bytes that follow; takes them. */
void session_receive_fds(struct session *s, const int *fds, size_t count);
void session_writable(struct session *s);
void session_opened(struct session *s);
void session_end_of_input(struct session *s);
/* It shares its link with others (chardev_mux.h): what is typed comes here now, or no longer. */
void session_focus(struct session *s, bool here);

/*
 * The words of a command that needs the host (qmp_command.host) stay in the client's connection,
 * where they come whole: who does what the command wants reads them there, and so knows that a
 * client spoke. All others are read and parsed as they come.
 */
size_t session_look(struct session *s, const uint8_t *data, size_t n);
/* Of the command that is executed now: where they are, a loan. False: they were read. */
bool session_words(const struct session *s, int *ret_fd, size_t *ret_bytes);
/* Somebody else reads them; nothing else is read before session_words_done(). */
void session_words_asked(struct session *s);
enum session_words {
    SESSION_WORDS_READ = 1, /* they are gone */
    SESSION_WORDS_UNREAD,   /* they are still there: passed over */
    SESSION_WORDS_LOST,     /* nobody knows: the client is dropped */
};
void session_words_done(struct session *s, enum session_words what);

/* A value to the client; takes it. */
void session_send(struct session *s, struct json_object *message);
/* The same for an event. For a client that does not read, the latest of each name is kept. */
void session_send_event(struct session *s, const char *name, struct json_object *event);
bool session_serving(const struct session *s); /* has negotiated; no person */
bool session_dead(const struct session *s);    /* to be freed when nobody is inside it */
/* qmp_capabilities. */
int session_negotiate(struct session *s, bool oob, struct qmp_call *call, struct ferry_err *err);
/*
 * For a command that wants a file descriptor: the first of those that its client sent with it or
 * before it, the caller's from now on; the others of the same message are closed. -1: none.
 */
int session_take_fd(struct session *s);
size_t session_fd_count(const struct session *s); /* that wait */
/*
 * Frozen it reads, executes and writes nothing: what is sent to it waits. For an update, which
 * takes it along (session_state.h) or lets it go on.
 */
void session_freeze(struct session *s);
void session_thaw(struct session *s);
/* Its link's socket, a loan; -1: none. */
int session_connection(const struct session *s);
/* Disconnect its client. */
void session_drop(struct session *s);
/* Somebody else reads its words right now. */
bool session_asks(const struct session *s);
/* After the reply of its deferred call: the queue goes on. */
void session_deferred_done(struct session *s);
