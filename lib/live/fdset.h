/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The manifest of named fds, seen from the target: what the parts declare, what arrived, and
 * handing the one to the other. All or nothing: a name too few or too many is a refusal.
 * Owns the fds that arrived until a part adopts them. One thread.
 */
#pragma once

#include <stddef.h>

#include <ferry/err.h>
#include <ferry/part.h>

#include "lib/live/ledger.h"

struct fdset {
    struct ferry_named_fd arrived[LIVE_FDS_MAX];
    size_t arrived_count;
    struct ferry_named_fd declared[LIVE_FDS_MAX];
    const struct ferry_part *owners[LIVE_FDS_MAX]; /* of declared */
    size_t declared_count;
    struct ferry_named_fd extras[LIVE_EXTRAS_MAX]; /* arrived, and nobody has to have them */
    size_t extra_count;
};

void fdset_close(struct fdset *set);
/* What vm's parts declare; once, ahead of the pause. */
int fdset_declare(struct fdset *set, const struct ferry_vm *vm,
                  struct ferry_err *err) FERRY_MUST_CHECK;
/* Is every name that arrived declared, and the other way round, and each once? */
int fdset_compare(const struct fdset *set, struct ferry_err *err) FERRY_MUST_CHECK;
/* After fdset_compare: each attached fd to its part. marks notes the parts. */
int fdset_adopt(struct fdset *set, struct live_marks *marks,
                struct ferry_err *err) FERRY_MUST_CHECK;
/* Each extra to the part that its name begins with, if there is one and it takes it. */
void fdset_offer_extras(struct fdset *set, const struct ferry_vm *vm);
