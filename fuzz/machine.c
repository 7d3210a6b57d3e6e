/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/machine.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/own.h"
#include "fuzz/compare.h"
#include "fuzz/fuzz.h"
#include "lib/state/vm.h"
#include "lib/wire/vm_load.h"
#include "lib/wire/vm_save.h"
#include "vmm/backend/unix_socket.h"
#include "vmm/machine/bus.h"
#include "vmm/machine/clock.h"
#include "vmm/machine/loop.h"
#include "vmm/virt/virt.h"

/*
 * Processor time of one access, which passes with the machine lock held. Under sanitizers and
 * coverage the dearest ones that there should be take some milliseconds.
 */
#define ACCESS_NS_MAX INT64_C(200000000)
/* For requests in flight, which have only memory to wait for. */
#define DRAIN_NS      (INT64_C(20) * 1000000000)

/* --- The host --- */

static char machine_dir[64];

static void remove_dir(void)
{
    rmdir(machine_dir);
}

static void need_dir(void)
{
    const char *tmp = getenv("TMPDIR");

    if (machine_dir[0])
        return;
    snprintf(machine_dir, sizeof(machine_dir), "%.30s/ferry-fuzz-XXXXXX", tmp ? tmp : "/tmp");
    FUZZ_CHECK(mkdtemp(machine_dir), "no directory for sockets");
    atexit(remove_dir);
}

static int memory_file(const char *name, uint64_t size_bytes)
{
    int fd = memfd_create(name, MFD_CLOEXEC);

    FUZZ_CHECK(fd >= 0 && ftruncate(fd, (off_t)size_bytes) == 0, "no memory for a file");
    return fd;
}

static void connect_peer(int *fd, const char *path)
{
    struct ferry_err err;

    if (*fd < 0 && unix_connect(path, fd, &err) < 0)
        *fd = -1;
}

void machine_connect(struct machine *m)
{
    connect_peer(&m->net_fd, m->net_path);
    connect_peer(&m->serial_fd, m->serial_path);
    machine_turn(m);
}

/* --- The main thread --- */

static void stop_loop(void *arg)
{
    loop_stop(arg);
}

static void turn_once(struct machine *m)
{
    FUZZ_CHECK(loop_post(m->loop, stop_loop, m->loop) == 0, "no memory for a message");
    loop_run(m->loop);
}

void machine_turn(struct machine *m)
{
    /* What one turn posts is carried out in the next. */
    turn_once(m);
    turn_once(m);
    if (m->reset_wanted)
        machine_reset(m);
}

static void note_power_off(void *arg, int exit_code)
{
    ((struct machine *)arg)->power_offs++;
}

static void note_reset(void *arg)
{
    ((struct machine *)arg)->reset_wanted = true;
}

static void ignore(void *arg)
{
}

static void note_drained(void *arg)
{
    ferry_vm_drained(((struct machine *)arg)->vm);
}

static void note_all_drained(void *arg)
{
    ((struct machine *)arg)->drained = true;
}

/* --- Life --- */

static int64_t clock_pause(void *arg)
{
    struct guest_clock *clock = board_clock(((struct machine *)arg)->board);

    guest_clock_stop(clock);
    return guest_clock_stopped_ns(clock);
}

static void clock_resume(void *arg)
{
}

static const struct ferry_vm_ops vm_ops = {.pause = clock_pause, .resume = clock_resume};

static void parse_options(struct machine *m, const struct machine_model *model)
{
    char machine[64], bios[64], drive[96], netdev[160], serial[128];
    const char *const argv[] = {
        "-M",      machine,
        "-m",      "16",
        "-bios",   bios,
        "-drive",  drive,
        "-netdev", netdev,
        "-serial", serial,
        "-device", "virtio-blk-device,drive=d,num-queues=2,discard=on,write-zeroes=on,serial=fuzz",
        "-device", "virtio-net-device,netdev=n",
        "-device", "virtio-rng-device",
        "-device", model->modern ? "virtio-keyboard-device" : "virtio-rng-device",
        "-device", "virtio-balloon-device,free-page-reporting=on",
        "-global", model->modern ? "virtio-mmio.force-legacy=off" : "virtio-mmio.force-legacy=on",
    };
    struct ferry_err err = {0};

    snprintf(machine, sizeof(machine), "virt%s%s", model->compat ? ",compat=" : "",
             model->compat ? model->compat : "");
    snprintf(bios, sizeof(bios), "/proc/self/fd/%d", m->firmware_fd);
    snprintf(drive, sizeof(drive), "file=/proc/self/fd/%d,if=none,id=d,format=raw,discard=unmap",
             m->disk_fd);
    snprintf(m->net_path, sizeof(m->net_path), "%s/net", machine_dir);
    snprintf(m->serial_path, sizeof(m->serial_path), "%s/serial", machine_dir);
    snprintf(netdev, sizeof(netdev), "stream,id=n,server=on,addr.type=unix,addr.path=%s",
             m->net_path);
    snprintf(serial, sizeof(serial), "unix:%s,server=on,wait=off", m->serial_path);
    FUZZ_CHECK(options_from_argv(&m->options, sizeof(argv) / sizeof(argv[0]), argv, &err) == 0 &&
                   config_from_options(&m->config, &m->options, &err) == 0,
               err.text);
}

