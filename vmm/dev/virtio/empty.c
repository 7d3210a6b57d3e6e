/* SPDX-License-Identifier: Apache-2.0 */
/* A virtio-mmio slot without a device: it says what it is and that nothing is there. */
#include "vmm/dev/virtio/mmio.h"
#include "vmm/dev/virtio/virtio.h"

struct virtio_empty {
    struct dev dev; /* first */
    uint32_t version;
};

static int empty_read(void *dev, uint64_t offset, unsigned size_bytes, uint64_t *ret)
{
    const struct virtio_empty *e = dev;

    *ret = 0;
    /* Two registers of 4 bytes each. */
    if (size_bytes == 8 && offset == VIRTIO_MMIO_R_MAGIC)
        *ret = (uint64_t)e->version << 32 | VIRTIO_MMIO_MAGIC;
    else if (size_bytes == 8 && offset == VIRTIO_MMIO_R_DEVICE_ID)
        *ret = (uint64_t)VIRTIO_MMIO_VENDOR << 32;
    else if (size_bytes == 4 && offset == VIRTIO_MMIO_R_MAGIC)
        *ret = VIRTIO_MMIO_MAGIC;
    else if (size_bytes == 4 && offset == VIRTIO_MMIO_R_VERSION)
        *ret = e->version;
    else if (size_bytes == 4 && offset == VIRTIO_MMIO_R_VENDOR)
        *ret = VIRTIO_MMIO_VENDOR;
    return 0;
}

static int empty_write(void *dev, uint64_t offset, unsigned size_bytes, uint64_t value)
{
    return 0;
}

static const struct dev_type empty_type = {
    .name = "virtio-empty",
    .size_bytes = sizeof(struct virtio_empty),
    .mmio_bytes = VIRTIO_MMIO_BYTES,
    .access_sizes = 1 | 2 | 4 | 8,
    .mmio = {.read = empty_read, .write = empty_write},
};

int virtio_empty_new(struct dev **ret, const struct virtio_params *params, struct ferry_err *err)
{
    int rc = dev_new(ret, &empty_type, params->env, params->place.irq, params->place.path, 0, err);

    if (rc)
        return rc;
    ((struct virtio_empty *)*ret)->version =
        params->place.legacy ? VIRTIO_MMIO_VERSION_LEGACY : VIRTIO_MMIO_VERSION_MODERN;
    return 0;
}
