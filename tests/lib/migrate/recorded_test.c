/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What QEMU recorded, through the whole target: its RAM bit by bit, its devices byte by byte, and
 * the answers that QEMU's own target gave. The machine has the recorded one's RAM; its devices are
 * as many bytes as theirs have there.
 */
#include "tests/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <ferry/migrate.h>

#include "base/own.h"
#include "tests/lib/wire/recorded.h"

#define DEVICES      15u
#define CHANNELS_MAX 5u /* with the main one */
#define TAIL_BYTES   (64u << 10)

struct device {
    uint8_t bytes[4096];
};

static const struct {
    const char *idstr;
    uint32_t instance_id, version, bytes;
} kinds[DEVICES] = {
    {"timer", 0, 2, 24},
    {"cpu_common", 0, 1, 8},
    {"cpu", 0, 10, 3080},
    {"riscv_mtimer", 0, 1, 8},
    {"riscv_sifive_plic", 0, 1, 440},
    {"fw_cfg", 0, 2, 74},
    {"0000:00:00.0/gpex_root", 0, 1, 276},
    {"PCIHost", 0, 1, 4},
    {"PCIBUS", 0, 1, 20},
    {"serial", 0, 3, 11},
    {"goldfish_rtc", 0, 3, 40},
    {"pflash_cfi01", 0, 1, 11},
    {"pflash_cfi01", 1, 1, 11},
    {"virt_acpi_build", 0, 1, 1},
    {"globalstate", 0, 1, 104},
};

struct machine {
    struct ferry_ram *ram;
    struct ferry_vm *vm;
    struct ferry_field fields[DEVICES];
    struct ferry_table tables[DEVICES];
    struct device devices[DEVICES];
    bool runs;
};

static int64_t nothing(void *opaque)
{
    return 0;
}

static void runs(void *opaque)
{
    ((struct machine *)opaque)->runs = true;
}

static const struct ferry_vm_ops ops = {.pause = nothing, .resume = runs};

static void add_device(struct machine *m, unsigned i)
{
    const struct ferry_part part = {.idstr = kinds[i].idstr,
                                    .instance_id = kinds[i].instance_id,
                                    .table = &m->tables[i],
                                    .obj = &m->devices[i],
                                    .obj_bytes = sizeof(m->devices[i])};
    struct ferry_err err;

    m->fields[i] = (struct ferry_field)FERRY_BYTES(struct device, bytes);
    m->fields[i].count = kinds[i].bytes;
    m->tables[i] = (struct ferry_table){.name = kinds[i].idstr,
                                        .version = kinds[i].version,
                                        .minimum_version = kinds[i].version,
                                        .fields = &m->fields[i],
                                        .field_count = 1};
    assert_int_equal(ferry_vm_add_part(m->vm, &part, &err), 0);
}

static struct machine *machine_new(void)
{
    struct machine *m = calloc(1, sizeof(*m));
    struct ferry_vm_params params = {
        .size_bytes = sizeof(params), .machine_name = "virt", .ops = &ops, .opaque = m};
    struct recorded_ram recorded;
    struct ferry_ram_region *region;
    struct ferry_err err;

    assert_non_null(m);
    recorded_ram_init(&recorded);
    assert_int_equal(ferry_ram_new(&m->ram, &err), 0);
    for (size_t i = 0; i < RECORDED_BLOCKS; i++)
        assert_int_equal(
            ferry_ram_add(m->ram, recorded.at[i].name, recorded.at[i].used_bytes, &region, &err),
            0);
    recorded_ram_free(&recorded);
    params.ram = m->ram;
    assert_int_equal(ferry_vm_new(&m->vm, &params, &err), 0);
    for (unsigned i = 0; i < DEVICES; i++)
        add_device(m, i);
    return m;
}

static void machine_free(struct machine *m)
{
    ferry_vm_free(m->vm);
    ferry_ram_free(m->ram);
    free(m);
}

static void check_ram(const struct machine *m, const char *file)
{
    const uint8_t *host = ferry_ram_host(ferry_ram_find(m->ram, "riscv_virt_board.ram"));
    struct channel memory = channel_open(file, 0);

    for (size_t i = 0; i < memory.len_bytes; i += WIRE_PAGE_BYTES)
        if (memcmp(host + i, memory.data + i, WIRE_PAGE_BYTES) != 0)
            fail_msg("%s: the page at 0x%zx differs", file, i);
    channel_close(&memory);
}

