/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A board, built from the description of a VM: RAM, harts, devices in QEMU's order and at QEMU's
 * addresses, and the backends they use. What these are is its machine type's business (type.h).
 *
 *   board_new        everything created, nothing of the host opened, power-on state
 *   board_open       fresh start: backends and boot images opened, images placed  | or: parts
 *   board_start      harts and guest clock run                                    | adopt and load
 *   board_stop
 *   board_reset      back to power-on, images placed anew; between _begin and _end
 *
 * Main thread, machine lock not held.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ferry/err.h>
#include <ferry/part.h>
#include <ferry/ram.h>

#include "vmm/backend/net.h"
#include "vmm/machine/config.h"
#include "vmm/machine/thread.h"

struct bell;
struct board;
struct block;
struct bus;
struct chardev;
struct guest_clock;
struct loop;
struct vcpu;
struct virtio_blk_error;

struct board_params {
    const struct vm_config *config; /* loans for the board's life */
    struct loop *loop;
    /* RAM that arrived, by name; file: it is a file's. NULL: fresh RAM. */
    int (*take_region)(void *arg, struct ferry_ram *ram, const char *name, uint64_t size_bytes,
                       bool file, struct ferry_ram_region **ret, struct ferry_err *err);
    void *take_region_arg;
    /* The guest asks; any thread, with the machine lock held: note it and return. */
    void (*power_off)(void *machine, int exit_code);
    void (*reset)(void *machine);
    /* The operator typed Ctrl-a x on the serial line; main thread. */
    void (*quit)(void *machine);
    /* board_awaits_client() may say no now; main thread. */
    void (*client_came)(void *machine);
    /* A part that answered 1 to quiesce has nothing in flight any more; main thread. */
    void (*on_drained)(void *machine);
    /* board_reset_begin() may answer otherwise now; main thread. */
    void (*on_calm)(void *machine);
    /* board_flush_result() may answer otherwise now; main thread. */
    void (*on_flushed)(void *machine);
    /* The host failed a request; main thread. */
    void (*on_disk_error)(void *machine, const struct virtio_blk_error *error);
    /* The guest's balloon holds more or less than before; main thread. */
    void (*on_balloon_change)(void *machine);
    /* Of netdevs; its arg is the machine. Copied. */
    struct net_host net_host;
    void *machine;
    /* Said by harts' and disks' threads when they begin; NULL = nothing. */
    thread_begin_fn *thread_begin;
};

int board_new(struct board **ret, const struct board_params *params,
              struct ferry_err *err) FERRY_MUST_CHECK;
/*
 * Stops the harts first; NULL is fine. false: a disk of the host did not answer, so whatever its
 * workers may still touch (memory, devices, the loop) has to stay until the process ends, which
 * should be now. What had not been acknowledged to the guest is lost, as with a plug that is
 * pulled.
 */
bool board_free(struct board *b);
int board_open(struct board *b, struct ferry_err *err) FERRY_MUST_CHECK;
/*
 * For a guest that arrives as a stream: as open, but RAM stays as it is and disk images unlocked
 * until board_take_locks().
 */
int board_open_incoming(struct board *b, struct ferry_err *err) FERRY_MUST_CHECK;
/* A chardev with wait=on still has no client: the machine shall not start. */
bool board_awaits_client(const struct board *b);
/* Are the files there that it would open? Opens nothing. */
int board_look(const struct board *b, struct ferry_err *err) FERRY_MUST_CHECK;
int board_take_locks(struct board *b, struct ferry_err *err) FERRY_MUST_CHECK;
/* After a flush, with the guest stopped: what others read then is all that was written. */
void board_give_locks(struct board *b, bool claim);
/* What has been written goes to stable storage; on_flushed says when. 1: not yet; 0, -errno. */
void board_flush_begin(struct board *b);
int board_flush_result(struct board *b, struct ferry_err *err) FERRY_MUST_CHECK;
/* No disk request is in flight; false: `bell`, a loan as long as the board, rings for each disk
 * when it has none. */
bool board_disks_are_idle(struct board *b, struct bell *bell);
/* Percent of the time in which the harts shall not run. */
void board_set_throttle(struct board *b, unsigned percent);

void board_start(struct board *b);
/* Returns when every hart stands at an instruction boundary and the guest clock still. */
void board_stop(struct board *b);

/*
 * A reset: the harts are held wherever they are, whatever start and stop say, until the end. It may
 * happen when begin has answered true; false: a disk still works on what the guest asked for,
 * on_calm says when not.
 */
bool board_reset_begin(struct board *b);
int board_reset(struct board *b, struct ferry_err *err) FERRY_MUST_CHECK;
void board_reset_end(struct board *b);

/*
 * The guest was started from what may be started again: its vmgenid says so, if it has one. The ID
 * is random, or that of the options, if they are this host's own.
 */
int board_change_generation(struct board *b, bool own_options,
                            struct ferry_err *err) FERRY_MUST_CHECK;
/* The ID, as its text is written; false: it has none. */
bool board_generation(struct board *b, uint8_t ret[16]);

/* The guest has gone elsewhere: peers of netdevs that can be had again are free for it. */
void board_let_go(struct board *b);
/* The network cards say where they are now. */
void board_announce(struct board *b);
/* How much RAM the guest shall have, and has, without what its balloon holds; false: it has no
 * balloon. */
bool board_set_balloon(struct board *b, uint64_t ram_bytes);
bool board_balloon(struct board *b, uint64_t *ret_ram_bytes);
/* The power keys of its keyboards; false: there is none that a driver listens to. Harts run. */
bool board_press_power(struct board *b);

/*
 * Clock, harts and devices in the order of QEMU's sections, then backends and boot images, which
 * have no section.
 */
int board_add_parts(struct board *b, struct ferry_vm *vm, struct ferry_err *err) FERRY_MUST_CHECK;

/*
 * Backends that come and go (vmm/backend/backends.h): the config has the new one as its last
 * already, and has the old one still. Their parts are the caller's to add and to remove.
 */
int board_add_netdev(struct board *b, int *fd, struct net **ret,
                     struct ferry_err *err) FERRY_MUST_CHECK;
void board_remove_netdev(struct board *b, struct net *n);
int board_add_chardev(struct board *b, struct ferry_named_fd *fds, size_t count,
                      struct chardev **ret, struct ferry_err *err) FERRY_MUST_CHECK;
void board_remove_chardev(struct board *b, struct chardev *c);
int board_add_drive(struct board *b, int *fd, bool lock, struct block **ret,
                    struct ferry_err *err) FERRY_MUST_CHECK;
void board_remove_drive(struct board *b, struct block *d);
struct block *board_find_drive(const struct board *b, const char *id); /* NULL: none */
struct net *board_find_netdev(const struct board *b, const char *id);  /* NULL: none */

struct ferry_ram *board_ram(const struct board *b);
/* What a hart reaches devices through: for who plays one. Any thread. */
struct bus *board_bus(struct board *b);
struct guest_clock *board_clock(const struct board *b);
size_t board_hart_count(const struct board *b);
struct vcpu *board_vcpu(const struct board *b, size_t index);
/* In the order of the config; NULL past the end. */
struct chardev *board_chardev(const struct board *b, size_t index);
struct chardev *board_find_chardev(const struct board *b, const char *id);
/* What monitors[index] of the config is on, which it may share (vmm/backend/chardev_mux.h). */
struct chardev *board_monitor_line(const struct board *b, size_t index);
struct block *board_block(const struct board *b, size_t index);
struct net *board_netdev(const struct board *b, size_t index);
