/* SPDX-License-Identifier: Apache-2.0 */
/* What the subcommands that talk to a running VM share. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <ferry/err.h>

#include "vmm/main/commands.h"

struct json_object;

/*
 * Execute a QMP command on the VM of that name. arguments are taken. Returns 0 and *reply (to be
 * put), or a negative errno with a sentence that names the VM.
 */
int client_execute(const char *vm, const char *command, struct json_object *arguments,
                   struct json_object **reply, struct ferry_err *err) FERRY_MUST_CHECK;
/* The same for what a VM answers at once: one that does not is given up after some seconds. */
int client_query(const char *vm, const char *command, struct json_object **reply,
                 struct ferry_err *err) FERRY_MUST_CHECK;
/*
 * What answers is a stranger: of any type, with anything in its strings. A member's text, made
 * printable, or ""; its number or 0; through any nesting given as "a.b".
 */
const char *client_text(struct json_object *object, const char *path);
long long client_number(struct json_object *object, const char *path);
/* Elements of a list; 0 if it is none. */
size_t client_length(struct json_object *list);
/* As JSON in printable ASCII on stdout, with a line end; pretty: several lines. */
void client_print_json(struct json_object *object, bool pretty);
