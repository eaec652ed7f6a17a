/* loaded.h -- tokenizers for tests, written out in a few lines */
#pragma once

#include "test.h"

#include "text/tokenizer/tokenizer.h"

/* A tokenizer.json whose model gives each of these characters its number as id, so that ids show what the model was given: a=0 b=1 c=2 d=3 " "=4 "▁"=5, anything else 9. MORE: further members, with a comma
 * at the end. */
#define CHARACTERS(more)                                                                                                \
    "{\"version\":\"1.0\"," more                                                                                        \
    "\"model\":{\"type\":\"BPE\",\"unk_token\":\"?\",\"merges\":[],\"vocab\":{\"a\":0,\"b\":1,\"c\":2,\"d\":3,\" \":4," \
    "\"\u2581\":5,\"A\":6,\"x\":7,\"y\":8,\"?\":9}}}"

static inline struct tokenizer *loaded(struct tokenizer_files files)
{
    struct tokenizer_limits limits = TOKENIZER_LIMITS_DEFAULT;
    struct tokenizer *t = NULL;
    struct err err = { 0 };
    int r = tokenizer_load(&files, &limits, &t, &err);

    if (r < 0)
        fail_msg("load: %d %s", r, err.message);
    return t;
}

static inline struct tokenizer *loaded_json(const char *json)
{
    return loaded((struct tokenizer_files){ .tokenizer_json = str_of(json) });
}

/* Loading fails with CODE and a text that contains PART. */
static inline void refuses_files(struct tokenizer_files files, int code, const char *part)
{
    struct tokenizer_limits limits = { 1 << 20, 1000, 100, 100 };
    struct tokenizer *t = NULL;
    struct err err = { 0 };
    int r = tokenizer_load(&files, &limits, &t, &err);

    assert_null(t);
    if (!strstr(err.message, part))
        fail_msg("wanted \"%s\", got %d \"%s\"", part, r, err.message);
    assert_int_equal(r, code);
}

static inline void refuses(const char *json, int code, const char *part)
{
    refuses_files((struct tokenizer_files){ .tokenizer_json = str_of(json) }, code, part);
}

/* "0 1 4": the ids of TEXT. Compared as text so that a failure shows them. */
static inline void encodes_bytes(struct tokenizer *t, struct str text, unsigned flags, const char *want)
{
    struct tokenizer_encoder *e;
    struct ids ids = { 0 };
    struct buf got = { 0 };
    struct err err = { 0 };

    assert_int_equal(tokenizer_encoder_new(t, 1 << 16, &e), 0);
    int r = tokenizer_encode(e, text, flags, &ids, &err);
    if (r < 0)
        fail_msg("encode: %d %s", r, err.message);
    for (size_t i = 0; i < ids.n; i++)
        buf_printf(&got, "%s%u", i ? " " : "", ids.v[i]);
    buf_put_char(&got, 0);
    assert_string_equal(got.p, want);
    buf_fini(&got);
    ids_fini(&ids);
    tokenizer_encoder_free(e);
}

static inline void encodes(struct tokenizer *t, const char *text, const char *want)
{
    encodes_bytes(t, str_of(text), 0, want);
}
