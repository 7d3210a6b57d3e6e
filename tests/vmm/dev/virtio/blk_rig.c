/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include "tests/vmm/dev/virtio/blk_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/be.h"

static void disk_error(void *arg, const struct virtio_blk_error *error)
{
    struct fix *f = ((struct vrig *)arg)->user;

    f->error = *error;
    f->errors++;
}

struct fix *fix_new(bool legacy, bool readonly, uint32_t num_queues)
{
    return fix_new_of(legacy, readonly, num_queues, DISK_BYTES);
}

struct fix *fix_new_of(bool legacy, bool readonly, uint32_t num_queues, uint64_t disk_bytes)
{
    struct fix *f = calloc(1, sizeof(*f));
    struct config_drive config = {
        .id = (char *)(uintptr_t) "d0", .readonly = readonly, .discard = true, .locking = true};
    struct ferry_err err = {0};

    assert_non_null(f);
    strcpy(f->path, "/tmp/ferry-blk-XXXXXX");
    f->fd = mkstemp(f->path);
    assert_true(f->fd >= 0 && ftruncate(f->fd, (off_t)disk_bytes) == 0);
    f->r = vrig_new(legacy);
    f->r->params.on_disk_error = disk_error;
    f->r->user = f;
    f->r->config.disk.num_queues = num_queues;
    f->r->config.disk.serial = (char *)(uintptr_t) "serial-of-the-disk-is-long";
    config.path = f->path;
    assert_int_equal(block_new(&f->block, &config, &err), 0);
    assert_int_equal(block_open(f->block, &err), 0);
    f->r->params.block = f->block;
    assert_int_equal(virtio_blk_device.create(&f->r->dev, &f->r->params, &err), 0);
    return f;
}

void fix_free(struct fix *f)
{
    dev_free(f->r->dev);
    f->r->dev = NULL;
    block_free(f->block);
    vrig_free(f->r);
    close(f->fd);
    unlink(f->path);
    free(f);
}

struct fix *started(bool legacy, uint64_t features)
{
    struct fix *f = fix_new(legacy, false, 1);

    vrig_start(f->r, features, 1, 16);
    f->q = &f->r->rings[0];
    return f;
}

uint64_t data_of(uint16_t at)
{
    return DATA_GPA + at * 0x10000u;
}

void offer(struct fix *f, struct vring *q, uint16_t at, uint32_t type, uint64_t sector,
           uint32_t bytes, bool to_guest)
{
    uint64_t header_gpa = HEADER_GPA + at * 16u, status_gpa = STATUS_GPA + at;
    uint8_t *header = vrig_mem(f->r, header_gpa);
    uint16_t status = at + 2u;

    le32_store(header, type);
    le32_store(header + 4, 0);
    le64_store(header + 8, sector);
    *vrig_mem(f->r, status_gpa) = NONE;
    vring_desc(f->r, q, at, header_gpa, 16, DESC_NEXT, bytes ? at + 1 : status);
    if (bytes)
        vring_desc(f->r, q, at + 1, data_of(at), bytes, DESC_NEXT | (to_guest ? DESC_WRITE : 0),
                   status);
    vring_desc(f->r, q, status, status_gpa, 1, DESC_WRITE, 0);
    vring_offer(f->r, q, at);
}

int run(struct fix *f, uint32_t type, uint64_t sector, uint32_t bytes, bool to_guest)
{
    offer(f, f->q, 0, type, sector, bytes, to_guest);
    vring_kick(f->r, f->q);
    assert_int_equal(vring_take(f->r, f->q, NULL), (to_guest ? bytes : 0) + 1);
    return *vrig_mem(f->r, STATUS_GPA);
}

void fill(uint8_t *p, size_t n, unsigned seed)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)(seed + i * 7 + i / 251);
}

const struct ferry_part_ops *ops(struct fix *f)
{
    return f->r->dev->type->part_ops;
}

uint8_t status_of(struct fix *f, uint16_t at)
{
    return *vrig_mem(f->r, STATUS_GPA + at);
}

void retry(struct fix *f)
{
    machine_lock(&f->r->lock);
    virtio_blk_retry(f->r->dev);
    machine_unlock(&f->r->lock);
}
