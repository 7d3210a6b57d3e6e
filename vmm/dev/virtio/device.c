/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/dev/virtio/device.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "vmm/dev/virtio/state.h"

/* --- Interrupt --- */

void virtio_interrupt(struct virtio_dev *v, uint32_t index)
{
    v->isr |= VIRTIO_ISR_QUEUE;
    v->transport->interrupt_queue(v, index);
}

void virtio_config_changed(struct virtio_dev *v)
{
    v->config_generation++;
    if (!(v->status & VIRTIO_STATUS_DRIVER_OK))
        return;
    v->isr |= VIRTIO_ISR_QUEUE | VIRTIO_ISR_CONFIG;
    v->transport->interrupt_config(v);
}

void virtio_break(struct virtio_dev *v, const char *fmt, ...)
{
    char text[200];
    va_list ap;

    v->broken = true;
    if (virtio_has(v, VIRTIO_F_VERSION_1)) {
        v->status |= VIRTIO_STATUS_NEEDS_RESET;
        virtio_config_changed(v);
    }
    if (v->warned)
        return; /* a guest that does it again must not fill the log */
    v->warned = true;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    log_warn("%s stops until the guest resets it: %s", v->dev.idstr, text);
}

/* --- Kicks --- */

/* NULL: nobody hears a kick of it now. */
static const struct virtio_queue_owner *who_hears(struct virtio_dev *v, uint32_t index)
{
    if (index >= v->queue_count || v->broken || v->resetting || v->queues[index].resetting ||
        v->paused || !virtqueue_ready(&v->queues[index]))
        return NULL;
    /* Legacy drivers may use the queues before they say DRIVER_OK. */
    if (virtio_driver_is_legacy(v))
        v->started = true;
    return v->started && v->queues[index].owner->kick ? v->queues[index].owner : NULL;
}

void virtio_kick(struct virtio_dev *v, uint32_t index)
{
    const struct virtio_queue_owner *owner = who_hears(v, index);

    if (owner && owner->slow)
        virtio_kick_later(v, index);
    else if (owner)
        owner->kick(v, index);
}

void virtio_kick_later(struct virtio_dev *v, uint32_t index)
{
    v->kicked |= VIRTIO_BIT(index);
    bell_ring(v->bell);
}

static void kick_all(struct virtio_dev *v)
{
    for (uint32_t i = 0; i < v->queue_count && v->started; i++)
        virtio_kick(v, i);
}

/* --- Negotiation --- */

int virtio_set_features(struct virtio_dev *v, uint64_t features)
{
    v->features = features & v->host_features;
    if (virtio_type(v)->features_set)
        virtio_type(v)->features_set(v);
    return features & ~v->host_features ? -EINVAL : 0;
}

int virtio_set_status(struct virtio_dev *v, uint8_t status)
{
    bool now_ready;

    if (status == 0)
        return virtio_reset(v);
    if (virtio_is_modern(v) && (status & VIRTIO_STATUS_FEATURES_OK) &&
        !(v->status & VIRTIO_STATUS_FEATURES_OK)) {
        uint64_t wanted = (uint64_t)v->guest_features[1] << 32 | v->guest_features[0];

        /* The driver reads the bit back: refusing is leaving it clear. */
        if (virtio_set_features(v, wanted) < 0 || !virtio_has(v, VIRTIO_F_VERSION_1))
            status &= (uint8_t)~VIRTIO_STATUS_FEATURES_OK;
    }
    /* Only a reset takes it back. */
    status |= v->status & VIRTIO_STATUS_NEEDS_RESET;
    now_ready = status & ~v->status & VIRTIO_STATUS_DRIVER_OK;
    v->status = status;
    if (now_ready) {
        v->started = true;
        kick_all(v);
    }
    return 0;
}

/* --- Reset --- */

void virtio_dev_reset(struct dev *d)
{
    struct virtio_dev *v = (struct virtio_dev *)d;

    if (v->queue_count == 0)
        return; /* dev_new() comes here before the constructor is done */
    v->transport->reset(v);
    (void)virtio_reset(v);
}

