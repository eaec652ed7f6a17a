#include "plugin/output.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

/* The bytes of one stream behind its last newline. */
struct stream {
    struct output *_Atomic in; /* published behind everything else: the library's threads begin here */
    bool is_stderr;
    size_t n;
    char partial[OUTPUT_LINE];
};

struct output {
    atomic_uint refs; /* the call's, and one per stream that is attached */
    pthread_mutex_t lock;
    struct stream streams[2];
    struct buf lines; /* rows of: one byte (1 = stderr), two of length, the line */
    bool cut, told;
};

struct output *output_new(void)
{
    struct output *o = calloc(1, sizeof *o);

    if (!o)
        return NULL;
    atomic_init(&o->refs, 1);
    pthread_mutex_init(&o->lock, NULL);
    o->lines.max = OUTPUT_BYTES;
    for (int i = 0; i < 2; i++) {
        o->streams[i].is_stderr = i == 1;
        atomic_store_explicit(&o->streams[i].in, o, memory_order_release);
    }
    return o;
}

void output_ref(struct output *o)
{
    if (o)
        atomic_fetch_add_explicit(&o->refs, 1, memory_order_relaxed);
}

void output_unref(struct output *o)
{
    if (!o || atomic_fetch_sub_explicit(&o->refs, 1, memory_order_acq_rel) != 1)
        return;
    buf_fini(&o->lines);
    pthread_mutex_destroy(&o->lock);
    free(o);
}

static void end_line(struct stream *s)
{
    struct output *o = atomic_load_explicit(&s->in, memory_order_relaxed);
    struct buf *b = &o->lines;
    char *row = b->n + s->n + 3 <= OUTPUT_BYTES ? buf_reserve(b, s->n + 3) : NULL;

    if (row) {
        row[0] = (char)s->is_stderr;
        row[1] = (char)(s->n & 0xff);
        row[2] = (char)(s->n >> 8);
        memcpy(row + 3, s->partial, s->n);
        b->n += s->n + 3;
    } else {
        o->cut = true;
    }
    s->n = 0;
}

static void gather(struct stream *s, struct str bytes)
{
    while (bytes.n > 0) {
        size_t room = sizeof s->partial - s->n;
        struct str part = str_first(bytes, room);
        size_t newline = str_find_char(part, '\n');
        size_t n = newline == STR_NPOS ? part.n : newline;

        memcpy(s->partial + s->n, bytes.p, n);
        s->n += n;
        if (newline != STR_NPOS || s->n == sizeof s->partial)
            end_line(s);
        bytes = str_skip(bytes, newline == STR_NPOS ? n : n + 1);
    }
}

static ptrdiff_t on_output(void *data, const unsigned char *bytes, size_t n)
{
    struct stream *s = data;
    struct output *o = atomic_load_explicit(&s->in, memory_order_acquire);

    pthread_mutex_lock(&o->lock);
    if (!o->told && !o->cut)
        gather(s, (struct str){ (const char *)bytes, n });
    pthread_mutex_unlock(&o->lock);
    return (ptrdiff_t)n; /* all of it: the guest need not know */
}

static void stream_gone(void *data)
{
    output_unref(atomic_load_explicit(&((struct stream *)data)->in, memory_order_acquire));
}

void output_attach(struct output *o, const struct wasmtime_api *api, wasmtime_wasi *wasi)
{
    atomic_fetch_add_explicit(&o->refs, 2, memory_order_relaxed);
    api->wasi_config_set_stdout_custom(wasi, on_output, &o->streams[0], stream_gone);
    api->wasi_config_set_stderr_custom(wasi, on_output, &o->streams[1], stream_gone);
}

void output_tell(struct output *o, wasm_output *tell, void *owner, struct str module, struct str request_id)
{
    struct str rest;

    pthread_mutex_lock(&o->lock);
    for (int i = 0; i < 2; i++) {
        if (o->streams[i].n > 0)
            end_line(&o->streams[i]);
    }
    o->told = true; /* from here on nobody else touches the lines */
    pthread_mutex_unlock(&o->lock);
    for (rest = buf_str(&o->lines); tell && rest.n >= 3;) {
        size_t n = (size_t)(uint8_t)rest.p[1] | (size_t)(uint8_t)rest.p[2] << 8;
        struct str line = { rest.p + 3, n };

        if (line.n > 0 && line.p[line.n - 1] == '\r')
            line.n--;
        tell(owner, module, request_id, rest.p[0] != 0, line);
        rest = str_skip(rest, n + 3);
    }
    if (tell && o->cut)
        tell(owner, module, request_id, true, STR("(the rest of this call's output was dropped: at most 64 KiB are kept)"));
}
