/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/state/vm.h"
#include "lib/wire/stream_out.h"
#include "lib/wire/vm_load.h"
#include "lib/wire/vm_save.h"

struct lamp {
    uint32_t level;
    unsigned post_loads;
    const struct lamp *watched; /* seen in post_load */
    uint32_t watched_level;
};
static const struct ferry_field lamp_fields[] = {
    FERRY_U32(struct lamp, level, .max = 100),
};
static void lamp_post_load(void *obj)
{
    struct lamp *lamp = obj;

    lamp->post_loads++;
    if (lamp->watched)
        lamp->watched_level = lamp->watched->level;
}
static const struct ferry_table lamp_table = {.name = "lamp",
                                              .version = 1,
                                              .minimum_version = 1,
                                              FERRY_FIELDS(lamp_fields),
                                              .post_load = lamp_post_load};

#define LAMPS 3
struct room {
    struct ferry_vm *vm;
    struct lamp lamps[LAMPS];
};

static void room_open(struct room *room)
{
    struct ferry_vm_params params = {.size_bytes = sizeof(params), .machine_name = "room"};
    struct ferry_part wire = {.idstr = "no-state"};
    struct ferry_err err;

    *room = (struct room){0};
    assert_int_equal(ferry_vm_new(&room->vm, &params, &err), 0);
    for (uint32_t i = 0; i < LAMPS; i++) {
        struct ferry_part part = {.idstr = "lamp",
                                  .instance_id = i,
                                  .table = &lamp_table,
                                  .obj = &room->lamps[i],
                                  .obj_bytes = sizeof(struct lamp)};

        assert_int_equal(ferry_vm_add_part(room->vm, &part, &err), 0);
        room->lamps[i].level = 10 + i;
    }
    assert_int_equal(ferry_vm_add_part(room->vm, &wire, &err), 0);
    room->lamps[0].watched = &room->lamps[LAMPS - 1];
}

static void put_head(struct buf *b, const char *machine)
{
    struct wire_config c;
    struct ferry_err err;

    assert_int_equal(wire_config_make(&c, machine, &err), 0);
    assert_int_equal(stream_put_header(b, &c, &err), 0);
}

static void put_lamp(struct buf *b, uint32_t id, const char *idstr, uint32_t instance_id,
                     uint32_t version, uint32_t level)
{
    stream_put_section(b, WIRE_SECTION_FULL, id, idstr, instance_id, version);
    buf_be32(b, level);
    stream_put_footer(b, id);
}

static void put_tail(struct buf *b)
{
    stream_put_eof(b);
    stream_put_description(b, NULL, 0);
}

static void a_vm_is_saved_and_loaded(void **state)
{
    struct room from, to;
    struct vm_load *l = NULL;
    struct buf b = {0};
    struct ferry_err err = {0};

    room_open(&from);
    room_open(&to);
    from.lamps[2].level = 99;
    assert_int_equal(vm_save_stream(from.vm, &b, false, NULL, NULL, &err), 0);
    assert_int_equal(vm_load_new(&l, to.vm, &err), 0);
    for (unsigned again = 1; again < 3; again++) {
        assert_int_equal(vm_load_stream(l, b.data, b.len_bytes, NULL, NULL, &err), 0);
        assert_int_equal(to.lamps[2].level, again == 1 ? 12 : 99); /* not before commit */
        vm_load_commit(l, NULL, NULL);
        assert_int_equal(to.lamps[2].level, 99);
        assert_int_equal(to.lamps[2].post_loads, again);
        assert_int_equal(to.lamps[0].watched_level, 99); /* post_load sees every part's new state */
    }
    vm_load_free(l);
    buf_free(&b);
    ferry_vm_free(from.vm);
    ferry_vm_free(to.vm);
}

/* Load b; it must be refused with text, and nothing change. */
static void refused(struct buf *b, const char *text)
{
    struct room room;
    struct vm_load *l = NULL;
    struct ferry_err err = {0};

    room_open(&room);
    assert_int_equal(vm_load_new(&l, room.vm, &err), 0);
    assert_true(vm_load_stream(l, b->data, b->len_bytes, NULL, NULL, &err) < 0);
    if (!strstr(err.text, text))
        fail_msg("\"%s\" does not say \"%s\"", err.text, text);
    for (uint32_t i = 0; i < LAMPS; i++) {
        assert_int_equal(room.lamps[i].level, 10 + i);
        assert_int_equal(room.lamps[i].post_loads, 0);
    }
    vm_load_free(l);
    ferry_vm_free(room.vm);
    buf_free(b);
}

