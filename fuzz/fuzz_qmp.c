/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The monitor above its reader: three clients over sockets, the real table of commands, on a VM
 * that only pretends (tests/vmm/qmp/fake_vm.h) and has nothing of the host. Input: steps of a byte
 * that says who does what, one with a length, and as many bytes that are sent. Whatever they say,
 * answers are lines of ASCII, what they make the monitor hold is bounded, and all of it is given
 * back when they are gone.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fuzz/fuzz.h"
#include "tests/vmm/qmp/fake_vm.h"
#include "vmm/backend/chardev.h"
#include "vmm/backend/fd_table.h"
#include "vmm/qmp/command.h"
#include "vmm/qmp/dispatch.h"
#include "vmm/qmp/json_budget.h"
#include "vmm/qmp/monitor.h"

#define CLIENTS 3

enum { SEND, SEND_OPENED, READ, RECONNECT, GUEST_RESETS, TEN_TIMES, ACTIONS };

struct talk {
    struct loop *loop;
    struct vm vm;
    struct migration migration;
    struct fd_table *fds;
    struct monitor *monitor;
    struct chardev *chardev;
    struct config_chardev config;
    char path[64], id[16];
    int clients[CLIENTS];
};

static void stop_loop(void *arg)
{
    loop_stop(arg);
}

/* What is ready now, and what follows from it. */
static void turn(struct talk *t)
{
    for (int i = 0; i < 3; i++) {
        FUZZ_CHECK(loop_post(t->loop, stop_loop, t->loop) == 0, "no memory");
        loop_run(t->loop);
    }
}

static void send_bytes(struct talk *t, int who, const void *data, size_t n)
{
    (void)!send(t->clients[who], data, n, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void connect_client(struct talk *t, int who)
{
    static const char negotiate[] =
        "{\"execute\":\"qmp_capabilities\",\"arguments\":{\"enable\":[\"oob\"]}}";
    struct sockaddr_un addr = {.sun_family = AF_UNIX};

    strcpy(addr.sun_path, t->path);
    if (t->clients[who] >= 0)
        close(t->clients[who]);
    t->clients[who] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    FUZZ_CHECK(connect(t->clients[who], (struct sockaddr *)&addr, sizeof(addr)) == 0 ||
                   errno == EAGAIN,
               "nobody listens");
    turn(t);
    send_bytes(t, who, negotiate, sizeof(negotiate) - 1 - (who == 2 ? 2 : 0)); /* one is cut */
    turn(t);
}

static void read_answers(struct talk *t, int who)
{
    char said[65536];
    ssize_t n = recv(t->clients[who], said, sizeof(said), MSG_DONTWAIT);

    for (ssize_t i = 0; i < n; i++)
        FUZZ_CHECK(said[i] == '\r' || said[i] == '\n' || (said[i] >= 0x20 && said[i] < 0x7f),
                   "an answer that is not ASCII");
}

static void begin(struct talk *t)
{
    struct monitor_env env = {.vm = &t->vm, .migration = &t->migration};
    struct chardev_params params = {.config = &t->config};
    struct ferry_part part;
    struct ferry_err err = {0};

    t->vm.state = RUN_STATE_RUNNING;
    t->vm.config.machine = &fake_machine;
    migration_params_init(&t->migration.params);
    FUZZ_CHECK(loop_new(&t->loop, &err) == 0, err.text);
    FUZZ_CHECK(fd_table_new(&t->fds, &err) == 0, err.text);
    t->vm.loop = params.loop = t->loop;
    env.fds = t->fds;
    FUZZ_CHECK(monitor_new(&t->monitor, t->loop, &qmp_ferry_table, &env, &err) == 0, err.text);
    snprintf(t->path, sizeof(t->path), "/tmp/ferry-fuzz-qmp-%d", getpid());
    strcpy(t->id, "mon0");
    t->config = (struct config_chardev){
        .id = t->id, .type = CONFIG_CHARDEV_SOCKET, .path = t->path, .server = true};
    FUZZ_CHECK(chardev_new(&t->chardev, &params, &err) == 0, err.text);
    FUZZ_CHECK(monitor_attach(t->monitor, t->chardev, false, &err) == 0, err.text);
    FUZZ_CHECK(chardev_open(t->chardev, &err) == 0, err.text);
    part = chardev_part(t->chardev);
    part.ops->resume(part.obj);
    for (int i = 0; i < CLIENTS; i++) {
        t->clients[i] = -1;
        connect_client(t, i);
    }
}

static void end(struct talk *t)
{
    for (int i = 0; i < CLIENTS; i++)
        close(t->clients[i]);
    for (int i = 0; i < 8; i++)
        turn(t);
    monitor_free(t->monitor);
    chardev_free(t->chardev);
    fd_table_free(t->fds);
    turn(t);
    loop_free(t->loop);
    unlink(t->path);
}

static void step(struct talk *t, uint8_t how, const uint8_t *data, size_t n)
{
    static const char opened[] = "{\"execute\":\"";
    int who = how / ACTIONS % CLIENTS;

    switch (how % ACTIONS) {
    case SEND_OPENED:
        send_bytes(t, who, opened, sizeof(opened) - 1);
        send_bytes(t, who, data, n);
        break;
    case SEND:
        send_bytes(t, who, data, n);
        break;
    case TEN_TIMES: /* what repeats is what grows */
        for (int i = 0; i < 10; i++) {
            send_bytes(t, who, data, n);
            turn(t);
        }
        break;
    case READ:
        read_answers(t, who);
        break;
    case RECONNECT:
        connect_client(t, who);
        break;
    case GUEST_RESETS:
        fake_vm_tell(&t->vm, VM_EVENT_RESET, SHUTDOWN_CAUSE_GUEST_RESET);
        break;
    }
    turn(t);
    FUZZ_CHECK(monitor_budget(t->monitor)->held_bytes <= MONITOR_MEMORY_MAX_BYTES, "over budget");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct talk t = {0};

    begin(&t);
    while (n >= 2) {
        size_t bytes = data[1] < n - 2 ? data[1] : n - 2;

        step(&t, data[0], data + 2, bytes);
        data += 2 + bytes;
        n -= 2 + bytes;
    }
    end(&t);
    return 0;
}
