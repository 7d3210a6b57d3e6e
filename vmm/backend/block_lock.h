/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The image lock: keeps two VMMs off one image, ferry or QEMU.
 *
 * QEMU's rule, on bytes of the image file that are never looked at: whoever uses permission i
 * holds a shared lock on byte 100 + i, whoever cannot bear that others use it one on byte
 * 200 + i. Permission 0 is consistent reading, 1 writing. Everybody then looks whether somebody
 * else holds the opposite byte. The locks belong to the open file description: they go where the
 * fd goes and end with its last copy.
 *
 * ferry adds a claim, on a byte that QEMU does not know: who gives an image up for a guest that
 * moves, and may need it again, holds one. Nobody but that guest takes the image meanwhile.
 */
#pragma once

#include <stdbool.h>

#include <ferry/err.h>

/*
 * fd and path are loans. Taking it again through the same description is fine. The refusal names
 * who has the image.
 */
int block_lock(int fd, const char *path, bool readonly, struct ferry_err *err) FERRY_MUST_CHECK;
void block_unlock(int fd);
/* Is it claimed by somebody else? 0, or -EBUSY with a sentence. */
int block_lock_unclaimed(int fd, const char *path, struct ferry_err *err) FERRY_MUST_CHECK;
/* As far as the file system has locks. */
void block_claim(int fd, bool claim);
