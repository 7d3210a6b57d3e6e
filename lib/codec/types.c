/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "lib/codec/codec.h"
#include "lib/codec/none.h"
#include "lib/codec/zlib.h"
#include "lib/codec/zstd.h"

const struct codec_ops *const codec_types[] = {
    &codec_none,
    &codec_zlib,
    &codec_zstd,
    NULL,
};

const struct codec_ops *codec_find(const char *name)
{
    for (size_t i = 0; codec_types[i]; i++) {
        if (strcmp(codec_types[i]->name, name) == 0)
            return codec_types[i];
    }
    return NULL;
}
