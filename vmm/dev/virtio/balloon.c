/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory balloon (virtio 1.2, section 5.5): pages that the guest does without, which then take no
 * memory of the host until they are touched again. How many they shall be the operator says; how
 * many they are, the driver. With free-page-reporting it also says which pages nobody uses.
 *
 * Whatever a driver says of its own memory is its own loss: a page it gives up reads as zeroes. It
 * costs the host a system call, so what one turn does is bounded.
 */
#include <errno.h>
#include <string.h>

#include "base/be.h"
#include "base/err.h"
#include "base/num.h"
#include "vmm/dev/virtio/device.h"
#include "vmm/dev/virtio/state.h"
#include "vmm/machine/guestmem.h"

enum { BALLOON_INFLATE, BALLOON_DEFLATE, BALLOON_STATS, BALLOON_REPORTING, BALLOON_QUEUES };

#define BALLOON_QUEUE_NUM     128u
#define BALLOON_REPORTING_NUM 32u
/* Pages are of this size whatever the host's are. */
#define BALLOON_PAGE_BITS     12u
#define BALLOON_PAGE_BYTES    (1u << BALLOON_PAGE_BITS)
/* Of one request: what Linux sends at most, each page a number of 32 bits. */
#define BALLOON_REQUEST_PAGES 256u
/* What is reported beyond it stays with the guest: Linux reports 32 times 2 MiB. */
#define BALLOON_REPORT_BYTES  (UINT64_C(64) << 20)
#define BALLOON_TURN_REQUESTS 2u

#define BALLOON_F_STATS_VQ       1
#define BALLOON_F_DEFLATE_ON_OOM 2
#define BALLOON_F_PAGE_POISON    4
#define BALLOON_F_REPORTING      5

/* The config space. Between them is what free page hints need. */
enum {
    BALLOON_CONFIG_WANTED = 0,
    BALLOON_CONFIG_ACTUAL = 4,
    BALLOON_CONFIG_POISON = 12,
    BALLOON_CONFIG_BYTES = 16,
};

struct virtio_balloon {
    struct virtio_dev v; /* first */
    uint32_t wanted;     /* pages, by the operator */
    uint32_t actual;     /* pages, by the driver */
    uint32_t poison;     /* what the guest finds in free pages; not zero: it expects that */
    void (*on_change)(void *arg);
    void *arg;
    struct bell *change_bell;
};

static struct virtio_balloon *balloon_of(struct virtio_dev *v)
{
    return (struct virtio_balloon *)v;
}

/* --- Config space --- */

static void balloon_config_get(struct virtio_dev *v)
{
    const struct virtio_balloon *b = balloon_of(v);

    le32_store(v->config + BALLOON_CONFIG_WANTED, b->wanted);
    le32_store(v->config + BALLOON_CONFIG_ACTUAL, b->actual);
    le32_store(v->config + BALLOON_CONFIG_POISON, b->poison);
}

static void balloon_config_set(struct virtio_dev *v, uint32_t offset, uint32_t size_bytes)
{
    struct virtio_balloon *b = balloon_of(v);
    uint32_t actual = le32_load(v->config + BALLOON_CONFIG_ACTUAL);

    (void)offset;
    (void)size_bytes;
    if (virtio_has(v, BALLOON_F_PAGE_POISON))
        b->poison = le32_load(v->config + BALLOON_CONFIG_POISON);
    if (actual == b->actual)
        return;
    b->actual = actual;
    bell_ring(b->change_bell);
}

static void balloon_changed(void *arg)
{
    struct virtio_balloon *b = arg;

    b->on_change(b->arg);
}

/* --- Queues --- */

/* A run of pages; where there is no RAM nothing happens. */
static void balloon_release(struct virtio_dev *v, uint64_t first_page, uint64_t count)
{
    (void)guestmem_discard(v->dev.env->mem, first_page << BALLOON_PAGE_BITS,
                           count << BALLOON_PAGE_BITS);
}

/* Of a request, what lies in its first parts, as many as there is room for. */
static size_t balloon_gather(const struct virtio_chain *chain, uint8_t *to, size_t room)
{
    size_t taken = 0;

    for (uint32_t i = 0; i < chain->out_count && taken < room; i++) {
        size_t n = num_min(room - taken, chain->iov[i].iov_len);

        memcpy(to + taken, chain->iov[i].iov_base, n);
        taken += n;
    }
    return taken;
}

