/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/move/mover.h"

#include <errno.h>
#include <inttypes.h>

#include "base/err.h"

const char *const move_event_names[MOVE_EV_COUNT] = {
    [MOVE_EV_NONE] = "nothing",
    [MOVE_EV_BEGIN] = "begin",
    [MOVE_EV_CONNECTED] = "connected",
    [MOVE_EV_SENT] = "all sent",
    [MOVE_EV_GONE] = "peer gone",
    [MOVE_EV_DUE] = "deadline",
    [MOVE_EV_DRAINED] = "drained",
    [MOVE_EV_PROCEED] = "migrate-continue",
    [MOVE_EV_SETTLED] = "disks are written",
    [MOVE_EV_CANCEL] = "cancel",
    [MOVE_EV_HELLO] = "HELLO",
    [MOVE_EV_ANSWER] = "the first PONG",
    [MOVE_EV_ACCEPT] = "READY or ACCEPT",
    [MOVE_EV_REFUSE] = "REFUSE",
    [MOVE_EV_SOON] = "SOON",
    [MOVE_EV_FDS] = "FDS",
    [MOVE_EV_RAM] = "a section of RAM",
    [MOVE_EV_STATE] = "the whole state",
    [MOVE_EV_LOADED] = "LOADED",
    [MOVE_EV_COMMIT] = "COMMIT",
    [MOVE_EV_STARTED] = "RUNNING or SHUT",
    [MOVE_EV_NOT_STARTED] = "SHUT with a failure",
    [MOVE_EV_ABORT] = "ABORT",
    [MOVE_EV_OTHER] = "a message that is not for it",
    [MOVE_EV_ASKED] = "all asked",
    [MOVE_EV_SETTLE] = "disks are to be written",
    [MOVE_EV_FITS] = "little is left",
    [MOVE_EV_CHECKED] = "dry run over",
    [MOVE_EV_UNASKED] = "target starts unasked",
    [MOVE_EV_FAULTED_IN] = "RAM entered",
    [MOVE_EV_RAM_READ] = "RAM read",
    [MOVE_EV_CLOSE] = "close",
    [MOVE_EV_FAULT] = "fault",
    [MOVE_EV_OWN_UNMOVED] = "guest is here, did not run",
    [MOVE_EV_OWN_MOVED] = "guest is nowhere, ran",
    [MOVE_EV_OWN_THEIRS] = "guest is there",
    [MOVE_EV_OWN_UNKNOWN] = "nobody knows",
    [MOVE_EV_RETURNED] = "all is back",
    [MOVE_EV_BEREFT] = "not everything comes back",
};

/* source.c and target.c check that their ends are in the order of the statuses. */
enum ferry_move_status mover_status(const struct mover *m)
{
    return mover_ended(m) ? (enum ferry_move_status)(m->state - m->first_end + FERRY_MOVE_DONE)
                          : FERRY_MOVE_BUSY;
}

const char *mover_doing(const struct mover *m)
{
    return m->table->state_names[m->state];
}

void mover_fire(struct mover *m, enum move_event event)
{
    machine_run(m->table, m, &m->state, (int)event, &m->err);
    m->again = true;
}

void mover_allow(struct mover *m, int64_t from_ns, int64_t limit_ns)
{
    m->deadline_ns = limit_ns > INT64_MAX - from_ns ? INT64_MAX : from_ns + limit_ns;
    m->limit_ns = limit_ns;
}

bool mover_look_at_clock(struct mover *m, int64_t now_ns)
{
    if (mover_ended(m) || now_ns < m->deadline_ns)
        return false;
    m->deadline_ns = INT64_MAX;
    mover_fire(m, MOVE_EV_DUE);
    return true;
}

int mover_gone(void *self)
{
    struct mover *m = self;

    err_set(&m->err, ECONNRESET,
            "the %s closed the connection (has it failed?) while the %s was %s", m->peer,
            m->table->name, mover_doing(m));
    return MOVE_EV_FAULT;
}

int mover_late(void *self)
{
    struct mover *m = self;

    err_set(&m->err, ETIMEDOUT,
            "nothing was heard from the %s within %" PRId64 " ms while the %s was %s", m->peer,
            m->limit_ns / 1000000, m->table->name, mover_doing(m));
    return MOVE_EV_FAULT;
}

int mover_cancelled(void *self)
{
    struct mover *m = self;

    err_set(&m->err, ECANCELED, "the %s was cancelled", m->what);
    return MOVE_EV_FAULT;
}
