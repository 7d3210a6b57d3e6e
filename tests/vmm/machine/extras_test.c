/* SPDX-License-Identifier: Apache-2.0 */
/* What of a part goes along, from one process's struct extras to another's. */
#include "tests/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/be.h"
#include "base/own.h"
#include "tests/vmm/machine/carry.h"
#include "vmm/machine/extras.h"

static const struct extras_kind kind = {.part = "toy",
                                        .what = "the record of toys",
                                        .magic = 0x66544f59u,
                                        .version = 3,
                                        .max_bytes = 64,
                                        .max_entries = 2};

struct pair {
    struct extras from, to;
    int lowest; /* that is free at the start */
};

static int lowest_free_fd(void)
{
    int fd = dup(0);

    close(fd);
    return fd;
}

static int setup(void **state)
{
    static struct pair p;

    p.lowest = lowest_free_fd();
    extras_init(&p.from, &kind);
    extras_init(&p.to, &kind);
    extras_prepare(&p.from);
    *state = &p;
    return 0;
}

static int teardown(void **state)
{
    struct pair *p = *state;

    extras_free(&p->from);
    extras_free(&p->to);
    assert_int_equal(lowest_free_fd(), p->lowest);
    return 0;
}

/* Two entries: one byte and two fds, the other a byte. */
static void pause_source(struct pair *p)
{
    extras_begin(&p->from);
    extras_begin_entry(&p->from);
    buf_u8(&p->from.record, 7);
    extras_add_fd(&p->from, 0);
    extras_add_fd(&p->from, 1);
    assert_true(extras_end_entry(&p->from, true));
    extras_begin_entry(&p->from);
    buf_u8(&p->from.record, 9);
    assert_true(extras_end_entry(&p->from, true));
    assert_true(extras_end(&p->from));
}

static void entries_and_their_fds_arrive(void **state)
{
    struct pair *p = *state;
    struct ferry_err err;
    struct rd in;
    size_t n;
    int *fds;

    assert_false(extras_arrived(&p->to));
    pause_source(p);
    assert_true(carry_extras(&p->from, &p->to));
    assert_true(extras_arrived(&p->to) && !extras_arrived(&p->from));
    assert_int_equal(extras_read(&p->to, &in, &n, &err), 0);
    assert_int_equal(n, 2);
    assert_int_equal(rd_u8(&in), 7);
    fds = extras_next_fds(&p->to, 2);
    assert_non_null(fds);
    close(take_fd(&fds[1]));
    assert_int_equal(rd_u8(&in), 9);
    assert_int_equal(rd_left(&in), 0);
    assert_null(extras_next_fds(&p->to, 1));
    extras_done(&p->to);
    assert_false(extras_arrived(&p->to));
}

/* Neither its bytes nor its fds; the others go. */
static void an_entry_that_does_not_go_leaves_nothing(void **state)
{
    struct pair *p = *state;
    struct ferry_named_fd named;

    extras_begin(&p->from);
    for (int i = 0; i < 3; i++) {
        extras_begin_entry(&p->from);
        extras_add_fd(&p->from, 0);
        buf_zeros(&p->from.record, i == 1 ? 64 : 1);
        assert_int_equal(extras_end_entry(&p->from, i < 2), i == 0);
    }
    for (size_t i = 0; i < EXTRAS_FDS_MAX; i++) {
        if (i == 0)
            extras_begin_entry(&p->from);
        extras_add_fd(&p->from, 0);
    }
    assert_false(extras_end_entry(&p->from, true));
    assert_true(extras_end(&p->from));
    assert_int_equal(extras_at(&p->from, 1, &named), 0);
    assert_string_equal(named.name, "toy/1");
    assert_int_equal(extras_at(&p->from, 2, &named), -ENOENT);
    extras_forget(&p->from);
    assert_int_equal(extras_at(&p->from, 0, &named), -ENOENT);
}

static void nothing_goes_when_there_is_nothing(void **state)
{
    struct pair *p = *state;
    struct ferry_named_fd named;

    extras_begin(&p->from);
    assert_true(extras_end(&p->from));
    assert_int_equal(extras_at(&p->from, 0, &named), -ENOENT);
    /* Nor when it cannot be written, which has to be known. */
    own_close_fd(&p->from.record_fd);
    extras_begin(&p->from);
    extras_begin_entry(&p->from);
    assert_true(extras_end_entry(&p->from, true));
    assert_false(extras_end(&p->from));
    assert_int_equal(extras_at(&p->from, 0, &named), -ENOENT);
}

