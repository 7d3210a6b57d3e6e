/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GDB's protocol. Input: what a client sends. First the framing, byte by byte: a packet has a
 * limit, and what is put can be taken. Then each line as a packet's text to a server with two harts
 * that stand still, whatever it says: the server's state stays within its bounds.
 */
#include <string.h>

#include "fuzz/fuzz.h"
#include "tests/vmm/gdb/rig.h"
#include "vmm/gdb/internal.h"

static void take_packets(const uint8_t *data, size_t n)
{
    static struct packet in, back;
    static char framed[2 * PACKET_BYTES + 4];

    in = back = (struct packet){0};
    for (size_t i = 0; i < n; i++) {
        size_t bytes;

        if (packet_take(&in, data[i]) != PACKET_WHOLE)
            continue;
        FUZZ_CHECK(in.data_bytes <= PACKET_BYTES, "a packet has a limit");
        bytes = packet_put(framed, in.data, in.data_bytes);
        FUZZ_CHECK(bytes <= sizeof(framed), "a frame has a limit");
        for (size_t j = 0; j + 1 < bytes; j++)
            FUZZ_CHECK(packet_take(&back, (uint8_t)framed[j]) == PACKET_NONE, "it ends too early");
        FUZZ_CHECK(packet_take(&back, (uint8_t)framed[bytes - 1]) == PACKET_WHOLE &&
                       back.data_bytes == in.data_bytes &&
                       !memcmp(back.data, in.data, in.data_bytes),
                   "what is put is taken");
    }
}

static void serve_packets(struct gdb *g, const uint8_t *data, size_t n)
{
    static char text[PACKET_BYTES + 1];

    while (n > 0) {
        const uint8_t *end = memchr(data, '\n', n);
        size_t whole = end ? (size_t)(end - data) : n;
        size_t bytes = whole < PACKET_BYTES ? whole : PACKET_BYTES;

        memcpy(text, data, bytes);
        text[bytes] = '\0';
        gdb_command(g, text, bytes);
        gdb_interrupt(g);
        FUZZ_CHECK(!g->s.waiting, "it has stopped");
        FUZZ_CHECK(g->s.count <= VCPU_BREAKPOINTS_MAX, "so many breakpoints there are");
        FUZZ_CHECK(g->s.hart < GDB_RIG_HARTS, "the hart is there");
        FUZZ_CHECK(g->s.out_bytes <= sizeof(g->s.out), "a reply has a limit");
        data += whole + (end != NULL);
        n -= whole + (end != NULL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct gdb_rig rig;
    struct gdb *g;

    take_packets(data, n);
    if (!rig.gdb)
        gdb_rig_init(&rig);
    for (size_t i = 0; i < GDB_RIG_HARTS; i++)
        hart_reset(rig.vm.machine.harts[i]);
    rig.vm.state = RUN_STATE_RUNNING;
    g = rig.gdb;
    gdb_attach(g);
    serve_packets(g, data, n);
    gdb_detach(g);
    FUZZ_CHECK(g->s.count == 0, "who goes leaves nothing");
    return 0;
}
