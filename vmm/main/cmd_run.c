/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/own.h"
#include "vmm/config/absolute.h"
#include "vmm/config/config_device.h"
#include "vmm/config/control.h"
#include "vmm/config/keyval.h"
#include "vmm/config/options.h"
#include "vmm/config/props.h"
#include "vmm/machine/machine_type.h"
#include "vmm/main/commands.h"
#include "vmm/main/process.h"
#include "vmm/main/receive.h"
#include "vmm/move/fault.h"
#include "vmm/move/migration.h"
#include "vmm/supervisor/incoming.h"
#include "vmm/supervisor/startup.h"
#include "vmm/supervisor/supervisor.h"
#include "vmm/vm/vm_internal.h"

/*
 * What a new machine has without being told is written down when it is new: a description of an
 * older version, which says nothing of it, stays that of a machine without.
 */
static bool has_vmgenid_by_default(const struct vm_config *c)
{
    return props_find(c->machine->props, "vmgenid") && !config_find_kind(c, "vmgenid") &&
           !c->compat && !c->nodefaults && c->vmgenid_wanted != 2;
}

static bool has_pci_by_default(const struct vm_config *c)
{
    return props_find(c->machine->props, "pci") && !c->compat && c->pci_wanted == 0;
}

/* A description says "off" by not naming it; an older ferry would not know the word. */
static int forget_word(struct options *o, const char *word, struct ferry_err *err)
{
    for (size_t i = 0; i < o->count; i++) {
        struct option *option = &o->list[i];
        struct keyval all, kept = {0};
        char *text;
        int rc;

        if (strcmp(option->name, "M") && strcmp(option->name, "machine"))
            continue;
        rc = keyval_parse(&all, option->value, "type", err);
        for (size_t k = 0; !rc && k < all.count; k++)
            if (strcmp(all.pairs[k].key, word))
                rc = keyval_add(&kept, all.pairs[k].key, all.pairs[k].value, err);
        keyval_free(&all);
        text = rc < 0 ? NULL : keyval_text(&kept);
        keyval_free(&kept);
        if (!text)
            return rc < 0 ? rc : err_set(err, ENOMEM, "out of memory");
        free(option->value);
        option->value = text;
    }
    return 0;
}

/* The name that -name gives; without one, a name of this process's own is added. And what else it
 * has by default. */
static int add_defaults(struct options *o, char **ret, struct ferry_err *err)
{
    struct vm_config config;
    char name[32], words[64];
    int rc = config_from_options(&config, o, err);

    if (rc < 0)
        return rc;
    if (!config.name) {
        snprintf(name, sizeof(name), "vm-%d", (int)getpid());
        rc = options_add(o, "name", name, err);
    }
    if (!rc && has_vmgenid_by_default(&config))
        rc = options_add(o, "device", "vmgenid", err);
    snprintf(words, sizeof(words), "%s,pci=on", config.machine->name);
    if (!rc && has_pci_by_default(&config))
        rc = options_add(o, "machine", words, err);
    if (!rc && config.vmgenid_wanted == 2)
        rc = forget_word(o, "vmgenid", err);
    if (!rc && config.pci_wanted == 2)
        rc = forget_word(o, "pci", err);
    *ret = strdup(config.name ? config.name : name);
    config_free(&config);
    if (!*ret)
        return err_set(err, ENOMEM, "out of memory");
    return rc;
}

static int prepare_options(struct options *o, int argc, char *const argv[], struct ferry_err *err)
{
    OWN_MEM char *name = NULL;
    int rc = options_from_argv(o, argc, (const char *const *)argv, err);

    if (!rc)
        rc = absolute_options(o, err);
    if (!rc)
        rc = add_defaults(o, &name, err);
    if (!rc)
        rc = control_add(o, name, err);
    return rc;
}

/* -incoming: nothing runs until a guest has come. */
static int wait_for_guest(struct vm *vm, struct ferry_err *err)
{
    const char *uri = vm_config(vm)->incoming;
    int rc = vm_open_incoming(vm, err);

    if (rc < 0 || !strcmp(uri, "defer"))
        return rc;
    migration_set_exit_on_error(vm_migration(vm), true);
    rc = migration_incoming_uri(vm_migration(vm), uri, err);
    return rc < 0 ? err_prefix(err, "-incoming %s", uri) : 0;
}

static int run_vm(struct options *o, const struct fault *fault, int *status, struct ferry_err *err)
{
    struct process_signals *signals = NULL;
    struct vm *vm = NULL;
    int rc = process_begin(&signals, &vm, err);

    if (!rc)
        rc = vm_build(vm, o, NULL, err);
    if (!rc && vm_config(vm)->incoming) {
        rc = wait_for_guest(vm, err);
        if (!rc)
            rc = vm_confine(vm, SANDBOX_MAIN, NULL, err);
    } else {
        if (!rc)
            rc = vm_open(vm, err);
        if (!rc)
            rc = vm_confine(vm, SANDBOX_MAIN, NULL, err);
        if (!rc)
            rc = vm_launch(vm, err);
    }
    if (!rc) {
        vm_is_up(vm);
        migration_set_fault(vm_migration(vm), fault);
        *status = vm_run(vm);
    }
    process_signals_free(signals);
    vm_free(vm);
    return rc;
}

