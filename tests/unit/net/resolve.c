/* resolve.c -- names to addresses; the only names looked up are "localhost" and ones that nobody has (RFC 6761 6.4) */
#include <stdlib.h>

#include "fail_alloc.h"
#include "net/loop_thread.h"
#include "net/resolve.h"

enum { NOTHING = 1000, ASKERS = 4 };

struct asker {
    struct resolve_request req;
    struct resolver *resolver;
    struct str host;
    uint16_t port;
    bool inside;
    atomic_bool called_inside;
    atomic_int status;
    atomic_uint answers;
    char text[64];
    int started;
    bool found, free_in_answer;
    struct net_address address;
};

static struct loop *loop;
static struct resolver *resolver;
static bool resolver_made;

static void done(struct resolve_request *req, int status, const struct net_address *address)
{
    struct asker *a = CONTAINER_OF(req, struct asker, req);

    assert_false(req->active);
    if (a->inside)
        a->called_inside = true;
    if (address)
        (void)net_address_text(address, a->text);
    if (a->free_in_answer) {
        resolver_free(a->resolver);
        a->resolver = resolver = NULL;
    }
    a->status = status;
    a->answers++;
}

static void call_start(void *arg)
{
    struct asker *a = arg;

    a->resolver = resolver;
    a->req.done = done;
    a->status = NOTHING;
    a->inside = true;
    a->started = resolver_start(resolver, a->host, a->port, &a->req);
    a->inside = false;
}

static void call_lookup(void *arg)
{
    struct asker *a = arg;

    a->found = resolver_lookup(resolver, a->host, a->port, &a->address);
    if (a->found)
        (void)net_address_text(&a->address, a->text);
}

static void call_start_and_cancel(void *arg)
{
    struct asker *a = arg;

    call_start(a);
    resolver_cancel(resolver, &a->req);
    resolver_cancel(resolver, &a->req);
}

static void call_start_all(void *arg)
{
    struct asker *a = arg;

    for (int i = 0; i < ASKERS; i++)
        call_start(&a[i]);
}

static void call_start_all_and_cancel_one(void *arg)
{
    struct asker *a = arg;

    call_start_all(a);
    resolver_cancel(resolver, &a[1].req);
}

static void call_start_all_and_free(void *arg)
{
    call_start_all(arg);
    resolver_free(resolver);
    resolver = NULL;
}

static struct asker ask(struct str host, uint16_t port)
{
    return (struct asker){ .host = host, .port = port, .status = NOTHING };
}

static void ask_and_wait(struct asker *a)
{
    on_loop(loop, call_start, a);
    assert_int_equal(a->started, 0);
    EVENTUALLY(a->answers == 1);
    loop_settle(loop);
    assert_int_equal(a->answers, 1);
    assert_false(a->called_inside);
}

static void a_literal_is_answered_without_a_lookup_but_later(void **state)
{
    struct asker a = ask(STR("10.1.2.3"), 80), b = ask(STR("::1"), 8080);

    ask_and_wait(&a);
    assert_int_equal(a.status, 0);
    assert_string_equal(a.text, "10.1.2.3:80");
    ask_and_wait(&b);
    assert_string_equal(b.text, "[::1]:8080");
    on_loop(loop, call_lookup, &a);
    assert_true(a.found);
}

static void a_name_is_found_and_kept(void **state)
{
    struct asker a = ask(STR("localhost"), 80), b = ask(STR("localhost"), 81);

    on_loop(loop, call_lookup, &a);
    assert_false(a.found);
    ask_and_wait(&a);
    assert_int_equal(a.status, 0);
    assert_string_equal(a.text, "127.0.0.1:80");
    on_loop(loop, call_lookup, &b);
    assert_true(b.found);
    assert_string_equal(b.text, "127.0.0.1:81");
    ask_and_wait(&b);
    assert_string_equal(b.text, "127.0.0.1:81");
}

static void what_cannot_be_a_name_is_not_resolved(void **state)
{
    static char too_long[RESOLVE_NAME_MAX + 1];
    const struct str names[] = {
        STR(""), STR("a\0b"), { too_long, sizeof too_long }, STR("no such host"), STR("smg-test.invalid")
    };

    memset(too_long, 'a', sizeof too_long);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct asker a = ask(names[i], 80);

        ask_and_wait(&a);
        assert_int_equal(a.status, ERR_RESOLVE);
        on_loop(loop, call_lookup, &a);
        assert_false(a.found);
    }
}

static void requests_for_one_name_share_a_lookup_and_one_may_leave(void **state)
{
    struct asker a[ASKERS];

    for (int i = 0; i < ASKERS; i++)
        a[i] = ask(STR("localhost"), (uint16_t)(80 + i));
    on_loop(loop, call_start_all_and_cancel_one, a);
    EVENTUALLY(a[0].answers == 1 && a[2].answers == 1 && a[3].answers == 1);
    loop_settle(loop);
    assert_int_equal(a[1].answers, 0);
    assert_string_equal(a[3].text, "127.0.0.1:83");
}

