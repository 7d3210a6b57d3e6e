/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every connection of a migration is cut everywhere, in both directions: one side has the guest,
 * the source goes on if it may, says why, and moves to the end in a second attempt.
 */
#include "tests/unit.h"

#include <stdlib.h>
#include <string.h>

#include "tests/sim/migrate_pair.h"

#define SMALL_RAM_BYTES (UINT64_C(16) * FERRY_PAGE_BYTES)
/* A failed attempt is followed by the next; after so many by one that must succeed. */
#define AGAIN_EACH      16

struct kind {
    const char *name;
    unsigned channels;       /* 0: no multifd */
    const char *compression; /* of the channels */
    bool xbzrle;
    size_t stride_bytes; /* 1: every byte */
};

static void tick(struct migrate_pair *p)
{
    for (int i = 0; i < 3; i++)
        toy_tick(&p->from);
}

static struct migrate_pair *pair_of(const struct kind *kind)
{
    struct migrate_pair *p = malloc(sizeof(*p));

    assert_non_null(p);
    migrate_pair_init_sized(p, false, SMALL_RAM_BYTES);
    p->from.scribble_pages = 1;
    /* Something is left for the pause. */
    p->act_at = FERRY_MIGRATE_ROUND;
    p->act = tick;
    p->source_params.capabilities.xbzrle = kind->xbzrle;
    p->source_params.parameters.xbzrle_cache_bytes = SMALL_RAM_BYTES;
    if (kind->channels)
        migrate_pair_multifd(p, kind->channels, kind->compression);
    return p;
}

static void pair_delete(struct migrate_pair *p)
{
    migrate_pair_free(p);
    free(p);
}

/* The reason is about the connection, or it is the sentence of the target, which saw it. */
static void check_reason(const struct kind *kind, const struct migrate_pair *p)
{
    static const char *const reasons[] = {"closed the connection", "the target refused: "};

    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
        if (strstr(p->source_err.text, reasons[i]))
            return;
    fail_msg("%s: %s", kind->name, p->source_err.text);
}

static enum ferry_move_status cut_at(const struct kind *kind, struct migrate_pair *p, int way,
                                     size_t at, bool *over)
{
    p->cut_at_bytes[way] = at;
    migrate_pair_start(p);
    migrate_pair_run(p, 20000);
    switch (p->source_status) {
    case FERRY_MOVE_FAILED:
        migrate_pair_check_stayed(p);
        assert_int_equal(p->target_status, FERRY_MOVE_FAILED);
        check_reason(kind, p);
        if (at % AGAIN_EACH == 0) {
            migrate_pair_again(p);
            *over = true;
        }
        return FERRY_MOVE_FAILED;
    case FERRY_MOVE_LOST:
        /* COMMIT was under way. */
        assert_false(atomic_load(&p->from.running));
        assert_non_null(strstr(p->source_err.text, "stays paused here"));
        *over = true;
        return FERRY_MOVE_LOST;
    default:
        migrate_pair_check_moved(p, true);
        *over = true;
        return FERRY_MOVE_DONE;
    }
}

static void measure(const struct kind *kind, size_t bytes[MIGRATE_PAIR_WIRES][2])
{
    struct migrate_pair *p = pair_of(kind);

    migrate_pair_start(p);
    migrate_pair_run(p, 20000);
    migrate_pair_check_moved(p, true);
    for (unsigned i = 0; i < MIGRATE_PAIR_WIRES; i++)
        memcpy(bytes[i], p->wires[i].passed_bytes, sizeof(bytes[i]));
    pair_delete(p);
}

static void cut_wire(const struct kind *kind, unsigned wire, int way, size_t bytes)
{
    struct migrate_pair *p = NULL;
    size_t ends[FERRY_MOVE_LOST + 1] = {0};
    /* Who goes before it has said what it is was not the source: hostile_multifd. */
    size_t first = kind->channels && wire == 0 && way == PAIR_THERE ? kind->stride_bytes : 0;

    for (size_t at = first; at < bytes; at += kind->stride_bytes) {
        bool over = false; /* the guest is no more where it was */

        if (!p)
            p = pair_of(kind);
        p->cut_wire = wire;
        ends[cut_at(kind, p, way, at, &over)]++;
        if (over) {
            pair_delete(p);
            p = NULL;
        }
    }
    if (p)
        pair_delete(p);
    print_message("%s, wire %u, way %d: %zu bytes, %zu moved, %zu failed, %zu lost\n", kind->name,
                  wire, way, bytes, ends[FERRY_MOVE_DONE], ends[FERRY_MOVE_FAILED],
                  ends[FERRY_MOVE_LOST]);
    /* As long as the last byte is missing nobody has it all. */
    if (wire == 0 && way == PAIR_THERE) {
        assert_int_equal(ends[FERRY_MOVE_DONE], 0);
        assert_true(ends[FERRY_MOVE_FAILED] > 0);
    }
}

static void cut_anywhere(const struct kind *kind)
{
    size_t bytes[MIGRATE_PAIR_WIRES][2];

    measure(kind, bytes);
    for (unsigned wire = 0; wire <= kind->channels; wire++) {
        cut_wire(kind, wire, PAIR_THERE, bytes[wire][PAIR_THERE]);
        cut_wire(kind, wire, PAIR_BACK, bytes[wire][PAIR_BACK]);
    }
}

static void test_plain(void **state)
{
    cut_anywhere(&(const struct kind){.name = "plain", .stride_bytes = 1});
}

/* From here on what is cut is longer, and its pieces are of the same kinds. */
static void test_deltas(void **state)
{
    cut_anywhere(&(const struct kind){.name = "xbzrle", .xbzrle = true, .stride_bytes = 7});
}

static void test_channels(void **state)
{
    cut_anywhere(&(const struct kind){
        .name = "multifd", .channels = 2, .compression = "none", .stride_bytes = 7});
}

static void test_channels_zlib(void **state)
{
    cut_anywhere(&(const struct kind){
        .name = "multifd zlib", .channels = 2, .compression = "zlib", .stride_bytes = 23});
}

static void test_channels_zstd(void **state)
{
    cut_anywhere(&(const struct kind){
        .name = "multifd zstd", .channels = 3, .compression = "zstd", .stride_bytes = 23});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),         cmocka_unit_test(test_deltas),
        cmocka_unit_test(test_channels),      cmocka_unit_test(test_channels_zlib),
        cmocka_unit_test(test_channels_zstd),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
