/* SPDX-License-Identifier: Apache-2.0 */
/* What every virtio device has in common, seen through one that only notes what it is asked. */
#include "tests/unit.h"

#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "lib/state/state.h"
#include "tests/vmm/dev/virtio/vrig.h"
#include "vmm/dev/virtio/device.h"
#include "vmm/dev/virtio/mmio.h"
#include "vmm/dev/virtio/setup.h"
#include "vmm/dev/virtio/state.h"

#define RING_RESET VIRTIO_BIT(VIRTIO_F_RING_RESET)

enum { PROBE_OWN, PROBE_LENT, PROBE_SILENT, PROBE_QUEUES };

struct probe {
    struct virtio_dev v; /* first */
    unsigned kicked[PROBE_QUEUES], lent_kicked[PROBE_QUEUES];
    unsigned cancelled[PROBE_QUEUES];
    unsigned forgotten[PROBE_QUEUES];
    unsigned interrupted[PROBE_QUEUES], config_interrupts;
    uint16_t config_vector; /* a register of a transport with messages */
};

static void own_kick(struct virtio_dev *v, uint32_t index)
{
    ((struct probe *)v)->kicked[index]++;
}

static void own_cancel(struct virtio_dev *v, uint32_t index)
{
    ((struct probe *)v)->cancelled[index]++;
}

static void own_reset(struct virtio_dev *v, uint32_t index)
{
    ((struct probe *)v)->forgotten[index]++;
}

static void lent_kick(struct virtio_dev *v, uint32_t index)
{
    ((struct probe *)v)->lent_kicked[index]++;
}

static const struct virtio_queue_owner own = {
    .kick = own_kick,
    .cancel = own_cancel,
    .reset = own_reset,
};
static const struct virtio_queue_owner lent = {.kick = lent_kick};
static const struct virtio_queue_owner silent = {0};

static int probe_fact(const struct virtio_dev *v, size_t index, struct ferry_fact *ret)
{
    if (index > 0)
        return -ENOENT;
    strcpy(ret->name, "depth");
    strcpy(ret->value, "7 m");
    return 0;
}

/* The state of a transport as PCI's is: a register first, and one behind each queue. */
static const struct ferry_field vector_fields[] = {
    FERRY_U32(struct virtio_queue, num, .max = VIRTIO_QUEUE_NUM_MAX),
    FERRY_U64(struct virtio_queue, desc_gpa), FERRY_U16(struct virtio_queue, last_avail),
    FERRY_U16(struct virtio_queue, reg_num), /* for want of a vector */
};
static const struct ferry_table vector_table = {
    .name = "queue",
    .version = 1,
    .minimum_version = 1,
    FERRY_FIELDS(vector_fields),
};
static const struct ferry_field message_fields[] = {
    FERRY_U16(struct probe, config_vector),
    VIRTIO_STATE_FIELDS(&vector_table),
};
static const struct ferry_table message_table = {
    .name = "messages",
    .version = 1,
    .minimum_version = 1,
    FERRY_FIELDS(message_fields),
};

static const struct virtio_transport messages;

static bool has_messages(const void *obj, uint32_t version)
{
    return ((const struct virtio_dev *)obj)->transport == &messages;
}

static bool has_line(const void *obj, uint32_t version)
{
    return !has_messages(obj, version);
}

static const struct ferry_field probe_fields[] = {
    FERRY_SELF(struct probe, "common", &virtio_mmio_common_table, .present = has_line),
    FERRY_SELF(struct probe, "messages", &message_table, .present = has_messages),
};
static const struct ferry_table probe_table = {
    VIRTIO_STATE_TABLE(probe_fields, virtio_state_check, virtio_state_post_load),
};

static const struct virtio_type probe_type = {
    .dev = VIRTIO_DEV("probe", struct probe, virtio_dev_destroy, &probe_table),
    .device_id = 1,
    .fact_at = probe_fact,
};

static struct probe *probe_new(struct vrig *r)
{
    static const struct virtio_queue_spec queues[PROBE_QUEUES] = {
        [PROBE_OWN] = {8, &own},
        [PROBE_LENT] = {16, &lent},
        [PROBE_SILENT] = {4, &silent},
    };
    struct virtio_dev *v;
    struct ferry_err err;
    int rc = virtio_dev_new(&v, &probe_type, &r->params, 0, 0, queues, PROBE_QUEUES, &err);

    assert_int_equal(rc, 0);
    virtio_dev_reset(&v->dev);
    r->dev = &v->dev;
    return (struct probe *)v;
}

