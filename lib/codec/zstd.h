/* SPDX-License-Identifier: Apache-2.0 */
/* One zstd frame per channel, flushed per packet and never ended (codec.h). */
#pragma once

#include "lib/codec/codec.h"

extern const struct codec_ops codec_zstd;
