/* tests/fuzz/pretokenizer.c -- any JSON as a pre-tokenizer and as a normalizer: refused with a reason, or it runs on any text within bounds and gives pieces that are not empty */
#include <stdlib.h>

#include "text/tokenizer/normalizer.h"
#include "text/tokenizer/pretokenizer.h"

#include "base/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool holds)
{
    if (!holds)
        abort();
}

static void run_normalizer(struct json v, struct str text)
{
    struct normalizer *n = NULL;
    struct err err = { 0 };
    struct buf work[2] = { { 0 }, { 0 } };
    struct str once;
    if (normalizer_parse(v, &n, &err) < 0) {
        expect(!n && err.message[0]);
        return;
    }
    if (normalizer_run(n, text, work, &once, &err) == 0)
        expect(utf8_valid(once));
    buf_fini(&work[0]);
    buf_fini(&work[1]);
    normalizer_free(n);
}

static void run_pretokenizer(struct json v, struct str text)
{
    struct pretokenizer *p = NULL;
    struct pretokenizer_work *w;
    struct pieces pieces = { 0 };
    struct err err = { 0 };
    if (pretokenizer_parse(v, &p, &err) < 0) {
        expect(!p && err.message[0]);
        return;
    }
    if (text.n && pretokenizer_work_new(&w) == 0) {
        if (pretokenizer_run(p, w, text, true, &pieces, &err) == 0) {
            for (size_t k = 0, from = 0; k < pieces.n; from = pieces.ends[k++])
                expect(pieces.ends[k] > from && pieces.ends[k] <= pieces.text.n);
            expect(pieces.n == 0 || pieces.ends[pieces.n - 1] == pieces.text.n);
        } else
            expect(err.message[0]);
        pretokenizer_work_free(w);
    }
    pieces_fini(&pieces);
    pretokenizer_free(p);
}

/* Input: the JSON, a NUL, the text. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str whole = { (const char *)data, size }, json, text;
    struct arena arena;
    struct json_doc doc;
    (void)str_split(whole, 0, &json, &text); /* without a NUL: no text */
    if (size > 8192 || !utf8_valid(text))
        return 0;
    text = text.p ? text : STR("");
    arena_init(&arena, NULL, 0);
    if (json_parse(json, &arena, &doc, NULL) == 0) {
        run_normalizer(json_root(&doc), text);
        run_pretokenizer(json_root(&doc), text);
    }
    arena_fini(&arena);
    return 0;
}
