/* journal.c -- batches are gathered, written off the loop, told once each; nothing is told behind a stop */
#include "journal/journal.h"

#include "fail_alloc.h"
#include "sim_disk.h"

#define KIND STR("test")

struct machine {
    struct sim_disk *disk;
    struct loop *loop;
    struct pool *pool;
    struct journal *journal;
    struct journal_report report;
    unsigned troubles;
    unsigned left; /* batches that the loop waits for */
};

struct commit {
    struct journal_batch batch;
    struct machine *machine;
    unsigned told;
    struct commit *next; /* committed from the callback of this one */
    bool stop;           /* the callback stops the journal */
};

static void on_trouble(void *arg, const struct err *err)
{
    struct machine *m = arg;

    assert_true(err->code < 0);
    m->troubles++;
}

static void open_journal(struct machine *m)
{
    struct journal_conf conf = { .disk = &m->disk->disk, .pool = m->pool, .loop = m->loop, .trouble = on_trouble, .arg = m };

    assert_int_equal(journal_open(&conf, &m->journal, &m->report, NULL), 0);
}

static void setup(struct machine *m)
{
    *m = (struct machine){ .disk = sim_new() };
    assert_int_equal(loop_new("test", 0, &m->loop, NULL), 0);
    assert_int_equal(pool_new(1, &m->pool, NULL), 0);
    open_journal(m);
}

/* As a gateway does: no job runs any more, and its message finds the journal stopped. */
static void end_journal(struct machine *m)
{
    journal_stop(m->journal);
    pool_free(m->pool);
    loop_stop(m->loop);
    loop_run(m->loop);
    journal_free(m->journal);
}

static void teardown(struct machine *m)
{
    end_journal(m);
    loop_free(m->loop);
    assert_int_equal(m->disk->open_n, 0);
    sim_free(m->disk);
}

/* The journal of a machine whose power went. */
static void power_cut(struct machine *m)
{
    struct sim_disk *again;

    end_journal(m);
    assert_int_equal(pool_new(1, &m->pool, NULL), 0);
    again = sim_reboot(m->disk, SIM_DROPPED, 0, SIM_NAMES_DROPPED);
    sim_free(m->disk);
    m->disk = again;
    open_journal(m);
}

static void on_done(struct journal_batch *b)
{
    struct commit *c = CONTAINER_OF(b, struct commit, batch);
    struct machine *m = c->machine;

    c->told++;
    if (c->stop)
        journal_stop(m->journal);
    if (c->next)
        assert_int_equal(journal_commit(m->journal, &c->next->batch, on_done), 0);
    if (--m->left == 0)
        loop_stop(m->loop);
}

static void put(struct commit *c, struct machine *m, const char *key, const char *value)
{
    *c = (struct commit){ .machine = m };
    journal_batch_init(&c->batch);
    journal_put(&c->batch, KIND, str_of(key), str_of(value));
}

static void commit(struct commit *c)
{
    assert_int_equal(journal_commit(c->machine->journal, &c->batch, on_done), 0);
    assert_int_equal(c->told, 0); /* never from inside */
    c->machine->left++;
}

static void run(struct machine *m)
{
    if (m->left)
        loop_run(m->loop);
}

static const char *walk(struct journal *j)
{
    static char text[512];
    const void *cursor = NULL;
    struct journal_entry e;
    size_t n = 0;

    text[0] = 0;
    while (journal_next(j, &cursor, &e))
        n += (size_t)snprintf(text + n, sizeof text - n, "%.*s=%.*s ", STR_FMT(e.key), STR_FMT(e.value));
    return text;
}

static void what_is_acknowledged_is_there_after_a_power_cut(void **state)
{
    struct machine m;
    struct commit a, b;

    setup(&m);
    assert_true(m.report.fresh);
    put(&a, &m, "a", "1");
    put(&b, &m, "b", "2");
    journal_delete(&b.batch, KIND, STR("a"));
    commit(&a);
    commit(&b);
    assert_string_equal(walk(m.journal), "");
    run(&m);
    assert_int_equal(a.told + b.told, 2);
    assert_int_equal(a.batch.status, 0);
    assert_string_equal(walk(m.journal), "b=2 ");
    power_cut(&m);
    assert_false(m.report.fresh);
    assert_int_equal(m.report.entries, 1);
    assert_string_equal(walk(m.journal), "b=2 ");
    teardown(&m);
    journal_batch_fini(&a.batch);
    journal_batch_fini(&b.batch);
}

