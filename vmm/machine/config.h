/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The description of a VM, as parsed from options: plain values, nothing opened, nothing checked
 * against the host. The board is built from it; it travels to a handover target as the list of
 * options it came from (vmm/main/options.c), so it holds nothing that options cannot say.
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
#define CONFIG_NETDEVS_MAX   8
#define CONFIG_CHARDEVS_MAX  16
#define CONFIG_MONITORS_MAX  8
#define CONFIG_MEMORIES_MAX  4
#define CONFIG_RAM_BYTES_MIN (16ull << 20)
#define CONFIG_RAM_BYTES_MAX (256ull << 30)

/* What becomes of a request that the host could not do: QEMU's werror= and rerror=. */
enum config_on_error {
    CONFIG_ON_ERROR_AUTO = 0, /* not given: enospc for writing, report for reading */
    CONFIG_ON_ERROR_REPORT,
    CONFIG_ON_ERROR_IGNORE,
    CONFIG_ON_ERROR_ENOSPC, /* stop if it was for want of room, else report */
    CONFIG_ON_ERROR_STOP,
};

struct allow_list;

/* A raw image file: -drive if=none or -blockdev. */
struct config_drive {
    char *id; /* node-name or drive id */
    char *path;
    bool direct;   /* cache.direct: O_DIRECT */
    bool no_flush; /* cache.no-flush */
    bool readonly;
    bool discard;                                       /* discard=unmap */
    bool locking;                                       /* image lock, default on */
    enum config_on_error on_read_error, on_write_error; /* unless its disk says otherwise */
    const struct allow_list *allow;                     /* as the machine's */
};

enum config_netdev_type { CONFIG_NETDEV_TAP = 1, CONFIG_NETDEV_STREAM };

struct config_netdev {
    char *id;
    enum config_netdev_type type;
    char *ifname; /* tap */
    int fd;       /* tap: inherited; -1 = open ifname */
    char *path;   /* stream: UNIX socket */
    bool server;  /* stream: listen instead of connect */
};

enum config_chardev_type {
    CONFIG_CHARDEV_NULL = 1,
    CONFIG_CHARDEV_STDIO,
    CONFIG_CHARDEV_FILE,
    CONFIG_CHARDEV_SOCKET,
};

struct config_chardev {
    char *id;
    enum config_chardev_type type;
    char *path; /* file, socket */
    bool server;
    bool wait;   /* server: the machine starts when the first client is there */
    bool append; /* file */
    bool signal; /* stdio: Ctrl-C ends the VM instead of reaching the guest */
};

enum config_device_type { CONFIG_DEVICE_BLK = 1, CONFIG_DEVICE_NET, CONFIG_DEVICE_RNG };

struct config_device {
    enum config_device_type type;
    char *id;            /* NULL: none given */
    int slot;            /* virtio-mmio-bus.N; -1 = next free from the top (QEMU's order) */
    char *backend;       /* drive= or netdev= */
    uint8_t mac[6];      /* net; all zero = default 52:54:00:12:34:56 + index */
    char *serial;        /* blk */
    uint32_t num_queues; /* 0 = default 1 */
    bool event_idx, indirect_desc;                      /* default on */
    bool discard, write_zeroes;                         /* blk, default on */
    enum config_on_error on_read_error, on_write_error; /* blk; once parsed never AUTO */
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
};

struct vm_config {
    /*
     * A loan, set by whoever takes a machine that somebody else described: its files are opened
     * through it (vmm/backend/allow.h). NULL: every name is this host's own.
     */
    const struct allow_list *allow;
    char *name; /* never NULL once parsed */
    uint8_t uuid[16];
    bool uuid_given;
    uint64_t ram_bytes;
    bool ram_given;
    char *ram_backend; /* -M virt,memory-backend=: id of one of memories; NULL: RAM is no file's */
    uint32_t harts;
    char *compat; /* -M virt,compat=: VMM that the guest can move to and from (vmm/main/compat.h) */
    char *bios, *kernel, *initrd, *append;
    bool
        force_legacy; /* virtio-mmio transports; default on, -global virtio-mmio.force-legacy=off */
    bool start_paused;  /* -S */
    char *incoming;     /* where the guest comes from, or "defer"; never part of a description */
    bool no_sandbox;    /* -sandbox off; never part of a description, as the next */
    bool sandbox_spawn; /* -sandbox on,spawn=allow: the VMM's own word counts */
    bool no_reboot;
    bool no_shutdown;
    bool nodefaults;

    struct config_drive drives[CONFIG_DRIVES_MAX];
    size_t drive_count;
    struct config_netdev netdevs[CONFIG_NETDEVS_MAX];
    size_t netdev_count;
    struct config_chardev chardevs[CONFIG_CHARDEVS_MAX];
    size_t chardev_count;
    char *serial_chardev; /* of UART 0; NULL = null */
    bool escape;          /* Ctrl-a x ends, on the stdio serial */
    bool serial_given;    /* -serial none counts */
    struct config_device devices[CONFIG_VIRTIO_SLOTS];
    size_t device_count;
    struct config_memory memories[CONFIG_MEMORIES_MAX];
    size_t memory_count;
    struct config_monitor monitors[CONFIG_MONITORS_MAX];
    size_t monitor_count;
};
