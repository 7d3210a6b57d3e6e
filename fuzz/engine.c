/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/engine.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/own.h"

#define ENGINE_STEP_NS INT64_C(100000)

/* --- Two toys --- */

static int64_t engine_clock(void *opaque)
{
    return ((struct engine *)opaque)->now_ns;
}

static void engine_trace(void *opaque, enum ferry_migrate_point point)
{
    struct engine *e = opaque;

    if (point != FERRY_MIGRATE_ROUND || !e->busy_rounds)
        return;
    e->busy_rounds--;
    toy_tick(&e->from);
}

static int engine_build(void *opaque, const char *description, struct ferry_vm **vm,
                        struct ferry_err *err)
{
    *vm = ((struct engine *)opaque)->to.vm;
    return 0;
}

void engine_init(struct engine *e)
{
    memset(e, 0, sizeof(*e));
    e->now_ns = 1;
    e->from.id = 1;
    e->to.id = 2;
    e->from.ram_bytes = e->to.ram_bytes = ENGINE_PAGES * FERRY_PAGE_BYTES;
    e->from.scribble_pages = 3;
    toy_fresh(&e->from);
    toy_empty(&e->to);
    for (unsigned i = 0; i < 8; i++)
        toy_tick(&e->from);
    e->source_params = (struct ferry_migrate_source_params){
        .size_bytes = sizeof(e->source_params),
        .vm = e->from.vm,
        .description = TOY_DESCRIPTION,
        .version = "1.0",
        .running = true,
        .no_threads = true,
        .trace = engine_trace,
        .clock = engine_clock,
        .opaque = e,
    };
    e->target_params = (struct ferry_migrate_target_params){
        .size_bytes = sizeof(e->target_params),
        .version = "1.1",
        .build = engine_build,
        .no_threads = true,
        .clock = engine_clock,
        .opaque = e,
    };
    e->source_status = e->target_status = FERRY_MOVE_DONE;
}

void engine_free(struct engine *e)
{
    ferry_move_free(e->source);
    ferry_move_free(e->target);
    ferry_address_free(e->address);
    toy_free(&e->from);
    toy_free(&e->to);
}

void engine_step_source(struct engine *e)
{
    e->now_ns += ENGINE_STEP_NS;
    if (e->source_status == FERRY_MOVE_BUSY)
        e->source_status = ferry_move_step(e->source, &e->source_err);
}

void engine_step_target(struct engine *e)
{
    e->now_ns += ENGINE_STEP_NS;
    if (e->target_status == FERRY_MOVE_BUSY)
        e->target_status = ferry_move_step(e->target, &e->target_err);
}

bool engine_wait(struct engine *e)
{
    int64_t next_ns = INT64_MAX, ns;

    if (e->source_status == FERRY_MOVE_BUSY)
        next_ns = ferry_move_deadline_ns(e->source);
    if (e->target_status == FERRY_MOVE_BUSY) {
        ns = ferry_move_deadline_ns(e->target);
        next_ns = ns < next_ns ? ns : next_ns;
    }
    if (next_ns == INT64_MAX)
        return false;
    if (next_ns > e->now_ns)
        e->now_ns = next_ns;
    return true;
}

/* --- Promises --- */

void engine_check_source(struct engine *e)
{
    enum ferry_move_status status = e->source_status;
    bool runs = atomic_load(&e->from.running);

    FUZZ_CHECK(status != FERRY_MOVE_BUSY, "a source without an end");
    if (status == FERRY_MOVE_FAILED || status == FERRY_MOVE_LOST)
        FUZZ_CHECK(e->source_err.text[0], "no guest moved, without a word");
    if (status == FERRY_MOVE_FAILED || status == FERRY_MOVE_CHECKED) {
        FUZZ_CHECK(runs == e->source_params.running, e->source_err.text);
        FUZZ_CHECK(e->from.pipe.in_use && !e->from.pipe.quiesced, "its devices do not work");
    } else {
        FUZZ_CHECK(!runs, "it runs in the source, too");
        FUZZ_CHECK(!e->from.pipe.in_use, "its devices work in the source, too");
    }
    FUZZ_CHECK(!atomic_load(&e->from.memory->broken), "the guest broke");
    ferry_move_free(e->source);
    e->source = NULL;
}

void engine_check_target(struct engine *e)
{
    enum ferry_move_status status = e->target_status;
    bool runs = atomic_load(&e->to.running);

    FUZZ_CHECK(status != FERRY_MOVE_BUSY, "a target without an end");
    if (status == FERRY_MOVE_DONE) {
        FUZZ_CHECK(runs && ferry_move_running(e->target), "it does not run");
        FUZZ_CHECK(e->to.pipe.in_use, "its devices do not work");
        FUZZ_CHECK(e->to.blob.mode <= 3 && e->to.counter.mode <= 3, "state out of bounds");
    } else {
        FUZZ_CHECK(status == FERRY_MOVE_CHECKED || e->target_err.text[0], "refused without a word");
        FUZZ_CHECK(!runs && !ferry_move_running(e->target), "it runs though it is not here");
        FUZZ_CHECK(!e->to.pipe.in_use, "its devices work though it is not here");
        FUZZ_CHECK(e->to.blob.mode == 0 && e->to.blob.ticks == 0 && e->to.counter.ticks == 0,
                   "changed by what was refused");
    }
    ferry_move_free(e->target);
    e->target = NULL;
}

