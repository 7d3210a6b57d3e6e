/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/migrate/crew.h"

#include <errno.h>
#include <stdlib.h>

#include "base/err.h"
#include "lib/migrate/lane.h"

/* Per thread, so that none waits for the one who deals out. */
#define CREW_QUEUE 2u

struct crew {
    struct crew_params params;
    struct lane **lanes; /* owned */
    unsigned lane_count;

    struct lane_group group; /* its lock guards what follows */
    struct crew_run *runs;   /* a ring; owned */
    size_t capacity, first, count;
    unsigned working, next_lane;
};

/* Takes a run and works it off. Returns whether there was one. */
static bool crew_work(struct crew *c)
{
    struct crew_run run;
    struct ferry_err err;
    bool some;
    int r;

    pthread_mutex_lock(&c->group.lock);
    some = c->count > 0 && !c->group.failed;
    if (some) {
        run = c->runs[c->first];
        c->first = (c->first + 1) % c->capacity;
        c->count--;
        c->working++;
    }
    pthread_mutex_unlock(&c->group.lock);
    if (!some)
        return false;
    r = c->params.work(c->params.self, &run, &err);
    pthread_mutex_lock(&c->group.lock);
    c->working--;
    lane_group_tell(&c->group, r < 0 ? &err : NULL);
    pthread_mutex_unlock(&c->group.lock);
    return true;
}

static void crew_lane_step(void *self, struct lane_want *want)
{
    want->more = crew_work(self);
}

int crew_new(struct crew **ret, const struct crew_params *params, struct ferry_err *err)
{
    unsigned threads = params->threads;
    struct crew *c = calloc(1, sizeof(*c));
    int r = 0;

    if (!c)
        return err_set(err, ENOMEM, "no memory for the threads '%s'", params->name);
    c->params = *params;
    lane_group_init(&c->group);
    c->capacity = CREW_QUEUE * (threads ? threads : 1);
    c->runs = calloc(c->capacity, sizeof(*c->runs));
    c->lanes = calloc(threads ? threads : 1, sizeof(struct lane *));
    if (!c->runs || !c->lanes)
        r = err_set(err, ENOMEM, "no memory for the threads '%s'", params->name);
    while (r == 0 && c->lane_count < threads) {
        r = lane_start(&c->lanes[c->lane_count], params->name, crew_lane_step, c, err);
        if (r == 0)
            c->lane_count++;
    }
    if (r < 0) {
        crew_free(c);
        return r;
    }
    *ret = c;
    return 0;
}

void crew_leave(struct crew *c)
{
    pthread_mutex_lock(&c->group.lock);
    c->count = 0;
    pthread_mutex_unlock(&c->group.lock);
    for (unsigned i = 0; i < c->lane_count; i++)
        lane_leave(c->lanes[i]);
}

void crew_free(struct crew *c)
{
    if (!c)
        return;
    crew_leave(c);
    for (unsigned i = 0; i < c->lane_count; i++)
        lane_stop(c->lanes[i]);
    free(c->lanes);
    free(c->runs);
    lane_group_free(&c->group);
    free(c);
}

void crew_wake(struct crew *c, void (*wake)(void *arg), void *arg)
{
    lane_group_wake(&c->group, wake, arg);
}

bool crew_room(struct crew *c)
{
    bool room;

    pthread_mutex_lock(&c->group.lock);
    room = c->count < c->capacity;
    pthread_mutex_unlock(&c->group.lock);
    return room;
}

void crew_put(struct crew *c, const struct crew_run *run)
{
    struct lane *lane = NULL;

    pthread_mutex_lock(&c->group.lock);
    c->runs[(c->first + c->count++) % c->capacity] = *run;
    /* Who works looks for more when done; by turns everybody is woken who does not. */
    if (c->lane_count)
        lane = c->lanes[c->next_lane++ % c->lane_count];
    pthread_mutex_unlock(&c->group.lock);
    if (lane)
        lane_kick(lane);
}

int crew_idle(struct crew *c, struct ferry_err *err)
{
    int r;

    pthread_mutex_lock(&c->group.lock);
    r = lane_group_check(&c->group, err);
    if (r == 0)
        r = c->count == 0 && c->working == 0;
    pthread_mutex_unlock(&c->group.lock);
    return r;
}

void crew_step(struct crew *c)
{
    (void)crew_work(c);
}

int crew_thread_id(const struct crew *c, size_t index)
{
    return index < c->lane_count ? lane_thread_id(c->lanes[index]) : 0;
}
