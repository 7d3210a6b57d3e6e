/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/err.h"
#include "base/local_socket.h"
#include "base/own.h"
#include "base/text.h"
#include "vmm/backend/escape.h"
#include "vmm/main/cmd_client.h"
#include "vmm/process/raw_terminal.h"

/* A VM that does not serve its console within this hangs. */
#define CONNECT_S 10
#define SERIAL    "serial0"
#define SHARED    SERIAL "-base" /* with a monitor: serial0 is a place on it */
#define WHO_BYTES 64

struct console_options {
    const char *vm;
    const char *log; /* NULL = none */
    bool take;
};

/* A serial line as query-chardev shows it. */
struct line {
    char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
    bool taken; /* somebody is connected */
    pid_t peer; /* who; 0 = the VM does not say */
};

/* From "unix:PATH,server=on", before it "disconnected:" if nobody is. */
static int find_serial(const char *vm, struct line *ret, struct ferry_err *err)
{
    static const char prefix[] = "unix:";
    struct json_object *list;
    int rc = client_query(vm, "query-chardev", &list, err);

    if (rc < 0)
        return rc;
    rc = err_set(err, ENOTCONN,
                 "the serial line of VM '%s' is not a socket: start it with -serial "
                 "unix:PATH,server=on,wait=off to have a console that can be attached",
                 vm);
    for (size_t i = 0; i < client_length(list); i++) {
        struct json_object *chardev = json_object_array_get_idx(list, i);
        const char *name = client_text(chardev, "filename");
        const char *at = strstr(name, prefix);
        const char *end;

        if ((strcmp(client_text(chardev, "label"), SERIAL) &&
             strcmp(client_text(chardev, "label"), SHARED)) ||
            !at)
            continue;
        ret->taken = at == name;
        ret->peer = (pid_t)client_number(chardev, "ferry-peer-pid");
        at += sizeof(prefix) - 1;
        end = strstr(at, ",server=");
        snprintf(ret->path, sizeof(ret->path), "%.*s", end ? (int)(end - at) : (int)strlen(at), at);
        rc = 0;
    }
    json_object_put(list);
    return rc;
}

/* "process 123 (socat)" */
static const char *who(char text[WHO_BYTES], pid_t pid)
{
    char path[32], name[17];
    OWN_FD int fd = -1;
    ssize_t n;

    snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
    fd = pid > 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    n = fd < 0 ? -1 : read(fd, name, sizeof(name) - 1);
    name[n > 0 ? n : 0] = '\0';
    name[strcspn(name, "\n")] = '\0';
    if (pid <= 0)
        snprintf(text, WHO_BYTES, "somebody");
    else
        snprintf(text, WHO_BYTES, "process %d%s%s%s", (int)pid, *name ? " (" : "",
                 text_make_printable(name), *name ? ")" : "");
    return text;
}

static int connect_to(const char *path, int *ret, struct ferry_err *err)
{
    struct sockaddr_un address;
    struct timeval most = {.tv_sec = CONNECT_S};
    OWN_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int rc = local_socket_name(&address, path, err);

    if (rc < 0)
        return rc;
    if (fd < 0)
        return err_sys(err, errno, "cannot make a socket");
    (void)!setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &most, sizeof(most));
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        return err_sys(err, errno, "cannot connect to the serial line at %s", path);
    /* What is written may wait as long as the guest does not read. */
    most.tv_sec = 0;
    (void)!setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &most, sizeof(most));
    *ret = take_fd(&fd);
    return 0;
}

static int write_all(int fd, const char *data, size_t n)
{
    while (n) {
        ssize_t done = write(fd, data, n);

        if (done < 0 && errno != EINTR)
            return -errno;
        if (done > 0) {
            data += done;
            n -= (size_t)done;
        }
    }
    return 0;
}

/* Keys to the guest, but for Ctrl-a: Ctrl-a x leaves, Ctrl-a Ctrl-a is one Ctrl-a. 1 = leave. */
static int send_keys(int fd, const char *keys, size_t n, bool *escaped)
{
    for (size_t i = 0; i < n; i++) {
        enum escape_kind kind = escape_take(escaped, (uint8_t)keys[i]);

        if (kind == ESCAPE_COMMAND && keys[i] == 'x')
            return 1;
        if (kind != ESCAPE_DATA)
            continue;
        if (write_all(fd, &keys[i], 1) < 0)
            return 1;
    }
    return 0;
}

/* log: also written there; -1 = nowhere. It is given up when it cannot be written. */
static int show(const char *data, size_t n, int *log)
{
    int rc;

    if (*log >= 0 && (rc = write_all(*log, data, n)) < 0) {
        fprintf(stderr, "\r\nferry console: nothing more is written to the log: %s\r\n",
                strerror(-rc));
        own_close_fd(log);
    }
    return write_all(STDOUT_FILENO, data, n);
}

