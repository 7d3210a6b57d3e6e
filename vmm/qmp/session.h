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

/* With out-of-band execution on; otherwise one command at a time. */
#define SESSION_QUEUE_MAX 8u

/* link is a loan, or taken if owns_link; the session is not its frontend yet. NULL: no memory. */
struct session *session_new(struct monitor *m, struct chardev *link, bool owns_link, bool pretty);
/* Does not tell the monitor. A deferred call loses its session and goes on. */
void session_close(struct session *s);

/* The frontend's callbacks of its link. */
size_t session_can_receive(struct session *s);
void session_receive(struct session *s, const uint8_t *data, size_t n);
void session_writable(struct session *s);
void session_opened(struct session *s);
void session_end_of_input(struct session *s);

/* A value to the client; takes it. */
void session_send(struct session *s, struct json_object *message);
bool session_serving(const struct session *s); /* has negotiated */
bool session_dead(const struct session *s);    /* to be freed when nobody is inside it */
/* qmp_capabilities. */
int session_negotiate(struct session *s, bool oob, struct qmp_call *call, struct ferry_err *err);
/* After the reply of its deferred call: the queue goes on. */
void session_deferred_done(struct session *s);