/* Each stands near the recording's end, behind its name, instance and version. */
static void check_devices(const struct machine *m, const struct channel *recorded)
{
    size_t end = recorded->len_bytes < TAIL_BYTES ? recorded->len_bytes : TAIL_BYTES;

    for (unsigned i = 0; i < DEVICES; i++) {
        uint8_t head[64] = {(uint8_t)strlen(kinds[i].idstr)};
        size_t n = head[0] + 9u;
        const uint8_t *at;

        memcpy(head + 1, kinds[i].idstr, head[0]);
        head[n - 5] = (uint8_t)kinds[i].instance_id;
        head[n - 1] = (uint8_t)kinds[i].version;
        at = memmem(recorded->data + recorded->len_bytes - end, end, head, n);
        assert_non_null(at);
        assert_memory_equal(m->devices[i].bytes, at + n, kinds[i].bytes);
    }
}

static struct ferry_move *target_new(struct machine *m, unsigned channels, const char *method,
                                     bool mapped, bool threads, struct ferry_listener **l,
                                     struct ferry_chan **chan)
{
    const struct ferry_migrate_target_params params = {
        .size_bytes = sizeof(params),
        .version = "1",
        .vm = m->vm,
        .capabilities = {.mapped_ram = mapped, .multifd = channels > 0},
        .parameters = {.multifd_channels = channels, .multifd_compression = method},
        .no_threads = !threads,
    };
    struct ferry_move *t = NULL;
    struct ferry_err err = {0};

    if (ferry_migrate_target_new(&t, &params, l, chan, &err) < 0)
        fail_msg("%s", err.text);
    return t;
}

/* --- A file --- */

static struct ferry_chan *file_of(const struct channel *recorded)
{
    int fd = memfd_create("recorded", MFD_CLOEXEC);
    struct ferry_chan *chan = NULL;
    struct ferry_err err;

    assert_int_equal(write(fd, recorded->data, recorded->len_bytes), (ssize_t)recorded->len_bytes);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    assert_int_equal(ferry_chan_from_fd(&chan, &fd, &err), 0);
    return chan;
}

static void a_mapped_ram_file(void **state)
{
    struct channel recorded = channel_open("mapped-ram.bin", 0);

    for (unsigned channels = 0; channels < 4; channels++) {
        struct machine *m = machine_new();
        struct ferry_chan *chan = file_of(&recorded);
        struct ferry_move *t = target_new(m, channels, NULL, true, channels > 0, NULL, &chan);
        enum ferry_move_status status;
        struct ferry_err err = {0};

        while ((status = ferry_move_step(t, &err)) == FERRY_MOVE_BUSY) {
            struct pollfd wait = {.fd = ferry_move_fd(t), .events = POLLIN};

            (void)!poll(&wait, 1, channels ? 1 : 0);
        }
        if (status != FERRY_MOVE_DONE)
            fail_msg("%s", err.text);
        assert_true(m->runs);
        check_ram(m, "mapped-ram.mem");
        check_devices(m, &recorded);
        ferry_move_free(t);
        machine_free(m);
    }
    channel_close(&recorded);
}

/* --- Connections --- */

struct connections {
    const char *name;
    unsigned count; /* the main one is the first */
    struct channel recorded[CHANNELS_MAX];
    int fds[CHANNELS_MAX];
    uint8_t answers[64];
    size_t answers_bytes;
    char dir[32], path[48];
};

static struct ferry_listener *connections_open(struct connections *c, const char *name,
                                               unsigned count, uint32_t seed)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    struct ferry_address *a = NULL;
    struct ferry_listener *l = NULL;
    struct ferry_err err;
    char file[64];

    *c = (struct connections){.name = name, .count = count, .dir = "/tmp/ferry-recorded-XXXXXX"};
    assert_non_null(mkdtemp(c->dir));
    snprintf(c->path, sizeof(c->path), "%s/socket", c->dir);
    memcpy(to.sun_path, c->path, sizeof(c->path));
    assert_int_equal(ferry_address_unix(&a, c->path, &err), 0);
    assert_int_equal(ferry_listener_new(&l, a, &err), 0);
    ferry_address_free(a);
    for (unsigned i = 0; i < count; i++) {
        snprintf(file, sizeof(file), "%s.%u.fwd", name, i);
        c->recorded[i] = channel_open(file, seed);
        c->fds[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        assert_int_equal(connect(c->fds[i], (struct sockaddr *)&to, sizeof(to)), 0);
    }
    return l;
}

