/* SPDX-License-Identifier: Apache-2.0 */
/* What tests of chardevs share: a frontend that notes what it is told, and who talks to it. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "vmm/backend/chardev.h"

#define SHORT_NS 20000000

/* A frontend that notes what it is told, on a loop that runs until a condition holds. */
struct user {
    /* The chardev's loan: it outlives the test that made it. */
    struct config_chardev config;
    char path[128];
    struct loop *loop;
    struct chardev *chardev;
    size_t room;
    char got[4096];
    size_t got_bytes;
    int opened, closed, writables, quits;
    int came, drained;      /* how often client_came(), drained() were called */
    struct chardev *client; /* the last one that accept() gave */
    int accepted;
    const int *watched; /* stop the loop when this counter ... */
    int wanted;         /* ... has reached this */
};

extern const struct chardev_frontend user_frontend, user_frontend_many;

void user_turn(struct user *u, int64_t ns);
void user_until(struct user *u, const int *counter, int wanted);
void user_new(struct user *u, const struct config_chardev *config, bool escape);
void user_open(struct user *u);
void user_resume(struct user *u);
void user_start(struct user *u, const struct chardev_frontend *frontend);
void hand_over(struct user *from, struct user *to);
int loop_setup(void **state);
int loop_teardown(void **state);
void temp_path(char *ret, size_t n, const char *name);
int connect_to(const char *path);
void assert_reads(int fd, const char *text);
struct config_chardev socket_config(char *path);
