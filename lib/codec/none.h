/* SPDX-License-Identifier: Apache-2.0 */
/* Pages as they are (codec.h). */
#pragma once

#include "lib/codec/codec.h"

extern const struct codec_ops codec_none;
