/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices of a description, from the catalogue (vmm/dev/kinds.h) and what somebody said of them. A
 * device is the struct of its kind, which begins with struct config_device.
 */
#pragma once

#include <ferry/err.h>

#include "vmm/config/keyval.h"
#include "vmm/machine/config.h"

/* All that kv says, which begins with its driver, and the kind's defaults. *ret: to be freed, or
 * given to config_add_device(). */
int config_device_new(struct config_device **ret, const struct keyval *kv,
                      struct ferry_err *err) FERRY_MUST_CHECK;
void config_device_free(struct config_device *d);
/* The words that make it: all that is not the kind's default. To be freed; NULL: no memory. */
char *config_device_text(const struct config_device *d, struct ferry_err *err);

/* Takes d on success: its ID is nobody else's. Where it is and what it uses, config_check() says.
 */
int config_add_device(struct vm_config *c, struct config_device *d,
                      struct ferry_err *err) FERRY_MUST_CHECK;
/* c no longer has it, and does not free it. */
void config_take_device(struct vm_config *c, const struct config_device *d);
/* The first of that kind, by its name; NULL: there is none. */
const struct config_device *config_find_kind(const struct vm_config *c, const char *kind);
/* NULL: there is none of that ID. */
struct config_device *config_find_device(const struct vm_config *c, const char *id);
