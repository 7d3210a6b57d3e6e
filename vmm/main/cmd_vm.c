/* SPDX-License-Identifier: Apache-2.0 */
/* ls, status, stop, cont, quit, qmp: what one QMP command does. */
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "base/own.h"
#include "base/text.h"
#include "vmm/main/cmd_client.h"
#include "vmm/main/rundir.h"
#include "vmm/qmp/json_in.h"

/* --- stop, cont, quit --- */

static int run_plain(const struct command *self, int argc, char *const argv[])
{
    struct json_object *reply;
    struct ferry_err err;

    if (argc != 1)
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

/* Returns when the VM has gone: its name and its disks are free then. */
static int run_quit(const struct command *self, int argc, char *const argv[])
{
    OWN_FD int lock = -1;
    struct ferry_err ignored;
    int status;

    if (argc == 1 && rundir_watch_end(argv[0], &lock, &ignored) < 0)
        lock = -1;
    status = run_plain(self, argc, argv);
    if (!status && lock >= 0)
        rundir_wait_end(lock);
    return status;
}

const struct command command_quit = {
    .name = "quit",
    .usage = "VM",
    .summary = "End a VM at once, as if its power were cut, and wait until it has gone.",
    .run = run_quit,
};

/* --- status --- */

static int run_status(const struct command *self, int argc, char *const argv[])
{
    struct json_object *status, *memory, *cpus, *migrate;
    struct ferry_err err;
    const char *vm = argv[0];

    if (argc != 1)
        return command_misused(self, "the name of one VM was expected");
    if (client_query(vm, "query-status", &status, &err) < 0 ||
        client_query(vm, "query-memory-size-summary", &memory, &err) < 0 ||
        client_query(vm, "query-cpus-fast", &cpus, &err) < 0 ||
        client_query(vm, "query-migrate", &migrate, &err) < 0)
        return command_fail(self, "%s", err.text);
    printf("name       %s\n", vm);
    printf("status     %s\n", client_text(status, "status"));
    printf("harts      %zu\n", client_length(cpus));
    printf("memory     %lld MiB\n", client_number(memory, "base-memory") >> 20);
    if (*client_text(migrate, "status"))
        printf("migration  %s\n", client_text(migrate, "status"));
    if (*client_text(migrate, "error-desc"))
        printf("           %s\n", client_text(migrate, "error-desc"));
    json_object_put(status);
    json_object_put(memory);
    json_object_put(cpus);
    json_object_put(migrate);
    return 0;
}

const struct command command_status = {
    .name = "status",
    .usage = "VM",
    .summary = "Show what a VM is and does.",
    .run = run_status,
};

/* --- ls --- */

static void list_one(void *arg, const char *name)
{
    struct json_object *status = NULL;
    char shown[TEXT_NAME_BYTES];
    struct ferry_err err;

    text_name(shown, name, strlen(name)); /* of a file, which may be anybody's idea of one */
    if (client_query(name, "query-status", &status, &err) < 0) {
        printf("%-24s does not answer: %s\n", shown, err.text);
        return;
    }
    printf("%-24s %s\n", shown, client_text(status, "status"));
    json_object_put(status);
}

static int run_ls(const struct command *self, int argc, char *const argv[])
{
    struct ferry_err err;

    if (argc)
        return command_misused(self, "'%s' was not expected", argv[0]);
    if (rundir_list(list_one, NULL, &err) < 0)
        return command_fail(self, "%s", err.text);
    return 0;
}

const struct command command_ls = {
    .name = "ls",
    .usage = "",
    .summary = "List your running VMs.",
    .run = run_ls,
};

/* --- qmp --- */

static int run_qmp(const struct command *self, int argc, char *const argv[])
{
    struct json_object *arguments = NULL, *reply;
    struct ferry_err err;

    if (argc < 2 || argc > 3)
        return command_misused(self, "a VM and a QMP command were expected");
    if (argc == 3) {
        int rc = json_in_text(argv[2], &arguments, &err);

        if (rc < 0 || !json_object_is_type(arguments, json_type_object)) {
            json_object_put(arguments);
            return command_fail(self,
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
