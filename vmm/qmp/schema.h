/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptions of a table of commands: for programs (query-qmp-schema) and for people. Pure. */
#pragma once

#include <json-c/json.h>

#include "base/buf.h"
#include "vmm/qmp/command.h"

/* QEMU's SchemaInfo array; names of types are numbers, as they mean nothing to a client. */
struct json_object *qmp_schema(const struct qmp_table *table);
/* docs/qmp.md. */
void qmp_docs(const struct qmp_table *table, struct buf *out);
