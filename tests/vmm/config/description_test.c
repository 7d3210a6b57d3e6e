/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "vmm/config/config_device.h"
#include "vmm/config/description.h"
#include "vmm/machine/device_kind.h"

struct described {
    struct options o;
    struct vm_config c;
    struct ferry_err err;
};

static void start(struct described *d, const char *line)
{
    char copy[1024];
    const char *argv[64];
    int argc = 0;

    *d = (struct described){0};
    strcpy(copy, line);
    for (char *word = strtok(copy, " "); word; word = strtok(NULL, " "))
        argv[argc++] = word;
    if (options_from_argv(&d->o, argc, argv, &d->err) < 0 ||
        config_from_options(&d->c, &d->o, &d->err) < 0)
        fail_msg("%s: %s", line, d->err.text);
}

static void end(struct described *d)
{
    config_free(&d->c);
    options_free(&d->o);
}

/* A target that reads the options has the machine that is here. */
static void expect_same_there(struct described *d)
{
    OWN_MEM char *wire = options_to_json(&d->o);
    struct described there = {0};

    if (options_from_json(&there.o, wire, &d->err) < 0 ||
        config_from_options(&there.c, &there.o, &d->err) < 0)
        fail_msg("%s: %s", wire, d->err.text);
    assert_int_equal(there.c.device_count, d->c.device_count);
    for (size_t i = 0; i < d->c.device_count; i++) {
        OWN_MEM char *a = config_device_text(d->c.devices[i], &d->err);
        OWN_MEM char *b = config_device_text(there.c.devices[i], &d->err);

        assert_string_equal(a, b);
    }
    assert_int_equal(there.c.drive_count, d->c.drive_count);
    for (size_t i = 0; i < d->c.drive_count; i++)
        assert_string_equal(there.c.drives[i].id, d->c.drives[i].id);
    assert_int_equal(there.c.netdev_count, d->c.netdev_count);
    for (size_t i = 0; i < d->c.netdev_count; i++)
        assert_string_equal(there.c.netdevs[i].id, d->c.netdevs[i].id);
    assert_int_equal(there.c.chardev_count, d->c.chardev_count);
    for (size_t i = 0; i < d->c.chardev_count; i++) {
        size_t k = 0;

        /* In whatever order: they are known by their names. */
        while (k < there.c.chardev_count && strcmp(there.c.chardevs[k].id, d->c.chardevs[i].id))
            k++;
        assert_int_not_equal(k, there.c.chardev_count);
    }
    end(&there);
}

static struct config_device *add(struct described *d, const char *text, int expected)
{
    struct config_device *added = NULL;
    struct keyval kv;

    assert_int_equal(keyval_parse(&kv, text, "driver", &d->err), 0);
    assert_int_equal(description_add_device(&d->o, &d->c, &kv, &added, &d->err), expected);
    keyval_free(&kv);
    return added;
}

#define NETDEV(id) " -netdev tap,id=" id ",ifname=" id ",script=no"

static const char *const lines[] = {
    "",
    "-drive file=a,,b,format=raw -drive file=b,if=virtio,readonly=on -drive file=c,if=none,id=x",
    "-blockdev driver=file,node-name=f,filename=i -blockdev driver=raw,node-name=r,file=f "
    "-drive file=b -device virtio-blk-device,drive=r,serial=a,,b,num-queues=4,rerror=stop",
    "-device {\"driver\":\"virtio-blk-device\",\"drive\":\"d\",\"discard\":false,\"addr\":3} "
    "-drive file=x,id=d,werror=ignore",
    NETDEV("n0") NETDEV(
        "n1") " -device virtio-net-device,netdev=n0,id=c0,event_idx=off"
              " -device virtio-net-device,netdev=n1,mac=52:54:00:00:00:09,bus=virtio-mmio-bus.0",
    "-nic tap,ifname=t,script=no -device virtio-rng-device -device vmgenid,id=g "
    "-global virtio-mmio.force-legacy=off -device virtio-keyboard-device,indirect_desc=off",
    "-device vmgenid,guid=550e8400-e29b-41d4-a716-446655440000",
};

