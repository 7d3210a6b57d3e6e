/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A boot image: the bytes of a file, read once into a sealed memfd, and how they get into guest
 * memory. The memfd goes along in a handover, so that a reset there needs no path.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ferry/err.h>

#include "vmm/machine/guestmem.h"

struct allow_list;
struct boot_type;

struct image {
    const char *what;               /* "kernel": for sentences and as the fd's name; loan */
    const struct allow_list *allow; /* what may be read (vmm/backend/allow.h); loan */
    const struct boot_type *type;   /* what the machine can start; loan */
    bool kernel;                    /* unpacked if it is a gzip file; refused if it is no kernel */
    int fd;                         /* owned; -1 = none */
    uint64_t size_bytes;
};

/* Where it ended up. */
struct image_placed {
    uint64_t start_gpa, end_gpa;
    uint64_t entry_gpa;
};

/* Read the file; not empty and, unpacked, at most limit_bytes. */
int image_read(struct image *i, const char *path, uint64_t limit_bytes,
               struct ferry_err *err) FERRY_MUST_CHECK;
/* Take a memfd that arrived: sealed, not empty and at most limit_bytes. Takes *fd on success. */
int image_adopt(struct image *i, int *fd, uint64_t limit_bytes,
                struct ferry_err *err) FERRY_MUST_CHECK;
void image_close(struct image *i);

/* Copy it to memory: an ELF file to its own addresses, anything else to raw_gpa. */
int image_place(const struct image *i, const struct guestmem *mem, uint64_t raw_gpa,
                struct image_placed *ret, struct ferry_err *err) FERRY_MUST_CHECK;
