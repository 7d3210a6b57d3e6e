/* SPDX-License-Identifier: Apache-2.0 */
/* What every board is made of: memory, CPUs, devices. Which, and where, its type says. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/err.h"
#include "base/own.h"
#include "vmm/backend/bell.h"
#include "vmm/backend/lost_memory.h"
#include "vmm/backend/memory_file.h"
#include "vmm/board/board_internal.h"
#include "vmm/board/boot.h"
#include "vmm/board/type.h"
#include "vmm/machine/clock.h"

/* --- Memory --------------------------------------------------------------------------------- */

static int board_map(struct board *b, struct ferry_ram_region *region, uint64_t base_gpa,
                     bool readonly, struct ferry_err *err)
{
    ferry_ram_set_gpa(region, base_gpa);
    return guestmem_add(&b->mem, base_gpa, region, readonly, err);
}

int board_add_memory(struct board *b, const char *name, uint64_t base_gpa, uint64_t size_bytes,
                     bool readonly, struct ferry_err *err)
{
    const struct board_params *p = &b->params;
    struct ferry_ram_region *region = NULL;
    int rc;

    if (p->take_region)
        rc = p->take_region(p->take_region_arg, b->ram, name, size_bytes, false, &region, err);
    else
        rc = ferry_ram_add(b->ram, name, size_bytes, &region, err);
    return rc ? rc : board_map(b, region, base_gpa, readonly, err);
}

/* RAM in a file that the user named. One that arrived is not opened again: it is what it is. */
static int board_add_file(struct board *b, const struct config_memory *m, struct ferry_err *err)
{
    const struct board_params *p = &b->params;
    struct ferry_ram_region *region = NULL;
    int rc;

    if (p->take_region)
        rc = p->take_region(p->take_region_arg, b->ram, m->id, m->size_bytes, true, &region, err);
    else
        rc = ferry_ram_expect_file(b->ram, m->id, m->size_bytes, &region, err);
    if (!rc)
        lost_memory_is(ferry_ram_host(region), m->size_bytes, m->path);
    return rc ? rc : board_map(b, region, b->type->ram_gpa, false, err);
}

int board_open_file(struct board *b, struct ferry_err *err)
{
    const struct config_memory *m = config_ram_memory(b->config);
    OWN_FD int fd = -1;
    int rc = m ? memory_file_open(b->config, m, &fd, err) : 0;

    if (!m || rc < 0)
        return rc;
    return ferry_ram_give_file(b->ram, ferry_ram_find(b->ram, m->id), &fd, err);
}

static int board_add_ram(struct board *b, struct ferry_err *err)
{
    const struct config_memory *file = config_ram_memory(b->config);
    int rc = ferry_ram_new(&b->ram, err);

    if (rc)
        return rc;
    return file ? board_add_file(b, file, err)
                : board_add_memory(b, b->type->ram_name, b->type->ram_gpa, b->config->ram_bytes,
                                   false, err);
}

/* --- CPUs ----------------------------------------------------------------------------------- */

int board_new_vcpus(struct board *b, const void *model, struct ferry_err *err)
{
    for (uint32_t id = 0; id < b->config->harts; id++) {
        const struct vcpu_params params = {
            .id = id,
            .model = model,
            .mem = &b->mem,
            .bus = &b->bus,
            .clock = b->clock,
            .ram = b->ram,
            .thread_begin = b->params.thread_begin,
        };
        int rc = b->accel->create(&b->vcpus[id], &params, err);

        if (rc)
            return err_prefix(err, "hart %u", id);
        b->hart_count++;
    }
    return 0;
}

static void board_set_vcpu_irq(void *controller, unsigned source, bool level)
{
    vcpu_set_irq(controller, source, level);
}

bool board_get_vcpu_irq(void *controller, unsigned source)
{
    return vcpu_get_irq(controller, source);
}

struct irq_line board_vcpu_line(struct vcpu *v, unsigned input)
{
    return (struct irq_line){.set = board_set_vcpu_irq, .controller = v, .source = input};
}

/* --- Devices -------------------------------------------------------------------------------- */

int board_add_device(struct board *b, struct dev *d, uint64_t gpa, struct ferry_err *err)
{
    struct dev **devices = reallocarray(b->devices, b->device_count + 1, sizeof(*devices));

    if (!devices) {
        dev_free(d);
        return err_set(err, ENOMEM, "no memory for another device");
    }
    b->devices = devices;
    b->devices[b->device_count++] = d;
    d->region.base = gpa;
    return d->region.size_bytes == 0 ? 0 : bus_add(&b->bus, &d->region, err);
}

