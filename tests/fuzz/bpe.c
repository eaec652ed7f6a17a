/* tests/fuzz/bpe.c -- a small BPE model and a text from the input: the ids are those of the definition, with and without cache, asked once or twice */
#include <stdlib.h>

#include "../unit/text/tokenizer/bpe_reference.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool holds)
{
    if (!holds)
        abort();
}

static void compare(const struct model *m, const struct bpe_config *c, struct model_state *s, const char *text, size_t n)
{
    static uint32_t want[REFERENCE_SYMBOLS];
    struct ids ids = { 0 };
    uint32_t end = (uint32_t)n;
    size_t want_n;
    char *copy = malloc(n); /* exact, so that a byte read behind the text is seen */

    expect(copy != NULL);
    memcpy(copy, text, n);
    int known = reference_encode(c, (struct str){ text, n }, want, &want_n);
    int r = model_encode(m, s, copy, 0, &end, 1, &ids, NULL);
    expect(r == (known < 0 ? ERR_INVALID : 0));
    if (known == 0) {
        expect(ids.n == want_n);
        expect(want_n == 0 || memcmp(ids.v, want, want_n * sizeof(*want)) == 0);
    }
    ids_fini(&ids);
    free(copy);
}

/* The same text twice with a mark between, some of its U+2581 as ' '. */
static void compare_marked(const struct model *m, const struct bpe_config *c, struct model_state *s, struct str text,
                           unsigned which)
{
    static uint32_t want[REFERENCE_SYMBOLS];
    size_t want_n;
    struct ids ids = { 0 };
    char *copy = malloc(2 * text.n + 1);

    expect(copy != NULL);
    size_t n = reference_blanks(text, which, copy);
    struct model_mark mark = { (uint32_t)n, (uint32_t)n + 1, 77 };
    copy[n++] = '~';
    n += reference_blanks(text, which >> 8, copy + n);
    char *exact = realloc(copy, n);
    expect(exact != NULL);
    bool known = reference_marked(c, text, 77, text, want, &want_n);
    expect(m->ops->encode_marked(m, s, (struct str){ exact, n }, 0, n, &mark, 1, &ids, NULL) == (known ? 0 : ERR_INVALID));
    expect(!known || (ids.n == want_n && memcmp(ids.v, want, want_n * sizeof(*want)) == 0));
    ids_fini(&ids);
    free(exact);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reference_bytes in = { data, size };
    struct reference_case k;
    struct model *m;
    char text[2048];

    if (size > 1000)
        return 0;
    expect(reference_make(&k, &in));
    expect(bpe_model_new(&k.config, &m, NULL) == 0);
    size_t n = reference_text(&in, text, sizeof(text));
    for (size_t cache = 0; n > 0 && cache <= 256; cache += 256) {
        struct model_state *s;
        expect(m->ops->state_new(m, cache, &s) == 0);
        compare(m, &k.config, s, text, n);
        compare(m, &k.config, s, text, n);
        m->ops->state_free(s);
    }
    for (size_t cache = 0; n > 0 && m->ops->take_blanks(m) && cache <= 256; cache += 256) {
        struct model_state *s;
        expect(m->ops->state_new(m, cache, &s) == 0);
        compare_marked(m, &k.config, s, (struct str){ text, n }, size ? data[size - 1] * 257u : 0);
        m->ops->state_free(s);
    }
    m->ops->free(m);
    return 0;
}
