/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A type of machine (-M): a const table beside the board it is of, listed once, in
 * vmm/config/machines.c. What reads options, answers help and questions goes by these members; how
 * the machine is made is a table of its own, struct board_type (vmm/board/type.h).
 */
#pragma once

#include <stdint.h>

#include <ferry/err.h>

#include "vmm/machine/accel.h"
#include "vmm/machine/config.h"
#include "vmm/machine/prop.h"

struct board_type;

/* The CPU that a machine has; it is said with -cpu, and cannot be changed by it. */
struct machine_cpu {
    const char *model;           /* QEMU's word */
    const char *what;            /* in a sentence */
    const char *const *features; /* that it has, in QEMU's words; ends with NULL */
};

struct machine_type {
    const char *name;                  /* QEMU's, and that of the stream's configuration section */
    const char *const *aliases;        /* end with NULL; may be NULL */
    const char *what;                  /* in a sentence */
    const struct accel *const *accels; /* that can run it, the default first; end with NULL */
    const struct machine_cpu *cpu;
    const char *cpus_path; /* QOM path of its CPUs, without the index */
    const char *ram_name;  /* of the RAM block, unless RAM is a file's */
    uint64_t ram_gpa;      /* where RAM begins */
    uint64_t ram_bytes_min, ram_bytes_max;
    uint32_t harts_max;
    const struct prop *props; /* of struct vm_config: what -M TYPE,... takes */
    /* What no single word of -M can see, when they have been read. */
    int (*check_words)(const struct vm_config *c, struct ferry_err *err);
    /* The same of a config that is otherwise finished. */
    int (*check)(const struct vm_config *c, struct ferry_err *err);
    const struct board_type *board;
};

/* Which of its accelerators a config names with -accel, or the default; NULL: it has none such. */
const struct accel *machine_type_accel(const struct machine_type *type, const char *name);
/* RAM and number of CPUs are what the type can have. */
int machine_type_check_ram(const struct machine_type *type, uint64_t ram_bytes,
                           struct ferry_err *err) FERRY_MUST_CHECK;
int machine_type_check_harts(const struct machine_type *type, uint64_t harts,
                             struct ferry_err *err) FERRY_MUST_CHECK;
