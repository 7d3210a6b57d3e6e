/* SPDX-License-Identifier: Apache-2.0 */
/* A toy goes into a mapped-ram file and comes out of it: all of it, or with the right reason. */
#include "tests/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/own.h"
#include "lib/wire/mapped.h"
#include "tests/sim/places.h"

#define TOY_PAGES (TOY_RAM_BYTES / WIRE_PAGE_BYTES)

static void mapped(struct migrate_pair *p, unsigned channels)
{
    for (uint64_t page = 500; page < 700; page++)
        memcpy(ferry_ram_host(p->from.region) + page * FERRY_PAGE_BYTES, &page, sizeof(page));
    p->source_params.capabilities.mapped_ram = p->target_params.capabilities.mapped_ram = true;
    p->source_params.capabilities.multifd = p->target_params.capabilities.multifd = channels > 0;
    p->source_params.parameters.multifd_channels = channels;
    p->target_params.parameters.multifd_channels = channels;
    p->from.scribble_pages = 900;
}

static void save(struct places *t)
{
    snprintf(t->uri, sizeof(t->uri), "file:%s", t->path);
    places_source(t->p, t->uri);
    places_run(t->p);
    if (t->p->source_status != FERRY_MOVE_DONE)
        fail_msg("%s", t->p->source_err.text);
}

static void restore(struct places *t)
{
    struct ferry_listener *l = places_listen(t->uri);

    places_target(t->p, &l);
    places_run(t->p);
}

static void restore_is_refused(struct places *t, const char *why)
{
    ferry_move_free(t->p->target);
    t->p->target = NULL;
    restore(t);
    assert_int_equal(t->p->target_status, FERRY_MOVE_FAILED);
    if (!strstr(t->p->target_err.text, why))
        fail_msg("'%s' is not in: %s", why, t->p->target_err.text);
    assert_false(atomic_load(&t->p->to.running));
}

/* --- What arrives --- */

static void move(struct places *t, unsigned channels)
{
    mapped(t->p, channels);
    save(t);
    restore(t);
    places_check(t->p);
}

