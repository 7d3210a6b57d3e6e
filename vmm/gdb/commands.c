/* SPDX-License-Identifier: Apache-2.0 */
/* What a client asks for: registers, memory, threads, and what this server can. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/be.h"
#include "base/num.h"
#include "vmm/gdb/internal.h"

#define FAILED      "E01"
#define OK          "OK"
#define UNSUPPORTED ""

/* Half of what a packet holds, as two digits make a byte. */
#define MEMORY_BYTES_MAX (PACKET_BYTES / 2)

/* --- Registers --- */

/* As digits. */
#define REGISTER_CHARS 16

static struct vcpu *current(const struct gdb *g)
{
    return g->vcpus[g->s.hart];
}

static void put_register(struct gdb *g, char **at, unsigned reg)
{
    size_t n = g->debug->reg_bytes(reg);
    uint8_t bytes[8];
    uint64_t value;

    if (!g->debug->get(current(g), reg, &value)) {
        memset(*at, 'x', 2 * n);
        *at += 2 * n;
        **at = '\0';
        return;
    }
    le64_store(bytes, value);
    *at = hex_put(*at, bytes, n);
}

static void read_registers(struct gdb *g, const char *text)
{
    char reply[PACKET_BYTES + 1], *at = reply;

    for (unsigned reg = 0; reg < g->debug->general_count; reg++)
        put_register(g, &at, reg);
    gdb_reply(g, reply);
}

/* All of them or none. Those that cannot be written, as one that is always zero, stay. */
static void write_registers(struct gdb *g, const char *text)
{
    uint8_t bytes[PACKET_BYTES / 2] = {0}, *at = bytes;
    size_t n = 0;

    for (unsigned reg = 0; reg < g->debug->general_count; reg++)
        n += g->debug->reg_bytes(reg);
    if (!hex_bytes(&text, bytes, n)) {
        gdb_reply(g, FAILED);
        return;
    }
    for (unsigned reg = 0; reg < g->debug->general_count; reg++) {
        uint8_t value[8] = {0};

        memcpy(value, at, g->debug->reg_bytes(reg));
        at += g->debug->reg_bytes(reg);
        (void)g->debug->set(current(g), reg, le64_load(value));
    }
    gdb_reply(g, OK);
}

static void read_register(struct gdb *g, const char *text)
{
    char reply[REGISTER_CHARS + 1], *at = reply;
    uint64_t reg, value;

    if (!hex_number(&text, &reg) || reg >= g->debug->reg_count ||
        !g->debug->get(current(g), (unsigned)reg, &value)) {
        gdb_reply(g, FAILED);
        return;
    }
    put_register(g, &at, (unsigned)reg);
    gdb_reply(g, reply);
}

static void write_register(struct gdb *g, const char *text)
{
    uint8_t bytes[8] = {0};
    uint64_t reg;

    if (!hex_number(&text, &reg) || *text++ != '=' || reg >= g->debug->reg_count ||
        !hex_bytes(&text, bytes, g->debug->reg_bytes((unsigned)reg)) ||
        !g->debug->set(current(g), (unsigned)reg, le64_load(bytes)))
        gdb_reply(g, FAILED);
    else
        gdb_reply(g, OK);
}

/* --- Memory --- */

static bool parse_range(const char **text, uint64_t *va, uint64_t *n)
{
    return hex_number(text, va) && *(*text)++ == ',' && hex_number(text, n);
}

static bool parse_memory(const char **text, uint64_t *va, uint64_t *n)
{
    return parse_range(text, va, n) && *n <= MEMORY_BYTES_MAX;
}

static void read_memory(struct gdb *g, const char *text)
{
    uint8_t data[MEMORY_BYTES_MAX];
    char reply[2 * MEMORY_BYTES_MAX + 1];
    uint64_t va, n;

    if (!parse_memory(&text, &va, &n) || g->debug->read(current(g), va, data, n) < 0) {
        gdb_reply(g, FAILED);
        return;
    }
    hex_put(reply, data, n);
    gdb_reply(g, reply);
}

