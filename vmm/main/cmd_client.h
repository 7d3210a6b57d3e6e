/* SPDX-License-Identifier: Apache-2.0 */
/* What the subcommands that talk to a running VM share. */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ferry/err.h>

#include "vmm/main/commands.h"

struct json_object;

/* A VM that does not greet or answer a query within this hangs; any other command may take as long
 * as it takes. */
#define CLIENT_ANSWER_NS (INT64_C(10) * 1000000000)

/*
 * Execute a QMP command on the VM of that name. arguments are taken. Returns 0 and *reply (to be
 * put), or a negative errno with a sentence that names the VM.
 */
int client_execute(const char *vm, const char *command, struct json_object *arguments,
                   struct json_object **reply, struct ferry_err *err) FERRY_MUST_CHECK;
/* The same, given up with -EINTR while that fd is readable (interrupt.h). */
int client_execute_until(int interrupt, const char *vm, const char *command,
                         struct json_object *arguments, struct json_object **reply,
                         struct ferry_err *err) FERRY_MUST_CHECK;
/* The same, but each interrupt is taken and told to fn, whose negative errno gives it up. */
typedef int client_interrupted_fn(void *arg, unsigned times, struct ferry_err *err);
int client_execute_telling(int interrupt, client_interrupted_fn *fn, void *arg, const char *vm,
                           const char *command, struct json_object *arguments,
                           struct json_object **reply, struct ferry_err *err) FERRY_MUST_CHECK;
/* The same for what a VM answers at once: one that does not is given up after some seconds. */
int client_query(const char *vm, const char *command, struct json_object **reply,
                 struct ferry_err *err) FERRY_MUST_CHECK;
int client_query_within(int64_t timeout_ns, const char *vm, const char *command,
                        struct json_object *arguments, struct json_object **reply,
                        struct ferry_err *err) FERRY_MUST_CHECK;
/* Of one that does not answer: it is stopped, or hangs. Nobody but the host can say more, or do
 * something. */
void client_explain_silence(const char *vm, struct ferry_err *err);
/* That error of a command: the VM's process is of an older ferry, which has no such argument. */
bool client_knows_not(int rc, const struct ferry_err *err, const char *argument);
/*
 * The program that a VM's process runs, where it was; deleted: another file is there now, or none.
 * 0; negative: this user cannot know.
 */
int client_binary(long long pid, char path[static PATH_MAX], bool *deleted);

/*
 * What answers is a stranger: of any type, with anything in its strings. A member's text, made
 * printable, or ""; its number or 0; through any nesting given as "a.b".
 */
const char *client_text(struct json_object *object, const char *path);
long long client_number(struct json_object *object, const char *path);
bool client_flag(struct json_object *object, const char *path); /* false if there is none */
/* Elements of a list; 0 if it is none. */
size_t client_length(struct json_object *list);
/* As JSON in printable ASCII on stdout, with a line end; pretty: several lines. */
void client_print_json(struct json_object *object, bool pretty);
