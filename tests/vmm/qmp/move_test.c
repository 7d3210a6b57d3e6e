/* SPDX-License-Identifier: Apache-2.0 */
/* Clients that go to another monitor in the middle of whatever they are doing. */
#include "tests/unit.h"

#include <linux/sockios.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/be.h"
#include "tests/send_fds.h"
#include "tests/vmm/qmp/talk.h"

/* Everything that the monitor says until it has nothing to say any more. */
static void hear(struct talk *t, int fd, char *ret, size_t bytes)
{
    size_t used = strlen(ret);

    for (int quiet = 0; quiet < 4;) {
        turn_ns(t->loop, 200000);
        client_read(fd, ret + used, bytes - used);
        quiet = ret[used] ? 0 : quiet + 1;
        used += strlen(ret + used);
    }
}

/* --- The same answers, wherever a conversation is cut --- */

static const char *const conversations[] = {
    "{\"execute\": \"query-status\"}",
    "{\"execute\": \"qmp_capabilities\", \"arguments\": {\"enable\": [\"oob\"]}, \"id\": [1, {}]}"
    "{\"execute\": \"query-name\", \"id\": \"\\u00e4\"} {\"execute\": 'query-kvm'}"
    "{\"exec-oob\": \"query-status\", \"id\": null}{\"execute\": \"nothing\", \"id\": 1.5}",
    "{\"execute\": \"qmp_capabilities\"} \n\n [1, tru, {\"a\": }] 17 \"x\" {\"execute\": 5}"
    "{\"execute\": \"query-status\", \"more\": 1} { \001 {\"execute\": \"query-status\"} ]"
    "{\"execute\": \"query-version\"}",
};

static void cut_anywhere_answers_are_the_same(void **state)
{
    for (size_t c = 0; c < sizeof(conversations) / sizeof(conversations[0]); c++) {
        const char *text = conversations[c];
        char whole[16384] = "";

        /* The first time it is not cut. */
        for (size_t cut = strlen(text) + 1; cut-- > 0;) {
            struct talk t = {0};
            char first[1024], said[16384] = "";
            int fd;

            snprintf(first, cut + 1, "%s", text);
            talk_begin(&t);
            fd = client_new(t.path);
            hear(&t, fd, said, sizeof(said));
            client_send(fd, first);
            /* Every other time with the monitor's answers unread, or its bytes not. */
            if (cut % 2)
                hear(&t, fd, said, sizeof(said));
            if (cut < strlen(text)) {
                talk_replace(&t, NULL, NULL);
                client_send(fd, text + cut);
            }
            hear(&t, fd, said, sizeof(said));
            if (!*whole)
                strcpy(whole, said);
            assert_string_equal(said, whole);
            close(fd);
            talk_end(&t);
        }
        assert_non_null(strstr(whole, "\"error\""));
    }
}

/* --- Answers that nobody reads yet --- */

static size_t count_of(const char *text, const char *what)
{
    size_t count = 0;

    for (; (text = strstr(text, what)); text += strlen(what))
        count++;
    return count;
}

static void answers_that_wait_go_along(void **state)
{
    const int many = 200;
    struct talk t = {0};
    char *said = calloc(1, 4 << 20);
    int fd, small = 4096;

    talk_begin(&t);
    fd = talk_client(&t);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    for (int i = 0; i < many; i++) {
        client_send(fd, "{\"execute\": \"query-commands\"}");
        turn(t.loop);
    }
    for (int i = 0; i < 3; i++) {
        fake_vm_tell(&t.vm, VM_EVENT_POWERDOWN, 0);
        talk_replace(&t, NULL, NULL);
    }
    hear(&t, fd, said, 4 << 20);
    assert_int_equal(count_of(said, "\"name\": \"query-commands\""), many);
    assert_in_range(count_of(said, "POWERDOWN"), 1, 3); /* those of one name are gathered */
    client_send(fd, "{\"execute\": \"query-name\"}");
    ASSERT_SAYS(&t, fd, "{\"return\": {}}\r\n");
    free(said);
    close(fd);
    talk_end(&t);
}

