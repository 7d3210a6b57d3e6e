/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/wire/multifd.h"

#include <errno.h>
#include <string.h>

#include "base/be.h"
#include "base/err.h"
#include "base/text.h"

/* Where things are in a head. */
#define AT_FLAGS     8u
#define AT_ROOM      12u
#define AT_NORMAL    16u
#define AT_DATA      20u
#define AT_NUMBER    24u
#define AT_ZERO      32u
#define AT_BLOCK     64u
#define AT_OFFSETS   320u
/* As much as all packets, also those of other layouts, begin with. */
#define COMMON_BYTES 12u

/* --- Hello --- */

void multifd_put_hello(uint8_t out[static MULTIFD_HELLO_BYTES], const struct multifd_hello *hello)
{
    memset(out, 0, MULTIFD_HELLO_BYTES);
    be32_store(out, WIRE_MULTIFD_MAGIC);
    be32_store(out + 4, WIRE_MULTIFD_VERSION);
    memcpy(out + 8, hello->uuid, WIRE_UUID_BYTES);
    out[24] = hello->channel;
}

static int check_start(const uint8_t *in, struct ferry_err *err)
{
    uint32_t magic = be32_load(in), version = be32_load(in + 4);

    if (magic != WIRE_MULTIFD_MAGIC)
        return err_set(err, EINVAL,
                       "a multifd channel sends %08x, not %08x: something else connected, or the "
                       "bytes before were not what they said",
                       magic, WIRE_MULTIFD_MAGIC);
    if (version != WIRE_MULTIFD_VERSION)
        return err_set(err, EINVAL, "multifd version %u, only %u is known", version,
                       WIRE_MULTIFD_VERSION);
    return 0;
}

int multifd_get_hello(const uint8_t in[static MULTIFD_HELLO_BYTES],
                      const uint8_t uuid[static WIRE_UUID_BYTES], unsigned channels, bool *seen,
                      struct multifd_hello *ret, struct ferry_err *err)
{
    uint8_t id = in[24];
    int r = check_start(in, err);

    if (r < 0)
        return r;
    if (memcmp(in + 8, uuid, WIRE_UUID_BYTES) != 0)
        return err_set(err, EINVAL,
                       "multifd channel %u is of a VM with another UUID; give both the same -uuid",
                       id);
    if (id >= channels)
        return err_set(err, EINVAL,
                       "multifd channel %u, but there are %u here; set multifd-channels alike on "
                       "both sides",
                       id, channels);
    if (seen[id])
        return err_set(err, EINVAL, "multifd channel %u connected twice", id);
    seen[id] = true;
    memcpy(ret->uuid, in + 8, WIRE_UUID_BYTES);
    ret->channel = id;
    return 0;
}

/* --- Heads of packets --- */

const char *multifd_method_name(enum wire_multifd_method method)
{
    switch (method) {
    case WIRE_METHOD_NONE:
        return "none";
    case WIRE_METHOD_ZLIB:
        return "zlib";
    case WIRE_METHOD_ZSTD:
        return "zstd";
    case WIRE_METHOD_QPL:
        return "qpl";
    case WIRE_METHOD_UADK:
        return "uadk";
    case WIRE_METHOD_QATZIP:
        return "qatzip";
    }
    return "unknown";
}

