/* SPDX-License-Identifier: Apache-2.0 */
/* migrate and snapshot: set the parameters, start, watch, and show where the pause went. */
#include <errno.h>
#include <json-c/json.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/own.h"
#include "base/same_file.h"
#include "vmm/config/absolute.h"
#include "vmm/config/props.h"
#include "vmm/main/cmd_client.h"
#include "vmm/main/move_watch.h"
#include "vmm/move/settings.h"
#include "vmm/process/interrupt.h"

struct migrate_options {
    const char *command; /* what moves it */
    const char *vm, *uri;
    const char *file;       /* of a snapshot: its name; NULL: none */
    uint64_t bandwidth_bps; /* 0 = no limit */
    uint64_t downtime_ms;   /* 0 = as it is */
    uint64_t channels;      /* 0 = only the main one */
    const char *compress;   /* NULL = none */
    bool dry_run, json;
    bool mapped_ram, direct_io;
};

static int execute(const char *vm, const char *command, struct json_object *arguments,
                   struct json_object **reply, struct ferry_err *err)
{
    struct json_object *ignored = NULL;
    int rc = client_execute(vm, command, arguments, reply ? reply : &ignored, err);

    json_object_put(ignored);
    return rc;
}

static struct json_object *object_of(const char *key, struct json_object *value)
{
    struct json_object *o = json_object_new_object();

    json_object_object_add(o, key, value);
    return o;
}

/* --- Settings --- */

static struct json_object *capability(const char *name, bool on)
{
    struct json_object *c = object_of("capability", json_object_new_string(name));

    json_object_object_add(c, "state", json_object_new_boolean(on));
    return c;
}

static struct json_object *parameters_of(const struct migrate_options *o)
{
    struct json_object *p = object_of("local", json_object_new_boolean(false));

    json_object_object_add(p, "max-bandwidth", json_object_new_uint64(o->bandwidth_bps));
    if (o->downtime_ms)
        json_object_object_add(p, "downtime-limit", json_object_new_uint64(o->downtime_ms));
    if (o->channels)
        json_object_object_add(p, "multifd-channels", json_object_new_uint64(o->channels));
    json_object_object_add(p, "multifd-compression",
                           json_object_new_string(o->compress ? o->compress : "none"));
    json_object_object_add(p, "direct-io", json_object_new_boolean(o->direct_io));
    return p;
}

static struct json_object *capabilities_of(const struct migrate_options *o)
{
    struct json_object *list = json_object_new_array();

    json_object_array_add(list, capability("multifd", o->channels || o->compress));
    json_object_array_add(list, capability("mapped-ram", o->mapped_ram));
    return list;
}

/* In the same request as the start: another operator's are not between. */
static struct json_object *settings_of(const struct migrate_options *o)
{
    struct json_object *settings = object_of("capabilities", capabilities_of(o));

    json_object_object_add(settings, "parameters", parameters_of(o));
    return settings;
}

/* As an older VM's process knows it. Capabilities first, as they are refused while another move
 * runs: that one keeps its parameters. */
static int set_before(const struct migrate_options *o, struct ferry_err *err)
{
    int rc = execute(o->vm, "migrate-set-capabilities",
                     object_of("capabilities", capabilities_of(o)), NULL, err);

    return rc < 0 ? rc : execute(o->vm, "migrate-set-parameters", parameters_of(o), NULL, err);
}

/* *job: its name; set to NULL where the VM knows no names. */
static int start(const struct migrate_options *o, int interrupt, const char *command,
                 const char **job, struct ferry_err *err)
{
    struct json_object *arguments = object_of("uri", json_object_new_string(o->uri));
    struct json_object *started = NULL;
    int rc;

    json_object_object_add(arguments, "ferry-job", json_object_new_string(*job));
    json_object_object_add(arguments, "ferry-settings", settings_of(o));
    rc = client_execute_until(interrupt, o->vm, command, arguments, &started, err);
    if (client_knows_not(rc, err, "ferry-job")) {
        *job = NULL;
        rc = set_before(o, err);
        if (!rc)
            rc = client_execute_until(interrupt, o->vm, command,
                                      object_of("uri", json_object_new_string(o->uri)), &started,
                                      err);
    }
    json_object_put(started);
    return rc;
}