/* It pays with its connection, not the guest with its time; others do not pay. */
static void who_holds_too_much_stays_behind(void **state)
{
    struct talk t = {0};
    const size_t bytes = 100001;
    char *text = malloc(bytes), said[4096] = "";
    int greedy, modest, unread = 0;
    size_t sent = 0;

    memset(text, '[', 1);
    for (size_t i = 1; i < bytes; i += 4)
        memcpy(text + i, "17, ", 4);
    talk_begin(&t);
    greedy = talk_client(&t);
    modest = talk_client(&t);
    /* Held as values: more than may go along, less than one client may hold. */
    while (sent < bytes || unread) {
        ssize_t n = send(greedy, text + sent, bytes - sent, MSG_DONTWAIT | MSG_NOSIGNAL);

        sent += n > 0 ? (size_t)n : 0;
        turn(t.loop);
        assert_int_equal(ioctl(greedy, SIOCOUTQ, &unread), 0);
    }
    talk_replace(&t, NULL, NULL);
    assert_string_equal(client_read(greedy, said, sizeof(said)), "EOF");
    client_send(modest, "{\"execute\": \"query-name\"}");
    ASSERT_SAYS(&t, modest, "{\"return\": {}}\r\n");
    free(text);
    close(greedy);
    close(modest);
    talk_end(&t);
}

/* --- Commands under way --- */

static void commands_under_way_are_answered_there(void **state)
{
    struct talk t = {.ask = fake_ask};
    int stops, asks;

    talk_begin(&t);
    stops = talk_client(&t);
    asks = talk_client(&t);
    t.vm.busy = t.loop;
    t.vm.state = RUN_STATE_PAUSED;
    client_send(asks, "{\"execute\": \"ferry-update\", \"id\": \"u\"}");
    turn(t.loop);
    turn(t.loop);
    assert_non_null(t.migration.done);
    /* Its disk would be quiet at the next turn, which it does not live to see. */
    client_send(stops, "{\"execute\": \"stop\", \"id\": 7}{\"execute\": \"query-name\"}");
    turn(t.loop);
    t.vm.busy = NULL;
    talk_replace(&t, NULL, NULL);
    ASSERT_SAYS(&t, stops, "{\"return\": {}, \"id\": 7}\r\n{\"return\": {}}\r\n");
    ASSERT_SAYS(&t, asks,
                "{\"id\": \"u\", \"error\": {\"class\": \"GenericError\", \"desc\": \"this process "
                "has not taken part in a live update yet\"}}\r\n");
    close(stops);
    close(asks);
    talk_end(&t);
}

static void drained(void *arg)
{
    ++*(int *)arg;
}

static int ask_and_stop(void *arg, const char *words, int client, size_t words_bytes, int *ret_mail,
                        struct ferry_err *err)
{
    loop_stop(((struct migration *)arg)->loop);
    return fake_ask(arg, words, client, words_bytes, ret_mail, err);
}

/* Two processes must not read the same words: what is being asked for is waited for. */
static void words_that_are_read_are_waited_for(void **state)
{
    struct talk t = {.ask = ask_and_stop};
    struct monitor_env env;
    struct ferry_part part;
    int calls = 0, fd;

    talk_begin(&t);
    env = *monitor_env(t.monitor);
    env.drained = drained;
    env.update_arg = &calls;
    monitor_set_env(t.monitor, &env);
    part = monitor_part(t.monitor);
    fd = talk_client(&t);
    t.migration.loop = t.loop;
    client_send(fd, "{\"execute\": \"migrate\", \"arguments\": {\"uri\": \"tcp:127.0.0.1:9\"}}");
    loop_run(t.loop);
    assert_int_equal(t.migration.asked, 1);
    assert_int_equal(part.ops->quiesce(part.obj), 1);
    assert_int_equal(calls, 0);
    ASSERT_SAYS(&t, fd, OK);
    assert_int_equal(calls, 1);
    /* And none is begun until it is over. */
    client_send(fd, "{\"execute\": \"migrate\", \"arguments\": {\"uri\": \"tcp:127.0.0.1:9\"}}");
    ASSERT_SAYS(&t, fd, "");
    assert_int_equal(t.migration.asked, 1);
    part.ops->unquiesce(part.obj);
    loop_run(t.loop);
    ASSERT_SAYS(&t, fd, OK);
    assert_int_equal(t.migration.asked, 2);
    close(fd);
    talk_end(&t);
}

