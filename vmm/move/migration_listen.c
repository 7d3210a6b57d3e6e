/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a target waits. On a UNIX socket a handover and a stream may come: the first four bytes,
 * looked at and not taken, say which it is.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "base/local_socket.h"
#include "base/log.h"
#include "base/own.h"
#include "base/socket_option.h"
#include "vmm/backend/unix_socket.h"
#include "vmm/move/callers.h"
#include "vmm/move/migration_internal.h"
#include "vmm/supervisor/incoming.h"
#include "vmm/supervisor/supervisor_link.h"
#include "vmm/vm/vm_internal.h"

/* What each begins with: the stream's header, and a handover's first frame, which is HELLO. */
#define MAGIC_BYTES 4
static const char stream_magic[MAGIC_BYTES] = {'Q', 'E', 'V', 'M'};
static const char handover_magic[MAGIC_BYTES] = {0, 0, 0, 1};

void migration_stop_listening(struct migration *m)
{
    callers_free(TAKE_PTR(m->callers));
    if (m->listen_fd >= 0 && m->listen_mail < 0)
        unlink(m->listen_path);
    own_close_fd(&m->listen_mail);
    own_close_fd(&m->listen_fd);
    m->listen_text[0] = '\0';
}

/* Takes *fd on success. */
static int take_stream(struct migration *m, int *fd, struct ferry_err *err)
{
    struct ferry_chan *chan = NULL;
    int rc = ferry_chan_from_fd(&chan, fd, err);

    m->one_way = false;
    if (!rc)
        rc = migration_net_incoming(m, NULL, &chan, err);
    ferry_chan_free(chan);
    return rc;
}

/* 1: a stream, 0: a handover, or who it is that must not be in a source's way. */
static int recognise(int fd, struct ferry_err *err)
{
    char magic[MAGIC_BYTES];
    ssize_t n = recv(fd, magic, sizeof(magic), MSG_PEEK | MSG_DONTWAIT);

    /* Neither sends less than four bytes at once. */
    if (n == sizeof(magic) && !memcmp(magic, stream_magic, sizeof(magic)))
        return 1;
    if (n != sizeof(magic) || memcmp(magic, handover_magic, sizeof(magic)) != 0)
        return err_set(err, EPROTO,
                       "what connected is no source of a VM: it begins with neither a migration "
                       "stream nor a handover");
    return local_socket_check_peer(fd, "a guest is handed over between", err);
}

static void caller_spoke(void *arg, int *fd)
{
    struct migration *m = arg;
    int stream = recognise(*fd, &m->error), rc;

    if (stream < 0 && m->listen_fd >= 0) {
        log_warn("receiving a VM: %s", m->error.text);
        return;
    }
    migration_stop_listening(m);
    rc = stream < 0    ? stream
         : stream == 1 ? take_stream(m, fd, &m->error)
                       : migration_live_incoming(m, fd, &m->error);
    if (rc < 0)
        migration_target_failed(m);
}

static void caller_gone(void *arg)
{
    struct migration *m = arg;

    err_set(&m->error, ECONNRESET, "the source has closed the connection");
    migration_stop_listening(m);
    migration_target_failed(m);
}

static const struct callers_ops caller_ops = {.spoke = caller_spoke, .gone = caller_gone};

static int listen_for_both(struct migration *m, struct ferry_address *address,
                           struct ferry_err *err)
{
    const char *path = strchr(ferry_address_text(address), ':') + 1;
    OWN_FD int fd = -1;
    OWN_FD int mail = -1;
    int rc = ferry_address_is_asked(address) ? ferry_address_take(address, &fd, &mail, err)
                                             : unix_listen(path, &fd, err);

    if (!rc)
        rc = callers_new(&m->callers, vm_loop(m->vm), fd, &caller_ops, m, err);
    if (rc < 0)
        return rc;
    snprintf(m->listen_path, sizeof(m->listen_path), "%s", path);
    snprintf(m->listen_text, sizeof(m->listen_text), "unix:%s", path);
    m->listen_fd = take_fd(&fd);
    m->listen_mail = take_fd(&mail);
    migration_begin(m, true);
    return 0;
}