static void each_is_the_next(void **state)
{
    struct pair *p = *state;
    struct ferry_err err;
    OWN_FD int fd = dup(0);

    assert_int_equal(extras_adopt(&p->to, "toy/1", &fd, &err), -EINVAL);
    assert_int_equal(extras_adopt(&p->to, "toy/0x", &fd, &err), -EINVAL);
    assert_int_equal(extras_adopt(&p->to, "boy/0", &fd, &err), -EINVAL);
    assert_string_equal(err.text, "\"toy/0\" was expected");
    for (size_t i = 0; i <= EXTRAS_FDS_MAX; i++) {
        char name[FERRY_FD_NAME_BYTES];
        int copy = dup(fd);

        snprintf(name, sizeof(name), "toy/%zu", i);
        assert_int_equal(extras_adopt(&p->to, name, &copy, &err), i < EXTRAS_FDS_MAX ? 0 : -EINVAL);
        own_close_fd(&copy);
    }
    /* A source that has paused takes none. */
    extras_begin(&p->from);
    assert_int_equal(extras_adopt(&p->from, "toy/1", &fd, &err), -EINVAL);
}

/* What stands in the header at `at`, and what is said of it; 0: the record is cut there. */
static void assert_refused(struct pair *p, off_t at, uint32_t value, const char *sentence)
{
    uint8_t bytes[4];
    struct ferry_err err;
    struct rd in;
    size_t n;

    pause_source(p);
    be32_store(bytes, value);
    if (value)
        assert_int_equal(pwrite(p->from.record_fd, bytes, 4, at), 4);
    else
        assert_int_equal(ftruncate(p->from.record_fd, at), 0);
    assert_true(carry_extras(&p->from, &p->to));
    assert_true(extras_read(&p->to, &in, &n, &err) < 0);
    assert_string_equal(err.text, sentence);
    extras_done(&p->to);
    extras_forget(&p->from);
}

static void a_record_is_believed_as_little_as_a_stranger(void **state)
{
    struct pair *p = *state;
    struct ferry_err err;
    struct rd in;
    int ends[2];
    size_t n;

    assert_refused(p, 0, 0x66544f5au, "the record of toys is malformed");
    assert_refused(p, 4, 4u << 16 | 2, "the record of toys is of version 4, not 3");
    assert_refused(p, 4, 3u << 16 | 3, "the record of toys has 3 entries, more than 2");
    assert_refused(p, 8, 65, "the record of toys is malformed");
    assert_refused(p, 8, UINT32_MAX, "the record of toys is malformed");
    for (off_t cut = 0; cut < 14; cut++)
        assert_refused(p, cut, 0, "the record of toys is cut");
    /* A pipe, of which a read would wait for ever. */
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(extras_adopt(&p->to, "toy/0", &ends[0], &err), 0);
    assert_int_equal(extras_read(&p->to, &in, &n, &err), -EPROTO);
    assert_string_equal(err.text, "the record of toys is no memfd");
    own_close_fd(&ends[1]);
}

static void text_is_what_a_client_could_say(void **state)
{
    static const struct {
        const char *bytes;
        size_t n;
        bool taken;
    } texts[] = {
        {"\x00", 1, true},      {"\x03web", 4, true},    {"\x02\xc3\xa4", 3, true},
        {"\x03w\0b", 4, false}, {"\x02\xc3(", 3, false}, {"\x03we", 3, false},
        {"", 0, false},
    };
    char text[EXTRAS_TEXT_MAX_BYTES + 1], longest[EXTRAS_TEXT_MAX_BYTES + 2];
    struct pair *p = *state;
    struct rd in;

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        in = rd_make(texts[i].bytes, texts[i].n);
        assert_int_equal(extras_get_text(&in, text), texts[i].taken);
        assert_true(!texts[i].taken || !strncmp(text, texts[i].bytes + 1, texts[i].n));
    }
    memset(longest, 'x', sizeof(longest));
    longest[sizeof(longest) - 1] = '\0';
    buf_reset(&p->from.record);
    extras_put_text(&p->from, longest + 1);
    in = rd_make(p->from.record.data, p->from.record.len_bytes);
    assert_true(extras_get_text(&in, text) && !rd_left(&in));
    assert_string_equal(text, longest + 1);
    extras_put_text(&p->from, longest);
    assert_int_not_equal(p->from.record.failed, 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(entries_and_their_fds_arrive),       T(an_entry_that_does_not_go_leaves_nothing),
        T(nothing_goes_when_there_is_nothing), T(each_is_the_next),
        T(text_is_what_a_client_could_say),    T(a_record_is_believed_as_little_as_a_stranger),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
