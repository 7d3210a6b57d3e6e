/* SPDX-License-Identifier: Apache-2.0 */
/* A mapped-ram file that QEMU wrote, through the whole target: its RAM, bit by bit. */
#include "tests/unit.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <ferry/migrate.h>

#include "tests/lib/wire/recorded.h"

struct machine {
    struct ferry_ram *ram;
    struct ferry_vm *vm;
    bool runs;
};

static void nothing(void *opaque)
{
}

static void runs(void *opaque)
{
    ((struct machine *)opaque)->runs = true;
}

static const struct ferry_vm_ops ops = {.pause = nothing, .resume = runs};

static void machine_init(struct machine *m)
{
    const struct ferry_vm_params params = {
        .size_bytes = sizeof(params), .machine_name = "virt", .ops = &ops, .opaque = m};
    struct ferry_vm_params with_ram = params;
    struct recorded_ram recorded;
    struct ferry_ram_region *region;
    struct ferry_err err;

    *m = (struct machine){0};
    recorded_ram_init(&recorded);
    assert_int_equal(ferry_ram_new(&m->ram, &err), 0);
    for (size_t i = 0; i < RECORDED_BLOCKS; i++)
        assert_int_equal(
            ferry_ram_add(m->ram, recorded.at[i].name, recorded.at[i].used_bytes, &region, &err),
            0);
    recorded_ram_free(&recorded);
    with_ram.ram = m->ram;
    assert_int_equal(ferry_vm_new(&m->vm, &with_ram, &err), 0);
}

/*
 * The recording up to the end of RAM, since this machine has no devices. Its last section is
 * nothing but an end mark.
 */
static struct ferry_chan *file_of(const struct channel *recorded)
{
    static const uint8_t end_of_ram[] = {0x03, 0, 0, 0,    1,    0, 0, 0, 0,
                                         0,    0, 0, 0x10, 0x7e, 0, 0, 0, 1};
    const uint8_t *at = memmem(recorded->data, recorded->len_bytes, end_of_ram, sizeof(end_of_ram));
    int fd = memfd_create("recorded", MFD_CLOEXEC);
    struct ferry_chan *chan = NULL;
    struct ferry_err err;
    size_t n;

    assert_non_null(at);
    n = (size_t)(at - recorded->data) + sizeof(end_of_ram);
    assert_int_equal(write(fd, recorded->data, n), (ssize_t)n);
    assert_int_equal(write(fd, "\0", 1), 1); /* EOF */
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    assert_int_equal(ferry_chan_from_fd(&chan, &fd, &err), 0);
    return chan;
}

static void load(struct machine *m, struct ferry_chan *chan, unsigned channels, bool threads)
{
    const struct ferry_migrate_target_params params = {
        .size_bytes = sizeof(params),
        .version = "1",
        .vm = m->vm,
        .capabilities = {.mapped_ram = true, .multifd = channels > 0},
        .parameters = {.multifd_channels = channels},
        .no_threads = !threads,
    };
    struct ferry_migrate_target *t = NULL;
    enum ferry_migrate_status status;
    struct ferry_err err = {0};

    assert_int_equal(ferry_migrate_target_new(&t, &params, NULL, &chan, &err), 0);
    while ((status = ferry_migrate_target_step(t, &err)) == FERRY_MIGRATE_BUSY) {
        struct pollfd wait = {.fd = ferry_migrate_target_fd(t), .events = POLLIN};

        (void)!poll(&wait, 1, threads ? 1 : 0);
    }
    if (status != FERRY_MIGRATE_DONE)
        fail_msg("%s", err.text);
    ferry_migrate_target_free(t);
}

static void a_file_of_qemu(void **state)
{
    struct channel recorded = channel_open("mapped-ram.bin", 0);
    struct channel memory = channel_open("mapped-ram.mem", 0);

    for (unsigned channels = 0; channels < 4; channels++) {
        struct machine m;
        const uint8_t *host;

        machine_init(&m);
        host = ferry_ram_host(ferry_ram_find(m.ram, "riscv_virt_board.ram"));
        load(&m, file_of(&recorded), channels, channels > 0);
        assert_true(m.runs);
        for (size_t i = 0; i < memory.len_bytes; i += WIRE_PAGE_BYTES)
            assert_memory_equal(host + i, memory.data + i, WIRE_PAGE_BYTES);
        ferry_vm_free(m.vm);
        ferry_ram_free(m.ram);
    }
    channel_close(&recorded);
    channel_close(&memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_file_of_qemu)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
