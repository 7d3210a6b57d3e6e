/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/toy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/own.h"

static const struct ferry_field counter_fields[] = {
    FERRY_U64(struct toy_counter, ticks),
    FERRY_U8(struct toy_counter, mode, .max = 3),
};
static const struct ferry_table counter_table = {
    .name = "toy-counter",
    .version = 2,
    .minimum_version = 2,
    FERRY_FIELDS(counter_fields),
};

static int pipe_quiesce(void *obj)
{
    struct toy_pipe *p = obj;

    p->quiesced = true;
    return p->busy;
}

static void pipe_unquiesce(void *obj)
{
    ((struct toy_pipe *)obj)->quiesced = false;
}

static void pipe_pause(void *obj)
{
    ((struct toy_pipe *)obj)->in_use = false;
}

static void pipe_resume(void *obj)
{
    ((struct toy_pipe *)obj)->in_use = true;
}

static int pipe_fd(struct toy_pipe *p, const char *device, size_t index, struct ferry_named_fd *ret)
{
    static const char *const what[] = {"read", "write", "absent"};

    if (index >= 3)
        return -ENOENT;
    snprintf(ret->name, sizeof(ret->name), "%s/%s", device, what[index]);
    ret->fd = index < 2 ? p->fds[index] : -1;
    return 0;
}

static int pipe_fd_at(void *obj, size_t index, struct ferry_named_fd *ret)
{
    return pipe_fd(obj, "pipe", index, ret);
}

static int extra_fd_at(void *obj, size_t index, struct ferry_named_fd *ret)
{
    return pipe_fd(obj, "extra", index, ret);
}

static int pipe_adopt(void *obj, const char *name, int *fd, struct ferry_err *err)
{
    struct toy_pipe *p = obj;
    struct stat st;

    if (fstat(*fd, &st) < 0 || !S_ISFIFO(st.st_mode))
        return err_set(err, EINVAL, "fd %d is not a pipe", *fd);
    p->fds[strstr(name, "write") ? 1 : 0] = take_fd(fd);
    return 0;
}

static int refusing_adopt(void *obj, const char *name, int *fd, struct ferry_err *err)
{
    return err_set(err, EBUSY, "the toy refuses");
}

static int no_fds(void *obj, size_t index, struct ferry_named_fd *ret)
{
    return -ENOENT;
}

static int visitor_at(void *obj, size_t index, struct ferry_named_fd *ret)
{
    struct toy *t = obj;

    if (index >= (size_t)t->visitor_count)
        return -ENOENT;
    snprintf(ret->name, sizeof(ret->name), "visitors/%zu", index);
    ret->fd = t->visitors[index];
    return 0;
}

static int visitor_adopt(void *obj, const char *name, int *fd, struct ferry_err *err)
{
    struct toy *t = obj;

    if (t->refuse_visitors || t->visitor_count == TOY_VISITORS_MAX)
        return err_set(err, EBUSY, "the toy refuses");
    t->visitors[t->visitor_count++] = take_fd(fd);
    return 0;
}

static const struct ferry_part_ops visitor_ops = {
    .fd_at = no_fds,
    .extra_fd_at = visitor_at,
    .adopt = visitor_adopt,
};
static const struct ferry_part_ops pipe_ops = {
    .quiesce = pipe_quiesce,
    .unquiesce = pipe_unquiesce,
    .pause = pipe_pause,
    .resume = pipe_resume,
    .fd_at = pipe_fd_at,
    .adopt = pipe_adopt,
};
static const struct ferry_part_ops refusing_ops = {
    .pause = pipe_pause,
    .resume = pipe_resume,
    .fd_at = pipe_fd_at,
    .adopt = refusing_adopt,
};
static const struct ferry_part_ops extra_ops = {
    .pause = pipe_pause,
    .resume = pipe_resume,
    .fd_at = extra_fd_at,
    .adopt = pipe_adopt,
};

void toy_tick(struct toy *t)
{
    struct toy_memory *m = t->memory;

    if (!atomic_load(&t->running))
        return;
    if (atomic_exchange(&m->runner, t->id) != t->id)
        atomic_fetch_add(&m->switches, 1);
    if (atomic_fetch_add(&m->ticks, 1) + 1 != ++t->counter.ticks)
        atomic_store(&m->broken, 1);
    ferry_ram_mark_dirty(t->region, 0);
    if (t->scribble_pages) {
        uint64_t page =
            1 + ++t->scribbles * UINT64_C(0x9e3779b97f4a7c15) / 65536 % t->scribble_pages;

        memcpy(ferry_ram_host(t->region) + page * FERRY_PAGE_BYTES, &t->scribbles,
               sizeof(t->scribbles));
        ferry_ram_mark_dirty(t->region, page);
    }
}

static void *toy_thread(void *arg)
{
    struct toy *t = arg;
    const struct timespec nap = {.tv_nsec = 20000};

    while (atomic_load(&t->running)) {
        toy_tick(t);
        nanosleep(&nap, NULL);
    }
    return NULL;
}

static int64_t toy_pause(void *opaque)
{
    struct toy *t = opaque;

    atomic_store(&t->running, false);
    if (t->thread_started)
        pthread_join(t->thread, NULL);
    t->thread_started = false;
    t->stopped_ns = clock_monotonic_ns();
    return t->stopped_ns;
}

