/* What the tests of the word models share: a vocabulary out of a list, and a piece encoded. */
#pragma once

#include <stdio.h>

#include "test.h"

#include "text/tokenizer/model.h"

/* NULL: no memory. */
static struct vocab *words_vocab(const char *const *tokens, size_t n)
{
    struct vocab_builder *b;
    struct vocab *v;
    if (vocab_builder_new(false, n, 16 * n, &b) < 0)
        return NULL;
    for (size_t i = 0; i < n; i++)
        if (vocab_builder_add(b, str_of(tokens[i]), (uint32_t)i) < 0) {
            vocab_builder_free(b);
            return NULL;
        }
    return vocab_builder_finish(b, &v) == 0 ? v : NULL;
}

/* The ids of one piece, as "1 2 3"; the error's text when there is one. With a cache and asked twice: both answers must be the same. */
static const char *words_encode(const struct model *m, struct str piece)
{
    static char text[2][4096];
    struct model_state *s;
    struct err err = { 0 };
    assert_int_equal(m->ops->state_new(m, 1 << 14, &s), 0);
    for (int round = 0; round < 2; round++) {
        struct ids ids = { 0 };
        uint32_t end = (uint32_t)piece.n;
        size_t n = 0;
        text[round][0] = '\0';
        if (model_encode(m, s, piece.p, 0, &end, 1, &ids, &err) < 0)
            snprintf(text[round], sizeof(text[round]), "%s", err.message);
        for (size_t i = 0; i < ids.n && n < sizeof(text[round]) - 12; i++)
            n += (size_t)snprintf(text[round] + n, sizeof(text[round]) - n, i ? " %u" : "%u", ids.v[i]);
        ids_fini(&ids);
    }
    m->ops->state_free(s);
    assert_string_equal(text[0], text[1]);
    return text[0];
}
