/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The line of a person whose terminal shows nothing by itself: it is echoed as it is typed, and
 * corrected by Backspace, Ctrl-U (all of it) and Ctrl-C (all of it, on a new line). Other keys that
 * are no text, as the arrows, are passed over.
 */
#include <string.h>

#include "vmm/qmp/session_struct.h"

enum {
    KEY_CTRL_C = 0x03,
    KEY_BACKSPACE = 0x08,
    KEY_CTRL_U = 0x15,
    KEY_ESCAPE = 0x1b,
    KEY_DELETE = 0x7f, /* what Backspace sends today */
};

static void put(struct session *s, const char *text)
{
    session_put(s, text, strlen(text));
}

/* UTF-8: all of a character, which is taken to be as wide as one. */
static void rub_out(struct session *s)
{
    uint8_t byte;

    if (!s->line.len_bytes)
        return;
    do
        byte = s->line.data[--s->line.len_bytes];
    while ((byte & 0xc0) == 0x80 && s->line.len_bytes);
    put(s, "\b \b");
}

/* Within what an arrow key sends: ESC [ 1 ; 5 A, ESC O A. */
static void skip_sequence(struct session *s, uint8_t byte)
{
    if (s->edit_keys == EDIT_ESCAPE)
        s->edit_keys = byte == '[' || byte == 'O' ? EDIT_SEQUENCE : EDIT_PLAIN;
    else if (byte < 0x20 || byte >= 0x40)
        s->edit_keys = EDIT_PLAIN;
}

static void control_key(struct session *s, uint8_t byte)
{
    switch (byte) {
    case KEY_BACKSPACE:
    case KEY_DELETE:
        rub_out(s);
        break;
    case KEY_CTRL_U:
        while (s->line.len_bytes)
            rub_out(s);
        break;
    case KEY_CTRL_C:
        buf_reset(&s->line);
        put(s, "^C\r\n");
        session_human_prompt(s);
        break;
    case KEY_ESCAPE:
        s->edit_keys = EDIT_ESCAPE;
        break;
    default:
        break;
    }
}

bool session_edit_key(struct session *s, uint8_t byte)
{
    if (byte == '\r' || byte == '\n') {
        s->edit_keys = EDIT_PLAIN;
        put(s, "\r\n");
        if (!s->line.len_bytes)
            session_human_prompt(s);
        return false;
    }
    if (s->edit_keys != EDIT_PLAIN) {
        skip_sequence(s, byte);
        return true;
    }
    if (byte < 0x20 || byte == KEY_DELETE) {
        control_key(s, byte);
        return true;
    }
    if (s->line.len_bytes == SESSION_LINE_MAX_BYTES - 1) {
        put(s, "\a"); /* and it is not taken */
        return true;
    }
    session_put(s, (const char *)&byte, 1);
    return false;
}
