/* SPDX-License-Identifier: Apache-2.0 */
/* The flattened device tree that the guest is given. The only home of libfdt. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ferry/err.h>

#define DEVTREE_RNG_SEED_BYTES 32

struct devtree_params {
    uint32_t hart_count;
    uint64_t ram_bytes;
    const char *isa_string; /* "rv64imafdc_zicntr": single letters, then names */
    const char *mmu_type;
    const char *bootargs;                      /* NULL or "": no property */
    uint64_t initrd_start_gpa, initrd_end_gpa; /* equal: no properties */
    bool vmgenid;
    bool pci;                                 /* the PCI Express host */
    uint8_t rng_seed[DEVTREE_RNG_SEED_BYTES]; /* new at each boot */
};

/* *ret is to be freed. */
int devtree_make(uint8_t **ret, size_t *ret_bytes, const struct devtree_params *params,
                 struct ferry_err *err) FERRY_MUST_CHECK;