/* --- The end --- */

static double gib(long long bytes)
{
    return (double)bytes / (1 << 30);
}

static void print_phase(const char *name, struct json_object *ledger, const char *key)
{
    printf("  %10.1f us  %s\n", (double)client_number(ledger, key) / 1000, name);
}

static void print_end(const struct migrate_options *o, struct json_object *info,
                      struct json_object *ledger)
{
    if (!client_number(info, "ram.total")) {
        printf("VM '%s' has moved to %s.\n", o->vm, o->uri);
        return;
    }
    printf("VM '%s' has moved to %s: %.2f GiB of RAM in %.1f s, %.2f GB on the wire.\n", o->vm,
           o->uri, gib(client_number(info, "ram.total")),
           (double)client_number(info, "total-time") / 1000,
           (double)client_number(info, "ram.transferred") / 1e9);
    if (!ledger)
        return;
    printf("The guest was paused for %.1f ms:\n\n",
           (double)client_number(ledger, "total-ns") / 1e6);
    print_phase("stop harts and devices", ledger, "stop-ns");
    print_phase("save", ledger, "save-ns");
    print_phase("send the last pages and the state", ledger, "send-ns");
    print_phase("wait for the target", ledger, "wait-ns");
    print_phase("commit", ledger, "commit-ns");
    puts("\nby the target's clock:\n");
    print_phase("load", ledger, "target-load-ns");
    print_phase("start", ledger, "target-start-ns");
    printf("\nbefore the pause, the guest running: %.1f ms to set up, %.1f ms to finish requests\n"
           "%lld bytes of state, %lld bytes of RAM in the pause\n",
           (double)client_number(ledger, "setup-ns") / 1e6,
           (double)client_number(ledger, "quiesce-ns") / 1e6, client_number(ledger, "state-bytes"),
           client_number(ledger, "last-ram-bytes"));
}

static void print_json(struct json_object *info, struct json_object *ledger)
{
    if (json_object_is_type(info, json_type_object))
        json_object_object_add(info, "ledger", json_object_get(ledger));
    client_print_json(info, false);
}

/* What is known of a move when the process that made it, and its ledger with it, has been replaced
 * by an update. A file has its name when it is whole, and not before. */
static int after_update(const struct migrate_options *o, const struct stat *before,
                        struct ferry_err *err)
{
    struct stat now;

    if (o->file && stat(o->file, &now) == 0 && !same_file(&now, before))
        return 0;
    return err_set(err, EIO,
                   "VM '%s' has been updated before it could be asked how this ended. It did not "
                   "get to %s; the guest is where it was",
                   o->vm, o->uri);
}

/* NULL: another move has begun since, whose it is. */
static struct json_object *ledger_of(const char *vm, const char *job)
{
    struct json_object *ledger = NULL;
    struct ferry_err ignored;

    if (execute(vm, "ferry-migrate-ledger", NULL, &ledger, &ignored) < 0)
        return NULL;
    if (!job || !strcmp(client_text(ledger, "ferry-job"), job))
        return ledger;
    json_object_put(ledger);
    return NULL;
}

static int move(const struct migrate_options *o, struct json_object **info,
                struct json_object **ledger, struct ferry_err *err)
{
    OWN_FD int interrupt = -1;
    char name[MOVE_NAME_BYTES];
    struct move_watch watch = {
        .vm = o->vm,
        .to = o->uri,
        .job = name,
        .file = !strncmp(o->uri, "file:", strlen("file:")),
        .quiet = o->json,
    };
    struct stat before = {0};
    int rc = move_name(name, err);

    if (o->file)
        (void)stat(o->file, &before);
    if (!rc)
        rc = interrupt_begin(&interrupt, err);
    watch.interrupt = interrupt;
    if (!rc)
        rc = start(o, interrupt, o->command, &watch.job, err);
    if (rc == -EINTR)
        return err_set(err, EINTR,
                       "VM '%s' was told to, and has not answered yet; 'ferry status %s' shows "
                       "whether it does, 'ferry cancel %s' ends it",
                       o->vm, o->vm, o->vm);
    if (!rc)
        rc = move_watch(&watch, info, err);
    if (rc == -ESTALE)
        return after_update(o, &before, err);
    /* It is over, whether somebody can still be asked for its figures or not. */
    if (!rc)
        *ledger = ledger_of(o->vm, watch.job);
    return rc;
}

