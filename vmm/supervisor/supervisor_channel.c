/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/supervisor/supervisor_channel.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/fdmsg.h"
#include "base/own.h"

/* Of a request. */
static size_t words_bytes(const char *data, size_t n)
{
    return strnlen(data + SUPERVISOR_HEAD_BYTES, n - SUPERVISOR_HEAD_BYTES);
}

/* What a VMM knows of is behind its words, of an older one nothing. */
static bool knows(const char *data, size_t n, char what)
{
    size_t begin = SUPERVISOR_HEAD_BYTES + words_bytes(data, n);

    return memchr(data + begin, what, n - begin) != NULL;
}

void supervisor_channel_recv(int channel, struct supervisor_message *ret)
{
    /* One byte more, so that what is too long shows instead of being cut off. */
    char data[SUPERVISOR_HEAD_BYTES + SUPERVISOR_WORDS_BYTES + SUPERVISOR_KNOWS_BYTES + 1];
    int fds[2] = {-1, -1};
    size_t count;
    bool lost;
    ssize_t n = fdmsg_recv(channel, data, sizeof(data), fds, 2, &count, &lost);

    *ret = (struct supervisor_message){.mail = fds[0], .client = fds[1]};
    if (n <= 0) {
        ret->kind = n == -EAGAIN ? SUPERVISOR_SILENCE : SUPERVISOR_HUNG_UP;
    } else if (n == 1 && count == 0) {
        ret->kind = SUPERVISOR_SAYS;
        ret->says = data[0];
    } else if (n > 1 && n <= (ssize_t)SUPERVISOR_NAME_BYTES && count == 0 && !lost &&
               data[0] == SUPERVISOR_NAME) {
        ret->kind = SUPERVISOR_NAMES;
        memcpy(ret->words, data + 1, (size_t)n - 1);
    } else if (ret->mail < 0 || lost || n < (ssize_t)SUPERVISOR_HEAD_BYTES ||
               n == (ssize_t)sizeof(data) ||
               words_bytes(data, (size_t)n) > SUPERVISOR_WORDS_BYTES) {
        ret->kind = SUPERVISOR_NONSENSE;
    } else {
        ret->kind = SUPERVISOR_ASKS;
        memcpy(&ret->words_bytes, data, SUPERVISOR_HEAD_BYTES);
        memcpy(ret->words, data + SUPERVISOR_HEAD_BYTES, (size_t)n - SUPERVISOR_HEAD_BYTES);
        ret->keeps = knows(data, (size_t)n, SUPERVISOR_KEEPS);
    }
}

void supervisor_message_free(struct supervisor_message *m)
{
    own_close_fd(&m->mail);
    own_close_fd(&m->client);
}
