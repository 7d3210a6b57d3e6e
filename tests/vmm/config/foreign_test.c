/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Of a description that came from elsewhere, what becomes of each word: every option and sub-option
 * of the grammar, and descriptions put together at random.
 */
#include "tests/unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"
#include "vmm/config/foreign.h"
#include "vmm/config/option_table.h"

#define EVIL       "/evil/marker"
#define RANDOM_RUN 100000

/*
 * What a peer may say, once more and by hand: whoever gives an option to the guest in the tables
 * says so here, too.
 */
static const char *const guests_words[] = {
    "M.type",
    "M.acpi",
    "M.aclint",
    "M.compat",
    "M.memory-backend",
    "M.pci",
    "M.vmgenid",
    "machine.type",
    "machine.acpi",
    "machine.aclint",
    "machine.compat",
    "machine.memory-backend",
    "machine.pci",
    "machine.vmgenid",
    "cpu",
    "smp.cpus",
    "smp.maxcpus",
    "smp.sockets",
    "smp.dies",
    "smp.clusters",
    "smp.cores",
    "smp.threads",
    "m.size",
    "object.qom-type",
    "object.id",
    "object.size",
    "append",
    "rtc.base",
    "rtc.clock",
    "drive.id",
    "drive.if",
    "drive.readonly",
    "drive.read-only",
    "drive.rerror",
    "drive.werror",
    "blockdev.driver",
    "blockdev.node-name",
    "blockdev.file",
    "blockdev.file.driver",
    "blockdev.read-only",
    "netdev.id",
    "device.driver",
    "device.id",
    "device.bus",
    "device.addr",
    "device.event_idx",
    "device.indirect_desc",
    "device.drive",
    "device.serial",
    "device.num-queues",
    "device.discard",
    "device.write-zeroes",
    "device.rerror",
    "device.werror",
    "device.netdev",
    "device.mac",
    "device.deflate-on-oom",
    "device.free-page-reporting",
    "device.page-poison",
    "device.guid",
    "global",
    "chardev.id", /* of the one that the UART goes to */
    "name.guest",
    "uuid",
    "no-reboot",
    "no-shutdown",
};

static bool is_guests(const char *option, const char *part)
{
    char word[64];

    snprintf(word, sizeof(word), "%s%s%s", option, part ? "." : "", part ? part : "");
    for (size_t i = 0; i < sizeof(guests_words) / sizeof(guests_words[0]); i++)
        if (!strcmp(word, guests_words[i]))
            return true;
    return false;
}

struct fix {
    struct this_host host;
    struct options o;
    struct options theirs;
    struct ferry_err err;
    char dir[32]; /* allowed, where a test allows it */
};

