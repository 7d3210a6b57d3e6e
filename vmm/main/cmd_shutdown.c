/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/own.h"
#include "vmm/main/cmd_client.h"
#include "vmm/process/rundir.h"

#define TIMEOUT_S     90
#define TIMEOUT_S_MAX 86400

struct shutdown_options {
    const char *vm;
    uint64_t timeout_s;
    bool force;
};

static int parse(const struct command *self, int argc, char *const argv[],
                 struct shutdown_options *o)
{
    for (int i = 0; i < argc; i++) {
        if (!strcmp(argv[i], "--force")) {
            o->force = true;
        } else if (!strcmp(argv[i], "--timeout") && i + 1 < argc) {
            if (command_number(argv[++i], TIMEOUT_S_MAX, &o->timeout_s) < 0)
                return command_misused(self, "--timeout %s: seconds, 1 to %d, were expected",
                                       argv[i], TIMEOUT_S_MAX);
        } else if (argv[i][0] == '-' || o->vm) {
            return command_unexpected(self, argv[i]);
        } else {
            o->vm = argv[i];
        }
    }
    return o->vm ? 0 : command_misused(self, "the name of a VM is missing");
}

static int press(const char *vm, struct ferry_err *err)
{
    struct json_object *reply;
    int rc = client_query(vm, "system_powerdown", &reply, err);

    if (rc < 0)
        return rc;
    json_object_put(reply);
    return 0;
}

static int end_it(const struct command *self, const struct shutdown_options *o, int lock)
{
    struct json_object *reply;
    struct ferry_err err;

    if (client_execute(o->vm, "quit", NULL, &reply, &err) < 0)
        return command_fail(self, "%s", err.text);
    json_object_put(reply);
    rundir_wait_end(lock);
    return 0;
}

static int run(const struct command *self, int argc, char *const argv[])
{
    struct shutdown_options o = {.timeout_s = TIMEOUT_S};
    OWN_FD int lock = -1;
    struct ferry_err err;
    int status = parse(self, argc, argv, &o);
    int rc;

    if (status)
        return status;
    /* Before the guest is asked: who takes the name later is another. */
    if (rundir_watch_end(o.vm, &lock, &err) < 0)
        lock = -1; /* what is asked next says that there is no such VM */
    rc = press(o.vm, &err);
    if (!rc && lock >= 0 && rundir_wait_end_for(lock, (int64_t)o.timeout_s * 1000000000))
        return 0;
    if (!rc)
        err_set(&err, ETIMEDOUT,
                "the guest was asked, and has not powered off within %" PRIu64
                " s; 'ferry quit %s' ends it",
                o.timeout_s, o.vm);
    if (!o.force || lock < 0)
        return command_fail(self, "%s", err.text);
    fprintf(stderr, "ferry %s: %s; it is ended now\n", self->name, err.text);
    return end_it(self, &o, lock);
}

const struct command command_shutdown = {
    .name = "shutdown",
    .usage = "VM [--timeout SECONDS] [--force]",
    .summary = "Ask a guest to power off, and wait until the VM has gone.",
    .help =
        "Presses the power key of its -device virtio-keyboard-device; what the guest does then\n"
        "is its own. Where nothing listens to one this fails at once.\n\n"
        "  --timeout SECONDS  how long the guest may take (default: 90)\n"
        "  --force            end it as 'quit' does, if it does not power off\n",
    .run = run,
};