void multifd_put_head(uint8_t out[static MULTIFD_HEAD_BYTES], const struct multifd_packet *p,
                      const struct ram_blocks *blocks)
{
    size_t pages = p->normal_count + p->zero_count;

    memset(out, 0, MULTIFD_HEAD_BYTES);
    be32_store(out, WIRE_MULTIFD_MAGIC);
    be32_store(out + 4, WIRE_MULTIFD_VERSION);
    be64_store(out + AT_NUMBER, p->number);
    if (p->sync) {
        be32_store(out + AT_FLAGS, WIRE_MULTIFD_SYNC);
        return;
    }
    be32_store(out + AT_FLAGS, (uint32_t)p->method);
    be32_store(out + AT_ROOM, WIRE_MULTIFD_PAGES);
    be32_store(out + AT_NORMAL, p->normal_count);
    be32_store(out + AT_DATA, p->data_bytes);
    be32_store(out + AT_ZERO, p->zero_count);
    if (pages != 0)
        memcpy(out + AT_BLOCK, blocks->at[p->block].name, strlen(blocks->at[p->block].name));
    for (size_t i = 0; i < pages; i++)
        be64_store(out + AT_OFFSETS + 8 * i, p->offsets[i]);
}

static int check_flags(uint32_t flags, enum wire_multifd_method method, struct ferry_err *err)
{
    enum wire_multifd_method theirs = flags & WIRE_MULTIFD_METHOD_MASK;

    if (flags & WIRE_MULTIFD_DEVICE_STATE)
        return err_set(err, EINVAL,
                       "a multifd packet with the state of a device, which no device here has");
    if (flags & ~((uint32_t)WIRE_MULTIFD_SYNC | WIRE_MULTIFD_METHOD_MASK))
        return err_set(err, EINVAL, "a multifd packet with unknown flags 0x%x", flags);
    /* A SYNC may carry the method's bits or not. */
    if (theirs != method && !(flags == WIRE_MULTIFD_SYNC))
        return err_set(err, EINVAL,
                       "a multifd packet compressed with %s (flags 0x%x), but here it is %s; set "
                       "multifd-compression alike on both sides",
                       multifd_method_name(theirs), flags, multifd_method_name(method));
    return 0;
}

static int get_counts(const uint8_t *in, struct multifd_packet *p, struct ferry_err *err)
{
    uint32_t room = be32_load(in + AT_ROOM);

    p->normal_count = be32_load(in + AT_NORMAL);
    p->zero_count = be32_load(in + AT_ZERO);
    if (room > WIRE_MULTIFD_PAGES)
        return err_set(err, EINVAL, "a multifd packet with room for %u pages, there are %u at most",
                       room, WIRE_MULTIFD_PAGES);
    if (p->normal_count > room || p->zero_count > room - p->normal_count)
        return err_set(err, EINVAL,
                       "a multifd packet of %u normal and %u zero pages has room for %u",
                       p->normal_count, p->zero_count, room);
    return 0;
}

static int check_data(const struct multifd_packet *p, struct ferry_err *err)
{
    uint32_t plain_bytes = p->normal_count * WIRE_PAGE_BYTES;
    bool plain = p->method == WIRE_METHOD_NONE;

    if (p->normal_count == 0 ? p->data_bytes != 0 : plain && p->data_bytes != plain_bytes)
        return err_set(err, EINVAL, "a multifd packet of %u pages with %u bytes of data, not %u",
                       p->normal_count, p->data_bytes, plain_bytes);
    if (p->data_bytes > WIRE_MULTIFD_DATA_MAX_BYTES)
        return err_set(err, EINVAL,
                       "a multifd packet of %u pages with %u bytes of data, %u are the most",
                       p->normal_count, p->data_bytes, WIRE_MULTIFD_DATA_MAX_BYTES);
    if (p->normal_count != 0 && p->data_bytes == 0)
        return err_set(err, EINVAL, "a multifd packet of %u pages without data", p->normal_count);
    return 0;
}

static int get_pages(const uint8_t *in, const struct ram_blocks *blocks, struct multifd_packet *p,
                     struct ferry_err *err)
{
    const uint8_t *name = in + AT_BLOCK, *end = memchr(name, 0, WIRE_RAM_BLOCK_NAME_BYTES);
    size_t name_bytes = end ? (size_t)(end - name) : WIRE_RAM_BLOCK_NAME_BYTES;
    char text[TEXT_NAME_BYTES];
    int block, r;

