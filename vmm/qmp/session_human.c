/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A person at a monitor: each line is executed as human-monitor-command would be, its answer is
 * printed as text. A terminal edits lines itself; where none does, session_edit.c.
 */
#include <errno.h>
#include <string.h>

#include <ferry/ferry.h>

#include "base/err.h"
#include "base/own.h"
#include "vmm/qmp/json_build.h"
#include "vmm/qmp/session_struct.h"
#include "vmm/qmp/type.h"

static const char prompt[] = "(qemu) ";

static void execute_line(struct session *s)
{
    struct json_object *message = json_object_new_object(), *args = json_object_new_object();
    struct json_in_result r = {.kind = JSON_IN_VALUE, .value = message};

    buf_u8(&s->line, 0);
    json_put_str(message, "execute", "human-monitor-command");
    json_put_str(args, "command-line", s->line.failed ? "" : (const char *)s->line.data);
    json_put(message, "arguments", args);
    session_enqueue(s, &r);
}

static void refuse_line(struct session *s)
{
    struct json_in_result r = {.kind = JSON_IN_ERROR};

    err_set(&r.err, E2BIG, "a line has at most %u bytes", SESSION_LINE_MAX_BYTES - 1);
    session_enqueue(s, &r);
}

/* A line is queued; false: its end has not come. */
static bool take_line(struct session *s)
{
    while (s->in_pos < s->in_end) {
        uint8_t byte = s->in[s->in_pos++];

        if (s->edits && session_edit_key(s, byte))
            continue;
        if (byte != '\n' && byte != '\r') {
            /* One more shows that it is too long; the rest is not kept. */
            if (s->line.len_bytes < SESSION_LINE_MAX_BYTES && byte)
                buf_u8(&s->line, byte);
            continue;
        }
        if (!s->line.len_bytes) /* also the second byte of a line's end */
            continue;
        if (s->line.len_bytes == SESSION_LINE_MAX_BYTES)
            refuse_line(s);
        else
            execute_line(s);
        buf_reset(&s->line);
        return true;
    }
    return false;
}

bool session_human_parse(struct session *s)
{
    bool taken = take_line(s);

    session_flush(s); /* what was echoed, at once */
    return taken;
}

void session_human_print(struct session *s, struct json_object *message)
{
    struct json_object *error = message ? qmp_get(message, "error") : NULL;

    if (!message)
        buf_str(&s->out, "ferry " FERRY_VERSION " monitor - type 'help' for more information\r\n");
    else if (error)
        buf_printf(&s->out, "Error: %s\r\n", qmp_get_str(error, "desc"));
    else if (json_object_is_type(qmp_get(message, "return"), json_type_string))
        buf_str(&s->out, qmp_get_str(message, "return"));
    if (!s->away)
        buf_str(&s->out, prompt);
}

void session_human_prompt(struct session *s)
{
    session_put(s, prompt, sizeof(prompt) - 1);
}

/* As QEMU: whoever comes back has a new line. */
void session_focus(struct session *s, bool here)
{
    if (!s->human)
        return;
    s->away = !here;
    buf_reset(&s->line);
    s->edit_keys = EDIT_PLAIN;
    if (!here)
        session_put(s, "\r\n", 2);
    else if (!s->deferred && !s->queue_count) /* else the answer ends with one */
        session_human_prompt(s);
    session_flush(s);
}
