/* SPDX-License-Identifier: Apache-2.0 */
/* A monitor for people: lines in, text out. */
#include "tests/unit.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/vmm/qmp/talk.h"

#define HELLO   "ferry 0.1.0 monitor - type 'help' for more information\r\n"
#define PROMPT  "(qemu) "
#define RUNNING "VM status: running\r\n"

static int person(struct talk *t)
{
    int fd = client_new(t->path);

    ASSERT_SAYS(t, fd, HELLO PROMPT);
    return fd;
}

static void each_line_is_a_command(void **state)
{
    struct talk t = {.human = true};
    int fd;

    talk_begin(&t);
    fd = person(&t);
    client_send(fd, "info status\n");
    ASSERT_SAYS(&t, fd, RUNNING PROMPT);
    client_send(fd, "info status\r\n\r\ninfo status\rnothing\n");
    ASSERT_SAYS(&t, fd, RUNNING PROMPT RUNNING PROMPT "unknown command: 'nothing'\r\n" PROMPT);
    /* What happens is not told in the middle of a line. */
    client_send(fd, "info");
    turn(t.loop);
    fake_vm_tell(&t.vm, VM_EVENT_POWERDOWN, 0);
    ASSERT_SAYS(&t, fd, "");
    client_send(fd, " status\n");
    ASSERT_SAYS(&t, fd, RUNNING PROMPT);
    close(fd);
    talk_end(&t);
}

static void a_line_without_end_is_refused(void **state)
{
    struct talk t = {.human = true};
    char *text = malloc(100000);
    int fd;

    talk_begin(&t);
    fd = person(&t);
    memset(text, 'x', 100000);
    text[99999] = '\0';
    client_send(fd, text);
    ASSERT_SAYS(&t, fd, "");
    client_send(fd, "\ninfo status\n");
    ASSERT_SAYS(&t, fd, "Error: a line has at most 4095 bytes\r\n" PROMPT RUNNING PROMPT);
    free(text);
    close(fd);
    talk_end(&t);
}

static void half_a_line_goes_along_with_an_update(void **state)
{
    static const char line[] = "info status\n";

    for (size_t cut = 0; cut < sizeof(line) - 1; cut++) {
        struct talk t = {.human = true};
        char first[32] = "";
        int fd;

        memcpy(first, line, cut);
        talk_begin(&t);
        fd = person(&t);
        client_send(fd, first);
        turn(t.loop);
        talk_replace(&t, NULL, NULL);
        client_send(fd, line + cut);
        ASSERT_SAYS(&t, fd, RUNNING PROMPT);
        close(fd);
        talk_end(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_line_is_a_command),
        cmocka_unit_test(a_line_without_end_is_refused),
        cmocka_unit_test(half_a_line_goes_along_with_an_update),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
