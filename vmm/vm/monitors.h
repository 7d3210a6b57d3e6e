/* SPDX-License-Identifier: Apache-2.0 */
/* The QMP monitors of a VM: one server, attached to the chardevs that the description names. */
#pragma once

#include <ferry/err.h>
#include <ferry/part.h>

#include "vmm/machine/config.h"

struct board;
struct loop;
struct migration;
struct monitors;
struct options;
struct vm;

int monitors_new(struct monitors **ret, struct vm *vm, struct migration *migration,
                 struct ferry_err *err) FERRY_MUST_CHECK;
void monitors_free(struct monitors *m);
/* Of the VM: takes their clients along to the process that takes this one's place. */
struct ferry_part monitors_part(struct monitors *m);
/* The VM runs here: take up the clients that came, and answer them what they wait for. */
void monitors_take_clients(struct monitors *m);
void monitors_answer_clients(struct monitors *m);
/* Of a VM that has gone: the clients stayed, and are served. */
void monitors_keep_clients(struct monitors *m);
/* The ones of the machine, once it is built. */
int monitors_attach(struct monitors *m, struct board *board, const struct vm_config *config,
                    struct ferry_err *err) FERRY_MUST_CHECK;
/* They answer, whatever else of the VM stands still. */
void monitors_resume(struct monitors *m);
/*
 * A monitor of this process, open from now on: `qmp` as in -qmp, a name in it absolute. A target
 * answers on it before anything has arrived.
 */
int monitors_open_own(struct monitors *m, struct loop *loop, const char *qmp,
                      struct ferry_err *err) FERRY_MUST_CHECK;
/*
 * The VM has come: that monitor is its own from now on, in its description and among its parts, so
 * that it goes where the VM goes. If the machine has no room for it, that is said. Nothing if there
 * is none.
 */
void monitors_join(struct monitors *m, struct options *description, struct ferry_vm *parts);
