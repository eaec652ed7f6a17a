/* scheduler.c -- classes, reservations, victims, promotion (spec data-plane 12.3, 12.4, test case 42). Time is a number that the test advances. */
#include "waiters.h"

#include <stdlib.h>

#include "admission/scheduler.h"

#define SECOND 1000000ull

static struct scheduler s;
static struct noted n[32];
static uint64_t now;

/* No reservations; queues of QUEUE; everybody but bulk preempts when PREEMPT. */
static void a_scheduler(uint32_t capacity, uint32_t queue, bool preempt)
{
    struct sched_class_conf conf[CLASSES];

    for (int c = 0; c < CLASSES; c++)
        conf[c] = (struct sched_class_conf){
            .queue_size = queue, .queue_timeout_s = 30, .starvation_s = 10, .can_preempt = preempt && c > CLASS_BULK
        };
    scheduler_init(&s, conf, capacity);
}

static int begin(void **state)
{
    now = 1000 * SECOND;
    atomic_store(&grants, 0);
    for (size_t i = 0; i < ARRAY_LEN(n); i++)
        a_waiter(&n[i]);
    return 0;
}

static int end(void **state)
{
    scheduler_fini(&s);
    return 0;
}

static enum sched_answer enter(unsigned i, enum sched_class c)
{
    n[i].w.class = (uint8_t)c;
    return scheduler_enter(&s, &n[i].w, now);
}

static void leave(unsigned i)
{
    scheduler_leave(&s, &n[i].w, now);
}

static uint32_t inflight(enum sched_class c)
{
    return s.classes[c].inflight;
}

/* ---- vectors ---- */

static void dp_42_slot_vectors(void **state)
{
    /* order: bulk, default, interactive, system */
    static const struct {
        uint32_t capacity, inflight[CLASSES], reserved[CLASSES];
        enum sched_class c;
        uint32_t headroom;
    } ROWS[] = {
        { 128, { 0 }, { 0, 0, 0, 32 }, CLASS_BULK, 96 },
        { 128, { 0 }, { 0, 0, 0, 32 }, CLASS_SYSTEM, 128 },
        { 128, { 0, 0, 0, 32 }, { 0, 0, 0, 32 }, CLASS_BULK, 96 },
        { 128, { 0 }, { 32, 0, 0, 0 }, CLASS_BULK, 128 },
        { 40, { 10, 10, 10, 10 }, { 0 }, CLASS_SYSTEM, 0 },
        { 4, { 10, 10, 10, 10 }, { 0 }, CLASS_SYSTEM, 0 },
        { UINT32_MAX, { UINT32_MAX, UINT32_MAX }, { 0 }, CLASS_BULK, 0 },
    };

    a_scheduler(1, 1, false);
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++)
        assert_int_equal(sched_headroom(ROWS[i].capacity, ROWS[i].inflight, ROWS[i].reserved, ROWS[i].c), ROWS[i].headroom);
}

static void dp_42_reservations_are_cut_in_order_of_rank(void **state)
{
    uint32_t r[CLASSES];

    a_scheduler(1, 1, false);
    assert_true(sched_reservations(SCHED_DEFAULTS, 178, r));
    assert_true(r[CLASS_SYSTEM] == 32 && r[CLASS_INTERACTIVE] == 128 && r[CLASS_DEFAULT] == 18 && r[CLASS_BULK] == 0);
    assert_false(sched_reservations(SCHED_DEFAULTS, 177, r)); /* SMG refuses to start with it; here the lowest is cut */
    assert_true(r[CLASS_SYSTEM] == 32 && r[CLASS_INTERACTIVE] == 128 && r[CLASS_DEFAULT] == 17);
    assert_false(sched_reservations(SCHED_DEFAULTS, 64, r));
    assert_true(r[CLASS_SYSTEM] == 32 && r[CLASS_INTERACTIVE] == 32 && r[CLASS_DEFAULT] == 0 && r[CLASS_BULK] == 0);
    assert_true(sched_reservations(SCHED_DEFAULTS, 1000, r)); /* the share counts where it is more than the floor */
    assert_true(r[CLASS_INTERACTIVE] == 250 && r[CLASS_DEFAULT] == 100);
    (void)sched_reservations(SCHED_DEFAULTS, 0, r);
    assert_int_equal(r[CLASS_SYSTEM], 0);
}

