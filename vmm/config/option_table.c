/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/config/option_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/text.h"
#include "vmm/config/options_absent.h"
#include "vmm/machine/machine_type.h"

#define MIB (1ull << 20)

static const char *const off[] = {"off", NULL};
static const char *const no_display[] = {"none", NULL};
static const char *const disk_first[] = {"c", NULL};

#define C(member) .offset = offsetof(struct vm_config, member)
static const char *const rtc_bases[] = {"utc", NULL};
static const char *const rtc_clocks[] = {"host", "vm", NULL};
static const struct prop rtc_props[] = {
    {.name = "base", .kind = PROP_FIXED, .choices = rtc_bases, .whose = OF_GUEST},
    {.name = "clock", .kind = PROP_ENUM, .choices = rtc_clocks, C(rtc_clock), .whose = OF_GUEST},
    {.name = "driftfix", .kind = PROP_IGNORED, .whose = OF_HOST},
    {0},
};
static const struct prop memory_props[] = {
    {.name = "size", .kind = PROP_SIZE, C(ram_bytes), .min = MIB, .whose = OF_GUEST},
    {0},
};
/* The firmware starts what it is given. */
static const struct prop boot_props[] = {
    {.name = "order", .kind = PROP_FIXED, .choices = disk_first, .whose = OF_HOST},
    {.name = "once", .kind = PROP_FIXED, .choices = disk_first, .whose = OF_HOST},
    {.name = "menu", .kind = PROP_FIXED, .choices = off, .whose = OF_HOST},
    {.name = "strict", .kind = PROP_IGNORED, .whose = OF_HOST},
    {.name = "reboot-timeout", .kind = PROP_IGNORED, .whose = OF_HOST},
    {0},
};
/* Guest RAM is not locked, and a hart that waits gives its core away. */
static const struct prop overcommit_props[] = {
    {.name = "mem-lock", .kind = PROP_FIXED, .choices = off, .whose = OF_HOST},
    {.name = "cpu-pm", .kind = PROP_FIXED, .choices = off, .whose = OF_HOST},
    {0},
};
static const struct prop msg_props[] = {
    {.name = "timestamp", .kind = PROP_BOOL, C(log_times), .whose = OF_HOST},
    {.name = "guest-name", .kind = PROP_FIXED, .choices = off, .whose = OF_HOST},
    {0},
};
static const struct prop name_props[] = {
    {.name = "guest", .kind = PROP_STRING, C(name), .whose = OF_GUEST},
    {.name = "debug-threads", .kind = PROP_IGNORED, .whose = OF_HOST},
    {0},
};

static const struct option_syntax memory_syntax = {"size", NULL, {{NULL, memory_props}}};
static const struct option_syntax rtc_syntax = {"base", NULL, {{NULL, rtc_props}}};
static const struct option_syntax boot_syntax = {"order", NULL, {{NULL, boot_props}}};
static const struct option_syntax overcommit_syntax = {NULL, NULL, {{NULL, overcommit_props}}};
static const struct option_syntax msg_syntax = {NULL, NULL, {{NULL, msg_props}}};
static const struct option_syntax name_syntax = {"guest", NULL, {{NULL, name_props}}};

static int option_memory(struct vm_config *c, const char *value, struct ferry_err *err)
{
    int rc = props_apply_text(memory_props, value, "size", c, err);

    if (rc < 0)
        return rc;
    rc = machine_type_check_ram(c->machine, c->ram_bytes, err);
    if (rc < 0)
        return rc;
    if (c->ram_bytes % (2 * MIB))
        return err_set(err, EINVAL, "RAM size must be a multiple of 2 MiB, as %lluM is",
                       c->ram_bytes / (2 * MIB) * 2);
    c->ram_given = true;
    return 0;
}