/* --- migrate --- */

static int parse_bandwidth(const struct command *self, const char *text, struct migrate_options *o)
{
    if (props_parse_size(text, 1, &o->bandwidth_bps) < 0)
        return command_misused(self, "--bandwidth %s: bytes per second were expected (800M)", text);
    return 0;
}

static int parse(const struct command *self, int argc, char *const argv[],
                 struct migrate_options *o)
{
    for (int i = 0; i < argc; i++) {
        const char *name = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
        struct ferry_err err;

        if (!strcmp(name, "--json")) {
            o->json = true;
        } else if (!strcmp(name, "--dry-run")) {
            o->dry_run = true;
        } else if (!strcmp(name, "--bandwidth") && value) {
            int status = parse_bandwidth(self, argv[++i], o);

            if (status)
                return status;
        } else if (!strcmp(name, "--downtime") && value) {
            if (command_number(argv[++i], 2000000, &o->downtime_ms) < 0)
                return command_misused(self,
                                       "--downtime %s: milliseconds, 1 to 2000000, were "
                                       "expected",
                                       value);
        } else if (!strcmp(name, "--channels") && value) {
            if (command_number(argv[++i], 255, &o->channels) < 0)
                return command_misused(self, "--channels %s: 1 to 255 were expected", value);
        } else if (!strcmp(name, "--compress") && value) {
            o->compress = argv[++i];
            if (settings_check_compression(value, &err) < 0)
                return command_misused(self, "%s", err.text);
        } else if (name[0] == '-' || o->uri) {
            return command_unexpected(self, name);
        } else if (o->vm) {
            o->uri = name;
        } else {
            o->vm = name;
        }
    }
    if (!o->vm || !o->uri)
        return command_misused(self, "the name of a VM and where it shall go were expected");
    return 0;
}

static int check(const struct command *self, const struct migrate_options *o)
{
    char name[MOVE_NAME_BYTES];
    const char *job = name;
    struct ferry_err err;
    int rc = move_name(name, &err);

    if (!rc)
        rc = start(o, -1, "ferry-migrate-check", &job, &err);
    if (rc < 0)
        return command_fail(self, "%s", err.text);
    puts(o->json ? "{\"accepted\":true}" : "The target would take this VM.");
    return 0;
}

static int run_migrate(const struct command *self, int argc, char *const argv[])
{
    struct migrate_options o = {.command = "migrate"};
    struct json_object *info = NULL, *ledger = NULL;
    struct ferry_err err;
    OWN_MEM char *uri = NULL;
    int status = parse(self, argc, argv, &o);

    if (status)
        return status;
    /* The VM's working directory is not ours. */
    o.uri = uri = absolute_place(o.uri, &err);
    if (!uri)
        return command_fail(self, "%s", err.text);
    if (o.dry_run)
        return check(self, &o);
    if (move(&o, &info, &ledger, &err) < 0)
        status = command_fail(self, "%s", err.text);
    else if (o.json)
        print_json(info, ledger);
    else
        print_end(&o, info, ledger);
    json_object_put(info);
    json_object_put(ledger);
    return status;
}

const struct command command_migrate = {
    .name = "migrate",
    .usage = "VM URI [--bandwidth SIZE] [--downtime MS] [--channels N] [--compress METHOD] "
             "[--dry-run] [--json]",
    .summary = "Move a running VM to another host, and show where the pause went.",
    .help = "On the other host 'ferry receive URI' waits, or a QEMU with -incoming. URI is\n"
            "tcp:HOST:PORT, unix:PATH or exec:COMMAND. Whatever goes wrong before the target has\n"
            "everything, the guest goes on where it is. Afterwards the VM is still here, paused,\n"
            "until 'ferry quit VM'. Ctrl-C cancels, as 'ferry cancel VM' does from elsewhere; a\n"
            "second one leaves the move to itself.\n\n"
            "  --bandwidth SIZE   bytes per second, 800M for example (default: no limit)\n"
            "  --downtime MS      how long the pause may be (default: 300)\n"
            "  --channels N       N connections for RAM besides the main one\n"
            "  --compress METHOD  none, zlib or zstd, on those (2, if --channels is not given)\n"
            "                     ('ferry receive' must be given the same two)\n"
            "  --dry-run          only ask the target whether it would take this VM\n"
            "  --json             print the result and the ledger of the pause as JSON\n",
    .run = run_migrate,
};

