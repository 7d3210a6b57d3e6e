/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A session as bytes, for the process that takes this one's place. Its connection, and the file
 * descriptors that its client sent and no command has taken, go beside them. All numbers are big
 * endian:
 *
 *     u8   version, 1
 *     u8   1: has been greeted   2: has negotiated   4: executes out of band
 *          8: shares its link, and somebody else has the keys (older versions skip it, as 16 and
 *          32: within the bytes of a key, enum edit_keys)
 *     u32  bytes of its connection that are to be passed over
 *     u8   file descriptors of the client; for each: u8 it is the first of its message
 *     u8   1: a command is under way, and 2: it is HMP's, 4: it has an id. If so:
 *              u8 enum qmp_updated   u32 length, JSON of the id (if it has one)
 *     u8   messages that wait; for each: u8 1: an error   u32 length, its text; or the JSON
 *     u32  length, bytes that are read and not yet looked at
 *     u32  length, what the reader came to (json_in_save)
 *     u32  length, of a person: the line under way
 *     u32  length, output that the client has not read
 *     u8   1: events wait behind it: u32 length, their JSON, by name
 *
 * Main thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <ferry/err.h>

#include "base/buf.h"
#include "vmm/qmp/session.h"

/*
 * Written while the guest stands still. A client that reads its answers and finishes its requests
 * holds next to nothing; one that holds more than this pays for it with its connection, not the
 * guest with its time.
 */
#define SESSION_MOVE_MAX_BYTES (512u << 10)

/* False, and nothing written: it holds too much, or is dead. */
bool session_save(const struct session *s, struct buf *out);
/* Of its client: loans, SESSION_FDS_MAX at most. */
size_t session_fds(const struct session *s, int *ret);

/*
 * Into a new session; the record is believed as little as a client is. Takes those of the fds that
 * it needs (-1 then), also on failure. -EPROTO, -ENOMEM.
 */
int session_load(struct session *s, struct rd *in, int *fds, size_t fd_count,
                 struct ferry_err *err) FERRY_MUST_CHECK;
/* Answer what was under way, and go on with what waits. */
void session_answer_arrived(struct session *s);
