/* pool.c -- jobs off the loop and their way back */
#include <pthread.h>
#include <semaphore.h>

#include "fail_alloc.h"
#include "loop/pool.h"
#include "test.h"

struct task {
    struct pool_job job;
    pthread_t worked_on, done_on;
    atomic_uint worked;
    unsigned done;
    unsigned *left;
    sem_t *begun, *gate;
};

static void work(struct pool_job *job)
{
    struct task *t = CONTAINER_OF(job, struct task, job);

    t->worked_on = pthread_self();
    if (t->begun)
        sem_post(t->begun);
    if (t->gate)
        sem_wait(t->gate);
    t->worked++;
}

static void done(struct pool_job *job)
{
    struct task *t = CONTAINER_OF(job, struct task, job);

    t->done_on = pthread_self();
    t->done++;
    if (--*t->left == 0)
        loop_stop(job->loop);
}

static struct loop *a_loop(void)
{
    struct loop *l = NULL;

    assert_int_equal(loop_new("test", 0, &l, NULL), 0);
    return l;
}

static void a_job_works_on_another_thread_and_is_done_on_its_loop(void **state)
{
    enum { JOBS = 200 };
    static struct task tasks[JOBS];
    unsigned left = JOBS;
    struct loop *l = a_loop();
    struct pool *p = NULL;

    assert_int_equal(pool_new(3, &p, NULL), 0);
    for (unsigned i = 0; i < JOBS; i++) {
        tasks[i] = (struct task){ .job = { .work = work, .done = done }, .left = &left };
        assert_int_equal(pool_submit(p, l, &tasks[i].job), 0);
    }
    loop_run(l);
    for (unsigned i = 0; i < JOBS; i++) {
        assert_int_equal(tasks[i].worked, 1);
        assert_int_equal(tasks[i].done, 1);
        assert_false(pthread_equal(tasks[i].worked_on, pthread_self()));
        assert_true(pthread_equal(tasks[i].done_on, pthread_self()));
    }
    pool_free(p);
    loop_free(l);
}

static void the_queue_has_a_bound_and_is_worked_off_at_the_end(void **state)
{
    static struct task tasks[POOL_QUEUE_MAX + 2];
    unsigned left = POOL_QUEUE_MAX + 1;
    struct loop *l = a_loop();
    struct pool *p = NULL;
    sem_t begun, gate;

    sem_init(&begun, 0, 0);
    sem_init(&gate, 0, 0);
    assert_int_equal(pool_new(1, &p, NULL), 0);
    for (unsigned i = 0; i < ARRAY_LEN(tasks); i++)
        tasks[i] = (struct task){ .job = { .work = work, .done = done }, .left = &left };
    tasks[0].begun = &begun;
    tasks[0].gate = &gate;
    assert_int_equal(pool_submit(p, l, &tasks[0].job), 0);
    sem_wait(&begun); /* the one thread is busy: from here on jobs wait */
    for (unsigned i = 1; i <= POOL_QUEUE_MAX; i++)
        assert_int_equal(pool_submit(p, l, &tasks[i].job), 0);
    assert_int_equal(pool_submit(p, l, &tasks[POOL_QUEUE_MAX + 1].job), ERR_BUSY);
    sem_post(&gate);
    pool_free(p); /* waits for all of them */
    for (unsigned i = 0; i <= POOL_QUEUE_MAX; i++)
        assert_int_equal(tasks[i].worked, 1);
    loop_run(l); /* their messages are still there */
    assert_int_equal(left, 0);
    assert_int_equal(tasks[POOL_QUEUE_MAX + 1].worked, 0);
    loop_free(l);
    pool_free(NULL);
    sem_destroy(&begun);
    sem_destroy(&gate);
}

static void without_memory_no_pool_is_made(void **state)
{
    FOR_EACH_FAILING_ALLOCATION(n)
    {
        struct pool *p = NULL;
        int r = pool_new(2, &p, NULL);

        assert_int_equal(r, fail_alloc_failed() ? ERR_NOMEM : 0);
        pool_free(p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_works_on_another_thread_and_is_done_on_its_loop),
        cmocka_unit_test(without_memory_no_pool_is_made),
        cmocka_unit_test(the_queue_has_a_bound_and_is_worked_off_at_the_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
