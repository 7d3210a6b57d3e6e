/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "vmm/backend/unix_socket.h"

#define PATH_BYTES sizeof(((struct sockaddr_un *)0)->sun_path)

struct place {
    char dir[32];
    char path[PATH_BYTES + 1];
};

/* A path of n bytes in a directory of its own. */
static void place_path(struct place *p, size_t n)
{
    int used;

    strcpy(p->dir, "/tmp/ferry-socket-XXXXXX");
    assert_non_null(mkdtemp(p->dir));
    used = snprintf(p->path, sizeof(p->path), "%s/", p->dir);
    memset(p->path + used, 's', n - (size_t)used);
    p->path[n] = 0;
}

static void served_up_to_the_longest_path(void **state)
{
    for (size_t n = PATH_BYTES - 8; n < PATH_BYTES; n++) {
        struct place p;
        struct ferry_err err;
        int listener, client;

        place_path(&p, n);
        assert_int_equal(unix_listen(p.path, &listener, &err), 0);
        assert_int_equal(unix_connect(p.path, &client, &err), 0);
        assert_int_equal(unix_verify(listener, true, &err), 0);
        assert_int_equal(unix_verify(client, false, &err), 0);
        close(client);
        close(listener);
        unlink(p.path);
        /* Nothing else was left in it. */
        assert_int_equal(rmdir(p.dir), 0);
    }
}

static void longer_paths_are_refused(void **state)
{
    struct place p;
    struct ferry_err err;
    int fd;

    place_path(&p, PATH_BYTES);
    assert_int_equal(unix_listen(p.path, &fd, &err), -EINVAL);
    assert_non_null(strstr(err.text, "it needs 1 to 107"));
    assert_int_equal(unix_connect("", &fd, &err), -EINVAL);
    rmdir(p.dir);
}

static void a_file_beside_the_path_stays(void **state)
{
    struct place p;
    struct ferry_err err;
    char beside[PATH_BYTES + 8];
    int fd;

    place_path(&p, 40);
    snprintf(beside, sizeof(beside), "%s.new", p.path);
    close(open(beside, O_CREAT | O_WRONLY, 0600));
    assert_int_equal(unix_listen(p.path, &fd, &err), -EEXIST);
    assert_non_null(strstr(err.text, ".new' exists and is not a socket"));
    assert_int_equal(unlink(beside), 0);
    rmdir(p.dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(served_up_to_the_longest_path),
        cmocka_unit_test(longer_paths_are_refused),
        cmocka_unit_test(a_file_beside_the_path_stays),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
