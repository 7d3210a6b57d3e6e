/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A supervisor's channel. Input: messages, each with two bytes of length, one that says how many
 * file descriptors come along, and its bytes. Each is one of six things, whose parts are there,
 * and none leaves a file descriptor behind.
 */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fdmsg.h"
#include "base/mail.h"
#include "fuzz/fuzz.h"
#include "vmm/supervisor/supervisor_channel.h"

static int lowest_free_fd(void)
{
    int fd = dup(0);

    close(fd);
    return fd;
}

static void check(const struct supervisor_message *m, const uint8_t *data, size_t n, size_t fds)
{
    switch (m->kind) {
    case SUPERVISOR_SILENCE:
        FUZZ_CHECK(0, "nothing came");
        break;
    case SUPERVISOR_HUNG_UP:
        FUZZ_CHECK(n == 0, "it has not");
        break;
    case SUPERVISOR_SAYS:
        FUZZ_CHECK(n == 1 && !fds && m->says == (char)data[0], "other words");
        break;
    case SUPERVISOR_NAMES:
        FUZZ_CHECK(n > 1 && !fds && data[0] == SUPERVISOR_NAME, "no name");
        FUZZ_CHECK(strnlen(m->words, n) < n, "more of a name than was sent");
        break;
    case SUPERVISOR_ASKS:
        FUZZ_CHECK(n >= SUPERVISOR_HEAD_BYTES && fds > 0 && fds <= 2, "asks for nothing");
        FUZZ_CHECK(m->mail >= 0 && (m->client >= 0) == (fds == 2), "where is it answered?");
        FUZZ_CHECK(!memcmp(m->words, data + SUPERVISOR_HEAD_BYTES, n - SUPERVISOR_HEAD_BYTES) &&
                       strnlen(m->words, sizeof(m->words)) < sizeof(m->words),
                   "other words");
        break;
    case SUPERVISOR_NONSENSE:
        FUZZ_CHECK((m->mail >= 0) == (fds > 0), "who hears of it?");
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct supervisor_message m;
    const int fds[] = {0, 0, 0};
    struct ferry_err err;
    int channel[2];
    int before;

    if (mail_pair(channel, &err) < 0)
        return 0;
    before = lowest_free_fd();
    while (n >= 3) {
        size_t bytes = data[0] | (size_t)data[1] << 8;
        size_t fd_count = data[2] & 3;
        struct iovec iov = {(void *)(uintptr_t)(data + 3), bytes < n - 3 ? bytes : n - 3};

        if (fdmsg_send(channel[1], &iov, 1, fds, fd_count) < 0)
            break;
        supervisor_channel_recv(channel[0], &m);
        check(&m, data + 3, iov.iov_len, fd_count);
        supervisor_message_free(&m);
        FUZZ_CHECK(lowest_free_fd() == before, "a file descriptor is left");
        data += 3 + iov.iov_len;
        n -= 3 + iov.iov_len;
    }
    close(channel[0]);
    close(channel[1]);
    return 0;
}
