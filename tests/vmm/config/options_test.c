/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/own.h"
#include "vmm/config/keyval.h"
#include "vmm/config/options.h"
#include "vmm/machine/device_kind.h"

#define ARGS_MAX 64

static int parse(struct vm_config *c, const char *line, struct ferry_err *err)
{
    char copy[1024];
    const char *argv[ARGS_MAX];
    int argc = 0;
    struct options o = {0};
    int rc;

    strcpy(copy, line);
    for (char *word = strtok(copy, " "); word; word = strtok(NULL, " "))
        argv[argc++] = word;
    rc = options_from_argv(&o, argc, argv, err);
    if (!rc)
        rc = config_from_options(c, &o, err);
    options_free(&o);
    return rc;
}

static void a_stream_is_connected_again(void **state)
{
    struct vm_config c;
    struct ferry_err err;

    assert_int_equal(parse(&c,
                           "-netdev stream,id=a,addr.type=unix,addr.path=/a,reconnect-ms=250 "
                           "-netdev stream,id=b,addr.type=unix,addr.path=/b,reconnect=2 "
                           "-netdev stream,id=c,addr.type=unix,addr.path=/c",
                           &err),
                     0);
    assert_int_equal(c.netdevs[0].reconnect_ms, 250);
    assert_int_equal(c.netdevs[1].reconnect_ms, 2000);
    assert_int_equal(c.netdevs[2].reconnect_ms, 0);
    config_free(&c);
}

/* The process that an update starts reads them as JSON. */
static void what_a_target_could_not_read_is_refused_at_once(void **state)
{
    static const struct {
        const char *path;
        int rc;
    } paths[] = {{"/a/b\xc3\xa9", 0},   {"/a/\xef\xbf\xbd", 0},       {"/a/\x01", 0},
                 {"/a/b\xe9", -EILSEQ}, {"/a/\xed\xa0\x80", -EILSEQ}, {"/a/\xc3", -EILSEQ}};

    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        struct options o = {0}, back = {0};
        struct vm_config c;
        struct ferry_err err;
        OWN_MEM char *text = NULL;

        assert_int_equal(options_add(&o, "kernel", paths[i].path, &err), 0);
        assert_int_equal(config_from_options(&c, &o, &err), paths[i].rc);
        text = options_to_json(&o);
        if (!paths[i].rc) {
            assert_int_equal(options_from_json(&back, text, &err), 0);
            assert_string_equal(back.list[0].value, paths[i].path);
            config_free(&c);
        } else {
            assert_memory_equal(err.text, "-kernel /a/", strlen("-kernel /a/"));
            assert_true(options_from_json(&back, text, &err) < 0);
        }
        options_free(&o);
        options_free(&back);
    }
}

/* A peer's description has them, too. */
static void properties_are_counted_and_nested_so_deep(void **state)
{
    struct keyval kv;
    struct ferry_err err;

    for (size_t n = KEYVAL_PAIRS_MAX; n <= KEYVAL_PAIRS_MAX + 1; n++) {
        struct buf text = {0};

        for (size_t i = 0; i < n; i++)
            buf_printf(&text, "%sa=b", i ? "," : "");
        buf_u8(&text, '\0');
        assert_false(text.failed);
        assert_int_equal(keyval_parse(&kv, (const char *)text.data, NULL, &err),
                         n > KEYVAL_PAIRS_MAX ? -E2BIG : 0);
        keyval_free(&kv);
        buf_free(&text);
    }
    for (size_t depth = 9; depth <= 10; depth++) {
        struct buf text = {0};

        for (size_t i = 0; i < depth; i++)
            buf_str(&text, "{\"a\":");
        buf_str(&text, "1");
        for (size_t i = 0; i < depth; i++)
            buf_str(&text, "}");
        buf_u8(&text, '\0');
        assert_false(text.failed);
        assert_int_equal(keyval_parse(&kv, (const char *)text.data, NULL, &err),
                         depth > 9 ? -E2BIG : 0);
        keyval_free(&kv);
        buf_free(&text);
    }
}

