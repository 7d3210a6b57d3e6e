/* SPDX-License-Identifier: Apache-2.0 */
/* mapped_out writes a file, mapped_in reads it, without threads and step by step. */
#include "tests/unit.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/chan/place.h"
#include "lib/migrate/mapped_in.h"
#include "lib/migrate/mapped_out.h"

#define MIB    (UINT64_C(1) << 20)
#define PAGES  70u /* of the first block: more than a word of its bitmap */
#define BEFORE 13u /* bytes that are in the file already */

struct side {
    struct ferry_ram *ram;
    struct guest_ram guest;
    atomic_uint_fast64_t bytes, zero_pages, normal_pages;
};

struct fixture {
    struct side from, to;
    struct ferry_chan *chan;
};

static void side_init(struct side *s)
{
    struct ferry_ram_region *region;
    struct ferry_err err;

    assert_int_equal(ferry_ram_new(&s->ram, &err), 0);
    assert_int_equal(ferry_ram_add(s->ram, "a", PAGES * WIRE_PAGE_BYTES, &region, &err), 0);
    assert_int_equal(ferry_ram_add(s->ram, "b", 2 * WIRE_PAGE_BYTES, &region, &err), 0);
    assert_int_equal(guest_ram_init(&s->guest, s->ram, false, &err), 0);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    int fd = memfd_create("mapped", MFD_CLOEXEC);
    struct ferry_err err;

    side_init(&f->from);
    side_init(&f->to);
    assert_int_equal(write(fd, "before before", BEFORE), BEFORE);
    assert_int_equal(ferry_chan_from_fd(&f->chan, &fd, &err), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    struct side *sides[] = {&f->from, &f->to};

    for (int i = 0; i < 2; i++) {
        guest_ram_free(&sides[i]->guest);
        ferry_ram_free(sides[i]->ram);
    }
    ferry_chan_free(f->chan);
    free(f);
    return 0;
}

static void fill(struct side *s, size_t block, uint64_t page, uint8_t contents)
{
    memset(guest_ram_page(&s->guest, block, page * WIRE_PAGE_BYTES), contents, WIRE_PAGE_BYTES);
    guest_bit_set(s->guest.backed[block], page);
}

static struct mapped_out *out_new(struct fixture *f, bool look_for_zeros)
{
    const struct mapped_out_params params = {
        .chan = f->chan,
        .guest = &f->from.guest,
        .channels = 1,
        .look_for_zeros = look_for_zeros,
        .bytes = &f->from.bytes,
        .zero_pages = &f->from.zero_pages,
        .normal_pages = &f->from.normal_pages,
    };
    struct mapped_out *m = NULL;
    struct ferry_err err = {0};

    assert_int_equal(mapped_out_new(&m, &params, &err), 0);
    assert_int_equal(mapped_out_begin(m, 5, &err), 0);
    return m;
}

static void out_pages(struct mapped_out *m, size_t block, uint64_t page, uint64_t pages)
{
    struct ferry_err err = {0};

    assert_true(mapped_out_room(m));
    mapped_out_pages(m, block, page, pages);
    assert_int_equal(mapped_out_idle(m, &err), 0);
    mapped_out_step(m);
    assert_int_equal(mapped_out_idle(m, &err), 1);
}

/* section start, total, entry: where the first header is */
#define FIRST_HEADER (BEFORE + 1u + 4u + 1u + 3u + 4u + 4u + 8u + 1u + 1u + 8u)

static struct mapped_header header_at(const struct fixture *f, uint64_t at)
{
    uint8_t data[MAPPED_HEADER_BYTES];
    struct rd r = rd_make(data, sizeof(data));
    struct ferry_err err;

    assert_int_equal(chan_read_at(f->chan, data, sizeof(data), at, &err), 0);
    return mapped_get_header(&r);
}

static struct mapped_in *in_new(struct fixture *f)
{
    const struct mapped_in_params params = {
        .chan = f->chan,
        .guest = &f->to.guest,
        .channels = 1,
        .bytes = &f->to.bytes,
        .zero_pages = &f->to.zero_pages,
        .normal_pages = &f->to.normal_pages,
    };
    struct mapped_in *m = NULL;
    struct ferry_err err;

    assert_int_equal(mapped_in_new(&m, &params, &err), 0);
    return m;
}

/* Returns where reading goes on. */
static uint64_t in_block(struct mapped_in *m, size_t block, const struct mapped_header *h,
                         uint64_t position)
{
    struct ferry_err err = {0};
    uint64_t end = 0;
    int r;

    if (mapped_in_begin(m, block, h, position, &err) < 0)
        fail_msg("%s", err.text);
    while ((r = mapped_in_next(m, &end, &err)) == 0)
        continue;
    assert_int_equal(r, 1);
    return end;
}

static void pages_have_places(void **state)
{
    struct fixture *f = *state;
    struct mapped_out *m;
    struct mapped_header h;
    struct ferry_err err = {0};
    uint8_t bitmap[16], page[WIRE_PAGE_BYTES];
    uint64_t at;

    fill(&f->from, 0, 3, 'c');
    fill(&f->from, 0, 4, 'd');
    fill(&f->from, 0, 69, 'z');
    fill(&f->from, 1, 1, '1');
    m = out_new(f, true);
    h = header_at(f, FIRST_HEADER);
    assert_int_equal(h.bitmap_offset_bytes, FIRST_HEADER + MAPPED_HEADER_BYTES);
    assert_int_equal(h.pages_offset_bytes, MIB);
    out_pages(m, 0, 0, 70);
    out_pages(m, 1, 0, 2);
    assert_int_equal(atomic_load(&f->from.normal_pages), 4);
    assert_int_equal(atomic_load(&f->from.zero_pages), 68);
    assert_int_equal(atomic_load(&f->from.bytes), 4 * WIRE_PAGE_BYTES);
    /* Until the end no page is there. */
    assert_int_equal(chan_read_at(f->chan, bitmap, sizeof(bitmap), h.bitmap_offset_bytes, &err), 0);
    for (size_t i = 0; i < sizeof(bitmap); i++)
        assert_int_equal(bitmap[i], 0);
    assert_int_equal(mapped_out_end(m, &err), 0);
    assert_int_equal(chan_read_at(f->chan, bitmap, sizeof(bitmap), h.bitmap_offset_bytes, &err), 0);
    assert_int_equal(bitmap[0], 0x18);
    assert_int_equal(bitmap[8], 0x20);
    assert_int_equal(chan_read_at(f->chan, page, sizeof(page), MIB + 4 * WIRE_PAGE_BYTES, &err), 0);
    assert_int_equal(page[0], 'd');
    assert_int_equal(page[WIRE_PAGE_BYTES - 1], 'd');
    /* The stream goes on behind the pages of the last block, with the end of the section there. */
    assert_int_equal(chan_position(f->chan, &at, &err), 0);
    assert_int_equal(at, 2 * MIB + 2 * WIRE_PAGE_BYTES + 8 + 5);
    mapped_out_free(m);
}

static void what_was_written_is_read(void **state)
{
    struct fixture *f = *state;
    struct mapped_out *m;
    struct mapped_in *in;
    struct mapped_header h;
    struct ferry_err err = {0};
    uint64_t end;

    fill(&f->from, 0, 3, 'c');
    fill(&f->from, 0, 68, 'y');
    fill(&f->from, 0, 69, 'z');
    fill(&f->from, 1, 0, '0');
    m = out_new(f, true);
    out_pages(m, 0, 0, 70);
    out_pages(m, 1, 0, 2);
    /* Once more: one changes, one becomes zero, one is new. */
    fill(&f->from, 0, 3, 'C');
    fill(&f->from, 0, 68, 0);
    fill(&f->from, 0, 5, 'e');
    out_pages(m, 0, 3, 3);
    out_pages(m, 0, 68, 1);
    assert_int_equal(mapped_out_end(m, &err), 0);
    mapped_out_free(m);

    /* This side's machine has put something there. */
    fill(&f->to, 0, 68, 'x');
    fill(&f->to, 1, 1, 'x');
    in = in_new(f);
    h = header_at(f, FIRST_HEADER);
    end = in_block(in, 0, &h, FIRST_HEADER + MAPPED_HEADER_BYTES);
    assert_int_equal(end, MIB + PAGES * WIRE_PAGE_BYTES);
    h = header_at(f, end + 1 + 1 + 8);
    end = in_block(in, 1, &h, end + 1 + 1 + 8 + MAPPED_HEADER_BYTES);
    assert_int_equal(end, 2 * MIB + 2 * WIRE_PAGE_BYTES);
    mapped_in_free(in);
    for (size_t block = 0; block < 2; block++)
        assert_memory_equal(ferry_ram_host(f->from.guest.regions[block]),
                            ferry_ram_host(f->to.guest.regions[block]),
                            f->from.guest.at[block].used_bytes);
    assert_int_equal(atomic_load(&f->to.normal_pages), 4);
    assert_int_equal(atomic_load(&f->to.zero_pages), 68);
}

/* What was never touched stays a hole, here as well. */
static void fresh_memory_stays_untouched(void **state)
{
    struct fixture *f = *state;
    struct mapped_out *m;
    struct mapped_in *in;
    struct mapped_header h;
    struct ferry_err err = {0};
    struct stat st;

    fill(&f->from, 0, 0, 'a');
    m = out_new(f, true);
    out_pages(m, 0, 0, 70);
    assert_int_equal(mapped_out_end(m, &err), 0);
    mapped_out_free(m);
    in = in_new(f);
    h = header_at(f, FIRST_HEADER);
    in_block(in, 0, &h, FIRST_HEADER + MAPPED_HEADER_BYTES);
    mapped_in_free(in);
    assert_int_equal(fstat(ferry_ram_fd(f->to.guest.regions[0]), &st), 0);
    assert_true(st.st_blocks * 512 < PAGES * WIRE_PAGE_BYTES);
}

static void zeros_are_written_when_nobody_looks(void **state)
{
    struct fixture *f = *state;
    struct mapped_out *m = out_new(f, false);

    out_pages(m, 0, 10, 5);
    assert_int_equal(atomic_load(&f->from.normal_pages), 5);
    assert_int_equal(atomic_load(&f->from.zero_pages), 0);
    mapped_out_free(m);
}

static void a_header_is_not_believed(void **state)
{
    struct fixture *f = *state;
    struct mapped_in *in = in_new(f);
    struct mapped_header h = {.version = 1,
                              .page_bytes = WIRE_PAGE_BYTES,
                              .bitmap_offset_bytes = BEFORE,
                              .pages_offset_bytes = WIRE_PAGE_BYTES};
    struct ferry_err err;

    assert_true(mapped_in_begin(in, 1, &h, BEFORE, &err) < 0);
    assert_non_null(strstr(err.text, "but the file has only 0xd bytes"));
    assert_true(mapped_in_begin(in, 1, &h, BEFORE + 1, &err) < 0);
    assert_non_null(strstr(err.text, "overlaps what comes before"));
    mapped_in_free(in);
}

#define MAPPED_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        MAPPED_TEST(pages_have_places),
        MAPPED_TEST(what_was_written_is_read),
        MAPPED_TEST(fresh_memory_stays_untouched),
        MAPPED_TEST(zeros_are_written_when_nobody_looks),
        MAPPED_TEST(a_header_is_not_believed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
