/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/own.h"
#include "vmm/main/commands.h"
#include "vmm/main/fault.h"
#include "vmm/main/migration.h"
#include "vmm/main/options.h"
#include "vmm/main/process.h"
#include "vmm/main/rundir.h"
#include "vmm/main/vm_internal.h"

#define CONTROL_ID "ferry-control"

/* The name that -name gives; without one, a name of this process's own is added. */
static int find_name(struct options *o, char **ret, struct ferry_err *err)
{
    struct vm_config config;
    char name[32];
    int rc = config_from_options(&config, o, err);

    if (rc < 0)
        return rc;
    if (!config.name) {
        snprintf(name, sizeof(name), "vm-%d", (int)getpid());
        rc = options_add(o, "name", name, err);
    }
    *ret = strdup(config.name ? config.name : name);
    config_free(&config);
    if (!*ret)
        return err_set(err, ENOMEM, "out of memory");
    return rc;
}

/* Every VM has a QMP socket in the runtime directory: the other subcommands talk to it. */
static int add_control_socket(struct options *o, const char *name, struct ferry_err *err)
{
    char path[RUNDIR_PATH_BYTES];
    char value[2 * RUNDIR_PATH_BYTES + 64];
    size_t used;
    int rc = rundir_file(path, name, ".sock", err);

    if (rc < 0)
        return rc;
    used =
        (size_t)snprintf(value, sizeof(value), "socket,id=" CONTROL_ID ",server=on,wait=off,path=");
    for (const char *c = path; *c; c++) {
        value[used++] = *c;
        if (*c == ',')
            value[used++] = ',';
    }
    value[used] = '\0';
    rc = options_add(o, "chardev", value, err);
    if (!rc)
        rc = options_add(o, "mon", "chardev=" CONTROL_ID ",mode=control", err);
    return rc;
}

static int prepare_options(struct options *o, int argc, char *const argv[], struct ferry_err *err)
{
    OWN_MEM char *name = NULL;
    int rc = options_from_argv(o, argc, (const char *const *)argv, err);

    if (!rc)
        rc = find_name(o, &name, err);
    if (!rc)
        rc = add_control_socket(o, name, err);
    return rc;
}

static int run_vm(struct options *o, const struct fault *fault, int *status, struct ferry_err *err)
{
    struct process_signals *signals = NULL;
    struct vm *vm = NULL;
    int rc = process_prepare(&signals, err);

    if (!rc)
        rc = vm_new(&vm, err);
    if (!rc)
        rc = process_serve(signals, vm, err);
    if (!rc)
        rc = vm_build(vm, o, NULL, err);
    if (!rc)
        rc = vm_open(vm, err);
    if (!rc)
        rc = vm_launch(vm, err);
    if (!rc) {
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
    puts("\nFor drills, before the options:\n  --fault POINT=kill|stop\n"
         "        end or hang this process at a point of a handover:");
    for (int p = FERRY_LIVE_HELLO_SENT; p <= FERRY_LIVE_STARTED; p++)
        printf("          %s\n", ferry_live_point_name((enum ferry_live_point)p));
}

static int run(const struct command *self, int argc, char *const argv[])
{
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
    if (argc >= 2 && !strcmp(argv[0], "--fault")) {
        rc = fault_parse(&fault, argv[1], &err);
        argc -= 2;
        argv += 2;
    }
    if (!rc)
        rc = prepare_options(&options, argc, argv, &err);
    if (!rc)
        rc = run_vm(&options, &fault, &status, &err);
    options_free(&options);
    return rc < 0 ? command_fail(self, "%s", err.text) : status;
}

const struct command command_run = {
    .name = "run",
    .usage = "OPTIONS",
    .summary = "Run a VM: riscv64 'virt' machine on a software CPU.",
    .run = run,
};
