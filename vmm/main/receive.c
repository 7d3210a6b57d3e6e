/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/main/receive.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/own.h"
#include "vmm/config/options.h"
#include "vmm/main/commands.h"
#include "vmm/main/process.h"
#include "vmm/move/migration.h"
#include "vmm/move/migration_params.h"
#include "vmm/process/rundir.h"
#include "vmm/supervisor/incoming.h"
#include "vmm/supervisor/supervisor.h"
#include "vmm/supervisor/supervisor_link.h"
#include "vmm/vm/monitors.h"
#include "vmm/vm/reach.h"
#include "vmm/vm/vm_internal.h"

int receive_init(struct receive *r, struct ferry_err *err)
{
    *r = (struct receive){0};
    return this_host_init(&r->this_host, err);
}

void receive_free(struct receive *r)
{
    this_host_free(&r->this_host);
    free(r->qmp);
}

int receive_parse(struct receive *r, int argc, char *const argv[], int *i, struct ferry_err *err)
{
    int taken = this_host_parse(&r->this_host, argc, argv, i, err);

    if (taken)
        return taken;
    if ((!strcmp(argv[*i], "--sandbox") || !strcmp(argv[*i], "-sandbox")) && *i + 1 < argc) {
        r->sandbox = argv[++*i];
        return 1;
    }
    if (!strcmp(argv[*i], "--clock") && *i + 1 < argc) {
        const char *policy = argv[++*i];

        r->catch_up = !strcmp(policy, "catch-up");
        if (!r->catch_up && strcmp(policy, "stand"))
            return err_set(err, EINVAL, "--clock %s: stand or catch-up was expected", policy);
        return 1;
    }
    if (!strcmp(argv[*i], "--direct-io")) {
        r->direct_io = true;
        return 1;
    }
    if (!strcmp(argv[*i], "--channels") && *i + 1 < argc) {
        uint64_t n;

        if (command_number(argv[++*i], 255, &n) < 0)
            return err_set(err, EINVAL, "--channels %s: 1 to 255 were expected", argv[*i]);
        r->channels = (unsigned)n;
        return 1;
    }
    return 0;
}

static int set_up(struct migration *m, const struct receive *r, struct ferry_err *err)
{
    static const char *const multifd = "multifd", *const mapped_ram = "mapped-ram";
    const bool on = true;
    const size_t indexes[] = {MIGRATION_PARAM_MULTIFD_CHANNELS, MIGRATION_PARAM_MULTIFD_COMPRESSION,
                              MIGRATION_PARAM_DIRECT_IO};
    const struct migration_value values[] = {
        {.num = r->channels ? r->channels : 2},
        {.str = r->compression ? r->compression : "none"},
        {.num = r->direct_io},
    };
    int rc = 0;

    migration_set_fault(m, &r->fault);
    migration_set_exit_on_error(m, true);
    migration_set_this_host(m, &r->this_host);
    migration_set_insecure(m, r->insecure);
    migration_set_again(m, !r->supervised && !r->once);
    migration_set_any_file(m, true);
    migration_set_catch_up(m, r->catch_up);
    if (r->channels || r->compression || r->direct_io) {
        /* So that channels go with it; what it really is the file says. */
        if (r->uri && !strncmp(r->uri, "file:", 5))
            rc = migration_set_capabilities(m, &mapped_ram, &on, 1, err);
        if (!rc)
            rc = migration_set_capabilities(m, &multifd, &on, 1, err);
        if (!rc)
            rc = migration_params_set(m, indexes, values, 3, err);
    }
    return rc ? rc : settings_apply(&r->settings, m, err);
}

/* A supervised target gets its end of a socket pair: always a handover. */
static int start_handover(struct migration *m, const char *uri, struct ferry_err *err)
{
    OWN_FD int fd = -1;
    char *end;
    long number = strtol(uri + 3, &end, 10);

    if (end == uri + 3 || *end || number < 0 || number > 1 << 20 ||
        fcntl((int)number, F_SETFD, FD_CLOEXEC) < 0)
        return err_set(err, EBADF, "'%s' is not an open file descriptor", uri);
    fd = (int)number;
    return migration_incoming_fd(m, &fd, err);
}

