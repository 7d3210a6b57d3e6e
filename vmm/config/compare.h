/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two descriptions of a machine: does the guest see the same? For a target that was started with
 * options of its own. What the stream's own greeting compares is left to it: RAM, harts, which
 * devices there are and where.
 */
#pragma once

#include <ferry/err.h>

#include "vmm/machine/config.h"

/* 0, or -EINVAL with every difference, joined by "; ". */
int config_compare(const struct vm_config *theirs, const struct vm_config *ours,
                   struct ferry_err *err) FERRY_MUST_CHECK;
/*
 * For two on one host: would the target connect to a peer that the source still has? Refused,
 * unless both let go and connect again (reconnect-ms).
 */
int config_compare_peers(const struct vm_config *theirs, const struct vm_config *ours,
                         struct ferry_err *err) FERRY_MUST_CHECK;
