/* SPDX-License-Identifier: Apache-2.0 */
/* What QEMU saved must load, save again to the same bytes, and be described in the same words. */
#include "tests/unit.h"

#include <stdlib.h>
#include <string.h>

#include "lib/state/state.h"
#include "lib/wire/stream_in.h"
#include "lib/wire/stream_out.h"
#include "lib/wire/vm_load.h"
#include "lib/wire/vm_save.h"
#include "tests/golden/qemu_virt.h"

struct recording {
    const char *name;
    struct qemu_virt_params params;
};
static const struct recording recordings[] = {
    {"virt-10.0.2-default.devstate.bin", {.pci_host = true, .rng = true}},
    {"virt-10.0.2-mincpu.devstate.bin", {.pci_host = false, .rng = false}},
    {"virt-10.0.13-default.devstate.bin", {.pci_host = true, .rng = true}},
};
#define RECORDINGS (sizeof(recordings) / sizeof(recordings[0]))

/* The recordings begin at the first device: put a header in front. */
static struct buf whole_stream(const struct recording *rec)
{
    struct buf stream = {0};
    struct wire_config config;
    struct ferry_err err;
    uint8_t *data;
    size_t n;

    assert_int_equal(wire_config_make(&config, "virt", &err), 0);
    assert_int_equal(stream_put_header(&stream, &config, &err), 0);
    data = qemu_virt_recording(rec->name, &n);
    buf_put(&stream, data, n);
    free(data);
    return stream;
}

static void load(struct qemu_virt *m, const struct buf *stream)
{
    struct vm_load *l = NULL;
    struct ferry_err err = {0};

    assert_int_equal(vm_load_new(&l, qemu_virt_vm(m), &err), 0);
    if (vm_load_stream(l, stream->data, stream->len_bytes, NULL, NULL, &err) < 0)
        fail_msg("%s", err.text);
    vm_load_commit(l, NULL, NULL);
    vm_load_free(l);
}

static bool next_full(struct stream_in *s, struct stream_item *item)
{
    struct ferry_err err = {0};

    do {
        if (stream_in_next(s, item, &err) <= 0)
            fail_msg("%s", err.text);
        if (item->kind == STREAM_SECTION)
            return true;
    } while (item->kind != STREAM_EOF);
    return false;
}

/* The data of both streams' next section must be equal; ends are known from a third reading. */
static void compare_section(struct ferry_vm *vm, struct stream_in *a, struct stream_in *b,
                            const struct stream_item *item)
{
    const struct ferry_part *part =
        vm_find_part(vm, item->section->idstr, item->section->instance_id);
    struct rd in_a = stream_in_data(a), in_b = stream_in_data(b);
    struct state_scratch *s = NULL;
    struct ferry_err err = {0};

    assert_non_null(part);
    assert_int_equal(state_scratch_new(&s, part->table, part->obj, part->obj_bytes, &err), 0);
    assert_int_equal(state_scratch_load(s, item->section->version, &in_a, true, &err), 0);
    assert_int_equal(state_scratch_load(s, item->section->version, &in_b, true, &err), 0);
    assert_int_equal(in_a.pos_bytes, in_b.pos_bytes);
    assert_memory_equal(in_a.data, in_b.data, in_a.pos_bytes);
    state_scratch_free(s);
    stream_in_data_used(a, in_a.pos_bytes);
    stream_in_data_end(a);
    stream_in_data_used(b, in_b.pos_bytes);
    stream_in_data_end(b);
}

static void recorded_state_is_saved_again_as_it_was(void **state)
{
    for (size_t i = 0; i < RECORDINGS; i++) {
        struct qemu_virt *m = qemu_virt_new(&recordings[i].params);
        struct buf stream = whole_stream(&recordings[i]), again = {0};
        struct stream_in *a = NULL, *b = NULL;
        struct stream_item item_a, item_b;
        struct ferry_err err = {0};
        size_t sections = 0;

        load(m, &stream);
        assert_int_equal(vm_save_stream(qemu_virt_vm(m), &again, true, NULL, NULL, &err), 0);
        assert_int_equal(stream_in_new(&a, &err), 0);
        assert_int_equal(stream_in_new(&b, &err), 0);
        stream_in_whole(a, stream.data, stream.len_bytes);
        stream_in_whole(b, again.data, again.len_bytes);
        while (next_full(a, &item_a)) {
            assert_true(next_full(b, &item_b));
            assert_string_equal(item_a.section->idstr, item_b.section->idstr);
            assert_int_equal(item_a.section->instance_id, item_b.section->instance_id);
            assert_int_equal(item_a.section->version, item_b.section->version);
            compare_section(qemu_virt_vm(m), a, b, &item_a);
            sections++;
        }
        assert_false(next_full(b, &item_b));
        assert_int_equal(sections, ferry_vm_part_count(qemu_virt_vm(m)));
        stream_in_free(a);
        stream_in_free(b);
        buf_free(&stream);
        buf_free(&again);
        qemu_virt_free(m);
    }
}

