/* SPDX-License-Identifier: Apache-2.0 */
/* RAM of a few pages, for who sends and receives pages on channels. */
#pragma once

#include "lib/chan/chan.h"
#include "lib/migrate/guest.h"

#define CHANNELS_PAGES 200u /* more than one packet holds */

struct channels_ram {
    struct ferry_ram *ram;
    struct ferry_ram_region *region;
    struct guest_ram guest;
};

void channels_ram_init(struct channels_ram *r);
void channels_ram_free(struct channels_ram *r);
static inline uint8_t *channels_page(struct channels_ram *r, uint64_t page)
{
    return ferry_ram_host(r->region) + page * WIRE_PAGE_BYTES;
}
/* All of the bytes, at once. */
void channels_send(struct ferry_chan *chan, const void *data, size_t n);
