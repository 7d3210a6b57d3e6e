/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an operator's commands left in a VM, as the next process reads it: migration capabilities
 * and parameters, or the table of file descriptors. Input: a byte that says which, one that says
 * how many entries there are, one of how many file descriptors come along, the entries. Whatever
 * they say, what is taken is such as can be saved and read again to the same, and no file
 * descriptor is left behind.
 */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/own.h"
#include "fuzz/fuzz.h"
#include "tests/vmm/machine/carry.h"
#include "tests/vmm/qmp/fake_vm.h"
#include "vmm/backend/fd_table_state.h"
#include "vmm/move/migration_settings.h"

#define HEAD_BYTES 3u

static int lowest_free_fd(void)
{
    int fd = dup(0);

    close(fd);
    return fd;
}

static void adopt(struct extras *e, size_t index, int fd)
{
    char name[FERRY_FD_NAME_BYTES];
    struct ferry_err err;

    snprintf(name, sizeof(name), "%s/%zu", e->kind->part, index);
    FUZZ_CHECK(fd >= 0 && extras_adopt(e, name, &fd, &err) == 0, "it is the next");
}

/* What a source wrote that is the guest's. */
static void arrive(struct extras *e, uint8_t entries, size_t fds, const uint8_t *data, size_t n)
{
    struct buf record = {0};
    int fd = memfd_create("fuzz", MFD_CLOEXEC);

    buf_be32(&record, e->kind->magic);
    buf_be16(&record, e->kind->version);
    buf_be16(&record, entries);
    buf_be32(&record, (uint32_t)n);
    buf_put(&record, data, n);
    FUZZ_CHECK(write(fd, record.data, record.len_bytes) == (ssize_t)record.len_bytes, "no memory");
    buf_free(&record);
    adopt(e, 0, fd);
    for (size_t i = 1; i <= fds; i++)
        adopt(e, i, dup(0));
}

/* From one that has said what it has to another. */
static void go_on(struct extras *from, struct extras *to)
{
    FUZZ_CHECK(extras_end(from), "it cannot be written");
    FUZZ_CHECK(carry_extras(from, to), "it does not arrive");
}

static void begin(struct extras *from, struct extras *to, const struct extras_kind *kind)
{
    extras_free(from);
    extras_init(from, kind);
    extras_init(to, kind);
    extras_prepare(from);
    extras_begin(from);
}

static void settings(struct extras *e)
{
    static struct migration first, second;
    struct extras next;

    migration_params_init(&first.params);
    migration_params_init(&second.params);
    migration_settings_load(&first, e);
    begin(e, &next, &migration_settings_kind);
    migration_settings_save(&first, e);
    go_on(e, &next);
    migration_settings_load(&second, &next);
    for (size_t i = 0; i < MIGRATION_PARAM_COUNT; i++)
        FUZZ_CHECK(first.params.num[i] == second.params.num[i] &&
                       !strcmp(first.params.str[i], second.params.str[i]),
                   "another value");
    for (size_t i = 0; i < MIGRATION_CAP_COUNT; i++)
        FUZZ_CHECK(first.params.capabilities[i] == second.params.capabilities[i], "on or off");
    extras_free(&next);
}

static void fds(struct extras *e)
{
    struct fd_table *first, *second;
    struct fd_table_member a, b;
    struct ferry_err err;
    struct extras next;
    size_t i;

    FUZZ_CHECK(fd_table_new(&first, &err) == 0 && fd_table_new(&second, &err) == 0, err.text);
    fd_table_load(first, e);
    begin(e, &next, &fd_table_state_kind);
    fd_table_save(first, e);
    go_on(e, &next);
    fd_table_load(second, &next);
    for (i = 0; fd_table_member_at(first, i, &a) == 0; i++)
        FUZZ_CHECK(fd_table_member_at(second, i, &b) == 0 && a.set == b.set &&
                       a.number == b.number && a.set >= 0 && a.number >= 0 &&
                       !strcmp(a.opaque ? a.opaque : "", b.opaque ? b.opaque : ""),
                   "another member");
    FUZZ_CHECK(fd_table_member_at(second, i, &b) < 0, "a member from nowhere");
    extras_free(&next);
    fd_table_free(first);
    fd_table_free(second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    int before = lowest_free_fd();
    struct extras e;
    bool is_settings;

    if (n < HEAD_BYTES)
        return 0;
    is_settings = data[0] & 1;
    extras_init(&e, is_settings ? &migration_settings_kind : &fd_table_state_kind);
    arrive(&e, data[1], data[2] & 15, data + HEAD_BYTES, n - HEAD_BYTES);
    if (is_settings)
        settings(&e);
    else
        fds(&e);
    extras_free(&e);
    FUZZ_CHECK(lowest_free_fd() == before, "a file descriptor is left");
    return 0;
}