static void a_whole_machine(void **state)
{
    struct vm_config c;
    struct ferry_err err;

    assert_int_equal(
        parse(&c,
              "-M virt -smp 4 -m 1G -name web1 -kernel Image -append a,b "
              "-drive file=x,,y.img,if=none,id=d0,format=raw,cache=none,discard=unmap "
              "-device virtio-blk-device,drive=d0,serial=S1,num-queues=2,bus=virtio-mmio-bus.3 "
              "-netdev tap,id=n0,ifname=tap0,script=no,downscript=no "
              "-device virtio-net-device,netdev=n0,mac=52:54:00:00:00:09 "
              "-device virtio-rng-device -serial unix:/s,server=on,wait=off -qmp stdio -S",
              &err),
        0);
    assert_int_equal(c.harts, 4);
    assert_true(c.ram_bytes == 1ull << 30);
    assert_string_equal(c.name, "web1");
    assert_string_equal(c.append, "a,b");
    assert_string_equal(c.drives[0].path, "x,y.img");
    assert_true(c.drives[0].direct && c.drives[0].discard && c.drives[0].locking);
    assert_int_equal(c.devices[0]->slot, 3);
    assert_int_equal(config_disk_of(c.devices[0])->num_queues, 2);
    assert_string_equal(config_disk_of(c.devices[0])->serial, "S1");
    assert_int_equal(c.devices[1]->slot, 7);
    assert_int_equal(config_card_of(c.devices[1])->mac[5], 9);
    assert_int_equal(c.devices[2]->slot, 6);
    assert_string_equal(c.serial_chardev, "serial0");
    assert_false(c.chardevs[0].wait);
    assert_int_equal(c.monitor_count, 1);
    assert_true(c.start_paused);
    config_free(&c);
}

static void a_disk_outweighs_its_drive(void **state)
{
    static const struct {
        const char *text;
        enum config_on_error on_read, on_write;
    } cases[] = {
        {"-drive file=x", CONFIG_ON_ERROR_REPORT, CONFIG_ON_ERROR_ENOSPC},
        {"-drive file=x,rerror=stop,werror=ignore", CONFIG_ON_ERROR_STOP, CONFIG_ON_ERROR_IGNORE},
        {"-drive file=x,if=none,id=d,rerror=stop,werror=stop -device virtio-blk-device,drive=d",
         CONFIG_ON_ERROR_STOP, CONFIG_ON_ERROR_STOP},
        {"-device virtio-blk-device,drive=d,rerror=ignore,werror=auto "
         "-drive file=x,if=none,id=d,rerror=stop,werror=report",
         CONFIG_ON_ERROR_IGNORE, CONFIG_ON_ERROR_REPORT},
        {"-blockdev driver=file,node-name=d,filename=x "
         "-device virtio-blk-device,drive=d,werror=stop",
         CONFIG_ON_ERROR_REPORT, CONFIG_ON_ERROR_STOP},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct vm_config c;
        struct ferry_err err;

        assert_int_equal(parse(&c, cases[i].text, &err), 0);
        assert_int_equal(config_disk_of(c.devices[0])->on_read_error, cases[i].on_read);
        assert_int_equal(config_disk_of(c.devices[0])->on_write_error, cases[i].on_write);
        config_free(&c);
    }
}

