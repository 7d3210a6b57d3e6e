/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole board for a fuzzer that plays the guest on it, and the host behind the board: a disk in
 * memory, peers of the network card and of the serial line. No hart runs, the guest's clock moves
 * only when it is told to, and nobody but the caller and the workers of the disk does anything.
 *
 * What is promised at all times, and checked here: an access costs little; a device writes to no
 * memory but RAM, and to no page that the dirty log does not show; whatever the guest did, its
 * machine can be handed over, and what arrives is what was sent. One thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/board/board.h"
#include "vmm/config/options.h"

#define MACHINE_RAM_BYTES   (UINT64_C(16) << 20)
#define MACHINE_REGIONS_MAX 4
#define MACHINE_DISK_BYTES  (UINT64_C(1) << 20)

/* Which board: its transports, and the VMM whose guests it can take. */
struct machine_model {
    bool modern;
    const char *compat; /* NULL: none */
};

struct machine {
    struct loop *loop;
    struct loop_timer *alarm; /* ends a turn that waits */
    struct options options;
    struct vm_config config;
    struct board *board;
    struct ferry_vm *vm;
    int disk_fd, firmware_fd;
    char net_path[80], serial_path[80];
    int net_fd, serial_fd; /* the peers' ends; -1: not connected */
    uint8_t *ram;
    uint8_t *shadow[MACHINE_REGIONS_MAX]; /* each region as the guest and the dirty log know it */
    uint64_t *dirty;
    bool quiescing, drained;
    bool reset_wanted;
    unsigned resets, power_offs;
};

void machine_new(struct machine *m, const struct machine_model *model);
/* Also checks that it could still be handed over. */
void machine_free(struct machine *m);

/* --- As its guest --- */
void machine_read(struct machine *m, uint64_t gpa, unsigned size_bytes, uint64_t *ret);
void machine_write(struct machine *m, uint64_t gpa, unsigned size_bytes, uint64_t value);
/* A store to RAM at an offset; what is outside is dropped. */
void machine_store(struct machine *m, uint64_t offset, const void *data, size_t n);
uint64_t machine_load(const struct machine *m, uint64_t offset, unsigned size_bytes);

/* --- As its host --- */
/* What is due on the main thread. */
void machine_turn(struct machine *m);
/* The guest's clock goes on by ns. */
void machine_advance(struct machine *m, int64_t ns);
/* Both peers, if they are not connected. */
void machine_connect(struct machine *m);
/* Ask all parts to take no more requests, or, the second time, to take them again. */
void machine_toggle_quiesce(struct machine *m);
/* Nothing is in flight, and RAM is as the dirty log says; then the guest goes on. */
void machine_settle(struct machine *m);
/* A handover that fails in the pause: the guest goes on here. */
void machine_return(struct machine *m);
/* A handover to another board of this process, where the guest goes on. */
void machine_hand_over(struct machine *m);
/* QMP system_reset. */
void machine_reset(struct machine *m);