/* --- snapshot --- */

static int parse_snapshot(const struct command *self, int argc, char *const argv[],
                          struct migrate_options *o, const char **file)
{
    for (int i = 0; i < argc; i++) {
        const char *name = argv[i];

        if (!strcmp(name, "--mapped-ram")) {
            o->mapped_ram = true;
        } else if (!strcmp(name, "--direct-io")) {
            o->mapped_ram = o->direct_io = true;
        } else if (!strcmp(name, "--bandwidth") && i + 1 < argc) {
            int status = parse_bandwidth(self, argv[++i], o);

            if (status)
                return status;
        } else if (!strcmp(name, "--channels") && i + 1 < argc) {
            o->mapped_ram = true;
            if (command_number(argv[++i], 255, &o->channels) < 0)
                return command_misused(self, "--channels %s: 1 to 255 were expected", argv[i]);
        } else if (name[0] == '-' || *file) {
            return command_unexpected(self, name);
        } else if (o->vm) {
            *file = name;
        } else {
            o->vm = name;
        }
    }
    if (!o->vm || !*file)
        return command_misused(self, "a VM and a file were expected");
    /* Only pages of channels go past the page cache. */
    if (o->direct_io && !o->channels)
        o->channels = 2;
    return 0;
}

static int run_snapshot(const struct command *self, int argc, char *const argv[])
{
    OWN_MEM char *path = NULL, *uri = NULL;
    struct migrate_options o = {.command = "ferry-snapshot"};
    const char *file = NULL;
    struct json_object *info = NULL, *ledger = NULL;
    struct ferry_err err;
    int rc;

    rc = parse_snapshot(self, argc, argv, &o, &file);
    if (rc)
        return rc;
    /* The VM's working directory is not ours. */
    path = absolute_name(file, &err);
    if (!path)
        return command_fail(self, "%s", err.text);
    if (asprintf(&uri, "file:%s", path) < 0) {
        uri = NULL;
        return command_fail(self, "out of memory");
    }
    o.uri = uri;
    o.file = path;
    rc = move(&o, &info, &ledger, &err);
    if (rc < 0)
        command_fail(self, "%s", err.text);
    else if (!ledger)
        printf("%s: whole; how long it took is not known, its process has been replaced since\n",
               file);
    else
        printf("%s: %.2f GiB of RAM in %.1f s; the guest was paused for %.1f ms\n", file,
               gib(client_number(info, "ram.total")),
               (double)client_number(info, "total-time") / 1000,
               (double)client_number(ledger, "total-ns") / 1e6);
    json_object_put(info);
    json_object_put(ledger);
    return rc < 0;
}

const struct command command_snapshot = {
    .name = "snapshot",
    .usage = "VM FILE [--bandwidth SIZE] [--mapped-ram] [--channels N] [--direct-io]",
    .summary = "Write a running VM into a file; 'ferry run --restore FILE' runs it from there.",
    .help =
        "RAM and the state of the machine, as QEMU's migration stream; not the disks, which\n"
        "go on changing: keep a copy of them from the same moment. A paused guest stays\n"
        "paused. Ctrl-C cancels; a second one leaves the snapshot to itself.\n\n"
        "  --bandwidth SIZE  bytes per second, 800M for example (default: no limit)\n"
        "  --mapped-ram      each page has one place in the file, so that a guest which goes\n"
        "                    on writing makes it no longer; what it never used is a hole\n"
        "  --channels N      N threads write such a file\n"
        "  --direct-io       past the host's page cache (O_DIRECT), by 2 threads or --channels\n",
    .run = run_snapshot,
};
