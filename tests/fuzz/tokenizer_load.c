/* Any bytes as a tokenizer's files: refused with a reason, or loaded within bounds; what is loaded encodes any text the same with and without a cache of pieces, and decodes any ids
 *
 * Input: a byte for the kind of file, a byte for the length of the text at the end; the file; the text.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "text/tokenizer/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool holds)
{
    if (!holds)
        abort();
}

static int encode(const struct tokenizer *t, size_t cache_bytes, struct str text, struct ids *ids)
{
    struct tokenizer_encoder *e;
    struct err err = { 0 };
    expect(tokenizer_encoder_new(t, cache_bytes, &e) == 0);
    int r = tokenizer_encode(e, text, ENCODE_SPECIALS, ids, &err);
    expect(r == 0 || err.message[0]);
    tokenizer_encoder_free(e);
    return r;
}

static void use(const struct tokenizer *t, struct str text)
{
    struct ids cold = { 0 }, warm = { 0 };
    struct buf out = { 0 };
    int r = encode(t, 0, text, &cold);
    expect(encode(t, 1 << 16, text, &warm) == r);
    expect(r < 0 || (cold.n == warm.n && (!cold.n || memcmp(cold.v, warm.v, cold.n * sizeof(*cold.v)) == 0)));
    if (r == 0 && tokenizer_decode(t, cold.v, cold.n, false, &out, NULL) == 0)
        expect(utf8_valid(buf_str(&out)));
    for (uint32_t id = 0; id < 16; id++)
        (void)tokenizer_token(t, id, &out);
    ids_fini(&cold);
    ids_fini(&warm);
    buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tokenizer_limits limits = { 1 << 20, 4096, 512, 1024 };
    struct tokenizer *t = NULL;
    struct err err = { 0 };
    if (size < 2)
        return 0;
    size_t text_n = data[1] < size - 2 ? data[1] : 0;
    struct str file = { (const char *)data + 2, size - 2 - text_n }, text = { (const char *)data + size - text_n, text_n };
    struct tokenizer_files files = { 0 };
    switch (data[0] % 4) {
    case 0:
        files.tokenizer_json = file;
        break;
    case 1:
        files.tiktoken = file;
        break;
    case 2: /* vocab.json, NUL, merges.txt, NUL, tokenizer_config.json */
        files.vocab_json = str_first(file, strnlen(file.p, file.n));
        file = str_skip(file, files.vocab_json.n + (files.vocab_json.n < file.n));
        files.merges_txt = str_first(file, strnlen(file.p, file.n));
        files.tokenizer_config = str_skip(file, files.merges_txt.n + (files.merges_txt.n < file.n));
        break;
    default:
        files.tokenizer_json =
            STR("{\"version\":\"1.0\",\"model\":{\"type\":\"WordLevel\",\"unk_token\":\"a\",\"vocab\":{\"a\":0}}}");
        files.tokenizer_config = files.config = files.generation_config = file;
        break;
    }
    int r = tokenizer_load(&files, &limits, &t, &err);
    expect(r == 0 ? t != NULL : !t && err.message[0]);
    if (r == 0)
        use(t, text);
    tokenizer_free(t);
    return 0;
}
