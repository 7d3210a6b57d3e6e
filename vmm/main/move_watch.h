/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A move or a snapshot of a VM, watched from the command that asked for it. Ctrl-C cancels it; a
 * second one leaves it to itself, and says how to look after it and how to end it. Where stderr is
 * a terminal it shows how far it is.
 */
#pragma once

#include <stdbool.h>

#include <ferry/err.h>

struct json_object;

struct move_watch {
    const char *vm, *to; /* where it goes */
    const char *job;     /* its name (move_name()); NULL: the VM's process is too old for names */
    bool file;           /* `to` is one */
    bool quiet;          /* no progress, whatever stderr is */
    int interrupt;       /* loan: of interrupt_begin() */
};

#define MOVE_NAME_BYTES 32
/* One that no other command's move has. */
int move_name(char ret[static MOVE_NAME_BYTES], struct ferry_err *err) FERRY_MUST_CHECK;

/*
 * Until it is over. 0: completed; -ECANCELED; -EINTR: left to itself; -ESTALE: it is over, and
 * whoever answers now does not know how it ended. *ret is what query-migrate said last of it, the
 * caller's; NULL: it said nothing.
 */
int move_watch(const struct move_watch *w, struct json_object **ret,
               struct ferry_err *err) FERRY_MUST_CHECK;
/* What the first Ctrl-C means, to cancel it, and the second (-EINTR); a client_interrupted_fn. */
int move_interrupted(void *watch, unsigned times, struct ferry_err *err);
/* That status of query-migrate is one of a move that is under way. */
bool move_is_running(const char *status);
