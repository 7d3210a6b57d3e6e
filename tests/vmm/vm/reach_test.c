/* SPDX-License-Identifier: Apache-2.0 */
/* Each option that gives a machine something of this host keeps its name open, and no other name.
 */
#include "tests/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/own.h"
#include "vmm/backend/net.h"
#include "vmm/board/type.h"
#include "vmm/config/machines.h"
#include "vmm/vm/reach.h"

static char folder[] = "/tmp/ferry-reach-XXXXXX";

static char *in_folder(const char *file, char ret[128])
{
    snprintf(ret, 128, "%s%s%s", folder, *file ? "/" : "", file);
    return ret;
}

static int make_folder(void **state)
{
    char path[128];

    if (!mkdtemp(folder) || setenv("XDG_RUNTIME_DIR", folder, 1))
        return -1;
    in_folder("disk", path);
    return close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
}

static int remove_folder(void **state)
{
    static const char *const made[] = {"disk", "ram", "log"};
    char path[128];

    for (size_t i = 0; i < sizeof(made) / sizeof(made[0]); i++)
        unlink(in_folder(made[i], path));
    rmdir(in_folder("ferry", path));
    return rmdir(folder);
}

/* What there is whatever is given: the runtime directory, and the default firmware. */
static bool is_always_there(const struct sandbox_path *p)
{
    char path[128];
    const struct machine_type *type;

    if (!strcmp(p->path, in_folder("ferry/", path)))
        return p->access == SANDBOX_WRITE;
    for (size_t i = 0; (type = machine_type_at(i)); i++)
        for (const char *const *firmware = type->board->boot.firmware; *firmware; firmware++)
            if (!strcmp(p->path, *firmware))
                return p->access == SANDBOX_READ;
    return false;
}

/* "%s" in value is the folder. */
static int reach(struct reach *ret, const char *option, const char *value, struct ferry_err *err)
{
    char word[64], text[256];
    char *argv[] = {word, text, NULL};
    struct this_host host;
    int i = 0, rc;

    snprintf(word, sizeof(word), "%s", option);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(text, sizeof(text), value, folder);
#pragma GCC diagnostic pop
    assert_int_equal(this_host_init(&host, err), 0);
    assert_int_equal(this_host_parse(&host, 2, argv, &i, err), 1);
    rc = reach_of(ret, &host, err);
    this_host_free(&host);
    return rc;
}

/* path: NULL = nothing more than always. */
static void expect(const char *option, const char *value, const char *path,
                   enum sandbox_access access_)
{
    struct reach r;
    struct ferry_err err = {0};
    size_t found = 0, more = 0;

    if (reach(&r, option, value, &err) < 0)
        fail_msg("%s %s: %s", option, value, err.text);
    for (size_t i = 0; i < r.count; i++) {
        if (path && !strcmp(r.paths[i].path, path) && r.paths[i].access == access_)
            found++;
        else if (!is_always_there(&r.paths[i]))
            more++;
    }
    if (found != (path ? 1 : 0) || more)
        fail_msg("%s %s: %zu times what was expected, and %zu more", option, value, found, more);
    reach_free(&r);
}

/* Keeps it open as it is; what is not there is not made. */
static void expect_found(const char *option, const char *value, enum sandbox_access access_)
{
    char text[128], path[128];

    snprintf(text, sizeof(text), value[0] ? "%s=%%s/disk" : "%s%%s/disk", value);
    expect(option, text, in_folder("disk", path), access_);
    snprintf(text, sizeof(text), value[0] ? "%s=%%s/missing" : "%s%%s/missing", value);
    expect(option, text, NULL, 0);
    assert_int_equal(access(in_folder("missing", path), F_OK), -1);
}

static void expect_made(const char *option, const char *value, const char *file)
{
    char path[128];
    struct stat st;

    expect(option, value, in_folder(file, path), SANDBOX_WRITE);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, 0);
    unlink(path);
}

static void nothing(void **state)
{
    expect("--name", "web1", NULL, 0);
    expect("--max-memory", "1G", NULL, 0);
    expect("--serial", "null", NULL, 0);
    expect("--chardev", "c0=null", NULL, 0);
    expect("--chardev", "c0=stdio", NULL, 0);
}

static void files(void **state)
{
    expect_found("--drive", "d0", SANDBOX_WRITE);
    expect_found("--blockdev", "n0", SANDBOX_WRITE);
    expect_found("--bios", "", SANDBOX_READ);
    expect_found("--kernel", "", SANDBOX_READ);
    expect_found("--initrd", "", SANDBOX_READ);
}

static void how_a_file_is_used_names_nothing(void **state)
{
    char path[128];

    expect("--drive", "d0=%s/disk,cache=none,discard=unmap", in_folder("disk", path),
           SANDBOX_WRITE);
}

static void files_that_are_made(void **state)
{
    expect_made("--memory", "r0=%s/ram", "ram");
    expect_made("--serial", "file:%s/log", "log");
    expect_made("--chardev", "c0=file:%s/log", "log");
    expect_made("--chardev", "c0=stdio,logfile=%s/log", "log");
}

static void ram_is_nobody_elses(void **state)
{
    struct ferry_err err = {0};
    struct reach r;
    struct stat st;
    char path[128];

    assert_int_equal(reach(&r, "--memory", "r0=%s/ram", &err), 0);
    reach_free(&r);
    assert_int_equal(stat(in_folder("ram", path), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
}

static void sockets_that_are_made(void **state)
{
    expect("--serial", "unix:%s/s,server=on,wait=off", folder, SANDBOX_SOCKETS);
    expect("--chardev", "c0=unix:%s/s,server=on,wait=off", folder, SANDBOX_SOCKETS);
    expect("--net-socket", "n0=%s/passt,server=on", folder, SANDBOX_SOCKETS);
}

static void sockets_that_are_there(void **state)
{
    expect("--net-socket", "n0=%s/disk", NULL, 0);
}

static void taps(void **state)
{
    const char *tun = access(NET_TAP_PATH, F_OK) == 0 ? NET_TAP_PATH : NULL;

    expect("--netdev", "n0=tap7", tun, SANDBOX_WRITE);
    expect("--allow-tap", "tap", tun, SANDBOX_WRITE);
}

static void directories(void **state)
{
    expect("--allow-path", "%s", folder, SANDBOX_WRITE);
}

static void what_is_no_option_says_so(void **state)
{
    struct ferry_err err = {0};
    struct reach r;

    assert_int_equal(reach(&r, "--chardev", "c0=pigeon:%s/s", &err), -EINVAL);
    assert_non_null(strstr(err.text, "unix:PATH,server=on,wait=off was expected"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing),
        cmocka_unit_test(files),
        cmocka_unit_test(how_a_file_is_used_names_nothing),
        cmocka_unit_test(files_that_are_made),
        cmocka_unit_test(ram_is_nobody_elses),
        cmocka_unit_test(sockets_that_are_made),
        cmocka_unit_test(sockets_that_are_there),
        cmocka_unit_test(taps),
        cmocka_unit_test(directories),
        cmocka_unit_test(what_is_no_option_says_so),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
