/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mtime, the time that RISC-V harts and their timers have (privileged spec 3.2.1), in terms of the
 * guest's clock: mtime = guest_clock_ns() / MTIME_TICK_NS.
 */
#pragma once

#define MTIME_TICK_NS 100 /* 10 MHz timebase */
