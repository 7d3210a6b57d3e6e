/* SPDX-License-Identifier: Apache-2.0 */
/* Two toys and a place in a directory of their own through which one becomes the other. */
#pragma once

#include "tests/sim/migrate_pair.h"

struct places {
    char dir[32];
    char path[64];
    char uri[128];
    struct migrate_pair *p; /* with threads */
};

/* For cmocka. */
int places_setup(void **state);
int places_teardown(void **state);

/* A source that writes to uri; it has connected, or failed. */
void places_source(struct migrate_pair *p, const char *uri);
struct ferry_listener *places_listen(const char *uri);
/* Takes *l. */
void places_target(struct migrate_pair *p, struct ferry_listener **l);
/* Until those that there are have ended: only as their fds and deadlines say, so that a missing
 * wake-up shows. */
void places_run(struct migrate_pair *p);
/* The guest is in the target, whole. */
void places_check(struct migrate_pair *p);
