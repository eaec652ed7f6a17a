/* hub_get.c -- a program for tests/integration/test_hub.py: one hub_fetch, configured by the environment
 *
 *     hub_get SOURCE [backoff_ms=N] [attempts=N] [stall_s=N] [lock_s=N] [retry_after_max_s=N] [file_bytes_max=N]
 *
 * Prints one JSON object: {"status":0,"dir":...,"commit":...,"origin":"cached","why":...,"message":...,"phase":...,"files_done":...,...,"phases":[...]}. SIGINT cancels.
 * A second thread looks at the progress all the time, as a status page would.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "fetch/hub.h"
#include "json/json_write.h"

static _Atomic bool cancel, over;
static struct hub_progress progress;
static unsigned phases; /* bits of enum hub_phase that were seen; the watcher's until it is joined */
static bool fell;       /* a count was seen to be above its total */

static void on_signal(int number)
{
    (void)number;
    atomic_store(&cancel, true);
}

static void *watch(void *arg)
{
    while (!atomic_load(&over)) {
        phases |= 1u << atomic_load(&progress.phase);
        fell |= atomic_load(&progress.files_done) > atomic_load(&progress.files_total);
        usleep(1000);
    }
    return arg;
}

static void set(struct hub_config *c, const char *text)
{
    static const char *const NAMES[] = { "backoff_ms", "attempts", "stall_s", "lock_s", "retry_after_max_s", "file_bytes_max" };
    struct str name, value;
    uint64_t n;

    if (!str_split(str_of(text), '=', &name, &value) || str_to_u64(value, &n) < 0)
        exit(2);
    if (str_eq(name, str_of(NAMES[0])))
        c->backoff_ms = (uint32_t)n;
    else if (str_eq(name, str_of(NAMES[1])))
        c->attempts = (unsigned)n;
    else if (str_eq(name, str_of(NAMES[2])))
        c->stall_s = (uint32_t)n;
    else if (str_eq(name, str_of(NAMES[3])))
        c->lock_s = (uint32_t)n;
    else if (str_eq(name, str_of(NAMES[4])))
        c->retry_after_max_s = (uint32_t)n;
    else if (str_eq(name, str_of(NAMES[5])))
        c->file_bytes_max = n;
    else
        exit(2);
}

static void print(int status, const struct hub_snapshot *s, const struct err *err)
{
    static const char *const ORIGINS[] = { "cached", "fetched", "fallback" };
    struct buf out = { 0 };
    struct json_writer w;

    json_begin(&w, &out);
    json_object(&w);
    json_put_i64(&w, "status", status);
    json_put_str(&w, "dir", str_of(s->dir));
    json_put_str(&w, "commit", str_of(s->commit));
    json_put_str(&w, "origin", str_of(status == 0 ? ORIGINS[s->origin] : ""));
    json_put_str(&w, "why", str_of(s->why.message));
    json_put_str(&w, "message", str_of(err->message));
    json_put_str(&w, "phase", str_of(hub_phase_text((enum hub_phase)atomic_load(&progress.phase))));
    json_put_u64(&w, "files_done", atomic_load(&progress.files_done));
    json_put_u64(&w, "files_total", atomic_load(&progress.files_total));
    json_put_u64(&w, "bytes_done", atomic_load(&progress.bytes_done));
    json_put_u64(&w, "bytes_total", atomic_load(&progress.bytes_total));
    json_put_bool(&w, "fell", fell);
    json_put_array(&w, "phases");
    for (unsigned i = 0; i <= HUB_FAILED; i++) {
        if (phases & 1u << i)
            json_value_str(&w, str_of(hub_phase_text((enum hub_phase)i)));
    }
    json_end(&w);
    json_end(&w);
    printf("%.*s\n", STR_FMT(buf_str(&out)));
    buf_fini(&out);
}

int main(int argc, char **argv)
{
    struct hub_config config;
    struct hub_snapshot snapshot = { 0 };
    struct err err = { 0 };
    pthread_t watcher;
    int st;

    if (argc < 2 || pthread_create(&watcher, NULL, watch, NULL) != 0)
        return 2;
    signal(SIGINT, on_signal);
    st = hub_config_from_env(&config, &err);
    if (st == 0) {
        for (int i = 2; i < argc; i++)
            set(&config, argv[i]);
        st = hub_fetch(&config, str_of(argv[1]), &progress, &cancel, &snapshot, &err);
    }
    atomic_store(&over, true);
    pthread_join(watcher, NULL);
    print(st, &snapshot, &err);
    free(snapshot.dir);
    hub_config_fini(&config);
    return st == 0 ? 0 : 1;
}
