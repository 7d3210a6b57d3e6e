/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an operator wants to know of a VM, asked once for a text and for JSON: `ferry status`, `ls`.
 *
 *   name, status, pid (the first process, which ends with the VM), vmm-pid, uptime-s, harts,
 *   memory-bytes; build, binary, binary-deleted
 *   sockets:     [{id, where, connected}]       id "control": ferry's own
 *   disks:       [{id, file, read-only, io-status}]
 *   netdevs:     as ferry-netdevs returns them (docs/qmp.md)
 *   last-update: {when, from, to, pause-ns}     when: UTC, the process that runs it was started
 *   migration:   {what, status, error, pause-ns; with RAM: transferred-bytes, remaining-bytes,
 *                 total-ms}
 *
 * What a VM of an older build does not tell, or what there is none of, is not a member.
 */
#pragma once

#include <stdint.h>

#include <ferry/err.h>

struct json_object;

/* *ret is the caller's. An error names the VM, and what to do if it does not answer. */
int report_ask(const char *vm, int64_t timeout_ns, struct json_object **ret,
               struct ferry_err *err) FERRY_MUST_CHECK;
/* On stdout, for people. */
void report_print(struct json_object *report);
/* The same in one line: name, status, process, uptime, build. */
void report_print_line(struct json_object *report);