static void json_is_the_same_as_words(void **state)
{
    struct vm_config c;
    struct ferry_err err;

    assert_int_equal(
        parse(&c,
              "-blockdev {\"driver\":\"file\",\"node-name\":\"f\",\"filename\":\"i\","
              "\"cache\":{\"direct\":true}} "
              "-blockdev driver=raw,node-name=r,file=f,read-only=on "
              "-device {\"driver\":\"virtio-blk-device\",\"drive\":\"r\",\"num-queues\":2}",
              &err),
        0);
    assert_int_equal(c.drive_count, 1);
    assert_string_equal(c.drives[0].id, "r");
    assert_true(c.drives[0].direct && c.drives[0].readonly);
    assert_int_equal(config_disk_of(c.devices[0])->num_queues, 2);
    config_free(&c);
    assert_int_equal(
        parse(&c,
              "-netdev {\"type\":\"tap\",\"id\":\"n\",\"ifname\":\"t\",\"script\":\"no\"} "
              "-netdev {\"type\":\"stream\",\"id\":\"s\",\"reconnect-ms\":5,"
              "\"addr\":{\"type\":\"unix\",\"path\":\"/p\"}} "
              "-object {\"qom-type\":\"memory-backend-file\",\"id\":\"r\",\"size\":67108864,"
              "\"mem-path\":\"/r\",\"share\":true} "
              "-chardev {\"backend\":\"socket\",\"id\":\"c\",\"path\":\"/s\",\"server\":true,"
              "\"wait\":false}",
              &err),
        0);
    assert_string_equal(c.netdevs[0].ifname, "t");
    assert_string_equal(c.netdevs[1].path, "/p");
    assert_int_equal(c.netdevs[1].reconnect_ms, 5);
    assert_int_equal(c.memories[0].size_bytes, 64 << 20);
    assert_string_equal(c.chardevs[0].path, "/s");
    assert_true(c.chardevs[0].server && !c.chardevs[0].wait);
    config_free(&c);
}

static void ram_in_a_file(void **state)
{
    struct vm_config c;
    struct ferry_err err;

    assert_int_equal(parse(&c,
                           "-object memory-backend-file,id=r0,size=64M,mem-path=/r0,share=on,"
                           "prealloc=off "
                           "-M virt,memory-backend=r0",
                           &err),
                     0);
    assert_int_equal(c.ram_bytes, 64 << 20);
    assert_string_equal(config_ram_memory(&c)->path, "/r0");
    assert_false(config_ram_memory(&c)->prealloc);
    config_free(&c);
    assert_int_equal(
        parse(&c, "-object memory-backend-file,id=r0,size=64M,mem-path=/r0,share=on -m 32", &err),
        0);
    assert_true(c.memories[0].prealloc);
    assert_int_equal(c.ram_bytes, 32 << 20);
    assert_null(config_ram_memory(&c));
    config_free(&c);
}

static void a_drive_without_if_none_brings_its_device(void **state)
{
    struct vm_config c;
    struct ferry_err err;

    assert_int_equal(parse(&c, "-drive file=a -drive file=b", &err), 0);
    assert_int_equal(c.device_count, 2);
    assert_string_equal(c.devices[1]->backend, "drive1");
    config_free(&c);
}

static void one_disk_is_meant_by_a_drive_and_its_device(void **state)
{
    static const char *const lines[] = {
        "-drive file=a,format=raw,id=hd0 -device virtio-blk-device,drive=hd0",
        "-device virtio-blk-device,drive=hd0 -drive file=a,format=raw,id=hd0",
    };
    struct vm_config c;
    struct ferry_err err;

    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        assert_int_equal(parse(&c, lines[i], &err), 0);
        assert_int_equal(c.device_count, 1);
        assert_false(c.devices[0]->automatic);
        assert_int_equal(c.devices[0]->slot, CONFIG_VIRTIO_SLOTS - 1);
        config_free(&c);
    }
    /* As many as there are slots. */
    assert_int_equal(parse(&c,
                           "-drive file=a,id=a -drive file=b,id=b -drive file=c,id=c "
                           "-drive file=d,id=d -drive file=e,id=e "
                           "-device virtio-blk-device,drive=a -device virtio-blk-device,drive=b "
                           "-device virtio-blk-device,drive=c -device virtio-blk-device,drive=d "
                           "-device virtio-blk-device,drive=e",
                           &err),
                     0);
    assert_int_equal(c.device_count, 5);
    config_free(&c);
}

