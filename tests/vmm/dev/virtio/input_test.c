/* SPDX-License-Identifier: Apache-2.0 */
/* The keyboard, seen as its driver sees it. */
#include "tests/unit.h"

#include <errno.h>
#include <linux/input.h>
#include <string.h>

#include "base/be.h"
#include "tests/vmm/dev/virtio/vrig.h"
#include "vmm/dev/virtio/device.h"
#include "vmm/dev/virtio/mmio.h"

#define BUFFERS_GPA (VRIG_RAM_GPA + 0x10000)
#define QUEUE_NUM   16u
enum { EVENTS, STATUS };

static int setup(void **state)
{
    struct vrig *r = vrig_new(false);
    struct ferry_err err;

    assert_int_equal(virtio_keyboard_device.create(&r->dev, &r->params, &err), 0);
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    vrig_free(*state);
    return 0;
}

/* Buffers of so many bytes for so many events. */
static void give(struct vrig *r, uint32_t count, uint32_t bytes)
{
    for (uint32_t i = 0; i < count; i++) {
        vring_desc(r, &r->rings[EVENTS], i, BUFFERS_GPA + 8 * i, bytes, DESC_WRITE, 0);
        vring_offer(r, &r->rings[EVENTS], (uint16_t)i);
    }
    vring_kick(r, &r->rings[EVENTS]);
}

static bool press(struct vrig *r)
{
    bool pressed;

    machine_lock(&r->lock);
    pressed = virtio_input_press_power(r->dev);
    machine_unlock(&r->lock);
    return pressed;
}

static void event_is(struct vrig *r, uint32_t i, uint16_t type, uint16_t code, uint32_t value)
{
    const uint8_t *event = vrig_mem(r, BUFFERS_GPA + 8 * i);

    assert_int_equal(le16_load(event), type);
    assert_int_equal(le16_load(event + 2), code);
    assert_int_equal(le32_load(event + 4), value);
}

static void select_config(struct vrig *r, uint8_t select, uint8_t subsel)
{
    vrig_write_size(r, VIRTIO_MMIO_R_CONFIG, 1, select);
    vrig_write_size(r, VIRTIO_MMIO_R_CONFIG + 1, 1, subsel);
}

static uint8_t config_at(struct vrig *r, uint32_t offset)
{
    return (uint8_t)vrig_read_size(r, VIRTIO_MMIO_R_CONFIG + offset, 1);
}

static void it_has_one_key(void **state)
{
    struct vrig *r = *state;

    assert_int_equal(vrig_read(r, VIRTIO_MMIO_R_DEVICE_ID), 18);
    select_config(r, 0x11, EV_KEY);
    assert_int_equal(config_at(r, 2), KEY_POWER / 8 + 1);
    for (uint32_t key = 0; key < 8 * config_at(r, 2); key++)
        assert_int_equal(config_at(r, 8 + key / 8) >> key % 8 & 1, key == KEY_POWER);
    select_config(r, 0x11, EV_REL);
    assert_int_equal(config_at(r, 2), 0);
    select_config(r, 0x01, 0);
    assert_int_equal(config_at(r, 2), strlen("ferry power button"));
    assert_int_equal(config_at(r, 8), 'f');
    select_config(r, 0x01, 1); /* there is one name */
    assert_int_equal(config_at(r, 2), 0);
    assert_int_equal(config_at(r, 8), 0);
}

static void what_is_not_a_selector_cannot_be_written(void **state)
{
    struct vrig *r = *state;

    select_config(r, 0x01, 0);
    for (uint32_t i = 2; i < 40; i++)
        vrig_write_size(r, VIRTIO_MMIO_R_CONFIG + i, 1, 0xff);
    assert_int_equal(config_at(r, 2), strlen("ferry power button"));
    assert_int_equal(config_at(r, 8), 'f');
    assert_int_equal(config_at(r, 39), 0);
}

static void the_key_goes_down_and_up(void **state)
{
    struct vrig *r = *state;

    vrig_start(r, 0, 2, QUEUE_NUM);
    give(r, 8, 8);
    for (uint32_t i = 0; i < 8; i += 4) {
        assert_true(press(r));
        assert_int_equal(vring_used(r, &r->rings[EVENTS]), i + 4);
        event_is(r, i, EV_KEY, KEY_POWER, 1);
        event_is(r, i + 1, EV_SYN, SYN_REPORT, 0);
        event_is(r, i + 2, EV_KEY, KEY_POWER, 0);
        event_is(r, i + 3, EV_SYN, SYN_REPORT, 0);
    }
    assert_true(r->irqs > 0);
}

/* A key that stayed down would be one that is held, which means something else. */
static void without_room_for_all_of_it_nothing_is_pressed(void **state)
{
    struct vrig *r = *state;

    assert_false(press(r)); /* no driver */
    vrig_start(r, 0, 2, QUEUE_NUM);
    assert_false(press(r)); /* which has given no buffers */
    give(r, 3, 8);
    assert_false(press(r));
    assert_int_equal(vring_used(r, &r->rings[EVENTS]), 0);
}

static void a_buffer_is_not_written_past_its_end(void **state)
{
    struct vrig *r = *state;

    vrig_start(r, 0, 2, QUEUE_NUM);
    memset(vrig_mem(r, BUFFERS_GPA), 0xee, 32);
    give(r, 4, 3);
    assert_true(press(r));
    for (uint32_t i = 0; i < 4; i++)
        for (uint32_t b = 3; b < 8; b++)
            assert_int_equal(vrig_mem(r, BUFFERS_GPA + 8 * i)[b], 0xee);
}

static void what_a_driver_says_of_lamps_is_taken(void **state)
{
    struct vrig *r = *state;

    vrig_start(r, 0, 2, QUEUE_NUM);
    for (uint32_t i = 0; i < 5; i++) {
        vring_desc(r, &r->rings[STATUS], i, BUFFERS_GPA, 8, 0, 0);
        vring_offer(r, &r->rings[STATUS], (uint16_t)i);
    }
    vring_kick(r, &r->rings[STATUS]);
    assert_int_equal(vring_used(r, &r->rings[STATUS]), 5);
    assert_false(vrig_broken(r));
}

static void a_transport_of_old_has_none(void **state)
{
    struct vrig *r = vrig_new(true);
    struct ferry_err err;

    assert_int_equal(virtio_keyboard_device.create(&r->dev, &r->params, &err), -EINVAL);
    assert_non_null(strstr(err.text, "force-legacy=off"));
    vrig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(it_has_one_key, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_not_a_selector_cannot_be_written, setup, teardown),
        cmocka_unit_test_setup_teardown(the_key_goes_down_and_up, setup, teardown),
        cmocka_unit_test_setup_teardown(without_room_for_all_of_it_nothing_is_pressed, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_buffer_is_not_written_past_its_end, setup, teardown),
        cmocka_unit_test(a_transport_of_old_has_none),
        cmocka_unit_test_setup_teardown(what_a_driver_says_of_lamps_is_taken, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