void engine_move(struct engine *e)
{
    struct ferry_chan *pair[2];
    struct ferry_err err = {0};

    e->source_params.capabilities = e->target_params.capabilities =
        (struct ferry_migrate_capabilities){0};
    e->source_params.parameters = e->target_params.parameters =
        (struct ferry_migrate_parameters){0};
    e->source_params.dry_run = false;
    e->source_params.peer = FERRY_MIGRATE_PEER_ANY;
    e->source_params.running = true;
    e->source_params.uuid = e->target_params.uuid = NULL;
    e->from.pipe.busy = false;
    FUZZ_CHECK(ferry_chan_pair(pair, &err) == 0, err.text);
    FUZZ_CHECK(ferry_migrate_source_new(&e->source, &e->source_params, NULL, &pair[0], &err) == 0,
               err.text);
    FUZZ_CHECK(ferry_migrate_target_new(&e->target, &e->target_params, NULL, &pair[1], &err) == 0,
               err.text);
    e->source_status = e->target_status = FERRY_MOVE_BUSY;
    for (unsigned i = 0;
         i < 1000 && (e->source_status == FERRY_MOVE_BUSY || e->target_status == FERRY_MOVE_BUSY);
         i++) {
        engine_step_source(e);
        engine_step_target(e);
    }
    FUZZ_CHECK(e->source_status == FERRY_MOVE_DONE, e->source_err.text);
    FUZZ_CHECK(e->target_status == FERRY_MOVE_DONE, e->target_err.text);
    engine_check_source(e);
    engine_check_target(e);
    FUZZ_CHECK(memcmp(ferry_ram_host(e->from.region), ferry_ram_host(e->to.region),
                      ENGINE_PAGES * FERRY_PAGE_BYTES) == 0,
               "RAM was lost");
    toy_tick(&e->to);
    FUZZ_CHECK(!atomic_load(&e->to.memory->broken), "the guest broke");
}

/* --- Channels --- */

struct ferry_chan *engine_chan(int *fd)
{
    struct ferry_chan *chan = NULL;
    struct ferry_err err = {0};
    int fds[2];

    FUZZ_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0,
               "no sockets");
    FUZZ_CHECK(ferry_chan_from_fd(&chan, &fds[1], &err) == 0, err.text);
    *fd = fds[0];
    return chan;
}

static char engine_dir[64];

static void engine_path(unsigned which, char path[static 80])
{
    snprintf(path, 80, "%s/%u", engine_dir, which);
}

static void engine_remove_dir(void)
{
    char path[80];

    engine_path(0, path);
    unlink(path);
    rmdir(engine_dir);
}

/* The first one makes the directory. */
static void engine_need_dir(void)
{
    if (!engine_dir[0]) {
        const char *tmp = getenv("TMPDIR");

        snprintf(engine_dir, sizeof(engine_dir), "%.40s/ferry-fuzz-XXXXXX", tmp ? tmp : "/tmp");
        FUZZ_CHECK(mkdtemp(engine_dir), "no directory for sockets");
        atexit(engine_remove_dir);
    }
}

struct ferry_address *engine_address(unsigned which)
{
    struct ferry_address *a = NULL;
    struct ferry_err err = {0};
    char path[80];

    engine_need_dir();
    engine_path(which, path);
    FUZZ_CHECK(ferry_address_unix(&a, path, &err) == 0, err.text);
    return a;
}

static int engine_socket(unsigned which, struct sockaddr_un *name)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    char path[80];

    FUZZ_CHECK(fd >= 0, "no socket");
    engine_need_dir();
    engine_path(which, path);
    *name = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(name->sun_path, sizeof(name->sun_path), "%s", path);
    return fd;
}

int engine_listen(unsigned which)
{
    struct sockaddr_un name;
    int fd = engine_socket(which, &name);

    unlink(name.sun_path);
    FUZZ_CHECK(bind(fd, (struct sockaddr *)&name, sizeof(name)) == 0 && listen(fd, 8) == 0,
               "cannot listen");
    return fd;
}

int engine_connect(unsigned which)
{
    struct sockaddr_un name;
    int fd = engine_socket(which, &name);

    if (connect(fd, (struct sockaddr *)&name, sizeof(name)) < 0)
        own_close_fd(&fd);
    return fd;
}
