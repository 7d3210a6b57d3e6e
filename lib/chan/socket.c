/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/chan/socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/local_socket.h"
#include "base/own.h"

static int tcp_fill(struct ferry_address *a, const char *host, size_t host_bytes, const char *port,
                    struct ferry_err *err)
{
    char *end;
    unsigned long number = strtoul(port, &end, 10);

    if (*port == '\0')
        return err_set(err, EINVAL, "the address has no port (expected tcp:HOST:PORT)");
    if (*end == '\0' && number > 65535)
        return err_set(err, EINVAL, "port %s is not between 0 and 65535", port);
    a->host = strndup(host, host_bytes);
    a->port = strdup(port);
    if (!a->host || !a->port)
        return err_set(err, ENOMEM, "no memory for an address");
    return address_describe(a, err, strchr(a->host, ':') ? "tcp:[%s]:%s" : "tcp:%s:%s", a->host,
                            a->port);
}

static int tcp_parse(struct ferry_address *a, const char *rest, struct ferry_err *err)
{
    const char *end, *port;
    char *text = NULL;
    OWN_MEM char *own = NULL;
    size_t comma = strcspn(rest, ",");

    /* QEMU's socket options (ipv4=on, ...) may follow; what they would change is not served. */
    if (rest[comma])
        return err_set(err, EINVAL, "tcp: options behind the port are not served: %s",
                       rest + comma);
    text = own = strndup(rest, comma);
    if (!text)
        return err_set(err, ENOMEM, "no memory for an address");
    if (text[0] == '[') {
        end = strchr(text, ']');
        if (!end || end[1] != ':')
            return err_set(err, EINVAL, "error parsing address '%s': expected [HOST]:PORT", text);
        return tcp_fill(a, text + 1, (size_t)(end - text - 1), end + 2, err);
    }
    end = strchr(text, ':');
    port = end ? end + 1 : NULL;
    if (!port || strchr(port, ':'))
        return err_set(err, EINVAL,
                       "error parsing address '%s': expected HOST:PORT, or [HOST]:PORT for IPv6",
                       text);
    return tcp_fill(a, text, (size_t)(end - text), port, err);
}

static int unix_fill(struct ferry_address *a, const char *path, struct ferry_err *err)
{
    struct sockaddr_un name;
    socklen_t n;
    int r;

    if (path[0] == '\0')
        return err_set(err, EINVAL, "the address has no path (expected unix:PATH)");
    a->path = strdup(path);
    if (!a->path)
        return err_set(err, ENOMEM, "no memory for an address");
    r = socket_unix_name(a, &name, &n, err);
    return r < 0 ? r : address_describe(a, err, "unix:%s", path);
}

static int unix_parse(struct ferry_address *a, const char *rest, struct ferry_err *err)
{
    return unix_fill(a, rest, err);
}

const struct chan_type chan_tcp = {
    .kind = FERRY_ADDRESS_TCP, .scheme = "tcp:", .many = true, .parse = tcp_parse};
const struct chan_type chan_unix = {
    .kind = FERRY_ADDRESS_UNIX, .scheme = "unix:", .many = true, .parse = unix_parse};

int ferry_address_tcp(struct ferry_address **ret, const char *host, const char *port,
                      struct ferry_err *err)
{
    OWN(ferry_address_freep) struct ferry_address *a = address_new(&chan_tcp, err);
    int r;

    if (!a)
        return -ENOMEM;
    if (strlen(host) + strlen(port) > ADDRESS_TEXT_MAX_BYTES)
        return err_set(err, E2BIG, "the address is too long");
    r = tcp_fill(a, host, strlen(host), port, err);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(a);
    return 0;
}

int ferry_address_unix(struct ferry_address **ret, const char *path, struct ferry_err *err)
{
    OWN(ferry_address_freep) struct ferry_address *a = address_new(&chan_unix, err);
    int r;

    if (!a)
        return -ENOMEM;
    r = unix_fill(a, path, err);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(a);
    return 0;
}

int socket_unix_name(const struct ferry_address *a, struct sockaddr_un *ret, socklen_t *n,
                     struct ferry_err *err)
{
    *n = (socklen_t)sizeof(*ret);
    return local_socket_name(ret, a->path, err);
}

void socket_text(char *text, size_t n, const struct sockaddr_storage *name)
{
    char host[INET6_ADDRSTRLEN] = "?";

    if (name->ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)name;

        inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
        snprintf(text, n, "tcp:[%s]:%u", host, ntohs(in6->sin6_port));
    } else if (name->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)name;

        inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
        snprintf(text, n, "tcp:%s:%u", host, ntohs(in->sin_port));
    } else {
        snprintf(text, n, "unix:%s", ((const struct sockaddr_un *)name)->sun_path);
    }
}

void socket_tune(int fd)
{
    int on = 1, idle_s = 30, interval_s = 10, count = 4;

    /* Not TCP: not possible and not needed. */
    (void)!setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    (void)!setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    /* A peer whose host is gone is gone, too, after 70 s: who only reads has no other sign. */
    (void)!setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
    (void)!setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof(interval_s));
    (void)!setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
}