static int setup(void **state)
{
    struct vrig *r = vrig_new(false);

    probe_new(r);
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    vrig_free(*state);
    return 0;
}

/* --- Owners of queues --- */

static void a_kick_reaches_the_owner_of_its_queue(void **state)
{
    struct vrig *r = *state;
    struct probe *p = (struct probe *)r->dev;

    vrig_start(r, 0, PROBE_QUEUES, 4);
    /* DRIVER_OK is a kick for each. */
    assert_int_equal(p->kicked[PROBE_OWN], 1);
    assert_int_equal(p->lent_kicked[PROBE_LENT], 1);
    vring_kick(r, &r->rings[PROBE_LENT]);
    vring_kick(r, &r->rings[PROBE_LENT]);
    vring_kick(r, &r->rings[PROBE_OWN]);
    vring_kick(r, &r->rings[PROBE_SILENT]); /* whose owner waits for something else */
    assert_int_equal(p->kicked[PROBE_OWN], 2);
    assert_int_equal(p->lent_kicked[PROBE_LENT], 3);
    assert_int_equal(p->kicked[PROBE_LENT] + p->kicked[PROBE_SILENT], 0);
    assert_int_equal(p->lent_kicked[PROBE_OWN] + p->lent_kicked[PROBE_SILENT], 0);
}

static void reset_queue(struct vrig *r, uint32_t index)
{
    vrig_write(r, VIRTIO_MMIO_R_QUEUE_SEL, index);
    vrig_write(r, VIRTIO_MMIO_R_QUEUE_RESET, 1);
}

/* Whoever has the ring is asked to come to an end with it, and the queue is reset when he has. */
static void a_reset_queue_waits_for_its_owner_alone(void **state)
{
    struct vrig *r = *state;
    struct probe *p = (struct probe *)r->dev;

    vrig_start(r, RING_RESET, PROBE_QUEUES, 4);
    machine_lock(&r->lock);
    virtio_inflight_add(&p->v, PROBE_OWN);
    virtio_inflight_add(&p->v, PROBE_LENT);
    machine_unlock(&r->lock);
    reset_queue(r, PROBE_SILENT);
    assert_int_equal(vrig_read(r, VIRTIO_MMIO_R_QUEUE_RESET), 0);
    reset_queue(r, PROBE_OWN);
    assert_int_equal(vrig_read(r, VIRTIO_MMIO_R_QUEUE_RESET), 1);
    assert_int_equal(p->cancelled[PROBE_OWN], 1);
    assert_int_equal(p->forgotten[PROBE_OWN], 0);
    machine_lock(&r->lock);
    virtio_inflight_done(&p->v, PROBE_OWN);
    machine_unlock(&r->lock);
    assert_int_equal(vrig_read(r, VIRTIO_MMIO_R_QUEUE_RESET), 0);
    assert_int_equal(p->forgotten[PROBE_OWN], 1);
    assert_int_equal(p->v.inflight, 1);
    /* It is the same owner's when it is set up again. */
    vrig_queue(r, PROBE_OWN, 4);
    vring_kick(r, &r->rings[PROBE_OWN]);
    assert_int_equal(p->kicked[PROBE_OWN], 2);
    machine_lock(&r->lock);
    virtio_inflight_done(&p->v, PROBE_LENT);
    machine_unlock(&r->lock);
}

static void a_reset_of_the_device_waits_for_all_owners(void **state)
{
    struct vrig *r = *state;
    struct probe *p = (struct probe *)r->dev;

    vrig_start(r, 0, PROBE_QUEUES, 4);
    machine_lock(&r->lock);
    virtio_inflight_add(&p->v, PROBE_OWN);
    virtio_inflight_add(&p->v, PROBE_LENT);
    machine_unlock(&r->lock);
    assert_int_equal(vrig_try_write(r, VIRTIO_MMIO_R_STATUS, 0), -EAGAIN);
    assert_int_equal(p->cancelled[PROBE_OWN], 1);
    machine_lock(&r->lock);
    virtio_inflight_done(&p->v, PROBE_OWN);
    machine_unlock(&r->lock);
    assert_int_not_equal(vrig_read(r, VIRTIO_MMIO_R_STATUS), 0);
    machine_lock(&r->lock);
    virtio_inflight_done(&p->v, PROBE_LENT);
    machine_unlock(&r->lock);
    assert_int_equal(vrig_read(r, VIRTIO_MMIO_R_STATUS), 0);
}

