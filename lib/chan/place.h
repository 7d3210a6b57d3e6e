/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A channel that is a regular file (traits.seekable) has places, besides the stream: bytes can be
 * written and read anywhere, from several threads at once, and the stream can go on elsewhere.
 */
#pragma once

#include "lib/chan/chan.h"

/* Where the next byte of the stream is. The stream's owner. */
int chan_position(const struct ferry_chan *c, uint64_t *ret_bytes,
                  struct ferry_err *err) FERRY_MUST_CHECK;
int chan_go_to(struct ferry_chan *c, uint64_t position_bytes,
               struct ferry_err *err) FERRY_MUST_CHECK;
/* Of the file. */
int chan_file_bytes(const struct ferry_chan *c, uint64_t *ret,
                    struct ferry_err *err) FERRY_MUST_CHECK;

/* All n bytes, or -errno. Any thread; the stream stays where it is. */
int chan_write_at(const struct ferry_chan *c, const void *data, size_t n, uint64_t position_bytes,
                  struct ferry_err *err) FERRY_MUST_CHECK;
int chan_read_at(const struct ferry_chan *c, void *data, size_t n, uint64_t position_bytes,
                 struct ferry_err *err) FERRY_MUST_CHECK;

/*
 * What was written there (n 0: to the end) goes to the disk from now on, so that chan_finish() has
 * less to wait for. A wish.
 */
void chan_flush_at(const struct ferry_chan *c, size_t n, uint64_t position_bytes);

/*
 * The same file once more, past the host's page cache (O_DIRECT): memory, places and lengths must
 * be those of whole pages. A sentence if the file system has no such thing.
 */
int chan_open_direct(struct ferry_chan **ret, const struct ferry_chan *c,
                     struct ferry_err *err) FERRY_MUST_CHECK;