static void toy_resume(void *opaque)
{
    struct toy *t = opaque;

    atomic_store(&t->running, true);
    if (t->threaded && pthread_create(&t->thread, NULL, toy_thread, t) == 0)
        t->thread_started = true;
}

void toy_run(struct toy *t)
{
    toy_resume(t);
}

static const struct ferry_vm_ops toy_vm_ops = {.pause = toy_pause, .resume = toy_resume};

static int toy_add_parts(struct toy *t, struct ferry_err *err)
{
    const struct ferry_part parts[] = {
        {.idstr = "counter",
         .table = &counter_table,
         .obj = &t->counter,
         .obj_bytes = sizeof(t->counter)},
        {.idstr = "pipe",
         .ops = t->refuse_adopt ? &refusing_ops : &pipe_ops,
         .obj = &t->pipe,
         .obj_bytes = sizeof(t->pipe)},
        {.idstr = "counter",
         .instance_id = 1,
         .table = &counter_table,
         .obj = &t->blob,
         .obj_bytes = sizeof(t->blob)},
        {.idstr = "visitors", .ops = &visitor_ops, .obj = t, .obj_bytes = sizeof(*t)},
        {.idstr = "extra", .ops = &extra_ops, .obj = &t->extra, .obj_bytes = sizeof(t->extra)},
    };
    size_t count = t->with_extra ? 5 : 4;

    for (size_t i = 0; i < count; i++) {
        int r = ferry_vm_add_part(t->vm, &parts[i], err);

        if (r < 0)
            return r;
    }
    return 0;
}

static int toy_vm(struct toy *t, struct ferry_err *err)
{
    const struct ferry_vm_params params = {.size_bytes = sizeof(params),
                                           .machine_name = "toy",
                                           .ram = t->ram,
                                           .ops = &toy_vm_ops,
                                           .opaque = t};
    int r = ferry_vm_new(&t->vm, &params, err);

    t->pipe.fds[0] = t->pipe.fds[1] = t->extra.fds[0] = t->extra.fds[1] = -1;
    return r < 0 ? r : toy_add_parts(t, err);
}

void toy_fresh(struct toy *t)
{
    struct ferry_ram_region *region;
    struct ferry_err err;

    if (ferry_ram_new(&t->ram, &err) < 0 ||
        ferry_ram_add(t->ram, "toy.ram", t->ram_bytes ? t->ram_bytes : TOY_RAM_BYTES, &region,
                      &err) < 0 ||
        toy_vm(t, &err) < 0 || pipe2(t->pipe.fds, O_CLOEXEC | O_NONBLOCK) < 0 ||
        (t->with_extra && pipe2(t->extra.fds, O_CLOEXEC) < 0)) {
        fprintf(stderr, "cannot make a toy: %s\n", err.text);
        abort();
    }
    t->region = region;
    t->memory = (struct toy_memory *)ferry_ram_host(region);
    t->pipe.in_use = t->extra.in_use = true;
    t->blob.mode = 3;
    atomic_store(&t->memory->runner, t->id);
    toy_resume(t);
}

void toy_empty(struct toy *t)
{
    bool threaded = t->threaded;

    t->threaded = false;
    toy_fresh(t);
    t->threaded = threaded;
    atomic_store(&t->running, false);
    t->counter = t->blob = (struct toy_counter){0};
    memset(t->memory, 0, sizeof(*t->memory));
    t->pipe.in_use = false;
}

int toy_build(void *opaque, struct ferry_move *target, const char *description,
              struct ferry_vm **ret, struct ferry_err *err)
{
    struct toy *t = opaque;
    struct ferry_ram_region *region;
    int r;

    if (strcmp(description, TOY_DESCRIPTION) != 0)
        return err_set(err, EINVAL, "what machine is \"%s\"?", description);
    r = ferry_ram_new(&t->ram, err);
    if (r < 0)
        return r;
    r = ferry_live_target_take_region(target, t->ram, "toy.ram", TOY_RAM_BYTES, &region, err);
    if (r < 0)
        return r;
    t->region = region;
    t->memory = (struct toy_memory *)ferry_ram_host(region);
    r = toy_vm(t, err);
    if (r < 0)
        return r;
    *ret = t->vm;
    return 0;
}

void toy_clock_go_on(void *opaque, int64_t stopped_ns)
{
    ((struct toy *)opaque)->stopped_ns = stopped_ns;
}

void toy_free(struct toy *t)
{
    toy_pause(t);
    ferry_vm_free(t->vm);
    ferry_ram_free(t->ram);
    while (t->visitor_count)
        own_close_fd(&t->visitors[--t->visitor_count]);
    if (!t->vm)
        return;
    for (int i = 0; i < 2; i++) {
        own_close_fd(&t->pipe.fds[i]);
        own_close_fd(&t->extra.fds[i]);
    }
}

bool toy_pipe_works(struct toy *t)
{
    char c = 0;

    return t->pipe.in_use && write(t->pipe.fds[1], "x", 1) == 1 &&
           read(t->pipe.fds[0], &c, 1) == 1 && c == 'x';
}
