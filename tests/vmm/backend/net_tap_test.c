/* SPDX-License-Identifier: Apache-2.0 */
/* A TAP, in a network of our own. */
#include "tests/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/vmm/backend/net_fix.h"
#include "vmm/backend/net.h"
#include "vmm/backend/net_type.h"

/* In a child, which may change its network; 77 says that it may not. */
static void in_own_network(struct fix *f, void (*body)(struct fix *f))
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        int fd = unshare(CLONE_NEWNET) < 0 ? -1 : open("/dev/net/tun", O_RDWR);

        if (fd < 0)
            _exit(77);
        close(fd);
        body(f);
        _exit(0);
    }
    waitpid(pid, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        skip();
    assert_int_equal(status, 0);
}

#define CHECK(cond)                                                              \
    do {                                                                         \
        if (!(cond)) {                                                           \
            fprintf(stderr, "line %d: %s (errno %d)\n", __LINE__, #cond, errno); \
            _exit(1);                                                            \
        }                                                                        \
    } while (0)

static struct net *make_tap(struct fix *f, const char *ifname, int fd)
{
    struct config_netdev config = {
        .id = (char *)(uintptr_t) "n0",
        .type = CONFIG_NETDEV_TAP,
        .ifname = (char *)(uintptr_t)ifname,
        .fd = fd,
    };
    struct ferry_err err;

    CHECK(net_new(&f->card.net, &config, f->loop, &f->lock, &err) == 0);
    net_set_client(f->card.net, &card_ops, &f->card);
    return f->card.net;
}

static void set_up(const char *ifname)
{
    struct ifreq ifr = {0};
    int s = socket(AF_INET, SOCK_DGRAM, 0);

    strcpy(ifr.ifr_name, ifname);
    CHECK(ioctl(s, SIOCGIFFLAGS, &ifr) == 0);
    ifr.ifr_flags |= IFF_UP;
    CHECK(ioctl(s, SIOCSIFFLAGS, &ifr) == 0);
    close(s);
}

static void tap_frames_flow(struct fix *f)
{
    struct net *n = make_tap(f, "ferry0", -1);
    struct ferry_named_fd named;
    struct ferry_err err = {0};
    uint8_t frame[12 + 60] = {0};
    struct iovec iov = {frame, sizeof(frame)};
    int size = 0;

    CHECK(net_has_vnet_hdr(n));
    CHECK(net_open(n, &err) == 0);
    CHECK(net_part(n).ops->fd_at(n, 0, &named) == 0 && !strcmp(named.name, "n0/tap"));
    CHECK(net_part(n).ops->fd_at(n, 1, &named) == -ENOENT);
    set_up("ferry0");
    net_set_vnet_hdr(n, 12, NET_OFFLOAD_CSUM | NET_OFFLOAD_TSO4 | NET_OFFLOAD_ECN);
    net_part(n).ops->fd_at(n, 0, &named);
    CHECK(ioctl(named.fd, TUNGETVNETHDRSZ, &size) == 0 && size == 12);
    resume(n);
    /* The host's own chatter (IPv6 router solicitations) comes with a header. */
    for (int i = 0; i < 5000 && f->card.frames == 0; i++)
        run_for_ms(f, 1);
    CHECK(f->card.frames > 0 && f->card.last_bytes > 12 + 14);
    memset(frame + 12, 0xff, 6);
    machine_lock(&f->lock);
    CHECK(net_send(n, &iov, 1) == 0);
    machine_unlock(&f->lock);
    /* Offloads that build on others are not asked for alone. */
    net_set_vnet_hdr(n, 10, NET_OFFLOAD_TSO4);
    net_set_vnet_hdr(n, 10, NET_OFFLOAD_CSUM | NET_OFFLOAD_ECN);
    run_for_ms(f, 5);
    CHECK(net_link_up(n));
}

static void tap_is_adopted(struct fix *f)
{
    struct net *n = make_tap(f, "ferry0", -1), *second;
    struct ferry_named_fd named;
    struct ferry_err err = {0};
    struct ifreq ifr = {.ifr_flags = IFF_TAP | IFF_NO_PI};
    int fd, plain;

    CHECK(net_open(n, &err) == 0);
    net_part(n).ops->fd_at(n, 0, &named);
    second = make_tap(f, "ferry0", -1);
    CHECK(net_open(second, &err) == -EBUSY && strstr(err.text, "in use"));
    fd = dup(named.fd);
    CHECK(net_part(second).ops->adopt(second, "n0/tap", &fd, &err) == 0 && fd == -1);
    net_free(n);
    resume(second);
    CHECK(net_link_up(second));
    net_free(second);

    /* Others cannot be used, and say why. */
    plain = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
    CHECK(plain >= 0);
    n = make_tap(f, NULL, plain);
    CHECK(net_open(n, &err) < 0 && strstr(err.text, "not an open TAP"));
    net_free(n);
    CHECK(fcntl(plain, F_GETFD) >= 0); /* never taken, so not closed */
    close(plain);
    plain = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
    CHECK(plain >= 0 && ioctl(plain, TUNSETIFF, &ifr) == 0);
    n = make_tap(f, NULL, plain);
    CHECK(net_open(n, &err) == -ENOTSUP && strstr(err.text, "IFF_VNET_HDR"));
    net_free(n);
    close(plain);
    /* One that was opened well by somebody else. */
    plain = open("/dev/net/tun", O_RDWR);
    ifr.ifr_flags |= IFF_VNET_HDR;
    CHECK(plain >= 0 && ioctl(plain, TUNSETIFF, &ifr) == 0);
    n = make_tap(f, NULL, plain);
    CHECK(net_open(n, &err) == 0);
    CHECK(fcntl(plain, F_GETFL) & O_NONBLOCK);
    CHECK(fcntl(plain, F_GETFD) & FD_CLOEXEC);
    net_free(n);
    f->card.net = NULL;
}

static void frames_flow_over_a_tap(void **state)
{
    in_own_network(*state, tap_frames_flow);
}

static void a_tap_is_adopted_or_refused(void **state)
{
    in_own_network(*state, tap_is_adopted);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, net_setup, net_teardown)
    const struct CMUnitTest tests[] = {
        T(frames_flow_over_a_tap),
        T(a_tap_is_adopted_or_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
