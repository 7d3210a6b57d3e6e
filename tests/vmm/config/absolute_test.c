/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"
#include "vmm/config/absolute.h"
#include "vmm/config/option_table.h"
#include "vmm/config/options.h"

/* The only option of a list, from within /tmp. */
static void becomes(const char *name, const char *value, const char *is)
{
    struct options o = {0};
    struct ferry_err err;

    assert_int_equal(chdir("/tmp"), 0);
    assert_int_equal(options_add(&o, name, value, &err), 0);
    if (absolute_options(&o, &err) < 0)
        fail_msg("-%s %s: %s", name, value, err.text);
    assert_string_equal(o.list[0].value, is);
    options_free(&o);
}

static void every_name_of_a_file_is_made_absolute(void **state)
{
    becomes("drive", "file=d.img,if=none,id=d0", "file=/tmp/d.img,if=none,id=d0");
    becomes("drive", "file=a,,b,id=d0", "file=/tmp/a,,b,id=d0");
    becomes("blockdev", "driver=file,node-name=n,filename=d.img",
            "driver=file,node-name=n,filename=/tmp/d.img");
    becomes("blockdev",
            "{\"driver\": \"raw\", \"node-name\": \"n\", \"file\": {\"driver\": "
            "\"file\", \"filename\": \"d.img\"}}",
            "driver=raw,node-name=n,file.driver=file,file.filename=/tmp/d.img");
    becomes("object", "memory-backend-file,id=r,size=1G,mem-path=r,share=on",
            "qom-type=memory-backend-file,id=r,size=1G,mem-path=/tmp/r,share=on");
    becomes("netdev", "stream,id=n0,addr.type=unix,addr.path=s",
            "type=stream,id=n0,addr.type=unix,addr.path=/tmp/s");
    becomes("chardev", "file,id=c,path=c", "backend=file,id=c,path=/tmp/c");
    becomes("chardev", "null,id=c,logfile=l", "backend=null,id=c,logfile=/tmp/l");
    becomes("serial", "file:log", "file:/tmp/log");
    becomes("serial", "mon:unix:s,server=on", "mon:unix:/tmp/s,server=on");
    becomes("qmp", "unix:q,server=on,wait=off", "unix:/tmp/q,server=on,wait=off");
    becomes("monitor", "unix:m,server=on,wait=off", "unix:/tmp/m,server=on,wait=off");
    becomes("gdb", "unix:g,server=on,wait=off", "unix:/tmp/g,server=on,wait=off");
    becomes("kernel", "Image", "/tmp/Image");
    becomes("initrd", "./x", "/tmp/./x");
    becomes("bios", "fw", "/tmp/fw");
}

static void everything_else_stays_as_it_was_typed(void **state)
{
    static const char *const same[][2] = {
        {"drive", "file=/a/d.img,if=none,id=d0"},
        {"blockdev", "{\"driver\": \"file\", \"node-name\": \"n\", \"filename\": \"/d\"}"},
        {"blockdev", "driver=raw,node-name=r,file=n"}, /* a node's name */
        {"netdev", "tap,id=n0,ifname=tap0,script=no,downscript=no"},
        {"serial", "stdio"},
        {"serial", "chardev:c"},
        {"bios", "default"},
        {"bios", "none"},
        {"append", "root=file"},
        {"M", "virt"},
    };

    for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++)
        becomes(same[i][0], same[i][1], same[i][1]);
}

/* Those of new options, too: what their help calls a path is one. */
static void whatever_help_calls_a_path_is_one(void **state)
{
    const struct option_def *def;

    for (size_t i = 0; (def = option_at(i)); i++) {
        bool is_of_process = !strcmp(def->name, "incoming"); /* opened by who was started there */

        if (def->argument && !def->syntax && !is_of_process &&
            (strstr(def->argument, "unix:P") || strstr(def->argument, "file:P")))
            becomes(def->name, "unix:x", "unix:/tmp/x");
    }
}

static void a_directory_that_is_gone_is_said(void **state)
{
    char folder[] = "/tmp/ferry-gone-XXXXXX";
    struct ferry_err err;

    assert_non_null(mkdtemp(folder));
    assert_int_equal(chdir(folder), 0);
    assert_int_equal(rmdir(folder), 0);
    assert_null(absolute_name("x", &err));
    assert_string_equal(err.text, "'x': in which directory: No such file or directory");
    assert_int_equal(chdir("/"), 0);
}

static void the_root_is_a_directory_like_others(void **state)
{
    struct ferry_err err;
    OWN_MEM char *name = NULL;

    assert_int_equal(chdir("/"), 0);
    name = absolute_name("x", &err);
    assert_string_equal(name, "/x");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_name_of_a_file_is_made_absolute),
        cmocka_unit_test(everything_else_stays_as_it_was_typed),
        cmocka_unit_test(whatever_help_calls_a_path_is_one),
        cmocka_unit_test(a_directory_that_is_gone_is_said),
        cmocka_unit_test(the_root_is_a_directory_like_others),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
