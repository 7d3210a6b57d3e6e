/* SPDX-License-Identifier: Apache-2.0 */
/* A device with one of everything that a state table can say. For tests and fuzzing. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <ferry/state.h>

struct slot {
    uint16_t num;
    bool on;
    uint32_t addr[2];
};
struct fifo {
    uint8_t data[16];
    uint32_t head;
    uint32_t num;
};
struct gadget {
    int host_fd; /* not in the table: must survive a load */
    uint16_t divider;
    uint8_t ier;
    bool armed;
    uint32_t model;
    uint32_t le;
    uint64_t regs[3];
    uint8_t text_len;
    char text[8];
    uint32_t list_len;
    uint32_t list[5];
    struct slot slots[64];
    struct fifo fifo;
    uint32_t fresh; /* since version 2 */
    uint32_t extra;
    char custom[10];
    unsigned wire_copy; /* made by pre_save */
    unsigned derived;   /* made by post_load */
    unsigned post_loads;
    unsigned fifo_post_load_order, post_load_order;
};

extern const struct ferry_table gadget_table;

void *make_gadget(void *arg); /* free() it */
/* Busy, with all its optional state present. */
void stir_gadget(void *obj);