static void print_help(const struct command *self)
{
    printf("usage: ferry %s %s\n\n%s\n\nOptions are QEMU's, in QEMU's grammar:\n\n", self->name,
           self->usage, self->summary);
    options_print_help(stdout);
    puts(
        "\n@FILE in the place of an option stands for the options in FILE: words as on a command\n"
        "line, over any number of lines; '...', \"...\" and \\ as in a shell, # begins a comment.");
    puts("\nInstead of options:\n  --restore FILE [OPTIONS]\n"
         "        run the VM whose snapshot FILE is. The file says what machine the guest sees;\n"
         "        what it has of this host is said here:");
    this_host_print_help(stdout);
    puts("  --clock stand|catch-up\n"
         "        the time since it booted, as the guest reads it, stands still from when it\n"
         "        was saved until it runs here (stand, the default), or is put forward when\n"
         "        it first runs here, as if it had run on\n"
         "  --channels N\n        so many threads read a mapped-ram file\n"
         "  --direct-io\n        which goes past the host's page cache");
    puts("\nFor drills, before the options:\n  --fault POINT=kill|stop\n"
         "        end or hang this process at a point of a handover:");
    for (int p = FERRY_LIVE_HELLO_SENT; p <= FERRY_LIVE_STARTED; p++)
        printf("          %s\n", ferry_live_point_name((enum ferry_live_point)p));
}

static int parse_restore(const struct command *self, int argc, char *const argv[],
                         struct receive *r)
{
    struct ferry_err err;

    for (int i = 1; i < argc; i++) {
        int taken = receive_parse(r, argc, argv, &i, &err);

        if (taken < 0)
            return command_fail(self, "%s", err.text);
        if (!taken)
            return command_misused(self, "'%s' was not expected after --restore FILE", argv[i]);
    }
    return 0;
}

/* The machine is the one that the file describes, with what this command line gives it. */
static int restore(const struct command *self, int argc, char *const argv[], int all_argc,
                   char *const all_argv[])
{
    struct receive receive;
    char uri[PATH_MAX + 8];
    struct ferry_err err;
    int status;

    if (!argc)
        return command_misused(self, "--restore: a file was expected");
    if (receive_init(&receive, &err) < 0)
        return command_fail(self, "%s", err.text);
    snprintf(uri, sizeof(uri), "file:%s", argv[0]);
    receive.uri = uri;
    status = parse_restore(self, argc, argv, &receive);
    if (!status && !supervisor_is_there())
        status = receive_supervise(&receive, self, all_argc, all_argv);
    else if (!status && receive_vm(&receive, &status, &err) < 0)
        status = command_fail(self, "%s", err.text);
    receive_free(&receive);
    return status;
}

/* What can be said of the command line is said before there are two processes. */
static int supervise(const struct command *self, int argc, char *const argv[], int all_argc,
                     char *const all_argv[])
{
    struct supervisor_policy policy;
    struct options options = {0};
    struct vm_config config = {0};
    struct incoming incoming;
    struct startup startup;
    struct ferry_err err;
    int rc = options_from_argv(&options, argc, (const char *const *)argv, &err);

    if (!rc)
        rc = config_from_options(&config, &options, &err);
    options_free(&options);
    if (rc < 0)
        return command_fail(self, "%s", err.text);
    if (startup_begin(&startup, &config, &err) < 0)
        return command_fail(self, "%s", err.text);
    supervisor_policy_from(&policy, &config);
    rc = incoming_open(&incoming, config.incoming ? config.incoming : "defer", false, &err);
    rc = rc < 0 ? command_fail(self, "-incoming %s: %s", config.incoming, err.text)
                : supervisor_run(self, all_argc, all_argv, &policy, &incoming, false, &startup);
    /* Also that of a VM that did not come to have a supervisor. */
    startup_remove_pidfile(config.pidfile);
    config_free(&config);
    return rc;
}

static int run(const struct command *self, int argc, char *const argv[])
{
    char *const *const all_argv = argv;
    const int all_argc = argc;
    struct options options = {0};
    struct fault fault = {0};
    struct ferry_err err = {0};
    int status = 1;
    int rc = 0;

    for (int i = 0; i < argc; i++) {
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-help") || !strcmp(argv[i], "-h")) {
            print_help(self);
            return 0;
        }
    }
    if (options_answer_help(argc, (const char *const *)argv, stdout))
        return 0;
    if (argc >= 2 && !strcmp(argv[0], "--fault")) {
        rc = fault_parse(&fault, argv[1], &err);
        argc -= 2;
        argv += 2;
    }
    if (!rc && argc >= 1 && !strcmp(argv[0], "--restore"))
        return restore(self, argc - 1, argv + 1, all_argc, all_argv);
    if (!rc && !supervisor_is_there())
        return supervise(self, argc, argv, all_argc, all_argv);
    if (!rc)
        rc = prepare_options(&options, argc, argv, &err);
    if (!rc)
        rc = run_vm(&options, &fault, &status, &err);
    options_free(&options);
    return rc < 0 ? command_fail(self, "%s", err.text) : status;
}

const struct command command_run = {
    .name = "run",
    .usage = "OPTIONS | @FILE | --restore FILE [OPTIONS]",
    .summary = "Run a VM: QEMU's machine 'virt' on a software CPU.",
    .run = run,
};