static void reset_now(struct virtio_dev *v)
{
    v->resetting = false;
    for (uint32_t i = 0; i < v->queue_count; i++)
        virtqueue_reset(&v->queues[i]);
    v->status = 0;
    v->started = false;
    v->broken = false;
    v->queue_sel = 0;
    v->guest_features[0] = v->guest_features[1] = 0;
    v->kicked = 0;
    v->isr = 0;
    v->transport->update_line(v);
    if (virtio_type(v)->reset)
        virtio_type(v)->reset(v);
    virtio_set_features(v, 0);
}

static void queue_reset_now(struct virtio_dev *v, uint32_t index)
{
    if (v->queues[index].owner->reset)
        v->queues[index].owner->reset(v, index);
    virtqueue_reset(&v->queues[index]);
}

/* Whatever is taken back at once may be the last: what waits for it happens then and there. */
static void cancel(struct virtio_dev *v, uint32_t index)
{
    if (v->queues[index].inflight > 0 && v->queues[index].owner->cancel)
        v->queues[index].owner->cancel(v, index);
}

int virtio_reset(struct virtio_dev *v)
{
    v->resetting = true;
    for (uint32_t i = 0; i < v->queue_count; i++)
        cancel(v, i);
    if (v->resetting && v->inflight == 0)
        reset_now(v);
    return v->resetting ? -EAGAIN : 0;
}

void virtio_queue_reset(struct virtio_dev *v, uint32_t index)
{
    struct virtio_queue *q = &v->queues[index];

    q->resetting = true;
    cancel(v, index);
    if (q->resetting && q->inflight == 0)
        queue_reset_now(v, index);
}

bool virtio_dev_reset_begin(struct dev *d)
{
    struct virtio_dev *v = (struct virtio_dev *)d;

    v->reset_awaited = virtio_reset(v) < 0;
    return !v->reset_awaited;
}

/* --- Requests that other threads have --- */

void virtio_inflight_add(struct virtio_dev *v, uint32_t index)
{
    v->inflight++;
    v->queues[index].inflight++;
}

void virtio_inflight_done(struct virtio_dev *v, uint32_t index)
{
    v->inflight--;
    if (--v->queues[index].inflight == 0 && v->queues[index].resetting)
        queue_reset_now(v, index);
    if (v->inflight > 0)
        return;
    if (v->resetting)
        reset_now(v);
    pthread_cond_broadcast(&v->idle);
    if (v->drain_wanted || v->reset_awaited)
        bell_ring(v->bell);
}

/* --- The main thread's part --- */

/* Main thread: what handlers on other threads left for it. */
static void virtio_bell(void *arg)
{
    struct virtio_dev *v = arg;
    bool drained, calm;
    uint64_t kicked;

    machine_lock(v->dev.env->lock);
    drained = v->drain_wanted && v->inflight == 0;
    if (drained)
        v->drain_wanted = false;
    calm = v->reset_awaited && !v->resetting;
    if (calm)
        v->reset_awaited = false;
    kicked = v->kicked;
    v->kicked = 0;
    for (uint32_t i = 0; kicked != 0; i++, kicked >>= 1) {
        const struct virtio_queue_owner *owner = kicked & 1 ? who_hears(v, i) : NULL;

        if (owner)
            owner->kick(v, i);
    }
    machine_unlock(v->dev.env->lock);
    if (drained)
        v->on_drained(v->arg);
    if (calm)
        v->on_calm(v->arg);
}

/* --- Around a pause --- */

static int virtio_quiesce(void *obj)
{
    struct virtio_dev *v = obj;
    int busy;

    machine_lock(v->dev.env->lock);
    v->quiesced = true;
    if (virtio_type(v)->quiesce)
        virtio_type(v)->quiesce(v);
    busy = v->inflight > 0;
    v->drain_wanted = busy;
    machine_unlock(v->dev.env->lock);
    return busy;
}

static void virtio_unquiesce(void *obj)
{
    struct virtio_dev *v = obj;

    machine_lock(v->dev.env->lock);
    v->quiesced = false;
    v->drain_wanted = false;
    if (virtio_type(v)->resume)
        virtio_type(v)->resume(v);
    kick_all(v);
    machine_unlock(v->dev.env->lock);
}

/* From here to resume the rings may be another process's: a bell that rings now is not heard. */
static void virtio_pause(void *obj)
{
    struct virtio_dev *v = obj;

    machine_lock(v->dev.env->lock);
    v->paused = true;
    virtio_state_settle(v);
    machine_unlock(v->dev.env->lock);
}

