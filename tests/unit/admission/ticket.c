/* ticket.c -- a request's way through admission, with a real server in front of it and engines that the test plays: who waits, who is answered, and what comes back */
#include "dispatch/stage.h"

#include "admission/admission_internal.h"

static struct admission *a;
static struct admission_thread thread;

static const struct route ROUTES[] = { { .method = HTTP_POST,
                                         .path = "/v1/chat/completions",
                                         .auth = ROUTE_DATA,
                                         .body = ROUTE_BODY_BUFFER,
                                         .handler = inference_chat,
                                         .context = CTX_INFERENCE } };
static const struct filter FILTERS[] = { { .name = "admission",
                                           .on_body = admission_on_body,
                                           .on_reply = admission_on_reply,
                                           .on_end = admission_on_end,
                                           .context = CTX_TEST } };

#define BODY "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}"
#define JSON "content-type: application/json\r\n"

static void scheduler_file(char path[])
{
    static const char TEXT[] =
        "{reserved_floor: 0, queue_size: 2, queue_timeout_secs: 1, starvation_threshold_secs: 60, can_preempt: true}\n";
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    dprintf(fd, "classes:\n  system: %s  interactive: %s  default: %s  bulk: %s", TEXT, TEXT, TEXT, TEXT);
    close(fd);
}

static void open_with(struct admission_conf conf)
{
    static const struct engine engines[] = { { .kind = ENGINE_OPEN, .model = "m" }, { 0 } };
    char path[] = "/tmp/smg-ticket-XXXXXX";

    conf.tenant_names = 4;
    if (conf.scheduler) {
        scheduler_file(path);
        conf.scheduler_file = str_of(path);
        conf.default_max_class = CLASS_SYSTEM;
    }
    if (!conf.limits.queue_timeout_s)
        conf.limits.queue_timeout_s = 60;
    assert_int_equal(admission_new(&conf, &a, NULL), 0);
    if (conf.scheduler)
        unlink(path);
    stage_open(engines, (struct stage_conf){
                            .routes = ROUTES, .routes_n = ARRAY_LEN(ROUTES), .filters = FILTERS, .filters_n = 1, .test = &thread });
    assert_int_equal(admission_thread_init(&thread, a, stage.loop), 0); /* before the first request */
}

static void held_and_waiting(uint32_t *ret_held, uint32_t *ret_waiting)
{
    struct admission_stats s;

    admission_stats(a, &s);
    *ret_held = s.permits.in_use;
    *ret_waiting = s.permits.waiting;
    for (int c = 0; s.has_scheduler && c < CLASSES; c++) {
        *ret_held += s.scheduler.classes[c].inflight;
        *ret_waiting += s.scheduler.classes[c].queued;
    }
}

static void expect(uint32_t held, uint32_t waiting)
{
    uint32_t h, w;

    for (unsigned waited = 0; held_and_waiting(&h, &w), h != held || w != waiting; waited += 2) {
        if (waited > PATIENCE_MS)
            fail_msg("%u held and %u waiting, not %u and %u", h, w, held, waiting);
        nap_ms(2);
    }
}

/* Nothing is held, waits, or is known any more. */
static int close_stage(void **state)
{
    expect(0, 0);
    stage_close();
    assert_true(list_empty(&thread.tickets));
    admission_thread_fini(&thread);
    admission_free(a);
    return 0;
}

static int ask(void)
{
    return ask_with("POST /v1/chat/completions", JSON, BODY);
}

static int ask_as(const char *class)
{
    char fields[128];

    snprintf(fields, sizeof fields, JSON "x-smg-priority: %s\r\n", class);
    return ask_with("POST /v1/chat/completions", fields, BODY);
}

/* The engine's part: hears a request and answers it. */
static void engine_answers(int fd)
{
    say(fd, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}");
    close(fd);
}

static void expect_answer(int client, const char *status)
{
    hear_all(client);
    assert_heard(status);
}

/* ---- the plain line ---- */

static void the_next_in_the_line_begins_when_one_ends(void **state)
{
    int first, second, engine;

    open_with((struct admission_conf){ .limits = { .max_concurrent = 1, .queue_size = 1 } });
    first = ask();
    engine = engine_hear(0);
    second = ask();
    expect(1, 1);
    expect_answer(ask(), "HTTP/1.1 429 ");
    assert_heard("retry-after: 1\r\n");
    assert_heard("x-smg-error-code: queue_full\r\n");
    engine_is_left_alone(0, 20);
    engine_answers(engine);
    expect_answer(first, "HTTP/1.1 200 ");
    engine = engine_hear(0);
    engine_answers(engine);
    expect_answer(second, "HTTP/1.1 200 ");
}

