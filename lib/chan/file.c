/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/chan/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/own.h"
#include "lib/chan/draft.h"

static const char fdset_prefix[] = "/dev/fdset/";

static int file_fill(struct ferry_address *a, const char *path, size_t path_bytes,
                     uint64_t offset_bytes, struct ferry_err *err)
{
    if (path_bytes == 0)
        return err_set(err, EINVAL, "the address has no path (expected file:PATH)");
    if (offset_bytes > INT64_MAX)
        return err_set(err, EINVAL, "offset %" PRIu64 " is beyond any file", offset_bytes);
    a->path = strndup(path, path_bytes);
    if (!a->path)
        return err_set(err, ENOMEM, "no memory for an address");
    a->offset_bytes = offset_bytes;
    return address_describe(a, err, offset_bytes ? "file:%s,offset=%" PRIu64 : "file:%s", a->path,
                            offset_bytes);
}

static int file_parse(struct ferry_address *a, const char *rest, struct ferry_err *err)
{
    const char *option = strstr(rest, ",offset=");
    uint64_t offset = 0;
    char *end;

    if (!option)
        return file_fill(a, rest, strlen(rest), 0, err);
    errno = 0;
    offset = strtoull(option + 8, &end, 0);
    if (errno == 0 && end != option + 8 && *end && !end[1]) {
        const char *unit = strchr("KMGT", *end & ~0x20);
        unsigned shift = unit ? 10 * (unsigned)(unit - "KMGT" + 1) : 0;

        if (unit && offset <= (UINT64_MAX >> shift)) {
            offset <<= shift;
            end++;
        }
    }
    if (errno || end == option + 8 || *end || option[8] == '-')
        return err_set(err, EINVAL, "'%s' is not an offset in bytes", option + 8);
    return file_fill(a, rest, (size_t)(option - rest), offset, err);
}

static bool file_is_in_set(const struct ferry_address *a)
{
    return strncmp(a->path, fdset_prefix, strlen(fdset_prefix)) == 0;
}

bool ferry_address_in_fd_set(const struct ferry_address *a)
{
    return a->type->kind == FERRY_ADDRESS_FILE && file_is_in_set(a);
}

static int file_resolve(struct ferry_address *a, const struct ferry_fd_names *names, int flags,
                        struct ferry_err *err)
{
    const char *number = a->path + strlen(fdset_prefix);
    struct ferry_err none;
    uint64_t id;
    char *end;

    if (!file_is_in_set(a))
        return 0;
    errno = 0;
    id = strtoull(number, &end, 10);
    if (errno || *end || *number < '0' || *number > '9' || !names->open_set)
        return err_set(err, ENOENT, "there is no fd set '%s'", a->path);
    a->fd = names->open_set(names->opaque, id, flags, err);
    if (a->fd < 0)
        return a->fd;
    a->direct_fd = names->open_set(names->opaque, id, flags | O_DIRECT, &none);
    return 0;
}

/* Something in front of the stream is somebody's: that file is written as it is. */
static int file_open_in_place(const struct ferry_address *a, struct ferry_err *err)
{
    int fd, r = draft_check(a->path, err);

    if (r < 0)
        return r;
    fd = open(a->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0600);
    return fd < 0 ? err_sys(err, errno, "Could not create '%s'", a->path) : fd;
}

static int file_open_fd(const struct ferry_address *a, bool out, struct draft **draft,
                        struct ferry_err *err)
{
    int fd, r;

    if (!file_is_in_set(a) && out && (a->offset_bytes || a->in_place))
        return file_open_in_place(a, err);
    if (!file_is_in_set(a) && out) {
        r = draft_begin(draft, a->path, &fd, err);
        return r < 0 ? r : fd;
    }
    if (!file_is_in_set(a)) {
        fd = open(a->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        return fd < 0 ? err_sys(err, errno, "Could not open '%s'", a->path) : fd;
    }
    if (a->fd < 0)
        return err_set(err, ENOENT, "there is no fd set '%s'", a->path);
    fd = fcntl(a->fd, F_DUPFD_CLOEXEC, 3);
    return fd < 0 ? err_sys(err, errno, "cannot open '%s'", a->path) : fd;
}

static int file_open(const struct ferry_address *a, bool out, struct ferry_chan **ret,
                     struct ferry_err *err)
{
    OWN(draft_freep) struct draft *draft = NULL;
    OWN_FD int fd = file_open_fd(a, out, &draft, err);
    struct stat st;
    bool regular;
    int r;