/* Another board of the same description; the old one, if there is one, is the source of its RAM. */
static void build(struct machine *m, const struct board_params *more)
{
    struct board_params params = *more;
    struct ferry_vm_params vm_params = {
        .size_bytes = sizeof(vm_params),
        .machine_name = machine_virt.name,
        .ops = &vm_ops,
        .opaque = m,
    };
    struct ferry_err err = {0};

    params.config = &m->config;
    params.loop = m->loop;
    params.power_off = note_power_off;
    params.reset = note_reset;
    params.quit = ignore;
    params.on_drained = note_drained;
    params.machine = m;
    FUZZ_CHECK(board_new(&m->board, &params, &err) == 0, err.text);
    vm_params.ram = board_ram(m->board);
    FUZZ_CHECK(ferry_vm_new(&m->vm, &vm_params, &err) == 0, err.text);
    FUZZ_CHECK(board_add_parts(m->board, m->vm, &err) == 0, err.text);
    FUZZ_CHECK(ferry_ram_log_start(board_ram(m->board), &err) == 0, err.text);
    m->ram = ferry_ram_host(ferry_ram_find(board_ram(m->board), "riscv_virt_board.ram"));
}

static void new_shadows(struct machine *m)
{
    struct ferry_ram_region *region;
    uint64_t pages_max = 0;

    for (size_t i = 0; (region = ferry_ram_at(board_ram(m->board), i)); i++) {
        uint64_t size_bytes = ferry_ram_size_bytes(region);

        FUZZ_CHECK(i < MACHINE_REGIONS_MAX, "more regions than expected");
        m->shadow[i] = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        FUZZ_CHECK(m->shadow[i] != MAP_FAILED, "no memory");
        pages_max =
            size_bytes / FERRY_PAGE_BYTES > pages_max ? size_bytes / FERRY_PAGE_BYTES : pages_max;
    }
    m->dirty = calloc((pages_max + 63) / 64, sizeof(*m->dirty));
    FUZZ_CHECK(m->dirty, "no memory");
}

/* The reset vector: a reset writes the same again. */
static void copy_rom(struct machine *m)
{
    struct ferry_ram_region *region;

    for (size_t i = 0; (region = ferry_ram_at(board_ram(m->board), i)); i++)
        if (!strcmp(ferry_ram_name(region), "riscv_virt_board.mrom"))
            memcpy(m->shadow[i], ferry_ram_host(region), ferry_ram_size_bytes(region));
}

void machine_new(struct machine *m, const struct machine_model *model)
{
    static const uint32_t firmware = 0x0000006f; /* j . */
    struct ferry_err err = {0};

    need_dir();
    *m = (struct machine){.net_fd = -1, .serial_fd = -1};
    m->disk_fd = memory_file("fuzz-disk", MACHINE_DISK_BYTES);
    m->firmware_fd = memory_file("fuzz-firmware", sizeof(firmware));
    FUZZ_CHECK(pwrite(m->firmware_fd, &firmware, sizeof(firmware), 0) == sizeof(firmware) &&
                   pwrite(m->disk_fd, "ferry", 5, 0) == 5,
               "no memory for a file");
    FUZZ_CHECK(loop_new(&m->loop, &err) == 0, err.text);
    FUZZ_CHECK(loop_timer_new(&m->alarm, m->loop, stop_loop, m->loop, &err) == 0, err.text);
    parse_options(m, model);
    build(m, &(struct board_params){0});
    new_shadows(m);
    FUZZ_CHECK(board_open(m->board, &err) == 0, err.text);
    copy_rom(m);
    vm_resume_parts(m->vm, NULL, NULL);
    machine_connect(m);
}

