/* SPDX-License-Identifier: Apache-2.0 */
/* stop, cont, cancel, quit, qmp: what one QMP command does. */
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "base/own.h"
#include "vmm/main/cmd_client.h"
#include "vmm/main/move_watch.h"
#include "vmm/process/rundir.h"
#include "vmm/process/vm_processes.h"
#include "vmm/qmp/json_in.h"

/* --- stop, cont, quit --- */

static int run_plain(const struct command *self, int argc, char *const argv[])
{
    struct json_object *reply;
    struct ferry_err err;

    if (argc > 1)
        return command_unexpected(self, argv[1]);
    if (!argc)
        return command_misused(self, "the name of one VM was expected");
    if (client_execute(argv[0], self->name, NULL, &reply, &err) < 0)
        return command_fail(self, "%s", err.text);
    json_object_put(reply);
    return 0;
}

const struct command command_stop = {
    .name = "stop",
    .usage = "VM",
    .summary = "Stop the harts of a VM; 'cont' runs them again.",
    .run = run_plain,
};
const struct command command_cont = {
    .name = "cont",
    .usage = "VM",
    .summary = "Run the harts of a stopped VM.",
    .run = run_plain,
};

#define PATIENCE_NS (INT64_C(10) * 1000000000)

/* Asked, but for one that is stopped, which hears nothing. */
static bool ends_by_itself(const char *vm, const struct vm_processes *p, int lock)
{
    struct json_object *reply;
    struct ferry_err ignored;

    if (p->stopped || client_query(vm, "quit", &reply, &ignored) < 0)
        return false;
    json_object_put(reply);
    return rundir_wait_end_for(lock, PATIENCE_NS);
}

static int force_quit(const struct command *self, const char *vm, int lock)
{
    struct vm_processes processes;
    struct ferry_err err;
    int rc;

    if (vm_processes_find(vm, &processes, &err) < 0)
        return command_fail(self, "%s", err.text);
    if (ends_by_itself(vm, &processes, lock))
        return 0;
    /* Meanwhile it may have been updated, or have gone. */
    rc = vm_processes_find(vm, &processes, &err);
    if (rc == -ENOENT)
        return 0;
    if (rc < 0 || vm_processes_kill(&processes, &err) < 0)
        return command_fail(self, "%s", err.text);
    fprintf(stderr, "ferry quit: VM '%s' did not end by itself: process %d was killed\n", vm,
            (int)processes.vmm);
    rundir_wait_end(lock);
    return 0;
}

/* Returns when the VM has gone: its name and its disks are free then. */
static int run_quit(const struct command *self, int argc, char *const argv[])
{
    OWN_FD int lock = -1;
    struct ferry_err ignored;
    char *vm = NULL;
    bool force = false;
    int status;

    for (int i = 0; i < argc; i++) {
        if (!strcmp(argv[i], "--force"))
            force = true;
        else if (argv[i][0] == '-' || vm)
            return command_unexpected(self, argv[i]);
        else
            vm = argv[i];
    }
    if (vm && rundir_watch_end(vm, &lock, &ignored) < 0)
        lock = -1;
    if (force && lock >= 0)
        return force_quit(self, vm, lock);
    status = run_plain(self, vm ? 1 : 0, &vm);
    if (!status && lock >= 0)
        rundir_wait_end(lock);
    return status;
}

const struct command command_quit = {
    .name = "quit",
    .usage = "VM [--force]",
    .summary = "End a VM at once, as if its power were cut, and wait until it has gone.",
    .help = "  --force  kill its process (SIGKILL) if it is stopped, or does not end within 10 s\n",
    .run = run_quit,
};

/* --- cancel --- */

static int run_cancel(const struct command *self, int argc, char *const argv[])
{
    struct json_object *now, *reply = NULL;
    struct ferry_err err;
    bool runs;

    if (argc > 1)
        return command_unexpected(self, argv[1]);
    if (!argc)
        return command_misused(self, "the name of one VM was expected");
    if (client_query(argv[0], "query-migrate", &now, &err) < 0)
        return command_fail(self, "%s", err.text);
    runs = move_is_running(client_text(now, "status"));
    json_object_put(now);
    if (!runs)
        return command_fail(self, "VM '%s': no update, move or snapshot is under way", argv[0]);
    if (client_query(argv[0], "migrate_cancel", &reply, &err) < 0)
        return command_fail(self, "%s", err.text);
    json_object_put(reply);
    return 0;
}

const struct command command_cancel = {
    .name = "cancel",
    .usage = "VM",
    .summary = "Give up the update, move or snapshot of a VM that is under way.",
    .help = "The guest goes on as if it had not begun. It is refused once the target may have the\n"
            "guest.\n",
    .run = run_cancel,
};

/* --- qmp --- */

static int run_qmp(const struct command *self, int argc, char *const argv[])
{
    struct json_object *arguments = NULL, *reply;
    struct ferry_err err;

    if (argc > 3)
        return command_unexpected(self, argv[3]);
    if (argc < 2)
        return command_misused(self, "a VM and a QMP command were expected");
    /* As it is sent on a socket. */
    if (*argv[1] == '{')
        return command_misused(self,
                               "COMMAND is a name, such as query-status; what it takes follows as "
                               "ARGUMENTS, such as '{\"enable\": true}'");
    if (argc == 3) {
        int rc = json_in_text(argv[2], &arguments, &err);

        if (rc < 0 || !json_object_is_type(arguments, json_type_object)) {
            json_object_put(arguments);
            return command_misused(self,
                                   "the arguments must be a JSON object, such as "
                                   "'{\"enable\": true}'%s%s",
                                   rc < 0 ? ": " : "", rc < 0 ? err.text : "");
        }
    }
    if (client_execute(argv[0], argv[1], arguments, &reply, &err) < 0)
        return command_fail(self, "%s", err.text);
    client_print_json(reply, true);
    json_object_put(reply);
    return 0;
}

const struct command command_qmp = {
    .name = "qmp",
    .usage = "VM COMMAND [ARGUMENTS]",
    .summary = "Execute a QMP command and print what it returns.",
    .help = "  ferry qmp web1 query-status\n"
            "  ferry qmp web1 migrate-set-parameters '{\"local\": true}'\n\n"
            "ARGUMENTS is a JSON object. 'ferry qmp VM query-commands' lists the commands.\n",
    .run = run_qmp,
};