static void batches_of_one_turn_share_a_sync(void **state)
{
    enum { N = 100 };
    static struct commit c[N];
    struct journal_stats stats;
    struct machine m;

    setup(&m);
    for (unsigned i = 0; i < N; i++) {
        char key[8];

        snprintf(key, sizeof key, "%u", i);
        put(&c[i], &m, key, "v");
        commit(&c[i]);
    }
    run(&m);
    journal_stats(m.journal, &stats);
    assert_int_equal(stats.commits, N);
    assert_int_equal(stats.frames, 1);
    assert_int_equal(stats.entries, N);
    assert_true(stats.p99_us <= stats.max_us);
    for (unsigned i = 0; i < N; i++)
        journal_batch_fini(&c[i].batch);
    teardown(&m);
}

static void a_callback_may_commit_the_next(void **state)
{
    struct machine m;
    struct commit a, b;

    setup(&m);
    put(&a, &m, "a", "1");
    put(&b, &m, "b", "2");
    a.next = &b;
    commit(&a);
    m.left++;
    run(&m);
    assert_int_equal(b.told, 1);
    assert_string_equal(walk(m.journal), "a=1 b=2 ");
    teardown(&m);
    journal_batch_fini(&a.batch);
    journal_batch_fini(&b.batch);
}

static void a_failed_write_is_told_to_all_of_its_frame_and_changes_nothing(void **state)
{
    struct machine m;
    struct commit a, b, c;

    setup(&m);
    put(&a, &m, "a", "1");
    put(&b, &m, "b", "1");
    put(&c, &m, "c", "1");
    m.disk->fail_at = m.disk->step;
    m.disk->fail_with = -ENOSPC;
    commit(&a);
    commit(&b);
    run(&m);
    assert_true(a.batch.status < 0 && b.batch.status < 0);
    assert_non_null(strstr(a.batch.err.message, "No space left on device"));
    assert_string_equal(walk(m.journal), "");
    commit(&c);
    run(&m);
    assert_int_equal(c.batch.status, 0);
    power_cut(&m);
    assert_string_equal(walk(m.journal), "c=1 ");
    teardown(&m);
    journal_batch_fini(&a.batch);
    journal_batch_fini(&b.batch);
    journal_batch_fini(&c.batch);
}

static void a_failed_sync_is_mended_without_waiting_for_the_next_batch(void **state)
{
    struct machine m;
    struct commit a, b;
    struct journal_stats stats;

    setup(&m);
    put(&a, &m, "a", "1");
    put(&b, &m, "b", "1");
    m.disk->fail_at = m.disk->step + 1; /* the write, then the sync */
    commit(&a);
    run(&m);
    assert_true(a.batch.status < 0);
    commit(&b); /* waits for the rewrite */
    run(&m);
    assert_int_equal(b.batch.status, 0);
    journal_stats(m.journal, &stats);
    assert_int_equal(stats.rewrites, 1);
    assert_int_equal(stats.failures, 1);
    assert_int_equal(m.troubles, 0);
    power_cut(&m);
    assert_string_equal(walk(m.journal), "b=1 ");
    teardown(&m);
    journal_batch_fini(&a.batch);
    journal_batch_fini(&b.batch);
}

/* The pool may be done before the loop looks again: once, the loop then wrote its own 0 over the job's failure. */
static void a_failure_is_told_however_fast_the_job_was(void **state)
{
    struct machine m;
    struct commit c;

    setup(&m);
    for (unsigned i = 0; i < 300; i++) {
        put(&c, &m, "a", "1");
        m.disk->fail_at = m.disk->step;
        commit(&c);
        run(&m);
        assert_true(c.batch.status < 0);
        journal_batch_fini(&c.batch);
    }
    assert_string_equal(walk(m.journal), "");
    teardown(&m);
}

