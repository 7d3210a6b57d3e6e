/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A keyboard (virtio 1.2, section 5.8) with the one key that a server needs: power. The board has
 * no other button that Linux knows without ACPI. Key codes are Linux's (linux/input-event-codes.h).
 */
#include <errno.h>
#include <linux/input.h>
#include <string.h>

#include "base/err.h"
#include "base/num.h"
#include "vmm/dev/virtio/device.h"
#include "vmm/dev/virtio/state.h"

#define INPUT_QUEUE_NUM 64u
#define INPUT_TURN_MAX  64u /* of the status queue, which a driver fills as it likes */

enum { INPUT_EVENTS, INPUT_STATUS, INPUT_QUEUES };

/* The config space: the driver selects what it wants to read. */
enum { INPUT_SELECT, INPUT_SUBSEL, INPUT_SIZE, INPUT_DATA = 8, INPUT_CONFIG_BYTES = 40 };
enum {
    INPUT_CFG_ID_NAME = 0x01,
    INPUT_CFG_ID_DEVIDS = 0x03,
    INPUT_CFG_EV_BITS = 0x11,
};

struct virtio_input {
    struct virtio_dev v; /* first, and all */
};

static void config_say(struct virtio_dev *v, const void *data, size_t n)
{
    v->config[INPUT_SIZE] = (uint8_t)n;
    memcpy(v->config + INPUT_DATA, data, n);
}

/* What is selected; nothing, of size 0, for all else. */
static void input_config_get(struct virtio_dev *v)
{
    static const char name[] = "ferry power button";
    /* Little endian, as all of the config space: bus, vendor, product, version. */
    static const uint8_t ids[] = {BUS_VIRTUAL, 0, 0, 0, 1, 0, 1, 0};
    static const uint8_t keys[] = {[KEY_POWER / 8] = 1 << KEY_POWER % 8};
    uint8_t select = v->config[INPUT_SELECT], subsel = v->config[INPUT_SUBSEL];

    memset(v->config + INPUT_SIZE, 0, INPUT_CONFIG_BYTES - INPUT_SIZE);
    if (select == INPUT_CFG_ID_NAME && subsel == 0)
        config_say(v, name, sizeof(name) - 1);
    else if (select == INPUT_CFG_ID_DEVIDS && subsel == 0)
        config_say(v, ids, sizeof(ids));
    else if (select == INPUT_CFG_EV_BITS && subsel == EV_KEY)
        config_say(v, keys, sizeof(keys));
}

/* The two selectors are all that stays of what a driver writes. */
static void input_config_set(struct virtio_dev *v, uint32_t offset, uint32_t size_bytes)
{
    (void)v;
}

/* Keys have no lamps here: what a driver says of them is taken. */
static void input_status_kick(struct virtio_dev *v, uint32_t index)
{
    struct virtio_queue *q = &v->queues[index];
    uint32_t taken = 0;

    for (; taken < INPUT_TURN_MAX && virtqueue_pop(v, q, v->chain) > 0; taken++)
        virtqueue_push(v, q, v->chain->head, 0);
    virtqueue_want_kick(v, q, true);
    virtqueue_interrupt(v, q);
    if (virtqueue_available(v, q) > 0)
        virtio_kick_later(v, index);
}

static bool input_send(struct virtio_dev *v, uint16_t type, uint16_t code, uint32_t value)
{
    struct virtio_queue *q = &v->queues[INPUT_EVENTS];
    const uint8_t event[] = {(uint8_t)type,          (uint8_t)(type >> 8),  (uint8_t)code,
                             (uint8_t)(code >> 8),   (uint8_t)value,        (uint8_t)(value >> 8),
                             (uint8_t)(value >> 16), (uint8_t)(value >> 24)};
    size_t at = 0;

    if (virtqueue_pop(v, q, v->chain) <= 0)
        return false;
    for (uint32_t i = v->chain->out_count;
         at < sizeof(event) && i < v->chain->out_count + v->chain->in_count; i++) {
        size_t n = num_min(sizeof(event) - at, v->chain->iov[i].iov_len);

        memcpy(v->chain->iov[i].iov_base, event + at, n);
        at += n;
    }
    virtqueue_mark_written(v, v->chain, at);
    virtqueue_push(v, q, v->chain->head, (uint32_t)at);
    return true;
}

/* Down and up, each with the mark that ends a report; all of it or nothing. */
static bool input_press(struct virtio_dev *v, uint16_t key)
{
    struct virtio_queue *q = &v->queues[INPUT_EVENTS];
    bool sent;

    if (!v->started || v->broken || !virtqueue_ready(q) || virtqueue_available(v, q) < 4)
        return false;
    sent = input_send(v, EV_KEY, key, 1) && input_send(v, EV_SYN, SYN_REPORT, 0) &&
           input_send(v, EV_KEY, key, 0) && input_send(v, EV_SYN, SYN_REPORT, 0);
    virtqueue_interrupt(v, q);
    return sent;
}

static void input_post_load(void *obj)
{
    virtio_state_post_load(obj);
    virtio_state_rewind(obj);
}

static const struct ferry_field blob_fields[] = {
    VIRTIO_STATE_COMMON(struct virtio_input),
};
static const struct ferry_table blob_table = {
    VIRTIO_STATE_TABLE(blob_fields, virtio_state_check, input_post_load),
};
static const struct ferry_field input_fields[] = {
    FERRY_SELF(struct virtio_input, "virtio", &blob_table),
};
static const struct ferry_table input_table = {
    .name = "virtio-input",
    .version = 1,
    .minimum_version = 1,
    FERRY_FIELDS(input_fields),
};

static const struct virtio_queue_owner input_events = {0}; /* wait for a key */
static const struct virtio_queue_owner input_status = {.kick = input_status_kick};

static const struct virtio_type input_type = {
    .dev = VIRTIO_DEV("virtio-input", struct virtio_input, virtio_dev_destroy, &input_table),
    .device_id = 18,
    .config_get = input_config_get,
    .config_set = input_config_set,
};

static int input_new(struct dev **ret, const struct virtio_params *params, struct ferry_err *err)
{
    static const struct virtio_queue_spec queues[INPUT_QUEUES] = {
        [INPUT_EVENTS] = {INPUT_QUEUE_NUM, &input_events},
        [INPUT_STATUS] = {INPUT_QUEUE_NUM, &input_status},
    };
    struct virtio_dev *v;
    int rc;

    /* Drivers of it want version 1. */
    if (!params->place.modern)
        return err_set(err, EINVAL,
                       "virtio-keyboard-device needs -global virtio-mmio.force-legacy=off");
    rc = virtio_dev_new(&v, &input_type, params, 0, INPUT_CONFIG_BYTES, queues, INPUT_QUEUES, err);

    if (rc)
        return rc;
    virtio_dev_reset(&v->dev);
    *ret = &v->dev;
    return 0;
}

bool virtio_input_press_power(struct dev *d)
{
    return d->type == &input_type.dev && input_press((struct virtio_dev *)d, KEY_POWER);
}

static const struct prop input_props[] = {VIRTIO_PROPS, {0}};
static const struct config_virtio input_defaults = VIRTIO_DEFAULTS;

const struct virtio_kind virtio_keyboard_device = {
    .kind = {.name = "virtio-keyboard-device",
             .what = "keyboard",
             .bus = DEVICE_BUS_VIRTIO_MMIO,
             .props = input_props,
             .config_bytes = sizeof(input_defaults),
             .defaults = &input_defaults},
    .create = input_new,
};
