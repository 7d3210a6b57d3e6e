/* SPDX-License-Identifier: Apache-2.0 */
/* The QMP monitors of a VM: one server, attached to the chardevs that the description names. */
#pragma once

#include <ferry/err.h>

#include "vmm/machine/config.h"

struct board;
struct loop;
struct migration;
struct monitors;
struct vm;

int monitors_new(struct monitors **ret, struct vm *vm, struct migration *migration,
                 struct ferry_err *err) FERRY_MUST_CHECK;
void monitors_free(struct monitors *m);
/* The ones of the machine, once it is built. */
int monitors_attach(struct monitors *m, struct board *board, const struct vm_config *config,
                    struct ferry_err *err) FERRY_MUST_CHECK;
/*
 * A monitor of this process, open from now on and not part of the machine: `qmp` as in -qmp. A
 * target answers on it before anything has arrived.
 */
int monitors_open_own(struct monitors *m, struct loop *loop, const char *qmp,
                      struct ferry_err *err) FERRY_MUST_CHECK;