static void balloon_inflate(struct virtio_dev *v, const struct virtio_chain *chain)
{
    uint8_t raw[BALLOON_REQUEST_PAGES * 4];
    size_t pages = balloon_gather(chain, raw, sizeof(raw)) / 4;
    size_t at = 0;

    while (at < pages) {
        uint32_t first = le32_load(raw + 4 * at);
        uint32_t count = 1;

        while (++at < pages && le32_load(raw + 4 * at) == first + count)
            count++;
        balloon_release(v, first, count);
    }
}

/* Pages come back by being touched. */
static void balloon_deflate(struct virtio_dev *v, const struct virtio_chain *chain)
{
    (void)v;
    (void)chain;
}

static void balloon_report(struct virtio_dev *v, const struct virtio_chain *chain)
{
    uint64_t left = BALLOON_REPORT_BYTES;

    if (balloon_of(v)->poison)
        return;
    for (uint32_t i = chain->out_count; left && i < chain->out_count + chain->in_count; i++) {
        uint64_t bytes = num_min(left, chain->iov[i].iov_len);
        uint64_t first = num_align_up(chain->gpa[i], BALLOON_PAGE_BYTES) >> BALLOON_PAGE_BITS;
        uint64_t end = (chain->gpa[i] + bytes) >> BALLOON_PAGE_BITS;

        if (end > first)
            balloon_release(v, first, end - first);
        left -= bytes;
    }
}

static void balloon_serve(struct virtio_dev *v, uint32_t index,
                          void (*serve)(struct virtio_dev *, const struct virtio_chain *))
{
    struct virtio_queue *q = &v->queues[index];

    for (uint32_t i = 0; i < BALLOON_TURN_REQUESTS && virtqueue_pop(v, q, v->chain) > 0; i++) {
        serve(v, v->chain);
        virtqueue_push(v, q, v->chain->head, 0);
    }
    virtqueue_want_kick(v, q, true);
    virtqueue_interrupt(v, q);
    /* More than a turn, or one that came before the wish was visible. */
    if (virtqueue_available(v, q) > 0)
        virtio_kick_later(v, index);
}

static void inflate_kick(struct virtio_dev *v, uint32_t index)
{
    balloon_serve(v, index, balloon_inflate);
}

static void deflate_kick(struct virtio_dev *v, uint32_t index)
{
    balloon_serve(v, index, balloon_deflate);
}

static void report_kick(struct virtio_dev *v, uint32_t index)
{
    balloon_serve(v, index, balloon_report);
}

/* --- State --- */

static bool poison_needed(const void *obj)
{
    const struct virtio_balloon *b = obj;

    return virtio_has(&b->v, BALLOON_F_PAGE_POISON);
}

static const struct ferry_field poison_fields[] = {
    FERRY_U32(struct virtio_balloon, poison, .wire_name = "poison_val"),
};
static const struct ferry_table poison_table = {
    .name = "virtio-balloon-device/page-poison",
    .version = 1,
    .minimum_version = 1,
    .needed = poison_needed,
    FERRY_FIELDS(poison_fields),
};
static const struct ferry_table *const device_subsections[] = {&poison_table, NULL};
static const struct ferry_field device_fields[] = {
    FERRY_U32(struct virtio_balloon, wanted, .wire_name = "num_pages"),
    FERRY_U32(struct virtio_balloon, actual),
};
static const struct ferry_table device_table = {
    .name = "virtio-balloon-device",
    .version = 1,
    .minimum_version = 1,
    FERRY_FIELDS(device_fields),
    .subsections = device_subsections,
};

static void balloon_pre_load(void *scratch)
{
    virtio_state_pre_load(scratch);
    ((struct virtio_balloon *)scratch)->poison = 0;
}

static void balloon_post_load(void *obj)
{
    virtio_state_post_load(obj);
    virtio_state_rewind(obj);
}

static const struct ferry_field blob_fields[] = {
    VIRTIO_STATE_COMMON(struct virtio_balloon),
    FERRY_SELF(struct virtio_balloon, "device", &device_table),
};
static const struct ferry_table blob_table = {
    .name = "virtio",
    .version = 1,
    .minimum_version = 1,
    FERRY_FIELDS(blob_fields),
    .subsections = virtio_subsections,
    .pre_save = virtio_state_pre_save,
    .pre_load = balloon_pre_load,
    .check = virtio_state_check,
    .post_load = balloon_post_load,
};
static const struct ferry_field balloon_fields[] = {
    FERRY_SELF(struct virtio_balloon, "virtio", &blob_table),
};
static const struct ferry_table balloon_table = {
    .name = "virtio-balloon",
    .version = 1,
    .minimum_version = 1,
    FERRY_FIELDS(balloon_fields),
};

/* --- Life --- */

/* What the balloon holds stays: the driver says anew what it has when it begins. */
static void balloon_reset(struct virtio_dev *v)
{
    balloon_of(v)->poison = 0;
}

