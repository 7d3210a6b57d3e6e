/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A mapped-ram file, read by the receiver of a target. Input: the block list at the begin of a
 * file, with bitmaps and pages where the headers say, up to the end of the input. Nothing outside
 * of the file may be read, no page outside of its block be written (a guard page is behind each),
 * every end is one, and what is accepted is just what the bitmap and the file say.
 */
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/own.h"
#include "fuzz/fuzz.h"
#include "lib/migrate/receiver.h"
#include "lib/wire/stream_out.h"

#define BLOCKS 2u
/* Each step does some work; the file has no more than that. */
#define STEPS  4096u

struct target {
    struct ferry_ram *ram;
    struct guest_ram guest;
    struct ferry_chan *chan;
    struct stream_in *stream;
    struct receiver *receiver;
    int notify;
};

static void section_begins(struct target *t, const struct stream_section **section,
                           struct ferry_err *err)
{
    const struct wire_config config = {
        .machine_bytes = 3, .machine = "toy", .capabilities = WIRE_CAP_MAPPED_RAM};
    struct stream_item item;
    struct buf out = {0};

    FUZZ_CHECK(stream_in_new(&t->stream, err) == 0 && stream_put_header(&out, &config, err) == 0,
               "cannot begin");
    stream_put_section(&out, WIRE_SECTION_START, 1, WIRE_RAM_IDSTR, 0, WIRE_RAM_VERSION);
    FUZZ_CHECK(stream_in_feed(t->stream, out.data, out.len_bytes, err) == 0 &&
                   stream_in_next(t->stream, &item, err) == 1 &&
                   stream_in_next(t->stream, &item, err) == 1,
               "cannot begin");
    *section = item.section;
    buf_free(&out);
}

static void target_new(struct target *t, const uint8_t *data, size_t n)
{
    static const char *const names[BLOCKS] = {"a", "b"};
    static const uint64_t bytes[BLOCKS] = {0x3000, 0x1000};
    struct receiver_params params = {.rules = {.mapped_ram = true}, .mapped_channels = 1};
    const struct stream_section *section;
    struct ferry_ram_region *region;
    struct ferry_err err = {0};
    OWN_FD int fd = memfd_create("fuzz", MFD_CLOEXEC);

    *t = (struct target){.notify = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    FUZZ_CHECK(fd >= 0 && write(fd, data, n) == (ssize_t)n && lseek(fd, 0, SEEK_SET) == 0 &&
                   ferry_chan_from_fd(&t->chan, &fd, &err) == 0 &&
                   ferry_ram_new(&t->ram, &err) == 0,
               "no memory");
    for (size_t i = 0; i < BLOCKS; i++) {
        FUZZ_CHECK(ferry_ram_add(t->ram, names[i], bytes[i], &region, &err) == 0, "no memory");
        memset(ferry_ram_host(region), 0xee, bytes[i]);
    }
    FUZZ_CHECK(guest_ram_init(&t->guest, t->ram, false, &err) == 0, "no memory");
    guest_ram_find_backed(&t->guest);
    section_begins(t, &section, &err);
    params.chan = t->chan;
    params.stream = t->stream;
    params.guest = &t->guest;
    params.notify = t->notify;
    FUZZ_CHECK(receiver_new(&t->receiver, &params, &err) == 0 &&
                   receiver_begin(t->receiver, section, &err) == 0,
               "no receiver");
}

static void target_free(struct target *t)
{
    receiver_free(t->receiver);
    stream_in_free(t->stream);
    guest_ram_free(&t->guest);
    ferry_ram_free(t->ram);
    ferry_chan_free(t->chan);
    close(t->notify);
}

/* Pages are zeros or somewhere in the file; what this side had there before is gone. */
static void check_pages(const struct target *t, const uint8_t *data, size_t n)
{
    static const uint8_t zeros[WIRE_PAGE_BYTES];

    for (size_t i = 0; i < BLOCKS; i++)
        for (uint64_t page = 0; page < guest_ram_pages(&t->guest, i); page++) {
            const uint8_t *host = guest_ram_page(&t->guest, i, page * WIRE_PAGE_BYTES);

            FUZZ_CHECK(memcmp(host, zeros, WIRE_PAGE_BYTES) == 0 ||
                           memmem(data, n, host, WIRE_PAGE_BYTES),
                       "a page that is not the file's");
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct ferry_err err = {0};
    struct target t;
    unsigned steps = 0;
    int r;

    target_new(&t, data, n);
    while ((r = receiver_state(t.receiver, &err)) == RECEIVER_BUSY) {
        struct lane_want want = {.fd = -1, .until_ns = INT64_MAX};

        receiver_step(t.receiver, &want);
        FUZZ_CHECK(++steps < STEPS, "no end");
    }
    FUZZ_CHECK(r == RECEIVER_IDLE || err.text[0], "a refusal without a reason");
    if (r == RECEIVER_IDLE && receiver_has_list(t.receiver))
        check_pages(&t, data, n);
    target_free(&t);
    return 0;
}
