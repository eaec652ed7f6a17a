/* base/log_writer.c -- the queue and the thread that empties it
 *
 *   log_writer_push --> waiting (at most LOG_QUEUE_BYTES with what is being written) --swap--> writing --> stdout, file
 *
 * Two buffers take turns, so the steady state allocates nothing. A pipe or terminal is written in pieces that poll(2) has promised to take,
 * so that the thread notices log_writer_stop while nobody reads. The file's text has no colours: the only escape bytes in a line are ours
 * (log_format.c escapes all others), and they are left out on the way.
 */
#include "base/log_internal.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define STOP_US    2000000 /* how long log_stop waits for a reader of stdout */
#define POLL_MS    100     /* how often a blocked writer looks whether it shall stop */
#define PIECE      PIPE_BUF
#define KEEP_BYTES (256u << 10) /* a buffer that grew past this in a burst is freed after it */
#define DAY_LENGTH 10           /* of "2025-03-01" */

static struct {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct buf waiting;          /* under lock */
    size_t writing_n;            /* under lock: bytes that the thread took and has not written */
    uint64_t collect_at_us;      /* under lock; 0 = nothing is expected */
    bool open;                   /* under lock: pushes are taken */
    bool stopping;               /* under lock */
    _Atomic uint64_t stop_at_us; /* 0 = goes on; the thread gives up on a blocked stdout then */
    _Atomic uint64_t dropped;

    /* The rest belongs to the thread while it runs, to start and stop before and after. */
    pthread_t thread;
    void (*collect)(void);
    struct log_style style;
    struct buf writing, line;
    uint64_t dropped_told;
    bool out_gone;    /* stdout is closed: nobody will ever read it */
    bool out_is_file; /* stdout is a regular file: it never blocks for a reader */
    char dir[PATH_MAX];
    char day[DAY_LENGTH + 1]; /* of the open file */
    int file;                 /* -1 = none */
    bool file_failed;         /* said so already */
} w = { .lock = PTHREAD_MUTEX_INITIALIZER, .file = -1 };

uint64_t log_dropped(void)
{
    return atomic_load_explicit(&w.dropped, memory_order_relaxed);
}

void log_writer_count_dropped(uint64_t lines)
{
    atomic_fetch_add_explicit(&w.dropped, lines, memory_order_relaxed);
}

static uint64_t lines_in(struct str text)
{
    uint64_t n = 0;

    for (size_t at; (at = str_find_char(text, '\n')) != STR_NPOS; text = str_skip(text, at + 1))
        n++;
    return n;
}

void log_writer_push(struct str lines)
{
    pthread_mutex_lock(&w.lock);
    if (w.open && lines.n + w.waiting.n + w.writing_n <= LOG_QUEUE_BYTES)
        buf_put(&w.waiting, lines);
    else
        log_writer_count_dropped(lines_in(lines));
    if (w.waiting.failed) { /* memory is out: what waited before stays */
        w.waiting.failed = false;
        log_writer_count_dropped(lines_in(lines));
    }
    pthread_cond_signal(&w.wake);
    pthread_mutex_unlock(&w.lock);
}

void log_writer_expect(void)
{
    pthread_mutex_lock(&w.lock);
    if (w.collect_at_us == 0) {
        w.collect_at_us = clock_now_us() + LOG_HAND_OVER_US;
        pthread_cond_signal(&w.wake);
    }
    pthread_mutex_unlock(&w.lock);
}

/* ---- stdout ---- */

static bool give_up(void)
{
    uint64_t at = atomic_load_explicit(&w.stop_at_us, memory_order_relaxed);

    return at && clock_now_us() >= at;
}

/* Bytes written, 0 for "try again", -1 when stdout takes nothing: now (a full disk), or ever again (w.out_gone). A pipe or terminal that polls writable
 * takes a piece without blocking; a file takes all. */
static ssize_t write_piece(struct str s)
{
    struct pollfd out = { .fd = STDOUT_FILENO, .events = POLLOUT };
    ssize_t n;

    if (!w.out_is_file && poll(&out, 1, POLL_MS) <= 0)
        return 0;
    n = write(STDOUT_FILENO, s.p, w.out_is_file ? s.n : MIN(s.n, PIECE));
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return 0;
    if (n < 0)
        w.out_gone = errno == EPIPE || errno == EBADF;
    return n;
}