    if (fd < 0)
        return fd;
    /* Pipes and devices have no length. */
    regular = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    /* Of a set, or with an offset: what follows is an old stream or the like. */
    if (out && regular && ftruncate(fd, (off_t)a->offset_bytes) < 0)
        return err_sys(err, errno, "cannot cut '%s' off at byte %" PRIu64, a->path,
                       a->offset_bytes);
    /* In a set its position is that of whoever opened it. */
    if ((regular || a->offset_bytes) && lseek(fd, (off_t)a->offset_bytes, SEEK_SET) < 0)
        return err_sys(err, errno, "cannot go to byte %" PRIu64 " of '%s'", a->offset_bytes,
                       a->path);
    r = chan_new(ret, &fd, a->text, err);
    if (r < 0)
        return r;
    (*ret)->draft = TAKE_PTR(draft);
    if (a->direct_fd >= 0)
        (*ret)->direct_fd = fcntl(a->direct_fd, F_DUPFD_CLOEXEC, 3);
    return 0;
}

const struct chan_type chan_file = {.kind = FERRY_ADDRESS_FILE,
                                    .scheme = "file:",
                                    .parse = file_parse,
                                    .resolve = file_resolve,
                                    .open = file_open};

int ferry_address_file(struct ferry_address **ret, const char *path, uint64_t offset_bytes,
                       const struct ferry_fd_names *names, int flags, struct ferry_err *err)
{
    OWN(ferry_address_freep) struct ferry_address *a = address_new(&chan_file, err);
    int r;

    if (!a)
        return -ENOMEM;
    r = file_fill(a, path, strlen(path), offset_bytes, err);
    if (!r && names)
        r = file_resolve(a, names, flags, err);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(a);
    return 0;
}

/* --- fd: --- */

static int fd_parse(struct ferry_address *a, const char *rest, struct ferry_err *err)
{
    char *end;
    unsigned long number;

    if (rest[0] == '\0')
        return err_set(err, EINVAL, "the address has no fd (expected fd:NAME or fd:NUMBER)");
    if (rest[0] >= '0' && rest[0] <= '9') {
        number = strtoul(rest, &end, 10);
        if (*end || number > INT32_MAX)
            return err_set(err, EINVAL, "'%s' is not the number of an fd", rest);
        /* Inherited: the number stays whose it was. One that is not open is nobody's name. */
        a->fd = fcntl((int)number, F_DUPFD_CLOEXEC, 3);
    }
    if (a->fd < 0) {
        a->name = strdup(rest);
        if (!a->name)
            return err_set(err, ENOMEM, "no memory for an address");
    }
    return address_describe(a, err, "fd:%s", rest);
}

static int fd_unknown(const struct ferry_address *a, struct ferry_err *err)
{
    return err_set(err, ENOENT,
                   "File descriptor named '%s' has not been found: no such number is open here, "
                   "and names come from a monitor's getfd",
                   a->name);
}

static int fd_resolve(struct ferry_address *a, const struct ferry_fd_names *names, int flags,
                      struct ferry_err *err)
{
    if (!a->name)
        return 0;
    if (!names->take)
        return fd_unknown(a, err);
    a->fd = names->take(names->opaque, a->name, err);
    return a->fd < 0 ? a->fd : 0;
}

static int fd_open(const struct ferry_address *a, bool out, struct ferry_chan **ret,
                   struct ferry_err *err)
{
    OWN_FD int fd = a->fd < 0 ? -1 : fcntl(a->fd, F_DUPFD_CLOEXEC, 3);

    if (a->fd < 0)
        return fd_unknown(a, err);
    if (fd < 0)
        return err_sys(err, errno, "%s", a->text);
    return chan_new(ret, &fd, a->text, err);
}

const struct chan_type chan_fd_type = {.kind = FERRY_ADDRESS_FD,
                                       .scheme = "fd:",
                                       .parse = fd_parse,
                                       .resolve = fd_resolve,
                                       .open = fd_open};

int ferry_address_fd(struct ferry_address **ret, int *fd, struct ferry_err *err)
{
    OWN(ferry_address_freep) struct ferry_address *a = address_new(&chan_fd_type, err);
    int r;

    if (!a)
        return -ENOMEM;
    r = address_describe(a, err, "fd:%d", *fd);
    if (r < 0)
        return r;
    a->fd = take_fd(fd);
    *ret = TAKE_PTR(a);
    return 0;
}
