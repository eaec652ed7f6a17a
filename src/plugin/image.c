#include "plugin/image.h"

#include "base/utf8.h"

/* An image being written. Two rows of words (arguments, then tables), then texts; all sizes are known before the first byte is written. */
struct writer {
    char *p;
    size_t argument, table, text; /* where the next one goes, in bytes from P */
    size_t head;                  /* bytes before the body */
    struct str body;
};

static void put_word_at(struct writer *w, size_t at, size_t v)
{
    for (int i = 0; i < 4; i++)
        w->p[at + (size_t)i] = (char)(v >> (7 * i) & 0x7f);
}

static void put_word(struct writer *w, size_t *row, size_t v)
{
    put_word_at(w, *row, v);
    *row += 4;
}

static void put_text(struct writer *w, size_t *row, struct str s)
{
    put_word(w, row, BRIDGE_IMAGE + w->text);
    put_word(w, row, s.n);
    if (s.n > 0)
        memcpy(w->p + w->text, s.p, s.n);
    w->text += s.n;
}

static void put_pairs(struct writer *w, const struct wasm_headers *pairs)
{
    put_word(w, &w->argument, BRIDGE_IMAGE + w->table);
    put_word(w, &w->argument, pairs->n);
    for (size_t i = 0; i < pairs->n; i++) {
        put_text(w, &w->table, pairs->v[i].name);
        put_text(w, &w->table, pairs->v[i].value);
    }
}

static void put_value(struct writer *w, const struct wasm_value *v)
{
    switch (v->kind) {
    case VALUE_WORD:
        put_word(w, &w->argument, v->number);
        break;
    case VALUE_LONG:
        put_word(w, &w->argument, v->number & ((1u << BRIDGE_WORD_BITS) - 1));
        put_word(w, &w->argument, v->number >> BRIDGE_WORD_BITS);
        break;
    case VALUE_TEXT:
        put_text(w, &w->argument, v->bytes);
        break;
    case VALUE_PAIRS:
        put_pairs(w, &v->pairs);
        break;
    case VALUE_BYTES:
        put_word(w, &w->argument, BRIDGE_IMAGE + w->head);
        put_word(w, &w->argument, v->bytes.n);
        w->body = v->bytes;
        break;
    }
}

/* Where the rows and the texts begin, and how long all of it is. Returns the number of words. */
static size_t lay_out(struct writer *w, const struct wasm_values *values)
{
    size_t arguments = 0, pairs = 0, texts = 0;

    for (size_t i = 0; i < values->n; i++) {
        const struct wasm_value *v = &values->v[i];

        arguments += v->kind == VALUE_WORD ? 1 : 2;
        texts += v->kind == VALUE_TEXT ? v->bytes.n : 0;
        pairs += v->pairs.n;
        for (size_t k = 0; k < v->pairs.n; k++)
            texts += v->pairs.v[k].name.n + v->pairs.v[k].value.n;
    }
    w->argument = 4;
    w->table = 4 * (1 + arguments);
    w->text = w->table + VALUES_PAIR_BYTES * pairs;
    w->head = w->text + texts;
    w->head += w->head & 1; /* see BRIDGE_PIECE: pieces of bytes have even lengths */
    return w->text / 4;
}

static size_t body_bytes(const struct wasm_values *values)
{
    for (size_t i = 0; i < values->n; i++)
        if (values->v[i].kind == VALUE_BYTES)
            return values->v[i].bytes.n;
    return 0;
}

int image_write(const struct wasm_values *values, struct arena *arena, struct image *ret, struct err *err)
{
    struct writer w = { 0 };
    size_t words = lay_out(&w, values), body = body_bytes(values), join = body <= IMAGE_JOIN_MAX ? body : 0;

    w.p = arena_alloc(arena, w.head + join + 1);
    if (!w.p)
        return err_set(err, ERR_NOMEM, "no memory for a plugin's arguments");
    w.p[w.head - 1] = 0; /* the byte that makes it even */
    put_word_at(&w, 0, words);
    for (size_t i = 0; i < values->n; i++)
        put_value(&w, &values->v[i]);
    if (join)
        memcpy(w.p + w.head, w.body.p, join);
    *ret = (struct image){ .head = { w.p, w.head + join }, .body = join ? STR_NONE : w.body, .text = utf8_valid(w.body) };
    return 0;
}
