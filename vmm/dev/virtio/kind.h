/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a virtio device's file says of it as a kind (vmm/machine/device_kind.h): its entry is a
 * struct virtio_kind that kinds.def lists, its property table begins with VIRTIO_PROPS.
 */
#pragma once

#include "vmm/dev/virtio/virtio.h"
#include "vmm/machine/device_kind.h"

#define VIRTIO_PROP(member) .offset = offsetof(struct config_virtio, member)
#define VIRTIO_PROPS                                                                               \
    DEVICE_PROPS,                                                                                  \
        {.name = "bus", .kind = PROP_STRING, VIRTIO_PROP(device.bus), .whose = OF_GUEST},          \
        {.name = "addr",                                                                           \
         .kind = PROP_INT,                                                                         \
         .max = CONFIG_VIRTIO_SLOTS - 1,                                                           \
         VIRTIO_PROP(device.slot),                                                                 \
         .whose = OF_GUEST,                                                                        \
         .is_alias = true},                                                                        \
        {.name = "event_idx",                                                                      \
         .kind = PROP_BOOL,                                                                        \
         VIRTIO_PROP(event_idx),                                                                   \
         .whose = OF_GUEST,                                                                        \
         .is_compared = true},                                                                     \
    {                                                                                              \
        .name = "indirect_desc", .kind = PROP_BOOL, VIRTIO_PROP(indirect_desc), .whose = OF_GUEST, \
        .is_compared = true                                                                        \
    }
/* The defaults of what VIRTIO_PROPS sets; a device's struct has them as its member `virtio`. */
#define VIRTIO_DEFAULTS                                             \
    {                                                               \
        .device.slot = -1, .event_idx = true, .indirect_desc = true \
    }