/* --- The guest --- */

static int64_t processor_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static void check_cost(int64_t begin_ns, const char *what)
{
    FUZZ_CHECK(processor_ns() - begin_ns < ACCESS_NS_MAX, what);
}

void machine_read(struct machine *m, uint64_t gpa, unsigned size_bytes, uint64_t *ret)
{
    int64_t begin_ns = processor_ns();

    *ret = 0;
    if (bus_read(board_bus(m->board), gpa, size_bytes, ret) < 0)
        *ret = 0; /* an access fault */
    check_cost(begin_ns, "a load from a register was dear");
}

void machine_write(struct machine *m, uint64_t gpa, unsigned size_bytes, uint64_t value)
{
    int64_t end_ns = clock_monotonic_ns() + DRAIN_NS, begin_ns;
    int rc;

    do {
        begin_ns = processor_ns();
        rc = bus_write(board_bus(m->board), gpa, size_bytes, value);
        check_cost(begin_ns, "a store to a register was dear");
        FUZZ_CHECK(clock_monotonic_ns() < end_ns, "a store that is put off is never over");
        if (rc == -EAGAIN)
            turn_once(m);
    } while (rc == -EAGAIN);
}

static uint8_t *ram_shadow(struct machine *m)
{
    struct ferry_ram_region *region;

    for (size_t i = 0; (region = ferry_ram_at(board_ram(m->board), i)); i++)
        if (ferry_ram_host(region) == m->ram)
            return m->shadow[i];
    abort();
}

void machine_store(struct machine *m, uint64_t offset, const void *data, size_t n)
{
    if (offset > MACHINE_RAM_BYTES || n > MACHINE_RAM_BYTES - offset)
        return;
    memcpy(m->ram + offset, data, n);
    memcpy(ram_shadow(m) + offset, data, n);
}

uint64_t machine_load(const struct machine *m, uint64_t offset, unsigned size_bytes)
{
    uint64_t value = 0;

    if (offset <= MACHINE_RAM_BYTES - sizeof(value))
        memcpy(&value, m->ram + offset, size_bytes);
    return value;
}

/* --- Time --- */

void machine_advance(struct machine *m, int64_t ns)
{
    struct guest_clock *clock = board_clock(m->board);
    int64_t now_ns = guest_clock_ns(clock);

    guest_clock_set(clock, now_ns < CLOCK_SET_NS_MAX - ns ? now_ns + ns : CLOCK_SET_NS_MAX);
    guest_clock_start(clock);
    machine_turn(m);
    guest_clock_stop(clock);
}

/* --- RAM against the dirty log --- */

/* Nothing is in flight. Who stores to ROM is not excused by the log. */
static void check_memory(struct machine *m)
{
    struct ferry_ram_region *region;

    ferry_ram_harvest_begin(board_ram(m->board));
    for (size_t i = 0; (region = ferry_ram_at(board_ram(m->board), i)); i++) {
        memset(m->dirty, 0, (ferry_ram_size_bytes(region) / FERRY_PAGE_BYTES + 63) / 64 * 8);
        ferry_ram_harvest(region, m->dirty);
        if (ferry_ram_host(region) == m->ram)
            compare_follow_log(region, m->shadow[i], m->dirty);
        compare_memory(region, m->shadow[i]);
    }
}

/* --- Quiesce, pause, and back --- */

void machine_toggle_quiesce(struct machine *m)
{
    if (m->quiescing)
        vm_unquiesce(m->vm);
    else
        m->drained = vm_quiesce_begin(m->vm, note_all_drained, m) == 0;
    m->quiescing = !m->quiescing;
}

static void drain(struct machine *m)
{
    int64_t end_ns = clock_monotonic_ns() + DRAIN_NS;

    if (!m->quiescing)
        machine_toggle_quiesce(m);
    while (!m->drained) {
        FUZZ_CHECK(clock_monotonic_ns() < end_ns, "requests in flight do not end");
        loop_timer_set(m->alarm, clock_monotonic_ns() + DRAIN_NS);
        turn_once(m);
    }
    check_memory(m);
}

