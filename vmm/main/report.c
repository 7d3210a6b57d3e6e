/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/main/report.h"

#include <errno.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/err.h"
#include "vmm/main/cmd_client.h"
#include "vmm/process/proc_stat.h"

static void put_text(struct json_object *o, const char *name, const char *text)
{
    if (*text)
        json_object_object_add(o, name, json_object_new_string(text));
}

static void put_number(struct json_object *o, const char *name, long long number)
{
    json_object_object_add(o, name, json_object_new_int64(number));
}

static void put_flag(struct json_object *o, const char *name, bool flag)
{
    json_object_object_add(o, name, json_object_new_boolean(flag));
}

/* describe: NULL: nothing to say of that one. */
static void put_list(struct json_object *o, const char *name, struct json_object *from,
                     struct json_object *(*describe)(struct json_object *))
{
    struct json_object *list = json_object_new_array();

    for (size_t i = 0; i < client_length(from); i++) {
        struct json_object *described = describe(json_object_array_get_idx(from, i));

        if (described)
            json_object_array_add(list, described);
    }
    json_object_object_add(o, name, list);
}

/* --- Members --- */

/* "disconnected:unix:/run/x,server=on", as query-chardev shows it. */
static struct json_object *describe_socket(struct json_object *chardev)
{
    static const char nobody[] = "disconnected:";
    const char *where = client_text(chardev, "filename"), *id = client_text(chardev, "label");
    bool connected = strncmp(where, nobody, sizeof(nobody) - 1) != 0;
    struct json_object *o;

    if (!strcmp(where, "mux")) /* who shares one that is listed, too */
        return NULL;
    o = json_object_new_object();
    put_text(o, "id", !strcmp(id, "ferry-control") ? "control" : id);
    put_text(o, "where", connected ? where : where + sizeof(nobody) - 1);
    /* Of monitors, which have many clients, nobody can say. */
    if (!strncmp(id, "serial", strlen("serial")) || !connected)
        put_flag(o, "connected", connected);
    return o;
}

static struct json_object *describe_disk(struct json_object *block)
{
    struct json_object *o = json_object_new_object();

    put_text(o, "id", client_text(block, "device"));
    put_text(o, "file", client_text(block, "inserted.file"));
    put_flag(o, "read-only", client_flag(block, "inserted.ro"));
    put_text(o, "io-status", client_text(block, "io-status"));
    return o;
}

static struct json_object *itself(struct json_object *o)
{
    return json_object_get(o);
}

static void put_processes(struct json_object *o, struct json_object *version)
{
    pid_t vmm = (pid_t)client_number(version, "ferry.pid"), first;
    char path[PATH_MAX];
    struct proc_stat stat;
    bool deleted;

    if (vmm <= 0)
        return; /* a VMM that does not tell */
    first = proc_stat_supervisor(vmm);
    put_number(o, "pid", first ? first : vmm);
    put_number(o, "vmm-pid", vmm);
    if (proc_stat_read(first ? first : vmm, &stat))
        put_number(o, "uptime-s", stat.age_s);
    put_text(o, "build", client_text(version, "ferry.build"));
    if (client_binary(vmm, path, &deleted) == 0) {
        put_text(o, "binary", path);
        put_flag(o, "binary-deleted", deleted);
    }
}

/* The process was started for the update, just before. */
static void put_update(struct json_object *o, struct json_object *ledger)
{
    pid_t vmm = (pid_t)client_number(ledger, "pid");
    struct json_object *update = json_object_new_object();
    struct proc_stat stat;

    if (vmm > 0 && proc_stat_read(vmm, &stat)) {
        time_t started = (time_t)stat.started_utc_s;
        struct tm utc;
        char when[32];

        strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&started, &utc));
        put_text(update, "when", when);
    }
    put_text(update, "from", client_text(ledger, "from"));
    put_text(update, "to", client_text(ledger, "to"));
    put_number(update, "pause-ns", client_number(ledger, "total-ns"));
    json_object_object_add(o, "last-update", update);
}