    if (!end)
        return err_set(err, EINVAL, "a multifd packet for RAM block \"%s\"...: no end of the name",
                       text_name(text, name, name_bytes));
    block = ram_find(blocks, name, name_bytes);
    if (block < 0)
        return err_set(err, EINVAL, "a multifd packet for RAM block \"%s\", which does not exist",
                       text_name(text, name, name_bytes));
    p->block = (size_t)block;
    for (size_t i = 0; i < p->normal_count + p->zero_count; i++) {
        p->offsets[i] = be64_load(in + AT_OFFSETS + 8 * i);
        r = ram_check_page(&blocks->at[block], p->offsets[i], err);
        if (r < 0)
            return r;
    }
    return 0;
}

int multifd_get_head(const uint8_t *in, size_t n, enum wire_multifd_method method,
                     const struct ram_blocks *blocks, struct multifd_packet *p,
                     struct ferry_err *err)
{
    uint32_t flags;
    int r;

    if (n < COMMON_BYTES)
        return 0;
    flags = be32_load(in + AT_FLAGS);
    r = check_start(in, err);
    if (r == 0)
        r = check_flags(flags, method, err);
    if (r < 0 || n < MULTIFD_HEAD_BYTES)
        return r;
    p->sync = flags & WIRE_MULTIFD_SYNC;
    p->method = method;
    p->number = be64_load(in + AT_NUMBER);
    p->data_bytes = be32_load(in + AT_DATA);
    r = get_counts(in, p, err);
    if (r == 0)
        r = check_data(p, err);
    /* A sender older than 9.0 puts pages into its SYNC; then their method has to be said. */
    if (r == 0 && p->normal_count != 0 && (flags & WIRE_MULTIFD_METHOD_MASK) != (uint32_t)method)
        return err_set(err, EINVAL, "a multifd SYNC with pages that are not packed with %s",
                       multifd_method_name(method));
    if (r == 0 && p->normal_count + p->zero_count != 0)
        r = get_pages(in, blocks, p, err);
    return r < 0 ? r : 1;
}

/* --- Epochs --- */

void multifd_epochs_init(struct multifd_epochs *e, unsigned channels)
{
    *e = (struct multifd_epochs){.channels = channels};
}

int multifd_epochs_packet(struct multifd_epochs *e, unsigned channel, bool sync, bool with_pages,
                          struct ferry_err *err)
{
    if (e->syncs[channel] > e->marks)
        return err_set(err, EPROTO,
                       "multifd channel %u sends on behind SYNC %llu, whose mark did not come on "
                       "the main channel; set multifd-flush-after-each-section alike on both "
                       "sides",
                       channel, (unsigned long long)e->syncs[channel]);
    if (e->syncs[channel] == 0 && with_pages)
        return err_set(err, EPROTO, "multifd channel %u begins with pages, not with a SYNC",
                       channel);
    e->syncs[channel] += sync;
    e->open[channel] = !sync && (e->open[channel] || with_pages);
    return 0;
}

int multifd_epochs_mark(struct multifd_epochs *e)
{
    for (unsigned i = 0; i < e->channels; i++) {
        if (e->syncs[i] <= e->marks)
            return 0;
    }
    e->marks++;
    return 1;
}

int multifd_epochs_end(const struct multifd_epochs *e, struct ferry_err *err)
{
    for (unsigned i = 0; i < e->channels; i++) {
        if (e->syncs[i] != e->marks)
            return err_set(err, EPROTO,
                           "RAM ends with %llu sync marks on the main channel and %llu on multifd "
                           "channel %u; set multifd-flush-after-each-section alike on both sides",
                           (unsigned long long)e->marks, (unsigned long long)e->syncs[i], i);
    }
    for (unsigned i = 0; i < e->channels; i++) {
        if (e->open[i])
            return err_set(err, EPROTO, "channel %u sends on behind the end of RAM", i);
    }
    return 0;
}
