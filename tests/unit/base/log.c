/* log.c -- the log from the call to the pipe that is our stdout
 *
 * Each test puts a pipe or a file in stdout's place, starts the log and reads what came out.
 */
#include "test.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "fail_alloc.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static int real_stdout, real_stderr;

/* A file without a name in stdout's (or stderr's) place; reading it back gives what was written. */
static int divert(int fd)
{
    FILE *f = tmpfile();
    int copy;

    assert_non_null(f);
    copy = dup(fileno(f));
    fclose(f);
    fflush(stdout);
    assert_int_equal(dup2(copy, fd), fd);
    return copy;
}

static void restore(void)
{
    dup2(real_stdout, STDOUT_FILENO);
    dup2(real_stderr, STDERR_FILENO);
}

static struct str written(int file)
{
    static char text[16 << 20];
    ssize_t n = pread(file, text, sizeof text, 0);

    assert_true(n >= 0);
    return (struct str){ text, (size_t)n };
}

static unsigned times(struct str s, struct str what)
{
    unsigned n = 0;

    for (size_t at; (at = str_find(s, what)) != STR_NPOS; s = str_skip(s, at + what.n))
        n++;
    return n;
}

static void start(const char *filter, const char *dir)
{
    struct err err = { 0 };

    if (log_start(&(struct log_conf){ .level = LOG_INFO, .filter = filter, .dir = dir }, &err) < 0)
        fail_msg("%s", err.message);
}

/* Waits at most 2 s for N times WHAT in the file. */
static bool comes(int file, struct str what, unsigned n)
{
    for (unsigned i = 0; i < 200; i++) {
        if (times(written(file), what) >= n)
            return true;
        usleep(10000);
    }
    return false;
}

static void lines_before_the_start_and_after_the_stop_go_to_stderr(void **state)
{
    int out = divert(STDOUT_FILENO), err = divert(STDERR_FILENO);

    log_info("smg::a", "early", LF_UINT("n", 1));
    log_debug("smg::a", "hidden");
    start(NULL, NULL);
    log_info("smg::a", "middle");
    log_stop();
    log_warn("smg::a", "late");
    log_stop(); /* a second one does nothing */
    restore();
    assert_int_equal(times(written(out), STR("\n")), 1);
    assert_int_equal(times(written(out), STR(" INFO smg::a: middle\n")), 1);
    assert_int_equal(times(written(err), STR("\n")), 2);
    assert_int_equal(times(written(err), STR(" INFO smg::a: early n=1\n")), 1);
    assert_int_equal(times(written(err), STR(" WARN smg::a: late\n")), 1);
    close(out);
    close(err);
}

static void the_filter_decides_before_a_line_is_made(void **state)
{
    int out = divert(STDOUT_FILENO);
    unsigned made = 0;

    start("smg::loud=debug,warn", NULL);
    assert_true(log_enabled(LOG_DEBUG, "smg::loud"));
    assert_false(log_enabled(LOG_INFO, "smg::quiet"));
    log_debug("smg::loud", "one", LF_UINT("n", ++made));
    log_info("smg::quiet", "two", LF_UINT("n", ++made));
    log_warn("smg::quiet", "three", LF_UINT("n", ++made));
    log_stop();
    restore();
    assert_int_equal(made, 2);
    assert_int_equal(times(written(out), STR("\n")), 2);
    close(out);
}

static void a_filter_that_is_not_understood_stops_the_start(void **state)
{
    struct err err = { 0 };

    assert_int_equal(log_start(&(struct log_conf){ .level = LOG_INFO, .filter = "smg=loud" }, &err), ERR_INVALID);
    assert_non_null(strstr(err.message, "smg=loud"));
}

static void error_lines_come_at_once_and_others_soon(void **state)
{
    int out = divert(STDOUT_FILENO);

    start(NULL, NULL);
    log_info("smg::a", "waits");
    assert_true(comes(out, STR("waits"), 1)); /* no flush: the writer collects it */
    log_info("smg::a", "before");
    log_error("smg::a", "failure");
    assert_true(comes(out, STR("failure"), 1));
    assert_true(str_find(written(out), STR("before")) < str_find(written(out), STR("failure")));
    log_info("smg::a", "flushed");
    log_flush();
    assert_true(comes(out, STR("flushed"), 1));
    log_stop();
    restore();
    close(out);
}

#define THREADS 4
#define LINES   5000

static void *write_many(void *arg)
{
    for (uint64_t i = 0; i < LINES; i++) {
        if (i % 1000 == 999)
            log_error("smg::t", "many", LF_UINT("thread", (uint64_t)(uintptr_t)arg), LF_UINT("i", i));
        else
            log_info("smg::t", "many", LF_UINT("thread", (uint64_t)(uintptr_t)arg), LF_UINT("i", i));
        if (i % 777 == 0)
            log_flush();
    }
    return NULL;
}

