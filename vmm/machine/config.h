/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The description of a VM, as parsed from options: plain values, nothing opened, nothing checked
 * against the host. The board is built from it; it travels to a handover target as the list of
 * options it came from (vmm/config/options.c), so it holds nothing that options cannot say.
 *
 * Strings are owned by the config; NULL = not given.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONFIG_HARTS_MAX     8
#define CONFIG_VIRTIO_SLOTS  8
#define CONFIG_DRIVES_MAX    8
#define CONFIG_ID_BYTES_MAX  40
#define CONFIG_NETDEVS_MAX   8
#define CONFIG_CHARDEVS_MAX  16
#define CONFIG_MONITORS_MAX  8
#define CONFIG_MEMORIES_MAX  4
#define CONFIG_RAM_BYTES_MIN (16ull << 20)
#define CONFIG_RAM_BYTES_MAX (256ull << 30)

/* What becomes of a request that the host could not do: QEMU's werror= and rerror=. */
enum config_on_error {
    CONFIG_ON_ERROR_AUTO = 1, /* not given: enospc for writing, report for reading */
    CONFIG_ON_ERROR_REPORT,
    CONFIG_ON_ERROR_IGNORE,
    CONFIG_ON_ERROR_STOP,
    CONFIG_ON_ERROR_ENOSPC, /* stop if it was for want of room, else report */
};

struct allow_list;
struct machine_type;

/* A raw image file: -drive if=none or -blockdev. */
struct config_drive {
    char *id; /* node-name or drive id */
    char *path;
    bool direct;   /* cache.direct: O_DIRECT */
    bool no_flush; /* cache.no-flush */
    bool readonly;
    bool discard;                                       /* discard=unmap */
    bool locking;                                       /* image lock, default on */
    bool guessed;                                       /* -drive without format= */
    enum config_on_error on_read_error, on_write_error; /* unless its disk says otherwise */
    const struct allow_list *allow;                     /* as the machine's */
};

enum config_netdev_type { CONFIG_NETDEV_TAP = 1, CONFIG_NETDEV_STREAM };

struct config_netdev {
    char *id;
    enum config_netdev_type type;
    char *ifname;          /* tap */
    int fd;                /* tap: inherited; -1 = open ifname */
    char *path;            /* stream: UNIX socket */
    bool server;           /* stream: listen instead of connect */
    uint32_t reconnect_ms; /* stream: connect again so long after the peer is lost; 0 = never */
};

enum config_chardev_type {
    CONFIG_CHARDEV_NULL = 1,
    CONFIG_CHARDEV_STDIO,
    CONFIG_CHARDEV_FILE,
    CONFIG_CHARDEV_SOCKET,
    CONFIG_CHARDEV_PTY,
};

struct config_chardev {
    char *id;
    enum config_chardev_type type;
    char *path; /* file, socket */
    bool tcp;   /* socket: a server on 127.0.0.1, not on a path */
    uint16_t port;
    bool server;
    bool wait;     /* server: the machine starts when the first client is there */
    bool append;   /* file */
    bool signal;   /* stdio: Ctrl-C ends the VM instead of reaching the guest */
    bool mux;      /* the serial line and monitors share it (vmm/backend/chardev_mux.h) */
    char *logfile; /* what is written to it is written there, too */
    bool logappend;
};

struct device_kind;

/*
 * What every device of a description has. A kind with properties of its own has a struct that
 * begins with this one; the members are set by the kind's table (vmm/machine/device_kind.h).
 */
struct config_device {
    const struct device_kind *kind;
    bool automatic; /* came with a -drive that says no if=: not if a -device has that drive */
    char *id;       /* NULL: none given */
    char *bus;      /* QEMU's name of its place; NULL: not given. Once checked it is never NULL, but
                       for kinds whose place is the board's */
    int slot;       /* the place in numbers; -1: the next that is free */
    char *backend;  /* drive= or netdev= */
};

struct config_virtio {
    struct config_device device;   /* first */
    bool event_idx, indirect_desc; /* default on */
};