int option_name(struct vm_config *c, const char *value, struct ferry_err *err)
{
    char shown[65];
    int rc = props_apply_text(name_props, value, "guest", c, err);

    if (rc < 0)
        return rc;
    /* The name is a file name in the runtime directory. */
    if (!c->name || !*c->name || strlen(c->name) > 64 || strchr(c->name, '/') || c->name[0] == '.')
        return err_set(err, EINVAL,
                       "a VM name has 1 to 64 characters, no '/' and no '.' at its start");
    snprintf(shown, sizeof(shown), "%s", c->name);
    if (strcmp(text_make_printable(shown), c->name) != 0)
        return err_set(err, EINVAL,
                       "a VM name has characters that are visible where they stand: no control "
                       "characters, and UTF-8");
    return 0;
}

static int option_uuid(struct vm_config *c, const char *value, struct ferry_err *err)
{
    int rc = props_parse_uuid(c->uuid, value, err);

    c->uuid_given |= rc == 0;
    return rc;
}

static int option_global(struct vm_config *c, const char *value, struct ferry_err *err)
{
    static const char prefix[] = "virtio-mmio.force-legacy=";

    if (strncmp(value, prefix, sizeof(prefix) - 1))
        return err_set(err, EINVAL,
                       "unknown global property '%s'; the one there is: virtio-mmio.force-legacy",
                       value);
    if (props_parse_bool(value + sizeof(prefix) - 1, &c->force_legacy) < 0)
        return err_set(err, EINVAL, "virtio-mmio.force-legacy expects 'on' or 'off', not '%s'",
                       value + sizeof(prefix) - 1);
    return 0;
}

