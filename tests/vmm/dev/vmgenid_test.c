/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include <string.h>

#include "tests/vmm/dev/rig.h"
#include "vmm/dev/goldfish_rtc.h"
#include "vmm/dev/vmgenid.h"

static const uint8_t first[VMGENID_BYTES] = {0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77,
                                             0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff};
static const uint8_t second[VMGENID_BYTES] = {0xff};

/* The first three numbers are little endian, whatever the access. */
static void the_guest_reads_it_at_the_start(void **state)
{
    static const uint8_t seen[VMGENID_BYTES] = {0x33, 0x22, 0x11, 0x00, 0x55, 0x44, 0x77, 0x66,
                                                0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff};
    struct rig *r = rig_new(&vmgenid_type, 1);

    vmgenid_set(r->dev, first);
    for (unsigned size = 1; size <= 8; size *= 2) {
        uint8_t got[VMGENID_BYTES];

        for (unsigned at = 0; at < VMGENID_BYTES; at += size) {
            uint64_t value = rig_read(r, at, size);

            memcpy(got + at, &value, size);
        }
        assert_memory_equal(got, seen, sizeof(seen));
    }
    assert_int_equal(rig_read(r, VMGENID_BYTES, 8), 0);
    assert_int_equal(rig_read(r, 0xff8, 8), 0);
    assert_int_equal(r->raised[0], 0);
    rig_free(r);
}

static void a_change_is_told(void **state)
{
    struct rig *r = rig_new(&vmgenid_type, 1);
    uint8_t guid[VMGENID_BYTES];

    vmgenid_set(r->dev, first);
    vmgenid_change(r->dev, second);
    assert_int_equal(r->raised[0], 1);
    assert_false(r->level[0]); /* there is nothing with which a guest could answer */
    assert_true(vmgenid_get(r->dev, guid));
    assert_memory_equal(guid, second, sizeof(second));
    rig_free(r);
}

static void neither_a_guest_nor_a_reset_changes_it(void **state)
{
    struct rig *r = rig_new(&vmgenid_type, 1);
    uint8_t guid[VMGENID_BYTES];

    vmgenid_set(r->dev, first);
    rig_write(r, 0, 8, 0);
    if (vmgenid_type.reset)
        vmgenid_type.reset(r->dev);
    assert_true(vmgenid_get(r->dev, guid));
    assert_memory_equal(guid, first, sizeof(first));
    rig_free(r);
}

static void others_have_none(void **state)
{
    struct rig *r = rig_new(&goldfish_rtc_type, 1);
    uint8_t guid[VMGENID_BYTES];

    vmgenid_set(r->dev, first);
    vmgenid_change(r->dev, first);
    assert_false(vmgenid_get(r->dev, guid));
    rig_free(r);
}

static void stir(void *dev)
{
    vmgenid_set(dev, first);
}

static void it_keeps_the_contract(void **state)
{
    struct rig_contract arg = {.type = &vmgenid_type, .hart_count = 1};
    const struct contract_case c = {
        .table = vmgenid_type.table,
        .obj_bytes = vmgenid_type.size_bytes,
        .make = rig_make_dev,
        .stir = stir,
        .destroy = rig_destroy_dev,
        .arg = &arg,
    };

    contract_run(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_guest_reads_it_at_the_start),
        cmocka_unit_test(a_change_is_told),
        cmocka_unit_test(neither_a_guest_nor_a_reset_changes_it),
        cmocka_unit_test(others_have_none),
        cmocka_unit_test(it_keeps_the_contract),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
