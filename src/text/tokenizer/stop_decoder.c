/* text/tokenizer/stop_decoder.c
 *
 *   id --> a stop token? --yes--> stopped, with what was withheld (and the token's text when it is visible)
 *     no --> detokenizer --> behind `jail` --> matcher: a match? --yes--> stopped, with the text up to it
 *                                               no --> all but what may become a match goes out
 */
#include "text/tokenizer/stop_decoder.h"

#include <stdlib.h>
#include <string.h>

#include "text/scan/stop_matcher.h"

struct stop_decoder {
    struct detokenizer detokenizer;
    const struct tokenizer *t;
    struct stop_matcher *matcher; /* owned; NULL: no stop strings */
    uint32_t state;               /* the matcher's */
    struct buf jail;              /* text that may become a stop string; then the fresh text behind it */
    bool visible, skip_specials, stopped;
    int matched; /* number of the stop string; -1 = none */
    size_t tokens_n;
    uint32_t tokens[];
};

int stop_decoder_new(const struct tokenizer *t, const struct stop_config *c, struct stop_decoder **ret, struct err *err)
{
    struct stop_decoder *d = calloc(1, sizeof(*d) + c->tokens_n * sizeof(*d->tokens));
    bool any = false;
    int r = d ? 0 : ERR_NOMEM;
    for (size_t i = 0; i < c->stops_n; i++)
        any = any || c->stops[i].n;
    if (r == 0 && any)
        r = stop_matcher_new(c->stops, c->stops_n, &d->matcher);
    if (r < 0) {
        free(d);
        return err_set(err, r, r == ERR_LIMIT ? "the stop strings are too long" : "out of memory while stop strings were read");
    }
    d->t = t;
    d->visible = c->visible;
    d->skip_specials = c->skip_specials;
    d->matched = -1;
    d->tokens_n = c->tokens_n;
    if (c->tokens_n)
        memcpy(d->tokens, c->tokens, c->tokens_n * sizeof(*d->tokens));
    detokenizer_init(&d->detokenizer, t, c->skip_specials);
    *ret = d;
    return 0;
}

void stop_decoder_free(struct stop_decoder *d)
{
    if (!d)
        return;
    detokenizer_fini(&d->detokenizer);
    stop_matcher_free(d->matcher);
    buf_fini(&d->jail);
    free(d);
}

void stop_decoder_reset(struct stop_decoder *d)
{
    detokenizer_reset(&d->detokenizer);
    buf_clear(&d->jail);
    d->state = 0;
    d->stopped = false;
    d->matched = -1;
}

struct str stop_decoder_matched(const struct stop_decoder *d)
{
    return d->matched < 0 ? STR_NONE : stop_matcher_string(d->matcher, d->matched);
}

/* The first N bytes of the jail go out. */
static void release(struct stop_decoder *d, size_t n, struct buf *out)
{
    buf_put(out, str_first(buf_str(&d->jail), n));
    buf_consume(&d->jail, n);
}

static int stop(struct stop_decoder *d, size_t n, struct buf *out)
{
    d->stopped = true;
    release(d, n, out);
    buf_clear(&d->jail);
    return out->failed ? ERR_NOMEM : n ? STOP_STOPPED_WITH_TEXT : STOP_STOPPED;
}

static int stop_at_token(struct stop_decoder *d, uint32_t id, struct buf *out)
{
    if (d->visible && tokenizer_decode(d->t, &id, 1, d->skip_specials, &d->jail, NULL) == ERR_NOMEM)
        return ERR_NOMEM;
    int r = stop(d, d->jail.n, out);
    return r == STOP_STOPPED && d->visible ? STOP_STOPPED_WITH_TEXT : r; /* a visible token tells, even when it has no text */
}

/* Text came behind jail[0, old). */
static int look(struct stop_decoder *d, size_t old, struct buf *out)
{
    size_t end, keep = 0;
    if (d->jail.failed)
        return ERR_NOMEM;
    if (d->matcher) {
        d->matched = stop_matcher_feed(d->matcher, &d->state, str_skip(buf_str(&d->jail), old), &end);
        if (d->matched >= 0)
            return stop(d, old + end - (d->visible ? 0 : stop_decoder_matched(d).n), out);
        keep = stop_matcher_pending(d->matcher, d->state);
    }
    size_t n = d->jail.n - keep;
    release(d, n, out);
    return out->failed ? ERR_NOMEM : n ? STOP_TEXT : STOP_HELD;
}

int stop_decoder_put(struct stop_decoder *d, uint32_t id, struct buf *out)
{
    if (d->stopped)
        return STOP_STOPPED;
    for (size_t i = 0; i < d->tokens_n; i++)
        if (d->tokens[i] == id)
            return stop_at_token(d, id, out);
    size_t old = d->jail.n;
    if (detokenizer_put(&d->detokenizer, id, &d->jail) < 0)
        return ERR_NOMEM;
    return look(d, old, out);
}

int stop_decoder_flush(struct stop_decoder *d, struct buf *out)
{
    size_t old = d->jail.n;
    if (d->stopped)
        return STOP_STOPPED;
    if (detokenizer_flush(&d->detokenizer, &d->jail) < 0)
        return ERR_NOMEM;
    int r = look(d, old, out);
    if (r < 0 || d->stopped)
        return r;
    size_t rest = d->jail.n;
    release(d, rest, out);
    return out->failed ? ERR_NOMEM : rest || r == STOP_TEXT ? STOP_TEXT : STOP_HELD;
}
