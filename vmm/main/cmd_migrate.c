/* SPDX-License-Identifier: Apache-2.0 */
/* migrate and snapshot: set the parameters, start, watch, and show where the pause went. */
#include <errno.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "vmm/main/cmd_client.h"
#include "vmm/main/props.h"

#define POLL_NS   (100 * 1000000L)
#define BAR_CELLS 30

struct migrate_options {
    const char *command; /* what moves it */
    const char *vm, *uri;
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

static int prepare(const struct migrate_options *o, struct ferry_err *err)
{
    struct json_object *parameters = object_of("local", json_object_new_boolean(false));
    struct json_object *list = json_object_new_array();
    bool multifd = o->channels || o->compress;
    int rc;

    json_object_object_add(parameters, "max-bandwidth", json_object_new_uint64(o->bandwidth_bps));
    if (o->downtime_ms)
        json_object_object_add(parameters, "downtime-limit",
                               json_object_new_uint64(o->downtime_ms));
    if (o->channels)
        json_object_object_add(parameters, "multifd-channels", json_object_new_uint64(o->channels));
    json_object_object_add(parameters, "multifd-compression",
                           json_object_new_string(o->compress ? o->compress : "none"));
    json_object_object_add(parameters, "direct-io", json_object_new_boolean(o->direct_io));
    rc = execute(o->vm, "migrate-set-parameters", parameters, NULL, err);
    json_object_array_add(list, capability("multifd", multifd));
    json_object_array_add(list, capability("mapped-ram", o->mapped_ram));
    if (rc < 0)
        json_object_put(list);
    else
        rc = execute(o->vm, "migrate-set-capabilities", object_of("capabilities", list), NULL, err);
    return rc;
}

/* --- Progress --- */

static double gib(long long bytes)
{
    return (double)bytes / (1 << 30);
}

static void show_progress(struct json_object *now, bool terminal)
{
    const char *status = client_text(now, "status");
    long long total = client_number(now, "ram.total");
    long long left = client_number(now, "ram.remaining");
    long long rounds = client_number(now, "ram.dirty-sync-count");
    double part = total ? 1.0 - (double)left / (double)total : 0;
    double rate = (double)client_number(now, "ram.mbps") / 8000;
    char bar[BAR_CELLS + 1];
    int full = (int)(part * BAR_CELLS);

    if (!terminal) {
        fprintf(stderr,
                "%s: round %lld, %.2f of %.2f GiB left, %.2f GB/s, guest writes %.1f MB/s, "
                "expected pause %lld ms\n",
                status, rounds, gib(left), gib(total), rate,
                (double)client_number(now, "ram.dirty-pages-rate") * 4096 / 1e6,
                client_number(now, "expected-downtime"));
        return;
    }
    for (int i = 0; i < BAR_CELLS; i++)
        bar[i] = i < full ? '#' : '.';
    bar[BAR_CELLS] = '\0';
    fprintf(stderr,
            "\r[%s] %3.0f %%  round %lld  %.2f GB/s  written %.1f MB/s  pause ~%lld ms  %s\033[K",
            bar, part * 100, rounds, rate,
            (double)client_number(now, "ram.dirty-pages-rate") * 4096 / 1e6,
            client_number(now, "expected-downtime"), status);
    fflush(stderr);
}

static bool is_over(const char *status)
{
    return !strcmp(status, "completed") || !strcmp(status, "failed") ||
           !strcmp(status, "cancelled");
}

/* 0: completed. */
static int watch(const char *vm, bool quiet, struct json_object **ret, struct ferry_err *err)
{
    bool terminal = isatty(STDERR_FILENO);
    unsigned polls = 0;

    for (;; polls++) {
        struct json_object *now;
        const char *status;
        int rc = execute(vm, "query-migrate", NULL, &now, err);

        if (rc < 0)
            return rc;
        status = client_text(now, "status");
        if (is_over(status)) {
            if (terminal && !quiet && polls)
                fputs("\r\033[K", stderr);
            if (strcmp(status, "completed"))
                rc = err_set(err, EIO, "the migration %s%s%s", status,
                             *client_text(now, "error-desc") ? ": " : "",
                             client_text(now, "error-desc"));
            *ret = now;
            return rc;
        }
        /* On a terminal ten times a second, in a log once. */
        if (!quiet && polls && (terminal || polls % 10 == 0))
            show_progress(now, terminal);
        json_object_put(now);
        nanosleep(&(struct timespec){.tv_nsec = POLL_NS}, NULL);
    }
}

/* --- The end --- */

static void print_phase(const char *name, struct json_object *ledger, const char *key)
{
    printf("  %10.1f us  %s\n", (double)client_number(ledger, key) / 1000, name);
}

static void print_end(const struct migrate_options *o, struct json_object *info,
                      struct json_object *ledger)
{
    printf("VM '%s' has moved to %s: %.2f GiB of RAM in %.1f s, %.2f GB on the wire.\n", o->vm,
           o->uri, gib(client_number(info, "ram.total")),
           (double)client_number(info, "total-time") / 1000,
           (double)client_number(info, "ram.transferred") / 1e9);
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

static int move(const struct migrate_options *o, struct json_object **info,
                struct json_object **ledger, struct ferry_err *err)
{
    int rc = prepare(o, err);

