/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/main/cmd_client.h"

/* "  412 us  64 %  name" */
static void print_line(const char *name, const char *part, long long ns, long long total_ns)
{
    printf("  %9.1f us  %3.0f %%  %s%s%s\n", (double)ns / 1000,
           total_ns ? 100.0 * (double)ns / (double)total_ns : 0, name, *part ? ": " : "", part);
}

/* Where the pause went: by phase, in order, then by part, the longest first. */
static void print_ledger(const char *vm, struct json_object *ledger)
{
    struct json_object *list;
    long long total_ns = client_number(ledger, "total-ns");

    printf("VM '%s' runs in process %lld now. The guest was paused for %.1f us:\n\n", vm,
           client_number(ledger, "pid"), (double)total_ns / 1000);
    if (json_object_object_get_ex(ledger, "phases", &list))
        for (size_t i = 0; i < client_length(list); i++) {
            struct json_object *entry = json_object_array_get_idx(list, i);

            print_line(client_text(entry, "phase"), "", client_number(entry, "duration-ns"),
                       total_ns);
        }
    if (json_object_object_get_ex(ledger, "parts", &list) && client_length(list)) {
        printf("\nof which, by part:\n\n");
        for (size_t i = 0; i < client_length(list) && i < 12; i++) {
            struct json_object *entry = json_object_array_get_idx(list, i);

            print_line(client_text(entry, "phase"), client_text(entry, "part"),
                       client_number(entry, "duration-ns"), total_ns);
        }
    }
    printf(
        "\nbefore the pause, the guest running: %.1f ms to prepare the target, %.1f ms to finish "
        "requests\n%lld bytes of state, %lld file descriptors\n",
        (double)client_number(ledger, "prepare-ns") / 1e6,
        (double)client_number(ledger, "quiesce-ns") / 1e6, client_number(ledger, "state-bytes"),
        client_number(ledger, "fds"));
}

static int parse_seconds(const char *text, int64_t *ret_ms)
{
    char *end;
    long seconds = strtol(text, &end, 10);

    if (end == text || *end || seconds < 1 || seconds > 3600)
        return -EINVAL;
    *ret_ms = seconds * 1000;
    return 0;
}

static int run(const struct command *self, int argc, char *const argv[])
{
    struct json_object *arguments = json_object_new_object(), *ledger;
    const char *vm = NULL;
    bool json = false;
    int64_t timeout_ms;
    struct ferry_err err;

    for (int i = 0; i < argc; i++) {
        char path[PATH_MAX];

        if (!strcmp(argv[i], "--json")) {
            json = true;
        } else if (!strcmp(argv[i], "--binary") && i + 1 < argc) {
            /* The VM's working directory is not ours. */
            if (!realpath(argv[++i], path))
                return command_fail(self, "--binary %s: %s", argv[i], strerror(errno));
            json_object_object_add(arguments, "binary", json_object_new_string(path));
        } else if (!strcmp(argv[i], "--timeout") && i + 1 < argc) {
            if (parse_seconds(argv[++i], &timeout_ms) < 0)
                return command_fail(self, "--timeout %s: seconds from 1 to 3600 were expected",
                                    argv[i]);
            json_object_object_add(arguments, "timeout-ms", json_object_new_int64(timeout_ms));
        } else if (argv[i][0] == '-' || vm) {
            return command_misused(self, "'%s' was not expected", argv[i]);
        } else {
            vm = argv[i];
        }
    }
    if (!vm)
        return command_misused(self, "the name of a VM is missing");
    if (client_execute(vm, "ferry-update", arguments, &ledger, &err) < 0)
        return command_fail(self, "%s", err.text);
    if (json)
        client_print_json(ledger, false);
    else
        print_ledger(vm, ledger);
    json_object_put(ledger);
    return 0;
}

const struct command command_update = {
    .name = "update",
    .usage = "VM [--binary PATH] [--timeout SECONDS] [--json]",
    .summary = "Replace the process under a running VM, and show where the pause went.",
    .help = "Starts a new process, hands the guest over to it and ends the old one. Whatever goes\n"
            "wrong before the new one has everything, the guest goes on where it is.\n\n"
            "  --binary PATH  the ferry to start (default: the one that runs now)\n"
            "  --timeout S    how long it may take to get ready, the guest running (default: 30)\n"
            "  --json         print the ledger of the pause as JSON\n",
    .run = run,
};
