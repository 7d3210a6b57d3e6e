/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/backend/allow.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/err.h"
#include "base/own.h"

#define ALLOW_ENTRIES_MAX 64
/* Somebody renames directories while the kernel follows a ".." of a link: again. */
#define ALLOW_OPEN_TRIES  16

struct allow_dir {
    char *path; /* owned; absolute, without a '/' at its end */
    int fd;     /* owned; O_PATH */
};

struct allow_list {
    char start[PATH_MAX]; /* directory that relative names are in */
    struct allow_dir dirs[ALLOW_ENTRIES_MAX];
    size_t dir_count;
    char *taps[ALLOW_ENTRIES_MAX]; /* owned prefixes */
    size_t tap_count;
    char *names[ALLOW_ENTRIES_MAX]; /* owned, as they were given */
    size_t name_count;
};

int allow_list_new(struct allow_list **ret, struct ferry_err *err)
{
    struct allow_list *a = calloc(1, sizeof(*a));

    if (!a)
        return err_set(err, ENOMEM, "out of memory");
    /* Without one, relative names are allowed nowhere. */
    if (!getcwd(a->start, sizeof(a->start)))
        a->start[0] = '\0';
    *ret = a;
    return 0;
}

void allow_list_free(struct allow_list *a)
{
    if (!a)
        return;
    while (a->dir_count > 0) {
        a->dir_count--;
        own_close_fd(&a->dirs[a->dir_count].fd);
        free(a->dirs[a->dir_count].path);
    }
    while (a->tap_count > 0)
        free(a->taps[--a->tap_count]);
    while (a->name_count > 0)
        free(a->names[--a->name_count]);
    free(a);
}

/* Absolute, without empty and "." components; false: it has "..", or is too long. */
static bool tidy(const struct allow_list *a, const char *path, char ret[PATH_MAX])
{
    const char *pieces[] = {*path == '/' ? "" : a->start, path};
    size_t used = 0;

    if (*path != '/' && !*a->start)
        return false;
    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        for (const char *at = pieces[i]; *at;) {
            size_t n = strcspn(at, "/");

            if (n == 2 && !strncmp(at, "..", 2))
                return false;
            if (n > 0 && !(n == 1 && *at == '.')) {
                if (used + n + 2 > PATH_MAX)
                    return false;
                ret[used++] = '/';
                memcpy(ret + used, at, n);
                used += n;
            }
            at += n;
            at += strspn(at, "/");
        }
    }
    ret[used] = '\0';
    return true;
}

static int no_room(struct ferry_err *err)
{
    return err_set(err, E2BIG, "more than %d of a kind are allowed", ALLOW_ENTRIES_MAX);
}

static int add_text(char **list, size_t *count, const char *text, struct ferry_err *err)
{
    if (*count == ALLOW_ENTRIES_MAX)
        return no_room(err);
    list[*count] = strdup(text);
    if (!list[*count])
        return err_set(err, ENOMEM, "out of memory");
    ++*count;
    return 0;
}

int allow_list_add_dir(struct allow_list *a, const char *dir, struct ferry_err *err)
{
    char path[PATH_MAX];
    OWN_FD int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return err_sys(err, errno, "allowing \"%s\"", dir);
    if (!tidy(a, dir, path) && !realpath(dir, path))
        return err_sys(err, errno, "allowing \"%s\"", dir);
    if (a->dir_count == ALLOW_ENTRIES_MAX)
        return no_room(err);
    a->dirs[a->dir_count].path = strdup(strcmp(path, "/") ? path : "");
    if (!a->dirs[a->dir_count].path)
        return err_set(err, ENOMEM, "out of memory");
    a->dirs[a->dir_count++].fd = take_fd(&fd);
    return 0;
}

int allow_list_add_tap(struct allow_list *a, const char *prefix, struct ferry_err *err)
{
    if (!*prefix)
        return err_set(err, EINVAL, "the beginning of a TAP's name was expected, such as 'tap'");
    return add_text(a->taps, &a->tap_count, prefix, err);
}

static bool is_own_name(const struct allow_list *a, const char *path)
{
    for (size_t i = 0; a && i < a->name_count; i++)
        if (!strcmp(path, a->names[i]))
            return true;
    return !a;
}

int allow_list_add_name(struct allow_list *a, const char *path, struct ferry_err *err)
{
    return is_own_name(a, path) ? 0 : add_text(a->names, &a->name_count, path, err);
}

