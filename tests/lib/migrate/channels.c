/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include "tests/lib/migrate/channels.h"

void channels_ram_init(struct channels_ram *r)
{
    struct ferry_err err;

    *r = (struct channels_ram){0};
    assert_int_equal(ferry_ram_new(&r->ram, &err), 0);
    assert_int_equal(
        ferry_ram_add(r->ram, "ram", CHANNELS_PAGES * WIRE_PAGE_BYTES, &r->region, &err), 0);
    assert_int_equal(guest_ram_init(&r->guest, r->ram, false, &err), 0);
    r->guest.at[0].listed = true; /* by the main channel */
}

void channels_ram_free(struct channels_ram *r)
{
    guest_ram_free(&r->guest);
    ferry_ram_free(r->ram);
}

void channels_send(struct ferry_chan *chan, const void *data, size_t n)
{
    struct iovec iov = {.iov_base = (void *)(uintptr_t)data, .iov_len = n};
    struct ferry_err err;

    assert_int_equal(chan_send(chan, &iov, 1, &err), n);
}
