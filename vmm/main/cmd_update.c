/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/own.h"
#include "base/same_file.h"
#include "vmm/main/cmd_client.h"
#include "vmm/main/move_watch.h"
#include "vmm/process/interrupt.h"

#define TIMEOUT_S_MAX 3600

/* "  412 us  64 %  name" */
static void print_line(const char *name, const char *part, long long ns, long long total_ns)
{
    printf("  %9.1f us  %3.0f %%  %s%s%s\n", (double)ns / 1000,
           total_ns ? 100.0 * (double)ns / (double)total_ns : 0, name, *part ? ": " : "", part);
}

/* A process of an older ferry does not say. */
static void print_builds(const char *from, const char *to)
{
    if (*from || *to)
        printf(": %s -> %s%s", from, to, strcmp(from, to) ? "" : ", the same build");
    puts("");
}

/* Where the pause went: by phase, in order, then by part, the longest first. */
static void print_ledger(const char *vm, struct json_object *ledger)
{
    struct json_object *list;
    long long total_ns = client_number(ledger, "total-ns");

    printf("VM '%s' runs in process %lld now", vm, client_number(ledger, "pid"));
    print_builds(client_text(ledger, "from"), client_text(ledger, "to"));
    printf("The guest was paused for %.1f us:\n\n", (double)total_ns / 1000);
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
        "requests\n%lld bytes of state, %lld file descriptors; processor asked for in the pause: "
        "%s here, %s there\n",
        (double)client_number(ledger, "prepare-ns") / 1e6,
        (double)client_number(ledger, "quiesce-ns") / 1e6, client_number(ledger, "state-bytes"),
        client_number(ledger, "fds"), client_text(ledger, "source-urgency"),
        client_text(ledger, "target-urgency"));
}

/*
 * What an operator means by `ferry update` is this ferry. Where the VM runs the very same file it
 * is not named: what runs already needs no check of who can write to it.
 */
static int add_default_binary(const char *vm, struct json_object *arguments, struct ferry_err *err)
{
    struct json_object *version;
    char own[PATH_MAX], path[32];
    struct stat ours, theirs;
    bool deleted;
    int rc = client_query(vm, "query-version", &version, err);

    if (rc < 0)
        return rc;
    snprintf(path, sizeof(path), "/proc/%lld/exe", client_number(version, "ferry.pid"));
    json_object_put(version);
    if (stat("/proc/self/exe", &ours) == 0 && stat(path, &theirs) == 0 && same_file(&ours, &theirs))
        return 0;
    rc = client_binary(getpid(), own, &deleted);
    if (rc < 0)
        return err_sys(err, -rc, "cannot find out which ferry this is; name one with --binary");
    json_object_object_add(arguments, "binary", json_object_new_string(own));
    return 0;
}

/* Ctrl-C gives it up, as long as that is possible, and its answer says what has come of it. */
static int update(const char *vm, struct json_object *arguments, struct json_object **ledger,
                  struct ferry_err *err)
{
    OWN_FD int interrupt = -1;
    char name[MOVE_NAME_BYTES];
    struct move_watch watch = {.vm = vm, .job = name};
    int rc = move_name(name, err);

    if (!rc)
        rc = interrupt_begin(&interrupt, err);
    if (rc < 0)
        return rc;
    json_object_object_add(arguments, "ferry-job", json_object_new_string(name));
    rc = client_execute_telling(interrupt, move_interrupted, &watch, vm, "ferry-update",
                                json_object_get(arguments), ledger, err);
    if (!client_knows_not(rc, err, "ferry-job"))
        return rc;
    watch.job = NULL;
    json_object_object_del(arguments, "ferry-job");
    return client_execute_telling(interrupt, move_interrupted, &watch, vm, "ferry-update",
                                  json_object_get(arguments), ledger, err);
}

static int run(const struct command *self, int argc, char *const argv[])
{
    struct json_object *arguments = json_object_new_object(), *ledger;
    const char *vm = NULL;
    bool json = false;
    uint64_t timeout_s;
    struct ferry_err err;
    int rc;

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
            if (command_number(argv[++i], TIMEOUT_S_MAX, &timeout_s) < 0)
                return command_misused(self, "--timeout %s: seconds from 1 to %d were expected",
                                       argv[i], TIMEOUT_S_MAX);
            json_object_object_add(arguments, "timeout-ms",
                                   json_object_new_uint64(timeout_s * 1000));
        } else if (argv[i][0] == '-' || vm) {
            return command_unexpected(self, argv[i]);
        } else {
            vm = argv[i];
        }
    }
    if (!vm)
        return command_misused(self, "the name of a VM is missing");
    if (!json_object_object_get_ex(arguments, "binary", NULL) &&
        add_default_binary(vm, arguments, &err) < 0)
        return command_fail(self, "%s", err.text);
    rc = update(vm, arguments, &ledger, &err);
    json_object_put(arguments);
    if (rc < 0)
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
    .help =
        "Starts a new process, hands the guest over to it and ends the old one. Whatever\n"
        "goes wrong before the new one has everything, the guest goes on where it is. Which\n"
        "builds those are is printed; 'ferry status VM' tells it later. Ctrl-C gives it up, as\n"
        "'ferry cancel VM' does from elsewhere; a second one leaves it to itself.\n\n"
        "  --binary PATH  the ferry to start (default: this one)\n"
        "  --timeout S    how long it may take to get ready, the guest running (default: 30)\n"
        "  --json         print the ledger of the pause as JSON\n",
    .run = run,
};
