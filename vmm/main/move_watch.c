/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/main/move_watch.h"

#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "vmm/main/cmd_client.h"
#include "vmm/main/progress.h"
#include "vmm/process/interrupt.h"

#define POLL_MS 100

static double gib(long long bytes)
{
    return (double)bytes / (1 << 30);
}

/* As wide as it is now: a window may be resized meanwhile. */
static unsigned columns(void)
{
    struct winsize size;

    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col : 80;
}

static void show_progress(struct progress *p, struct json_object *now)
{
    const struct progress_now numbers = {
        .at_ns = clock_monotonic_ns(),
        .status = client_text(now, "status"),
        .total_bytes = (double)client_number(now, "ram.total"),
        .left_bytes = (double)client_number(now, "ram.remaining"),
        .sent_bytes = (double)client_number(now, "ram.transferred"),
        .mean_bps = (double)client_number(now, "ram.mbps") * 1e6 / 8,
        .round = client_number(now, "ram.dirty-sync-count"),
        .dirty_bps = (double)client_number(now, "ram.dirty-pages-rate") * 4096,
        .expected_pause_ms = client_number(now, "expected-downtime"),
    };
    char line[PROGRESS_LINE_BYTES];

    progress_line(p, &numbers, columns(), line);
    fprintf(stderr, "\r%s\033[K", line);
    fflush(stderr);
}

int move_name(char ret[static MOVE_NAME_BYTES], struct ferry_err *err)
{
    uint64_t number;

    if (getrandom(&number, sizeof(number), 0) != sizeof(number))
        return err_sys(err, errno, "cannot draw a random number");
    snprintf(ret, MOVE_NAME_BYTES, "ferry-%016" PRIx64, number);
    return 0;
}

static bool is_over(const char *status)
{
    return !strcmp(status, "completed") || !strcmp(status, "failed") ||
           !strcmp(status, "cancelled");
}

bool move_is_running(const char *status)
{
    return *status && strcmp(status, "none") && !is_over(status);
}

/* --- Ctrl-C --- */

/* Not another one's, which may have begun. */
static struct json_object *this_job(const struct move_watch *w)
{
    struct json_object *arguments = w->job ? json_object_new_object() : NULL;

    if (arguments)
        json_object_object_add(arguments, "ferry-job", json_object_new_string(w->job));
    return arguments;
}

static int cancel(const struct move_watch *w, struct ferry_err *err)
{
    struct json_object *reply = NULL;
    int rc =
        client_query_within(CLIENT_ANSWER_NS, w->vm, "migrate_cancel", this_job(w), &reply, err);

    json_object_put(reply);
    return rc;
}

int move_interrupted(void *watch, unsigned times, struct ferry_err *err)
{
    const struct move_watch *w = watch;
    const char *line = !w->quiet && isatty(STDERR_FILENO) ? "\n" : ""; /* below the progress */
    struct ferry_err why;

    if (times > 1)
        return err_set(err, EINTR,
                       "left to itself: it goes on in VM '%s'; 'ferry status %s' shows how, 'ferry "
                       "cancel %s' ends it",
                       w->vm, w->vm, w->vm);
    if (cancel(w, &why) < 0)
        fprintf(stderr, "%sferry: cannot cancel: %s\n", line, why.text);
    else
        fprintf(stderr, "%sferry: cancelling; once more leaves it to itself\n", line);
    return 0;
}

/* --- The VM does not answer any more --- */

/* last: what it said before; NULL: nothing. */
static int ended(const struct move_watch *w, struct json_object *last, struct ferry_err *err)
{
    const char *status = client_text(last, "status");
    bool sent_all = !strcmp(status, "device") || !strcmp(status, "pre-switchover");

    if (w->file)
        return err_set(err, EIO,
                       "VM '%s' ended while it was written to %s, and its guest with it; the file "
                       "is not whole",
                       w->vm, w->to);
    return err_set(err, EIO,
                   "VM '%s' ended while it was moved to %s. When it last answered ('%s', %.2f GiB "
                   "left) the guest was %s. Unless %s has it whole and runs it, it has ended with "
                   "its process: look there before it is started anew",
                   w->vm, w->to, *status ? status : "starting",
                   gib(client_number(last, "ram.remaining")),
                   sent_all ? "paused for the last part of the way" : "still running here", w->to);
}

static bool is_there_none(int rc)
{
    return rc == -ENOENT || rc == -ECONNRESET || rc == -EPIPE;
}

/* --- Watching --- */

/* What answers may be the next process, after an update. */
static bool is_this(const struct move_watch *w, struct json_object *now)
{
    if (w->job)
        return !strcmp(client_text(now, "ferry-job"), w->job);
    return strcmp(client_text(now, "ferry-what"), "update") != 0 ||
           move_is_running(client_text(now, "status"));
}

static int how_it_ended(const struct move_watch *w, struct json_object *now, struct ferry_err *err)
{
    const char *status = client_text(now, "status"), *why = client_text(now, "error-desc");
    const char *what = w->file ? "snapshot" : "migration";

    if (!strcmp(status, "completed"))
        return 0;
    if (!strcmp(status, "cancelled"))
        return err_set(err, ECANCELED, "VM '%s': the %s was cancelled; the guest is as it was",
                       w->vm, what);
    return err_set(err, EIO, "VM '%s': the %s failed%s%s", w->vm, what, *why ? ": " : "", why);
}

int move_watch(const struct move_watch *w, struct json_object **ret, struct ferry_err *err)
{
    bool shown = !w->quiet && isatty(STDERR_FILENO);
    struct progress progress = {0};
    struct json_object *last = NULL;
    unsigned times = 0;
    int rc = 0;

    for (unsigned polls = 0; !rc; polls++) {
        struct json_object *now = NULL;

        rc = client_execute_until(w->interrupt, w->vm, "query-migrate", this_job(w), &now, err);
        if (is_there_none(rc))
            rc = ended(w, last, err);
        if (rc == -EINTR)
            rc = 0;
        if (now && !is_this(w, now)) {
            json_object_put(now);
            rc = err_set(err, ESTALE, "nobody is left who knows how it ended");
            break;
        }
        if (now) {
            json_object_put(last);
            last = now;
        }
        if (rc < 0 || (now && is_over(client_text(now, "status"))))
            break;
        if (now && shown && polls)
            show_progress(&progress, now);
        if (interrupt_wait(w->interrupt, POLL_MS))
            rc = move_interrupted((void *)(uintptr_t)w, ++times, err);
    }
    if (shown)
        fputs("\r\033[K", stderr);
    if (!rc)
        rc = how_it_ended(w, last, err);
    *ret = last;
    return rc;
}