/* Until the operator leaves or the line closes: then true. */
static bool relay(int fd, int *log)
{
    struct pollfd fds[] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = fd, .events = POLLIN}};
    bool escaped = false;
    char data[4096];

    for (;;) {
        ssize_t n;

        if (poll(fds, 2, -1) < 0 && errno != EINTR)
            return false;
        if (fds[1].revents) {
            n = read(fd, data, sizeof(data));
            if (n <= 0)
                return true;
            if (show(data, (size_t)n, log) < 0)
                return false;
        }
        if (fds[0].revents) {
            n = read(STDIN_FILENO, data, sizeof(data));
            if (n <= 0)
                fds[0].fd = -1; /* no more keys; what the guest says is still shown */
            else if (send_keys(fd, data, (size_t)n, &escaped))
                return false;
        }
    }
}

/* --- Attaching --- */

static int send_away(const char *vm, struct ferry_err *err)
{
    struct json_object *which = json_object_new_object(), *reply;
    struct ferry_err ignored;
    struct line line;
    int rc;

    json_object_object_add(which, "id", json_object_new_string(SERIAL));
    rc = client_execute(vm, "ferry-chardev-disconnect", which, &reply, err);
    if (!rc)
        json_object_put(reply);
    /* It may have left meanwhile, by itself. */
    if (rc == -EREMOTEIO && find_serial(vm, &line, &ignored) == 0 &&
        (!line.taken || line.peer == getpid()))
        rc = 0;
    return rc;
}

/* Whoever is attached is sent away when we wait already, so that we are next. */
static int attach(const struct console_options *o, int *ret, struct ferry_err *err)
{
    char text[WHO_BYTES];
    OWN_FD int fd = -1;
    struct line line;
    int rc = find_serial(o->vm, &line, err);

    if (rc < 0)
        return rc;
    if (line.taken && !o->take)
        return err_set(err, EBUSY,
                       "%s is attached to the console of VM '%s'; 'ferry console --take %s' sends "
                       "it away",
                       who(text, line.peer), o->vm, o->vm);
    rc = connect_to(line.path, &fd, err);
    if (!rc && line.taken)
        rc = send_away(o->vm, err);
    if (rc < 0)
        return rc;
    *ret = take_fd(&fd);
    return 0;
}

/* The line was closed: by a VM that has ended, or because somebody else has it. */
static int explain_end(const struct command *self, const struct console_options *o)
{
    char text[WHO_BYTES];
    struct ferry_err ignored;
    struct line line;

    if (find_serial(o->vm, &line, &ignored) < 0 || !line.taken)
        return 0;
    return command_fail(self, "%s has taken over the console of VM '%s'", who(text, line.peer),
                        o->vm);
}

static int open_log(const char *path, int *ret, struct ferry_err *err)
{
    *ret = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0600);
    return *ret < 0 ? err_sys(err, errno, "--log %s", path) : 0;
}

static int parse(const struct command *self, int argc, char *const argv[],
                 struct console_options *o)
{
    for (int i = 0; i < argc; i++) {
        if (!strcmp(argv[i], "--take"))
            o->take = true;
        else if (!strcmp(argv[i], "--log") && i + 1 < argc)
            o->log = argv[++i];
        else if (argv[i][0] == '-' || o->vm)
            return command_unexpected(self, argv[i]);
        else
            o->vm = argv[i];
    }
    return o->vm ? 0 : command_misused(self, "the name of one VM was expected");
}

static int run(const struct command *self, int argc, char *const argv[])
{
    struct console_options o = {0};
    OWN_FD int fd = -1, log = -1;
    struct ferry_err err;
    int status = parse(self, argc, argv, &o);
    bool closed, terminal;

    if (status)
        return status;
    if ((o.log && open_log(o.log, &log, &err) < 0) || attach(&o, &fd, &err) < 0)
        return command_fail(self, "%s", err.text);
    if (isatty(STDIN_FILENO))
        fputs("Ctrl-a x leaves the console; the VM goes on.\n", stderr);
    terminal = raw_terminal_begin();
    closed = relay(fd, &log);
    raw_terminal_end();
    if (terminal)
        fputc('\n', stderr);
    return closed ? explain_end(self, &o) : 0;
}

const struct command command_console = {
    .name = "console",
    .usage = "VM [--take] [--log FILE]",
    .summary = "Attach this terminal to the serial line of a VM; Ctrl-a x leaves.",
    .help =
        "The VM's serial line must be a socket: -serial unix:PATH,server=on,wait=off. One at a\n"
        "time can be attached; who is, a second one is told. When its input ends (< /dev/null)\n"
        "it goes on to show what the guest says; Ctrl-C, or --take from elsewhere, ends it.\n\n"
        "  --take      send away whoever is attached\n"
        "  --log FILE  what is shown is also written there, after what the file has; a new\n"
        "              file is for you only (mode 0600)\n",
    .run = run,
};
