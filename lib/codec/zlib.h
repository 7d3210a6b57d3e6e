/* SPDX-License-Identifier: Apache-2.0 */
/* One zlib stream (RFC 1950) per channel, flushed with a sync flush per packet (codec.h). */
#pragma once

#include "lib/codec/codec.h"

extern const struct codec_ops codec_zlib;
