/* SPDX-License-Identifier: Apache-2.0 */
/* A person at a monitor whose terminal shows nothing by itself, as on a mux. */
#include "tests/unit.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "tests/vmm/qmp/talk.h"

#define HELLO   "ferry 0.1.0 monitor - type 'help' for more information\r\n"
#define PROMPT  "(qemu) "
#define RUNNING "VM status: running\r\n"
#define RUB     "\b \b"
#define SWITCH \
    "\x01"     \
    "c"

static int person(struct talk *t)
{
    int fd;

    t->human = t->shared = true;
    talk_begin(t);
    fd = client_new(t->path);
    ASSERT_SAYS(t, fd, HELLO PROMPT);
    return fd;
}

static void leave(struct talk *t, int fd)
{
    close(fd);
    talk_end(t);
}

static void what_is_typed_is_seen(void **state)
{
    struct talk t = {0};
    int fd = person(&t);

    client_send(fd, "info");
    ASSERT_SAYS(&t, fd, "info");
    client_send(fd, " status\r");
    ASSERT_SAYS(&t, fd, " status\r\n" RUNNING PROMPT);
    client_send(fd, "info status\ninfo status\n");
    ASSERT_SAYS(&t, fd, "info status\r\n" RUNNING PROMPT "info status\r\n" RUNNING PROMPT);
    client_send(fd, "\r");
    ASSERT_SAYS(&t, fd, "\r\n" PROMPT);
    leave(&t, fd);
}

static void a_line_is_corrected(void **state)
{
    struct talk t = {0};
    int fd = person(&t);

    client_send(fd, "\b\x7finfi\x7fo stutu\b\b\batus\r");
    ASSERT_SAYS(&t, fd, "infi" RUB "o stutu" RUB RUB RUB "atus\r\n" RUNNING PROMPT);
    client_send(fd, "quit\x15info status\r");
    ASSERT_SAYS(&t, fd, "quit" RUB RUB RUB RUB "info status\r\n" RUNNING PROMPT);
    client_send(fd, "quit\x03info status\r");
    ASSERT_SAYS(&t, fd, "quit^C\r\n" PROMPT "info status\r\n" RUNNING PROMPT);
    /* A character of two bytes is one. */
    client_send(fd, "x\xc3\xa4\x7f\x7finfo status\r");
    ASSERT_SAYS(&t, fd, "x\xc3\xa4" RUB RUB "info status\r\n" RUNNING PROMPT);
    leave(&t, fd);
}

static const char arrows[] = "in\x1b[A\x1b[1;5C\x1bOBfo\t \x02status\x1b[3~\r";

static void keys_that_are_no_text_are_none(void **state)
{
    struct talk t = {0};
    int fd = person(&t);

    client_send(fd, arrows);
    ASSERT_SAYS(&t, fd, "info status\r\n" RUNNING PROMPT);
    leave(&t, fd);
}

static void a_line_that_is_full_takes_no_more(void **state)
{
    static char text[5001], echo[5100];
    struct talk t = {0};
    int fd = person(&t);

    memset(text, 'x', 5000);
    memset(echo, 'x', 4095);
    memset(echo + 4095, '\a', 905);
    client_send(fd, text);
    for (int pieces = 0; pieces < 4; pieces++)
        turn(t.loop);
    ASSERT_SAYS(&t, fd, echo);
    client_send(fd, "\x03info status\r");
    ASSERT_SAYS(&t, fd, "^C\r\n" PROMPT "info status\r\n" RUNNING PROMPT);
    leave(&t, fd);
}

static void who_comes_back_has_a_prompt(void **state)
{
    struct talk t = {0};
    int fd = person(&t);

    client_send(fd, "qui" SWITCH);
    ASSERT_SAYS(&t, fd, "qui\r\n");
    client_send(fd, "t\r"); /* to somebody else */
    ASSERT_SAYS(&t, fd, "");
    client_send(fd, SWITCH);
    ASSERT_SAYS(&t, fd, PROMPT);
    client_send(fd, "info status\r" SWITCH);
    ASSERT_SAYS(&t, fd, "info status\r\n" RUNNING PROMPT "\r\n");
    leave(&t, fd);
}

/* Wherever it comes: a word, a key of several bytes, a command key, while somebody else has them.
 */
static void an_update_is_not_seen(void **state)
{
    static const char *const typed[] = {arrows, SWITCH SWITCH "info status\r",
                                        "x" SWITCH "y" SWITCH "info status\r"};
    static const char *const seen[] = {"info status\r\n" RUNNING PROMPT,
                                       "\r\n" PROMPT "info status\r\n" RUNNING PROMPT,
                                       "x\r\n" PROMPT "info status\r\n" RUNNING PROMPT};

    for (size_t i = 0; i < sizeof(typed) / sizeof(typed[0]); i++) {
        for (size_t cut = 0; cut < strlen(typed[i]); cut++) {
            struct talk t = {0};
            int fd = person(&t);
            char first[64] = "";

            memcpy(first, typed[i], cut);
            client_send(fd, first);
            turn(t.loop);
            talk_replace(&t, NULL, NULL);
            client_send(fd, typed[i] + cut);
            ASSERT_SAYS(&t, fd, seen[i]);
            leave(&t, fd);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_typed_is_seen),
        cmocka_unit_test(a_line_is_corrected),
        cmocka_unit_test(keys_that_are_no_text_are_none),
        cmocka_unit_test(a_line_that_is_full_takes_no_more),
        cmocka_unit_test(who_comes_back_has_a_prompt),
        cmocka_unit_test(an_update_is_not_seen),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