int board_new_device(struct board *b, const struct dev_type *type, uint64_t gpa,
                     struct irq_line irq, const char *idstr, struct dev **ret,
                     struct ferry_err *err)
{
    int rc = dev_new(ret, type, &b->env, irq, idstr, 0, err);

    return rc ? rc : board_add_device(b, *ret, gpa, err);
}

int board_choose_guid(const struct board *b, bool own_options, uint8_t guid[VMGENID_BYTES],
                      struct ferry_err *err)
{
    const struct config_vmgenid *vmgenid = vmgenid_of(b->config);

    if (vmgenid && vmgenid->guid.given && own_options)
        memcpy(guid, vmgenid->guid.bytes, VMGENID_BYTES);
    else if (getrandom(guid, VMGENID_BYTES, 0) != VMGENID_BYTES)
        return err_sys(err, errno, "getting random numbers for the VM's generation ID");
    return 0;
}

/* --- The whole ------------------------------------------------------------------------------ */

/* Harts first: what the devices' lines then say is what they see. */
void board_power_on(struct board *b)
{
    machine_lock(&b->lock);
    for (size_t i = 0; i < b->hart_count; i++)
        vcpu_reset(b->vcpus[i]);
    for (size_t i = 0; i < b->device_count; i++) {
        if (b->devices[i]->type->reset)
            b->devices[i]->type->reset(b->devices[i]);
    }
    machine_unlock(&b->lock);
}

static void board_flushed(void *arg)
{
    struct board *b = arg;

    for (size_t i = 0; i < b->backends.drive_count; i++)
        if (block_drained(b->backends.drives[i]))
            b->params.on_drained(b->params.machine);
    b->params.on_flushed(b->params.machine);
}

static struct backends_params params_of_backends(struct board *b)
{
    return (struct backends_params){
        .thread_begin = b->params.thread_begin,
        .net_host = &b->params.net_host,
        .config = b->config,
        .loop = b->params.loop,
        .lock = &b->lock,
        .quit = b->params.quit,
        .client_came = b->params.client_came,
        .drained = b->params.on_drained,
        .arg = b->params.machine,
    };
}

int board_add_chardev(struct board *b, struct ferry_named_fd *fds, size_t count,
                      struct chardev **ret, struct ferry_err *err)
{
    struct backends_params params = params_of_backends(b);

    return backends_add_chardev(&b->backends, &params, fds, count, ret, err);
}

void board_remove_chardev(struct board *b, struct chardev *c)
{
    backends_remove_chardev(&b->backends, c);
}

int board_add_drive(struct board *b, int *fd, bool lock, struct block **ret, struct ferry_err *err)
{
    struct backends_params params = params_of_backends(b);

    return backends_add_drive(&b->backends, &params, fd, lock, ret, err);
}

void board_remove_drive(struct board *b, struct block *d)
{
    backends_remove_drive(&b->backends, d);
}

int board_add_netdev(struct board *b, int *fd, struct net **ret, struct ferry_err *err)
{
    struct backends_params params = params_of_backends(b);

    return backends_add_netdev(&b->backends, &params, fd, ret, err);
}

void board_remove_netdev(struct board *b, struct net *n)
{
    backends_remove_netdev(&b->backends, n);
}

int board_build(struct board *b, struct ferry_err *err)
{
    struct backends_params backends_params = params_of_backends(b);
    const struct board_type *board = b->type->board;
    int rc;

    rc = b->type->check_words(b->config, err);
    if (!rc)
        rc = boot_new(&b->boot, b->config, err);
    if (!rc)
        rc = board_add_ram(b, err);
    if (!rc)
        rc = board->add_memory(b, err);
    if (!rc)
        rc = guest_clock_new(&b->clock, b->params.loop, &b->lock, err);
    if (rc)
        return rc;
    b->env = (struct dev_env){
        .mem = &b->mem,
        .loop = b->params.loop,
        .lock = &b->lock,
        .clock = b->clock,
        .hart_count = b->config->harts,
        .power_off = b->params.power_off,
        .reset = b->params.reset,
        .machine = b->params.machine,
    };
    rc = board->add_vcpus(b, err);
    if (!rc)
        rc = bell_new(&b->flushed, b->params.loop, board_flushed, b, err);
    if (!rc)
        rc = backends_new(&b->backends, &backends_params, err);
    if (!rc)
        rc = board->add_devices(b, err);
    if (!rc)
        board_power_on(b);
    return rc;
}
