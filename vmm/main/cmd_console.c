/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <json-c/json.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include "base/err.h"
#include "base/local_socket.h"
#include "base/own.h"
#include "vmm/main/cmd_client.h"

#define ESCAPE    0x01 /* Ctrl-a */
/* A VM that does not serve its console within this hangs. */
#define CONNECT_S 10

/* The path of the serial line's socket, from "unix:PATH,server=on" as query-chardev shows it. */
static int find_serial(const char *vm, char *ret, size_t n, struct ferry_err *err)
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

        if (strcmp(client_text(chardev, "label"), "serial0") || !at)
            continue;
        at += sizeof(prefix) - 1;
        end = strstr(at, ",server=");
        snprintf(ret, n, "%.*s", end ? (int)(end - at) : (int)strlen(at), at);
        rc = 0;
    }
    json_object_put(list);
    return rc;
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
        if (*escaped) {
            *escaped = false;
            if (keys[i] == 'x')
                return 1;
            if (keys[i] != ESCAPE)
                continue;
        } else if (keys[i] == ESCAPE) {
            *escaped = true;
            continue;
        }
        if (write_all(fd, &keys[i], 1) < 0)
            return 1;
    }
    return 0;
}

/* Until the operator leaves or the line closes. */
static void relay(int fd)
{
    struct pollfd fds[] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = fd, .events = POLLIN}};
    bool escaped = false;
    char data[4096];

    for (;;) {
        ssize_t n;

        if (poll(fds, 2, -1) < 0 && errno != EINTR)
            return;
        if (fds[1].revents) {
            n = read(fd, data, sizeof(data));
            if (n <= 0 || write_all(STDOUT_FILENO, data, (size_t)n) < 0)
                return;
        }
        if (fds[0].revents) {
            n = read(STDIN_FILENO, data, sizeof(data));
            if (n <= 0)
                fds[0].fd = -1; /* no more keys; what the guest says is still shown */
            else if (send_keys(fd, data, (size_t)n, &escaped))
                return;
        }
    }
}

static int run(const struct command *self, int argc, char *const argv[])
{
    OWN_FD int fd = -1;
    struct termios before, raw;
    char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
    bool terminal;
    struct ferry_err err;

    if (argc != 1)
        return command_misused(self, "the name of one VM was expected");
    if (find_serial(argv[0], path, sizeof(path), &err) < 0 || connect_to(path, &fd, &err) < 0)
        return command_fail(self, "%s", err.text);
    terminal = tcgetattr(STDIN_FILENO, &before) == 0;
    if (terminal) {
        fputs("Ctrl-a x leaves the console; the VM goes on.\n", stderr);
        raw = before;
        cfmakeraw(&raw);
        tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    }
    relay(fd);
    if (terminal) {
        tcsetattr(STDIN_FILENO, TCSANOW, &before);
        fputc('\n', stderr);
    }
    return 0;
}

const struct command command_console = {
    .name = "console",
    .usage = "VM",
    .summary = "Attach this terminal to the serial line of a VM; Ctrl-a x leaves.",
    .help = "The VM's serial line must be a socket: -serial unix:PATH,server=on,wait=off.\n",
    .run = run,
};
