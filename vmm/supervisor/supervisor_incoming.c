/* SPDX-License-Identifier: Apache-2.0 */
/*
 * While the guest is waited for: a VMM that refused what came is followed by another one, for the
 * same place (incoming.h), until the guest is there.
 */
#include <stdint.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/own.h"
#include "vmm/supervisor/incoming.h"
#include "vmm/supervisor/supervisor_internal.h"

/* Between the starts of VMMs, whatever comes to them: a start costs some milliseconds. */
#define AGAIN_REST_NS INT64_C(100000000)

/* The child that listens, or is the command. */
void waiting_begin(struct supervisor *s, struct incoming *incoming, bool again)
{
    s->waiting.again = again && incoming->fd >= 0;
    s->waiting.again_ns = INT64_MAX;
    if (!incoming->child)
        return;
    *child_find(s, 0) = (struct child){.pid = incoming->child,
                                       .tidies = incoming->fd >= 0,
                                       .channel = -1,
                                       .mail = take_fd(&incoming->mail_to_vmm)};
    s->waiting.incoming = incoming;
}

void waiting_end(struct supervisor *s)
{
    if (!s->waiting.incoming)
        return;
    incoming_close(s->waiting.incoming);
    s->waiting.incoming = NULL;
    s->waiting.again_ns = INT64_MAX;
    supervisor_let_go(s);
}

bool waiting_goes_on_after(struct supervisor *s, const struct child *c, int status)
{
    /* One that crashed was perhaps made to: whoever did that shall not have another try. */
    if (!c->is_vmm || !c->refused || c->has_guest || !WIFEXITED(status) || !s->waiting.again)
        return false;
    if (s->waiting.incoming)
        s->waiting.again_ns = s->waiting.began_ns + AGAIN_REST_NS;
    return true;
}

static bool has_waiting_vmm(const struct supervisor *s)
{
    for (size_t i = 0; i < SUPERVISOR_CHILDREN; i++)
        if (s->children[i].pid && s->children[i].is_vmm && !s->children[i].has_guest)
            return true;
    return false;
}

bool waiting_go_on(struct supervisor *s)
{
    struct ferry_err err;

    if (s->waiting.incoming && clock_monotonic_ns() >= s->waiting.again_ns &&
        supervisor_start_vmm(s, &err) < 0) {
        log_error("cannot start a VMM to wait for the next: %s", err.text);
        s->waiting.again_ns = INT64_MAX;
    }
    if (s->waiting.again_ns == INT64_MAX && !has_waiting_vmm(s))
        waiting_end(s);
    return s->waiting.again_ns != INT64_MAX;
}

int64_t waiting_due_ns(const struct supervisor *s)
{
    return s->waiting.incoming ? s->waiting.again_ns : INT64_MAX;
}

int waiting_offered(const struct supervisor *s)
{
    return s->waiting.incoming && !s->waiting.again ? s->waiting.incoming->offered : -1;
}