struct config_disk {
    struct config_virtio virtio; /* first */
    char *serial;
    uint32_t num_queues;
    bool discard, write_zeroes;                         /* default on */
    enum config_on_error on_read_error, on_write_error; /* once checked never AUTO */
};

struct config_card {
    struct config_virtio virtio; /* first */
    uint8_t mac[6];              /* all zero: 52:54:00:12:34:56 + index */
};

struct config_balloon {
    struct config_virtio virtio; /* first */
    bool deflate_on_oom, free_page_reporting;
    bool page_poison; /* default on */
};

/* An ID as a guest sees it: most significant byte first. */
struct config_guid {
    bool given; /* else a random one */
    uint8_t bytes[16];
};

/* Memory in a file: -object memory-backend-file. */
struct config_memory {
    char *id; /* and the name of the RAM block */
    char *path;
    uint64_t size_bytes;
    bool share;
    bool prealloc; /* default on */
};

struct config_monitor {
    char *chardev;
    bool pretty;
    bool human; /* mode=readline */
};

struct vm_config {
    /*
     * A loan, set by whoever takes a machine that somebody else described: its files are opened
     * through it (vmm/backend/allow.h). NULL: every name is this host's own.
     */
    const struct allow_list *allow;
    const struct machine_type *machine; /* -M; never NULL once parsed */
    char *accel; /* -accel: the name of one of its accelerators; NULL: the default */
    char *name;  /* never NULL once parsed */
    uint8_t uuid[16];
    bool uuid_given;
    uint64_t ram_bytes;
    bool ram_given;
    char *ram_backend; /* -M virt,memory-backend=: id of one of memories; NULL: RAM is no file's */
    uint32_t harts;
    char *compat; /* -M virt,compat=: VMM that the guest can move to and from (vmm/virt/compat.h) */
    char *bios, *kernel, *initrd, *append;
    bool
        force_legacy; /* virtio-mmio transports; default on, -global virtio-mmio.force-legacy=off */
    bool start_paused; /* -S */
    char *incoming;    /* where the guest comes from, or "defer"; never part of a description */
    bool daemonize;    /* never part of a description, as the next two */
    char *pidfile, *log_path; /* -pidfile, -D */
    bool log_times;           /* -msg timestamp=on */
    bool no_sandbox;          /* -sandbox off; never part of a description, as the next */
    bool sandbox_spawn;       /* -sandbox on,spawn=allow: the VMM's own word counts */
    bool no_reboot;
    bool no_shutdown;
    bool nodefaults;
    int rtc_clock;      /* -rtc clock=: 1 host, 2 vm; 0 not given: host */
    int vmgenid_wanted; /* -M virt,vmgenid=: 1 on, 2 off; 0 not given */
    int pci_wanted;     /* -M virt,pci=, the same; not given is off: see config_has_pci() */

    struct config_drive drives[CONFIG_DRIVES_MAX];
    size_t drive_count;
    struct config_netdev netdevs[CONFIG_NETDEVS_MAX];
    size_t netdev_count;
    struct config_chardev chardevs[CONFIG_CHARDEVS_MAX];
    size_t chardev_count;
    char *serial_chardev; /* of UART 0; NULL = null */
    char *gdb_chardev;    /* where GDB is served; NULL = nowhere */
    bool escape;          /* Ctrl-a x ends, on the stdio serial */
    bool serial_given;    /* -serial none counts */
    bool monitor_given;   /* -monitor none counts, and QMP */
    bool nographic;       /* the serial line and a monitor on stdio, if neither is given */
    struct config_device **devices; /* owned, in the order they were given */
    size_t device_count;
    struct config_memory memories[CONFIG_MEMORIES_MAX];
    size_t memory_count;
    struct config_monitor monitors[CONFIG_MONITORS_MAX];
    size_t monitor_count;
};

/* Of a new machine the options say so (cmd_run.c); those of an older ferry's say nothing. */
static inline bool config_has_pci(const struct vm_config *c)
{
    return c->compat || c->pci_wanted == 1;
}

/* The memory that RAM is in; NULL: it is no file's. */
const struct config_memory *config_ram_memory(const struct vm_config *c);
