/* SPDX-License-Identifier: Apache-2.0 */
/* What the subcommands that talk to a running VM share. */
#pragma once

#include <ferry/err.h>

#include "vmm/main/commands.h"

struct json_object;

/*
 * Execute a QMP command on the VM of that name. arguments are taken. Returns 0 and *reply (to be
 * put), or a negative errno with a sentence that names the VM.
 */
int client_execute(const char *vm, const char *command, struct json_object *arguments,
                   struct json_object **reply, struct ferry_err *err) FERRY_MUST_CHECK;
/* A member's text or "", its number or 0, through any nesting given as "a.b". */
const char *client_text(struct json_object *object, const char *path);
long long client_number(struct json_object *object, const char *path);
