/* SPDX-License-Identifier: Apache-2.0 */
/*
 * description := {"configuration": {...}, "page_size": 4096, "devices": [DEVICE, ...]}
 * DEVICE := {"name": idstr, "instance_id": N, "vmsd_name": S, "version": N, "fields": [...],
 *            "subsections": [...]}
 */
#include "lib/wire/vm_save.h"

#include "base/err.h"
#include "lib/state/json.h"
#include "lib/state/state.h"
#include "lib/wire/stream_out.h"

static void describe_begin(struct buf *devices, const char *idstr, uint32_t instance_id)
{
    buf_str(devices, devices->len_bytes ? ", {" : "{");
    json_key(devices, "name");
    json_string(devices, idstr);
    buf_str(devices, ", \"instance_id\": ");
    json_u64(devices, instance_id);
    buf_str(devices, ", ");
}

void vm_describe_opaque(struct buf *devices, const char *idstr, uint32_t version,
                        uint64_t size_bytes)
{
    describe_begin(devices, idstr, 0);
    json_key(devices, "vmsd_name");
    json_string(devices, idstr);
    buf_str(devices, ", \"version\": ");
    json_u64(devices, version);
    buf_str(devices, ", \"fields\": [{\"name\": \"data\", \"type\": \"buffer\", \"size\": ");
    json_u64(devices, size_bytes);
    buf_str(devices, "}]}");
}

static int save_part(const struct ferry_part *part, struct buf *out, uint32_t id,
                     struct buf *devices, struct ferry_err *err)
{
    int r;

    stream_put_section(out, WIRE_SECTION_FULL, id, part->idstr, part->instance_id,
                       part->table->version);
    if (devices)
        describe_begin(devices, part->idstr, part->instance_id);
    r = state_save(part->table, part->obj, out, devices, err);
    if (r < 0) {
        err_prefix(err, "saving \"%s\" (instance %u)", part->idstr, part->instance_id);
        return r;
    }
    if (devices)
        buf_str(devices, "}");
    stream_put_footer(out, id);
    return 0;
}

int vm_save_parts(struct ferry_vm *vm, struct buf *out, uint32_t first_id, struct buf *devices,
                  vm_part_fn *observe, void *arg, struct ferry_err *err)
{
    const struct ferry_part *part;
    int r;

    for (size_t i = 0; (part = ferry_vm_part(vm, i)); i++) {
        if (!part->table || (part->table->needed && !part->table->needed(part->obj)))
            continue;
        if (observe)
            observe(arg, part, false);
        r = save_part(part, out, first_id++, devices, err);
        if (r < 0)
            return r;
        if (observe)
            observe(arg, part, true);
    }
    return 0;
}

int vm_save_description(struct buf *json, const struct wire_config *config,
                        const struct buf *devices, struct ferry_err *err)
{
    struct wire_config c = *config;
    int r;

    buf_str(json, "{\"configuration\": {");
    r = state_describe(&wire_config_table, &c, json, err);
    if (r < 0)
        return r;
    buf_str(json, "}, \"page_size\": ");
    json_u64(json, 1u << WIRE_PAGE_BITS);
    buf_str(json, ", \"devices\": [");
    buf_put(json, devices->data, devices->len_bytes);
    buf_str(json, "]}");
    if (json->failed || devices->failed)
        return err_sys(err, json->failed ? json->failed : devices->failed,
                       "cannot hold the description of the stream");
    return 0;
}

static int save_stream(struct ferry_vm *vm, struct buf *out, struct buf *devices, struct buf *json,
                       vm_part_fn *observe, void *arg, struct ferry_err *err)
{
    struct wire_config config;
    int r;

    r = wire_config_make(&config, vm_machine_name(vm), err);
    if (r < 0)
        return r;
    r = stream_put_header(out, &config, err);
    if (r < 0)
        return r;
    r = vm_save_parts(vm, out, 0, devices, observe, arg, err);
    if (r < 0)
        return r;
    stream_put_eof(out);
    if (devices) {
        r = vm_save_description(json, &config, devices, err);
        if (r < 0)
            return r;
    }
    stream_put_description(out, json->data, (uint32_t)json->len_bytes);
    if (out->failed)
        return err_sys(err, out->failed, "cannot hold the saved state");
    return 0;
}

int vm_save_stream(struct ferry_vm *vm, struct buf *out, bool describe, vm_part_fn *observe,
                   void *arg, struct ferry_err *err)
{
    struct buf devices = {0}, json = {.limit_bytes = WIRE_DESCRIPTION_MAX_BYTES};
    int r;

    r = save_stream(vm, out, describe ? &devices : NULL, &json, observe, arg, err);
    buf_free(&devices);
    buf_free(&json);
    return r;
}
