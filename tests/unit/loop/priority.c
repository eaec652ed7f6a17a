/* priority.c -- what the scheduler is told, read back from it; each test on a thread of its own, since priorities do not come back */
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>

#include "loop/loop.h"
#include "loop/pool.h"
#include "loop/priority.h"
#include "test.h"

struct seen {
    int policy, nice;
};

static struct seen look(void)
{
    return (struct seen){ sched_getscheduler(0), getpriority(PRIO_PROCESS, 0) };
}

static void *stand_back(void *arg)
{
    struct seen *seen = arg;

    priority_stands_back();
    seen[0] = look();
    priority_stands_back(); /* it does already */
    seen[1] = look();
    return NULL;
}

static void *answer(void *arg)
{
    priority_answers();
    *(struct seen *)arg = look();
    return NULL;
}

static void on_thread(void *(*run)(void *arg), void *arg)
{
    pthread_t t;

    assert_int_equal(pthread_create(&t, NULL, run, arg), 0);
    assert_int_equal(pthread_join(t, NULL), 0);
}

static void who_stands_back_never_preempts_and_keeps_a_share(void **state)
{
    struct seen before = look(), seen[2];

    on_thread(stand_back, seen);
    if (before.policy == SCHED_OTHER) {
        assert_int_equal(seen[0].policy, SCHED_BATCH);
        assert_int_equal(seen[0].nice, MIN(before.nice + 10, 19));
    } else {
        assert_int_equal(seen[0].policy, before.policy); /* the tests run under a policy that somebody chose */
        assert_int_equal(seen[0].nice, before.nice);
    }
    assert_memory_equal(&seen[1], &seen[0], sizeof seen[0]);
    assert_int_equal(look().policy, before.policy); /* it is the thread's own */
    assert_int_equal(look().nice, before.nice);
}

static void who_answers_keeps_policy_and_nice_value(void **state)
{
    struct seen before = look(), seen;

    on_thread(answer, &seen);
    assert_int_equal(seen.policy, before.policy);
    assert_int_equal(seen.nice, before.nice);
}

/* ---- who does which ---- */

struct task {
    struct pool_job job;
    struct seen seen;
};

static void work(struct pool_job *job)
{
    CONTAINER_OF(job, struct task, job)->seen = look();
}

static void done(struct pool_job *job)
{
    loop_stop(job->loop);
}

static void the_blocking_pool_stands_back(void **state)
{
    struct seen before = look();
    struct task t = { .job = { .work = work, .done = done } };
    struct loop *l = NULL;
    struct pool *p = NULL;

    assert_int_equal(loop_new("test", 0, &l, NULL), 0);
    assert_int_equal(pool_new(1, &p, NULL), 0);
    assert_int_equal(pool_submit(p, l, &t.job), 0);
    loop_run(l);
    pool_free(p);
    loop_free(l);
    assert_int_equal(t.seen.policy, before.policy == SCHED_OTHER ? SCHED_BATCH : before.policy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_stands_back_never_preempts_and_keeps_a_share),
        cmocka_unit_test(who_answers_keeps_policy_and_nice_value),
        cmocka_unit_test(the_blocking_pool_stands_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