static void a_nic_is_a_backend_and_a_card(void **state)
{
    struct vm_config c;
    struct ferry_err err;

    assert_int_equal(parse(&c,
                           "-nic tap,ifname=tap0,script=no,model=virtio-net-device,"
                           "mac=52:54:00:00:00:09 -nic stream,id=n,addr.type=unix,addr.path=/p "
                           "-nic none -net none",
                           &err),
                     0);
    assert_int_equal(c.netdev_count, 2);
    assert_string_equal(c.netdevs[0].ifname, "tap0");
    assert_string_equal(c.netdevs[1].path, "/p");
    assert_int_equal(c.device_count, 2);
    assert_string_equal(c.devices[0]->backend, c.netdevs[0].id);
    assert_int_equal(config_card_of(c.devices[0])->mac[5], 9);
    assert_string_equal(c.devices[1]->backend, "n");
    config_free(&c);
}

/* QEMU's -nographic: each line, and what of it is on stdio. */
static void a_serial_line_and_a_monitor_share_a_chardev(void **state)
{
    static const struct {
        const char *words;
        bool serial, human, mux;
    } cases[] = {
        {"-nographic", true, true, true},
        {"-serial mon:stdio", true, true, true},
        {"-nographic -mon chardev=ferry-control,mode=control "
         "-chardev socket,id=ferry-control,path=/p,server=on,wait=off",
         true, true, true},
        {"-chardev stdio,id=c,mux=on -serial chardev:c -mon chardev=c", true, true, true},
        /* Who has a monitor or a serial line elsewhere gets no other one. */
        {"-nographic -monitor none", true, false, false},
        {"-nographic -qmp unix:/q,server=on,wait=off", true, false, false},
        {"-nographic -monitor unix:/q,server=on,wait=off", true, false, false},
        {"-nographic -serial null", false, false, false},
        {"-nographic -monitor stdio", false, true, false},
        {"-nographic -nodefaults", false, false, false},
        {"-nographic -daemonize", false, false, false},
        {"", true, false, false},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct config_chardev *d = NULL;
        bool human = false, serial;
        struct vm_config c;
        struct ferry_err err;

        assert_int_equal(parse(&c, cases[i].words, &err), 0);
        for (size_t k = 0; k < c.chardev_count; k++)
            if (c.chardevs[k].type == CONFIG_CHARDEV_STDIO)
                d = &c.chardevs[k];
        serial = d && c.serial_chardev && !strcmp(c.serial_chardev, d->id);
        for (size_t k = 0; d && k < c.monitor_count; k++)
            human |= c.monitors[k].human && !strcmp(c.monitors[k].chardev, d->id);
        assert_int_equal(serial, cases[i].serial);
        assert_int_equal(human, cases[i].human);
        assert_int_equal(d && d->mux, cases[i].mux);
        /* A mux has its own command keys. */
        assert_int_equal(c.escape, serial && !d->mux);
        config_free(&c);
    }
}

static void words_that_change_nothing(void **state)
{
    struct vm_config c;
    struct ferry_err err;

    assert_int_equal(parse(&c,
                           "-smp 4,sockets=2,cores=2,threads=1,maxcpus=4 "
                           "-cpu rv64,sv48=on,v=false,h=off -rtc base=utc,clock=host -vga none "
                           "-parallel none -no-user-config -display none -nographic -monitor none "
                           "-boot c -boot order=c,strict=on,menu=off -overcommit mem-lock=off "
                           "-msg timestamp=off "
                           "-object rng-random,filename=/dev/urandom,id=rng "
                           "-device virtio-rng-device,rng=rng "
                           "-drive file=a,format=raw,index=0,media=disk "
                           "-serial unix:/s,server,nowait -qmp unix:/q,server,nowait",
                           &err),
                     0);
    assert_int_equal(c.harts, 4);
    assert_true(c.chardevs[0].server && c.chardevs[1].server);
    assert_false(c.chardevs[0].wait || c.chardevs[1].wait);
    config_free(&c);
    assert_int_equal(parse(&c, "-smp sockets=1,cores=2,threads=1", &err), 0);
    assert_int_equal(c.harts, 2);
    config_free(&c);
    assert_int_equal(parse(&c, "-smp 2,sockets=1 -m 1.5G", &err), 0);
    assert_int_equal(c.harts, 2);
    assert_true(c.ram_bytes == 1536ull << 20);
    config_free(&c);
}

