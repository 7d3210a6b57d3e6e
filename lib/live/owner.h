/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may run the guest: the lock of <ferry/live.h> from the inside.
 *
 * The first page of the lock memfd, shared by everyone who has it:
 *
 *   0   u64, host byte order (one host): how often the guest was started. Written by the holder
 *       of the lock only, before anything of the guest moves.
 *
 * A side that gave the lock up, or waits for it, remembers the count: lock obtained and count
 * unchanged means that nobody ran the guest in between; lock obtained and count moved means that
 * it ran elsewhere and what this side holds is out of date. One thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <ferry/live.h>

/* From the memfd that arrived, not held. Takes *fd on success. */
int owner_adopt(struct ferry_owner **ret, int *fd, struct ferry_err *err) FERRY_MUST_CHECK;

/* 0 and held, or -EAGAIN while another process holds it. Fine if held already. */
int owner_try(struct ferry_owner *owner) FERRY_MUST_CHECK;
void owner_release(struct ferry_owner *owner);
bool owner_held(const struct ferry_owner *owner);

uint64_t owner_starts(const struct ferry_owner *owner);
/* The holder is about to let the guest run. */
void owner_count_start(struct ferry_owner *owner);

/* A loan: what the other side adopts. Never the open that holds the lock. */
int owner_memfd(const struct ferry_owner *owner);
