/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of commands: a monitor with all of them on a thread of its own, and a client that
 * speaks to it through the client library and a real socket. Every answer is checked against the
 * type that the table claims.
 */
#pragma once

#include <pthread.h>

#include "tests/vmm/qmp/fake_vm.h"
#include "vmm/machine/lock.h"
#include "vmm/qmp/client.h"

#define TIMEOUT_NS 5000000000

struct bench {
    struct loop *loop;
    struct monitor *monitor;
    struct chardev *chardev;
    struct block *block;
    struct ferry_ram *ram;
    struct config_chardev config;
    char path[96], image[96];
    struct net *net;
    struct machine_lock lock;
    struct vm vm;
    struct config_device *devices[2]; /* the two that follow */
    struct config_disk disk;
    struct config_card card;
    struct migration migration;
    pthread_t thread; /* runs the loop */
    struct qmp_client *client;
};

int bench_setup(void **state);
int bench_teardown(void **state);

struct json_object *json(const char *text);
/* Executes; the answer must be of the type that the table says. */
struct json_object *run(struct bench *b, const char *command, const char *args);
void run_says(struct bench *b, const char *command, const char *args, const char *wanted);
void run_fails(struct bench *b, const char *command, const char *args, const char *wanted);
void event_says(struct bench *b, const char *name, const char *data);
