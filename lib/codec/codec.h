/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the pages of one multifd channel are packed: one stream per channel over its whole life,
 * flushed at the end of each packet so that all of its pages can be had. A codec is one file and
 * one line in types.c; its number on the wire is in lib/wire/format.h.
 *
 * Compressors and decompressors belong to one thread and take all their memory when they are made,
 * or, zstd's window, at the first packet. Transformation only: which pages, which packet is
 * elsewhere.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ferry/err.h>

#include "lib/wire/format.h"

struct codec_ops {
    const char *name;
    enum wire_multifd_method method;
    /* Data are the pages as they are: send and receive them without these functions. */
    bool plain;
    int level_min, level_max, level_default;

    /* level within these bounds. */
    int (*compressor_new)(void **ret, int level, struct ferry_err *err);
    void (*compressor_free)(void *c);
    /*
     * 1 to WIRE_MULTIFD_PAGES pages to out, which has room for WIRE_MULTIFD_DATA_MAX_BYTES. Returns
     * the length. The guest may write to the pages meanwhile; then they must be sent again.
     */
    int (*compress)(void *c, const uint8_t *const *pages, size_t count, uint8_t *out,
                    struct ferry_err *err);

    int (*decompressor_new)(void **ret, struct ferry_err *err);
    void (*decompressor_free)(void *d);
    /*
     * One packet's n bytes of data into just count pages; more or less is refused, and then d is of
     * no further use.
     */
    int (*decompress)(void *d, const uint8_t *data, size_t n, uint8_t *const *pages, size_t count,
                      struct ferry_err *err);
};

/* All of them, ended by NULL. */
extern const struct codec_ops *const codec_types[];

/* NULL if there is none of that name. */
const struct codec_ops *codec_find(const char *name);
