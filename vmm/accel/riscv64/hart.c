/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/accel/riscv64/hart.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/own.h"
#include "base/thread.h"
#include "vmm/accel/riscv64/accel.h"
#include "vmm/accel/riscv64/block.h"
#include "vmm/accel/riscv64/core.h"
#include "vmm/accel/riscv64/futex.h"
#include "vmm/accel/riscv64/mmu.h"
#include "vmm/accel/riscv64/pmp.h"
#include "vmm/accel/riscv64/run.h"

const char hart_isa_string[] = "rv64imafdc_zicntr_zicsr_zifencei_sstc";
const char hart_mmu_type[] = "riscv,sv48";

#define CACHE_LINE_BYTES 64

static int start_thread(struct hart *h, struct ferry_err *err)
{
    int r = thread_start(&h->thread, "ferry-hart", run_thread, h);

    if (r < 0)
        return err_sys(err, -r, "no thread for hart %u", (unsigned)h->r.mhartid);
    h->thread_made = true;
    while (atomic_load(&h->thread_id) == 0)
        futex_wait(&h->thread_id, 0, INT64_MAX);
    return 0;
}

static void hart_freep(struct hart **h)
{
    hart_free(*h);
}

int hart_new(struct hart **ret, const struct hart_params *params, struct ferry_err *err)
{
    OWN(hart_freep) struct hart *h = NULL;
    size_t bytes = (sizeof(*h) + CACHE_LINE_BYTES - 1) / CACHE_LINE_BYTES * CACHE_LINE_BYTES;
    int r;

    h = aligned_alloc(CACHE_LINE_BYTES, bytes);
    if (!h)
        return err_set(err, ENOMEM, "no memory for hart %u", params->id);
    memset(h, 0, bytes);
    h->vcpu.accel = &accel_riscv64;
    h->mem = params->mem;
    h->bus = params->bus;
    h->clock = params->clock;
    h->thread_begin = params->thread_begin;
    h->r.mhartid = params->id;
    h->r.resetvec = params->reset_pc;
    h->r.quirks = params->quirks;
    h->filled = true; /* with zeros */
    thread_mutex_init(&h->on);
    fp_init(&h->fp);
    r = block_cache_init(h, err);
    if (r < 0)
        return r;
    hart_reset(h);
    r = start_thread(h, err);
    if (r < 0)
        return r;
    r = ferry_ram_add_flush_source(params->ram, run_flush_write, h, err);
    if (r < 0)
        return err_prefix(err, "hart %u", params->id);
    *ret = TAKE_PTR(h);
    return 0;
}

void hart_free(struct hart *h)
{
    if (!h)
        return;
    if (h->thread_made) {
        hart_stop_request(h);
        hart_stop_wait(h);
        run_command(h, HART_EXIT);
        pthread_join(h->thread, NULL);
    }
    pthread_mutex_destroy(&h->on);
    block_cache_free(h);
    free(h);
}

void hart_reset(struct hart *h)
{
    uint64_t mhartid = h->r.mhartid, resetvec = h->r.resetvec;
    struct hart_quirks quirks = h->r.quirks;

    memset(&h->r, 0, sizeof(h->r));
    h->r.mhartid = mhartid;
    h->r.resetvec = resetvec;
    h->r.quirks = quirks;
    if (quirks.no_pmp)
        pmp_allow_all(h->r.pmp);
    h->r.pc = resetvec;
    h->r.priv = PRIV_M;
    h->r.mstatus = MSTATUS_XL64;
    h->fp.frm = 0;
    h->fp.fflags = 0;
    h->mip_soft = 0;
    h->stimer_armed = false;
    h->reserved_va = ~UINT64_C(0);
    memset(h->counter_base, 0, sizeof(h->counter_base));
    h->retired = 0;
    pmp_update(h);
    mmu_update_mode(h);
    mmu_flush_all(h);
    /* Memory may have been written anew. */
    block_new_epoch(h);
}

struct vcpu *hart_vcpu(struct hart *h)
{
    return &h->vcpu;
}

int hart_thread_id(const struct hart *h)
{
    return (int)atomic_load(&h->thread_id);
}
