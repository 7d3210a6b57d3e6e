/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/chan/address.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/own.h"
#include "lib/chan/chan.h"
#include "lib/chan/mail.h"

struct ferry_address *address_new(const struct chan_type *type, struct ferry_err *err)
{
    struct ferry_address *a = calloc(1, sizeof(*a));

    if (!a) {
        err_set(err, ENOMEM, "no memory for an address");
        return NULL;
    }
    a->type = type;
    a->fd = a->direct_fd = a->mail = -1;
    return a;
}

static char *copy_text(const char *text, bool *failed)
{
    char *copy = text ? strdup(text) : NULL;

    *failed |= text && !copy;
    return copy;
}

struct ferry_address *address_copy(const struct ferry_address *a, struct ferry_err *err)
{
    struct ferry_address *copy = address_new(a->type, err);
    bool failed = false;

    if (!copy)
        return NULL;
    copy->loopback = a->loopback;
    copy->text = copy_text(a->text, &failed);
    copy->host = copy_text(a->host, &failed);
    copy->port = copy_text(a->port, &failed);
    copy->path = copy_text(a->path, &failed);
    copy->mail = a->mail < 0 ? -1 : fcntl(a->mail, F_DUPFD_CLOEXEC, 3);
    copy->mail_used = a->mail_used;
    failed |= a->mail >= 0 && copy->mail < 0;
    if (!failed)
        return copy;
    ferry_address_free(copy);
    err_set(err, ENOMEM, "no memory for an address");
    return NULL;
}

int address_describe(struct ferry_address *a, struct ferry_err *err, const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vasprintf(&a->text, fmt, ap);
    va_end(ap);
    if (n < 0) {
        a->text = NULL;
        return err_set(err, ENOMEM, "no memory for an address");
    }
    return 0;
}

void ferry_address_free(struct ferry_address *a)
{
    if (!a)
        return;
    for (size_t i = 0; a->argv && a->argv[i]; i++)
        free(a->argv[i]);
    free(a->argv);
    free(a->text);
    free(a->host);
    free(a->port);
    free(a->path);
    free(a->name);
    own_close_fd(&a->fd);
    own_close_fd(&a->direct_fd);
    own_close_fd(&a->mail);
    free(a);
}

int ferry_address_parse(struct ferry_address **ret, const char *uri,
                        const struct ferry_fd_names *names, int flags, struct ferry_err *err)
{
    if (strlen(uri) > ADDRESS_TEXT_MAX_BYTES)
        return err_set(err, E2BIG, "the address has %zu bytes, the limit is %u", strlen(uri),
                       ADDRESS_TEXT_MAX_BYTES);
    for (size_t i = 0; chan_types[i]; i++) {
        size_t n = strlen(chan_types[i]->scheme);
        struct ferry_address *a;
        int r;

        if (strncmp(uri, chan_types[i]->scheme, n) != 0)
            continue;
        a = address_new(chan_types[i], err);
        if (!a)
            return -ENOMEM;
        r = chan_types[i]->parse(a, uri + n, err);
        if (!r && names)
            r = ferry_address_resolve(a, names, flags, err);
        if (r < 0) {
            ferry_address_free(a);
            return r;
        }
        *ret = a;
        return 0;
    }
    return err_set(err, EINVAL,
                   "unknown migration protocol: %s (known are tcp:, unix:, fd:, exec: and file:)",
                   uri);
}

int ferry_address_resolve(struct ferry_address *a, const struct ferry_fd_names *names, int flags,
                          struct ferry_err *err)
{
    return a->type->resolve && a->fd < 0 ? a->type->resolve(a, names, flags, err) : 0;
}

const char *ferry_address_fd_name(const struct ferry_address *a)
{
    return a->name;
}

void ferry_address_only_loopback(struct ferry_address *a)
{
    a->loopback = true;
}

void ferry_address_in_place(struct ferry_address *a)
{
    a->in_place = true;
}

enum ferry_address_kind ferry_address_kind(const struct ferry_address *a)
{
    return a->type->kind;
}

bool ferry_address_both_ways(const struct ferry_address *a)
{
    struct stat st;

    switch (a->type->kind) {
    case FERRY_ADDRESS_TCP:
    case FERRY_ADDRESS_UNIX:
        return true;
    case FERRY_ADDRESS_FD:
        return a->fd >= 0 && fstat(a->fd, &st) == 0 && S_ISSOCK(st.st_mode);
    case FERRY_ADDRESS_EXEC:
    case FERRY_ADDRESS_FILE:
        break;
    }
    return false;
}

const char *ferry_address_text(const struct ferry_address *a)
{
    return a->text;
}

void ferry_address_ask(struct ferry_address *a, int *mail)
{
    own_close_fd(&a->mail);
    a->mail = take_fd(mail);
    a->mail_used = false;
}

bool ferry_address_is_asked(const struct ferry_address *a)
{
    return a->mail >= 0;
}

int ferry_address_take(struct ferry_address *a, int *fd, int *mail, struct ferry_err *err)
{
    OWN_MEM char *text = NULL;
    int r = chan_mail_take_fd(a, fd, &text, err);

    if (r == 0)
        *mail = take_fd(&a->mail);
    return r;
}
