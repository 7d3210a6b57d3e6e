/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include "tests/sim/places.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

int places_setup(void **state)
{
    struct places *t = calloc(1, sizeof(*t));

    strcpy(t->dir, "/tmp/ferry-places-XXXXXX");
    if (!mkdtemp(t->dir))
        return -1;
    snprintf(t->path, sizeof(t->path), "%s/place", t->dir);
    t->p = malloc(sizeof(*t->p));
    migrate_pair_init(t->p, true);
    *state = t;
    return 0;
}

int places_teardown(void **state)
{
    struct places *t = *state;

    migrate_pair_free(t->p);
    free(t->p);
    unlink(t->path);
    rmdir(t->dir);
    free(t);
    return 0;
}

static struct ferry_address *address(const char *uri, int flags)
{
    struct ferry_address *a = NULL;
    struct ferry_err err = {0};

    if (ferry_address_parse(&a, uri, NULL, flags, &err) < 0)
        fail_msg("%s: %s", uri, err.text);
    return a;
}

void places_source(struct migrate_pair *p, const char *uri)
{
    struct ferry_address *a = address(uri, O_WRONLY);
    struct ferry_err err = {0};

    if (ferry_migrate_source_new(&p->source, &p->source_params, a, NULL, &err) < 0)
        fail_msg("%s: %s", uri, err.text);
    p->source_status = FERRY_MOVE_BUSY;
    p->address = a;
    /* Until it stands: the test closes its own ends of pipes after it. */
    while (p->source_status == FERRY_MOVE_BUSY && !(p->points & 1u << FERRY_MIGRATE_CONNECTED)) {
        struct pollfd wait = {.fd = ferry_move_fd(p->source), .events = POLLIN};

        p->source_status = ferry_move_step(p->source, &p->source_err);
        (void)!poll(&wait, 1, 1);
    }
}

struct ferry_listener *places_listen(const char *uri)
{
    struct ferry_address *a = address(uri, O_RDONLY);
    struct ferry_listener *l = NULL;
    struct ferry_err err = {0};

    if (ferry_listener_new(&l, a, &err) < 0)
        fail_msg("%s: %s", uri, err.text);
    ferry_address_free(a);
    return l;
}

void places_target(struct migrate_pair *p, struct ferry_listener **l)
{
    struct ferry_err err = {0};

    assert_int_equal(ferry_migrate_target_new(&p->target, &p->target_params, l, NULL, &err), 0);
    p->target_status = FERRY_MOVE_BUSY;
}

void places_run(struct migrate_pair *p)
{
    int64_t end_ns = clock_monotonic_ns() + INT64_C(20000000000);

    while ((p->source && p->source_status == FERRY_MOVE_BUSY) ||
           (p->target && p->target_status == FERRY_MOVE_BUSY)) {
        struct pollfd wait[2] = {{.fd = -1, .events = POLLIN}, {.fd = -1, .events = POLLIN}};
        int64_t deadline = INT64_MAX, now = clock_monotonic_ns();
        int timeout_ms = 1000;

        if (now > end_ns)
            fail_msg("source %d, target %d: stuck", (int)p->source_status, (int)p->target_status);
        if (p->source && p->source_status == FERRY_MOVE_BUSY) {
            wait[0].fd = ferry_move_fd(p->source);
            deadline = ferry_move_deadline_ns(p->source);
        }
        if (p->target && p->target_status == FERRY_MOVE_BUSY) {
            wait[1].fd = ferry_move_fd(p->target);
            if (ferry_move_deadline_ns(p->target) < deadline)
                deadline = ferry_move_deadline_ns(p->target);
        }
        if (deadline < now + INT64_C(1000000000))
            timeout_ms = deadline > now ? (int)((deadline - now) / 1000000) + 1 : 0;
        assert_true(poll(wait, 2, timeout_ms) > 0 || timeout_ms < 1000);
        if (wait[0].fd >= 0)
            p->source_status = ferry_move_step(p->source, &p->source_err);
        if (wait[1].fd >= 0)
            p->target_status = ferry_move_step(p->target, &p->target_err);
    }
}

void places_check(struct migrate_pair *p)
{
    if (p->target_status == FERRY_MOVE_DONE && p->source_status == FERRY_MOVE_DONE) {
        atomic_store(&p->to.running, false);
        if (p->to.thread_started)
            pthread_join(p->to.thread, NULL);
        p->to.thread_started = false;
    }
    migrate_pair_check_moved(p, false);
    assert_string_equal(p->described, TOY_DESCRIPTION);
}
