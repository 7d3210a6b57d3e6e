/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/be.h"
#include "lib/migrate/hello.h"
#include "lib/wire/format.h"

struct thing {
    uint32_t value;
};

static const struct ferry_field fields[] = {FERRY_U32(struct thing, value)};
static const struct ferry_table uart = {
    .name = "uart", .version = 3, .minimum_version = 2, FERRY_FIELDS(fields)};
static const struct ferry_table newer = {
    .name = "uart", .version = 4, .minimum_version = 4, FERRY_FIELDS(fields)};
static bool never(const void *obj)
{
    return false;
}
static const struct ferry_table optional = {
    .name = "extra", .version = 1, .minimum_version = 1, .needed = never, FERRY_FIELDS(fields)};

static struct thing thing;

/* A machine with these parts (NULL: none), whose state nobody looks at. */
static struct ferry_vm *machine(const struct ferry_part *parts, size_t n)
{
    static const struct ferry_vm_ops none = {0};
    const struct ferry_vm_params params = {
        .size_bytes = sizeof(params), .machine_name = "toy", .ops = &none};
    struct ferry_vm *vm = NULL;
    struct ferry_err err;

    assert_int_equal(ferry_vm_new(&vm, &params, &err), 0);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(ferry_vm_add_part(vm, &parts[i], &err), 0);
    return vm;
}

#define PART(name, id, what)                                                                       \
    {                                                                                              \
        .idstr = name, .instance_id = id, .table = what, .obj = &thing, .obj_bytes = sizeof(thing) \
    }

static const struct ferry_part usual[] = {
    PART("uart", 0, &uart), PART("uart", 1, &uart), {.idstr = "host only"}};

static struct ram_block usual_blocks[] = {{.name = "ram", .used_bytes = 0x800000},
                                          {.name = "rom", .used_bytes = 0x1000}};
static const struct ram_blocks usual_ram = {.at = usual_blocks, .count = 2};

/* Channels and compression, and facts, which were added last. */
#define SAID_TAIL_BYTES  8u
#define SAID_FACTS_BYTES 2u

/* What a source with this machine says. */
static struct buf said(const struct ferry_vm *vm, const struct ram_blocks *ram)
{
    const struct hello_side here = {.capabilities = HELLO_CAP_MULTIFD,
                                    .channels = 2,
                                    .compression = "none",
                                    .blocks = ram,
                                    .vm = vm};
    struct buf out = {0};

    hello_put(&out, "1.2.3", false, true, &here, "{\"machine\": 1}");
    assert_int_equal(out.failed, 0);
    return out;
}

static struct buf said_usually(void)
{
    struct ferry_vm *vm = machine(usual, 3);
    struct buf out = said(vm, &usual_ram);

    ferry_vm_free(vm);
    return out;
}