static void write_memory(struct gdb *g, const char *text)
{
    uint8_t data[MEMORY_BYTES_MAX];
    uint64_t va, n;

    if (!parse_memory(&text, &va, &n) || *text++ != ':' || !hex_bytes(&text, data, n) ||
        g->debug->write(current(g), va, data, n) < 0) {
        gdb_reply(g, FAILED);
        return;
    }
    for (size_t i = 0; i < g->hart_count; i++)
        g->debug->code_changed(g->vcpus[i]);
    gdb_reply(g, OK);
}

/* --- Breakpoints --- */

/* Software and hardware breakpoints are the same here; watchpoints are not there. */
static void change_breakpoint(struct gdb *g, const char *text, bool add)
{
    uint64_t kind, va;

    if (!hex_number(&text, &kind) || *text++ != ',' || !hex_number(&text, &va)) {
        gdb_reply(g, FAILED);
    } else if (kind > 1) {
        gdb_reply(g, UNSUPPORTED);
    } else if (!add) {
        gdb_remove_breakpoint(g, va);
        gdb_reply(g, OK);
    } else {
        gdb_reply(g, gdb_add_breakpoint(g, va) ? OK : FAILED);
    }
}

static void insert_breakpoint(struct gdb *g, const char *text)
{
    change_breakpoint(g, text, true);
}

static void remove_breakpoint(struct gdb *g, const char *text)
{
    change_breakpoint(g, text, false);
}

/* --- Threads --- */

static uint32_t all_harts(const struct gdb *g)
{
    return (1u << g->hart_count) - 1;
}

/* "-1": all; "0": any, which is the current one; else a thread. 0: there is none such. */
static uint32_t parse_thread(const struct gdb *g, const char **text)
{
    uint64_t thread;

    if (!strncmp(*text, "-1", 2)) {
        *text += 2;
        return all_harts(g);
    }
    if (!hex_number(text, &thread) || thread > g->hart_count)
        return 0;
    return 1u << (thread ? thread - 1 : g->s.hart);
}

static void set_thread(struct gdb *g, const char *text)
{
    char what = *text ? *text++ : '\0';
    uint32_t harts = parse_thread(g, &text);

    if (!harts) {
        gdb_reply(g, FAILED);
        return;
    }
    if (what == 'g' && harts != all_harts(g))
        g->s.hart = (uint32_t)__builtin_ctz(harts);
    gdb_reply(g, OK);
}

static void is_alive(struct gdb *g, const char *text)
{
    gdb_reply(g, parse_thread(g, &text) ? OK : FAILED);
}

static void list_threads(struct gdb *g, const char *text)
{
    char reply[8 * CONFIG_HARTS_MAX] = "m";

    for (size_t i = 0; i < g->hart_count; i++) {
        size_t used = strlen(reply);

        snprintf(reply + used, sizeof(reply) - used, "%s%zx", i ? "," : "", i + 1);
    }
    gdb_reply(g, reply);
}

static void describe_thread(struct gdb *g, const char *text)
{
    char words[32], reply[65];
    uint32_t harts = parse_thread(g, &text);

    if (!harts) {
        gdb_reply(g, FAILED);
        return;
    }
    snprintf(words, sizeof(words), "hart %d", __builtin_ctz(harts));
    hex_put(reply, words, strlen(words));
    gdb_reply(g, reply);
}

/* --- Going on --- */

static void go_on(struct gdb *g, const char *text)
{
    gdb_run(g, 0, 0);
}

static void step_one(struct gdb *g, const char *text)
{
    gdb_run(g, 1u << g->s.hart, all_harts(g) & ~(1u << g->s.hart));
}

/* ";action[:thread]" again and again: for each hart the first that fits; without one it stays. */
static void run_by_actions(struct gdb *g, const char *text)
{
    uint32_t step = 0, run = 0, left = all_harts(g);
    uint64_t signal;

    while (*text == ';') {
        char action = text[1];
        uint32_t harts = left;

        text += action ? 2 : 1;
        if ((action == 'C' || action == 'S') && !hex_number(&text, &signal))
            break;
        if (*text == ':') {
            text++;
            harts = parse_thread(g, &text);
        }
        if (!strchr("cCsS", action) || !action || (*text && *text != ';'))
            break;
        harts &= left;
        left &= ~harts;
        run |= harts;
        if (action == 's' || action == 'S')
            step |= harts;
    }
    if (*text || !run)
        gdb_reply(g, FAILED);
    else
        gdb_run(g, step, all_harts(g) & ~run);
}