static void a_stream_that_does_not_fit_is_refused(void **state)
{
    struct buf b = {0};

    put_head(&b, "cellar");
    refused(&b, "the stream is of machine \"cellar\", this is \"room\"");

    put_head(&b, "room");
    put_lamp(&b, 1, "lamp", 0, 1, 1);
    put_lamp(&b, 2, "lamp", 0, 1, 1);
    refused(&b, "section \"lamp\" (instance 0) comes twice");

    put_head(&b, "room");
    put_lamp(&b, 1, "heater", 0, 1, 1);
    refused(&b, "section \"heater\" (instance 0) is of a device that this machine does not have");

    put_head(&b, "room");
    put_lamp(&b, 1, "lamp", 3, 1, 1);
    refused(&b, "section \"lamp\" (instance 3) is of a device");

    put_head(&b, "room");
    put_lamp(&b, 1, "lamp", 0xffffffff, 1, 1);
    refused(&b, "section \"lamp\" (instance 4294967295) is of a device");

    put_head(&b, "room");
    put_lamp(&b, 1, "no-state", 0, 1, 1);
    refused(&b, "section \"no-state\"");

    put_head(&b, "room");
    put_lamp(&b, 1, "lamp", 1, 2, 1);
    refused(&b, "section \"lamp\" (instance 1): lamp: version 2 is newer than 1");

    put_head(&b, "room");
    put_lamp(&b, 1, "lamp", 1, 0, 1);
    refused(&b, "lamp: version 0 is older than 1");

    put_head(&b, "room");
    put_lamp(&b, 1, "lamp", 0, 1, 1);
    put_lamp(&b, 2, "lamp", 1, 1, 101);
    refused(&b, "section \"lamp\" (instance 1): lamp.level: 101 is more than 100");

    put_head(&b, "room");
    put_lamp(&b, 1, "lamp", 1, 1, 1);
    put_tail(&b);
    refused(&b, "no state for 2 of this machine's parts: \"lamp\" (instance 0), \"lamp\" "
                "(instance 2)");

    put_head(&b, "room");
    put_tail(&b);
    refused(&b, "no state for 3 of this machine's parts: \"lamp\" (instance 0), \"lamp\" "
                "(instance 1), \"lamp\" (instance 2); give");

    put_head(&b, "room");
    stream_put_section(&b, WIRE_SECTION_START, 1, "lamp", 0, 1);
    buf_be32(&b, 1);
    refused(&b, "section \"lamp\" (instance 0) comes in pieces");

    put_head(&b, "room");
    stream_put_command(&b, WIRE_CMD_PING, "abcd", 4);
    refused(&b, "command 2 in a stream that has only state");

    put_head(&b, "room");
    for (uint32_t i = 0; i < LAMPS; i++)
        put_lamp(&b, i, "lamp", i, 1, 1);
    put_tail(&b);
    buf_u8(&b, 0);
    refused(&b, "1 bytes follow the end of the stream");
}

static void note(void *arg, const struct ferry_part *part, bool done)
{
    buf_printf(arg, "%s%u%c ", part->idstr, part->instance_id, done ? ')' : '(');
}

static void sections_come_in_any_order_and_some_are_thrown_away(void **state)
{
    struct room room;
    struct vm_load *l = NULL;
    struct buf b = {0}, log = {0};
    struct ferry_err err = {0};

    room_open(&room);
    assert_int_equal(vm_load_new(&l, room.vm, &err), 0);
    assert_int_equal(vm_load_ignore(l, "heater", 0, &lamp_table, sizeof(struct lamp), &err), 0);
    assert_int_equal(vm_load_ignore(l, "lamp", 0, &lamp_table, sizeof(struct lamp), &err), -EEXIST);
    put_head(&b, "room");
    put_lamp(&b, 5, "lamp", 2, 1, 52);
    put_lamp(&b, 3, "heater", 0, 1, 77);
    put_lamp(&b, 1, "lamp", 0, 1, 50);
    put_lamp(&b, 9, "lamp", 1, 1, 51);
    put_tail(&b);
    if (vm_load_stream(l, b.data, b.len_bytes, NULL, NULL, &err) < 0)
        fail_msg("%s", err.text);
    vm_load_commit(l, note, &log);
    assert_int_equal(log.len_bytes, 3 * strlen("lamp0( lamp0) "));
    buf_free(&log);
    for (uint32_t i = 0; i < LAMPS; i++)
        assert_int_equal(room.lamps[i].level, 50 + i);
    /* That it did not come is fine too. */
    buf_reset(&b);
    put_head(&b, "room");
    for (uint32_t i = 0; i < LAMPS; i++)
        put_lamp(&b, i, "lamp", i, 1, 1);
    put_tail(&b);
    assert_int_equal(vm_load_stream(l, b.data, b.len_bytes, NULL, NULL, &err), 0);
    vm_load_free(l);
    ferry_vm_free(room.vm);
    buf_free(&b);
}

