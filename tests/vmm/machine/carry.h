/* SPDX-License-Identifier: Apache-2.0 */
/* What a handover does with extras, for tests of what goes along in them. */
#pragma once

#include <stdbool.h>
#include <unistd.h>

#include "base/be.h"
#include "vmm/machine/extras.h"

/* As SCM_RIGHTS makes them; false: one was not taken. */
static inline bool carry_extras(const struct extras *from, struct extras *to)
{
    struct ferry_named_fd named;
    struct ferry_err err;

    for (size_t i = 0; extras_at(from, i, &named) == 0; i++) {
        int fd = dup(named.fd);

        if (extras_adopt(to, named.name, &fd, &err) < 0) {
            close(fd);
            return false;
        }
    }
    return true;
}

/* As its header says; the memfd has room for more. 0: there is none. */
static inline size_t carry_record_bytes(const struct extras *from)
{
    uint8_t length[4];

    return pread(from->record_fd, length, 4, 8) == 4 ? 12 + be32_load(length) : 0;
}

/* The record is cut before a bit's byte, or has the bit the other way round. */
static inline bool carry_spoil(const struct extras *from, bool cut, size_t bit)
{
    uint8_t byte;

    if (cut)
        return ftruncate(from->record_fd, (off_t)(bit / 8)) == 0;
    if (pread(from->record_fd, &byte, 1, (off_t)(bit / 8)) != 1)
        return false;
    byte ^= (uint8_t)(1u << bit % 8);
    return pwrite(from->record_fd, &byte, 1, (off_t)(bit / 8)) == 1;
}