static void the_deadline_passes(void **state)
{
    int first, engine;

    open_with((struct admission_conf){ .limits = { .max_concurrent = 1, .queue_size = 1, .queue_timeout_s = 1 } });
    first = ask();
    engine = engine_hear(0);
    expect_answer(ask(), "HTTP/1.1 503 ");
    assert_heard("x-smg-error-code: queue_timeout\r\n");
    expect(1, 0);
    engine_answers(engine);
    expect_answer(first, "HTTP/1.1 200 ");
}

static void who_leaves_running_or_waiting_gives_up_its_place(void **state)
{
    int first, second, engine;

    open_with((struct admission_conf){ .limits = { .max_concurrent = 1, .queue_size = 1 } });
    first = ask();
    engine = engine_hear(0);
    second = ask();
    expect(1, 1);
    slam(second);
    expect(1, 0);
    slam(first);
    expect(0, 0);
    close(engine);
}

static void limits_change_while_requests_wait(void **state)
{
    int clients[3], engines[3];

    open_with((struct admission_conf){ .limits = { .max_concurrent = 1, .queue_size = 5 } });
    for (int i = 0; i < 3; i++)
        clients[i] = ask();
    expect(1, 2);
    admission_set_limits(a, &(struct admission_limits){ .max_concurrent = 3, .queue_size = 0, .queue_timeout_s = 1 });
    expect(3, 0);
    for (int i = 0; i < 3; i++)
        engines[i] = engine_hear(0);
    expect_answer(ask(), "HTTP/1.1 429 ");
    admission_set_limits(a, &(struct admission_limits){ .max_concurrent = -1, .requests_per_second = 1 });
    for (int i = 0; i < 3; i++)
        engine_answers(engines[i]);
    for (int i = 0; i < 3; i++)
        expect_answer(clients[i], "HTTP/1.1 200 ");
    clients[0] = ask();
    engine_answers(engine_hear(0));
    expect_answer(clients[0], "HTTP/1.1 200 ");
    expect_answer(ask(), "HTTP/1.1 429 ");
    assert_heard("x-smg-error-code: rate_limit_exceeded\r\n");
    assert_int_equal(admission_set_scheduler(a, NULL), ERR_UNSUPPORTED);
    assert_int_equal(admission_set_tenant_limits(a, NULL), ERR_UNSUPPORTED);
}

/* ---- the scheduler ---- */

static void open_scheduler(int capacity)
{
    open_with((struct admission_conf){ .scheduler = true, .limits = { .max_concurrent = capacity } });
}

static void dp_42_the_victim_is_answered_and_its_worker_let_go(void **state)
{
    int bulk, fast, engine;

    open_scheduler(1);
    bulk = ask_as("bulk");
    engine = engine_hear(0);
    fast = ask_as("System");
    hear_all(bulk);
    assert_status(503);
    assert_heard("x-smg-preempted: true\r\n");
    assert_heard("retry-after: 1\r\n");
    assert_heard("\"code\":\"scheduler_preempted\"");
    assert_int_equal(recv(engine, heard, 1, 0), 0); /* closed by the gateway */
    close(engine);
    engine = engine_hear(0);
    engine_answers(engine);
    expect_answer(fast, "HTTP/1.1 200 ");
    assert_counted("smg_scheduler_preemption_total{victim_class=\"bulk\",by_class=\"system\"} 1");
}