static bool is_lit(const void *obj)
{
    return ((const struct lamp *)obj)->level > 0;
}

static void a_part_without_anything_to_say_is_left_out(void **state)
{
    static const struct ferry_table candle_table = {.name = "candle",
                                                    .version = 1,
                                                    .minimum_version = 1,
                                                    .needed = is_lit,
                                                    FERRY_FIELDS(lamp_fields)};
    for (uint32_t level = 0; level < 2; level++) {
        struct lamp here = {.level = level}, there = {.level = 0};
        struct ferry_vm_params params = {.size_bytes = sizeof(params), .machine_name = "room"};
        struct ferry_part part = {.idstr = "candle",
                                  .table = &candle_table,
                                  .obj = &here,
                                  .obj_bytes = sizeof(struct lamp)};
        struct ferry_vm *from, *to;
        struct vm_load *load;
        struct ferry_err err;
        struct buf out = {0};

        assert_int_equal(ferry_vm_new(&from, &params, &err), 0);
        assert_int_equal(ferry_vm_add_part(from, &part, &err), 0);
        part.obj = &there;
        assert_int_equal(ferry_vm_new(&to, &params, &err), 0);
        assert_int_equal(ferry_vm_add_part(to, &part, &err), 0);
        assert_int_equal(vm_save_stream(from, &out, false, NULL, NULL, &err), 0);
        assert_int_equal(memmem(out.data, out.len_bytes, "candle", 6) != NULL, level > 0);
        assert_int_equal(vm_load_new(&load, to, &err), 0);
        assert_int_equal(vm_load_stream(load, out.data, out.len_bytes, NULL, NULL, &err), 0);
        vm_load_commit(load, NULL, NULL);
        assert_int_equal(there.level, level);
        vm_load_free(load);
        ferry_vm_free(to);
        ferry_vm_free(from);
        buf_free(&out);
    }
}

static void parts_are_observed_in_order(void **state)
{
    static const char want[] = "lamp0( lamp0) lamp1( lamp1) lamp2( lamp2) ";
    struct buf b = {0}, log = {0};
    struct vm_load *l = NULL;
    struct ferry_err err;
    struct room room;

    room_open(&room);
    assert_int_equal(vm_save_stream(room.vm, &b, false, note, &log, &err), 0);
    assert_int_equal(vm_load_new(&l, room.vm, &err), 0);
    assert_int_equal(vm_load_stream(l, b.data, b.len_bytes, note, &log, &err), 0);
    vm_load_commit(l, note, &log);
    assert_int_equal(log.len_bytes, 3 * strlen(want));
    for (size_t i = 0; i < 3; i++)
        assert_memory_equal(log.data + i * strlen(want), want, strlen(want));
    vm_load_free(l);
    buf_free(&b);
    buf_free(&log);
    ferry_vm_free(room.vm);
}

static void a_long_list_of_missing_parts_is_cut(void **state)
{
    struct room room;
    struct lamp lamps[60] = {0};
    struct vm_load *l = NULL;
    struct ferry_err err;

    room_open(&room);
    for (uint32_t i = 0; i < 60; i++) {
        struct ferry_part part = {.idstr = "chandelier",
                                  .instance_id = i,
                                  .table = &lamp_table,
                                  .obj = &lamps[i],
                                  .obj_bytes = sizeof(struct lamp)};

        assert_int_equal(ferry_vm_add_part(room.vm, &part, &err), 0);
    }
    assert_int_equal(vm_load_new(&l, room.vm, &err), 0);
    assert_int_equal(vm_load_complete(l, &err), -EINVAL);
    assert_non_null(strstr(err.text, "no state for 63 of this machine's parts: \"lamp\" (inst"));
    assert_non_null(strstr(err.text, "; give both sides the same devices"));
    vm_load_free(l);
    ferry_vm_free(room.vm);
}

static void memory_that_runs_out_is_an_error(void **state)
{
    struct room room;
    struct ferry_err err = {0};

    room_open(&room);
    for (size_t limit = 1; limit < 80; limit += 13) {
        struct buf b = {.limit_bytes = limit};

        assert_int_equal(vm_save_stream(room.vm, &b, true, NULL, NULL, &err), -EFBIG);
        buf_free(&b);
    }
    ferry_vm_free(room.vm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_vm_is_saved_and_loaded),
        cmocka_unit_test(a_stream_that_does_not_fit_is_refused),
        cmocka_unit_test(sections_come_in_any_order_and_some_are_thrown_away),
        cmocka_unit_test(a_part_without_anything_to_say_is_left_out),
        cmocka_unit_test(parts_are_observed_in_order),
        cmocka_unit_test(a_long_list_of_missing_parts_is_cut),
        cmocka_unit_test(memory_that_runs_out_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