/* An older VMM does not say what it was. */
static void put_migration(struct json_object *o, struct json_object *migrate,
                          struct json_object *ledger)
{
    const char *what = client_text(migrate, "ferry-what");
    struct json_object *migration;

    if (!*client_text(migrate, "status"))
        return;
    migration = json_object_new_object();
    put_text(migration, "what", *what ? what : "migration");
    put_text(migration, "status", client_text(migrate, "status"));
    put_text(migration, "error", client_text(migrate, "error-desc"));
    if (client_number(migrate, "ram.total")) {
        put_number(migration, "transferred-bytes", client_number(migrate, "ram.transferred"));
        put_number(migration, "remaining-bytes", client_number(migrate, "ram.remaining"));
        put_number(migration, "total-ms", client_number(migrate, "total-time"));
    }
    if (ledger)
        put_number(migration, "pause-ns", client_number(ledger, "total-ns"));
    json_object_object_add(o, "migration", migration);
}

/* --- Asking --- */

enum {
    ASK_STATUS,
    ASK_NAME,
    ASK_MEMORY,
    ASK_CPUS,
    ASK_MIGRATE,
    ASK_VERSION,
    ASK_CHARDEVS,
    ASK_BLOCKS,
    ASK_NETDEVS,
    ASK_UPDATE,
    ASK_MOVE,
    ASK_COUNT
};

static const char *const questions[ASK_COUNT] = {
    [ASK_STATUS] = "query-status",
    [ASK_NAME] = "query-name",
    [ASK_MEMORY] = "query-memory-size-summary",
    [ASK_CPUS] = "query-cpus-fast",
    [ASK_MIGRATE] = "query-migrate",
    [ASK_VERSION] = "query-version",
    [ASK_CHARDEVS] = "query-chardev",
    [ASK_BLOCKS] = "query-block",
    [ASK_NETDEVS] = "ferry-netdevs",
    [ASK_UPDATE] = "ferry-ledger",
    [ASK_MOVE] = "ferry-migrate-ledger",
};

/* A command that it does not know, or of which it has nothing: no answer, and no error. */
static int ask_all(const char *vm, int64_t timeout_ns, struct json_object *answers[ASK_COUNT],
                   struct ferry_err *err)
{
    for (size_t i = 0; i < ASK_COUNT; i++) {
        int rc = client_query_within(timeout_ns, vm, questions[i], NULL, &answers[i], err);

        if (rc < 0)
            answers[i] = NULL;
        if (rc < 0 && (rc != -EREMOTEIO || i == ASK_STATUS))
            return rc;
    }
    return 0;
}

int report_ask(const char *vm, int64_t timeout_ns, struct json_object **ret, struct ferry_err *err)
{
    struct json_object *answers[ASK_COUNT] = {0}, *o;
    int rc = ask_all(vm, timeout_ns, answers, err);

    if (!rc) {
        *ret = o = json_object_new_object();
        /* It may have been found by a process id. */
        put_text(o, "name",
                 *client_text(answers[ASK_NAME], "name") ? client_text(answers[ASK_NAME], "name")
                                                         : vm);
        put_text(o, "status", client_text(answers[ASK_STATUS], "status"));
        put_processes(o, answers[ASK_VERSION]);
        put_number(o, "harts", (long long)client_length(answers[ASK_CPUS]));
        put_number(o, "memory-bytes", client_number(answers[ASK_MEMORY], "base-memory"));
        put_list(o, "sockets", answers[ASK_CHARDEVS], describe_socket);
        put_list(o, "disks", answers[ASK_BLOCKS], describe_disk);
        put_list(o, "netdevs", answers[ASK_NETDEVS], itself);
        if (answers[ASK_UPDATE])
            put_update(o, answers[ASK_UPDATE]);
        put_migration(o, answers[ASK_MIGRATE], answers[ASK_MOVE]);
    }
    for (size_t i = 0; i < ASK_COUNT; i++)
        json_object_put(answers[i]);
    return rc;
}