/* clang-format off */
static const struct option_def option_defs[] = {
    {"M", "virt[,compat=qemu-VERSION][,memory-backend=ID][,vmgenid=off][,pci=off]", option_machine,
     "machine type; compat: one whose guest can move to that QEMU and back; memory-backend: RAM is "
     "the memory of that -object; vmgenid: without the ID that tells a guest of a restore; pci: "
     "without the PCI Express host", &machine_syntax, OF_GUEST},
    {"machine", "virt[,...]", option_machine, "the same", &machine_syntax, OF_GUEST},
    {"accel", "tcg", option_accel, "accelerator: the software CPU", .whose = OF_HOST, .word_at = option_accel_word},
    {"cpu", "rv64[,FEATURE=on|off]", option_cpu,
     "CPU model; a feature may be said to be as it is", .whose = OF_GUEST, .word_at = option_cpu_word},
    {"smp", "N[,sockets=S][,cores=C][,threads=T]", option_smp,
     "number of harts, 1 to 8; the guest sees one socket of cores, whatever the others say",
     &smp_syntax, OF_GUEST},
    {"m", "SIZE", option_memory, "guest RAM, MiB or with a suffix (512M, 8G)", &memory_syntax,
     OF_GUEST},
    {"object", "memory-backend-file,id=I,size=SIZE,mem-path=F,share=on[,prealloc=off]",
     option_object,
     "memory in a file, which another process can map, too; all of it is reserved at the start, "
     "without prealloc=off; rng-random,id=I: accepted, random numbers are always the host's",
     &object_syntax, OF_GUEST},
    {"bios", "FILE", NULL, "firmware (default: OpenSBI)", .whose = OF_HOST_FILE,
     .none = (const char *const[]){"none", "default", NULL}, C(bios)},
    {"kernel", "FILE", NULL, "kernel Image started by the firmware",
     .whose = OF_HOST_FILE, C(kernel)},
    {"initrd", "FILE", NULL, "initial RAM disk", .whose = OF_HOST_FILE, C(initrd)},
    {"append", "TEXT", NULL, "kernel command line", .whose = OF_GUEST, C(append)},
    {"drive", "file=F,if=none,id=I,format=raw[,cache=none][,readonly=on]", option_drive,
     "disk image; without if=none a virtio-blk-device comes with it", &drive_syntax, OF_GUEST},
    {"blockdev", "driver=file|raw,node-name=N,filename=F|file=NODE[,cache.direct=on]",
     option_blockdev, "disk image as a block node", &blockdev_syntax, OF_GUEST},
    {"netdev", "tap|stream,id=I,...", option_netdev,
     "network backend: tap,ifname=T|fd=N or stream,addr.type=unix,addr.path=P[,server=on|,reconnect-ms=N]",
     &netdev_syntax, OF_GUEST},
    {"device", "virtio-{blk,net,rng,keyboard,balloon}-device[,bus=virtio-mmio-bus.N],...|vmgenid[,guid=auto|UUID]",
     option_device,
     "a device: drive=, serial=, num-queues= or netdev=, mac=; the keyboard has the power key, which "
     "system_powerdown presses", &device_syntax, OF_GUEST},
    {"global", "virtio-mmio.force-legacy=off", option_global, "modern virtio transports",
     .whose = OF_GUEST},
    {"chardev", "stdio|pty|socket|file|null,id=I[,path=P][,server=on][,wait=off][,mux=on][,logfile=P[,logappend=on]]",
     option_chardev,
     "character backend; mux: the serial line and monitors share it, Ctrl-a h lists its keys; "
     "logfile: what goes out of it is written there, too", &chardev_syntax, OF_GUEST},
    {"serial", "[mon:]stdio|pty|file:P|unix:P,server=on,wait=off|null|chardev:ID", option_serial,
     "where the UART goes (default: stdio); mon: a monitor for people, too, on Ctrl-a c", .whose = OF_HOST, .is_place = true},
    {"qmp", "unix:P,server=on,wait=off|stdio|pty", option_qmp, "a QMP monitor", .whose = OF_HOST,
     .is_place = true},
    {"qmp-pretty", "unix:P,...", option_qmp_pretty, "the same, with indented output",
     .whose = OF_HOST, .is_place = true},
    {"mon", "chardev=ID,mode=control[,pretty=on]|mode=readline", option_mon,
     "a monitor on a chardev: QMP, or for people",
     &mon_syntax, OF_HOST},
    {"monitor", "unix:P,server=on,wait=off|stdio|pty|none", option_monitor_hmp,
     "a monitor for people, a line each ('help')",
     .whose = OF_HOST, .is_place = true},
    {"nographic", NULL, NULL,
     "-serial mon:stdio, if no serial line and no monitor is given; there is no display",
     .whose = OF_HOST, C(nographic)},
    {"display", "none", NULL, "accepted: there is no display", .whose = OF_HOST,
     .words = no_display},
    {"vga", "none", NULL, "accepted: there is no display", .whose = OF_HOST,
     .words = no_display},
    {"parallel", "none", NULL, "accepted: there is no parallel port", .whose = OF_HOST,
     .words = no_display},
    {"no-user-config", NULL, NULL, "accepted: there are no configuration files",
     .whose = OF_HOST},
    {"nodefaults", NULL, NULL, "no serial line unless -serial is given",
     .whose = OF_HOST, C(nodefaults)},
    {"name", "NAME", option_name, "name of the VM, for every other subcommand", &name_syntax,
     OF_GUEST},
    {"uuid", "UUID", option_uuid, "UUID of the VM", .whose = OF_GUEST},
    {"gdb", "tcp::PORT|unix:P,server=on,wait=off", option_gdb,
     "let GDB look at the guest and stop it; tcp on this host only, where everybody may connect",
     .whose = OF_HOST, .is_place = true},
    {"rtc", "[base=utc][,clock=host|vm]", NULL,
     "the clock chip tells the host's time (host), or stands still as long as the guest does (vm)",
     &rtc_syntax, OF_GUEST},
    {"S", NULL, NULL, "do not start the harts: wait for cont", .whose = OF_HOST, C(start_paused)},
    {"incoming", "tcp:HOST:PORT|unix:P|fd:N|exec:COMMAND|file:P|defer", NULL,
     "wait for a guest that comes from another VMM (defer: QMP migrate-incoming says from where)",
     .whose = OF_HOST, C(incoming)},
    {"sandbox", "on|off[,spawn=allow]", option_sandbox,
     "off: the process keeps every privilege it was started with; spawn=allow: it may also start "
     "and open what no operator's words ask for (docs/sandbox.md)",
     .whose = OF_HOST},
    {"daemonize", NULL, NULL,
     "return when the VM runs, or with a sentence and status 1; it goes on without a terminal: "
     "what the guest says is lost unless -serial says where to",
     .whose = OF_HOST, C(daemonize)},
    {"pidfile", "FILE", NULL,
     "write the id of the VM's first process, which stays over updates; removed at its end",
     .whose = OF_HOST, C(pidfile)},
    {"D", "FILE", NULL,
     "what ferry itself has to say while the VM runs is added to FILE (default: standard error)",
     .whose = OF_HOST, C(log_path)},
    {"msg", "timestamp=on", NULL, "each line of that begins with the time, in UTC",
     &msg_syntax, OF_HOST},
    {"boot", "[order=c][,menu=off][,strict=on]", NULL,
     "accepted: the guest's firmware starts what -kernel names", &boot_syntax, OF_HOST},
    {"overcommit", "mem-lock=off", NULL, "accepted: guest RAM is not locked",
     &overcommit_syntax, OF_HOST},
    {"no-reboot", NULL, NULL, "a guest reset ends the VM", .whose = OF_GUEST, C(no_reboot)},
    {"no-shutdown", NULL, NULL, "a guest power-off stops the VM and keeps it",
     .whose = OF_GUEST, C(no_shutdown)},
};
#undef C
/* clang-format on */

