/* SPDX-License-Identifier: Apache-2.0 */
/* libferry: everything, and its version. */
#pragma once

#include <ferry/analyze.h>
#include <ferry/chan.h>
#include <ferry/err.h>
#include <ferry/live.h>
#include <ferry/migrate.h>
#include <ferry/move.h>
#include <ferry/part.h>
#include <ferry/ram.h>
#include <ferry/state.h>

#define FERRY_VERSION "0.1.0"