static void file_descriptors_go_along(void **state)
{
    struct talk t = {0};
    int fd, sent[2];

    talk_begin(&t);
    fd = talk_client(&t);
    assert_int_equal(pipe(sent), 0);
    send_fds(fd, " ", sent, 2);
    close(sent[0]);
    turn(t.loop);
    talk_replace(&t, NULL, NULL);
    client_send(fd, "{\"execute\": \"getfd\", \"arguments\": {\"fdname\": \"a\"}}");
    ASSERT_SAYS(&t, fd, OK);
    client_send(fd, "{\"execute\": \"getfd\", \"arguments\": {\"fdname\": \"b\"}}");
    ASSERT_SAYS(&t, fd, ERROR("No file descriptor supplied via SCM_RIGHTS"));
    close(sent[1]);
    close(fd);
    talk_end(&t);
}

/* --- Whose record is not believed --- */

struct tampering {
    size_t bit;
    bool cut;
    size_t record_bits;
};

static void tamper(void *arg, int fd)
{
    struct tampering *t = arg;
    uint8_t byte;
    uint8_t length[4];

    /* As its header says; the memfd has room for more. */
    assert_int_equal(pread(fd, length, 4, 8), 4);
    t->record_bits = 8 * (12 + be32_load(length));
    if (t->cut) {
        assert_int_equal(ftruncate(fd, (off_t)t->bit / 8), 0);
        return;
    }
    assert_int_equal(pread(fd, &byte, 1, (off_t)(t->bit / 8)), 1);
    byte ^= (uint8_t)(1u << t->bit % 8);
    assert_int_equal(pwrite(fd, &byte, 1, (off_t)(t->bit / 8)), 1);
}

static void a_record_that_is_wrong_costs_its_clients(void **state)
{
    struct tampering how = {.record_bits = 1};

    for (int cut = 0; cut < 2; cut++) {
        for (how.cut = cut, how.bit = 0; how.bit < how.record_bits; how.bit += cut ? 8 : 11) {
            struct talk t = {0};
            char said[4096] = "";
            int fds[2], sent;

            talk_begin(&t);
            fds[0] = talk_client(&t);
            fds[1] = talk_client(&t);
            assert_true((sent = dup(0)) >= 0);
            send_fds(fds[0], "{\"execute\": [\"x\", {\"y\": 'z", &sent, 1);
            client_send(fds[1], "{\"a\" 1, [");
            close(sent);
            turn_ns(t.loop, 200000);
            talk_replace(&t, tamper, &how);
            for (int i = 0; i < 2; i++)
                (void)!write(fds[i], "\001{\"execute\": \"query-name\"}", 26);
            for (int i = 0; i < 2; i++) {
                turn_ns(t.loop, 200000);
                client_read(fds[i], said, sizeof(said));
                close(fds[i]);
            }
            talk_end(&t);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cut_anywhere_answers_are_the_same),
        cmocka_unit_test(answers_that_wait_go_along),
        cmocka_unit_test(who_holds_too_much_stays_behind),
        cmocka_unit_test(commands_under_way_are_answered_there),
        cmocka_unit_test(words_that_are_read_are_waited_for),
        cmocka_unit_test(file_descriptors_go_along),
        cmocka_unit_test(a_record_that_is_wrong_costs_its_clients),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