static void what_was_left_open_is_said(void **state)
{
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        OWN_MEM char *once = NULL, *twice = NULL;
        struct described d;

        start(&d, lines[i]);
        assert_int_equal(description_settle(&d.o, &d.c, &d.err), 0);
        expect_same_there(&d);
        once = options_to_json(&d.o);
        assert_int_equal(description_settle(&d.o, &d.c, &d.err), 0);
        twice = options_to_json(&d.o);
        assert_string_equal(once, twice);
        end(&d);
    }
}

/* Whoever goes, the others are where the guest sees them. */
static void who_stays_keeps_place_and_address(void **state)
{
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        struct described d;

        start(&d, lines[i]);
        while (d.c.device_count > 0) {
            assert_int_equal(description_remove_device(&d.o, &d.c, d.c.devices[0], &d.err), 0);
            expect_same_there(&d);
        }
        end(&d);
    }
}

static void devices_come_and_go(void **state)
{
    struct config_device *card;
    struct described d;

    start(&d, NETDEV("n0") NETDEV("n1") NETDEV("n2") " -device virtio-net-device,netdev=n0,id=a "
                                                     "-device virtio-net-device,netdev=n1,id=b");
    assert_int_equal(description_remove_device(&d.o, &d.c, config_find_device(&d.c, "a"), &d.err),
                     0);
    assert_null(config_find_device(&d.c, "a"));
    card = add(&d, "virtio-net-device,netdev=n2,id=c", 0);
    /* The slot is free again; the address that would be the second card's is b's. */
    assert_string_equal(card->bus, "virtio-mmio-bus.7");
    assert_int_equal(config_card_of(config_find_device(&d.c, "b"))->mac[5], 0x57);
    assert_int_equal(config_card_of(card)->mac[5], 0x58);
    expect_same_there(&d);
    /* What a manager says in JSON is the same. */
    assert_int_equal(description_remove_device(&d.o, &d.c, card, &d.err), 0);
    card = add(&d, "{\"driver\":\"virtio-net-device\",\"netdev\":\"n2\",\"event_idx\":false}", 0);
    assert_false(config_card_of(card)->virtio.event_idx);
    expect_same_there(&d);
    end(&d);
}

static void what_is_refused_changes_nothing(void **state)
{
    static const struct {
        const char *text;
        int rc;
        const char *says;
    } cases[] = {
        {"virtio-rng-device,id=a", -EEXIST, "Duplicate device ID 'a'"},
        {"virtio-rng-device,bus=virtio-mmio-bus.7", -EBUSY, "two devices are on"},
        {"virtio-rng-device,bus=pcie.0", -ENODEV, "Bus 'pcie.0' not found"},
        {"virtio-blk-device,drive=d", -EBUSY, "it's in use by another device"},
        {"virtio-blk-device,drive=nosuch", -ENOENT, "can't find value 'nosuch'"},
        {"virtio-blk-device", -EINVAL, "Parameter 'drive' is missing"},
        {"virtio-blok-device,drive=d", -EINVAL, "did you mean 'virtio-blk-device'?"},
        {"vmgenid", -EEXIST, "a machine has one vmgenid"},
        {"{\"driver\":\"virtio-rng-device\",\"event_idx\":\"on\"}", -EINVAL, "expected: boolean"},
    };
    struct described d;

    start(&d, "-drive file=x,id=d -device vmgenid -device virtio-rng-device,id=a");
    assert_int_equal(description_settle(&d.o, &d.c, &d.err), 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        OWN_MEM char *before = options_to_json(&d.o), *after = NULL;

        assert_null(add(&d, cases[i].text, cases[i].rc));
        if (!strstr(d.err.text, cases[i].says))
            fail_msg("%s: %s", cases[i].text, d.err.text);
        after = options_to_json(&d.o);
        assert_string_equal(before, after);
        expect_same_there(&d);
    }
    end(&d);
}

static int add_netdev(struct described *d, const char *id)
{
    char words[128];

    snprintf(words, sizeof(words),
             "{\"type\":\"tap\",\"id\":\"%s\",\"ifname\":\"t\",\"script\":\"no\"}", id);
    return description_add_netdev(&d->o, &d->c, words, &d->err);
}