/* What a target with the usual machine says to it. */
static struct ferry_err compared(const struct buf *said, uint32_t capabilities,
                                 const struct ram_blocks *ram, const struct ferry_part *parts,
                                 size_t part_count)
{
    struct ferry_vm *vm = machine(parts, part_count);
    const struct hello_side here = {.capabilities = capabilities,
                                    .channels = 2,
                                    .compression = "none",
                                    .blocks = ram,
                                    .vm = vm};
    struct rd in = rd_make(said->data, said->len_bytes);
    struct ferry_err err = {0};
    struct hello hello;

    if (hello_get(&in, true, &hello, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(rd_left(&in), 0);
    if (hello_compare(&hello, &here, NULL, &err) == 0)
        assert_int_equal(err.errnum, 0);
    ferry_vm_free(vm);
    return err;
}

static void what_is_the_same_is_accepted(void **state)
{
    struct buf out = said_usually();
    struct rd in = rd_make(out.data, out.len_bytes);
    struct ferry_err err = {0};
    struct hello hello;

    assert_int_equal(hello_get(&in, false, &hello, &err), 0);
    assert_string_equal(hello.version, "1.2.3");
    assert_int_equal(hello.capabilities, HELLO_CAP_MULTIFD);
    assert_int_equal(hello.block_count, 2);
    assert_int_equal(hello.part_count, 2); /* of those with state */
    assert_false(hello.dry_run);
    assert_int_equal(hello.description_bytes, 14);
    assert_memory_equal(hello.description, "{\"machine\": 1}", 14);
    assert_string_equal(compared(&out, HELLO_CAP_MULTIFD, &usual_ram, usual, 3).text, "");
    buf_free(&out);
}

static void the_host_may_be_said(void **state)
{
    struct ferry_vm *vm = machine(usual, 3);
    const struct hello_side here = {.blocks = &usual_ram, .vm = vm, .host = "this-one"};
    struct buf with = {0}, without = said_usually();
    struct ferry_err err = {0};
    struct hello hello;
    struct rd in;

    hello_put(&with, "1.2.3", false, true, &here, "");
    in = rd_make(with.data, with.len_bytes);
    assert_int_equal(hello_get(&in, true, &hello, &err), 0);
    assert_string_equal(hello.host, "this-one");
    in = rd_make(without.data, without.len_bytes);
    assert_int_equal(hello_get(&in, true, &hello, &err), 0);
    assert_string_equal(hello.host, "");
    ferry_vm_free(vm);
    buf_free(&with);
    buf_free(&without);
}

/* Either side may have it switched off without the other one's knowledge. */
static void what_one_side_decides_is_not_compared(void **state)
{
    struct buf out = said_usually();

    assert_string_equal(compared(&out,
                                 HELLO_CAP_MULTIFD | HELLO_CAP_XBZRLE | HELLO_CAP_VALIDATE_UUID,
                                 &usual_ram, usual, 3)
                            .text,
                        "");
    buf_free(&out);
}

static void every_difference_is_named(void **state)
{
    static const struct ferry_part other[] = {PART("uart", 0, &newer), PART("disk", 0, &uart)};
    static struct ram_block blocks[] = {{.name = "ram", .used_bytes = 0x400000},
                                        {.name = "vram", .used_bytes = 0x1000}};
    const struct ram_blocks ram = {.at = blocks, .count = 2};
    struct buf out = said_usually();
    struct ferry_err err = compared(&out, HELLO_CAP_MAPPED_RAM, &ram, other, 2);

    assert_int_equal(err.errnum, EINVAL);
    assert_string_equal(err.text, "capability multifd (--channels) is on there and off here; "
                                  "capability mapped-ram is off there and on here; "
                                  "RAM 'ram' has 8388608 bytes there and 4194304 here; "
                                  "RAM 'rom' is not here; RAM 'vram' is only here; "
                                  "the state of 'uart' has version 3 there, here 4 to 4 are "
                                  "understood; device 'uart' 1 is not here; "
                                  "device 'disk' 0 is only here");
    buf_free(&out);
}

/* A disk whose size is known when it is open, and a card. */
static int fact_at(void *obj, size_t index, struct ferry_fact *ret)
{
    const char *const *values = obj;

    if (index > 1)
        return -ENOENT;
    strcpy(ret->name, index ? "card: offloads" : "disk: capacity");
    strcpy(ret->value, values[index]);
    return 0;
}

static const struct ferry_part_ops fact_ops = {.fact_at = fact_at};

static void what_comes_from_the_host_must_be_alike(void **state)
{
    static const struct {
        const char *there[2], *here[2], *says;
    } cases[] = {
        {{"64 bytes", "on"}, {"64 bytes", "on"}, ""},
        {{"64 bytes", "on"},
         {"32 bytes", "off"},
         "disk: capacity is 64 bytes there and 32 bytes here; "
         "card: offloads is on there and off here"},
        /* Not known there, or not yet here. */
        {{"", "on"}, {"32 bytes", "on"}, ""},
        {{"64 bytes", "on"}, {"", "on"}, ""},
        {{"6\n bytes", "on"},
         {"64 bytes", "on"},
         "disk: capacity is 6? bytes there and 64 bytes here"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ferry_part part = {.idstr = "there", .ops = &fact_ops};
        struct ferry_vm *vm;
        struct buf out;

        part.obj = (void *)(uintptr_t)cases[i].there;
        vm = machine(&part, 1);
        out = said(vm, &usual_ram);
        ferry_vm_free(vm);
        part.obj = (void *)(uintptr_t)cases[i].here;
        assert_string_equal(compared(&out, HELLO_CAP_MULTIFD, &usual_ram, &part, 1).text,
                            cases[i].says);
        buf_free(&out);
    }
}

static void channels_must_be_alike(void **state)
{
    struct buf out = said_usually();
    uint8_t *tail = out.data + out.len_bytes - SAID_TAIL_BYTES;

    tail[0] = 3;
    memcpy(tail + 2, "zs\nd", 4);
    assert_string_equal(compared(&out, HELLO_CAP_MULTIFD, &usual_ram, usual, 3).text,
                        "multifd-channels (--channels) is 3 there and 2 here; "
                        "multifd-compression (--compress) is zs?d there and none here");
    /* One side alone has none to compare. */
    assert_null(strstr(compared(&out, 0, &usual_ram, usual, 3).text, "multifd-"));
    buf_free(&out);
}

/* A part whose state may be left out may be missing on either side. */
static void what_is_optional_may_be_missing(void **state)
{
    static const struct ferry_part more[] = {PART("uart", 0, &uart), PART("uart", 1, &uart),
                                             PART("extra", 0, &optional)};
    struct ferry_vm *vm = machine(more, 3);
    struct buf with = said(vm, &usual_ram), without = said_usually();

    assert_string_equal(compared(&with, HELLO_CAP_MULTIFD, &usual_ram, usual, 3).text, "");
    assert_string_equal(compared(&without, HELLO_CAP_MULTIFD, &usual_ram, more, 3).text, "");
    ferry_vm_free(vm);
    buf_free(&with);
    buf_free(&without);
}

/* Where they do not all fit it says how many are missing. */
static void many_differences_are_counted(void **state)
{
    struct ram_block blocks[60];
    char names[60][16];
    const struct ram_blocks ram = {.at = blocks, .count = 60};
    struct buf out = said_usually();
    struct ferry_err err;
    unsigned named = 0, more = 0;

    for (unsigned i = 0; i < 60; i++) {
        snprintf(names[i], sizeof(names[i]), "block%u", i);
        blocks[i] = (struct ram_block){.name = names[i], .used_bytes = 4096};
    }
    err = compared(&out, HELLO_CAP_MULTIFD, &ram, usual, 3);
    for (const char *at = err.text; (at = strstr(at, "RAM '")); at++)
        named++;
    assert_int_equal(sscanf(strstr(err.text, "; and "), "; and %u more", &more), 1);
    assert_int_equal(named + more, 62);
    assert_true(named > 5);
    buf_free(&out);
}

static void other_protocols_are_refused(void **state)
{
    struct buf out = said_usually();
    struct ferry_err err;

    be16_store(out.data + 4, WIRE_FERRY_PROTOCOL + 9); /* newer, but speaks ours */
    assert_string_equal(compared(&out, HELLO_CAP_MULTIFD, &usual_ram, usual, 3).text, "");
    be16_store(out.data + 6, WIRE_FERRY_PROTOCOL + 8);
    out.data[9] = '\n'; /* of the version: must not break a log's line */
    err = compared(&out, HELLO_CAP_MULTIFD, &usual_ram, usual, 3);
    assert_non_null(strstr(err.text, "ferry ?.2.3 speaks protocols "));
    buf_free(&out);
}

/* --- Hostile --- */

/* Of n bytes in exact memory, so that overruns show. */
static int get(const uint8_t *data, size_t n, bool final, struct ferry_err *err)
{
    uint8_t *exact = malloc(n ? n : 1);
    struct rd in = rd_make(exact, n);
    struct hello hello;
    int r;

    assert_non_null(exact);
    memcpy(exact, data, n);
    r = hello_get(&in, final, &hello, err);
    if (r < 0)
        assert_int_equal(in.pos_bytes, r == -ENODATA ? 0 : in.pos_bytes);
    free(exact);
    return r;
}

static void cut_anywhere_it_waits_or_is_refused(void **state)
{
    struct buf out = said_usually();
    struct ferry_err err = {0};

    for (size_t n = 0; n < out.len_bytes; n++) {
        assert_int_equal(get(out.data, n, false, &err), -ENODATA);
        assert_int_equal(get(out.data, n, true, &err), -EPROTO);
    }
    /* The length says that it is all there, but it is not. */
    for (size_t n = 4; n < out.len_bytes; n++) {
        be32_store(out.data, (uint32_t)(n - 4));
        if (n == out.len_bytes - SAID_TAIL_BYTES || n == out.len_bytes - SAID_FACTS_BYTES) {
            assert_int_equal(get(out.data, n, false, &err), 0); /* as it was said before */
            continue;
        }
        assert_int_equal(get(out.data, n, false, &err), -EPROTO);
        assert_string_equal(err.text, "ferry/hello is not as it should be");
    }
    buf_free(&out);
}

static void what_is_behind_is_a_newer_ones(void **state)
{
    struct buf out = said_usually();
    struct ferry_err err = {0};

    buf_put(&out, "\3abcnew", 7); /* a host, and what nobody knows */
    be32_store(out.data, (uint32_t)(out.len_bytes - 4));
    assert_int_equal(get(out.data, out.len_bytes, false, &err), 0);
    buf_free(&out);
}

static void numbers_beyond_their_limits_are_refused(void **state)
{
    const size_t version = 8, flags = version + 6, blocks = flags + 5;
    struct buf out = said_usually();
    struct ferry_err err = {0};
    uint8_t saved;
    size_t end;

    be32_store(out.data, HELLO_MAX_BYTES + 1); /* refused before it is waited for */
    assert_int_equal(get(out.data, 4, false, &err), -EPROTO);
    assert_non_null(strstr(err.text, "the limit is 2097152"));
    be32_store(out.data, UINT32_MAX);
    assert_int_equal(get(out.data, 4, false, &err), -EPROTO);
    be32_store(out.data, (uint32_t)(out.len_bytes - 4));

    be16_store(out.data + blocks, WIRE_RAM_BLOCKS_MAX + 1);
    assert_int_equal(get(out.data, out.len_bytes, true, &err), -EPROTO);
    be16_store(out.data + blocks, UINT16_MAX);
    assert_int_equal(get(out.data, out.len_bytes, true, &err), -EPROTO);
    be16_store(out.data + blocks, 2);
    assert_int_equal(get(out.data, out.len_bytes, true, &err), 0);

    saved = out.data[blocks + 3];
    out.data[blocks + 3] = 0; /* a NUL in a name */
    assert_int_equal(get(out.data, out.len_bytes, true, &err), -EPROTO);
    out.data[blocks + 3] = saved;
    end = out.len_bytes - SAID_TAIL_BYTES;
    out.data[end - 1] = 0; /* and in the description */
    assert_int_equal(get(out.data, out.len_bytes, true, &err), -EPROTO);
    out.data[end - 1] = '}';
    assert_int_equal(get(out.data, out.len_bytes, true, &err), 0);
    be32_store(out.data + end - 18, HELLO_DESCRIPTION_MAX_BYTES + 1);
    assert_int_equal(get(out.data, out.len_bytes, true, &err), -EPROTO);
    be32_store(out.data + end - 18, 14);
    be16_store(out.data + out.len_bytes - SAID_FACTS_BYTES, HELLO_FACTS_MAX + 1);
    assert_int_equal(get(out.data, out.len_bytes, true, &err), -EPROTO);
    be16_store(out.data + out.len_bytes - SAID_FACTS_BYTES, 1); /* one that is not there */
    assert_int_equal(get(out.data, out.len_bytes, true, &err), -EPROTO);
    buf_free(&out);
}

static void a_name_without_letters_is_refused(void **state)
{
    struct buf out = said_usually();
    struct ferry_err err = {0};
    const size_t blocks = 8 + 6 + 5;

    /* "ram" becomes "": the rest moves, all lengths stay true. */
    memmove(out.data + blocks + 3, out.data + blocks + 6, out.len_bytes - (blocks + 6));
    out.data[blocks + 2] = 0;
    out.len_bytes -= 3;
    be32_store(out.data, (uint32_t)(out.len_bytes - 4));
    assert_int_equal(get(out.data, out.len_bytes, true, &err), -EPROTO);
    buf_free(&out);
}

static void capabilities_have_numbers(void **state)
{
    assert_int_equal(hello_capabilities(&(struct ferry_migrate_capabilities){0}), 0);
    assert_int_equal(hello_capabilities(&(struct ferry_migrate_capabilities){
                         .xbzrle = true, .mapped_ram = true, .auto_converge = true}),
                     HELLO_CAP_XBZRLE | HELLO_CAP_MAPPED_RAM);
    assert_int_equal(hello_capabilities(&(struct ferry_migrate_capabilities){
                         .multifd = true, .ignore_shared = true, .validate_uuid = true}),
                     HELLO_CAP_MULTIFD | HELLO_CAP_IGNORE_SHARED | HELLO_CAP_VALIDATE_UUID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_the_same_is_accepted),
        cmocka_unit_test(the_host_may_be_said),
        cmocka_unit_test(what_one_side_decides_is_not_compared),
        cmocka_unit_test(every_difference_is_named),
        cmocka_unit_test(what_comes_from_the_host_must_be_alike),
        cmocka_unit_test(channels_must_be_alike),
        cmocka_unit_test(what_is_optional_may_be_missing),
        cmocka_unit_test(many_differences_are_counted),
        cmocka_unit_test(other_protocols_are_refused),
        cmocka_unit_test(cut_anywhere_it_waits_or_is_refused),
        cmocka_unit_test(what_is_behind_is_a_newer_ones),
        cmocka_unit_test(numbers_beyond_their_limits_are_refused),
        cmocka_unit_test(a_name_without_letters_is_refused),
        cmocka_unit_test(capabilities_have_numbers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
