/* SPDX-License-Identifier: Apache-2.0 */
/* status and ls: what a VM says of itself. */
#include <errno.h>
#include <json-c/json.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/text.h"
#include "vmm/main/cmd_client.h"
#include "vmm/main/report.h"
#include "vmm/process/rundir.h"
#include "vmm/process/vm_processes.h"

/* --- status --- */

static int run_status(const struct command *self, int argc, char *const argv[])
{
    struct json_object *report;
    struct ferry_err err;
    const char *vm = NULL;
    bool json = false;

    for (int i = 0; i < argc; i++) {
        if (!strcmp(argv[i], "--json"))
            json = true;
        else if (argv[i][0] == '-' || vm)
            return command_unexpected(self, argv[i]);
        else
            vm = argv[i];
    }
    if (!vm)
        return command_misused(self, "the name of one VM was expected");
    if (report_ask(vm, CLIENT_ANSWER_NS, &report, &err) < 0)
        return command_fail(self, "%s", err.text);
    if (json)
        client_print_json(report, true);
    else
        report_print(report);
    json_object_put(report);
    return 0;
}

const struct command command_status = {
    .name = "status",
    .usage = "VM [--json]",
    .summary = "Show what a VM is and does.",
    .help =
        "Its processes, sockets, disks and netdevs, and its last update or move. VM is a name, or\n"
        "the process id that was started.\n\n"
        "  --json  the same as a JSON object\n",
    .run = run_status,
};

/* --- ls --- */

/* Of each, as they are asked one after the other: what hangs shall not hide the others for long. */
#define LIST_ANSWER_NS INT64_C(1000000000)

/* One that is stopped does not answer, however long it is waited for. */
static int ask_for_list(const char *name, struct json_object **ret, struct ferry_err *err)
{
    struct vm_processes processes;
    struct ferry_err ignored;

    if (vm_processes_find(name, &processes, &ignored) == 0 && processes.stopped) {
        client_explain_silence(name, err);
        return -ETIMEDOUT;
    }
    return report_ask(name, LIST_ANSWER_NS, ret, err);
}

struct listing {
    struct json_object *reports; /* NULL: they are printed as they come */
};

static void list_one(void *arg, const char *name)
{
    struct listing *listing = arg;
    struct json_object *report;
    char shown[TEXT_NAME_BYTES];
    struct ferry_err err;

    text_name(shown, name, strlen(name)); /* of a file, which may be anybody's idea of one */
    if (ask_for_list(name, &report, &err) < 0) {
        if (!listing->reports) {
            printf("%-24s %-12s %s\n", shown, "silent", err.text);
            fflush(stdout);
            return;
        }
        report = json_object_new_object();
        json_object_object_add(report, "name", json_object_new_string(shown));
        json_object_object_add(report, "error", json_object_new_string(err.text));
    }
    if (listing->reports) {
        json_object_array_add(listing->reports, report);
        return;
    }
    report_print_line(report);
    fflush(stdout);
    json_object_put(report);
}

static int run_ls(const struct command *self, int argc, char *const argv[])
{
    bool json = argc > 0;
    struct listing listing = {.reports = json ? json_object_new_array() : NULL};
    struct ferry_err err;
    int rc;

    for (int i = 0; i < argc; i++)
        if (strcmp(argv[i], "--json") != 0)
            return command_unexpected(self, argv[i]);
    rc = rundir_list(list_one, &listing, &err);
    if (!rc && json)
        client_print_json(listing.reports, true);
    json_object_put(listing.reports);
    return rc < 0 ? command_fail(self, "%s", err.text) : 0;
}

const struct command command_ls = {
    .name = "ls",
    .usage = "[--json]",
    .summary = "List your running VMs.",
    .help = "Name, status, process, uptime and build of each, a line for one.\n\n"
            "  --json  a list of what 'ferry status --json' says of each; of one that does not\n"
            "          answer its name and the error\n",
    .run = run_ls,
};