static int setup(void **state)
{
    struct fix *f = calloc(1, sizeof(*f));

    assert_int_equal(this_host_init(&f->host, &f->err), 0);
    strcpy(f->dir, "/tmp/ferry-foreign-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fix *f = *state;

    rmdir(f->dir);
    options_free(&f->o);
    options_free(&f->theirs);
    this_host_free(&f->host);
    free(f);
    return 0;
}

static void say(struct fix *f, const char *name, const char *value)
{
    assert_int_equal(options_add(&f->theirs, name, value, &f->err), 0);
}

static void give(struct fix *f, const char *option, const char *value)
{
    char *argv[] = {(char *)(uintptr_t)option, (char *)(uintptr_t)value};
    int i = 0;

    assert_int_equal(this_host_parse(&f->host, value ? 2 : 1, argv, &i, &f->err), 1);
    assert_int_equal(i, value ? 1 : 0);
}

/* What was said becomes what this host makes of it; nothing is said any more. */
static int split(struct fix *f)
{
    OWN_MEM char *description = options_to_json(&f->theirs);
    int rc;

    options_free(&f->o);
    f->err = (struct ferry_err){0};
    rc = foreign_options(&f->o, description, &f->host, &f->err);
    options_free(&f->theirs);
    if (rc < 0)
        assert_int_equal(f->o.count, 0);
    return rc;
}

/* The value of the first of that name; NULL: there is none. */
static const char *have(const struct fix *f, const char *name)
{
    for (size_t i = 0; i < f->o.count; i++)
        if (!strcmp(f->o.list[i].name, name))
            return f->o.list[i].value ? f->o.list[i].value : "";
    return NULL;
}

static bool anywhere(const struct fix *f, const char *text)
{
    for (size_t i = 0; i < f->o.count; i++)
        if (f->o.list[i].value && strstr(f->o.list[i].value, text))
            return true;
    return false;
}

/* --- Every word of the grammar --- */

static void one_word(struct fix *f, const struct option_def *def)
{
    bool guests = is_guests(def->name, NULL);
    int rc;

    say(f, def->name, def->argument ? EVIL : NULL);
    rc = split(f);
    assert_int_equal(guests, def->whose == OF_GUEST);
    if (guests) {
        assert_int_equal(rc, 0);
        assert_non_null(have(f, def->name));
        return;
    }
    assert_false(anywhere(f, EVIL));
    if (strcmp(def->name, "serial"))
        assert_null(have(f, def->name));
    if (def->whose == OF_HOST_FILE) {
        assert_int_equal(rc, -EINVAL);
        assert_non_null(strstr(f->err.text, def->name));
    }
}

static void one_part(struct fix *f, const struct option_def *def,
                     const struct option_variant *variant, const struct prop *p)
{
    const char *type_key = def->syntax->type_key;
    char value[160], whole[64];
    int rc;

    if (type_key) {
        snprintf(value, sizeof(value), "%s=%s,%s=" EVIL, type_key, variant->type, p->name);
        if (!strcmp(p->name, type_key))
            return;
    } else {
        snprintf(value, sizeof(value), "%s=" EVIL, p->name);
    }
    /* A chardev is there for the UART. */
    if (!strcmp(def->name, "chardev") && !strcmp(p->name, "id"))
        return;
    if (!strcmp(def->name, "chardev")) {
        say(f, "serial", "chardev:" EVIL);
        snprintf(value, sizeof(value), "id=" EVIL ",%s=" EVIL "2", p->name);
    }
    say(f, def->name, value);
    rc = split(f);
    snprintf(whole, sizeof(whole), "%s=" EVIL, p->name);
    assert_int_equal(is_guests(def->name, p->name), p->whose == OF_GUEST);
    if (p->whose == OF_GUEST) {
        if (rc < 0 || !have(f, def->name) || !strstr(have(f, def->name), whole))
            fail_msg("-%s %s: is the guest's, and was not taken: %s", def->name, value,
                     f->err.text);
        return;
    }
    if (have(f, def->name) && strstr(have(f, def->name), whole))
        fail_msg("-%s %s: is not the guest's, and was taken", def->name, value);
    if (p->whose == OF_HOST_FILE || p->whose == OF_HOST_TAP || p->whose == OF_HOST_OBJECT) {
        assert_int_equal(rc, -EINVAL);
        if (!strstr(f->err.text, "--"))
            fail_msg("-%s %s: says not how to give it: %s", def->name, value, f->err.text);
    }
}

static void what_is_not_the_guests_is_not_taken(void **state)
{
    struct fix *f = *state;
    const struct option_def *def;
    struct option_variant v;

    for (size_t i = 0; (def = option_at(i)); i++) {
        if (def->whose == OF_NOBODY)
            fail_msg("-%s: option_table.c does not say whose word it is", def->name);
        if (!def->syntax) {
            one_word(f, def);
            continue;
        }
        for (size_t k = 0; (v = option_variant_at(def->syntax, k)).props; k++) {
            if (def->whose == OF_HOST) {
                say(f, def->name, EVIL);
                assert_int_equal(split(f), 0);
                assert_null(have(f, def->name));
            } else {
                for (const struct prop *p = v.props; p->name; p++) {
                    if (p->whose == OF_NOBODY)
                        fail_msg("-%s %s=: its table does not say whose word it is", def->name,
                                 p->name);
                    one_part(f, def, &v, p);
                }
            }
        }
    }
    /* And nothing in the list by hand that is not in the tables. */
    for (size_t i = 0; i < sizeof(guests_words) / sizeof(guests_words[0]); i++) {
        char name[64];

        snprintf(name, sizeof(name), "%s", guests_words[i]);
        name[strcspn(name, ".")] = '\0';
        assert_non_null(option_find(name, &f->err));
    }
}

/* --- What this host gives --- */

static void what_is_missing_is_one_sentence(void **state)
{
    struct fix *f = *state;

    say(f, "name", "web1");
    say(f, "kernel", "/boot/Image");
    say(f, "bios", "none");
    say(f, "initrd", "/boot/initrd\x1b[31m");
    say(f, "drive", "file=/images/a.img,if=none,id=d0");
    say(f, "blockdev", "driver=raw,node-name=n1,file.driver=file,file.filename=/images/b.img");
    say(f, "drive", "file=/images/c.img");
    say(f, "netdev", "tap,id=net0,fd=5");
    say(f, "netdev", "stream,id=net1,addr.type=unix,addr.path=/run/passt");
    say(f, "object", "memory-backend-file,id=r0,size=64M,mem-path=/dev/shm/r0,share=on");
    assert_int_equal(split(f), -EINVAL);
    assert_string_equal(
        f->err.text,
        "the machine needs of this host, by these options or --allow-path and --allow-tap: "
        "--kernel FILE (there '/boot/Image'); --initrd FILE (there '/boot/initrd?[31m'); "
        "--drive d0=PATH (there '/images/a.img'); --blockdev n1=PATH (there '/images/b.img'); "
        "--drive drive2=PATH (there '/images/c.img'); --netdev net0=IFNAME (there '5'); "
        "--net-socket net1=PATH (there '/run/passt'); --memory r0=PATH (there '/dev/shm/r0')");
    /* Too many for one: then without what it was there. */
    for (unsigned i = 0; i < 16; i++) {
        char value[64];

        snprintf(value, sizeof(value), "file=/images/%u.img,if=none,id=d%u", i, i);
        say(f, "drive", value);
    }
    assert_int_equal(split(f), -EINVAL);
    assert_non_null(strstr(f->err.text, "--drive d0=PATH; --drive d1=PATH"));
    assert_non_null(strstr(f->err.text, "--drive d15=PATH"));
}

static void what_is_given_replaces_what_came(void **state)
{
    struct fix *f = *state;

    give(f, "--drive", "d0=/mnt/a,,b.img,cache=none");
    give(f, "--drive", "drive2=/mnt/c.img");
    give(f, "--blockdev", "n1=/mnt/b.img");
    give(f, "--netdev", "net0=br0");
    give(f, "--netdev", "net0=tap7");
    give(f, "--net-socket", "net1=/run/here,server=on");
    give(f, "--memory", "r0=/dev/shm/here");
    give(f, "--kernel", "/boot/here");
    give(f, "--name", "web2");
    give(f, "--chardev", "c0=file:/var/log/console");
    say(f, "name", "web1");
    say(f, "kernel", "/boot/Image");
    say(f, "drive", "file=/images/a.img,if=none,id=d0,readonly=on,locking=off");
    say(f, "blockdev",
        "{\"driver\": \"raw\", \"node-name\": \"n1\", \"read-only\": true, "
        "\"file\": {\"driver\": \"file\", \"filename\": \"/images/b.img\"}}");
    say(f, "drive", "file=/images/c.img");
    say(f, "netdev", "stream,id=net0,addr.type=unix,addr.path=/run/passt");
    say(f, "netdev", "tap,id=net1,fd=5");
    say(f, "object", "memory-backend-file,id=r0,size=64M,mem-path=/dev/shm/r0,share=on");
    say(f, "chardev",
        "socket,id=c0,path=/run/sock,server=on,wait=on,logfile=/run/log,logappend=on");
    say(f, "chardev", "socket,id=m0,path=/run/qmp,server=on,wait=off");
    say(f, "mon", "chardev=m0,mode=control");
    say(f, "serial", "mon:chardev:c0");
    assert_int_equal(split(f), 0);
    {
        static const char *const want[][2] = {
            {"drive", "if=none,id=d0,readonly=on,file=/mnt/a,,b.img,cache=none"},
            {"blockdev", "driver=raw,node-name=n1,read-only=on,file.driver=file,"
                         "file.filename=/mnt/b.img"},
            {"drive", "id=drive2,file=/mnt/c.img"},
            {"netdev", "id=net0,type=tap,script=no,downscript=no,ifname=tap7"},
            {"netdev", "id=net1,type=stream,addr.type=unix,addr.path=/run/here,server=on"},
            {"object", "qom-type=memory-backend-file,id=r0,size=64M,share=on,"
                       "mem-path=/dev/shm/here"},
            {"chardev", "id=c0,backend=file,path=/var/log/console"},
            {"kernel", "/boot/here"},
            {"name", "web2"},
            {"serial", "chardev:c0"},
        };

        assert_int_equal(f->o.count, sizeof(want) / sizeof(want[0]));
        for (size_t i = 0; i < f->o.count; i++) {
            assert_string_equal(f->o.list[i].name, want[i][0]);
            assert_string_equal(f->o.list[i].value, want[i][1]);
        }
    }
}

static void what_is_allowed_keeps_its_name(void **state)
{
    struct fix *f = *state;
    char value[160], path[64];

    give(f, "--allow-path", f->dir);
    give(f, "--allow-tap", "vm-");
    snprintf(path, sizeof(path), "%s/Image", f->dir);
    say(f, "kernel", path);
    snprintf(value, sizeof(value), "file=%s/a.img,if=none,id=d0,cache=none,locking=off", f->dir);
    say(f, "drive", value);
    say(f, "netdev", "tap,id=n0,ifname=vm-1,script=no,downscript=no,vhost=off");
    assert_int_equal(split(f), 0);
    snprintf(value, sizeof(value), "file=%s/a.img,if=none,id=d0,cache=none", f->dir);
    assert_string_equal(have(f, "drive"), value);
    assert_string_equal(have(f, "kernel"), path);
    assert_string_equal(have(f, "netdev"), "type=tap,id=n0,ifname=vm-1,script=no,downscript=no");
    assert_string_equal(have(f, "serial"), "null");
    /* A socket is no file, and neither is what one word of several names outside. */
    snprintf(value, sizeof(value), "stream,id=n0,addr.type=unix,addr.path=%s/sock", f->dir);
    say(f, "netdev", value);
    assert_int_equal(split(f), -EINVAL);
    snprintf(value, sizeof(value), "file=/etc/passwd,file=%s/a.img,if=none,id=d0", f->dir);
    say(f, "drive", value);
    assert_int_equal(split(f), -EINVAL);
    snprintf(value, sizeof(value), "file=%s/../a.img,if=none,id=d0", f->dir);
    say(f, "drive", value);
    assert_int_equal(split(f), -EINVAL);
    say(f, "netdev", "tap,id=n0,ifname=vm-1,fd=3,script=no");
    assert_int_equal(split(f), -EINVAL);
}

static void mistakes_of_this_host(void **state)
{
    struct fix *f = *state;
    static const struct {
        const char *option, *value, *says;
    } cases[] = {
        {"--drive", "d9=/x", "--drive d9=/x: the machine that came has no -drive with that id"},
        {"--drive", "d0=/x,id=d1", "'id' is the guest's and stays as it was"},
        {"--drive", "d0=/a,b", "--drive"},
        {"--chardev", "c0=/tmp/x", "stdio, null, file:PATH or unix:PATH"},
        {"--blockdev", "top=/x", "of a node on another node, give the one beneath"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct vm_config c;
        int rc;

        give(f, cases[i].option, cases[i].value);
        say(f, "drive", "file=/images/a.img,if=none,id=d0");
        say(f, "chardev", "null,id=c0");
        say(f, "blockdev", "driver=raw,node-name=top,file=d0");
        rc = split(f);
        /* What no table knows is found where the options are applied, as ever. */
        if (!rc) {
            rc = config_from_options(&c, &f->o, &f->err);
            assert_true(rc < 0);
            assert_non_null(strstr(f->err.text, "Invalid parameter"));
        } else if (!strstr(f->err.text, cases[i].says)) {
            fail_msg("%s %s: %s", cases[i].option, cases[i].value, f->err.text);
        }
        f->host.count = 0;
    }
}

static void a_machine_has_a_limit(void **state)
{
    struct fix *f = *state;
    struct vm_config c = {.ram_bytes = UINT64_C(1) << 30, .harts = 2};
    char name[] = "web1", escape[] = "web\x1b[31m";

    assert_true(f->host.ram_bytes_max > 0);
    c.name = name;
    assert_int_equal(foreign_check(&c, &f->host, &f->err), 0);
    give(f, "--max-memory", "512M");
    assert_int_equal(foreign_check(&c, &f->host, &f->err), -E2BIG);
    assert_non_null(strstr(f->err.text, "1024 MiB of RAM, this host takes at most 512 MiB"));
    give(f, "--max-memory", "1G");
    give(f, "--max-harts", "1");
    assert_int_equal(foreign_check(&c, &f->host, &f->err), -E2BIG);
    assert_non_null(strstr(f->err.text, "2 harts, this host takes at most 1"));
    give(f, "--max-harts", "2");
    assert_int_equal(foreign_check(&c, &f->host, &f->err), 0);
    c.name = escape;
    assert_int_equal(foreign_check(&c, &f->host, &f->err), -EINVAL);
    c.name = NULL;
    assert_int_equal(foreign_check(&c, &f->host, &f->err), -EPROTO);
}

static void a_description_is_bounded_before_it_is_read(void **state)
{
    struct fix *f = *state;
    char *text = calloc(1, 1000000);

    text[0] = '[';
    for (size_t i = 0; i < 300000; i++)
        memcpy(text + 1 + 3 * i, "[],", 3);
    assert_int_equal(foreign_options(&f->o, text, &f->host, &f->err), -E2BIG);
    for (size_t i = 0; i < 400000; i++)
        memcpy(text + 1 + 2 * i, "1,", 2);
    assert_int_equal(foreign_options(&f->o, text, &f->host, &f->err), -E2BIG);
    free(text);
    /* Inside of a text they are nobody's. */
    text = calloc(1, 2000);
    strcpy(text, "[[\"append\",\"");
    memset(text + strlen(text), ',', 1500);
    strcat(text, "\"]]");
    assert_int_equal(foreign_options(&f->o, text, &f->host, &f->err), 0);
    free(text);
}

/* --- Descriptions put together at random --- */

static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static const char *pick(uint64_t *seed, const char *const list[], size_t n)
{
    return list[next_random(seed) % n];
}

static const char *random_value(const struct fix *f, uint64_t *seed, const struct prop *p)
{
    static _Thread_local char allowed[64];
    const char *const any[] = {EVIL,     "x",      "c0",          "d0",   "n0",   "r0",  "on",
                               "off",    "0",      "1",           "3",    "",     "64M", "tap",
                               "vm-tap", "stream", "/etc/passwd", "vm-1", allowed};

    snprintf(allowed, sizeof(allowed), "%s/%s", f->dir, next_random(seed) % 4 ? "a" : "../b");
    if (p && p->whose == OF_HOST_FILE && next_random(seed) % 2)
        return allowed;
    if (p && p->whose == OF_HOST_TAP && next_random(seed) % 2)
        return "vm-1";
    if (p && p->kind == PROP_BOOL && next_random(seed) % 8)
        return next_random(seed) % 2 ? "on" : "off";
    if (p && p->choices && next_random(seed) % 16) {
        size_t n = 0;

        while (p->choices[n])
            n++;
        return p->choices[next_random(seed) % n];
    }
    return pick(seed, any, sizeof(any) / sizeof(any[0]));
}

static void say_at_random(struct fix *f, uint64_t *seed)
{
    static const char *const rich[] = {"drive",  "blockdev", "netdev",
                                       "object", "chardev",  "serial"};
    size_t count = 0;
    const struct option_def *def;
    struct option_variant v;
    const struct prop *p;
    char text[512] = "";
    size_t variant = 0;

    while (option_at(count))
        count++;
    def = option_at(next_random(seed) % count);
    /* More of those with much of the host in them. */
    if (next_random(seed) % 2)
        def = option_find(pick(seed, rich, sizeof(rich) / sizeof(rich[0])), &f->err);
    if (!def->syntax) {
        say(f, def->name, def->argument ? random_value(f, seed, NULL) : NULL);
        return;
    }
    while (option_variant_at(def->syntax, variant + 1).props && next_random(seed) % 2)
        variant++;
    v = option_variant_at(def->syntax, variant);
    if (def->syntax->type_key)
        sprintf(text, "%s=%s", def->syntax->type_key, v.type);
    for (p = v.props; p->name; p++)
        if (next_random(seed) % 3 == 0 && strlen(text) < 300)
            sprintf(text + strlen(text), "%s%s=%s", *text ? "," : "", p->name,
                    random_value(f, seed, p));
    say(f, def->name, text);
}

static bool is_ours(const struct fix *f, const char *path)
{
    return !path || !strcmp(path, "/mnt/d0") || allow_list_has_path(f->host.allow, path);
}

static void check_config(const struct fix *f, const struct vm_config *c)
{
    bool firmware = !c->bios || !strcmp(c->bios, "none") || !strcmp(c->bios, "default");

    assert_true(firmware || is_ours(f, c->bios));
    assert_true(is_ours(f, c->kernel));
    assert_true(is_ours(f, c->initrd));
    assert_null(c->incoming);
    assert_false(c->start_paused);
    assert_int_equal(c->monitor_count, 0);
    for (size_t i = 0; i < c->drive_count; i++) {
        assert_true(is_ours(f, c->drives[i].path));
        assert_true(c->drives[i].locking);
    }
    for (size_t i = 0; i < c->netdev_count; i++) {
        assert_null(c->netdevs[i].path);
        assert_int_equal(c->netdevs[i].fd, -1);
        assert_true(allow_list_has_tap(f->host.allow, c->netdevs[i].ifname));
    }
    for (size_t i = 0; i < c->chardev_count; i++)
        assert_int_equal(c->chardevs[i].type, CONFIG_CHARDEV_NULL);
    for (size_t i = 0; i < c->memory_count; i++)
        assert_true(is_ours(f, c->memories[i].path));
}

static void no_description_gets_more(void **state)
{
    struct fix *f = *state;
    unsigned taken = 0, with_drive = 0, with_netdev = 0;
    const char *given = getenv("FERRY_TEST_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 0) : UINT64_C(0x9e3779b97f4a7c15);

    give(f, "--allow-path", f->dir);
    give(f, "--allow-tap", "vm-");
    for (unsigned i = 0; i < RANDOM_RUN; i++) {
        struct vm_config c;

        for (uint64_t n = next_random(&seed) % 5 + 1; n > 0; n--)
            say_at_random(f, &seed);
        if (split(f) < 0) {
            assert_true(*f->err.text);
            continue;
        }
        if (config_from_options(&c, &f->o, &f->err) < 0)
            continue;
        taken++;
        with_drive += c.drive_count > 0;
        with_netdev += c.netdev_count > 0;
        check_config(f, &c);
        config_free(&c);
    }
    /* Else nothing was shown. */
    assert_true(taken > 100);
    assert_true(with_drive > 10);
    assert_true(with_netdev > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_not_the_guests_is_not_taken, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_missing_is_one_sentence, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_given_replaces_what_came, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_allowed_keeps_its_name, setup, teardown),
        cmocka_unit_test_setup_teardown(mistakes_of_this_host, setup, teardown),
        cmocka_unit_test_setup_teardown(a_machine_has_a_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(a_description_is_bounded_before_it_is_read, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(no_description_gets_more, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