static void every_line_of_every_thread_comes_once_and_in_order(void **state)
{
    int out = divert(STDOUT_FILENO);
    uint64_t dropped = log_dropped();
    pthread_t threads[THREADS];
    uint64_t next[THREADS] = { 0 };
    struct str rest, line;

    start(NULL, NULL);
    for (uintptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_many, (void *)i), 0);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    log_stop();
    restore();
    for (rest = written(out); rest.n;) {
        unsigned long thread, i;
        char text[200];

        (void)str_split(rest, '\n', &line, &rest);
        (void)snprintf(text, sizeof text, "%.*s", STR_FMT(line));
        assert_non_null(strstr(text, "many"));
        assert_int_equal(sscanf(strstr(text, "many"), "many thread=%lu i=%lu", &thread, &i), 2);
        assert_true(thread < THREADS);
        assert_int_equal(i, next[thread]);
        next[thread]++;
    }
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(next[i], LINES);
    assert_int_equal(log_dropped(), dropped);
    close(out);
}

static void *write_one_and_end(void *arg)
{
    log_info("smg::t", "last words");
    return arg;
}

static void a_thread_that_ends_leaves_no_line_behind(void **state)
{
    int out = divert(STDOUT_FILENO);
    pthread_t t;

    start(NULL, NULL);
    assert_int_equal(pthread_create(&t, NULL, write_one_and_end, NULL), 0);
    pthread_join(t, NULL);
    log_stop();
    restore();
    assert_int_equal(times(written(out), STR("last words")), 1);
    close(out);
}

static void fill_the_queue(void)
{
    static char x[4000];
    const struct log_field f = LF_STR("x", ((struct str){ x, sizeof x }));

    memset(x, 'x', sizeof x);
    for (unsigned i = 0; i < 4 * LOG_QUEUE_BYTES / sizeof x; i++)
        log_write(LOG_INFO, "smg::t", "f.c", 1, "filler", &f, 1);
}

static void a_blocked_stdout_blocks_nobody_and_the_loss_is_told(void **state)
{
    uint64_t before = log_dropped(), began, dropped;
    struct pollfd in;
    int ends[2];
    static char text[65536];
    size_t n = 0;
    bool told = false;

    assert_int_equal(pipe(ends), 0);
    dup2(ends[1], STDOUT_FILENO);
    close(ends[1]);
    start(NULL, NULL);
    began = clock_now_us();
    fill_the_queue();
    dropped = log_dropped() - before;
    assert_true(dropped > 0);
    assert_true(clock_now_us() - began < 20000000);

    in = (struct pollfd){ .fd = ends[0], .events = POLLIN };
    while (!told && poll(&in, 1, 2000) > 0) { /* the reader wakes up */
        ssize_t got = read(ends[0], text + n, sizeof text - 1 - n);

        assert_true(got > 0);
        n += (size_t)got;
        text[n] = 0;
        told = strstr(text, "log lines were dropped lines=") != NULL;
        if (n > 2000) {
            memmove(text, text + n - 1000, 1000);
            n = 1000;
        }
    }
    assert_true(told);
    log_stop();
    restore();
    close(ends[0]);
}

static void stopping_waits_two_seconds_for_a_blocked_stdout(void **state)
{
    uint64_t began, before = log_dropped();
    int ends[2];

    assert_int_equal(pipe(ends), 0);
    dup2(ends[1], STDOUT_FILENO);
    close(ends[1]);
    start(NULL, NULL);
    for (unsigned i = 0; i < 5000; i++)
        log_info("smg::t", "a line that nobody reads, and that is counted as lost");
    began = clock_now_us();
    log_stop();
    restore();
    assert_in_range(clock_now_us() - began, 1900000, 2900000);
    assert_in_range(log_dropped() - before, 3000, 5000); /* the pipe took some */
    close(ends[0]);
}

static void a_closed_stdout_does_not_end_the_process(void **state)
{
    int ends[2];

    assert_int_equal(pipe(ends), 0);
    dup2(ends[1], STDOUT_FILENO);
    close(ends[1]);
    close(ends[0]);
    start(NULL, NULL);
    log_error("smg::t", "nobody is there");
    log_stop();
    restore();
}

/* A limit on the file's size stands for a full disk. */
static void after_a_full_disk_the_log_comes_back_and_the_loss_is_told(void **state)
{
    int out = divert(STDOUT_FILENO);
    uint64_t before = log_dropped();
    struct rlimit limit, full;

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    full = (struct rlimit){ .rlim_cur = 100, .rlim_max = limit.rlim_max };
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &full), 0);
    start(NULL, NULL);
    for (unsigned i = 0; i < 10; i++)
        log_error("smg::t", "a line that finds no place on the disk");
    for (unsigned i = 0; i < 200 && log_dropped() - before < 9; i++)
        usleep(10000);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    log_error("smg::t", "there is place again");
    assert_true(comes(out, STR("there is place again"), 1));
    assert_true(comes(out, STR("log lines were dropped lines="), 1));
    log_stop();
    restore();
    close(out);
}