static void classes_are_named_in_any_case(void **state)
{
    a_scheduler(1, 1, false);
    assert_int_equal(sched_class_of(STR(" System\t")), CLASS_SYSTEM);
    assert_int_equal(sched_class_of(STR("INTERACTIVE")), CLASS_INTERACTIVE);
    assert_int_equal(sched_class_of(STR("default")), CLASS_DEFAULT);
    assert_int_equal(sched_class_of(STR("bulk")), CLASS_BULK);
    assert_int_equal(sched_class_of(STR("")), -1);
    assert_int_equal(sched_class_of(STR("urgent")), -1);
}

/* ---- lines ---- */

static void admits_queues_refuses(void **state)
{
    a_scheduler(1, 1, false);
    assert_int_equal(enter(0, CLASS_DEFAULT), SCHED_ADMITTED);
    assert_int_equal(enter(1, CLASS_DEFAULT), SCHED_QUEUED);
    assert_int_equal(enter(2, CLASS_DEFAULT), SCHED_FULL);
    assert_int_equal(enter(3, CLASS_BULK), SCHED_QUEUED); /* a line of its own */
    leave(0);
    assert_true(n[1].granted == 1 && n[3].granted == 0);
    leave(1);
    assert_int_equal(n[3].granted, 1);
    leave(3);
    for (int c = 0; c < CLASSES; c++)
        assert_int_equal(inflight((enum sched_class)c), 0);
}

static void a_slot_goes_to_the_highest_class_and_in_it_to_the_first(void **state)
{
    a_scheduler(1, 10, false);
    (void)enter(0, CLASS_SYSTEM);
    (void)enter(1, CLASS_BULK);
    (void)enter(2, CLASS_INTERACTIVE);
    (void)enter(3, CLASS_INTERACTIVE);
    (void)enter(4, CLASS_SYSTEM);
    leave(0);
    leave(4);
    leave(2);
    leave(3);
    assert_true(n[4].order == 1 && n[2].order == 2 && n[3].order == 3 && n[1].order == 4);
}

static void reserved_slots_are_kept(void **state)
{
    struct sched_class_conf conf[CLASSES];

    memcpy(conf, SCHED_DEFAULTS, sizeof conf);
    conf[CLASS_SYSTEM].reserved_floor = 1;
    conf[CLASS_INTERACTIVE].reserved_floor = 0;
    conf[CLASS_INTERACTIVE].reserved_per_slot = conf[CLASS_DEFAULT].reserved_per_slot = 0;
    scheduler_init(&s, conf, 2);
    assert_int_equal(enter(0, CLASS_BULK), SCHED_ADMITTED);
    assert_int_equal(enter(1, CLASS_BULK), SCHED_QUEUED);
    assert_int_equal(enter(2, CLASS_SYSTEM), SCHED_ADMITTED);
    leave(2);
    assert_int_equal(n[1].granted, 0);
    leave(0);
    assert_int_equal(n[1].granted, 1);
}

static void who_leaves_the_line_frees_its_place(void **state)
{
    a_scheduler(1, 1, false);
    (void)enter(0, CLASS_DEFAULT);
    (void)enter(1, CLASS_DEFAULT);
    assert_true(scheduler_leave_queue(&s, &n[1].w));
    assert_int_equal(enter(2, CLASS_DEFAULT), SCHED_QUEUED);
    leave(0);
    assert_true(n[1].granted == 0 && n[2].granted == 1);
    assert_false(scheduler_leave_queue(&s, &n[2].w));
    leave(2);
    assert_int_equal(inflight(CLASS_DEFAULT), 0);
}

/* ---- preemption ---- */

static void dp_42_the_victim_is_of_the_lowest_class_and_the_newest(void **state)
{
    a_scheduler(4, 10, true);
    (void)enter(0, CLASS_DEFAULT);
    (void)enter(1, CLASS_BULK);
    (void)enter(2, CLASS_BULK);
    (void)enter(3, CLASS_DEFAULT);
    assert_int_equal(enter(4, CLASS_SYSTEM), SCHED_QUEUED);
    assert_int_equal(n[2].preempted, 1);
    assert_int_equal(n[2].w.preempted_by, CLASS_SYSTEM);
    assert_int_equal(enter(5, CLASS_SYSTEM), SCHED_QUEUED); /* a victim of its own */
    assert_int_equal(n[1].preempted, 1);
    assert_int_equal(enter(6, CLASS_SYSTEM), SCHED_QUEUED);
    assert_int_equal(n[3].preempted, 1);
    leave(2);
    assert_int_equal(n[4].granted, 1);
}

