/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A TAP interface of the host. Always with IFF_VNET_HDR, so that segmentation and checksums can
 * be left to whoever does them best. A frame that the guest has no room for stays in n->rx.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/err.h"
#include "base/own.h"
#include "vmm/backend/net_type.h"

/* --- Attaching --- */

/* A TAP with the flags that are relied on? */
static int tap_verify(int fd, struct ferry_err *err)
{
    struct ifreq ifr = {0};
    unsigned features;

    if (ioctl(fd, TUNGETFEATURES, &features) < 0 || ioctl(fd, TUNGETIFF, &ifr) < 0)
        return err_sys(err, errno, "fd %d is not an open TAP interface", fd);
    if (!(ifr.ifr_flags & IFF_TAP) || !(ifr.ifr_flags & IFF_NO_PI))
        return err_set(err, EINVAL,
                       "interface %.15s is a TUN or has packet information; it must be opened "
                       "with IFF_TAP | IFF_NO_PI",
                       ifr.ifr_name);
    if (!(ifr.ifr_flags & IFF_VNET_HDR))
        return err_set(err, ENOTSUP,
                       "TAP %.15s was opened without IFF_VNET_HDR; open it with, or give ifname= "
                       "instead of fd=",
                       ifr.ifr_name);
    return 0;
}

int net_tap_open(const char *ifname, int *ret_fd, struct ferry_err *err)
{
    struct ifreq ifr = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
    OWN_FD int fd = -1;
    size_t n = strlen(ifname);

    if (n == 0 || n >= sizeof(ifr.ifr_name))
        return err_set(err, EINVAL, "ifname=%.40s has %zu bytes, an interface name has 1 to %zu",
                       ifname, n, sizeof(ifr.ifr_name) - 1);
    memcpy(ifr.ifr_name, ifname, n);
    fd = open(NET_TAP_PATH, O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 && (errno == EACCES || errno == EPERM))
        return err_set(err, errno,
                       "no right to open " NET_TAP_PATH ", which every TAP needs: give this user "
                       "read and write access to it, pass an open TAP with fd=, or do without "
                       "privileges through passt (-netdev stream)");
    if (fd < 0)
        return err_sys(err, errno, "could not open " NET_TAP_PATH "%s",
                       errno == ENOENT ? " (\"modprobe tun\" makes it)" : "");
    if (ioctl(fd, TUNSETIFF, &ifr) < 0) {
        if (errno == EBUSY)
            return err_set(err, EBUSY,
                           "could not configure " NET_TAP_PATH
                           " (%s): Device or resource busy: the TAP is in use by another process",
                           ifname);
        if (errno == EPERM)
            return err_set(err, EPERM,
                           "no right to open TAP %s; \"ip tuntap add %s mode tap user NAME\" "
                           "makes one for NAME",
                           ifname, ifname);
        if (errno == EINVAL)
            return err_set(err, EINVAL,
                           "interface %s is not a TAP with one queue; \"ip tuntap add %s mode "
                           "tap\" makes one",
                           ifname, ifname);
        return err_sys(err, errno, "could not configure " NET_TAP_PATH " (%s)", ifname);
    }
    *ret_fd = take_fd(&fd);
    return 0;
}

static int tap_open(struct net *n, struct ferry_err *err)
{
    int rc;

    if (n->config_fd < 0 && !n->ifname)
        return err_set(err, EINVAL, "a TAP needs ifname= or fd=");
    if (n->config_fd < 0)
        return net_tap_open(n->ifname, &n->fd, err);
    rc = tap_verify(n->config_fd, err);
    if (rc == 0)
        n->fd = take_fd(&n->config_fd);
    return rc;
}

static int tap_adopt(struct net *n, const char *what, int *fd, struct ferry_err *err)
{
    int rc = tap_verify(*fd, err);

    if (rc == 0)
        n->fd = take_fd(fd);
    return rc;
}

static void tap_set_vnet_hdr(struct net *n, unsigned bytes, unsigned offloads)
{
    int hdr_bytes = (int)bytes, now_bytes = 0;
    unsigned long flags = 0;

    flags |= offloads & NET_OFFLOAD_CSUM ? TUN_F_CSUM : 0;
    flags |= offloads & NET_OFFLOAD_TSO4 ? TUN_F_TSO4 : 0;
    flags |= offloads & NET_OFFLOAD_TSO6 ? TUN_F_TSO6 : 0;
    /* The kernel wants each only with what it builds on; the guest may have asked for it alone. */
    if (!(flags & TUN_F_CSUM))
        flags = 0;
    if ((flags & (TUN_F_TSO4 | TUN_F_TSO6)) && (offloads & NET_OFFLOAD_ECN))
        flags |= TUN_F_TSO_ECN;
    if (ioctl(n->fd, TUNGETVNETHDRSZ, &now_bytes) < 0 || now_bytes != hdr_bytes) {
        if (ioctl(n->fd, TUNSETVNETHDRSZ, &hdr_bytes) < 0)
            net_lose(n, "setting the header size: %s", strerror(errno));
    }
    if (ioctl(n->fd, TUNSETOFFLOAD, flags) < 0)
        net_lose(n, "setting offloads: %s", strerror(errno));
}

/* --- Frames --- */

static const uint8_t *tap_peek(struct net *n, bool fill, size_t *ret_bytes)
{
    ssize_t r;

    if (n->rx_bytes == 0 && fill) {
        do
            r = read(n->fd, n->rx, NET_FRAME_BYTES_MAX);
        while (r < 0 && errno == EINTR);
        if (r > 0)
            n->rx_bytes = (uint32_t)r;
        else if (r < 0 && errno != EAGAIN)
            net_lose(n, "receiving: %s", strerror(errno));
    }
    *ret_bytes = n->rx_bytes;
    return n->rx_bytes ? n->rx : NULL;
}

static void tap_pop(struct net *n)
{
    n->rx_bytes = 0;
}

static int tap_send(struct net *n, const struct iovec *iov, size_t iov_count)
{
    ssize_t r;

    do
        r = writev(n->fd, iov, (int)iov_count);
    while (r < 0 && errno == EINTR);
    /* Any other error is this frame's, or the interface is down: lost, as on a wire. */
    return r < 0 && errno == EAGAIN ? -EAGAIN : 0;
}

static int tap_flush(struct net *n)
{
    n->tx_at = n->tx_bytes = 0; /* frames are not cut */
    return 0;
}

const struct net_type net_tap_type = {
    .config = CONFIG_NETDEV_TAP,
    .name = "tap",
    .vnet_hdr = true,
    .open = tap_open,
    .adopt = tap_adopt,
    .fd_names = {"tap"},
    .set_vnet_hdr = tap_set_vnet_hdr,
    .peek = tap_peek,
    .pop = tap_pop,
    .send = tap_send,
    .flush = tap_flush,
};