static void help_is_answered(void **state)
{
    static const struct {
        const char *option, *value, *says; /* NULL: it asks for none */
    } cases[] = {
        {"-M", "help", "\n  virt                 QEMU's riscv64 virt board\n"},
        {"-M", "virt,help", "-M virt:\n  accel=tcg\n"},
        {"-M", "pci=on,help", "-M pci=on:\n  accel=tcg\n"},
        {"-machine", "?", "\n  virt                 QEMU's riscv64 virt board\n"},
        {"-cpu", "help", "\n  rv64\n"},
        {"-accel", "help", "\n  tcg\n"},
        {"-display", "help", "\n  none\n"},
        {"-device", "help", "\n  virtio-blk-device\n  virtio-net-device\n"},
        {"-device", "virtio-net-device,help", "\n  mac=MAC\n"},
        {"-netdev", "help", "\n  tap\n  stream\n"},
        {"-netdev", "tap,help", "\n  ifname=TEXT\n"},
        {"-chardev", "help", "\n  stdio\n"},
        {"-object", "help", "\n  memory-backend-file\n"},
        {"-drive", "help", "\n  if=none|virtio\n"},
        {"-smp", "help", "\n  cores=NUMBER\n"},
        {"-nic", "help", "-nic tap|stream"},
        {"-append", "help", NULL},
        {"-name", "helper", NULL},
        {"-nosuch", "help", NULL},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *const argv[] = {"-S", cases[i].option, cases[i].value};
        char text[8192] = "";
        FILE *to = fmemopen(text, sizeof(text) - 1, "w");
        bool answered = options_answer_help(3, argv, to);

        fclose(to);
        if (answered != (cases[i].says != NULL) || (cases[i].says && !strstr(text, cases[i].says)))
            fail_msg("%s %s: %s", cases[i].option, cases[i].value, text);
    }
}

static void options_survive_the_journey_to_a_target(void **state)
{
    /* The last ones are of this process. */
    const char *const argv[] = {"--name",    "a \"b\"",      "-S",    "-append", "x=\xc3\xa9 , y",
                                "-msg",      "timestamp=on", "-boot", "c",       "-overcommit",
                                "cpu-pm=off"};
    struct options o = {0}, back = {0};
    struct ferry_err err;
    char *text;

    assert_int_equal(options_from_argv(&o, 11, argv, &err), 0);
    text = options_to_json(&o);
    assert_int_equal(options_from_json(&back, text, &err), 0);
    assert_int_equal(back.count, 3);
    assert_string_equal(back.list[0].name, "name");
    assert_string_equal(back.list[0].value, "a \"b\"");
    assert_null(back.list[1].value);
    assert_string_equal(back.list[2].value, "x=\xc3\xa9 , y");
    free(text);
    options_free(&o);
    options_free(&back);
}

static void hostile_descriptions_are_refused(void **state)
{
    static const char *const texts[] = {
        "",
        "{}",
        "[1]",
        "[[]]",
        "[[1]]",
        "[[\"M\"]]",
        "[[\"S\",\"x\"]]",
        "[[\"M\",1]]",
        "[[\"nope\",\"x\"]]",
        "[[\"M\",\"virt\",\"x\"]]",
    };
    struct options o = {0};
    struct ferry_err err;

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_true(options_from_json(&o, texts[i], &err) < 0);
        assert_int_equal(o.count, 0);
    }
}

static void a_description_costs_no_more_than_its_budget(void **state)
{
    static const char *const pieces[] = {"{},", "[],", "[[]],", "0,", "{\"a\":[]},"};
    struct options o = {0};
    struct ferry_err err;

    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        OWN(buf_free) struct buf text = {0};

        buf_str(&text, "[");
        while (text.len_bytes < OPTIONS_JSON_BYTES_MAX - 64)
            buf_str(&text, pieces[i]);
        buf_str(&text, "0]");
        buf_u8(&text, 0);
        assert_true(options_from_json(&o, (const char *)text.data, &err) < 0);
        assert_non_null(strstr(err.text, "memory limit"));
    }
}