    if (!rc)
        rc =
            execute(o->vm, o->command, object_of("uri", json_object_new_string(o->uri)), NULL, err);
    if (!rc)
        rc = watch(o->vm, o->json, info, err);
    if (!rc)
        rc = execute(o->vm, "ferry-migrate-ledger", NULL, ledger, err);
    return rc;
}

/* --- migrate --- */

static int parse_number(const char *text, uint64_t max, uint64_t *ret)
{
    char *end;

    errno = 0;
    *ret = strtoull(text, &end, 10);
    return end == text || *end || errno || *ret < 1 || *ret > max ? -EINVAL : 0;
}

static int parse(const struct command *self, int argc, char *const argv[],
                 struct migrate_options *o)
{
    for (int i = 0; i < argc; i++) {
        const char *name = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;

        if (!strcmp(name, "--json")) {
            o->json = true;
        } else if (!strcmp(name, "--dry-run")) {
            o->dry_run = true;
        } else if (!strcmp(name, "--bandwidth") && value) {
            if (props_parse_size(argv[++i], 1, &o->bandwidth_bps) < 0)
                return command_fail(self, "--bandwidth %s: bytes per second were expected (800M)",
                                    value);
        } else if (!strcmp(name, "--downtime") && value) {
            if (parse_number(argv[++i], 2000000, &o->downtime_ms) < 0)
                return command_fail(self,
                                    "--downtime %s: milliseconds, 1 to 2000000, were "
                                    "expected",
                                    value);
        } else if (!strcmp(name, "--channels") && value) {
            if (parse_number(argv[++i], 255, &o->channels) < 0)
                return command_fail(self, "--channels %s: 1 to 255 were expected", value);
        } else if (!strcmp(name, "--compress") && value) {
            o->compress = argv[++i];
        } else if (name[0] == '-' || o->uri) {
            return command_misused(self, "'%s' was not expected", name);
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
    struct ferry_err err;
    int rc = prepare(o, &err);

    if (!rc)
        rc = execute(o->vm, "ferry-migrate-check", object_of("uri", json_object_new_string(o->uri)),
                     NULL, &err);
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
    int status = parse(self, argc, argv, &o);

    if (status)
        return status;
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
            "until 'ferry quit VM'.\n\n"
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
        } else if (!strcmp(name, "--channels") && i + 1 < argc) {
            o->mapped_ram = true;
            if (parse_number(argv[++i], 255, &o->channels) < 0)
                return command_fail(self, "--channels %s: 1 to 255 were expected", argv[i]);
        } else if (name[0] == '-' || *file) {
            return command_misused(self, "'%s' was not expected", name);
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
    char dir[PATH_MAX], uri[PATH_MAX + 512];
    struct migrate_options o = {.command = "ferry-snapshot", .uri = uri, .json = true};
    const char *file = NULL;
    struct json_object *info = NULL, *ledger = NULL;
    struct ferry_err err;
    int rc;

    rc = parse_snapshot(self, argc, argv, &o, &file);
    if (rc)
        return rc;
    /* The VM's working directory is not ours. */
    if (file[0] != '/' && !getcwd(dir, sizeof(dir)))
        return command_fail(self, "%s: %s", file, strerror(errno));
    snprintf(uri, sizeof(uri), "file:%s%s%s", file[0] == '/' ? "" : dir, file[0] == '/' ? "" : "/",
             file);
    rc = move(&o, &info, &ledger, &err);
    if (rc < 0)
        command_fail(self, "%s", err.text);
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
    .usage = "VM FILE [--mapped-ram] [--channels N] [--direct-io]",
    .summary = "Write a running VM into a file; 'ferry run --restore FILE' runs it from there.",
    .help = "RAM and the state of the machine, as QEMU's migration stream; not the disks, which\n"
            "go on changing: keep a copy of them from the same moment. A paused guest stays\n"
            "paused.\n\n"
            "  --mapped-ram   each page has one place in the file, so that a guest which goes on\n"
            "                 writing makes it no longer; what it never used is a hole\n"
            "  --channels N   N threads write such a file\n"
            "  --direct-io    past the host's page cache (O_DIRECT), by 2 threads or --channels\n",
    .run = run_snapshot,
};