static void test_moves(void **state)
{
    struct ferry_migrate_info info = {.size_bytes = sizeof(info)};
    struct places *t = *state;
    struct stat st;

    move(t, 0);
    ferry_migrate_source_info(t->p->source, &info);
    assert_true(info.zero_pages > 100);
    assert_in_range(info.normal_pages, 100, 100000);
    assert_int_equal(stat(t->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_true(st.st_size > (off_t)TOY_RAM_BYTES + (1 << 20));
    assert_true(st.st_blocks * 512 < (off_t)TOY_RAM_BYTES + (1 << 19)); /* it has holes */
    ferry_migrate_target_info(t->p->target, &info);
    assert_int_equal(info.zero_pages + info.normal_pages, TOY_PAGES);
}

static void test_moves_by_channels(void **state)
{
    struct places *t = *state;

    for (unsigned channels = 1; channels <= 4; channels++) {
        move(t, channels);
        migrate_pair_free(t->p);
        migrate_pair_init(t->p, true);
    }
}

/* Written by three, read by one: the file says nothing of channels. */
static void test_channels_need_not_be_alike(void **state)
{
    struct places *t = *state;

    mapped(t->p, 3);
    t->p->target_params.capabilities.multifd = false;
    save(t);
    restore(t);
    places_check(t->p);
}

static void test_a_file_says_what_it_is(void **state)
{
    struct places *t = *state;

    for (int is_mapped = 0; is_mapped < 2; is_mapped++) {
        mapped(t->p, 2);
        t->p->source_params.capabilities.mapped_ram = is_mapped;
        t->p->source_params.capabilities.multifd = is_mapped;
        t->p->target_params.any_file = true;
        save(t);
        restore(t);
        places_check(t->p);
        migrate_pair_free(t->p);
        migrate_pair_init(t->p, true);
    }
}

static void test_behind_an_offset(void **state)
{
    struct places *t = *state;
    char text[5] = {0}, uri[160];
    OWN_FD int fd = open(t->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    assert_int_equal(write(fd, "mine", 4), 4);
    /* An older, longer file: what it had must not show behind the end. */
    assert_int_equal(ftruncate(fd, 64 << 20), 0);
    assert_int_equal(pwrite(fd, "old", 3, (64 << 20) - 3), 3);
    mapped(t->p, 2);
    snprintf(uri, sizeof(uri), "file:%s,offset=0x2001", t->path);
    strcpy(t->uri, uri);
    places_source(t->p, uri);
    places_run(t->p);
    assert_int_equal(t->p->source_status, FERRY_MOVE_DONE);
    restore(t);
    places_check(t->p);
    assert_int_equal(pread(fd, text, 4, 0), 4);
    assert_string_equal(text, "mine");
}

static void test_direct_io(void **state)
{
    struct places *t = *state;
    OWN_FD int fd = open(t->path, O_RDWR | O_CREAT | O_DIRECT | O_CLOEXEC, 0600);

    mapped(t->p, 2);
    t->p->source_params.parameters.direct_io = t->p->target_params.parameters.direct_io = true;
    if (fd >= 0) {
        own_close_fd(&fd); /* what somebody writes to is not replaced */
        save(t);
        restore(t);
        places_check(t->p);
        return;
    }
    snprintf(t->uri, sizeof(t->uri), "file:%s", t->path);
    places_source(t->p, t->uri);
    places_run(t->p);
    assert_int_equal(t->p->source_status, FERRY_MOVE_FAILED);
    assert_non_null(strstr(t->p->source_err.text, "does not do direct I/O (O_DIRECT)"));
    migrate_pair_check_stayed(t->p);
}

/* Which page of the source's RAM act_clear() clears in the pause, and a mark in it. */
#define CLEARED 1001u
static const char mark[] = "this page was something once";

static void act_clear(struct migrate_pair *p)
{
    memset(ferry_ram_host(p->from.region) + CLEARED * FERRY_PAGE_BYTES, 0, FERRY_PAGE_BYTES);
    ferry_ram_mark_dirty(p->from.region, CLEARED);
}

static void test_a_page_that_became_zero(void **state)
{
    struct places *t = *state;
    uint64_t at = CLEARED * FERRY_PAGE_BYTES;

    mapped(t->p, 2);
    memcpy(ferry_ram_host(t->p->from.region) + at, mark, sizeof(mark));
    /* What the target's machine put there itself is no part of the guest. */
    memcpy(ferry_ram_host(t->p->to.region) + at, mark, sizeof(mark));
    memcpy(ferry_ram_host(t->p->to.region) + at + FERRY_PAGE_BYTES, mark, sizeof(mark));
    t->p->act_at = FERRY_MIGRATE_PAUSED;
    t->p->act = act_clear;
    save(t);
    restore(t);
    places_check(t->p);
}

/* --- What is refused --- */

static void test_what_does_not_go_together(void **state)
{
    struct places *t = *state;
    const struct {
        struct ferry_migrate_capabilities capabilities;
        struct ferry_migrate_parameters parameters;
        const char *why;
    } cases[] = {
        {{.mapped_ram = true, .xbzrle = true},
         {0},
         "Mapped-ram migration is incompatible with xbzrle"},
        {{.mapped_ram = true, .ignore_shared = true}, {0}, "x-ignore-shared"},
        {{.mapped_ram = true, .multifd = true},
         {.multifd_compression = "zstd"},
         "Cannot use compression with mapped-ram"},
        {{.mapped_ram = true}, {.direct_io = true}, "mapped-ram and multifd"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ferry_chan *pair[2];
        struct ferry_err err = {0};

        t->p->source_params.capabilities = t->p->target_params.capabilities = cases[i].capabilities;
        t->p->source_params.parameters = t->p->target_params.parameters = cases[i].parameters;
        assert_int_equal(ferry_chan_pair(pair, &err), 0);
        assert_int_equal(
            ferry_migrate_source_new(&t->p->source, &t->p->source_params, NULL, &pair[0], &err),
            -EINVAL);
        assert_non_null(strstr(err.text, cases[i].why));
        assert_int_equal(
            ferry_migrate_target_new(&t->p->target, &t->p->target_params, NULL, &pair[1], &err),
            -EINVAL);
        assert_non_null(strstr(err.text, cases[i].why));
        ferry_chan_free(pair[0]);
        ferry_chan_free(pair[1]);
    }
}

static void test_only_files_have_places(void **state)
{
    struct places *t = *state;

    mapped(t->p, 0);
    places_source(t->p, "exec:cat > /dev/null");
    places_run(t->p);
    assert_int_equal(t->p->source_status, FERRY_MOVE_FAILED);
    assert_string_equal(t->p->source_err.text, "Migration requires seekable transport (e.g. file)");
    migrate_pair_check_stayed(t->p);
    ferry_move_free(t->p->source);
    ferry_address_free(t->p->address);
    t->p->address = NULL;
    save(t);
    snprintf(t->uri, sizeof(t->uri), "exec:cat %s", t->path);
    t->p->target_params.any_file = true;
    restore_is_refused(t, "Migration requires seekable transport (e.g. file): the source sends");
}

static void test_both_sides_must_say_so(void **state)
{
    struct places *t = *state;

    mapped(t->p, 0);
    t->p->target_params.capabilities.mapped_ram = false;
    save(t);
    restore_is_refused(t, "mapped-ram is on");
}

/* --- What a file may say --- */

#define MORE_PAGES 3u

/* A second block, whose pages do not fill a word of its bitmap. */
static void add_block(struct migrate_pair *p)
{
    struct ferry_ram_region *region;
    struct ferry_err err;

    assert_int_equal(
        ferry_ram_add(p->from.ram, "more.ram", MORE_PAGES * FERRY_PAGE_BYTES, &region, &err), 0);
    memset(ferry_ram_host(region) + FERRY_PAGE_BYTES, 7, 2 * FERRY_PAGE_BYTES);
    assert_int_equal(
        ferry_ram_add(p->to.ram, "more.ram", MORE_PAGES * FERRY_PAGE_BYTES, &region, &err), 0);
}

/* Where the block's header is in the file: in the list, which is not the first that names it. */
static off_t header_of(int fd, const char *name, off_t from)
{
    char data[4096] = {0};
    const char *at = NULL, *next = data;

    assert_true(pread(fd, data, sizeof(data), from) > 0);
    while ((next = memmem(next, (size_t)(data + sizeof(data) - next), name, strlen(name))))
        at = next++;
    assert_non_null(at);
    return from + (at - data) + (off_t)strlen(name) + 8;
}

static struct mapped_header header_at(int fd, off_t at)
{
    uint8_t data[MAPPED_HEADER_BYTES];
    struct rd r = rd_make(data, sizeof(data));

    assert_int_equal(pread(fd, data, sizeof(data), at), sizeof(data));
    return mapped_get_header(&r);
}

static void put_header(int fd, off_t at, const struct mapped_header *h)
{
    struct buf data = {0};

    mapped_put_header(&data, h);
    assert_int_equal(pwrite(fd, data.data, data.len_bytes, at), MAPPED_HEADER_BYTES);
    buf_free(&data);
}

static void test_hostile_headers(void **state)
{
    struct places *t = *state;
    struct mapped_header first, second;
    OWN_FD int fd = -1;
    off_t at[2];
    struct stat st;

    mapped(t->p, 2);
    add_block(t->p);
    save(t);
    fd = open(t->path, O_RDWR | O_CLOEXEC);
    at[0] = header_of(fd, "\x07toy.ram", 0);
    first = header_at(fd, at[0]);
    at[1] = header_of(fd, "\x08more.ram", (off_t)(first.pages_offset_bytes + TOY_RAM_BYTES));
    second = header_at(fd, at[1]);
    assert_int_equal(fstat(fd, &st), 0);

#define PAGES(n)  .pages_offset_bytes = (uint64_t)(n)
#define BITMAP(n) .bitmap_offset_bytes = (uint64_t)(n)
    const struct {
        int block;
        struct mapped_header h;
        const char *why;
    } cases[] = {
        {0, {.version = 2}, "mapped-ram version 2"},
        {0, {.page_bytes = UINT64_MAX}, "in pages of 0xffffffffffffffff bytes"},
        {1, {.page_bytes = 8192}, "in pages of 0x2000 bytes"},
        {0, {PAGES(first.pages_offset_bytes + 1)}, "not at a multiple of 0x1000"},
        /* pages in front of, or inside, the bitmap */
        {0, {PAGES(0x1000), BITMAP(0x2000)}, "overlap its bitmap"},
        {1, {PAGES(second.bitmap_offset_bytes / 4096 * 4096)}, "overlap its bitmap"},
        /* a bitmap inside the header, or inside what came before */
        {0, {BITMAP(1)}, "overlaps what comes before"},
        {0, {BITMAP(at[0] + MAPPED_HEADER_BYTES - 1)}, "overlaps what comes before"},
        {1, {BITMAP(first.pages_offset_bytes + 64)}, "overlaps what comes before"},
        {1, {PAGES(first.pages_offset_bytes), BITMAP(first.bitmap_offset_bytes)}, "overlap"},
        /* beyond the file */
        {0, {PAGES(((uint64_t)st.st_size / 4096 + 1) * 4096)}, "but the file has only"},
        {1, {PAGES(((uint64_t)st.st_size / 4096 - 2) * 4096)}, "but the file has only"},
        {1, {PAGES(1ull << 40), BITMAP((1ull << 40) - 8)}, "but the file has only"},
        /* and beyond numbers */
        {0, {PAGES(-4096)}, "overflow"},
        {0, {BITMAP(-1)}, "overflow"},
        {1, {BITMAP(INT64_MAX), PAGES(1ull << 63)}, "overlap its bitmap"},
    };
#undef PAGES
#undef BITMAP

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct mapped_header h = cases[i].block ? second : first, bad = cases[i].h;

        put_header(fd, at[cases[i].block],
                   &(struct mapped_header){
                       .version = bad.version ? bad.version : h.version,
                       .page_bytes = bad.page_bytes ? bad.page_bytes : h.page_bytes,
                       .bitmap_offset_bytes = bad.bitmap_offset_bytes ? bad.bitmap_offset_bytes
                                                                      : h.bitmap_offset_bytes,
                       .pages_offset_bytes =
                           bad.pages_offset_bytes ? bad.pages_offset_bytes : h.pages_offset_bytes,
                   });
        restore_is_refused(t, cases[i].why);
        put_header(fd, at[cases[i].block], &h);
    }
    /* Zero stands for "as it is" above. */
    put_header(fd, at[0],
               &(struct mapped_header){.version = 1,
                                       .bitmap_offset_bytes = first.bitmap_offset_bytes,
                                       .pages_offset_bytes = first.pages_offset_bytes});
    restore_is_refused(t, "in pages of 0x0 bytes");
    put_header(fd, at[0], &first);
    ferry_move_free(t->p->target);
    restore(t);
    places_check(t->p);
}

static void test_bits_behind_the_last_page(void **state)
{
    struct places *t = *state;
    struct mapped_header h;
    OWN_FD int fd = -1;
    uint8_t byte;

    mapped(t->p, 0);
    add_block(t->p);
    save(t);
    fd = open(t->path, O_RDWR | O_CLOEXEC);
    h = header_at(fd, header_of(fd, "\x07toy.ram", 0));
    h = header_at(fd, header_of(fd, "\x08more.ram", (off_t)(h.pages_offset_bytes + TOY_RAM_BYTES)));
    assert_int_equal(pread(fd, &byte, 1, (off_t)h.bitmap_offset_bytes), 1);
    assert_int_equal(byte, 6); /* the first page is zeros */
    byte |= 1u << MORE_PAGES;
    assert_int_equal(pwrite(fd, &byte, 1, (off_t)h.bitmap_offset_bytes), 1);
    restore_is_refused(t, "the bitmap has page 3, but there are only 3");
}

static void test_what_follows_the_end(void **state)
{
    struct places *t = *state;

    for (int is_mapped = 0; is_mapped < 2; is_mapped++) {
        OWN_FD int fd = -1;

        mapped(t->p, 0);
        t->p->source_params.capabilities.mapped_ram = is_mapped;
        t->p->target_params.any_file = true;
        save(t);
        fd = open(t->path, O_WRONLY | O_APPEND | O_CLOEXEC);
        assert_int_equal(write(fd, "x", 1), 1);
        restore_is_refused(t, "1 bytes of ");
        migrate_pair_free(t->p);
        migrate_pair_init(t->p, true);
    }
}

/* A copy that was not complete: whatever is missing, nothing starts. */
static void test_a_file_that_was_cut(void **state)
{
    struct places *t = *state;
    struct stat st;

    mapped(t->p, 2);
    add_block(t->p);
    save(t);
    assert_int_equal(stat(t->path, &st), 0);
    for (int i = 1; i < 40; i++) {
        off_t length = st.st_size - (off_t)i * i * i * 97;

        if (length < 0)
            break;
        assert_int_equal(truncate(t->path, length), 0);
        restore_is_refused(t, "");
        assert_int_not_equal(t->p->target_err.errnum, 0);
    }
}

/* --- Disks that are full --- */

static void fails_at(struct places *t, bool is_mapped, unsigned channels, rlim_t limit)
{
    struct rlimit before, few;

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    few = (struct rlimit){.rlim_cur = limit, .rlim_max = before.rlim_max};
    mapped(t->p, channels);
    t->p->source_params.capabilities.mapped_ram = is_mapped;
    t->p->target_params.any_file = true;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &few), 0);
    snprintf(t->uri, sizeof(t->uri), "file:%s", t->path);
    places_source(t->p, t->uri);
    places_run(t->p);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(t->p->source_status, FERRY_MOVE_FAILED);
    if (!strstr(t->p->source_err.text, t->path) || !strstr(t->p->source_err.text, "File too large"))
        fail_msg("%s", t->p->source_err.text);
    migrate_pair_check_stayed(t->p);
    /* Nothing was lost: the next attempt has everything. */
    ferry_move_free(t->p->source);
    ferry_address_free(t->p->address);
    t->p->address = NULL;
    save(t);
    restore(t);
    places_check(t->p);
    migrate_pair_free(t->p);
    migrate_pair_init(t->p, true);
}

static void test_a_file_that_may_not_grow(void **state)
{
    /* In the header, list, pages, behind them: the guest is paused by then. */
    static const rlim_t limits[] = {
        0, 100, 300 << 10, 1 << 20, 3 << 20, (5 << 20) + 20, (5 << 20) + 60};
    struct places *t = *state;

    signal(SIGXFSZ, SIG_IGN);
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        fails_at(t, true, 0, limits[i]);
        fails_at(t, true, 2, limits[i]);
        if (limits[i] <= 300 << 10)
            fails_at(t, false, 0, limits[i]);
    }
}