static void a_log_that_grows_is_rewritten_by_itself(void **state)
{
    enum { TIMES = 40, BYTES = 100000 };
    static char value[BYTES + 1];
    struct machine m;
    struct journal_stats stats;
    struct commit c;

    setup(&m);
    memset(value, 'v', BYTES);
    for (unsigned i = 0; i < TIMES; i++) {
        put(&c, &m, "k", value);
        commit(&c);
        run(&m);
        assert_int_equal(c.batch.status, 0);
        journal_batch_fini(&c.batch);
    }
    journal_stats(m.journal, &stats);
    assert_true(stats.rewrites >= 2 && stats.rewrites < TIMES / 4);
    assert_true(stats.file_bytes < 2 * BYTES + 2 * JOURNAL_SLACK);
    power_cut(&m);
    assert_int_equal(m.report.entries, 1);
    teardown(&m);
}

static void a_rewrite_that_fails_is_reported_and_commits_go_on(void **state)
{
    enum { BYTES = 100000 };
    static char value[BYTES + 1];
    struct machine m;
    struct commit c, d;
    struct journal_stats stats;

    setup(&m);
    memset(value, 'v', BYTES);
    do {
        put(&c, &m, "k", value);
        commit(&c);
        run(&m);
        journal_batch_fini(&c.batch);
        journal_stats(m.journal, &stats);
    } while (stats.file_bytes + BYTES < 2 * stats.live_bytes + JOURNAL_SLACK);
    put(&c, &m, "k", value);
    put(&d, &m, "l", "1"); /* waits for the rewrite */
    c.next = &d;
    m.disk->fail_at = m.disk->step + 2; /* behind the write and the sync of the frame: the rewrite's first call */
    commit(&c);
    m.left++;
    run(&m);
    assert_int_equal(c.batch.status, 0);
    assert_int_equal(d.batch.status, 0);
    assert_int_equal(m.troubles, 1);
    power_cut(&m);
    assert_int_equal(m.report.entries, 2);
    teardown(&m);
    journal_batch_fini(&c.batch);
    journal_batch_fini(&d.batch);
}

static void a_stop_while_a_frame_is_written_tells_nobody(void **state)
{
    struct machine m;
    struct commit a, b;

    setup(&m);
    put(&a, &m, "a", "1");
    put(&b, &m, "b", "1");
    a.stop = true; /* from the callback of the first: the second is not told any more */
    commit(&a);
    commit(&b);
    m.left = 1;
    run(&m);
    assert_int_equal(a.told, 1);
    assert_int_equal(b.told, 0);
    journal_batch_fini(&a.batch);
    journal_batch_fini(&b.batch);
    put(&a, &m, "c", "1");
    assert_int_equal(journal_commit(m.journal, &a.batch, on_done), ERR_BUSY);
    journal_batch_fini(&a.batch);
    teardown(&m);
}

static void a_stop_before_the_first_write_drops_what_waits(void **state)
{
    struct machine m;
    struct commit a;

    setup(&m);
    put(&a, &m, "a", "1");
    commit(&a);
    journal_stop(m.journal);
    journal_batch_fini(&a.batch);
    assert_int_equal(a.told, 0);
    teardown(&m);
}

static void bounds_are_kept(void **state)
{
    static char key[KEY_BYTES_MAX + 2];
    struct machine m;
    struct commit a;
    char *large = calloc(1, FRAME_BYTES_MAX + 1);

    assert_non_null(large);
    setup(&m);
    memset(key, 'k', sizeof key - 1);
    memset(large, 'v', FRAME_BYTES_MAX);
    put(&a, &m, key, "a key that is too long");
    assert_int_equal(journal_commit(m.journal, &a.batch, on_done), ERR_LIMIT);
    journal_batch_fini(&a.batch);
    put(&a, &m, "a", large);
    assert_int_equal(journal_commit(m.journal, &a.batch, on_done), ERR_LIMIT);
    journal_batch_fini(&a.batch);
    large[FRAME_BYTES_MAX - RECORD_HEAD_BYTES - KIND.n - 1] = 0; /* exactly a frame */
    put(&a, &m, "a", large);
    commit(&a);
    run(&m);
    assert_int_equal(a.batch.status, 0);
    journal_batch_fini(&a.batch);
    power_cut(&m);
    assert_int_equal(m.report.entries, 1);
    teardown(&m);
    free(large);
}

