// SPDX-License-Identifier: Apache-2.0
/* Give eth0 the address of the command line; the kernel then answers ARP and ICMP by itself. */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <net/route.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "witness.h"

static void set_address(struct ifreq *request, uint32_t address)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = address};

    memcpy(&request->ifr_addr, &in, sizeof(in));
}

static bool give(struct witness *w, int fd, const char *interface, const char *address,
                 unsigned int bits)
{
    struct ifreq request = {0};
    struct in_addr parsed;
    uint32_t mask = bits ? htonl(UINT32_MAX << (32 - bits)) : 0;

    snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", interface);
    if (inet_pton(AF_INET, address, &parsed) != 1) {
        say("witness: witness.ip: '%s' is not an IPv4 address", address);
        return false;
    }
    set_address(&request, parsed.s_addr);
    if (ioctl(fd, SIOCSIFADDR, &request) < 0)
        goto failed;
    set_address(&request, mask);
    if (ioctl(fd, SIOCSIFNETMASK, &request) < 0)
        goto failed;
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    if (ioctl(fd, SIOCSIFFLAGS, &request) < 0)
        goto failed;
    return true;
failed:
    verdict_fail(w, "net: cannot give %s the address %s/%u: %s", interface, address, bits,
                 strerror(errno));
    return false;
}

static void route_by(int fd, const char *gateway)
{
    struct rtentry route = {.rt_flags = RTF_UP | RTF_GATEWAY};
    struct sockaddr_in any = {.sin_family = AF_INET};
    struct sockaddr_in by = {.sin_family = AF_INET};

    if (inet_pton(AF_INET, gateway, &by.sin_addr) != 1) {
        say("witness: witness.gw: '%s' is not an IPv4 address", gateway);
        return;
    }
    memcpy(&route.rt_dst, &any, sizeof(any));
    memcpy(&route.rt_genmask, &any, sizeof(any));
    memcpy(&route.rt_gateway, &by, sizeof(by));
    if (ioctl(fd, SIOCADDRT, &route) < 0)
        say("witness: no route by %s: %s", gateway, strerror(errno));
}

void net_up(struct witness *w)
{
    char address[sizeof(w->options.ip)];
    unsigned int bits = 24;
    char *slash;
    int fd;

    if (!w->options.ip[0])
        return;
    strcpy(address, w->options.ip);
    slash = strchr(address, '/');
    if (slash) {
        *slash = '\0';
        bits = (unsigned int)strtoul(slash + 1, NULL, 10);
    }
    if (bits > 32) {
        say("witness: witness.ip: /%u is not a network of IPv4", bits);
        return;
    }
    fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        verdict_fail(w, "net: socket: %s", strerror(errno));
        return;
    }
    give(w, fd, "lo", "127.0.0.1", 8);
    if (!if_nametoindex("eth0"))
        say("witness: witness.ip is given but there is no eth0");
    else
        w->net.up = give(w, fd, "eth0", address, bits);
    if (w->net.up && w->options.gateway[0])
        route_by(fd, w->options.gateway);
    close(fd);
}