static void connections_close(struct connections *c)
{
    for (unsigned i = 0; i < c->count; i++) {
        channel_close(&c->recorded[i]);
        own_close_fd(&c->fds[i]);
    }
    rmdir(c->dir);
}

/* The next piece of it, as chance will have it; at the end it is closed. */
static bool connections_piece(struct connections *c, unsigned i)
{
    struct channel *from = &c->recorded[i];
    size_t before = from->pos_bytes, piece;
    uint8_t data[6000];
    ssize_t n;

    if (channel_ended(from)) {
        shutdown(c->fds[i], SHUT_WR);
        return false;
    }
    piece = channel_read(from, data, sizeof(data));
    n = send(c->fds[i], data, piece, MSG_DONTWAIT | MSG_NOSIGNAL);
    from->pos_bytes = before + (n > 0 ? (size_t)n : 0);
    return n > 0;
}

static void connections_turn(struct connections *c)
{
    ssize_t n = recv(c->fds[0], c->answers + c->answers_bytes,
                     sizeof(c->answers) - c->answers_bytes, MSG_DONTWAIT);

    c->answers_bytes += n > 0 ? (size_t)n : 0;
    for (unsigned i = 0; i < c->count; i++)
        for (unsigned k = 0; k < 16 && connections_piece(c, i); k++)
            ;
}

static enum ferry_move_status move_in(struct machine *m, struct connections *c,
                                      struct ferry_listener **l, const char *method, bool threads,
                                      struct ferry_err *err)
{
    struct ferry_move *t = target_new(m, c->count - 1, method, false, threads, l, NULL);
    enum ferry_move_status status;

    while ((status = ferry_move_step(t, err)) == FERRY_MOVE_BUSY) {
        struct pollfd wait = {.fd = ferry_move_fd(t), .events = POLLIN};

        connections_turn(c);
        if (threads)
            (void)!poll(&wait, 1, 1);
    }
    connections_turn(c);
    assert_int_equal(ferry_move_running(t), m->runs);
    ferry_move_free(t);
    return status;
}

static void arrives(const char *name, unsigned count, const char *method, bool answers)
{
    static const uint32_t seeds[] = {0, 31, 43, 61};

    for (unsigned k = 0; k < 4; k++) {
        struct machine *m = machine_new();
        struct connections c;
        struct ferry_listener *l = connections_open(&c, name, count, seeds[k]);
        struct ferry_err err = {0};
        char file[64];

        if (move_in(m, &c, &l, method, k % 2, &err) != FERRY_MOVE_DONE)
            fail_msg("%s: %s", name, err.text);
        assert_true(m->runs);
        snprintf(file, sizeof(file), "%s.mem", name);
        check_ram(m, file);
        check_devices(m, &c.recorded[0]);
        if (answers) {
            struct channel want;

            snprintf(file, sizeof(file), "%s.0.rev", name);
            want = channel_open(file, 0);
            assert_int_equal(c.answers_bytes, want.len_bytes);
            assert_memory_equal(c.answers, want.data, want.len_bytes);
            channel_close(&want);
        }
        connections_close(&c);
        machine_free(m);
    }
}

static void one_connection_with_a_return_path(void **state)
{
    arrives("precopy-rp", 1, "none", true);
}

static void two_channels(void **state)
{
    arrives("multifd2", 3, "none", false);
}

static void four_channels_with_zstd(void **state)
{
    arrives("multifd4-zstd", 5, "zstd", true);
}

/* What is not served is named, and nothing has started. */
static void postcopy_is_refused(void **state)
{
    struct machine *m = machine_new();
    struct connections c;
    struct ferry_listener *l = connections_open(&c, "postcopy", 1, 0);
    struct ferry_err err = {0};

    assert_int_equal(move_in(m, &c, &l, "none", false, &err), FERRY_MOVE_FAILED);
    if (!strstr(err.text, "POSTCOPY"))
        fail_msg("%s", err.text);
    assert_false(m->runs);
    connections_close(&c);
    machine_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mapped_ram_file),   cmocka_unit_test(one_connection_with_a_return_path),
        cmocka_unit_test(two_channels),        cmocka_unit_test(four_channels_with_zstd),
        cmocka_unit_test(postcopy_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
