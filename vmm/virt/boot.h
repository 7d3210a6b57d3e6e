/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a machine starts from: firmware, kernel, initrd, device tree and the reset vector that ties
 * them together, placed where QEMU places them.
 *
 * The part "boot" has no section; its named fds are "boot/firmware", "boot/kernel" and
 * "boot/initrd", those that the description asks for. Main thread.
 */
#pragma once

#include <stddef.h>

#include <ferry/err.h>
#include <ferry/part.h>

#include "vmm/machine/config.h"
#include "vmm/machine/guestmem.h"

struct boot;

/* Where the firmware of a machine that names none is looked for; NULL: in no more places. */
const char *boot_default_firmware(size_t nth);

/* config is a loan for its life. Opens nothing. */
int boot_new(struct boot **ret, const struct vm_config *config,
             struct ferry_err *err) FERRY_MUST_CHECK;
void boot_free(struct boot *b);
/* Fresh start: read the files. */
int boot_open(struct boot *b, struct ferry_err *err) FERRY_MUST_CHECK;
/* Are the files there that it would open? Opens nothing. */
int boot_look(struct boot *b, struct ferry_err *err) FERRY_MUST_CHECK;
struct ferry_part boot_part(struct boot *b);

/* Everything into RAM and mask ROM, with a new seed for the guest's random numbers; no hart runs.
 */
int boot_place(const struct boot *b, const struct guestmem *mem,
               struct ferry_err *err) FERRY_MUST_CHECK;
