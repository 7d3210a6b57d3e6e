/* SPDX-License-Identifier: Apache-2.0 */
/*
 * human-monitor-command: QEMU's commands for people, as far as scripts use them for a migration.
 * What they do is what the commands of QMP do; errors are text in the answer, lines end with CRLF.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/own.h"
#include "vmm/machine/migration.h"
#include "vmm/machine/vm.h"
#include "vmm/qmp/cmd.h"
#include "vmm/qmp/hmp.h"
#include "vmm/qmp/json_build.h"
#include "vmm/qmp/monitor.h"

#define HMP_OUT_MAX_BYTES 65536u
#define HMP_WORDS_MAX     4u

const struct qmp_type qmp_type_human_args = {
    .kind = QMP_KIND_OBJECT,
    QMP_MEMBERS({"command-line", &qmp_str}, {"cpu-index", &qmp_int, true})};

/* --- Commands: they write to out, or fail with the sentence of an error --- */

typedef int hmp_fn(struct qmp_call *call, const char *const *words, struct buf *out,
                   struct ferry_err *err);

/* A QMP command; its answer is not shown. */
static int run_quietly(struct qmp_call *call, qmp_handler_fn *handler, struct json_object *args,
                       struct ferry_err *err)
{
    OWN(json_freep) struct json_object *ret = NULL;

    return handler(call, args, &ret, err);
}

static int hmp_info_status(struct qmp_call *call, const char *const *words, struct buf *out,
                           struct ferry_err *err)
{
    enum run_state state = vm_run_state(monitor_env(call->monitor)->vm);

    if (state == RUN_STATE_RUNNING)
        buf_str(out, "VM status: running\r\n");
    else if (state == RUN_STATE_PAUSED)
        buf_str(out, "VM status: paused\r\n");
    else
        buf_printf(out, "VM status: paused (%s)\r\n", run_state_name(state));
    return 0;
}

static int hmp_info_capabilities(struct qmp_call *call, const char *const *words, struct buf *out,
                                 struct ferry_err *err)
{
    const struct migration *m = monitor_env(call->monitor)->migration;

    for (size_t i = 0; i < migration_capability_count(); i++)
        buf_printf(out, "%s: %s\r\n", migration_capability_name(i),
                   migration_capability(m, i) ? "on" : "off");
    return 0;
}

static int hmp_info_parameters(struct qmp_call *call, const char *const *words, struct buf *out,
                               struct ferry_err *err)
{
    hmp_print_parameters(out, monitor_env(call->monitor)->migration);
    return 0;
}

static int hmp_info_network(struct qmp_call *call, const char *const *words, struct buf *out,
                            struct ferry_err *err)
{
    hmp_print_network(out, monitor_env(call->monitor));
    return 0;
}

static int hmp_info_balloon(struct qmp_call *call, const char *const *words, struct buf *out,
                            struct ferry_err *err)
{
    return hmp_print_balloon(out, monitor_env(call->monitor), err);
}

static int hmp_balloon(struct qmp_call *call, const char *const *words, struct buf *out,
                       struct ferry_err *err)
{
    OWN(json_freep) struct json_object *args = json_object_new_object();
    uint64_t bytes;

    if (hmp_parse_size(words[0], UINT64_C(1) << 20, &bytes) < 0 || bytes > INT64_MAX) {
        buf_str(out, "balloon: a size was expected\r\n");
        return -EINVAL;
    }
    json_put_uint(args, "value", bytes);
    return run_quietly(call, qmp_run_balloon, args, err);
}

static int hmp_set_link(struct qmp_call *call, const char *const *words, struct buf *out,
                        struct ferry_err *err)
{
    OWN(json_freep) struct json_object *args = json_object_new_object();
    bool up = !strcmp(words[1], "on");

    if (!up && strcmp(words[1], "off")) {
        buf_str(out, "Expected 'on' or 'off'\r\n");
        return -EINVAL;
    }
    json_put_str(args, "name", words[0]);
    json_put_bool(args, "up", up);
    return run_quietly(call, qmp_run_set_link, args, err);
}

static int hmp_migrate(struct qmp_call *call, const char *const *words, struct buf *out,
                       struct ferry_err *err)
{
    OWN(json_freep) struct json_object *args = json_object_new_object();
    bool detach = false;
    int rc;

