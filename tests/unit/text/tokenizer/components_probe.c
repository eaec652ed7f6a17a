/* components_probe.c -- runs normalizers and pre-tokenizers for tests/integration/test_tokenizer_components.py
 *
 * stdin, frames: one letter, u32 length (little-endian), bytes. N = a normalizer (JSON), P = a pre-tokenizer (JSON), T = a text for the component before it.
 * stdout, one answer per frame: u32 count, then for each string u32 length, bytes. Components answer with no string, or with the message of their error; a T that fails with count 0xffffffff.
 */
#include <stdio.h>
#include <stdlib.h>

#include "text/tokenizer/normalizer.h"
#include "text/tokenizer/pretokenizer.h"
#include "text/tokenizer/unicode.h"
#include "text/tokenizer/vocab.h"

static void put_u32(uint32_t v)
{
    const unsigned char b[4] = { (unsigned char)v, (unsigned char)(v >> 8), (unsigned char)(v >> 16), (unsigned char)(v >> 24) };
    fwrite(b, 1, 4, stdout);
}

static void put_str(struct str s)
{
    put_u32((uint32_t)s.n);
    fwrite(s.p, 1, s.n, stdout);
}

static bool get_u32(uint32_t *ret)
{
    unsigned char b[4];
    if (fread(b, 1, 4, stdin) != 4)
        return false;
    *ret = b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
    return true;
}

struct probe {
    struct normalizer *n;
    struct pretokenizer *p;
    struct pretokenizer_work *w;
    bool pretokenizes;
    struct buf work[2];
    struct pieces pieces;
};

static void parse(struct probe *o, char what, struct str text)
{
    struct arena arena;
    struct json_doc doc;
    struct err err = { 0 };
    arena_init(&arena, NULL, 0);
    normalizer_free(o->n);
    pretokenizer_free(o->p);
    o->n = NULL;
    o->p = NULL;
    o->pretokenizes = what == 'P';
    int r = json_parse(text, &arena, &doc, NULL);
    if (r == 0)
        r = what == 'P' ? pretokenizer_parse(json_root(&doc), &o->p, &err) : normalizer_parse(json_root(&doc), &o->n, &err);
    arena_fini(&arena);
    put_u32(r < 0 ? 1 : 0);
    if (r < 0)
        put_str(str_of(err.message));
}

static void run_pretokenizer(struct probe *o, struct str text)
{
    struct err err = { 0 };
    const struct scanner *s = pretokenizer_scanner(o->p);
    if (!text.n) {
        put_u32(0);
        return;
    }
    if (s) { /* what an encoder does then */
        uint32_t ends[3];
        size_t at = 0, n, count = 0;
        while ((n = s->scan(text.p, text.n, at, ends, 3)) != 0) {
            count += n;
            at = ends[n - 1];
        }
        put_u32((uint32_t)count);
        for (size_t from = 0; from < text.n;) {
            n = s->scan(text.p, text.n, from, ends, 1);
            put_str((struct str){ text.p + from, ends[0] - from });
            from = ends[0];
        }
        return;
    }
    int r = pretokenizer_run(o->p, o->w, text, true, &o->pieces, &err);
    if (r < 0) {
        put_u32(UINT32_MAX);
        put_str(str_of(err.message));
        return;
    }
    put_u32((uint32_t)o->pieces.n);
    for (size_t k = 0, from = 0; k < o->pieces.n; from = o->pieces.ends[k++])
        put_str((struct str){ o->pieces.text.p + from, o->pieces.ends[k] - from });
}

static void run_normalizer(struct probe *o, struct str text)
{
    struct err err = { 0 };
    struct str to;
    int r = normalizer_run(o->n, text, o->work, &to, &err);
    put_u32(r < 0 ? UINT32_MAX : 1);
    put_str(r < 0 ? str_of(err.message) : to);
}

int main(void)
{
    struct probe o = { 0 };
    struct buf in = { 0 };
    uint32_t n;
    int what;
    if (pretokenizer_work_new(&o.w) < 0)
        return 1;
    while ((what = getchar()) != EOF && get_u32(&n)) {
        buf_clear(&in);
        char *p = buf_reserve(&in, (size_t)n + 1);
        if (!p || fread(p, 1, n, stdin) != n)
            return 1;
        if (what != 'T')
            parse(&o, (char)what, (struct str){ p, n });
        else if (o.pretokenizes)
            run_pretokenizer(&o, (struct str){ p, n });
        else
            run_normalizer(&o, (struct str){ p, n });
        fflush(stdout);
    }
    normalizer_free(o.n);
    pretokenizer_free(o.p);
    pretokenizer_work_free(o.w);
    pieces_fini(&o.pieces);
    buf_fini(&o.work[0]);
    buf_fini(&o.work[1]);
    buf_fini(&in);
    return 0;
}
