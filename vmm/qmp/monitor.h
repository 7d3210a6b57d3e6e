/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The QMP server of a VM: sessions on chardevs, commands, events.
 *
 * It answers from the moment it is attached to a chardev, whether or not there is a machine yet,
 * and never blocks. What a client makes it hold is bounded (session.h): a command that takes too
 * much memory is refused; commands wait and events of one name are gathered while it does not read;
 * who asks for more than MONITOR_OUT_MAX_BYTES of answers without reading is disconnected. A
 * listening socket serves many clients at once, each with a session of its own. Commands of one
 * session are executed and answered in order; those of different sessions do not wait for each
 * other. Main thread.
 */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>

#include <ferry/err.h>
#include <ferry/part.h>
#include <ferry/ram.h>

#define MONITOR_OUT_MAX_BYTES    (4u << 20)
#define MONITOR_SESSIONS_MAX     64u /* more clients are turned away with an error */
/* That clients make it hold beyond what each of them may anyway (session.h). */
#define MONITOR_MEMORY_MAX_BYTES (32u << 20)

struct block;
struct chardev;
struct device_kind;
struct fd_table;
struct loop;
struct migration;
struct monitor;
struct qmp_table;
struct vm;

/* What commands act on. Loans; all of it may be missing (NULL) while there is no machine. */
struct monitor_env {
    struct vm *vm;
    struct migration *migration;
    struct ferry_ram *ram;
    struct fd_table *fds;
    /* In the order of the description; NULL past the end. */
    struct chardev *(*chardev_at)(void *arg, size_t index);
    struct block *(*block_at)(void *arg, size_t index);
    struct net *(*netdev_at)(void *arg, size_t index);
    void *arg;
    /* The kinds of devices there are; NULL past the end. The function NULL: none. */
    const struct device_kind *(*kind_at)(size_t index);
    /*
     * Who does what this process may not: start, connect, listen, open. NULL: it does it itself.
     * The words of the command are the next words_bytes of the client's connection, or, if client
     * is -1, this text. *ret_mail: base/mail.h, MAIL_HEARD first for words that were to be read.
     */
    int (*ask)(void *arg, const char *words, int client, size_t words_bytes, int *ret_mail,
               struct ferry_err *err);
    void *ask_arg;
    /* The VM goes to a process that takes this one's place, and its clients with it. NULL: no. */
    bool (*is_replaced)(void *arg);
    /* What the monitor's part answered 1 to quiesce for is done. */
    void (*drained)(void *arg);
    void *update_arg;
};

/* Observes env's vm and migration, which outlive it. table: &qmp_ferry_table. */
int monitor_new(struct monitor **ret, struct loop *loop, const struct qmp_table *table,
                const struct monitor_env *env, struct ferry_err *err) FERRY_MUST_CHECK;
/* Ends all sessions; what the kernel does not take of their output is lost. NULL is fine. */
void monitor_free(struct monitor *m);
/* The machine has been built. */
void monitor_set_env(struct monitor *m, const struct monitor_env *env);
const struct monitor_env *monitor_env(const struct monitor *m);
const struct qmp_table *monitor_table(const struct monitor *m);
struct loop *monitor_loop(const struct monitor *m);

/* Serve on a chardev, which is a loan until monitor_free(). */
int monitor_attach(struct monitor *m, struct chardev *c, bool pretty,
                   struct ferry_err *err) FERRY_MUST_CHECK;
/* The same for people: each line is a human-monitor-command. */
int monitor_attach_human(struct monitor *m, struct chardev *c,
                         struct ferry_err *err) FERRY_MUST_CHECK;

/* The chardevs that it serves on run, whatever else of the machine stands. */
void monitor_resume_chardevs(struct monitor *m);

/*
 * Its part: clients are extras of a handover (<ferry/part.h>), if the VM's process is replaced. A
 * target's monitor, attached to chardevs of the same ids, serves them from monitor_arrived() on as
 * if nothing had been: half a request, answers that wait, and what they have negotiated.
 */
struct ferry_part monitor_part(struct monitor *m);
/* The VM runs here: take up its clients. */
void monitor_arrived(struct monitor *m);
/* And answer those of them who waited while it came. */
void monitor_answer_arrived(struct monitor *m);

/* To every session that has negotiated; takes data, which may be NULL. */
void monitor_event(struct monitor *m, const char *name, struct json_object *data);

/* What the table's start() gave. */
void *monitor_state(const struct monitor *m);