static void without_memory_lines_are_lost_and_counted(void **state)
{
    FOR_EACH_FAILING_ALLOCATION(n)
    {
        int out = divert(STDOUT_FILENO);
        uint64_t before = log_dropped();
        pthread_t t;

        start(NULL, NULL);
        assert_int_equal(pthread_create(&t, NULL, write_one_and_end, NULL), 0);
        pthread_join(t, NULL);
        log_info("smg::t", "last words");
        log_stop();
        restore();
        assert_int_equal(times(written(out), STR("last words")) + (log_dropped() - before), 2);
        close(out);
    }
}

static void the_daily_file_has_the_same_lines(void **state)
{
    char base[] = "/tmp/smg-test-log-XXXXXX", dir[64], path[128], day[CLOCK_TEXT_MAX];
    int out = divert(STDOUT_FILENO);
    struct buf text = { 0 };

    assert_non_null(mkdtemp(base));
    (void)snprintf(dir, sizeof dir, "%s/a/b", base);
    (void)clock_text(day, clock_wall_us());
    (void)snprintf(path, sizeof path, "%s/smg.%.10s", dir, day);
    for (unsigned i = 0; i < 2; i++) { /* a second start appends */
        start(NULL, dir);
        log_info("smg::t", "to both");
        log_stop();
    }
    restore();
    assert_int_equal(file_read(path, 10000, &text, NULL), 0);
    assert_int_equal(times(buf_str(&text), STR(" INFO smg::t: to both\n")), 2);
    assert_true(str_eq(buf_str(&text), written(out)));
    buf_fini(&text);
    close(out);
    unlink(path);
    rmdir(dir);
    (void)snprintf(dir, sizeof dir, "%s/a", base);
    rmdir(dir);
    assert_int_equal(rmdir(base), 0);
}

static void a_folder_that_cannot_be_made_stops_the_start(void **state)
{
    struct err err = { 0 };

    assert_true(log_start(&(struct log_conf){ .level = LOG_INFO, .dir = "/dev/null/x" }, &err) < 0);
    assert_non_null(strstr(err.message, "/dev/null"));
}

static void on_a_terminal_there_are_colours_but_not_in_the_file(void **state)
{
    char dir[] = "/tmp/smg-test-log-XXXXXX", path[64], day[CLOCK_TEXT_MAX], seen[4096];
    struct buf text = { 0 };
    int terminal = posix_openpt(O_RDWR | O_NOCTTY), slave;
    ssize_t n;

    if (terminal < 0 || grantpt(terminal) < 0 || unlockpt(terminal) < 0 || !mkdtemp(dir))
        skip();
    slave = open(ptsname(terminal), O_RDWR | O_NOCTTY);
    assert_true(slave >= 0);
    unsetenv("NO_COLOR");
    fflush(stdout);
    dup2(slave, STDOUT_FILENO);
    start(NULL, dir);
    log_error("smg::t", "red");
    log_stop();
    n = read(terminal, seen, sizeof seen);
    assert_true(n > 0);
    assert_int_equal(times((struct str){ seen, (size_t)n }, STR("\x1b[31mERROR")), 1);

    setenv("NO_COLOR", "1", 1);
    start(NULL, dir);
    log_error("smg::t", "plain");
    log_stop();
    n = read(terminal, seen, sizeof seen);
    restore();
    assert_true(n > 0);
    assert_int_equal(times((struct str){ seen, (size_t)n }, STR("\x1b")), 0);

    (void)clock_text(day, clock_wall_us());
    (void)snprintf(path, sizeof path, "%s/smg.%.10s", dir, day);
    assert_int_equal(file_read(path, 10000, &text, NULL), 0);
    assert_int_equal(times(buf_str(&text), STR("\x1b")), 0);
    assert_int_equal(times(buf_str(&text), STR(" ERROR smg::t: red\n")), 1);
    buf_fini(&text);
    unlink(path);
    rmdir(dir);
    close(slave);
    close(terminal);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_before_the_start_and_after_the_stop_go_to_stderr),
        cmocka_unit_test(the_filter_decides_before_a_line_is_made),
        cmocka_unit_test(a_filter_that_is_not_understood_stops_the_start),
        cmocka_unit_test(error_lines_come_at_once_and_others_soon),
        cmocka_unit_test(every_line_of_every_thread_comes_once_and_in_order),
        cmocka_unit_test(a_thread_that_ends_leaves_no_line_behind),
        cmocka_unit_test(a_blocked_stdout_blocks_nobody_and_the_loss_is_told),
        cmocka_unit_test(stopping_waits_two_seconds_for_a_blocked_stdout),
        cmocka_unit_test(a_closed_stdout_does_not_end_the_process),
        cmocka_unit_test(after_a_full_disk_the_log_comes_back_and_the_loss_is_told),
        cmocka_unit_test(without_memory_lines_are_lost_and_counted),
        cmocka_unit_test(the_daily_file_has_the_same_lines),
        cmocka_unit_test(a_folder_that_cannot_be_made_stops_the_start),
        cmocka_unit_test(on_a_terminal_there_are_colours_but_not_in_the_file),
    };

    real_stdout = dup(STDOUT_FILENO);
    real_stderr = dup(STDERR_FILENO);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
