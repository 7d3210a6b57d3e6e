/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a stream goes to or comes from: addresses and channels.
 *
 *     tcp:HOST:PORT    HOST may be a name, an IPv4 address, [an IPv6 address], or empty (any)
 *     unix:PATH
 *     fd:NAME          a number that was inherited, or a name that the monitor knows
 *     exec:COMMAND     through /bin/sh
 *     file:PATH[,offset=N]    PATH may be /dev/fdset/N
 *
 * tcp and unix (and a connected socket as fd:) carry bytes both ways; all others one way.
 * Any thread; each object has one owner.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ferry/err.h>

enum ferry_address_kind {
    FERRY_ADDRESS_TCP = 1,
    FERRY_ADDRESS_UNIX,
    FERRY_ADDRESS_FD,
    FERRY_ADDRESS_EXEC,
    FERRY_ADDRESS_FILE,
};

struct ferry_address; /* opaque; owns what it names, an fd too */

/* Who knows the names of fds: the monitor. Both return an fd that is the caller's, or -errno. */
struct ferry_fd_names { /* members may be NULL */
    int (*take)(void *opaque, const char *name, struct ferry_err *err);
    /* flags: O_RDONLY, O_WRONLY or O_RDWR, just as they are with or without O_DIRECT. */
    int (*open_set)(void *opaque, uint64_t id, int flags, struct ferry_err *err);
    void *opaque;
};

/*
 * names: NULL = what is named by the monitor is not looked up yet, see ferry_address_resolve().
 * flags: how a file will be used, O_RDONLY or O_WRONLY; needed for /dev/fdset only.
 */
FERRY_API int ferry_address_parse(struct ferry_address **ret, const char *uri,
                                  const struct ferry_fd_names *names, int flags,
                                  struct ferry_err *err) FERRY_MUST_CHECK;
/* The same from the pieces of a QMP channel object. port: a number, or a service's name. */
FERRY_API int ferry_address_tcp(struct ferry_address **ret, const char *host, const char *port,
                                struct ferry_err *err) FERRY_MUST_CHECK;
FERRY_API int ferry_address_unix(struct ferry_address **ret, const char *path,
                                 struct ferry_err *err) FERRY_MUST_CHECK;
/* Takes *fd on success. For a VMM that opened it by itself; ferry's are named by its monitor. */
FERRY_API int ferry_address_fd(struct ferry_address **ret, int *fd,
                               struct ferry_err *err) FERRY_MUST_CHECK;
/* argv[0] is a path; the array ends with NULL; copied. */
FERRY_API int ferry_address_exec(struct ferry_address **ret, const char *const *argv,
                                 struct ferry_err *err) FERRY_MUST_CHECK;
FERRY_API int ferry_address_file(struct ferry_address **ret, const char *path,
                                 uint64_t offset_bytes, const struct ferry_fd_names *names,
                                 int flags, struct ferry_err *err) FERRY_MUST_CHECK;
/*
 * Look up fd:NAME and /dev/fdset/N, unless that was done; nothing for other addresses. Until then
 * they cannot be opened.
 */
FERRY_API int ferry_address_resolve(struct ferry_address *a, const struct ferry_fd_names *names,
                                    int flags, struct ferry_err *err) FERRY_MUST_CHECK;
/*
 * Who listens there shall be out of reach for other hosts: where the name leads elsewhere than to a
 * loopback address the listener refuses (-EREMOTE) before it listens. Nothing for what is not TCP.
 */
FERRY_API void ferry_address_only_loopback(struct ferry_address *a);
/*
 * A file is written as it is, and is not whole until its writer is done: for an asker that does not
 * say when (an older ferry). Nothing for what is no file.
 */
FERRY_API void ferry_address_in_place(struct ferry_address *a);
/* Of fd:NAME; a loan. NULL for all others. */
FERRY_API const char *ferry_address_fd_name(const struct ferry_address *a);
/* /dev/fdset/N. */
FERRY_API bool ferry_address_in_fd_set(const struct ferry_address *a);
FERRY_API void ferry_address_free(struct ferry_address *a);
/* For __attribute__((cleanup)). */
static inline void ferry_address_freep(struct ferry_address **a)
{
    ferry_address_free(*a);
}
FERRY_API enum ferry_address_kind ferry_address_kind(const struct ferry_address *a);
/* Has a return path, as far as can be known: fd:NAME not before it is resolved. */
FERRY_API bool ferry_address_both_ways(const struct ferry_address *a);
/* "tcp:10.0.0.2:4444", as in the list above; a loan. */
FERRY_API const char *ferry_address_text(const struct ferry_address *a);

/*
 * Opened by another process, where this one may not: a sandbox. *mail (taken) is the asker's end of
 * a socket of messages (SOCK_SEQPACKET); at its other end a process that may calls
 * ferry_address_serve() with the same address. The address is then used as always; what comes late
 * is waited for, in a source's connecting or a listener's looking up.
 */
FERRY_API void ferry_address_ask(struct ferry_address *a, int *mail);
FERRY_API bool ferry_address_is_asked(const struct ferry_address *a);
/*
 * What has been opened, for another use than a channel: *fd is the caller's, and so is *mail, to be
 * closed when *fd is of no more use. -EAGAIN: it has not.
 */
FERRY_API int ferry_address_take(struct ferry_address *a, int *fd, int *mail,
                                 struct ferry_err *err) FERRY_MUST_CHECK;
/*
 * Blocks: opens, sends over the mail (a loan), and stays as long as there is more to do for the
 * asker (a connection more, a socket's path to remove), at most until it hangs up. out: to write,
 * else to read or to listen. For a command this process becomes that command; who started this
 * process tells the asker of its end. Failures are sent.
 */
FERRY_API void ferry_address_serve(const struct ferry_address *a, bool out, int mail);

struct ferry_chan; /* one byte stream */

/* Takes *fd on success: any pipe, socket or file. What it can do is found out. */
FERRY_API int ferry_chan_from_fd(struct ferry_chan **ret, int *fd,
                                 struct ferry_err *err) FERRY_MUST_CHECK;
/* Two ends of one connection within this process. */
FERRY_API int ferry_chan_pair(struct ferry_chan *ret[2], struct ferry_err *err) FERRY_MUST_CHECK;
FERRY_API void ferry_chan_free(struct ferry_chan *c);

/* Where a target waits. */
struct ferry_listener;
/*
 * Listens, or for what cannot (fd, exec, file) opens the one channel there will be. With port 0
 * the kernel chooses one; ferry_listener_text() says which. A host's name may have to be asked for:
 * then it listens when the target it was given to has been stepped. Who wants to know the port
 * before that passes the name's address instead.
 */
FERRY_API int ferry_listener_new(struct ferry_listener **ret, const struct ferry_address *a,
                                 struct ferry_err *err) FERRY_MUST_CHECK;
FERRY_API void ferry_listener_free(struct ferry_listener *l);
FERRY_API bool ferry_listener_is_ready(const struct ferry_listener *l); /* it listens */
/* "tcp:127.0.0.1:40123"; before it is ready, what it was asked for. */
FERRY_API const char *ferry_listener_text(const struct ferry_listener *l);
