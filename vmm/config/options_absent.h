/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What QEMU's command line has and ferry's has not, as tables: an option or a device model that
 * people have in a line they paste, and what to do instead. NULL: QEMU has none of that name
 * either, or nobody has met it yet.
 */
#pragma once

/* The end of a sentence that begins "-NAME: ". */
const char *option_absent(const char *name);
/* "MODEL: " likewise. */
const char *device_absent(const char *model);
