/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/state/state.h"
#include "lib/wire/config.h"
#include "tests/contract/contract.h"

static void *make_config(void *arg)
{
    return calloc(1, sizeof(struct wire_config));
}

static void fill_config(void *obj)
{
    struct wire_config *c = obj;
    struct ferry_err err;

    assert_int_equal(wire_config_make(c, "virt", &err), 0);
    c->page_bits = 12;
    c->capabilities = WIRE_CAP_X_IGNORE_SHARED | WIRE_CAP_MAPPED_RAM;
    c->has_uuid = true;
    memset(c->uuid, 0x5a, sizeof(c->uuid));
}

static void the_configuration_keeps_the_contract(void **state)
{
    static const struct contract_case c = {.table = &wire_config_table,
                                           .obj_bytes = sizeof(struct wire_config),
                                           .make = make_config,
                                           .stir = fill_config};

    contract_run(&c);
}

static struct wire_config config_of(const char *machine)
{
    struct wire_config c;
    struct ferry_err err;

    assert_int_equal(wire_config_make(&c, machine, &err), 0);
    return c;
}

static void save(const struct wire_config *config, struct buf *out, struct buf *json)
{
    struct wire_config c = *config;
    struct ferry_err err;

    assert_int_equal(state_save(&wire_config_table, &c, out, json, &err), 0);
}

static void it_is_written_and_described_as_by_qemu(void **state)
{
    static const char want[] = "\0\0\0\4virt\5\x1a"
                               "configuration/capabilities\0\0\0\1\0\0\0\1\x0amapped-ram";
    static const char words[] =
        "\"vmsd_name\": \"configuration\", \"version\": 1, \"fields\": [{\"name\": \"len\", "
        "\"type\": \"uint32\", \"size\": 4}, {\"name\": \"name\", \"type\": \"buffer\", \"size\": "
        "4}], \"subsections\": [{\"vmsd_name\": \"configuration/capabilities\", \"version\": 1, "
        "\"fields\": [{\"name\": \"caps_count\", \"type\": \"uint32\", \"size\": 4}, {\"name\": "
        "\"capabilities\", \"type\": \"capability\", \"size\": 11}]}]";
    struct wire_config c = config_of("virt");
    struct buf out = {0}, json = {0};

    c.capabilities = WIRE_CAP_MAPPED_RAM;
    save(&c, &out, &json);
    assert_int_equal(out.len_bytes, sizeof(want) - 1);
    assert_memory_equal(out.data, want, sizeof(want) - 1);
    assert_int_equal(json.len_bytes, sizeof(words) - 1);
    assert_memory_equal(json.data, words, sizeof(words) - 1);
    buf_free(&out);
    buf_free(&json);
}

static void refused(const char *bytes, size_t n, const char *text)
{
    struct wire_config c = {0};
    struct ferry_err err = {0};
    struct rd in = rd_make(bytes, n);

    assert_true(state_load(&wire_config_table, &c, sizeof(c), 1, &in, &err) < 0);
    if (!strstr(err.text, text))
        fail_msg("\"%s\" does not say \"%s\"", err.text, text);
}
#define REFUSED(bytes, text) refused(bytes, sizeof(bytes) - 1, text)

static void hostile_configurations_are_refused(void **state)
{
    REFUSED("\0\0\0\0", "machine_bytes: 0 is less than 1");
    REFUSED("\0\0\1\0", "machine_bytes: 256 is more than 255");
    REFUSED("\xff\xff\xff\xff", "machine_bytes: 4294967295 is more than 255");
    REFUSED("\0\0\0\4vi\0t", "NUL");
    REFUSED("\0\0\0\1v\5\x1a"
            "configuration/capabilities\0\0\0\1\0\0\0\3",
            "configuration/capabilities.capability_count: 3 is more than 2");
    REFUSED("\0\0\0\1v\5\x1a"
            "configuration/capabilities\0\0\0\1\0\0\0\1\4rdma",
            "configuration/capabilities.capabilities: \"rdma\" is unknown");
    REFUSED("\0\0\0\1v\5\x1a"
            "configuration/capabilities\0\0\0\1\0\0\0\1\x0amapped-rom",
            "\"mapped-rom\" is unknown");
    REFUSED("\0\0\0\1v\5\x1a"
            "configuration/capabilities\0\0\0\1\0\0\0\2\x0amapped-ram\x0amapped-ram",
            "listed twice");
    REFUSED("\0\0\0\1v\5\x1e"
            "configuration/target-page-bits\0\0\0\1\0\0\0\x21",
            "page_bits: 33 is more than 32");
    REFUSED("\0\0\0\1v\5\x15"
            "configuration/flavour\0\0\0\1",
            "unknown subsection \"configuration/flavour\"");
}

static void mismatch(const struct wire_config *theirs, const struct wire_config *here,
                     const char *text)
{
    struct ferry_err err = {0};

    assert_true(wire_config_match(theirs, here, &err) < 0);
    assert_string_equal(err.text, text);
}

static void configurations_must_match(void **state)
{
    struct wire_config virt = config_of("virt"), other = config_of("virt");
    struct wire_config prefix = config_of("vir"), longer = config_of("virt2");
    struct ferry_err err;
    char name[257];

    memset(name, 'm', sizeof(name));
    name[256] = 0;
    assert_int_equal(wire_config_make(&other, name, &err), -EINVAL);
    assert_int_equal(wire_config_make(&other, "", &err), -EINVAL);
    assert_int_equal(wire_config_make(&other, name + 1, &err), 0);
    other = virt;
    assert_int_equal(wire_config_match(&virt, &other, &err), 0);
    mismatch(&prefix, &virt, "the stream is of machine \"vir\", this is \"virt\"");
    mismatch(&longer, &virt, "the stream is of machine \"virt2\", this is \"virt\"");
    other.page_bits = 12; /* said, and the same as not said */
    assert_int_equal(wire_config_match(&other, &virt, &err), 0);
    other.page_bits = 14;
    mismatch(&other, &virt, "the stream has pages of 2^14 bytes, here they have 2^12");
    other = virt;
    other.capabilities = WIRE_CAP_MAPPED_RAM;
    mismatch(&other, &virt, "capability mapped-ram is on at the sender and off here; set it alike");
    mismatch(&virt, &other, "capability mapped-ram is off at the sender and on here; set it alike");
    other = virt;
    other.has_uuid = true;
    other.uuid[15] = 2;
    assert_int_equal(wire_config_match(&other, &virt, &err), 0);
    virt.has_uuid = true;
    virt.uuid[15] = 1;
    mismatch(&other, &virt,
             "the stream is of a VM with another UUID, 00000000-0000-0000-0000-000000000002; that "
             "of this one is 00000000-0000-0000-0000-000000000001");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_configuration_keeps_the_contract),
        cmocka_unit_test(it_is_written_and_described_as_by_qemu),
        cmocka_unit_test(hostile_configurations_are_refused),
        cmocka_unit_test(configurations_must_match),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