/* Returns what could not be written. */
static struct str write_stdout(struct str s)
{
    while (s.n && !w.out_gone) {
        ssize_t n = write_piece(s);

        if (n < 0 || (n == 0 && give_up()))
            break;
        s = str_skip(s, (size_t)n);
    }
    return s;
}

/* ---- the daily file ---- */

static void close_file(void)
{
    if (w.file >= 0)
        close(w.file);
    w.file = -1;
}

/* The file of today, opened anew when the day (UTC) is another. */
static int open_file(struct err *err)
{
    char now[CLOCK_TEXT_MAX], path[PATH_MAX + DAY_LENGTH + 8];

    (void)clock_text(now, clock_wall_us());
    now[DAY_LENGTH] = 0;
    if (w.file >= 0 && strcmp(now, w.day) == 0)
        return 0;
    close_file();
    (void)snprintf(path, sizeof path, "%s/smg.%.10s", w.dir, now);
    w.file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    if (w.file < 0)
        return err_set(err, err_from_errno(-errno), "log file %s: %s", path, strerrordesc_np(errno));
    memcpy(w.day, now, sizeof w.day);
    return 0;
}

static int write_file(struct str s)
{
    while (s.n) {
        ssize_t n = write(w.file, s.p, s.n);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        s = str_skip(s, (size_t)n);
    }
    return 0;
}

/* The parts between the colours. */
static int write_file_plain(struct str s)
{
    while (s.n) {
        size_t escape = str_find_char(s, '\x1b'), end;

        if (write_file(str_first(s, escape)) < 0)
            return -1;
        if (escape == STR_NPOS)
            return 0;
        s = str_skip(s, escape);
        end = str_find_char(s, 'm');
        s = str_skip(s, end == STR_NPOS ? s.n : end + 1);
    }
    return 0;
}

static bool say(enum log_level level, const char *message, struct log_field field);

static void write_to_file(struct str s)
{
    struct err err = { 0 };

    if (!w.dir[0])
        return;
    if (open_file(&err) == 0) {
        if ((w.style.colour ? write_file_plain(s) : write_file(s)) == 0) {
            w.file_failed = false;
            return;
        }
        (void)err_set(&err, err_from_errno(-errno), "log file smg.%s: %s", w.day, strerrordesc_np(errno));
        close_file(); /* opened again for the next lines */
    }
    if (!w.file_failed) {
        w.file_failed = true;
        (void)say(LOG_WARN, "cannot write the log file; trying again with each line", LF_CSTR("error", err.message));
    }
}

/* ---- the thread ---- */

/* A line of the writer's own, straight to stdout. False: it did not get there. */
static bool say(enum log_level level, const char *message, struct log_field field)
{
    struct log_line line = { .wall_us = clock_wall_us(),
                             .level = level,
                             .target = "smg::log",
                             .file = __FILE__,
                             .line = __LINE__,
                             .message = message,
                             .fields = &field,
                             .fields_n = 1 };

    buf_clear(&w.line);
    log_format_line(&w.line, &w.style, &line);
    return !w.line.failed && write_stdout(buf_str(&w.line)).n == 0;
}

static void tell_dropped(void)
{
    uint64_t dropped = log_dropped();

    if (dropped == w.dropped_told)
        return;
    if (say(LOG_WARN, "log lines were dropped", LF_UINT("lines", dropped - w.dropped_told)))
        w.dropped_told = dropped;
}

static void wait_until(uint64_t at_us)
{
    struct timespec ts = { .tv_sec = (time_t)(at_us / 1000000), .tv_nsec = (long)(at_us % 1000000 * 1000) };

    (void)pthread_cond_timedwait(&w.wake, &w.lock, &ts); /* late, early or woken: the caller looks again */
}

/* Waits for work; true with lines in w.writing, false when all is done. Collects when it is time. */
static bool take(void)
{
    bool go_on;

    pthread_mutex_lock(&w.lock);
    while (w.waiting.n == 0 && !w.stopping) {
        if (w.collect_at_us == 0)
            pthread_cond_wait(&w.wake, &w.lock);
        else if (clock_now_us() < w.collect_at_us)
            wait_until(w.collect_at_us);
        else {
            w.collect_at_us = 0;
            pthread_mutex_unlock(&w.lock);
            w.collect();
            pthread_mutex_lock(&w.lock);
        }
    }
    go_on = w.waiting.n > 0;
    if (go_on) {
        struct buf empty = w.writing;

        w.writing = w.waiting;
        w.waiting = empty;
        w.writing_n = w.writing.n;
    }
    pthread_mutex_unlock(&w.lock);
    return go_on;
}