static void dp_42_nobody_preempts_its_own_class_or_a_higher_one(void **state)
{
    a_scheduler(2, 10, true);
    (void)enter(0, CLASS_DEFAULT);
    (void)enter(1, CLASS_SYSTEM);
    assert_int_equal(enter(2, CLASS_DEFAULT), SCHED_QUEUED);
    assert_int_equal(enter(3, CLASS_BULK), SCHED_QUEUED);
    assert_true(n[0].preempted == 0 && n[1].preempted == 0);
}

static void dp_42_a_class_that_may_not_preempt_waits(void **state)
{
    a_scheduler(1, 10, false);
    (void)enter(0, CLASS_BULK);
    assert_int_equal(enter(1, CLASS_SYSTEM), SCHED_QUEUED);
    assert_int_equal(n[0].preempted, 0);
}

static void who_has_begun_to_reply_is_no_victim(void **state)
{
    a_scheduler(2, 10, true);
    (void)enter(0, CLASS_BULK);
    (void)enter(1, CLASS_BULK);
    scheduler_started(&s, &n[1].w);
    (void)enter(2, CLASS_SYSTEM);
    assert_true(n[0].preempted == 1 && n[1].preempted == 0);
    leave(1);
    leave(0);
    leave(2);
}

static void a_lost_victim_is_replaced(void **state)
{
    a_scheduler(2, 10, true);
    (void)enter(0, CLASS_BULK);
    (void)enter(1, CLASS_BULK);
    (void)enter(2, CLASS_SYSTEM);
    scheduler_started(&s, &n[1].w); /* its reply was faster than the message */
    assert_int_equal(n[1].preempted, 1);
    scheduler_victim_lost(&s, &n[1].w);
    assert_int_equal(n[0].preempted, 1);
    scheduler_victim_lost(&s, &n[0].w); /* nobody is left */
    leave(1);
    assert_int_equal(n[2].granted, 1);
    scheduler_victim_lost(&s, &n[0].w); /* nobody waits */
    leave(0);
    leave(2);
}

static void with_a_victim_a_full_line_is_passed(void **state)
{
    a_scheduler(1, 0, true);
    (void)enter(0, CLASS_BULK);
    assert_int_equal(enter(1, CLASS_SYSTEM), SCHED_QUEUED);
    assert_true(n[1].w.over_bound);
    assert_int_equal(enter(2, CLASS_SYSTEM), SCHED_FULL); /* no further victim */
    leave(0);
    assert_int_equal(n[1].granted, 1);
}

/* ---- starvation ---- */

static void dp_42_the_starved_come_first_the_lowest_before_the_others(void **state)
{
    a_scheduler(1, 10, false);
    (void)enter(0, CLASS_SYSTEM);
    (void)enter(1, CLASS_BULK);
    (void)enter(2, CLASS_INTERACTIVE);
    now += 10 * SECOND;
    scheduler_tick(&s, now);
    assert_int_equal(grants, 0); /* no slot */
    (void)enter(3, CLASS_SYSTEM);
    leave(0);
    assert_int_equal(n[3].granted, 1); /* ten seconds are not yet more than ten */
    now += 1;
    leave(3);
    assert_true(n[1].granted == 1 && n[1].w.promoted);
    leave(1);
    assert_true(n[2].granted == 1 && n[2].w.promoted);
}

static void the_starved_take_reserved_slots_at_a_tick(void **state)
{
    struct sched_class_conf conf[CLASSES];

    memcpy(conf, SCHED_DEFAULTS, sizeof conf);
    scheduler_init(&s, conf, 1); /* system's */
    assert_int_equal(enter(0, CLASS_BULK), SCHED_QUEUED);
    now += 120 * SECOND;
    scheduler_tick(&s, now);
    assert_int_equal(n[0].granted, 0);
    now += 1;
    scheduler_tick(&s, now);
    assert_true(n[0].granted == 1 && n[0].w.promoted);
}

/* ---- changes ---- */

static void a_larger_capacity_admits_at_once(void **state)
{
    a_scheduler(1, 10, false);
    for (unsigned i = 0; i < 5; i++)
        (void)enter(i, CLASS_DEFAULT);
    assert_true(scheduler_set_capacity(&s, 3, now));
    assert_int_equal(grants, 2);
    assert_int_equal(inflight(CLASS_DEFAULT), 3);
    assert_true(scheduler_set_capacity(&s, 1, now));
    leave(0);
    assert_int_equal(grants, 2); /* still more than may be */
    leave(1);
    leave(2);
    assert_int_equal(grants, 3);
}

