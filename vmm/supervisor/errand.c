/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/supervisor/errand.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ferry/chan.h>

#include "base/err.h"
#include "base/mail.h"
#include "base/own.h"
#include "base/priority.h"
#include "vmm/backend/unix_socket.h"
#include "vmm/process/environment.h"
#include "vmm/process/proc_link.h"
#include "vmm/process/title.h"
#include "vmm/qmp/cmd.h"
#include "vmm/qmp/json_build.h"
#include "vmm/qmp/json_in.h"
#include "vmm/qmp/request.h"
#include "vmm/supervisor/supervisor_channel.h"
#include "vmm/supervisor/supervisor_policy.h"
#include "vmm/supervisor/words.h"

extern char **environ;

/* Of a VMM that is started: what it gets of us. */
#define TARGET_FD  3
#define CHANNEL_FD 4

/* --- A VMM to hand over to --- */

/* It will have the guest, so nobody else may be able to write to it. */
static int check_binary(int fd, const char *path, struct ferry_err *err)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return err_sys(err, errno, "cannot look at %s", path);
    if (!S_ISREG(st.st_mode) || !(st.st_mode & 0111))
        return err_set(err, EACCES, "cannot start %s: it is not an executable file", path);
    if (st.st_uid != 0 && st.st_uid != geteuid())
        return err_set(err, EPERM,
                       "cannot start %s: it belongs to user %u; one of root or of user %u was "
                       "expected",
                       path, (unsigned)st.st_uid, (unsigned)geteuid());
    if (st.st_mode & 022)
        return err_set(err, EPERM,
                       "cannot start %s: others can write to it (mode %o); 'chmod go-w' it", path,
                       (unsigned)st.st_mode & 07777);
    return 0;
}