static int listen_for_stream(struct migration *m, struct ferry_address *address,
                             struct ferry_err *err)
{
    struct ferry_listener *listener = NULL;
    int rc = migration_params_check_address(&m->params, ferry_address_kind(address), err);

    if (!rc)
        rc = migration_params_check_stream(&m->params, err);
    if (!rc)
        rc = ferry_listener_new(&listener, address, err);
    m->one_way = !ferry_address_both_ways(address);
    if (!rc)
        rc = migration_net_incoming(m, &listener, NULL, err);
    ferry_listener_free(listener);
    return rc;
}

/* Is that the number of an inherited socket? Then its fd, taken; else -1. */
static int take_socket(const char *uri)
{
    char *end;
    long number;
    int fd;

    if (strncmp(uri, "fd:", 3))
        return -1;
    number = strtol(uri + 3, &end, 10);
    fd = (int)number;
    if (end == uri + 3 || *end || number < 0 || number > 1 << 20 || socket_option(fd, SO_TYPE) < 0)
        return -1;
    return fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ? -1 : fd;
}

static int listen_on_socket(struct migration *m, int *fd, struct ferry_err *err)
{
    int rc = callers_new(&m->callers, vm_loop(m->vm), -1, &caller_ops, m, err);

    if (!rc)
        rc = callers_add(m->callers, fd, err);
    if (rc < 0) {
        migration_stop_listening(m);
        return rc;
    }
    migration_begin(m, true);
    return 0;
}

int migration_may_listen(const struct migration *m, struct ferry_err *err)
{
    bool inmigrate = vm_run_state(m->vm) == RUN_STATE_INMIGRATE;

    if (m->incoming && (migration_is_running(m) || !inmigrate))
        return err_set(err, EBUSY, "The incoming migration has already been started");
    if (!inmigrate)
        return err_set(err, EINVAL, "'-incoming' was not specified on the command line");
    return 0;
}

int migration_incoming(struct migration *m, struct ferry_address *address, struct ferry_err *err)
{
    bool own_machine = vm_parts(m->vm) != NULL;
    const char *text = ferry_address_text(address);
    OWN_FD int fd = -1;
    int rc = migration_may_listen(m, err);

    if (rc < 0)
        return rc;
    /* More channels than one come to a listener of the library; a machine of its own has no use for
     * the open files of another. */
    if (!own_machine && ferry_address_kind(address) == FERRY_ADDRESS_UNIX &&
        !m->params.capabilities[MIGRATION_CAP_MULTIFD])
        return listen_for_both(m, address, err);
    fd = own_machine ? -1 : take_socket(text);
    if (fd >= 0)
        return listen_on_socket(m, &fd, err);
    rc = migration_resolve(m, address, O_RDONLY, err);
    if (!own_machine && !m->insecure)
        ferry_address_only_loopback(address);
    if (!rc)
        rc = listen_for_stream(m, address, err);
    if (rc < 0)
        return incoming_explain(rc, text, err);
    if (ferry_address_kind(address) == FERRY_ADDRESS_FILE)
        snprintf(m->file, sizeof(m->file), "%s", text);
    migration_use_name(m, address);
    return 0;
}

int migration_incoming_uri(struct migration *m, const char *uri, struct ferry_err *err)
{
    struct ferry_address *address = NULL;
    OWN_FD int mail = supervisor_link_take(vm_supervisor(m->vm), INHERITED_INCOMING);
    int rc = ferry_address_parse(&address, uri, NULL, O_RDONLY, err);

    if (!rc && mail >= 0)
        ferry_address_ask(address, &mail);
    if (!rc)
        rc = migration_incoming(m, address, err);
    ferry_address_free(address);
    return rc;
}

int migration_incoming_fd(struct migration *m, int *fd, struct ferry_err *err)
{
    return migration_live_incoming(m, fd, err);
}