    for (; words[0] && words[0][0] == '-'; words++) {
        if (!strcmp(words[0], "-d")) {
            detach = true;
        } else if (!strcmp(words[0], "-r")) {
            json_put_bool(args, "resume", true);
        } else {
            buf_printf(out, "migrate: unsupported option %.8s\r\n", words[0]);
            return -EINVAL;
        }
    }
    if (!words[0] || words[1]) {
        buf_str(out, words[0] ? "migrate: extraneous characters at the end of line\r\n"
                              : "migrate: string expected\r\n");
        return -EINVAL;
    }
    json_put_str(args, "uri", words[0]);
    rc = run_quietly(call, qmp_run_migrate, args, err);
    /* A person at a terminal would wait; here nobody may be kept. */
    if (!rc && !detach)
        buf_str(out, "terminal does not allow synchronous migration, continuing detached\r\n");
    return rc;
}

static int hmp_set_parameter(struct qmp_call *call, const char *const *words, struct buf *out,
                             struct ferry_err *err)
{
    return hmp_parameter(monitor_env(call->monitor)->migration, words[0], words[1], err);
}

static int hmp_set_capability(struct qmp_call *call, const char *const *words, struct buf *out,
                              struct ferry_err *err)
{
    struct migration *m = monitor_env(call->monitor)->migration;
    bool on = !strcmp(words[1], "on"), known = false;

    if (!on && strcmp(words[1], "off")) {
        buf_str(out, "Expected 'on' or 'off'\r\n");
        return -EINVAL;
    }
    for (size_t i = 0; i < migration_capability_count(); i++)
        known |= !strcmp(migration_capability_name(i), words[0]);
    if (!known)
        return err_set(err, EINVAL, "invalid parameter value: %.100s", words[0]);
    return migration_set_capabilities(m, &words[0], &on, 1, err);
}

/* --- The line --- */

static const struct hmp_command {
    const char *info; /* "info" or NULL */
    const char *name, *params, *doc;
    hmp_fn *run;
    size_t words; /* how many it wants; HMP_WORDS_MAX: it looks itself */
    /* Instead of run: a QMP command without arguments, and how its answer is shown, if it is. */
    qmp_handler_fn *handler;
    void (*print)(struct buf *out, struct json_object *answer);
} commands[] = {
    {"info", "status", "", "show the current VM status (running|paused)", hmp_info_status, 0},
    {"info", "block", "", "show the block devices", .handler = qmp_run_query_block,
     .print = hmp_print_block},
    {"info", "chardev", "", "show the character devices", .handler = qmp_run_query_chardev,
     .print = hmp_print_chardev},
    {"info", "migrate", "", "show migration status", .handler = qmp_run_query_migrate,
     .print = hmp_print_migration},
    {"info", "migrate_capabilities", "", "show current migration capabilities",
     hmp_info_capabilities, 0},
    {"info", "migrate_parameters", "", "show current migration parameters", hmp_info_parameters, 0},
    {"info", "balloon", "", "show balloon information", hmp_info_balloon, 0},
    {"info", "name", "", "show the current VM name", .handler = qmp_run_query_name,
     .print = hmp_print_name},
    {"info", "network", "", "show the network state", hmp_info_network, 0},
    {"info", "version", "", "show the version of ferry", .handler = qmp_run_query_version,
     .print = hmp_print_version},
    {NULL, "balloon", "target", "request VM to change its memory allocation (in MB)", hmp_balloon,
     1},
    {NULL, "cont", "", "resume emulation", .handler = qmp_run_cont},
    {NULL, "migrate", "[-d] [-r] uri", "migrate to URI (-d: do not wait; -r: resume)", hmp_migrate,
     HMP_WORDS_MAX},
    {NULL, "migrate_cancel", "", "cancel the current VM migration",
     .handler = qmp_run_migrate_cancel},
    {NULL, "migrate_set_capability", "capability state", "switch a capability of migrations",
     hmp_set_capability, 2},
    {NULL, "migrate_set_parameter", "parameter value", "set a parameter of migrations",
     hmp_set_parameter, 2},
    {NULL, "quit", "", "quit the emulator", .handler = qmp_run_quit},
    {NULL, "set_link", "name on|off", "change the link status of a network adapter", hmp_set_link,
     2},
    {NULL, "stop", "", "stop emulation", .handler = qmp_run_stop},
    {NULL, "system_powerdown", "", "press the power button", .handler = qmp_run_system_powerdown},
    {NULL, "system_reset", "", "reset the system", .handler = qmp_run_system_reset},
    {NULL, "system_wakeup", "", "wake up from suspend", .handler = qmp_run_system_wakeup},
};
#define HMP_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void hmp_help(struct buf *out, bool info)
{
    for (size_t i = 0; i < HMP_COMMANDS; i++) {
        const struct hmp_command *c = &commands[i];

        if (info == (c->info != NULL))
            buf_printf(out, "%s%s %s -- %s\r\n", info ? "info " : "", c->name, c->params, c->doc);
    }
}