const struct option_def *option_at(size_t i)
{
    return i < sizeof(option_defs) / sizeof(option_defs[0]) ? &option_defs[i] : NULL;
}

static const char *option_candidate(const void *arg, size_t i)
{
    const struct option_def *def = option_at(i);

    return def ? def->name : NULL;
}

struct option_variant option_variant_at(const struct option_syntax *syntax, size_t i)
{
    return syntax->variant_at ? syntax->variant_at(i) : syntax->variants[i];
}

const struct prop *option_props(const struct option_syntax *syntax, const struct keyval *kv)
{
    const struct keyval_pair *type = syntax->type_key ? keyval_find(kv, syntax->type_key) : NULL;
    struct option_variant v;

    if (!syntax->type_key)
        return syntax->variants[0].props;
    if (!type && syntax->type_optional)
        return option_variant_at(syntax, 0).props;
    for (size_t i = 0; type && (v = option_variant_at(syntax, i)).props; i++)
        if (!strcmp(type->value, v.type))
            return v.props;
    return NULL;
}

const struct option_def *option_find(const char *name, struct ferry_err *err)
{
    const char *absent = option_absent(name), *closest;

    for (size_t i = 0; i < sizeof(option_defs) / sizeof(option_defs[0]); i++)
        if (!strcmp(option_defs[i].name, name))
            return &option_defs[i];
    if (absent) {
        err_set(err, ENOTSUP, "-%s: %s", name, absent);
        return NULL;
    }
    closest = props_closest(name, option_candidate, NULL);
    if (closest)
        err_set(err, EINVAL, "-%s: invalid option; did you mean -%s?", name, closest);
    else
        err_set(err, EINVAL, "-%s: invalid option; 'ferry run --help' lists them", name);
    return NULL;
}

/* --- What most of them do --- */

static int set_string(char **member, const char *value, struct ferry_err *err)
{
    char *copy = strdup(value);

    if (!copy)
        return err_set(err, ENOMEM, "out of memory");
    free(*member);
    *member = copy;
    return 0;
}

static const char *word_candidate(const void *arg, size_t i)
{
    const struct option_def *def = arg;

    return def->words[i];
}

static int check_word(const struct option_def *def, const char *value, struct ferry_err *err)
{
    char list[160];

    for (size_t i = 0; def->words[i]; i++)
        if (!strcmp(def->words[i], value))
            return 0;
    props_list(list, sizeof(list), word_candidate, def);
    return err_set(err, EINVAL, "'%s' is not available; there is: %s", value, list);
}

int option_apply(const struct option_def *def, struct vm_config *c, const char *value,
                 struct ferry_err *err)
{
    void *member = (char *)c + def->offset;

    if (def->apply)
        return def->apply(c, value, err);
    if (def->syntax)
        return props_apply_text(def->syntax->variants[0].props, value, def->syntax->implied_key, c,
                                err);
    if (def->words)
        return check_word(def, value, err);
    if (def->offset && def->argument)
        return set_string(member, value, err);
    if (def->offset)
        *(bool *)member = true;
    return 0;
}
