/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a machine starts from: firmware, kernel, initrd. Where they go, and what ties them together,
 * is its type's business (struct boot_type).
 *
 * The part "boot" has no section; its named fds are "boot/firmware", "boot/kernel" and
 * "boot/initrd", those that the description asks for. Main thread.
 */
#pragma once

#include <ferry/err.h>
#include <ferry/part.h>

#include "vmm/machine/config.h"
#include "vmm/machine/guestmem.h"

struct boot;
struct image;

enum boot_image { BOOT_FIRMWARE, BOOT_KERNEL, BOOT_INITRD, BOOT_IMAGES };

/* config is a loan for its life, and says of what type the machine is. Opens nothing. */
int boot_new(struct boot **ret, const struct vm_config *config,
             struct ferry_err *err) FERRY_MUST_CHECK;
void boot_free(struct boot *b);
/* Fresh start: read the files. */
int boot_open(struct boot *b, struct ferry_err *err) FERRY_MUST_CHECK;
/* Are the files there that it would open? Opens nothing. */
int boot_look(struct boot *b, struct ferry_err *err) FERRY_MUST_CHECK;
struct ferry_part boot_part(struct boot *b);

/* For who places it. NULL: the machine starts without. */
const struct image *boot_image(const struct boot *b, enum boot_image which);
const struct vm_config *boot_config(const struct boot *b);

/* Everything into guest memory; no hart runs. */
int boot_place(const struct boot *b, const struct guestmem *mem,
               struct ferry_err *err) FERRY_MUST_CHECK;