static int hmp_run_handler(struct qmp_call *call, const struct hmp_command *c, struct buf *out,
                           struct ferry_err *err)
{
    OWN(json_freep) struct json_object *answer = NULL;
    int rc = c->handler(call, NULL, &answer, err);

    if (!rc && c->print)
        c->print(out, answer);
    return rc;
}

static int hmp_run(struct qmp_call *call, const struct hmp_command *c, const char *const *words,
                   size_t count, struct buf *out, struct ferry_err *err)
{
    int rc = 0;

    if (c->words < HMP_WORDS_MAX && count != c->words) {
        buf_printf(out, "%s: %s\r\n", c->name,
                   count < c->words ? "string expected"
                                    : "extraneous characters at the end of line");
        rc = -EINVAL;
    }
    if (!rc)
        rc = c->handler ? hmp_run_handler(call, c, out, err) : c->run(call, words, out, err);
    if (rc < 0 && !err->errnum)
        buf_printf(out, "Try \"help %s%s\" for more information\r\n", c->info ? "info " : "",
                   c->name);
    else if (rc < 0)
        buf_printf(out, "Error: %s\r\n", err->text);
    return rc == QMP_DEFERRED ? rc : 0;
}

/* What comes behind the name; the words live as long as line. */
static int hmp_line(struct qmp_call *call, char *line, struct buf *out)
{
    const char *words[HMP_WORDS_MAX + 4] = {0};
    size_t count = hmp_split(line, words, HMP_WORDS_MAX + 2), first = 1;
    struct ferry_err err = {0};
    bool info;

    if (!count)
        return 0;
    info = !strcmp(words[0], "info");
    if (!strcmp(words[0], "help") || (info && count == 1)) {
        hmp_help(out, info || (count > 1 && !strcmp(words[1], "info")));
        return 0;
    }
    first = info ? 2 : 1;
    for (size_t i = 0; i < HMP_COMMANDS; i++)
        if (info == (commands[i].info != NULL) && !strcmp(commands[i].name, words[first - 1]))
            return hmp_run(call, &commands[i], words + first, count - first, out, &err);
    buf_printf(out, "unknown command: '%s%.100s'\r\n", info ? "info " : "", words[first - 1]);
    return 0;
}

QMP_HANDLER(qmp_run_human)
{
    OWN(buf_free) struct buf out = {.limit_bytes = HMP_OUT_MAX_BYTES};
    OWN_MEM char *line = strdup(qmp_get_str(args, "command-line"));
    struct json_object *cpu = qmp_get(args, "cpu-index");
    int64_t index = json_object_get_int64(cpu);

    if (!line)
        return err_set(err, ENOMEM, "out of memory");
    if (cpu && (index < 0 || (uint64_t)index >= vm_hart_count(monitor_env(call->monitor)->vm)))
        return err_set(err, EINVAL, "Parameter 'cpu-index' expects a CPU number");
    call->human = true; /* also when it is answered later */
    if (hmp_line(call, line, &out) == QMP_DEFERRED)
        return QMP_DEFERRED;
    buf_u8(&out, 0);
    if (out.failed)
        return err_set(err, out.failed, "the answer is too long");
    *ret = json_object_new_string((const char *)out.data);
    return 0;
}
