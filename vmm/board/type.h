/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the board of a machine type is made and what it starts: what differs from one type to the
 * next. vmm/board calls these; they are written with vmm/board/board_internal.h. Main thread.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <ferry/err.h>

struct board;
struct boot;
struct guestmem;

struct boot_type {
    /* Where the firmware of a machine that names none is looked for; ends with NULL. */
    const char *const *firmware;
    const char *firmware_package; /* of Debian, that has it */
    uint16_t elf_machine;         /* e_machine of an ELF file that can be started */
    const char *target;           /* whose code that is, for people */
    /* head: the first n bytes of what -kernel names (BOOT_HEAD_BYTES, or all), n > 0. */
    int (*check_kernel)(const uint8_t *head, size_t n, struct ferry_err *err);
    /* Everything into guest memory, with a new seed for the guest's random numbers. */
    int (*place)(const struct boot *b, const struct guestmem *mem, struct ferry_err *err);
};

#define BOOT_HEAD_BYTES 1024u

struct board_type {
    /* Memory that is not RAM: ROM, flash. RAM is there. */
    int (*add_memory)(struct board *b, struct ferry_err *err);
    /* By board_new_vcpus(), with the model that this machine's accelerators take. */
    int (*add_vcpus)(struct board *b, struct ferry_err *err);
    /* In the order of QEMU's sections. Backends are there. */
    int (*add_devices)(struct board *b, struct ferry_err *err);
    struct boot_type boot;
};