#define NOT_ALLOWED 77

/* A mount of this process's own over dir, with 2 MiB. Only root may. */
static bool mount_small(const char *dir)
{
    return unshare(CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("none", dir, "tmpfs", 0, "size=2m") == 0;
}

/* In a process that has only this thread: the parent's toys have stayed there. */
static int on_a_small_disk(const struct places *parents, bool is_mapped)
{
    struct migrate_pair pair;
    struct places t = *parents;

    if (!mount_small(t.dir))
        return NOT_ALLOWED;
    t.p = &pair;
    migrate_pair_init(&pair, true);
    mapped(&pair, is_mapped ? 2 : 0);
    pair.source_params.capabilities.mapped_ram = is_mapped;
    memset(ferry_ram_host(pair.from.region) + FERRY_PAGE_BYTES, 9,
           TOY_RAM_BYTES - FERRY_PAGE_BYTES);
    snprintf(t.uri, sizeof(t.uri), "file:%s", t.path);
    places_source(&pair, t.uri);
    places_run(&pair);
    assert_int_equal(pair.source_status, FERRY_MOVE_FAILED);
    assert_non_null(strstr(pair.source_err.text, t.path));
    assert_non_null(strstr(pair.source_err.text, "No space left on device"));
    migrate_pair_check_stayed(&pair);
    return 0;
}

static void test_a_disk_that_is_full(void **state)
{
    for (int is_mapped = 0; is_mapped < 2; is_mapped++) {
        pid_t child = fork();
        int status;

        assert_true(child >= 0);
        if (child == 0)
            _exit(on_a_small_disk(*state, is_mapped));
        assert_int_equal(waitpid(child, &status, 0), child);
        if (WIFEXITED(status) && WEXITSTATUS(status) == NOT_ALLOWED)
            return;
        assert_int_equal(status, 0);
    }
}

static void test_cancel(void **state)
{
    struct places *t = *state;
    struct ferry_err err;

    mapped(t->p, 2);
    memset(ferry_ram_host(t->p->from.region) + FERRY_PAGE_BYTES, 9,
           TOY_RAM_BYTES - FERRY_PAGE_BYTES);
    t->p->source_params.parameters.max_bandwidth_bps = 4096;
    snprintf(t->uri, sizeof(t->uri), "file:%s", t->path);
    places_source(t->p, t->uri);
    assert_int_equal(ferry_move_cancel(t->p->source, &err), 0);
    places_run(t->p);
    assert_int_equal(t->p->source_status, FERRY_MOVE_FAILED);
    assert_int_equal(t->p->source_err.errnum, ECANCELED);
    migrate_pair_check_stayed(t->p);
}

#define MAPPED_TEST(f) cmocka_unit_test_setup_teardown(f, places_setup, places_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        MAPPED_TEST(test_moves),
        MAPPED_TEST(test_moves_by_channels),
        MAPPED_TEST(test_channels_need_not_be_alike),
        MAPPED_TEST(test_a_file_says_what_it_is),
        MAPPED_TEST(test_behind_an_offset),
        MAPPED_TEST(test_direct_io),
        MAPPED_TEST(test_a_page_that_became_zero),
        MAPPED_TEST(test_what_does_not_go_together),
        MAPPED_TEST(test_only_files_have_places),
        MAPPED_TEST(test_both_sides_must_say_so),
        MAPPED_TEST(test_hostile_headers),
        MAPPED_TEST(test_bits_behind_the_last_page),
        MAPPED_TEST(test_what_follows_the_end),
        MAPPED_TEST(test_a_file_that_was_cut),
        MAPPED_TEST(test_a_file_that_may_not_grow),
        MAPPED_TEST(test_a_disk_that_is_full),
        MAPPED_TEST(test_cancel),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