/* --- Interrupts --- */

/* As messages: each queue has its own. */
static void note_queue(struct virtio_dev *v, uint32_t index)
{
    ((struct probe *)v)->interrupted[index]++;
}

static void note_config(struct virtio_dev *v)
{
    ((struct probe *)v)->config_interrupts++;
}

static void nothing(struct virtio_dev *v)
{
}

static const struct virtio_transport messages = {
    .reset = nothing,
    .interrupt_queue = note_queue,
    .interrupt_config = note_config,
    .update_line = nothing,
};

static void an_interrupt_says_whose_it_is(void **state)
{
    struct vrig *r = *state;
    struct probe *p = (struct probe *)r->dev;
    struct virtio_queue *q = &p->v.queues[PROBE_LENT];
    int lines;

    vrig_start(r, 0, PROBE_QUEUES, 4);
    lines = r->irqs;
    vring_desc(r, &r->rings[PROBE_LENT], 0, VRIG_RAM_GPA, 8, DESC_WRITE, 0);
    vring_offer(r, &r->rings[PROBE_LENT], 0);
    machine_lock(&r->lock);
    p->v.transport = &messages;
    assert_int_equal(virtqueue_pop(&p->v, q, p->v.chain), 1);
    virtqueue_push(&p->v, q, p->v.chain->head, 0);
    virtqueue_interrupt(&p->v, q);
    virtqueue_interrupt(&p->v, q); /* nothing new */
    assert_int_equal(p->v.isr, VIRTIO_ISR_QUEUE);
    virtio_interrupt(&p->v, PROBE_OWN);
    assert_int_equal(p->config_interrupts, 0);
    virtio_config_changed(&p->v);
    assert_int_equal(p->v.isr, VIRTIO_ISR_QUEUE | VIRTIO_ISR_CONFIG);
    machine_unlock(&r->lock);
    assert_int_equal(p->interrupted[PROBE_LENT], 1);
    assert_int_equal(p->interrupted[PROBE_OWN], 1);
    assert_int_equal(p->interrupted[PROBE_SILENT], 0);
    assert_int_equal(p->config_interrupts, 1);
    assert_int_equal(r->irqs, lines);
}

/* --- Places --- */

static struct vrig *elsewhere(void)
{
    static const struct virtio_place place = {
        .transport = &messages,
        .path = "0000:00:02.0:00.0",
        .where = "slot 0 of pci.1",
        .modern = true,
    };
    struct vrig *r = vrig_new(false);

    r->params.place = place;
    probe_new(r);
    return r;
}

static void its_place_names_a_device(void **state)
{
    struct vrig *r = elsewhere();
    struct probe *p = (struct probe *)r->dev;
    struct ferry_fact fact;

    assert_string_equal(p->v.dev.idstr, "0000:00:02.0:00.0/probe");
    assert_int_equal(virtio_part_ops.fact_at(p, 0, &fact), 0);
    assert_string_equal(fact.name, "network card on slot 0 of pci.1: depth");
    assert_int_equal(virtio_part_ops.fact_at(p, 1, &fact), -ENOENT);
    /* Its registers are the transport's, and that one has none on the bus. */
    assert_int_equal(p->v.dev.region.size_bytes, 0);
    vrig_free(r);
}

