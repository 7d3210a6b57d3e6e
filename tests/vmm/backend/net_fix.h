/* SPDX-License-Identifier: Apache-2.0 */
/* What tests of network backends share: a card on one side, a peer on the other. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "vmm/backend/net.h"
#include "vmm/backend/net_type.h"

/* A card that keeps what it gets, and has room when it is told to. */
struct card {
    struct net *net;
    unsigned room;
    unsigned turn; /* frames it takes at a time; 0 = all */
    unsigned frames;
    size_t last_bytes;
    uint8_t last[NET_FRAME_BYTES_MAX];
    unsigned writables, links;
    bool up;
};

struct fix {
    struct loop *loop;
    struct machine_lock lock;
    char dir[32];
    char path[64];
    struct card card;
    uint32_t reconnect_ms; /* of what make() makes */
    struct net_host host;  /* the same; without connect: none */
    int listener;          /* of the peer */
    int peer;
};

extern const struct net_client_ops card_ops;

int net_setup(void **state);
int net_teardown(void **state);
void run_for_ms(struct fix *f, int ms);
void run_until(struct fix *f, const unsigned *count, unsigned at_least);
struct net *make(struct fix *f, bool server, struct card *card);
void resume(struct net *n);
struct net *connected(struct fix *f);
void fill(uint8_t *p, size_t n, unsigned seed);
void peer_sends(struct fix *f, const void *data, size_t n);
void peer_sends_frame(struct fix *f, unsigned seed, uint32_t bytes);
void card_got(struct card *c, unsigned seed, size_t bytes);
void peer_gets_all(struct fix *f, void *data, size_t n);
void peer_gets_frame(struct fix *f, unsigned seed, uint32_t bytes);
int card_sends(struct fix *f, struct net *n, unsigned seed, size_t bytes);
