/* base/log.c -- the front of the log: levels and the threads' buffers
 *
 * Each thread has a buffer with a lock of its own, which nobody else wants but the writer every 50 ms and log_stop once. The lock is held
 * while lines go over to the queue, so the lines of a thread keep their order.
 * A thread enters the list when it first writes and leaves it when it ends, its lines handed over.
 */
#include "base/log.h"

#include "base/clock.h"
#include "base/log_internal.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#define HAND_OVER_BYTES (64u << 10) /* a buffer is handed over when it has that much */
#define LINE_MAX_BYTES  (64u << 10) /* a longer line is dropped and counted: nothing of ours comes near */

struct thread_log {
    struct thread_log *next; /* under threads_lock */
    pthread_mutex_t lock;
    struct buf text; /* under lock; whole lines */
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t at_thread_end;
static _Thread_local struct thread_log *mine; /* owned; freed by thread_ended */

static pthread_mutex_t threads_lock = PTHREAD_MUTEX_INITIALIZER;
static struct thread_log *threads; /* under threads_lock */

/* Set by log_start before RUNNING is (release); not changed while it is. */
static struct log_filter filter;
static struct log_style style;

static _Atomic bool running;
static _Atomic int highest = LOG_INFO; /* the level that some target has; all targets have it while the log is not running */

/* The caller holds T's lock. */
static void hand_over(struct thread_log *t)
{
    if (t->text.n)
        log_writer_push(buf_str(&t->text));
    buf_clear(&t->text);
}

static void thread_ended(void *arg)
{
    struct thread_log *t = arg, **at;

    mine = NULL;
    pthread_mutex_lock(&threads_lock);
    for (at = &threads; *at != t;)
        at = &(*at)->next;
    *at = t->next;
    pthread_mutex_unlock(&threads_lock);
    pthread_mutex_lock(&t->lock);
    hand_over(t);
    pthread_mutex_unlock(&t->lock);
    buf_fini(&t->text);
    pthread_mutex_destroy(&t->lock);
    free(t);
}

static void make_key(void)
{
    if (pthread_key_create(&at_thread_end, thread_ended) != 0)
        abort(); /* no keys left at the first line of the process: a bug of ours */
}

static struct thread_log *enter_thread(void)
{
    struct thread_log *t = calloc(1, sizeof *t);

    if (!t)
        return NULL;
    t->text.max = HAND_OVER_BYTES + LINE_MAX_BYTES;
    pthread_mutex_init(&t->lock, NULL);
    if (pthread_setspecific(at_thread_end, t) != 0) {
        pthread_mutex_destroy(&t->lock);
        free(t);
        return NULL;
    }
    mine = t;
    pthread_mutex_lock(&threads_lock);
    t->next = threads;
    threads = t;
    pthread_mutex_unlock(&threads_lock);
    return t;
}

/* Called by the writer thread and by log_stop. */
static void collect(void)
{
    pthread_mutex_lock(&threads_lock);
    for (struct thread_log *t = threads; t; t = t->next) {
        pthread_mutex_lock(&t->lock);
        hand_over(t);
        pthread_mutex_unlock(&t->lock);
    }
    pthread_mutex_unlock(&threads_lock);
}

bool log_enabled(enum log_level level, const char *target)
{
    if ((int)level > atomic_load_explicit(&highest, memory_order_relaxed))
        return false;
    return !atomic_load_explicit(&running, memory_order_acquire) || level <= log_filter_level(&filter, target);
}

/* The log is not running: text on stderr, one write per line. */
static void write_directly(const struct log_line *line)
{
    _cleanup_(buf_fini) struct buf text = { .max = LINE_MAX_BYTES };
    struct str s;

    log_format_line(&text, &(struct log_style){ .format = LOG_TEXT }, line);
    for (s = text.failed ? STR_NONE : buf_str(&text); s.n;) {
        ssize_t n = write(STDERR_FILENO, s.p, s.n);

        if (n <= 0)
            break; /* there is nobody to tell */
        s = str_skip(s, (size_t)n);
    }
}

/* The caller holds T's lock. */
static void append(struct thread_log *t, const struct log_line *line)
{
    size_t before = t->text.n;

    log_format_line(&t->text, &style, line);
    if (t->text.failed || t->text.n - before > LINE_MAX_BYTES) {
        t->text.failed = false;
        t->text.n = before;
        log_writer_count_dropped(1);
        return;
    }
    if (line->level == LOG_ERROR || t->text.n >= HAND_OVER_BYTES)
        hand_over(t);
    else if (before == 0)
        log_writer_expect();
}

void log_write(enum log_level level, const char *target, const char *file, int line, const char *message,
               const struct log_field *fields, size_t n)
{
    struct log_line l = { clock_wall_us(), level, target, file, message, line, fields, n };
    struct thread_log *t;
    bool direct;

    pthread_once(&once, make_key);
    t = mine ? mine : enter_thread();
    if (!t) {
        log_writer_count_dropped(1);
        return;
    }
    pthread_mutex_lock(&t->lock);
    direct =
        !atomic_load_explicit(&running, memory_order_acquire); /* under the lock: log_stop takes it after it has cleared this */
    if (!direct)
        append(t, &l);
    pthread_mutex_unlock(&t->lock);
    if (direct)
        write_directly(&l);
}

void log_flush(void)
{
    if (!mine)
        return;
    pthread_mutex_lock(&mine->lock);
    hand_over(mine);
    pthread_mutex_unlock(&mine->lock);
}

static bool wants_colour(enum log_format format)
{
    const char *no = getenv("NO_COLOR");

    return format == LOG_TEXT && isatty(STDOUT_FILENO) && !(no && no[0]);
}

int log_start(const struct log_conf *conf, struct err *err)
{
    struct log_filter wanted = { .n = 1, .highest = conf->level, .rules = { { .level = conf->level } } };
    int r = conf->filter ? log_filter_parse(&wanted, conf->filter, err) : 0;

    if (r < 0)
        return r;
    style = (struct log_style){ .format = conf->format, .colour = wants_colour(conf->format), .rfc3339_ms = conf->rfc3339_ms };
    filter = wanted;
    r = log_writer_start(conf->dir, &style, collect, err);
    if (r < 0)
        return r;
    atomic_store_explicit(&running, true, memory_order_release);
    atomic_store_explicit(&highest, (int)filter.highest, memory_order_release);
    return 0;
}

void log_stop(void)
{
    if (!atomic_exchange_explicit(&running, false, memory_order_acq_rel))
        return;
    atomic_store_explicit(&highest, LOG_INFO, memory_order_relaxed);
    collect();
    log_writer_stop();
}
