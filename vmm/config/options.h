/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line of a VM, in QEMU's spelling and grammar, and the struct vm_config it means.
 *
 * An option is one entry of the table in option_table.c. The list of options as given is kept: it
 * is the machine description that a handover target is built from (options_to_json).
 */
#pragma once

#include <stdio.h>

#include <ferry/err.h>

#include "vmm/machine/config.h"

#define OPTIONS_MAX            256
#define OPTIONS_JSON_BYTES_MAX (1u << 20) /* a description longer than this is refused */

struct option {
    char *name;  /* without dashes */
    char *value; /* NULL for a flag */
};

struct options {
    struct option list[OPTIONS_MAX];
    size_t count;
};

/*
 * Splits argv into options; checks that each exists and has its value, nothing more. @FILE where an
 * option is expected stands for the words in that file (option_file.h).
 */
int options_from_argv(struct options *o, int argc, const char *const argv[],
                      struct ferry_err *err) FERRY_MUST_CHECK;
/* Copies both strings. */
int options_add(struct options *o, const char *name, const char *value,
                struct ferry_err *err) FERRY_MUST_CHECK;
/* [["M", "virt"], ["S"], ...]; to be freed. NULL when out of memory. */
char *options_to_json(const struct options *o);
/* The reverse, from a peer: bounded, every option known. */
int options_from_json(struct options *o, const char *text, struct ferry_err *err) FERRY_MUST_CHECK;
/* The index-th. */
void options_remove(struct options *o, size_t index);
/* All but the first `count`. */
void options_cut(struct options *o, size_t count);
void options_free(struct options *o);

/* Defaults, then every option in order, then checks across options. Frees *c on failure. */
int config_from_options(struct vm_config *c, const struct options *o,
                        struct ferry_err *err) FERRY_MUST_CHECK;
void config_free(struct vm_config *c);
/* What follows moves up; nobody uses it. */
void config_remove_drive(struct vm_config *c, size_t index);
void config_remove_chardev(struct vm_config *c, size_t index);
void config_remove_netdev(struct vm_config *c, size_t index);

/* The table as text, for --help. */
void options_print_help(FILE *to);
/*
 * "-device help", "-device MODEL,help", "-M help" and so on, as QEMU's users know it: if the
 * command line has such a word, what there is goes to `to`. false: it has none.
 */
bool options_answer_help(int argc, const char *const argv[], FILE *to);

/* --- for the files that handle groups of options --- */
typedef int option_apply_fn(struct vm_config *c, const char *value, struct ferry_err *err);
option_apply_fn option_drive, option_blockdev, option_netdev, option_device;
option_apply_fn option_machine, option_accel, option_name, option_object, option_sandbox,
    option_smp, option_cpu;
option_apply_fn option_chardev, option_gdb, option_serial, option_monitor_hmp, option_qmp,
    option_qmp_pretty, option_mon;
/* What -serial or -qmp says in a word, as -chardev says it; to be freed. NULL: it is none. */
char *option_chardev_text(const char *word, const char *id, struct ferry_err *err);
/* Of drives, netdevs and devices: it names parts and fds, so it is kept short and plain. */
int option_check_id(const char *id, struct ferry_err *err) FERRY_MUST_CHECK;
/* RAM and the file that it is in agree. */
int config_check_memory(struct vm_config *c, struct ferry_err *err) FERRY_MUST_CHECK;
/* Which type of machine they are of; whatever else they say depends on it. */
void options_choose_machine(struct vm_config *c, const struct options *o);
/* Cross checks of a finished config: every reference resolves, nothing is used twice. */
int config_check(struct vm_config *c, struct ferry_err *err) FERRY_MUST_CHECK;
/* The serial line when no -serial was given. */
int config_default_serial(struct vm_config *c, struct ferry_err *err) FERRY_MUST_CHECK;
