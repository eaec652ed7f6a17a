/* key_source.c -- single flight, stale-if-error, the limit on made-up kids, and the end
 *
 * The provider is a server thread whose answer the test chooses and whose requests it counts; the control loop runs on a thread of its own.
 */
#include "auth/key_source.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "auth/issuer.h"
#include "base/clock.h"
#include "net/loop_thread.h"

#define WAITERS 20

static struct provider {
    int listener;
    uint16_t port;
    pthread_t thread;
    _Atomic unsigned requests;
    _Atomic unsigned status; /* of its answers; 0: it hangs up */
    _Atomic bool hold;       /* it does not answer yet */
    _Atomic(char *) body;
} provider;

static void *provide(void *arg)
{
    int fd;

    while ((fd = accept(provider.listener, NULL, NULL)) >= 0) {
        char request[1024], head[256];
        const char *body;
        unsigned status;

        (void)!recv(fd, request, sizeof request, 0);
        atomic_fetch_add(&provider.requests, 1);
        while (atomic_load(&provider.hold))
            usleep(1000);
        status = atomic_load(&provider.status);
        body = atomic_load(&provider.body);
        if (status) {
            int n = snprintf(head, sizeof head, "HTTP/1.1 %u X\r\nContent-Length: %zu\r\n\r\n", status, strlen(body));

            (void)!send(fd, head, (size_t)n, MSG_NOSIGNAL);
            (void)!send(fd, body, strlen(body), MSG_NOSIGNAL);
        }
        close(fd);
    }
    return NULL;
}

static char *keys_text(const char *kid)
{
    struct issuer_key k = issuer_key("ES256", kid);
    struct buf text = { 0 };

    buf_puts(&text, "{\"keys\":[");
    put_jwk(&text, &k, "");
    buf_puts(&text, "]}");
    buf_put_char(&text, 0);
    EVP_PKEY_free(k.key);
    return text.p;
}

static char *one, *two;

static int open_provider(void **state)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t n = sizeof at;

    unsetenv("http_proxy");
    unsetenv("HTTP_PROXY");
    one = keys_text("k1");
    two = keys_text("k2");
    provider.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(provider.listener, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(getsockname(provider.listener, (struct sockaddr *)&at, &n), 0);
    assert_int_equal(listen(provider.listener, 64), 0);
    provider.port = ntohs(at.sin_port);
    return pthread_create(&provider.thread, NULL, provide, NULL);
}

static int close_provider(void **state)
{
    shutdown(provider.listener, SHUT_RDWR);
    pthread_join(provider.thread, NULL);
    close(provider.listener);
    free(one);
    free(two);
    return 0;
}

/* ---- the source on its loop ---- */

static struct scene {
    struct loop *control, *asker;
    struct key_source *source;
    char uri[64];
    struct key_wait waits[WAITERS];
    _Atomic unsigned answers[3];
    /* what look() saw */
    bool usable, has_k1, has_k2;
    uint64_t generation;
} s;

static void do_start(void *arg)
{
    assert_int_equal(key_source_start(s.source, s.control, NULL), 0);
}

static void do_stop(void *arg)
{
    key_source_stop(s.source);
    loop_stop(s.control);
}

static void do_look(void *arg)
{
    const struct key_set *set = key_source_keys(s.source, s.asker);

    s.usable = key_set_usable(set);
    s.has_k1 = key_set_find(set, STR("k1")) != NULL;
    s.has_k2 = key_set_find(set, STR("k2")) != NULL;
    s.generation = set->generation;
}

static void look(void)
{
    on_loop(s.asker, do_look, NULL);
}

static void nap_until(bool (*holds)(void), const char *what)
{
    for (unsigned i = 0; i < 5000; i++) {
        look();
        if (holds())
            return;
        usleep(2000);
    }
    fail_msg("%s did not come", what);
}

static bool k1_is_here(void)
{
    return s.has_k1;
}

static bool k2_is_here(void)
{
    return s.has_k2;
}

static void open_scene(unsigned status, char *body)
{
    struct key_source_conf conf = { .retry_ms = 20 };

    memset(&s, 0, sizeof s);
    atomic_store(&provider.requests, 0);
    atomic_store(&provider.status, status);
    atomic_store(&provider.body, body);
    atomic_store(&provider.hold, false);
    snprintf(s.uri, sizeof s.uri, "http://127.0.0.1:%u/keys", provider.port);
    conf.uri = str_of(s.uri);
    s.control = loop_thread_start(0);
    s.asker = loop_thread_start(1);
    assert_int_equal(key_source_new(&conf, &s.source), 0);
    on_loop(s.control, do_start, NULL);
}

static void close_scene(void)
{
    on_loop(s.control, do_stop, NULL);
    loop_join(s.control);
    loop_stop(s.asker);
    loop_join(s.asker);
    loop_free(s.control);
    loop_free(s.asker);
    key_source_free(s.source);
}

static void on_answered(struct key_wait *w)
{
    assert_true(loop_is_current(s.asker));
    atomic_fetch_add(&s.answers[w->answer], 1);
}

static void do_ask(void *arg)
{
    unsigned n = *(unsigned *)arg;

    for (unsigned i = 0; i < n; i++) {
        s.waits[i] = (struct key_wait){ .source = s.source, .loop = s.asker, .generation = s.generation, .answered = on_answered };
        key_wait_post(&s.waits[i]);
    }
}

static void ask(unsigned n)
{
    on_loop(s.asker, do_ask, &n);
}

static unsigned answered(void)
{
    return atomic_load(&s.answers[0]) + atomic_load(&s.answers[1]) + atomic_load(&s.answers[2]);
}