void machine_settle(struct machine *m)
{
    drain(m);
    machine_toggle_quiesce(m);
}

/* Saved, and good enough for a target that is such a board. */
static void pause_and_save(struct machine *m, struct buf *ret)
{
    struct vm_load *load = NULL;
    struct ferry_err err = {0};

    drain(m);
    vm_pause_harts(m->vm);
    vm_pause_parts(m->vm, NULL, NULL);
    FUZZ_CHECK(vm_save_stream(m->vm, ret, false, NULL, NULL, &err) == 0, err.text);
    FUZZ_CHECK(vm_load_new(&load, m->vm, &err) == 0, err.text);
    FUZZ_CHECK(vm_load_stream(load, ret->data, ret->len_bytes, NULL, NULL, &err) == 0, err.text);
    vm_load_free(load);
}

void machine_return(struct machine *m)
{
    struct buf state = {0};

    pause_and_save(m, &state);
    buf_free(&state);
    vm_resume_parts(m->vm, NULL, NULL);
    machine_toggle_quiesce(m);
    machine_turn(m);
}

void machine_reset(struct machine *m)
{
    struct ferry_err err = {0};

    m->reset_wanted = false;
    m->resets++;
    FUZZ_CHECK(board_reset(m->board, &err) == 0, err.text);
}

/* --- Handover --- */

static void drop_board(struct ferry_vm *vm, struct board *board)
{
    ferry_vm_free(vm);
    board_free(board);
}

static int take_region(void *arg, struct ferry_ram *to, const char *name, uint64_t size_bytes,
                       bool file, struct ferry_ram_region **ret, struct ferry_err *err)
{
    OWN_FD int fd = dup(ferry_ram_fd(ferry_ram_find(board_ram(arg), name)));

    return ferry_ram_adopt(to, name, size_bytes, &fd, ret, err);
}

static void adopt_fds(struct ferry_vm *to, struct ferry_vm *from)
{
    for (size_t i = 0; i < ferry_vm_part_count(from); i++) {
        const struct ferry_part *a = ferry_vm_part(from, i), *b = ferry_vm_part(to, i);
        struct ferry_named_fd named;

        for (size_t k = 0; a->ops && a->ops->fd_at && a->ops->fd_at(a->obj, k, &named) == 0; k++) {
            OWN_FD int fd = named.fd < 0 ? -1 : dup(named.fd);
            struct ferry_err err = {0};

            if (fd >= 0)
                FUZZ_CHECK(b->ops->adopt(b->obj, named.name, &fd, &err) == 0, err.text);
        }
    }
}

void machine_hand_over(struct machine *m)
{
    struct ferry_vm *source_vm = m->vm;
    struct board *source = m->board;
    struct ferry_err err = {0};
    struct vm_load *load = NULL;
    struct buf state = {0};

    pause_and_save(m, &state);
    build(m, &(struct board_params){.take_region = take_region, .take_region_arg = source});
    adopt_fds(m->vm, source_vm);
    FUZZ_CHECK(vm_load_new(&load, m->vm, &err) == 0, err.text);
    FUZZ_CHECK(vm_load_stream(load, state.data, state.len_bytes, NULL, NULL, &err) == 0, err.text);
    vm_load_commit(load, NULL, NULL);
    compare_states(source_vm, m->vm);
    compare_registers(board_bus(source), board_bus(m->board));
    vm_load_free(load);
    buf_free(&state);
    drop_board(source_vm, source);
    m->quiescing = false;
    vm_resume_parts(m->vm, NULL, NULL);
    machine_turn(m);
}

/* --- The end --- */

void machine_free(struct machine *m)
{
    struct ferry_ram_region *region;
    struct buf state = {0};

    pause_and_save(m, &state);
    buf_free(&state);
    for (size_t i = 0; (region = ferry_ram_at(board_ram(m->board), i)); i++)
        munmap(m->shadow[i], ferry_ram_size_bytes(region));
    drop_board(m->vm, m->board);
    own_close_fd(&m->net_fd);
    own_close_fd(&m->serial_fd);
    own_close_fd(&m->disk_fd);
    own_close_fd(&m->firmware_fd);
    unlink(m->net_path);
    unlink(m->serial_path);
    turn_once(m);
    loop_timer_free(m->alarm);
    loop_free(m->loop);
    config_free(&m->config);
    options_free(&m->options);
    free(m->dirty);
}