static void tell_actions(struct gdb *g, const char *text)
{
    gdb_reply(g, "vCont;c;C;s;S");
}

/* --- What there is --- */

static void tell_stop(struct gdb *g, const char *text)
{
    gdb_reply_stop(g);
}

static void tell_features(struct gdb *g, const char *text)
{
    char reply[96];

    snprintf(reply, sizeof(reply),
             "PacketSize=%x;qXfer:features:read+;QStartNoAckMode+;vContSupported+", PACKET_BYTES);
    gdb_reply(g, reply);
}

static void start_no_ack(struct gdb *g, const char *text)
{
    g->s.no_ack = true;
    gdb_reply(g, OK);
}

static void read_description(struct gdb *g, const char *text)
{
    char reply[PACKET_BYTES / 2 + 1];
    uint64_t at, n;

    if (!parse_range(&text, &at, &n) || at > g->features.len_bytes) {
        gdb_reply(g, FAILED);
        return;
    }
    n = num_min(n, num_min(g->features.len_bytes - at, sizeof(reply) - 1));
    reply[0] = at + n < g->features.len_bytes ? 'm' : 'l';
    memcpy(reply + 1, g->features.data + at, n);
    gdb_reply_bytes(g, reply, 1 + n);
}

static void tell_current(struct gdb *g, const char *text)
{
    char reply[16];

    snprintf(reply, sizeof(reply), "QC%x", (unsigned)g->s.hart + 1);
    gdb_reply(g, reply);
}

static void end_of_list(struct gdb *g, const char *text)
{
    gdb_reply(g, "l");
}

/* So that GDB lets go when it ends, instead of ending the guest. */
static void tell_attached(struct gdb *g, const char *text)
{
    gdb_reply(g, "1");
}

static void let_go(struct gdb *g, const char *text)
{
    gdb_reply(g, OK);
    gdb_detach(g);
    g->s.let_go = true;
}

static void end_guest(struct gdb *g, const char *text)
{
    vm_request_shutdown(g->vm, SHUTDOWN_CAUSE_HOST_SIGNAL, 0);
}

static const struct command {
    const char *name; /* how a packet begins */
    void (*run)(struct gdb *g, const char *text);
    bool stopped; /* only while the guest stands still */
} commands[] = {
    {"qSupported", tell_features},
    {"QStartNoAckMode", start_no_ack},
    {"qXfer:features:read:target.xml:", read_description},
    {"qfThreadInfo", list_threads},
    {"qsThreadInfo", end_of_list},
    {"qThreadExtraInfo,", describe_thread},
    {"qAttached", tell_attached},
    {"qC", tell_current},
    {"vCont?", tell_actions},
    {"vCont", run_by_actions},
    {"?", tell_stop},
    {"g", read_registers, true},
    {"G", write_registers, true},
    {"p", read_register, true},
    {"P", write_register, true},
    {"m", read_memory, true},
    {"M", write_memory, true},
    {"Z", insert_breakpoint, true},
    {"z", remove_breakpoint, true},
    {"H", set_thread},
    {"T", is_alive},
    {"c", go_on},
    {"C", go_on},
    {"s", step_one},
    {"S", step_one},
    {"D", let_go},
    {"k", end_guest},
};

void gdb_command(struct gdb *g, const char *text, size_t n)
{
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        size_t length = strlen(commands[i].name);

        if (n < length || memcmp(text, commands[i].name, length) != 0)
            continue;
        if (commands[i].stopped && !gdb_is_stopped(g))
            gdb_reply(g, FAILED);
        else
            commands[i].run(g, text + length);
        return;
    }
    gdb_reply(g, UNSUPPORTED);
}
