/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an operator said about the sandbox at the start of a VM: what its supervisor does, and on
 * whose word. The VMM is told, and cannot change it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <ferry/err.h>

#include "vmm/machine/config.h"

struct supervisor_policy {
    bool sandbox;       /* the VMM locks itself in */
    bool spawn;         /* its own word counts for an operator's */
    bool only_loopback; /* what listens for it by TCP other hosts cannot reach */
    /* Sockets of monitors where an operator may speak, besides those of the runtime directory.
     * Loans. Only the supervisor knows them. */
    const char *monitors[CONFIG_MONITORS_MAX];
    size_t monitor_count;
    /* All sockets that the VM makes, monitors too: a VMM in its sandbox cannot remove them. */
    const char *sockets[CONFIG_CHARDEVS_MAX];
    size_t socket_count;
    /* Peers that a VMM may be connected to again: streams with reconnect-ms, and no others. */
    struct supervisor_peer {
        const char *id, *path; /* loans */
    } peers[CONFIG_NETDEVS_MAX];
    size_t peer_count;
    const char *pidfile; /* loan; to be removed at the end. NULL: none */
};

/* Loans what it needs of c. */
void supervisor_policy_from(struct supervisor_policy *ret, const struct vm_config *c);
/* The end of what ENVIRONMENT_SUPERVISOR says: ":on", ":on,spawn", ":off". */
const char *supervisor_policy_text(const struct supervisor_policy *p);
int supervisor_policy_parse(struct supervisor_policy *ret, const char *text,
                            struct ferry_err *err) FERRY_MUST_CHECK;
