/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/gdb/packet.h"

#include "base/num.h"

#define ESCAPE     '}'
#define ESCAPE_XOR 0x20
#define INTERRUPT  0x03
#define REPEAT     '-'

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static void begin(struct packet *p)
{
    p->state = PACKET_INSIDE;
    p->sum = 0;
    p->escaped = p->too_long = false;
    p->data_bytes = 0;
}

static enum packet_event take_outside(struct packet *p, uint8_t byte)
{
    if (byte == '$')
        begin(p);
    return byte == INTERRUPT ? PACKET_INTERRUPT : byte == REPEAT ? PACKET_REPEAT : PACKET_NONE;
}

static void take_inside(struct packet *p, uint8_t byte)
{
    if (byte == '#') {
        p->state = PACKET_SUM1;
        return;
    }
    if (byte == '$') { /* the one before was cut */
        begin(p);
        return;
    }
    p->sum = (uint8_t)(p->sum + byte);
    if (byte == ESCAPE) {
        p->escaped = true;
        return;
    }
    if (p->data_bytes == PACKET_BYTES)
        p->too_long = true;
    else
        p->data[p->data_bytes++] = (char)(p->escaped ? byte ^ ESCAPE_XOR : byte);
    p->escaped = false;
}

enum packet_event packet_take(struct packet *p, uint8_t byte)
{
    int d;

    switch (p->state) {
    case PACKET_OUTSIDE:
        return take_outside(p, byte);
    case PACKET_INSIDE:
        take_inside(p, byte);
        return PACKET_NONE;
    case PACKET_SUM1:
    case PACKET_SUM2:
        break;
    }
    d = digit((char)byte);
    if (d < 0)
        p->too_long = true;
    if (p->state == PACKET_SUM1) {
        p->told = (uint8_t)((unsigned)d << 4);
        p->state = PACKET_SUM2;
        return PACKET_NONE;
    }
    p->state = PACKET_OUTSIDE;
    p->data[p->data_bytes] = '\0';
    return p->too_long || (p->told | (uint8_t)d) != p->sum ? PACKET_DAMAGED : PACKET_WHOLE;
}

size_t packet_look(const struct packet *p, const uint8_t *data, size_t n)
{
    bool inside = p->state == PACKET_INSIDE;

    if (p->state > PACKET_INSIDE)
        return 1;
    for (size_t i = 0; i < n; i++) {
        if (inside && data[i] == '#')
            return num_min(n, i + 3);
        if (!inside && (data[i] == INTERRUPT || data[i] == REPEAT))
            return i + 1;
        inside |= data[i] == '$';
    }
    return n;
}

size_t packet_put(char *to, const char *data, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    char *at = to;
    uint8_t sum = 0;

    *at++ = '$';
    for (size_t i = 0; i < n; i++) {
        char c = data[i];

        if (c == '$' || c == '#' || c == ESCAPE || c == '*') {
            *at++ = ESCAPE;
            sum = (uint8_t)(sum + ESCAPE);
            c = (char)(c ^ ESCAPE_XOR);
        }
        *at++ = c;
        sum = (uint8_t)(sum + (uint8_t)c);
    }
    *at++ = '#';
    *at++ = digits[sum >> 4];
    *at++ = digits[sum & 15];
    return (size_t)(at - to);
}

bool hex_number(const char **text, uint64_t *ret)
{
    const char *begin = *text;
    uint64_t n = 0;
    int d;

    for (; (d = digit(**text)) >= 0; (*text)++) {
        if (n >> 60)
            return false;
        n = n << 4 | (unsigned)d;
    }
    *ret = n;
    return *text > begin;
}

bool hex_bytes(const char **text, uint8_t *to, size_t n)
{
    for (size_t i = 0; i < n; i++, *text += 2) {
        int high = digit((*text)[0]);
        int low = high < 0 ? -1 : digit((*text)[1]);

        if (low < 0)
            return false;
        to[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

char *hex_put(char *to, const void *from, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *data = from;

    for (size_t i = 0; i < n; i++) {
        *to++ = digits[data[i] >> 4];
        *to++ = digits[data[i] & 15];
    }
    *to = '\0';
    return to;
}