static void each_transport_has_its_place_in_the_state(void **state)
{
    static const uint8_t expected[] = {
        0x12, 0x34,                                           /* its own register */
        0,    0x03, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, /* virtio's */
        0,    0,    0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, /* a queue, with one more */
        0,    0,    0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 6, /* ... */
        0,    0,    0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7,
    };
    struct vrig *from = elsewhere(), *to = elsewhere();
    struct probe *p = (struct probe *)from->dev, *arrived = (struct probe *)to->dev;
    struct ferry_err err = {0};
    struct buf out = {0};
    struct rd in;

    p->config_vector = 0x1234;
    p->v.isr = VIRTIO_ISR_QUEUE | VIRTIO_ISR_CONFIG;
    p->v.queue_sel = PROBE_SILENT;
    p->v.queues[PROBE_LENT].num = 9;
    for (uint16_t i = 0; i < PROBE_QUEUES; i++)
        p->v.queues[i].reg_num = 5 + i;
    assert_int_equal(state_save(&probe_table, p, &out, NULL, &err), 0);
    assert_true(out.len_bytes > sizeof(expected));
    assert_memory_equal(out.data, expected, sizeof(expected));
    in = rd_make(out.data, out.len_bytes);
    if (state_load(&probe_table, arrived, sizeof(*arrived), 1, &in, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(arrived->config_vector, 0x1234);
    assert_int_equal(arrived->v.queues[PROBE_LENT].num, 9);
    assert_int_equal(arrived->v.queues[PROBE_SILENT].reg_num, 7);
    buf_free(&out);
    vrig_free(from);
    vrig_free(to);
}

/* --- Which drivers are served --- */

#define RING_GPA     (VRIG_RAM_GPA + 0x100000)
#define AVAIL_OFFSET 0x10000u /* where a legacy ring would not have them */
#define USED_OFFSET  0x20000u

static struct vrig *transitional(void)
{
    struct vrig *r = vrig_new(true);

    r->params.place.modern = true;
    probe_new(r);
    return r;
}

/* As far as its first queue, without DRIVER_OK. */
static void drive(struct virtio_dev *v, bool modern)
{
    struct virtio_queue *q = virtio_selected(v);

    if (!modern) {
        virtio_set_features(v, 0);
        q->desc_gpa = RING_GPA;
        virtio_queue_place(v, q);
        return;
    }
    v->guest_features[1] = VIRTIO_BIT(VIRTIO_F_VERSION_1) >> 32;
    assert_int_equal(virtio_set_status(v, VIRTIO_STATUS_FEATURES_OK), 0);
    q->reg_desc[0] = (uint32_t)RING_GPA;
    q->reg_avail[0] = (uint32_t)RING_GPA + AVAIL_OFFSET;
    q->reg_used[0] = (uint32_t)RING_GPA + USED_OFFSET;
    virtio_queue_set_ready(v, q, true);
}

static void a_transitional_device_serves_either_driver(void **state)
{
    const uint64_t offered = VIRTIO_BIT(VIRTIO_F_VERSION_1) | VIRTIO_BIT(VIRTIO_F_RING_RESET) |
                             VIRTIO_BIT(VIRTIO_F_NOTIFY_ON_EMPTY);

    for (int modern = 0; modern < 2; modern++) {
        struct vrig *from = transitional(), *to = transitional();
        struct probe *p = (struct probe *)from->dev;
        struct virtio_queue *q = &((struct probe *)to->dev)->v.queues[PROBE_OWN];
        struct ferry_err err = {0};
        struct buf out = {0};
        struct rd in;

        assert_true((p->v.host_features & offered) == offered);
        machine_lock(&from->lock);
        drive(&p->v, modern);
        /* Drivers of old kick before they say that they are ready. */
        virtio_kick(&p->v, PROBE_OWN);
        assert_int_equal(p->kicked[PROBE_OWN], !modern);
        machine_unlock(&from->lock);
        assert_int_equal(state_save(&probe_table, p, &out, NULL, &err), 0);
        in = rd_make(out.data, out.len_bytes);
        if (state_load(&probe_table, to->dev, sizeof(*p), 1, &in, &err) < 0)
            fail_msg("%s", err.text);
        /* The rings are where this driver has them. */
        assert_true(virtqueue_ready(q));
        assert_ptr_equal(q->desc, vrig_mem(to, RING_GPA));
        assert_ptr_equal(q->avail, vrig_mem(to, RING_GPA + (modern ? AVAIL_OFFSET : 16 * 8)));
        assert_int_equal(q->used == vrig_mem(to, RING_GPA + USED_OFFSET), modern);
        buf_free(&out);
        vrig_free(from);
        vrig_free(to);
    }
}

static void a_modern_driver_must_acknowledge_version_1(void **state)
{
    struct vrig *r = transitional();
    struct virtio_dev *v = (struct virtio_dev *)r->dev;

    machine_lock(&r->lock);
    assert_int_equal(virtio_set_status(v, VIRTIO_STATUS_FEATURES_OK), 0);
    assert_int_equal(v->status, 0);
    machine_unlock(&r->lock);
    vrig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_kick_reaches_the_owner_of_its_queue, setup, teardown),
        cmocka_unit_test_setup_teardown(a_reset_queue_waits_for_its_owner_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(a_reset_of_the_device_waits_for_all_owners, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(an_interrupt_says_whose_it_is, setup, teardown),
        cmocka_unit_test(its_place_names_a_device),
        cmocka_unit_test(each_transport_has_its_place_in_the_state),
        cmocka_unit_test(a_transitional_device_serves_either_driver),
        cmocka_unit_test(a_modern_driver_must_acknowledge_version_1),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