/* Harts are one opaque field here, so theirs are the only words that differ. */
static void recorded_state_is_described_in_the_same_words(void **state)
{
    for (size_t i = 0; i < RECORDINGS; i++) {
        struct qemu_virt *m = qemu_virt_new(&recordings[i].params);
        struct buf stream = whole_stream(&recordings[i]);
        const struct ferry_part *part;
        char *theirs;

        load(m, &stream);
        buf_u8(&stream, 0);
        theirs = memmem(stream.data, stream.len_bytes, "{\"configuration", 15);
        assert_non_null(theirs);
        for (size_t k = 0; (part = ferry_vm_part(qemu_virt_vm(m), k)); k++) {
            struct buf json = {0};
            struct ferry_err err = {0};

            if (strcmp(part->idstr, "cpu") == 0)
                continue;
            buf_printf(&json, "{\"name\": \"%s\", \"instance_id\": %u, ", part->idstr,
                       part->instance_id);
            assert_int_equal(state_describe(part->table, part->obj, &json, &err), 0);
            buf_str(&json, "}");
            buf_u8(&json, 0);
            if (!strstr(theirs, (char *)json.data))
                fail_msg("%s has no %s", recordings[i].name, (char *)json.data);
            buf_free(&json);
        }
        buf_free(&stream);
        qemu_virt_free(m);
    }
}

static void the_description_of_a_stream_has_their_head_and_tail(void **state)
{
    static const char head[] =
        "{\"configuration\": {\"vmsd_name\": \"configuration\", \"version\": 1, \"fields\": "
        "[{\"name\": \"len\", \"type\": \"uint32\", \"size\": 4}, "
        "{\"name\": \"name\", \"type\": \"buffer\", \"size\": 4}]}, \"page_size\": 4096, "
        "\"devices\": [{\"name\": \"timer\", \"instance_id\": 0, \"vmsd_name\": \"timer\"";
    struct qemu_virt *m = qemu_virt_new(&recordings[0].params);
    struct buf stream = whole_stream(&recordings[0]), again = {0};
    struct ferry_err err = {0};
    const char *ours, *theirs;

    load(m, &stream);
    assert_int_equal(vm_save_stream(qemu_virt_vm(m), &again, true, NULL, NULL, &err), 0);
    theirs = memmem(stream.data, stream.len_bytes, "{\"configuration", 15);
    ours = memmem(again.data, again.len_bytes, "{\"configuration", 15);
    assert_memory_equal(theirs, head, sizeof(head) - 1);
    assert_memory_equal(ours, head, sizeof(head) - 1);
    assert_memory_equal(again.data + again.len_bytes - 20, stream.data + stream.len_bytes - 20, 20);
    buf_free(&stream);
    buf_free(&again);
    qemu_virt_free(m);
}

/* Every proper prefix is refused or lacks only the description, and changes nothing. */
static void a_recording_cut_anywhere_changes_nothing(void **state)
{
    struct qemu_virt *m = qemu_virt_new(&recordings[1].params);
    struct buf stream = whole_stream(&recordings[1]);
    struct vm_load *l = NULL;
    struct ferry_err err = {0};
    const uint8_t *json = memmem(stream.data, stream.len_bytes, "{\"configuration", 15);
    size_t eof_at, n, accepted = 0;
    const void *bytes = qemu_virt_bytes(m, &n);
    uint8_t *before = malloc(n);

    assert_non_null(before);
    assert_non_null(json);
    eof_at = (size_t)(json - stream.data) - 6;
    memcpy(before, bytes, n);
    assert_int_equal(vm_load_new(&l, qemu_virt_vm(m), &err), 0);
    for (size_t cut = 0; cut < eof_at + 20; cut += 3) {
        if (vm_load_stream(l, stream.data, cut, NULL, NULL, &err) == 0) {
            assert_int_equal(cut, eof_at + 1);
            accepted++;
        }
        assert_memory_equal(bytes, before, n);
    }
    assert_true(accepted <= 1);
    vm_load_free(l);
    free(before);
    buf_free(&stream);
    qemu_virt_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded_state_is_saved_again_as_it_was),
        cmocka_unit_test(recorded_state_is_described_in_the_same_words),
        cmocka_unit_test(the_description_of_a_stream_has_their_head_and_tail),
        cmocka_unit_test(a_recording_cut_anywhere_changes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