/* Among devices that come and go, too: each list is in an order that the other does not know. */
static void netdevs_come_and_go(void **state)
{
    struct described d;

    start(&d, NETDEV("n0") NETDEV("n1") " -device virtio-net-device,netdev=n0,id=a");
    assert_int_equal(add_netdev(&d, "n2"), 0);
    expect_same_there(&d);
    add(&d, "virtio-net-device,netdev=n2,id=b", 0);
    expect_same_there(&d);
    description_remove_netdev(&d.o, &d.c, 1);
    assert_string_equal(d.c.netdevs[1].id, "n2");
    expect_same_there(&d);
    assert_int_equal(add_netdev(&d, "n1"), 0);
    assert_int_equal(description_remove_device(&d.o, &d.c, config_find_device(&d.c, "a"), &d.err),
                     0);
    description_remove_netdev(&d.o, &d.c, 0);
    assert_string_equal(d.c.netdevs[0].id, "n2");
    assert_string_equal(d.c.netdevs[1].id, "n1");
    assert_non_null(config_find_device(&d.c, "b"));
    expect_same_there(&d);
    end(&d);
}

static void netdevs_that_are_refused_change_nothing(void **state)
{
    static const char *const cases[][2] = {
        {"{\"type\":\"tap\",\"id\":\"n0\",\"ifname\":\"t\",\"script\":\"no\"}",
         "Duplicate ID 'n0'"},
        {"{\"type\":\"tap\",\"id\":\"n 1\",\"ifname\":\"t\",\"script\":\"no\"}",
         "not an identifier"},
        {"{\"type\":\"tap\",\"id\":\"n1\",\"ifname\":\"t\"}", "add script=no"},
        {"{\"type\":\"tap\",\"id\":\"n1\",\"ifname\":5,\"script\":\"no\"}", "expected: string"},
        {"{\"type\":\"stream\",\"id\":\"n1\",\"addr\":{\"type\":\"inet\",\"host\":\"h\"}}",
         "addr.type"},
    };
    OWN_MEM char *before = NULL;
    struct described d;

    start(&d, NETDEV("n0"));
    before = options_to_json(&d.o);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        OWN_MEM char *after = NULL;

        assert_true(description_add_netdev(&d.o, &d.c, cases[i][0], &d.err) < 0);
        if (!strstr(d.err.text, cases[i][1]))
            fail_msg("%s: %s", cases[i][0], d.err.text);
        after = options_to_json(&d.o);
        assert_string_equal(before, after);
        assert_int_equal(d.c.netdev_count, 1);
    }
    for (char id[] = "a"; d.c.netdev_count < CONFIG_NETDEVS_MAX; id[0]++)
        assert_int_equal(add_netdev(&d, id), 0);
    assert_int_equal(add_netdev(&d, "z"), -E2BIG);
    expect_same_there(&d);
    end(&d);
}

static void chardevs_come_and_go(void **state)
{
    struct described d;

    start(&d, "-chardev null,id=a -serial null -chardev {\"backend\":\"null\",\"id\":\"b\"}");
    assert_int_equal(
        description_add_chardev(&d.o, &d.c, "{\"backend\":\"pty\",\"id\":\"c\"}", &d.err), 0);
    expect_same_there(&d);
    assert_int_equal(
        description_add_chardev(&d.o, &d.c, "{\"backend\":\"pty\",\"id\":\"c\"}", &d.err), -EEXIST);
    assert_string_equal(d.err.text, "Chardev with id 'c' already exists");
    expect_same_there(&d);
    assert_int_equal(description_remove_chardev(&d.o, &d.c, "a", &d.err), 0);
    assert_int_equal(description_remove_chardev(&d.o, &d.c, "b", &d.err), 0);
    expect_same_there(&d);
    assert_int_equal(d.c.chardev_count, 2);
    assert_string_equal(d.c.chardevs[1].id, "c");
    /* -serial's own. */
    assert_int_equal(description_remove_chardev(&d.o, &d.c, "serial0", &d.err), -ENOENT);
    assert_int_equal(description_remove_chardev(&d.o, &d.c, "c", &d.err), 0);
    expect_same_there(&d);
    end(&d);
}