static void new_classes_hold_at_once(void **state)
{
    struct scheduler_state st;

    a_scheduler(200, 10, false);
    assert_true(scheduler_configure(&s, SCHED_DEFAULTS, now));
    scheduler_state(&s, &st);
    assert_int_equal(st.classes[CLASS_SYSTEM].reserved, 32);
    assert_int_equal(st.classes[CLASS_BULK].headroom, 200 - 32 - 128 - 20);
    assert_int_equal(st.classes[CLASS_BULK].queue_size, 1024);
    assert_false(scheduler_set_capacity(&s, 64, now));
    assert_int_equal(enter(0, CLASS_DEFAULT), SCHED_QUEUED);
    assert_int_equal(enter(1, CLASS_SYSTEM), SCHED_ADMITTED);
    assert_true(scheduler_set_capacity(&s, 1u << 20, now));
    assert_int_equal(s.capacity, SCHED_CAPACITY_MAX);
}

/* ---- threads ---- */

#define THREADS 4
#define ROUNDS  10000

static _Atomic int inside, most;

/* A victim loses its slot when its own thread finds the mark: here at once. */
static void *come_and_go(void *arg)
{
    unsigned seed = (unsigned)(uintptr_t)arg;
    struct noted me;

    for (int i = 0; i < ROUNDS; i++) {
        enum sched_answer a;
        int in;

        a_waiter(&me);
        me.w.class = (uint8_t)(rand_r(&seed) % CLASSES);
        a = scheduler_enter(&s, &me.w, (uint64_t)i);
        if (a == SCHED_FULL)
            continue;
        if (a == SCHED_QUEUED) {
            if (rand_r(&seed) % 8 == 0 && scheduler_leave_queue(&s, &me.w))
                continue;
            while (atomic_load(&me.granted) == 0)
                sched_yield();
        }
        in = atomic_fetch_add(&inside, 1) + 1;
        for (int seen = atomic_load(&most); in > seen && !atomic_compare_exchange_weak(&most, &seen, in);)
            ;
        if (rand_r(&seed) % 4 == 0)
            scheduler_started(&s, &me.w);
        if (rand_r(&seed) % 16 == 0)
            sched_yield();
        atomic_fetch_sub(&inside, 1);
        scheduler_leave(&s, &me.w, (uint64_t)i);
        while (atomic_load(&me.w.pending) > 0) /* a message is on its way: the waiter must stand */
            sched_yield();
    }
    return NULL;
}

static void threads_never_pass_the_capacity_and_lose_no_slot(void **state)
{
    pthread_t threads[THREADS];
    struct scheduler_state st;

    a_scheduler(2, 2, true);
    for (uintptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, (void *)(i + 1)), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_true(most <= 2);
    scheduler_state(&s, &st);
    for (int c = 0; c < CLASSES; c++)
        assert_true(st.classes[c].inflight == 0 && st.classes[c].queued == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(dp_42_slot_vectors, begin, end),
        cmocka_unit_test_setup_teardown(dp_42_reservations_are_cut_in_order_of_rank, begin, end),
        cmocka_unit_test_setup_teardown(classes_are_named_in_any_case, begin, end),
        cmocka_unit_test_setup_teardown(admits_queues_refuses, begin, end),
        cmocka_unit_test_setup_teardown(a_slot_goes_to_the_highest_class_and_in_it_to_the_first, begin, end),
        cmocka_unit_test_setup_teardown(reserved_slots_are_kept, begin, end),
        cmocka_unit_test_setup_teardown(who_leaves_the_line_frees_its_place, begin, end),
        cmocka_unit_test_setup_teardown(dp_42_the_victim_is_of_the_lowest_class_and_the_newest, begin, end),
        cmocka_unit_test_setup_teardown(dp_42_nobody_preempts_its_own_class_or_a_higher_one, begin, end),
        cmocka_unit_test_setup_teardown(dp_42_a_class_that_may_not_preempt_waits, begin, end),
        cmocka_unit_test_setup_teardown(who_has_begun_to_reply_is_no_victim, begin, end),
        cmocka_unit_test_setup_teardown(a_lost_victim_is_replaced, begin, end),
        cmocka_unit_test_setup_teardown(with_a_victim_a_full_line_is_passed, begin, end),
        cmocka_unit_test_setup_teardown(dp_42_the_starved_come_first_the_lowest_before_the_others, begin, end),
        cmocka_unit_test_setup_teardown(the_starved_take_reserved_slots_at_a_tick, begin, end),
        cmocka_unit_test_setup_teardown(a_larger_capacity_admits_at_once, begin, end),
        cmocka_unit_test_setup_teardown(new_classes_hold_at_once, begin, end),
        cmocka_unit_test_setup_teardown(threads_never_pass_the_capacity_and_lose_no_slot, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