static void a_begun_reply_is_left_alone(void **state)
{
    int bulk, fast, engine;

    open_scheduler(1);
    bulk = ask_as("bulk");
    engine = engine_hear(0);
    say(engine, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{");
    hear_until(bulk, "200 OK");
    fast = ask_as("system");
    expect(1, 1);
    say(engine, "}");
    close(engine);
    while (hear_some(bulk))
        ;
    close(bulk);
    assert_heard("{}");
    engine_answers(engine_hear(0));
    expect_answer(fast, "HTTP/1.1 200 ");
}

static void without_a_victim_the_deadline_passes(void **state)
{
    int first, engine;

    open_scheduler(1);
    first = ask_as("system");
    engine = engine_hear(0);
    expect_answer(ask_as("system"), "HTTP/1.1 503 ");
    assert_heard("\"code\":\"scheduler_queue_timeout\"");
    engine_answers(engine);
    expect_answer(first, "HTTP/1.1 200 ");
}

/* In one turn: the one that waits gets a slot, and loses it again before it knows. */
static struct waiter high;
static _Atomic unsigned high_granted;

static void on_high_granted(struct waiter *w)
{
    atomic_fetch_sub(&w->pending, 1);
    atomic_store(&high_granted, 1);
}

static const struct waiter_ops HIGH = { .granted = on_high_granted };

static void grant_and_preempt(void *arg)
{
    (void)arg;
    assert_true(scheduler_set_capacity(&a->scheduler, 2, loop_now_us(stage.loop)));
    high = (struct waiter){ .ops = &HIGH, .class = CLASS_SYSTEM, .preempted_by = -1 };
    assert_int_equal(scheduler_enter(&a->scheduler, &high, loop_now_us(stage.loop)), SCHED_QUEUED);
}

static void leave_high(void *arg)
{
    (void)arg;
    scheduler_leave(&a->scheduler, &high, loop_now_us(stage.loop));
}

static void granted_and_preempted_in_one_turn(void **state)
{
    int first, second, engine;

    high_granted = 0;
    open_scheduler(1);
    first = ask_as("interactive");
    engine = engine_hear(0);
    second = ask_as("bulk");
    expect(1, 1);
    stage_do(grant_and_preempt, NULL);
    expect_answer(second, "HTTP/1.1 503 ");
    assert_heard("scheduler_preempted");
    expect(2, 0);
    assert_int_equal(high_granted, 1);
    engine_is_left_alone(0, 20); /* it never got to a worker */
    stage_do(leave_high, NULL);
    engine_answers(engine);
    expect_answer(first, "HTTP/1.1 200 ");
}

/* ---- what workers give ---- */

static struct worker *a_worker(const char *size, enum worker_status status)
{
    struct worker_label label = { STR("max_running_requests"), str_of(size) };
    struct worker_spec spec;
    struct worker *w;
    char id[UUID_TEXT_LEN + 1];

    worker_spec_defaults(&spec);
    uuid_text(uuid_v7(), id);
    spec.url = STR("http://w");
    spec.labels = size ? &label : NULL;
    spec.labels_n = size ? 1 : 0;
    w = worker_new(&spec, id, 0, 0, NULL);
    assert_non_null(w);
    atomic_store(&w->live->status, status);
    return w;
}

static void dp_42_capacity_in_four_tiers(void **state)
{
    static const struct {
        const char *sizes[3];
        enum worker_status status[3];
        unsigned n;
        int32_t max_concurrent;
        uint32_t capacity;
    } ROWS[] = {
        { { "100", "20" }, { WORKER_READY, WORKER_READY }, 2, 7, 120 },
        { { "100", NULL, "0" }, { WORKER_READY, WORKER_READY, WORKER_READY }, 3, 7, 100 + 64 + 64 },
        { { "100", "20" }, { WORKER_READY, WORKER_FAILED }, 2, 7, 100 },
        { { "x", "-5" }, { WORKER_READY, WORKER_READY }, 2, 7, 128 },
        { { "70000" }, { WORKER_READY }, 1, 7, 65535 },
        { { "100" }, { WORKER_PENDING }, 1, 7, 7 },
        { { NULL }, { 0 }, 0, 65535, 65535 },
        { { NULL }, { 0 }, 0, 65536, 1024 },
        { { NULL }, { 0 }, 0, -1, 1024 },
    };

    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        const struct worker *rows[3];
        struct worker_table *table;

        for (unsigned k = 0; k < ROWS[i].n; k++)
            rows[k] = a_worker(ROWS[i].sizes[k], ROWS[i].status[k]);
        table = worker_table_new(rows, ROWS[i].n);
        assert_non_null(table);
        assert_int_equal(admission_capacity(table, ROWS[i].max_concurrent), ROWS[i].capacity);
        worker_table_free(table);
        for (unsigned k = 0; k < ROWS[i].n; k++)
            worker_unref(rows[k]);
    }
}

static void tenants_past_the_bound_share_a_label(void **state)
{
    open_scheduler(1);
    assert_str(admission_tenant_label(a, STR("auth:1")), "auth:1");
    assert_str(admission_tenant_label(a, STR("auth:2")), "auth:2");
    assert_str(admission_tenant_label(a, STR("auth:3")), "auth:3");
    assert_str(admission_tenant_label(a, STR("auth:4")), "auth:4");
    assert_str(admission_tenant_label(a, STR("auth:9")), "other");
    assert_str(admission_tenant_label(a, STR("auth:1")), "auth:1");
}

#define RULE(name) cmocka_unit_test_teardown(name, close_stage)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE(the_next_in_the_line_begins_when_one_ends),
        RULE(the_deadline_passes),
        RULE(who_leaves_running_or_waiting_gives_up_its_place),
        RULE(limits_change_while_requests_wait),
        RULE(dp_42_the_victim_is_answered_and_its_worker_let_go),
        RULE(a_begun_reply_is_left_alone),
        RULE(without_a_victim_the_deadline_passes),
        RULE(granted_and_preempted_in_one_turn),
        RULE(tenants_past_the_bound_share_a_label),
        cmocka_unit_test(dp_42_capacity_in_four_tiers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
