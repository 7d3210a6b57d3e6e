/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What must be the same of a board: its memory and what the dirty log knows of it, its state before
 * and after a handover, the registers that its guest sees. A difference aborts (FUZZ_CHECK).
 */
#pragma once

#include <stdint.h>

#include <ferry/part.h>
#include <ferry/ram.h>

struct bus;

/* The pages in dirty are copied to shadow. */
void compare_follow_log(struct ferry_ram_region *region, uint8_t *shadow, const uint64_t *dirty);
void compare_memory(struct ferry_ram_region *region, const uint8_t *shadow);

/*
 * What arrived, saved again, is what was sent. But the clock on the wall does not stand still: the
 * alarm of an RTC may have come meanwhile, with its interrupt. And the interrupt controller may
 * have one more interrupt pending (vmm/dev/plic.c says why), never one less.
 */
void compare_states(struct ferry_vm *sent, struct ferry_vm *arrived);
void compare_registers(struct bus *sent, struct bus *arrived);
