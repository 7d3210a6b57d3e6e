/* SPDX-License-Identifier: Apache-2.0 */
/* Where a target waits: numbers at once, names when they are known. */
#include "tests/unit.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "lib/chan/chan.h"
#include "tests/lib/chan/listening.h"

static struct ferry_listener *listen_on(const char *uri)
{
    struct ferry_address *a = NULL;
    struct ferry_listener *l = NULL;
    struct ferry_err err = {0};

    assert_int_equal(ferry_address_parse(&a, uri, NULL, 0, &err), 0);
    assert_int_equal(ferry_listener_new(&l, a, &err), 0);
    ferry_address_free(a);
    return l;
}

static void test_a_number(void **state)
{
    struct ferry_listener *l = listen_on("tcp:127.0.0.1:0");

    assert_true(ferry_listener_is_ready(l));
    assert_int_equal(strncmp(ferry_listener_text(l), "tcp:127.0.0.1:", 14), 0);
    assert_string_not_equal(ferry_listener_text(l), "tcp:127.0.0.1:0");
    ferry_listener_free(l);
}

static void test_a_name(void **state)
{
    struct ferry_listener *l = listen_on("tcp:localhost:0");
    struct ferry_chan *chan = NULL;
    struct ferry_err err;

    assert_int_equal(wait_until_it_listens(l, &err), 0);
    assert_null(strstr(ferry_listener_text(l), "localhost"));
    assert_int_equal(listener_accept(l, &chan, &err), 0);
    ferry_listener_free(l);
}

/* A resolver that is quick has its answer before the listener is there. */
static void test_a_name_of_nobody(void **state)
{
    struct ferry_address *a = NULL;
    struct ferry_listener *l = NULL;
    struct ferry_err err = {0};
    int r;

    assert_int_equal(ferry_address_parse(&a, "tcp:no such host:0", NULL, 0, &err), 0);
    r = ferry_listener_new(&l, a, &err);
    if (r == 0) {
        assert_string_equal(ferry_listener_text(l), "tcp:no such host:0");
        r = wait_until_it_listens(l, &err);
    }
    assert_int_equal(r, -EHOSTUNREACH);
    assert_non_null(strstr(err.text, "address resolution failed for no such host:0"));
    ferry_listener_free(l);
    /* Given up while it is looked up, perhaps. */
    l = NULL;
    (void)!ferry_listener_new(&l, a, &err);
    ferry_listener_free(l);
    ferry_address_free(a);
}

/* What can be reached from elsewhere is refused before anything listens. */
static void for_this_host_only(void **state)
{
    static const struct {
        const char *uri;
        int result;
    } cases[] = {
        {"tcp:127.0.0.1:0", 0},
        {"tcp:127.9.9.9:0", 0},
        {"tcp:[::1]:0", 0},
        {"tcp:localhost:0", 0},
        {"tcp:0.0.0.0:0", -EREMOTE},
        {"tcp::0", -EREMOTE},
        {"tcp:[::]:0", -EREMOTE},
        {"tcp:10.0.0.1:0", -EREMOTE},
        {"tcp:[fe80::1]:0", -EREMOTE},
        {"tcp:[::ffff:10.0.0.1]:0", -EREMOTE},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ferry_listener *l = NULL;
        struct ferry_address *a;
        struct ferry_err err;
        int r;

        assert_int_equal(ferry_address_parse(&a, cases[i].uri, NULL, 0, &err), 0);
        ferry_address_only_loopback(a);
        r = ferry_listener_new(&l, a, &err);
        if (r == 0)
            r = wait_until_it_listens(l, &err);
        /* A host may be without IPv6. */
        if (r != cases[i].result && !(strchr(cases[i].uri, '[') && r == -EADDRNOTAVAIL))
            fail_msg("%s: %d, %s", cases[i].uri, r, err.text);
        if (r == -EREMOTE)
            assert_non_null(strstr(err.text, "other hosts can reach"));
        ferry_listener_free(l);
        ferry_address_free(a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_number),
        cmocka_unit_test(test_a_name),
        cmocka_unit_test(test_a_name_of_nobody),
        cmocka_unit_test(for_this_host_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