static void cancelling_is_silent(void **state)
{
    struct asker name = ask(STR("localhost"), 80), literal = ask(STR("127.0.0.1"), 80);

    on_loop(loop, call_start_and_cancel, &name);
    on_loop(loop, call_start_and_cancel, &literal);
    usleep(50000);
    loop_settle(loop);
    assert_int_equal(name.answers, 0);
    assert_int_equal(literal.answers, 0);
    ask_and_wait(&literal); /* the request can be used again */
}

static void freeing_the_resolver_cancels_silently(void **state)
{
    struct asker a[ASKERS];

    for (int i = 0; i < ASKERS; i++)
        a[i] = ask(i % 2 ? STR("127.0.0.1") : STR("localhost"), 80);
    on_loop(loop, call_start_all_and_free, a);
    usleep(50000);
    loop_settle(loop);
    for (int i = 0; i < ASKERS; i++)
        assert_int_equal(a[i].answers, 0);
}

static void an_answer_may_free_the_resolver(void **state)
{
    struct asker a[ASKERS];

    for (int i = 0; i < ASKERS; i++)
        a[i] = ask(STR("localhost"), 80);
    a[0].free_in_answer = true;
    on_loop(loop, call_start_all, a);
    EVENTUALLY(a[0].answers == 1);
    loop_settle(loop);
    for (int i = 1; i < ASKERS; i++)
        assert_int_equal(a[i].answers, 0);
}

static void call_fill(void *arg)
{
    static struct asker many[RESOLVE_CACHE_MAX];
    unsigned *refused = arg;
    static char names[RESOLVE_CACHE_MAX][16];
    struct asker extra = ask(STR("one.too.many"), 1);

    for (unsigned i = 0; i < RESOLVE_CACHE_MAX; i++) {
        snprintf(names[i], sizeof names[i], "n%u.invalid", i);
        many[i] = ask(str_of(names[i]), 1);
        call_start(&many[i]);
        *refused += many[i].started < 0;
    }
    call_start(&extra);
    assert_int_equal(extra.started, ERR_LIMIT);
    for (unsigned i = 0; i < RESOLVE_CACHE_MAX; i++)
        resolver_cancel(resolver, &many[i].req);
    resolver_free(resolver); /* takes the lookups that have not begun with it */
    resolver = NULL;
}

static void a_cache_full_of_running_lookups_refuses(void **state)
{
    unsigned refused = 0;

    on_loop(loop, call_fill, &refused);
    assert_int_equal(refused, 0);
}

static void call_new(void *arg);
static void call_free(void *arg);

static void a_request_without_memory_fails_at_once(void **state)
{
    on_loop(loop, call_free, NULL);
    FOR_EACH_FAILING_ALLOCATION(n)
    {
        struct asker a = ask(STR("localhost"), 80);

        on_loop(loop, call_new, NULL);
        if (resolver) {
            on_loop(loop, call_start, &a);
            if (a.started == 0)
                EVENTUALLY(a.answers == 1);
            else
                assert_int_equal(a.started, ERR_NOMEM);
        } else {
            assert_true(fail_alloc_failed());
        }
        on_loop(loop, call_free, NULL);
        loop_settle(loop);
        assert_int_equal(a.answers, resolver_made && a.started == 0 ? 1 : 0);
    }
}

static void call_new(void *arg)
{
    (void)arg;
    resolver_made = resolver_new(loop, &resolver) == 0;
}

static void call_free(void *arg)
{
    (void)arg;
    resolver_free(resolver);
    resolver = NULL;
}

static int setup(void **state)
{
    (void)state;
    loop = loop_thread_start(0);
    on_loop(loop, call_new, NULL);
    return resolver_made ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    on_loop(loop, call_free, NULL);
    loop_thread_end(loop);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_literal_is_answered_without_a_lookup_but_later, setup, teardown),
        cmocka_unit_test_setup_teardown(a_name_is_found_and_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(what_cannot_be_a_name_is_not_resolved, setup, teardown),
        cmocka_unit_test_setup_teardown(requests_for_one_name_share_a_lookup_and_one_may_leave, setup, teardown),
        cmocka_unit_test_setup_teardown(a_request_without_memory_fails_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(cancelling_is_silent, setup, teardown),
        cmocka_unit_test_setup_teardown(freeing_the_resolver_cancels_silently, setup, teardown),
        cmocka_unit_test_setup_teardown(an_answer_may_free_the_resolver, setup, teardown),
        cmocka_unit_test_setup_teardown(a_cache_full_of_running_lookups_refuses, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
