/* SPDX-License-Identifier: Apache-2.0 */
/* <ferry/move.h>: what the way and the end of a move do not change. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include <ferry/move.h>

#include "base/err.h"
#include "lib/move/mover.h"

static const struct mover *mover_of(const struct ferry_move *move)
{
    return (const struct mover *)move;
}

void move_check(const struct ferry_move *move, const struct move_ops *ops)
{
    if (move->ops != ops)
        abort();
}

int ferry_move_fd(const struct ferry_move *move)
{
    return move->ops->fd(move);
}

short ferry_move_events(const struct ferry_move *move)
{
    return move->ops->events ? move->ops->events(move) : POLLIN;
}

int64_t ferry_move_deadline_ns(const struct ferry_move *move)
{
    return move->ops->deadline_ns(move);
}

enum ferry_move_status ferry_move_step(struct ferry_move *move, struct ferry_err *err)
{
    enum ferry_move_status status = move->ops->step(move);

    if (status == FERRY_MOVE_FAILED || status == FERRY_MOVE_LOST)
        *err = mover_of(move)->err;
    return status;
}

bool ferry_move_running(const struct ferry_move *move)
{
    return mover_of(move)->running;
}

int ferry_move_cancel(struct ferry_move *move, struct ferry_err *err)
{
    if (!move->ops->cancel)
        return err_set(err, EOPNOTSUPP,
                       "the target of a %s cannot call it off: cancel its source, or free the "
                       "target",
                       mover_of(move)->what);
    return move->ops->cancel(move, err);
}

int ferry_move_set_running(struct ferry_move *move, bool running, struct ferry_err *err)
{
    if (!move->ops->set_running)
        return err_set(err, EOPNOTSUPP,
                       "the guest of a %s is not the target's yet: stop or continue it in the "
                       "source",
                       mover_of(move)->what);
    return move->ops->set_running(move, running, err);
}

void ferry_move_free(struct ferry_move *move)
{
    if (move)
        move->ops->free(move);
}