/* binary: NULL = what is where that of the VMM which asks is, or was. */
static int open_binary(const struct errand *e, const char *binary, int *ret, struct ferry_err *err)
{
    OWN_FD int fd = -1;
    char running[32], path[PATH_MAX];
    bool deleted;
    int rc;

    snprintf(running, sizeof(running), "/proc/%d/exe", (int)e->from);
    if (binary && *binary != '/')
        return err_set(err, EINVAL, "cannot start %s: its whole path is needed, from '/' on",
                       binary);
    if (!binary && proc_link(running, path, &deleted) == 0 && deleted)
        binary = path;
    fd = open(binary ? binary : running, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return err_sys(err, errno, "cannot start %s%s",
                       binary ? binary : "the running binary again",
                       binary == path ? " (which the VM runs, and which was deleted)" : "");
    rc = binary ? check_binary(fd, binary, err) : 0;
    if (rc < 0)
        return rc;
    *ret = fcntl(fd, F_DUPFD_CLOEXEC, CHANNEL_FD + 1); /* out of the way of what is placed below */
    return *ret < 0 ? err_sys(err, errno, "cannot start a VMM") : 0;
}

static int place_fd(int fd, int number)
{
    /* A number that is right already would keep close-on-exec. */
    return fd == number ? fcntl(fd, F_SETFD, 0) : dup2(fd, number);
}

/* Returns on failure only. */
static int become_target(const struct errand *e, int binary, int socket, struct ferry_err *err)
{
    char program[TITLE_BYTES], receive[] = "receive", supervised[] = "--supervised", uri[] = "fd:3";
    char *const argv[] = {program, receive, supervised, uri, NULL};
    const char is_vmm = ERRAND_IS_VMM;
    OWN_FD int theirs = fcntl(socket, F_DUPFD_CLOEXEC, CHANNEL_FD + 1);
    OWN_FD int channel = fcntl(e->channel, F_DUPFD_CLOEXEC, CHANNEL_FD + 1);
    char more[64];
    char **env;

    title_text(program, e->vm, "target");
    snprintf(more, sizeof(more), ENVIRONMENT_SUPERVISOR "=%d%s", CHANNEL_FD,
             supervisor_policy_text(e->policy));
    env = environment_for_child(more);
    if (!env || theirs < 0 || channel < 0 || send(channel, &is_vmm, 1, MSG_NOSIGNAL) < 0)
        return err_sys(err, errno, "cannot start a VMM");
    if (place_fd(theirs, TARGET_FD) < 0 || place_fd(channel, CHANNEL_FD) < 0)
        return err_sys(err, errno, "cannot start a VMM");
    fexecve(binary, argv, env);
    /* A script is read by its interpreter, through this descriptor. */
    if (errno == ENOENT && fcntl(binary, F_SETFD, 0) == 0)
        fexecve(binary, argv, env);
    return err_sys(err, errno, "cannot start a VMM");
}

static int do_update(struct errand *e, const char *binary, struct ferry_err *err)
{
    OWN_FD int fd = -1;
    OWN_FD int ours = -1;
    OWN_FD int theirs = -1;
    int pair[2];
    int rc = open_binary(e, binary, &fd, err);

    if (rc < 0)
        return rc;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return err_sys(err, errno, "cannot make a socket pair");
    ours = pair[0];
    theirs = pair[1];
    /* Up to and with the machine that it builds. */
    priority_below();
    rc = mail_send(e->mail, MAIL_OPENED, (int)getpid(), "", &ours, 1);
    if (rc < 0)
        return err_sys(err, -rc, "nobody asks for a VMM any more");
    own_close_fd(&ours);
    rc = become_target(e, fd, theirs, err);
    fprintf(stderr, "ferry: %s\n", err->text);
    _exit(127); /* the asker has its end already, and hears of this */
    return rc;
}

/* --- Addresses --- */

static int serve(struct errand *e, struct json_object *args, bool incoming, struct ferry_err *err)
{
    const char tidies = ERRAND_TIDIES;
    struct ferry_address *address = NULL;
    int rc = qmp_migrate_address(args, incoming, &address, err);

    if (rc < 0)
        return rc;
    if (ferry_address_kind(address) == (incoming ? FERRY_ADDRESS_UNIX : FERRY_ADDRESS_FILE))
        (void)!send(e->channel, &tidies, 1, MSG_NOSIGNAL);
    if (!e->keeps)
        ferry_address_in_place(address);
    if (incoming && e->policy->only_loopback)
        ferry_address_only_loopback(address);
    /* A command gets what a VMM gets. */
    environ = environment_for_child(NULL);
    if (!environ)
        rc = err_set(err, ENOMEM, "out of memory");
    else
        ferry_address_serve(address, !incoming, e->mail);
    ferry_address_free(address);
    return rc;
}

/* HMP's "migrate [-d] [-r] URI". */
static int serve_line(struct errand *e, const char *line, struct ferry_err *err)
{
    OWN(json_freep) struct json_object *args = json_object_new_object();
    OWN_MEM char *copy = strdup(line);
    char *rest = NULL, *word = copy ? strtok_r(copy, " \t", &rest) : NULL, *uri = NULL;

    if (!word || strcmp(word, "migrate") != 0)
        return err_set(err, EPERM, "that command is not a supervisor's to do");
    while ((word = strtok_r(NULL, " \t", &rest)))
        uri = word;
    if (!uri)
        return err_set(err, EINVAL, "migrate: string expected");
    json_object_object_add(args, "uri", json_object_new_string(uri));
    return serve(e, args, false, err);
}

/* --- A netdev's peer --- */

/* The ID that a VMM says itself; NULL: it is something else that is asked for. */
static const char *netdev_of(const struct errand *e)
{
    static const size_t n = sizeof(SUPERVISOR_CONNECT) - 1;

    return !e->words_bytes && !strncmp(e->words, SUPERVISOR_CONNECT, n) ? e->words + n : NULL;
}

/* The address is the operator's, of the start; who asks can only say whose. */
static int connect_again(const struct errand *e, const char *id, struct ferry_err *err)
{
    OWN_FD int fd = -1;
    int rc;

    for (size_t i = 0; i < e->policy->peer_count; i++) {
        const struct supervisor_peer *peer = &e->policy->peers[i];

        if (strcmp(peer->id, id) != 0)
            continue;
        rc = unix_connect(peer->path, &fd, err);
        if (!rc) /* nobody listens any more: nobody is told */
            (void)!mail_send(e->mail, MAIL_OPENED, 0, "", &fd, 1);
        return rc;
    }
    return err_set(err, EPERM, "'%.40s' is no netdev of this VM's command line with reconnect-ms",
                   id);
}

/* --- The words --- */

static const char *text_of(struct json_object *args, const char *name)
{
    struct json_object *value = NULL;

    if (!args || !json_object_object_get_ex(args, name, &value) ||
        !json_object_is_type(value, json_type_string))
        return NULL;
    return json_object_get_string(value);
}

static int do_command(struct errand *e, const struct qmp_request *request, struct ferry_err *err)
{
    static const char *const outgoing[] = {"migrate", "ferry-migrate-check", "ferry-snapshot"};
    const char *line = text_of(request->args, "command-line");
    errand_open_fn *opener = errand_opener(request->command);

    if (opener && request->args)
        return opener(e->mail, request->args, err);
    if (!strcmp(request->command, "ferry-update"))
        return do_update(e, text_of(request->args, "binary"), err);
    if (!strcmp(request->command, "migrate-incoming") && request->args)
        return serve(e, request->args, true, err);
    for (size_t i = 0; i < sizeof(outgoing) / sizeof(outgoing[0]); i++)
        if (!strcmp(request->command, outgoing[i]) && request->args)
            return serve(e, request->args, false, err);
    if (!strcmp(request->command, "human-monitor-command") && line)
        return serve_line(e, line, err);
    return err_set(err, EPERM, "the command %.100s is not a supervisor's to do", request->command);
}

static int hear(struct errand *e, char **ret, struct ferry_err *err)
{
    int rc = e->words_bytes ? words_read(e->client, e->words_bytes, e->policy, ret, err) : 0;

    /* Used up, whatever comes of them. */
    (void)!mail_send(e->mail, MAIL_HEARD, 0, "", NULL, 0);
    if (e->words_bytes)
        return rc;
    if (!e->policy->spawn)
        return err_set(
            err, EPERM,
            "this reaches out of the VM's sandbox, which needs an operator's own words: "
            "use 'ferry migrate' or 'ferry update', or give the command in one piece of "
            "at most 4096 bytes over the VM's UNIX socket, or start the VM with -sandbox "
            "on,spawn=allow");
    *ret = strdup(e->words);
    return *ret ? 0 : err_set(err, ENOMEM, "out of memory");
}

static int do_words(struct errand *e, struct ferry_err *err)
{
    OWN(json_freep) struct json_object *message = NULL;
    OWN_MEM char *words = NULL;
    struct qmp_request request;
    int rc = hear(e, &words, err);

    if (!rc)
        rc = json_in_text(words, &message, err);
    if (!rc)
        rc = qmp_request_parse(message, false, &request, err);
    return rc ? rc : do_command(e, &request, err);
}

void errand_do(struct errand *e)
{
    const char *netdev = netdev_of(e);
    struct ferry_err err;
    int rc = netdev ? connect_again(e, netdev, &err) : do_words(e, &err);

    if (rc < 0)
        mail_refuse(e->mail, &err);
    _exit(rc < 0);
}