static void every_mistake_is_a_sentence(void **state)
{
    static const struct {
        const char *line, *says;
    } cases[] = {
        {"-smpp 2", "did you mean -smp?"},
        {"x", "beginning with '-'"},
        {"-m", "-m: requires an argument"},
        {"-smp 0", "-smp 0: Parameter 'cpus' expects a number from 1 to 8"},
        {"-smp 9", "from 1 to 8"},
        {"-smp two", "not 'two'"},
        {"-m 1", "RAM size must be from 16 MiB"},
        {"-m 1Q", "expects a size such as"},
        {"-m 99999999999999999999", "expects a size"},
        {"-m 17M", "multiple of 2 MiB, as 16M is"},
        {"-m 1.9G", "multiple of 2 MiB, as 1944M is"},
        {"-m 1.G", "expects a size"},
        {"-M q35", "does not accept value 'q35' (it accepts 'virt')"},
        {"-M virt,compat=qemu-9",
         "compat 'qemu-9' is not known; known are: qemu-10.0.2, qemu-10.0.13, qemu-11.1"},
        {"-M virt,foo=1", "Invalid parameter 'foo'; there are: 'type', 'accel'"},
        {"-cpu host", "CPU model 'host'"},
        {"-accel kvm", "accelerator 'kvm'"},
        {"-name a/b", "no '/'"},
        {"-uuid 12", "is not a UUID"},
        {"-uuid 550e8400-e29b-41d4-a716-44665544000", "is not a UUID"},
        {"-uuid 550e8400-e29b-41d4-a716-4466554400000", "is not a UUID"},
        {"-uuid 550e84000e29b-41d4-a716-446655440000", "is not a UUID"},
        {"-uuid 550e8400-e29b-41d4-a716-44665544-100", "is not a UUID"},
        {"-uuid 0x0e8400-e29b-41d4-a716-446655440000", "is not a UUID"},
        {"-netdev tap,id=n,ifname=t,script=no -device "
         "virtio-net-device,netdev=n,mac=52:54:00:00:00:-1",
         "mac"},
        {"-netdev tap,id=n,ifname=t,script=no -device "
         "virtio-net-device,netdev=n,mac=52:54:00:00:00:1:1",
         "mac"},
        {"-netdev tap,id=n,ifname=t,script=no -device "
         "virtio-net-device,netdev=n,mac=0x:54:00:00:00:01",
         "mac"},
        {"-drive if=none,id=d", "'file' is missing"},
        {"-drive file=x,cach=none", "did you mean 'cache'?"},
        {"-drive file=x.qcow2,format=qcow2", "qemu-img convert -O raw x.qcow2"},
        {"-drive file=x,rerror=enospc", "rerror"},
        {"-drive file=x,id=d/../e", "is not an identifier"},
        {"-drive file=x,id=d,if=none -drive file=y,id=d,if=none", "Duplicate nodes"},
        {"-blockdev driver=raw,node-name=r,file=none", "node-name='none'"},
        {"-blockdev "
         "{\"driver\":\"file\",\"node-name\":\"f\",\"filename\":\"i\",\"read-only\":\"on\"}",
         "expected: boolean"},
        {"-blockdev {\"driver\":", "not valid JSON"},
        {"-netdev user,id=n", "run passt"},
        {"-netdev tap,id=n,script=no", "'ifname' is missing"},
        {"-netdev tap,id=n,ifname=t", "add script=no"},
        {"-netdev tap,id=n,ifname=t,fd=3,script=no", "ifname= is invalid with fd="},
        {"-netdev stream,id=n", "'addr.path' is missing"},
        {"-netdev stream,id=n,addr.path=p,reconnect=1,reconnect-ms=1", "mutually exclusive"},
        {"-netdev stream,id=n,addr.path=p,server=on,reconnect-ms=1", "are for who connects"},
        {"-netdev stream,id=n,addr.path=p,reconnect-ms=-1", "reconnect-ms"},
        {"-netdev stream,id=n,addr.path=p,reconnect=86401", "reconnect"},
        {"-netdev tap,id=n,ifname=t,script=no,reconnect-ms=1", "reconnect-ms"},
        {"-device virtio-blk-pci,drive=d", "nothing is on the PCI bus; write virtio-blk-device"},
        {"-device virtio-blk-devcie,drive=d", "did you mean 'virtio-blk-device'?"},
        {"-device nosuch", "not a valid device model name; there are: 'virtio-blk-device'"},
        {"-device loader,file=u-boot.itb,addr=0x80200000", "name the firmware with -bios"},
        {"-vnc :0", "-vnc: there is no display"},
        {"-enable-kvm", "-enable-kvm: there is no KVM"},
        {"-nosuch", "-nosuch: invalid option; 'ferry run --help' lists them"},
        {"-drive if=pflash,file=x,unit=0", "if=pflash: flash cannot be written here"},
        {"-M virt,pflash0=p", "Parameter 'pflash0' is not available: flash"},
        {"-drive file=x,snapshot=on", "run from a copy"},
        {"-drive file=x,if=virtio,id=d -device virtio-blk-device,drive=d", "in use by another"},
        {"-nic user,hostfwd=tcp::2222-:22", "run passt"},
        {"-nic tap,ifname=t,script=no,model=e1000", "network card 'e1000' is not available"},
        {"-net user", "write -nic user"},
        {"-cpu max", "CPU model 'max' is not available; the one there is: 'rv64'"},
        {"-cpu rv64,v=true", "CPU feature 'v' is not available"},
        {"-cpu rv64,sstc=off", "cannot be switched off"},
        {"-cpu rv64,vlen=128", "CPU property 'vlen' is not available"},
        {"-smp 2,sockets=3", "sockets, cores and threads make 3 harts, and cpus=2"},
        {"-smp 2,maxcpus=4", "harts are not plugged in later"},
        {"-smp cores=3,threads=3", "9 harts: there can be 1 to 8"},
        {"-rtc base=localtime", "does not accept value 'localtime'"},
        {"-object rng-egd,id=r", "object 'rng-egd' is not available"},
        {"-object rng-random,id=r,filename=/dev/hwrng", "'/dev/urandom'"},
        {"-device virtio-blk-device", "'drive' is missing"},
        {"-device virtio-blk-device,drive=d", "no -drive has id=d"},
        {"-device virtio-rng-device,bus=virtio-mmio-bus.8", "Bus 'virtio-mmio-bus.8' not found"},
        {"-device virtio-rng-device,bus=virtio-mmio-bus.1 -device virtio-rng-device,addr=1",
         "two devices are on virtio-mmio-bus.1"},
        {"-drive file=x,if=none,id=d -device virtio-blk-device,drive=d "
         "-device virtio-blk-device,drive=d",
         "it's in use by another device"},
        {"-netdev tap,id=n,ifname=t,script=no -device virtio-net-device,netdev=n,mac=1:2:3",
         "expects a MAC address"},
        {"-netdev tap,id=n,ifname=t,script=no "
         "-device virtio-net-device,netdev=n,mac=01:00:00:00:00:01",
         "multicast"},
        {"-chardev vc,id=c", "does not accept value 'vc'"},
        {"-chardev socket,id=c", "'path' is missing"},
        {"-chardev null,id=c -chardev null,id=c", "already exists"},
        {"-serial chardev:c", "Chardev 'c' not found: no -chardev has id=c"},
        {"-serial stdio -qmp stdio", "stdio is used already by chardev 'serial0'"},
        {"-serial null -serial null", "one serial line"},
        {"-serial tty", "'tty' is not available"},
        {"-chardev null,id=c -serial chardev:c -mon chardev=c,mode=control", "used twice"},
        {"-chardev null,id=c,mux=on -mon chardev=c,mode=control -mon chardev=c,mode=control",
         "2 QMP monitors share chardev 'c'"},
        {"-chardev null,id=c,mux=on -serial chardev:c -mon c -mon c -mon c -mon c",
         "5 share chardev 'c'; mux=on has places for 4"},
        {"-chardev null,id=c,mux=on -gdb chardev:c", "GDB's protocol has every key for itself"},
        {"-serial mon:none", "'mon:' makes a chardev"},
        {"-serial mon:chardev:c", "-chardev ...,id=ID,mux=on -serial chardev:ID"},
        {"-serial mon:tty", "'tty' is not available"},
        {"-daemonize -serial mon:stdio", "-daemonize leaves no terminal for chardev \"serial0\""},
        {"-mon chardev=c,mode=vi", "does not accept value 'vi'"},
        {"-chardev null,id=c -mon chardev=c,mode=readline,pretty=on",
         "'pretty' is for mode=control"},
        {"-daemonize -serial stdio", "-daemonize leaves no terminal for chardev \"serial0\""},
        {"-monitor console", "'console' is not available"},
        {"-boot d", "'order' does not accept value 'd'"},
        {"-boot menu=on", "'menu' does not accept value 'on'"},
        {"-overcommit mem-lock=on", "'mem-lock' does not accept value 'on'"},
        {"-initrd x", "without -kernel"},
        {"-global foo.bar=1", "unknown global property"},
        {"-M virt,memory-backend=r0", "Memory backend 'r0' not found: no -object has id=r0"},
        {"-object memory-backend-ram,id=r0,size=64M", "memory-backend-ram"},
        {"-object memory-backend-file,id=r0,size=64M,share=on", "mem-path property not set"},
        {"-object memory-backend-file,id=r0,mem-path=f,share=on", "size 0"},
        {"-object memory-backend-file,size=64M,mem-path=f,share=on", "'id' is missing"},
        {"-object memory-backend-file,id=r0,size=64M,mem-path=f", "share=on is needed"},
        {"-object memory-backend-file,id=r0,size=64M,mem-path=f,share=on "
         "-object memory-backend-file,id=r0,size=64M,mem-path=g,share=on",
         "duplicate property 'r0'"},
        {"-object memory-backend-file,id=r0,size=64M,mem-path=f,share=on "
         "-M virt,memory-backend=r0 -m 128",
         "give both the same size"},
        {"-object memory-backend-file,id=r0,size=3M,mem-path=f,share=on "
         "-M virt,memory-backend=r0",
         "RAM is a multiple of 2 MiB"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct vm_config c;
        struct ferry_err err = {0};

        if (parse(&c, cases[i].line, &err) >= 0)
            fail_msg("accepted: %s", cases[i].line);
        if (!strstr(err.text, cases[i].says))
            fail_msg("%s: said \"%s\", expected \"%s\"", cases[i].line, err.text, cases[i].says);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(properties_are_counted_and_nested_so_deep),
        cmocka_unit_test(what_a_target_could_not_read_is_refused_at_once),
        cmocka_unit_test(a_stream_is_connected_again),
        cmocka_unit_test(a_whole_machine),
        cmocka_unit_test(a_disk_outweighs_its_drive),
        cmocka_unit_test(json_is_the_same_as_words),
        cmocka_unit_test(ram_in_a_file),
        cmocka_unit_test(a_drive_without_if_none_brings_its_device),
        cmocka_unit_test(one_disk_is_meant_by_a_drive_and_its_device),
        cmocka_unit_test(a_nic_is_a_backend_and_a_card),
        cmocka_unit_test(a_serial_line_and_a_monitor_share_a_chardev),
        cmocka_unit_test(words_that_change_nothing),
        cmocka_unit_test(help_is_answered),
        cmocka_unit_test(options_survive_the_journey_to_a_target),
        cmocka_unit_test(hostile_descriptions_are_refused),
        cmocka_unit_test(a_description_costs_no_more_than_its_budget),
        cmocka_unit_test(every_mistake_is_a_sentence),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