static void drives_come_and_go(void **state)
{
    static const char words[] =
        "{\"driver\":\"raw\",\"node-name\":\"new\",\"read-only\":true,\"file\":"
        "{\"driver\":\"file\",\"filename\":\"/n\"}}";
    struct described d;

    /* One without a name, one of two nodes, one with a disk. */
    start(&d, "-drive file=/a,if=none,format=raw -blockdev driver=file,node-name=f,filename=/i "
              "-blockdev driver=raw,node-name=r,file=f -drive file=/b,format=raw");
    assert_int_equal(description_add_drive(&d.o, &d.c, words, &d.err), 0);
    assert_string_equal(d.c.drives[3].id, "new");
    assert_true(d.c.drives[3].readonly);
    expect_same_there(&d);
    assert_int_equal(description_add_drive(&d.o, &d.c, words, &d.err), -EEXIST);
    expect_same_there(&d);
    /* Both nodes of it go. */
    assert_int_equal(description_remove_drive(&d.o, &d.c, 1, &d.err), 0);
    assert_string_equal(d.c.drives[1].path, "/b");
    expect_same_there(&d);
    assert_int_equal(description_remove_drive(&d.o, &d.c, 0, &d.err), 0);
    /* Its name is what it was, though it is the first now. */
    assert_string_equal(d.c.drives[0].id, "drive2");
    expect_same_there(&d);
    add(&d, "virtio-blk-device,drive=new,id=n", 0);
    expect_same_there(&d);
    assert_int_equal(description_remove_device(&d.o, &d.c, config_find_device(&d.c, "n"), &d.err),
                     0);
    assert_int_equal(description_remove_drive(&d.o, &d.c, 1, &d.err), 0);
    assert_int_equal(d.c.drive_count, 1);
    expect_same_there(&d);
    end(&d);
}

/* A path is one of this process's folder, wherever a target is. */
static void a_socket_beside_us_is_named_in_full(void **state)
{
    struct described d;

    start(&d, "");
    assert_int_equal(description_add_netdev(&d.o, &d.c,
                                            "{\"type\":\"stream\",\"id\":\"n1\",\"server\":true,"
                                            "\"addr\":{\"type\":\"unix\",\"path\":\"here\"}}",
                                            &d.err),
                     0);
    assert_int_equal(d.c.netdevs[0].path[0], '/');
    assert_true(d.c.netdevs[0].server);
    expect_same_there(&d);
    end(&d);
}

/* As many as anybody likes to ask for: there is an end, and a sentence. */
static void there_is_an_end_to_devices(void **state)
{
    struct described d;
    int rc = 0, count = 0;

    start(&d, "");
    for (; count < 300 && !rc; count++) {
        struct config_device *added;
        struct keyval kv;

        assert_int_equal(keyval_parse(&kv, "virtio-rng-device", "driver", &d.err), 0);
        rc = description_add_device(&d.o, &d.c, &kv, &added, &d.err);
        keyval_free(&kv);
    }
    assert_int_equal(rc, -ENOSPC);
    assert_string_equal(d.err.text, "all 8 virtio-mmio slots are taken");
    assert_int_equal(count, CONFIG_VIRTIO_SLOTS + 1);
    assert_int_equal(d.c.device_count, CONFIG_VIRTIO_SLOTS);
    expect_same_there(&d);
    end(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_left_open_is_said),
        cmocka_unit_test(who_stays_keeps_place_and_address),
        cmocka_unit_test(devices_come_and_go),
        cmocka_unit_test(what_is_refused_changes_nothing),
        cmocka_unit_test(netdevs_come_and_go),
        cmocka_unit_test(netdevs_that_are_refused_change_nothing),
        cmocka_unit_test(chardevs_come_and_go),
        cmocka_unit_test(drives_come_and_go),
        cmocka_unit_test(a_socket_beside_us_is_named_in_full),
        cmocka_unit_test(there_is_an_end_to_devices),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