static void virtio_resume(void *obj)
{
    struct virtio_dev *v = obj;

    machine_lock(v->dev.env->lock);
    v->paused = false;
    if (virtio_type(v)->resume)
        virtio_type(v)->resume(v);
    /* Kicks that nobody heard: while paused, or on their way when the state was saved. */
    kick_all(v);
    machine_unlock(v->dev.env->lock);
}

static int virtio_fact_at(void *obj, size_t index, struct ferry_fact *ret)
{
    const struct virtio_dev *v = obj;
    const struct virtio_type *type = virtio_type(v);
    char what[FERRY_FACT_NAME_BYTES];
    int rc = type->fact_at ? type->fact_at(v, index, ret) : -ENOENT;

    if (rc < 0)
        return rc;
    memcpy(what, ret->name, sizeof(what));
    snprintf(ret->name, sizeof(ret->name), "%s on %s: %.40s",
             type->device_id == 2 ? "disk" : "network card", v->where, what);
    return 0;
}

const struct ferry_part_ops virtio_part_ops = {
    .quiesce = virtio_quiesce,
    .unquiesce = virtio_unquiesce,
    .pause = virtio_pause,
    .resume = virtio_resume,
    .fact_at = virtio_fact_at,
};

/* --- Life --- */

int virtio_dev_create(struct dev *d, struct ferry_err *err)
{
    struct virtio_dev *v = (struct virtio_dev *)d;
    int rc = pthread_cond_init(&v->idle, NULL);

    return rc ? err_sys(err, rc, "creating a condition variable") : 0;
}

int virtio_dev_new(struct virtio_dev **ret, const struct virtio_type *type,
                   const struct virtio_params *params, uint64_t features, uint32_t config_bytes,
                   const struct virtio_queue_spec *queues, uint32_t queue_count,
                   struct ferry_err *err)
{
    const struct virtio_place *place = &params->place;
    char idstr[128];
    struct virtio_dev *v;
    struct dev *d;
    int rc;

    snprintf(idstr, sizeof(idstr), "%s/%s", place->path, type->dev.name);
    rc = dev_new(&d, &type->dev, params->env, place->irq, idstr, 0, err);
    if (rc)
        return rc;
    v = (struct virtio_dev *)d;
    v->transport = place->transport;
    d->region.size_bytes = place->transport->mmio_bytes;
    d->region.access_sizes = place->transport->access_sizes;
    d->region.ops = &place->transport->mmio;
    memcpy(v->where, place->where, sizeof(v->where));
    v->legacy = place->legacy;
    v->config_bytes = config_bytes;
    v->on_drained = params->on_drained;
    v->on_calm = params->on_calm;
    v->arg = params->arg;
    v->host_features = features;
    if (params->config->indirect_desc)
        v->host_features |= VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC);
    if (params->config->event_idx)
        v->host_features |= VIRTIO_BIT(VIRTIO_F_EVENT_IDX);
    if (place->legacy)
        v->host_features |= VIRTIO_BIT(VIRTIO_F_NOTIFY_ON_EMPTY);
    if (place->modern)
        v->host_features |= VIRTIO_BIT(VIRTIO_F_VERSION_1) | VIRTIO_BIT(VIRTIO_F_RING_RESET);
    v->queue_count = queue_count;
    for (uint32_t i = 0; i < queue_count; i++) {
        struct virtio_queue *q = &v->queues[i];

        q->owner = queues[i].owner;
        q->num_default = params->queue_num ? params->queue_num : queues[i].num;
        q->num_max = params->queue_num_fixed ? q->num_default : VIRTIO_QUEUE_NUM_MAX;
    }
    v->chain = malloc(sizeof(*v->chain));
    if (!v->chain)
        rc = err_set(err, ENOMEM, "%s: no memory for its requests", idstr);
    if (rc == 0)
        rc = bell_new(&v->bell, params->env->loop, virtio_bell, v, err);
    if (rc) {
        dev_free(d);
        return rc;
    }
    *ret = v;
    return 0;
}

void virtio_dev_destroy(struct dev *d)
{
    struct virtio_dev *v = (struct virtio_dev *)d;

    machine_lock(d->env->lock);
    while (v->inflight > 0)
        pthread_cond_wait(&v->idle, &d->env->lock->mutex);
    machine_unlock(d->env->lock);
    bell_free(v->bell);
    free(v->chain);
    pthread_cond_destroy(&v->idle);
}