/* What comes behind an allowed directory in a tidy path; NULL: it is not beneath it. */
static const char *beneath(const struct allow_dir *dir, const char *path)
{
    size_t n = strlen(dir->path);

    return !strncmp(path, dir->path, n) && path[n] == '/' && path[n + 1] ? path + n + 1 : NULL;
}

bool allow_list_has_path(const struct allow_list *a, const char *path)
{
    char full[PATH_MAX];
    bool has = false;

    if (!tidy(a, path, full))
        return false;
    for (size_t i = 0; i < a->dir_count && !has; i++)
        has = beneath(&a->dirs[i], full) != NULL;
    return has;
}

bool allow_list_has_tap(const struct allow_list *a, const char *ifname)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "-._";

    /* "tap%d" would be any number. */
    if (!*ifname || strlen(ifname) >= IFNAMSIZ || ifname[strspn(ifname, plain)])
        return false;
    for (size_t i = 0; i < a->tap_count; i++)
        if (!strncmp(ifname, a->taps[i], strlen(a->taps[i])))
            return true;
    return false;
}

const char *allow_list_dir(const struct allow_list *a, size_t nth)
{
    if (nth >= a->dir_count)
        return NULL;
    return *a->dirs[nth].path ? a->dirs[nth].path : "/";
}

bool allow_list_takes_taps(const struct allow_list *a)
{
    return a->tap_count > 0;
}

static int open_beneath(int dir, const char *path, int flags, mode_t mode)
{
    /* Nothing that would be waited for, or that opening does something to. */
    struct open_how how = {
        .flags = (unsigned)flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
        .mode = flags & (O_CREAT | O_TMPFILE) & ~O_DIRECTORY ? mode : 0,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
    };
    OWN_FD int fd = -1;
    struct stat st;

    for (unsigned i = 0; fd < 0 && i < ALLOW_OPEN_TRIES; i++) {
        fd = (int)syscall(SYS_openat2, dir, path, &how, sizeof(how));
        if (fd < 0 && errno != EAGAIN)
            return -errno;
    }
    if (fd < 0)
        return -EAGAIN;
    if (fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
        return -EINVAL;
    if (!(flags & O_NONBLOCK) && fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) < 0)
        return -errno;
    return take_fd(&fd);
}

int allow_open(const struct allow_list *a, const char *path, int flags, mode_t mode)
{
    char full[PATH_MAX];
    int r = -EXDEV;

    if (is_own_name(a, path)) {
        r = open(path, flags, mode);
        return r < 0 ? -errno : r;
    }
    if (!tidy(a, path, full))
        return -EXDEV;
    for (size_t i = 0; i < a->dir_count && r < 0; i++) {
        const char *rest = beneath(&a->dirs[i], full);

        if (rest)
            r = open_beneath(a->dirs[i].fd, rest, flags, mode);
    }
    return r;
}

/* For calls that take a folder and a name in it: 0 or -EXDEV. full: room for PATH_MAX. */
static int find(const struct allow_list *a, const char *path, char *full, int *ret_folder,
                const char **ret_name)
{
    *ret_folder = AT_FDCWD;
    *ret_name = path;
    if (is_own_name(a, path))
        return 0;
    for (size_t i = 0; tidy(a, path, full) && i < a->dir_count; i++) {
        *ret_folder = a->dirs[i].fd;
        *ret_name = beneath(&a->dirs[i], full);
        if (*ret_name)
            return 0;
    }
    return -EXDEV;
}

int allow_access(const struct allow_list *a, const char *path, int mode)
{
    char full[PATH_MAX];
    const char *name;
    int folder, rc = find(a, path, full, &folder, &name);

    return rc ? rc : faccessat(folder, name, mode, 0) < 0 ? -errno : 0;
}

int allow_stat(const struct allow_list *a, const char *path, struct stat *ret)
{
    char full[PATH_MAX];
    const char *name;
    int folder, rc = find(a, path, full, &folder, &name);

    return rc ? rc : fstatat(folder, name, ret, 0) < 0 ? -errno : 0;
}

int64_t allow_file_bytes(const struct allow_list *a, const char *path)
{
    struct stat st;
    int rc = allow_stat(a, path, &st);

    return rc ? rc : S_ISREG(st.st_mode) ? (int64_t)st.st_size : -EINVAL;
}

const char *allow_hint(int errnum)
{
    switch (errnum) {
    case EXDEV:
        return " (it leads out of what --allow-path allows)";
    case ENOSYS:
        return " (--allow-path needs openat2, of Linux 5.6)";
    default:
        return "";
    }
}