static void balloon_destroy(struct dev *d)
{
    struct virtio_balloon *b = (struct virtio_balloon *)d;

    bell_free(b->change_bell);
    virtio_dev_destroy(d);
}

static const struct virtio_queue_owner inflate_owner = {.kick = inflate_kick, .slow = true};
static const struct virtio_queue_owner deflate_owner = {.kick = deflate_kick};
static const struct virtio_queue_owner report_owner = {.kick = report_kick, .slow = true};
/* The driver leaves a buffer there, and fills it anew whenever it gets it back. */
static const struct virtio_queue_owner stats_owner = {0};

static const struct virtio_type balloon_type = {
    .dev = VIRTIO_DEV("virtio-balloon", struct virtio_balloon, balloon_destroy, &balloon_table),
    .device_id = 5,
    .config_get = balloon_config_get,
    .config_set = balloon_config_set,
    .reset = balloon_reset,
};

static int balloon_new(struct dev **ret, const struct virtio_params *params, struct ferry_err *err)
{
    static const struct virtio_queue_spec queues[BALLOON_QUEUES] = {
        [BALLOON_INFLATE] = {BALLOON_QUEUE_NUM, &inflate_owner},
        [BALLOON_DEFLATE] = {BALLOON_QUEUE_NUM, &deflate_owner},
        [BALLOON_STATS] = {BALLOON_QUEUE_NUM, &stats_owner},
        [BALLOON_REPORTING] = {BALLOON_REPORTING_NUM, &report_owner},
    };
    const struct config_balloon *config = (const struct config_balloon *)params->config;
    uint64_t features = VIRTIO_BIT(BALLOON_F_STATS_VQ);
    struct virtio_balloon *b;
    struct virtio_dev *v;
    int rc;

    features |= config->deflate_on_oom ? VIRTIO_BIT(BALLOON_F_DEFLATE_ON_OOM) : 0;
    features |= config->page_poison ? VIRTIO_BIT(BALLOON_F_PAGE_POISON) : 0;
    features |= config->free_page_reporting ? VIRTIO_BIT(BALLOON_F_REPORTING) : 0;
    rc = virtio_dev_new(&v, &balloon_type, params, features,
                        config->page_poison ? BALLOON_CONFIG_BYTES : BALLOON_CONFIG_ACTUAL + 4,
                        queues, config->free_page_reporting ? BALLOON_QUEUES : BALLOON_REPORTING,
                        err);
    if (rc)
        return rc;
    b = balloon_of(v);
    b->on_change = params->on_balloon_change;
    b->arg = params->arg;
    rc = bell_new(&b->change_bell, params->env->loop, balloon_changed, b, err);
    if (rc) {
        dev_free(&v->dev);
        return rc;
    }
    virtio_dev_reset(&v->dev);
    *ret = &v->dev;
    return 0;
}

bool virtio_balloon_set(struct dev *d, uint64_t bytes)
{
    struct virtio_dev *v = (struct virtio_dev *)d;

    if (d->type != &balloon_type.dev)
        return false;
    balloon_of(v)->wanted = (uint32_t)num_min(bytes >> BALLOON_PAGE_BITS, UINT32_MAX);
    virtio_config_changed(v);
    return true;
}

bool virtio_balloon_get(const struct dev *d, uint64_t *ret_bytes)
{
    if (d->type != &balloon_type.dev)
        return false;
    *ret_bytes = (uint64_t)((const struct virtio_balloon *)d)->actual << BALLOON_PAGE_BITS;
    return true;
}

/* --- As a kind --- */

#define BALLOON(name_, member)                                                               \
    {                                                                                        \
        .name = name_, .kind = PROP_BOOL, .offset = offsetof(struct config_balloon, member), \
        .whose = OF_GUEST, .is_compared = true                                               \
    }
static const struct prop balloon_props[] = {
    VIRTIO_PROPS,
    BALLOON("deflate-on-oom", deflate_on_oom),
    BALLOON("free-page-reporting", free_page_reporting),
    BALLOON("page-poison", page_poison),
    {0},
};
#undef BALLOON
static const struct config_balloon balloon_defaults = {.virtio = VIRTIO_DEFAULTS,
                                                       .page_poison = true};

const struct virtio_kind virtio_balloon_device = {
    .kind = {.name = "virtio-balloon-device",
             .what = "balloon",
             .bus = DEVICE_BUS_VIRTIO_MMIO,
             .only_one = "Only one balloon device is supported",
             .props = balloon_props,
             .config_bytes = sizeof(balloon_defaults),
             .defaults = &balloon_defaults},
    .create = balloon_new,
};