static void put_back(void)
{
    if (w.writing.cap > KEEP_BYTES)
        buf_fini(&w.writing);
    buf_clear(&w.writing);
    pthread_mutex_lock(&w.lock);
    w.writing_n = 0;
    pthread_mutex_unlock(&w.lock);
}

static void *run(void *arg)
{
    (void)pthread_setname_np(pthread_self(), "smg-log");
    while (take()) {
        struct str lost;

        write_to_file(buf_str(&w.writing));
        lost = write_stdout(buf_str(&w.writing));
        if (w.file < 0)
            log_writer_count_dropped(lines_in(lost));
        put_back();
        tell_dropped();
    }
    return arg;
}

/* ---- start and stop ---- */

static int make_folders(const char *dir, struct err *err)
{
    char path[PATH_MAX];
    size_t n = strlen(dir);

    if (n >= sizeof path)
        return err_set(err, ERR_INVALID, "Failed to create log directory: the path is longer than %zu bytes", sizeof path - 1);
    memcpy(path, dir, n + 1);
    for (size_t i = 1; i <= n; i++) {
        char end = path[i];

        if (end != '/' && end != 0)
            continue;
        path[i] = 0;
        if (mkdir(path, 0750) < 0 && errno != EEXIST)
            return err_set(err, err_from_errno(-errno), "Failed to create log directory: %s: %s", path, strerrordesc_np(errno));
        path[i] = end;
    }
    return 0;
}

static int open_dir(const char *dir, struct err *err)
{
    int r;

    w.dir[0] = 0;
    w.day[0] = 0;
    if (!dir || !dir[0])
        return 0;
    r = make_folders(dir, err);
    if (r < 0)
        return r;
    memcpy(w.dir, dir, strlen(dir) + 1);
    return open_file(err);
}

/* The thread takes no signals: SIGPIPE of a closed stdout becomes an error of write, and the rest is main's. */
static int start_thread(struct err *err)
{
    pthread_condattr_t attr;
    sigset_t all, before;
    int number;

    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&w.wake, &attr);
    pthread_condattr_destroy(&attr);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    number = pthread_create(&w.thread, NULL, run, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return number ? err_set(err, err_from_errno(-number), "cannot start the log's thread: %s", strerrordesc_np(number)) : 0;
}

int log_writer_start(const char *dir, const struct log_style *style, void (*collect)(void), struct err *err)
{
    struct stat out;
    int r;

    w.style = *style;
    w.collect = collect;
    w.out_gone = false;
    w.out_is_file = fstat(STDOUT_FILENO, &out) == 0 && S_ISREG(out.st_mode);
    w.file_failed = false;
    w.stopping = false;
    w.collect_at_us = 0;
    w.dropped_told = log_dropped();
    atomic_store_explicit(&w.stop_at_us, 0, memory_order_relaxed);
    r = open_dir(dir, err);
    if (r < 0)
        return r;
    w.open = true;
    r = start_thread(err);
    if (r < 0) {
        w.open = false;
        close_file();
    }
    return r;
}

void log_writer_stop(void)
{
    struct timespec until;

    atomic_store_explicit(&w.stop_at_us, clock_now_us() + STOP_US, memory_order_relaxed);
    pthread_mutex_lock(&w.lock);
    w.open = false;
    w.stopping = true;
    pthread_cond_signal(&w.wake);
    pthread_mutex_unlock(&w.lock);

    /* A write that blocks although poll promised otherwise must not keep the process: leave the thread and its memory then. */
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 1 + STOP_US / 1000000;
    if (pthread_timedjoin_np(w.thread, NULL, &until) != 0) {
        pthread_detach(w.thread);
        return;
    }
    pthread_cond_destroy(&w.wake);
    buf_fini(&w.waiting);
    buf_fini(&w.writing);
    buf_fini(&w.line);
    close_file();
}
