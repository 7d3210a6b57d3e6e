/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/migrate/support.h"
#include "lib/wire/format.h"
#include "lib/wire/return_path.h"

static struct ferry_err checked(struct ferry_migrate_capabilities c,
                                struct ferry_migrate_parameters p)
{
    struct ferry_err err = {0};
    int r = support_check(&c, &p, &err);

    assert_int_equal(r, -err.errnum);
    assert_int_equal(r == 0, err.text[0] == '\0');
    return err;
}

static void what_does_not_go_together_is_refused(void **state)
{
    const struct ferry_migrate_parameters usual = {0};
    struct ferry_err err;

    assert_int_equal(checked((struct ferry_migrate_capabilities){0}, usual).errnum, 0);
    assert_int_equal(checked((struct ferry_migrate_capabilities){.xbzrle = true}, usual).errnum, 0);
    assert_int_equal(checked((struct ferry_migrate_capabilities){.multifd = true}, usual).errnum,
                     0);
    err = checked((struct ferry_migrate_capabilities){.multifd = true, .xbzrle = true}, usual);
    assert_int_equal(err.errnum, EINVAL);
    assert_string_equal(err.text, "Multifd is not compatible with xbzrle");
}

static void parameters_have_ranges(void **state)
{
    const struct ferry_migrate_capabilities none = {0};
    struct ferry_err err;

    err = checked(none, (struct ferry_migrate_parameters){.multifd_compression = "lzma"});
    assert_int_equal(err.errnum, ENOTSUP);
    assert_non_null(strstr(err.text, "lzma"));
    for (int level = 1; level <= 9; level += 8)
        assert_int_equal(
            checked(none, (struct ferry_migrate_parameters){.multifd_compression = "zlib",
                                                            .multifd_level = level})
                .errnum,
            0);
    err = checked(none, (struct ferry_migrate_parameters){.multifd_compression = "zlib",
                                                          .multifd_level = 10});
    assert_string_equal(err.text, "level 10 of zlib is not between 0 and 9");
    assert_int_equal(checked(none, (struct ferry_migrate_parameters){.multifd_compression = "zstd",
                                                                     .multifd_level = -1})
                         .errnum,
                     EINVAL);
    assert_int_equal(
        checked(none, (struct ferry_migrate_parameters){.multifd_channels = 255}).errnum, 0);
    assert_int_equal(
        checked(none, (struct ferry_migrate_parameters){.multifd_channels = 256}).errnum, EINVAL);
}

static void defaults(void **state)
{
    const struct ferry_migrate_parameters usual = {0};
    const struct codec_ops *codec = NULL;
    struct ferry_err err;

    assert_int_equal(support_channels(&usual), 2);
    assert_int_equal(support_channels(&(struct ferry_migrate_parameters){.multifd_channels = 7}),
                     7);
    assert_int_equal(support_codec(&usual, &codec, &err), 0);
    assert_string_equal(codec->name, "none");
    assert_int_equal(
        support_codec(&(struct ferry_migrate_parameters){.multifd_compression = "zstd"}, &codec,
                      &err),
        0);
    assert_string_equal(codec->name, "zstd");
}

/* Through the return path's reader, as it travels. */
static void a_ledger_arrives(void **state)
{
    const struct ferry_migrate_ledger there = {
        .target_load_ns = 123456789, .target_start_ns = INT64_MAX, .total_ns = 5};
    struct ferry_migrate_ledger here = {.total_ns = 7, .target_load_ns = 1};
    struct return_path_in *in = calloc(1, sizeof(*in));
    struct return_message m;
    struct ferry_err err;
    struct buf out = {0};
    struct rd bytes;

    assert_non_null(in);
    support_ledger_put(&out, &there);
    return_path_in_init(in);
    bytes = rd_make(out.data, out.len_bytes);
    assert_int_equal(return_path_in_next(in, &bytes, &m, &err), 1);
    assert_int_equal(m.type, WIRE_RP_FERRY_LEDGER);
    support_ledger_get(&here, m.ledger, m.ledger_bytes);
    assert_int_equal(here.target_load_ns, 123456789);
    assert_int_equal(here.target_start_ns, INT64_MAX);
    assert_int_equal(here.total_ns, 7); /* this side's own */
    free(in);
    buf_free(&out);
}

static void a_ledger_is_not_believed(void **state)
{
    uint8_t data[24];
    struct ferry_migrate_ledger ledger = {.target_load_ns = 1, .target_start_ns = 2};

    memset(data, 0xff, sizeof(data));
    support_ledger_get(&ledger, data, 15); /* too short: nothing changes */
    assert_int_equal(ledger.target_load_ns, 1);
    assert_int_equal(ledger.target_start_ns, 2);
    support_ledger_get(&ledger, data, 24); /* longer: a newer one's */
    assert_int_equal(ledger.target_load_ns, 0);
    assert_int_equal(ledger.target_start_ns, 0);
}

static void phases_have_qemus_names(void **state)
{
    static const char *const names[] = {"none",   "setup",     "active", "pre-switchover",
                                        "device", "completed", "failed", "cancelled"};

    for (int i = 0; i < 8; i++)
        assert_string_equal(ferry_migrate_phase_name((enum ferry_migrate_phase)i), names[i]);
    assert_string_equal(ferry_migrate_phase_name((enum ferry_migrate_phase)99), "none");
    assert_string_equal(ferry_migrate_phase_name((enum ferry_migrate_phase) - 1), "none");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_does_not_go_together_is_refused),
        cmocka_unit_test(parameters_have_ranges),
        cmocka_unit_test(defaults),
        cmocka_unit_test(a_ledger_arrives),
        cmocka_unit_test(a_ledger_is_not_believed),
        cmocka_unit_test(phases_have_qemus_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
