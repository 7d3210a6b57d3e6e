/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include <errno.h>
#include <string.h>

#include "vmm/config/compare.h"
#include "vmm/config/options.h"

static void config_of(struct vm_config *c, const char *line)
{
    char copy[1024];
    const char *argv[64];
    int argc = 0;
    struct options o = {0};
    struct ferry_err err;

    strcpy(copy, line);
    for (char *word = strtok(copy, " "); word; word = strtok(NULL, " "))
        argv[argc++] = word;
    if (options_from_argv(&o, argc, argv, &err) < 0 || config_from_options(c, &o, &err) < 0)
        fail_msg("%s: %s", line, err.text);
    options_free(&o);
}

/* says: NULL = they fit. */
static void compare(const char *there, const char *here, const char *says)
{
    struct vm_config a, b;
    struct ferry_err err = {0};
    int rc;

    config_of(&a, there);
    config_of(&b, here);
    rc = config_compare(&a, &b, &err);
    config_free(&a);
    config_free(&b);
    assert_int_equal(rc, says ? -EINVAL : 0);
    if (says)
        assert_string_equal(err.text, says);
}

#define DISK "-drive file=a,if=none,id=d0 -device virtio-blk-device,drive=d0"

static void what_is_the_hosts_may_differ(void **state)
{
    compare("-M virt -m 64 -name a -serial stdio " DISK,
            "-M virt -m 128 -name b -smp 2 -S -qmp stdio "
            "-drive file=b,if=none,id=x,cache=none -device virtio-blk-device,drive=x,num-queues=1",
            NULL);
    /* Which devices there are is somebody else's. */
    compare(DISK, "-device virtio-rng-device", NULL);
}

static void what_the_guest_sees_may_not(void **state)
{
    compare(DISK, DISK ",num-queues=4",
            "disk on virtio-mmio-bus.7: num-queues is 1 there and 4 here");
    compare("-M virt", "-M virt -global virtio-mmio.force-legacy=off",
            "virtio-mmio: force-legacy is on there and off here");
    compare("-global virtio-mmio.force-legacy=off -device virtio-keyboard-device,event_idx=off",
            "-global virtio-mmio.force-legacy=off -device virtio-keyboard-device",
            "keyboard on virtio-mmio-bus.7: event_idx is off there and on here");
    compare("-rtc clock=vm", "-rtc base=utc", "-rtc: clock is vm there and host here");
    compare("-M virt,compat=qemu-10.0.2", "-M virt",
            "-M virt: compat is qemu-10.0.2 there and none here");
    compare("-netdev tap,id=n0,ifname=t,script=no,downscript=no "
            "-device virtio-net-device,netdev=n0,mac=52:54:00:00:00:01",
            "-netdev stream,id=n0,addr.type=unix,addr.path=/s "
            "-device virtio-net-device,netdev=n0,mac=52:54:00:00:00:02",
            "network card on virtio-mmio-bus.7: mac is 52:54:00:00:00:01 there and "
            "52:54:00:00:00:02 here; network card on virtio-mmio-bus.7: netdev is a TAP there and "
            "a stream here");
}

static void every_difference_is_named(void **state)
{
    compare("-drive file=a,if=none,id=d0,readonly=on "
            "-device virtio-blk-device,drive=d0,discard=off,write-zeroes=off,event_idx=off,"
            "indirect_desc=off,serial=A",
            DISK,
            "disk on virtio-mmio-bus.7: event_idx is off there and on here; "
            "disk on virtio-mmio-bus.7: indirect_desc is off there and on here; "
            "disk on virtio-mmio-bus.7: discard is off there and on here; "
            "disk on virtio-mmio-bus.7: write-zeroes is off there and on here; "
            "disk on virtio-mmio-bus.7: serial is A there and none here; "
            "disk on virtio-mmio-bus.7: readonly is on there and off here");
}

#define PASST "-netdev stream,id=n0,addr.type=unix,addr.path=/s"

static void peers(const char *theirs, const char *ours, const char *expected)
{
    struct vm_config there, here;
    struct ferry_err err = {0};

    config_of(&there, theirs);
    config_of(&here, ours);
    assert_int_equal(config_compare_peers(&there, &here, &err), expected ? -EINVAL : 0);
    if (expected)
        assert_non_null(strstr(err.text, expected));
    config_free(&there);
    config_free(&here);
}

static void one_peer_for_two_on_one_host(void **state)
{
    peers(PASST, PASST, "netdev \"n0\": the VM has /s on this same host");
    peers(PASST, PASST,
          "'ferry update' keeps the connection, --net-socket n0=PATH gives another "
          "passt, reconnect-ms on both sides passes it on");
    peers(PASST ",reconnect-ms=5", PASST, "on this same host");
    peers(PASST, PASST ",reconnect-ms=5", "on this same host");
    peers(PASST ",reconnect-ms=5", PASST ",reconnect=1", NULL);
    peers(PASST, PASST "2", NULL);
    peers(PASST, PASST ",server=on",
          NULL); /* not connected to; that it is in use is said when it is made */
    peers(PASST ",server=on", PASST, NULL);
    peers("-netdev tap,id=n0,ifname=t,script=no", "-netdev tap,id=n0,ifname=t,script=no", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_the_hosts_may_differ),
        cmocka_unit_test(what_the_guest_sees_may_not),
        cmocka_unit_test(every_difference_is_named),
        cmocka_unit_test(one_peer_for_two_on_one_host),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