static void wait_for_answers(unsigned n)
{
    for (unsigned i = 0; answered() < n; i++) {
        if (i > 5000)
            fail_msg("%u of %u answers came", answered(), n);
        usleep(2000);
    }
}

/* ---- the rules ---- */

static void the_keys_come_without_being_asked_for(void **state)
{
    open_scene(200, one);
    nap_until(k1_is_here, "k1");
    assert_true(s.usable);
    assert_int_equal(s.generation, 1);
    close_scene();
}

static void before_the_first_set_nothing_is_usable(void **state)
{
    open_scene(500, one);
    look();
    assert_false(s.usable);
    assert_false(s.has_k1);
    close_scene();
}

static void an_unknown_kid_costs_one_fetch_however_many_ask(void **state)
{
    open_scene(200, one);
    nap_until(k1_is_here, "k1");
    atomic_store(&provider.hold, true);
    atomic_store(&provider.body, two);
    ask(WAITERS);
    for (unsigned i = 0; atomic_load(&provider.requests) < 2 && i < 5000; i++)
        usleep(1000);
    atomic_store(&provider.hold, false);
    wait_for_answers(WAITERS);
    assert_int_equal(atomic_load(&s.answers[KEYS_CHANGED]), WAITERS);
    assert_int_equal(atomic_load(&provider.requests), 2);
    look();
    assert_true(s.has_k2 && !s.has_k1); /* the whole set is replaced */
    close_scene();
}

static void who_looked_at_an_old_set_is_told_without_a_fetch(void **state)
{
    open_scene(200, one);
    nap_until(k1_is_here, "k1");
    s.generation = 0;
    ask(3);
    wait_for_answers(3);
    assert_int_equal(atomic_load(&s.answers[KEYS_CHANGED]), 3);
    assert_int_equal(atomic_load(&provider.requests), 1);
    close_scene();
}

static void made_up_kids_cannot_make_us_ask_for_ever(void **state)
{
    open_scene(200, one);
    nap_until(k1_is_here, "k1");
    for (unsigned i = 1; i <= KEY_ASKS + 3; i++) {
        look();
        ask(1);
        wait_for_answers(i);
    }
    assert_int_equal(atomic_load(&provider.requests), 1 + KEY_ASKS);
    assert_int_equal(atomic_load(&s.answers[KEYS_SAME]), 3);
    close_scene();
}

static void the_old_keys_stay_while_the_provider_fails(void **state)
{
    open_scene(200, one);
    nap_until(k1_is_here, "k1");
    atomic_store(&provider.status, 503);
    ask(1);
    wait_for_answers(1);
    assert_int_equal(atomic_load(&s.answers[KEYS_UNREACHABLE]), 1);
    look();
    assert_true(s.usable && s.has_k1);
    close_scene();
}

static void what_is_no_key_set_does_not_replace_one(void **state)
{
    static char html[] = "<html>maintenance</html>";

    open_scene(200, one);
    nap_until(k1_is_here, "k1");
    atomic_store(&provider.body, html);
    ask(1);
    wait_for_answers(1);
    look();
    assert_true(s.usable && s.has_k1);
    close_scene();
}

static void it_comes_back_by_itself_after_an_outage(void **state)
{
    open_scene(0, two);
    for (unsigned i = 0; atomic_load(&provider.requests) < 2 && i < 5000; i++)
        usleep(1000);
    assert_true(atomic_load(&provider.requests) >= 2); /* again, without anybody asking */
    atomic_store(&provider.status, 200);
    nap_until(k2_is_here, "k2");
    close_scene();
}

static void who_waits_is_answered_at_the_end(void **state)
{
    open_scene(200, one);
    nap_until(k1_is_here, "k1");
    atomic_store(&provider.hold, true);
    ask(2);
    for (unsigned i = 0; atomic_load(&provider.requests) < 2 && i < 5000; i++)
        usleep(1000);
    on_loop(s.control, do_stop, NULL);
    wait_for_answers(2);
    assert_int_equal(atomic_load(&s.answers[KEYS_UNREACHABLE]), 2);
    atomic_store(&provider.hold, false);
    loop_join(s.control);
    loop_stop(s.asker);
    loop_join(s.asker);
    loop_free(s.control);
    loop_free(s.asker);
    key_source_free(s.source);
}

static void keys_are_usable_for_a_day_without_the_provider(void **state)
{
    struct key_set *set = key_set_new_empty();

    assert_false(key_set_usable(set));
    set->fetched_us = clock_now_us();
    assert_true(key_set_usable(set));
    set->fetched_us = clock_now_us() - (KEY_STALE_S - 60) * 1000000ull;
    assert_true(key_set_usable(set));
    set->fetched_us = clock_now_us() - (KEY_STALE_S + 1) * 1000000ull;
    assert_false(key_set_usable(set));
    key_set_free(set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_keys_come_without_being_asked_for),
        cmocka_unit_test(before_the_first_set_nothing_is_usable),
        cmocka_unit_test(an_unknown_kid_costs_one_fetch_however_many_ask),
        cmocka_unit_test(who_looked_at_an_old_set_is_told_without_a_fetch),
        cmocka_unit_test(made_up_kids_cannot_make_us_ask_for_ever),
        cmocka_unit_test(the_old_keys_stay_while_the_provider_fails),
        cmocka_unit_test(what_is_no_key_set_does_not_replace_one),
        cmocka_unit_test(it_comes_back_by_itself_after_an_outage),
        cmocka_unit_test(who_waits_is_answered_at_the_end),
        cmocka_unit_test(keys_are_usable_for_a_day_without_the_provider),
    };

    return cmocka_run_group_tests(tests, open_provider, close_provider);
}
