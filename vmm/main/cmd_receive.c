/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/own.h"
#include "vmm/main/commands.h"
#include "vmm/main/fault.h"
#include "vmm/main/migration.h"
#include "vmm/main/monitors.h"
#include "vmm/main/process.h"
#include "vmm/main/vm_internal.h"

struct receive_options {
    const char *uri; /* NULL: QMP migrate-incoming will say */
    const char *qmp; /* NULL: no monitor of its own */
    bool supervised;
    struct fault fault;
};

static int parse(const struct command *self, int argc, char *const argv[],
                 struct receive_options *o)
{
    for (int i = 0; i < argc; i++) {
        struct ferry_err err;

        if (!strcmp(argv[i], "--supervised")) {
            o->supervised = true;
        } else if (!strcmp(argv[i], "--fault") && i + 1 < argc) {
            if (fault_parse(&o->fault, argv[++i], &err) < 0)
                return command_fail(self, "%s", err.text);
        } else if ((!strcmp(argv[i], "-qmp") || !strcmp(argv[i], "--qmp")) && i + 1 < argc) {
            o->qmp = argv[++i];
        } else if (argv[i][0] == '-' || o->uri) {
            return command_misused(self, "'%s' was not expected", argv[i]);
        } else {
            o->uri = argv[i];
        }
    }
    if (!o->uri && !o->qmp)
        return command_misused(self, "where to receive from is missing");
    return 0;
}

static int start_incoming(struct migration *m, const char *uri, struct ferry_err *err)
{
    OWN_FD int fd = -1;
    char *end;
    long number;

    if (strncmp(uri, "fd:", 3))
        return migration_incoming_uri(m, uri, err);
    number = strtol(uri + 3, &end, 10);
    if (end == uri + 3 || *end || number < 0 || number > 1 << 20 ||
        fcntl((int)number, F_SETFD, FD_CLOEXEC) < 0)
        return err_set(err, EBADF, "'%s' is not an open file descriptor", uri);
    fd = (int)number;
    return migration_incoming_fd(m, &fd, err);
}

static int receive(const struct receive_options *o, int *status, struct ferry_err *err)
{
    struct process_signals *signals = NULL;
    struct vm *vm = NULL;
    int rc = process_prepare(&signals, err);

    if (!rc)
        rc = vm_new(&vm, err);
    if (!rc)
        rc = process_serve(signals, vm, err);
    if (!rc) {
        migration_set_fault(vm_migration(vm), &o->fault);
        migration_set_exit_on_error(vm_migration(vm), true);
        if (o->supervised)
            migration_set_supervised(vm_migration(vm));
    }
    if (!rc && o->qmp)
        rc = monitors_open_own(vm_monitors(vm), vm_loop(vm), o->qmp, err);
    if (!rc && o->uri)
        rc = start_incoming(vm_migration(vm), o->uri, err);
    if (!rc)
        *status = vm_run(vm);
    process_signals_free(signals);
    vm_free(vm);
    return rc;
}

static int run(const struct command *self, int argc, char *const argv[])
{
    struct receive_options options = {0};
    struct ferry_err err;
    int status = parse(self, argc, argv, &options);

    if (status)
        return status;
    if (receive(&options, &status, &err) < 0)
        return command_fail(self, "%s", err.text);
    return status;
}

const struct command command_receive = {
    .name = "receive",
    .usage = "[unix:SOCKET] [-qmp unix:PATH,server=on,wait=off]",
    .summary = "Receive a running VM and run it on: builds the machine from what arrives.",
    .help = "Start it, then on the source set the migration parameter 'local' to true and issue\n"
            "QMP 'migrate' with the same URI. ('ferry update' does all of it.) A failure ends it\n"
            "with status 1 and a sentence; the source goes on.\n\n"
            "  -qmp ...         a monitor of this process that answers from the start; without a\n"
            "                   URI, its command migrate-incoming says where to receive from\n"
            "  fd:N             a connected UNIX socket that was inherited\n"
            "  --fault POINT=A  for drills, see 'ferry run --help'\n",
    .run = run,
};