static void a_full_queue_and_a_full_set_refuse(void **state)
{
    static struct commit c[JOURNAL_QUEUE_MAX + 1];
    static char value[1 << 20];
    struct machine m;
    unsigned n = 0;

    setup(&m);
    for (unsigned i = 0; i < JOURNAL_QUEUE_MAX; i++) {
        put(&c[i], &m, "a", "1");
        commit(&c[i]);
    }
    put(&c[JOURNAL_QUEUE_MAX], &m, "a", "1");
    assert_int_equal(journal_commit(m.journal, &c[JOURNAL_QUEUE_MAX].batch, on_done), ERR_BUSY);
    run(&m);
    for (unsigned i = 0; i <= JOURNAL_QUEUE_MAX; i++)
        journal_batch_fini(&c[i].batch);

    memset(value, 'v', sizeof value - 1);
    for (;; n++) {
        char key[8];
        int r;

        snprintf(key, sizeof key, "%u", n);
        put(&c[n], &m, key, value);
        r = journal_commit(m.journal, &c[n].batch, on_done);
        if (r < 0) {
            assert_int_equal(r, ERR_LIMIT);
            break;
        }
        m.left++;
    }
    assert_int_equal(n, 255); /* 256 with their keys are a little more than the bound */
    journal_stop(m.journal);
    for (unsigned i = 0; i <= n; i++)
        journal_batch_fini(&c[i].batch);
    teardown(&m);
}

/* On a real folder: the allocations of the made-up disk should not fail. */
static void keeps_its_promises_when_memory_runs_out(void **state)
{
    char path[] = "/tmp/smg-journal-XXXXXX", command[64];
    struct machine m = { 0 };

    assert_non_null(mkdtemp(path));
    assert_int_equal(loop_new("test", 0, &m.loop, NULL), 0);
    assert_int_equal(pool_new(1, &m.pool, NULL), 0);
    FOR_EACH_FAILING_ALLOCATION(n)
    {
        struct commit c = { .machine = &m };
        struct disk *disk = NULL;
        int r = disk_open(path, &disk, NULL);

        if (r == 0)
            r = journal_open(&(struct journal_conf){ .disk = disk, .pool = m.pool, .loop = m.loop }, &m.journal, &m.report, NULL);
        if (r == 0) {
            put(&c, &m, "a", "1");
            r = journal_commit(m.journal, &c.batch, on_done);
            if (r == 0) {
                m.left = 1;
                run(&m);
                r = c.batch.status;
                assert_string_equal(walk(m.journal), r == 0 || m.report.entries ? "a=1 " : "");
            }
            journal_batch_fini(&c.batch);
            journal_stop(m.journal);
            journal_free(STEAL(m.journal));
        }
        assert_true(r == 0 || r == ERR_NOMEM);
        disk_free(disk);
    }
    pool_free(m.pool);
    loop_free(m.loop);
    snprintf(command, sizeof command, "rm -rf %s", path);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_acknowledged_is_there_after_a_power_cut),
        cmocka_unit_test(batches_of_one_turn_share_a_sync),
        cmocka_unit_test(a_callback_may_commit_the_next),
        cmocka_unit_test(a_failed_write_is_told_to_all_of_its_frame_and_changes_nothing),
        cmocka_unit_test(a_failed_sync_is_mended_without_waiting_for_the_next_batch),
        cmocka_unit_test(a_failure_is_told_however_fast_the_job_was),
        cmocka_unit_test(a_log_that_grows_is_rewritten_by_itself),
        cmocka_unit_test(a_rewrite_that_fails_is_reported_and_commits_go_on),
        cmocka_unit_test(a_stop_while_a_frame_is_written_tells_nobody),
        cmocka_unit_test(a_stop_before_the_first_write_drops_what_waits),
        cmocka_unit_test(bounds_are_kept),
        cmocka_unit_test(a_full_queue_and_a_full_set_refuse),
        cmocka_unit_test(keeps_its_promises_when_memory_runs_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
