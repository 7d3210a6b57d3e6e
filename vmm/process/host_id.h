/* SPDX-License-Identifier: Apache-2.0 */
/* What no other host has, as long as this one is up: the kernel's boot ID. */
#pragma once

#define HOST_ID_BYTES 40 /* 36 characters and a NUL */

/* "" if the kernel does not say. Opens a file of /proc: before the sandbox. */
void host_id(char ret[HOST_ID_BYTES]);
