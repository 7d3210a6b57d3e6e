/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The handover protocol on the wire: versions 1 and 2.
 *
 * One UNIX stream socket, frames in both directions, all numbers big endian.
 *
 *   frame      u32 type, u32 length, u32 fd_count, then `length` bytes of payload. `fd_count` file
 *              descriptors travel as SCM_RIGHTS with the first byte of the frame.
 *   text8      u8 length, then that many bytes, no NUL
 *   entries    u16 count, then per entry: u8 phase (enum ferry_phase), text8 part,
 *              i64 start_ns, i64 duration_ns
 *
 *   type        from    payload
 *   1 HELLO     source  u32 magic, u16 version, u16 oldest version understood, text8 ferry version
 *                       (so far the same in every version); i64 pause_timeout_ns,
 *                       u16 regions, per region: u64 size_bytes, text8 name; u32 length and
 *                       description. fds: the lock memfd, then one memfd per region, in order.
 *   2 READY     target  u16 version to speak, text8 ferry version
 *   3 REFUSE    target  u32 errno, u16 length and sentence. Nothing follows.
 *   4 FDS       source  u16 count, per name: u8 attached (0 or 1), text8 name. fds: one per
 *                       attached name, in order. Several FDS frames add up to the manifest; they
 *                       come in front of STATE.
 *   5 STATE     source  u64 start count, u8 running, 4 x i64 time: pause begun, harts stopped,
 *                       parts paused, saved; u32 length and stream (QEMU's format, version 3),
 *                       entries of the source; since version 2 u8 urgency (enum ferry_urgency)
 *   6 LOADED    target  nothing
 *   7 COMMIT    source  nothing
 *   8 RUNNING   target  5 x i64 time: state received, loaded, adopted, lock taken, started;
 *                       entries of the target; since version 2 u8 urgency
 *   9 ABORT     source  like REFUSE
 *  10 SOON      source  nothing: the pause comes next, be awake
 *  11 EXTRAS    source  like FDS: what the target may take or close. Behind FDS, in front of
 *                       STATE. Since version 2
 *
 * Times are CLOCK_MONOTONIC, one clock for all processes of a host. Numbers are never reused or
 * changed; what is retired stays listed. A version that adds fields adds them at the end of a
 * payload and raises LIVE_VERSION; HELLO comes in its sender's version and a reader skips what a
 * newer one has behind the description; everything else comes in the version of READY, and a
 * reader refuses bytes that this version does not have.
 */
#pragma once

#define LIVE_MAGIC         0x46524c56u /* "FRLV" */
#define LIVE_VERSION       2u
#define LIVE_OLDEST        1u /* the oldest version this code can speak */
#define LIVE_URGENCY_SINCE 2u
#define LIVE_EXTRAS_SINCE  2u

#define LIVE_FRAME_HEADER_BYTES 12u

enum live_type {
    LIVE_TYPE_HELLO = 1,
    LIVE_TYPE_READY = 2,
    LIVE_TYPE_REFUSE = 3,
    LIVE_TYPE_FDS = 4,
    LIVE_TYPE_STATE = 5,
    LIVE_TYPE_LOADED = 6,
    LIVE_TYPE_COMMIT = 7,
    LIVE_TYPE_RUNNING = 8,
    LIVE_TYPE_ABORT = 9,
    LIVE_TYPE_SOON = 10,
    LIVE_TYPE_EXTRAS = 11,
    LIVE_TYPE_MAX = 11,
};

/* What the other side can make this process hold, and why that much is enough. */
#define LIVE_DESCRIPTION_MAX_BYTES (1u << 20) /* a machine with hundreds of devices: ~100 KiB */
#define LIVE_REGIONS_MAX           64u        /* RAM, flash, a few device ROMs */
#define LIVE_FDS_MAX               1024u /* hundreds of queues; below common open-file limits */
#define LIVE_EXTRAS_MAX            256u  /* clients of a VM, and what they sent */
#define LIVE_FDS_PER_FRAME         253u  /* one SCM_RIGHTS batch of the kernel */
#define LIVE_STATE_MAX_BYTES       (64u << 20) /* ~5 KiB per hart and device; large PCI devices */
#define LIVE_TEXT_MAX_BYTES        511u        /* struct ferry_err without its NUL */
#define LIVE_ENTRIES_MAX           120u        /* of one side: half a struct ferry_ledger */

/* Enough for an ordinary machine's STATE in one system call; reserved before the pause. */
#define LIVE_STATE_ROOM_BYTES (256u << 10)
