/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The description of a VM, which can change while the VM lives: the options that a target is built
 * from, and the config that they mean. Both are changed together, or not at all.
 *
 * What an option leaves open depends on the others: the next free slot, the next MAC address. So
 * before the first change all of that is written into the options, and a target that reads what is
 * left finds everybody where the guest sees them.
 */
#pragma once

#include <ferry/err.h>

#include "vmm/config/keyval.h"
#include "vmm/config/options.h"

/* Nothing is left open in o, which means c as before. Again: nothing changes. */
int description_settle(struct options *o, struct vm_config *c,
                       struct ferry_err *err) FERRY_MUST_CHECK;
/* Another device, as -device says it; *ret: c owns it. */
int description_add_device(struct options *o, struct vm_config *c, const struct keyval *kv,
                           struct config_device **ret, struct ferry_err *err) FERRY_MUST_CHECK;
/* Another netdev, as -netdev says it: c's last. Names of files in it are of this process's folder.
 */
int description_add_netdev(struct options *o, struct vm_config *c, const char *words,
                           struct ferry_err *err) FERRY_MUST_CHECK;
/* index: of c. No device uses it. */
void description_remove_netdev(struct options *o, struct vm_config *c, size_t index);
/* The same of -chardev. Only what such an option brought can go: -ENOENT. Nobody uses it. */
int description_add_chardev(struct options *o, struct vm_config *c, const char *words,
                            struct ferry_err *err) FERRY_MUST_CHECK;
int description_remove_chardev(struct options *o, struct vm_config *c, const char *id,
                               struct ferry_err *err) FERRY_MUST_CHECK;
/* The same of -blockdev; a node on top of another one is refused. */
int description_add_drive(struct options *o, struct vm_config *c, const char *words,
                          struct ferry_err *err) FERRY_MUST_CHECK;
/* index: of c; the drive of any option. No disk uses it. */
int description_remove_drive(struct options *o, struct vm_config *c, size_t index,
                             struct ferry_err *err) FERRY_MUST_CHECK;
/* d is c's, and freed: what was made from it is gone. */
int description_remove_device(struct options *o, struct vm_config *c, struct config_device *d,
                              struct ferry_err *err) FERRY_MUST_CHECK;