static int start_incoming(struct migration *m, const struct receive *r, struct ferry_err *err)
{
    struct migration_info info;
    int rc;

    if (r->supervised && !strncmp(r->uri, "fd:", 3))
        return start_handover(m, r->uri, err);
    rc = migration_incoming_uri(m, r->uri, err);
    if (rc < 0)
        return rc;
    migration_info(m, &info);
    if (info.listening && !r->supervised) {
        printf("listening on %s\n", info.listening);
        fflush(stdout);
    }
    return 0;
}

/* It may be taken until a guest has come; then it is looked at again. */
static int check_name(const struct receive *r, struct vm_config *config, struct ferry_err *err)
{
    const struct given *given = this_host_find(&r->this_host, "name", NULL);
    struct rundir_claim *claim = NULL;
    int rc;

    if (!given)
        return 0;
    rc = option_name(config, given_word(given), err);
    if (!rc)
        rc = rundir_claim_new(&claim, config->name, err);
    if (!rc)
        rc = rundir_claim_look(claim, err);
    rundir_claim_free(claim);
    return rc < 0 ? err_prefix(err, "--name %s", given_word(given)) : 0;
}

int receive_supervise(const struct receive *r, const struct command *self, int argc,
                      char *const argv[])
{
    struct vm_config config = {0};
    struct supervisor_policy policy;
    struct incoming incoming;
    struct ferry_err err;
    int rc = r->sandbox ? option_sandbox(&config, r->sandbox, &err) : 0;

    if (rc < 0)
        return command_misused(self, "--sandbox %s: %s", r->sandbox, err.text);
    if (r->qmp)
        rc = option_qmp(&config, r->qmp, &err);
    if (rc < 0)
        return command_fail(self, "-qmp %s: %s", r->qmp, err.text);
    rc = check_name(r, &config, &err);
    if (!rc)
        rc = this_host_peers(&r->this_host, &config, &err);
    if (rc < 0) {
        config_free(&config);
        return command_fail(self, "%s", err.text);
    }
    supervisor_policy_from(&policy, &config);
    policy.only_loopback = !r->insecure;
    rc = incoming_open(&incoming, r->uri ? r->uri : "defer", !r->insecure, &err);
    rc = rc < 0 ? command_fail(self, "%s", err.text)
                : supervisor_run(self, argc, argv, &policy, &incoming, !r->once, NULL);
    config_free(&config);
    return rc;
}

/* Nobody has been heard yet. What a handover brings is open; what else a machine needs is opened
 * when it is known, of what this host's command line gives. */
static int confine(struct vm *vm, const struct receive *r, struct ferry_err *err)
{
    struct reach reach;
    int rc;

    if (r->supervised || !supervisor_link_policy(vm_supervisor(vm))->sandbox)
        return vm_confine(vm, SANDBOX_MAIN, NULL, err);
    rc = reach_of(&reach, &r->this_host, err);
    if (rc < 0)
        return rc;
    rc = vm_confine(vm, SANDBOX_BUILDER, &reach, err);
    reach_free(&reach);
    return rc;
}

int receive_vm(const struct receive *r, int *status, struct ferry_err *err)
{
    struct process_signals *signals = NULL;
    struct vm *vm = NULL;
    /* Made now, not when somebody has connected; an update brings what it needs of it. */
    int rc = r->supervised ? 0 : rundir_prepare(err);

    if (!rc)
        rc = process_begin(&signals, &vm, err);
    if (!rc)
        rc = set_up(vm_migration(vm), r, err);
    if (!rc && r->qmp)
        rc = monitors_open_own(vm_monitors(vm), vm_loop(vm), r->qmp, err);
    if (!rc && r->uri)
        rc = start_incoming(vm_migration(vm), r, err);
    if (!rc)
        rc = confine(vm, r, err);
    if (!rc)
        *status = vm_run(vm);
    process_signals_free(signals);
    vm_free(vm);
    return rc;
}
