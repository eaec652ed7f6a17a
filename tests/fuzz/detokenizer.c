/* Ids to text, one at a time, with stop strings and stop tokens: whatever they are, the pieces are valid UTF-8, and together they are the whole text up to the first stop
 *
 * Input: a byte for the kind of decoder; a byte: bits 0-2 the bytes of stop strings, 3 visible, 4-5 how many strings they are cut into, 6-7 how many of the ids behind them are stop tokens;
 * the strings, the stop tokens, then a byte per id.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "text/tokenizer/stop_decoder.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MODEL                                                                                                                          \
    "\"model\":{\"type\":\"BPE\",\"unk_token\":\"?\",\"merges\":[],\"vocab\":{\"?\":0,\"▁He\":1,\"llo\":2,\"▁\":3,\"w\":4,\"é\":" \
    "5,\"##ing\":6,\"n't\":7,\".\":8,\" do not\":9,\"�\":10}}"
#define JSON(decoder)                                                                                                          \
    "{\"version\":\"1.0\",\"added_tokens\":[{\"id\":11,\"content\":\"<s>\",\"single_word\":false,\"lstrip\":false,\"rstrip\":" \
    "false,"                                                                                                                   \
    "\"normalized\":false,\"special\":true}],\"decoder\":" decoder "," MODEL "}"

static const char *const KINDS[] = {
    JSON("null"),
    JSON("{\"type\":\"WordPiece\",\"prefix\":\"##\",\"cleanup\":true}"),
    JSON("{\"type\":\"Metaspace\",\"replacement\":\"▁\",\"prepend_scheme\":\"always\",\"split\":true}"),
    JSON("{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Replace\",\"pattern\":{\"String\":\"▁\"},\"content\":\" "
         "\"},{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"},"
         "{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":0}]}"),
    JSON("{\"type\":\"CTC\",\"pad_token\":\"w\",\"word_delimiter_token\":\"▁\",\"cleanup\":true}"),
    "{\"version\":\"1.0\",\"decoder\":{\"type\":\"ByteLevel\",\"add_prefix_space\":true,\"trim_offsets\":true,\"use_regex\":true},"
    "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true,\"use_regex\":true},"
    "\"model\":{\"type\":\"BPE\",\"merges\":[],\"vocab\":{\"H\":0,\"Ġ\":1,\"ä\":2,\"½\":3,\"ł\":4,\"ä½\":5,\"Ģ\":6,\"ï¿½\":7,\"ð\":"
    "8,\"Ł\":9,\"ĺ\":10}}}",
};
#define IDS     13
#define STOPS   4
#define KINDS_N (sizeof(KINDS) / sizeof(KINDS[0]))

static const struct tokenizer *tokenizer(size_t kind)
{
    static struct tokenizer *loaded[KINDS_N];
    struct tokenizer_limits limits = TOKENIZER_LIMITS_DEFAULT;
    struct tokenizer_files files = { .tokenizer_json = str_of(KINDS[kind]) };
    if (!loaded[kind] && tokenizer_load(&files, &limits, &loaded[kind], NULL) < 0)
        abort();
    return loaded[kind];
}

/* The match that ends first; of those that end together the longest. */
static size_t first_stop(struct str text, const struct str *stops, size_t n, size_t *ret_begin)
{
    for (size_t end = 1; end <= text.n; end++) {
        size_t longest = 0;
        for (size_t k = 0; k < n; k++)
            if (stops[k].n > longest && stops[k].n <= end && memcmp(text.p + end - stops[k].n, stops[k].p, stops[k].n) == 0)
                longest = stops[k].n;
        *ret_begin = end - longest;
        if (longest)
            return end;
    }
    return 0;
}

static bool all_utf8(const struct stop_config *c)
{
    for (size_t k = 0; k < c->stops_n; k++)
        if (c->stops[k].n && !utf8_valid(c->stops[k]))
            return false;
    return true;
}

static bool is_stop(const struct stop_config *c, uint32_t id)
{
    for (size_t k = 0; k < c->tokens_n; k++)
        if (c->tokens[k] == id)
            return true;
    return false;
}

static void check(const struct tokenizer *t, const struct stop_config *c, const uint32_t *ids, size_t n)
{
    struct stop_decoder *d;
    struct detokenizer plain;
    struct buf whole = { 0 }, got = { 0 };
    size_t upto = 0, begin, fed = 0;
    int last = STOP_HELD;

    while (upto < n && !is_stop(c, ids[upto]))
        upto++;
    /* What streams out of the ids in front of a stop token: there U+FFFD and what still waits is not told. Without one it is all the text. */
    detokenizer_init(&plain, t, true);
    for (size_t i = 0; i < upto; i++)
        if (detokenizer_put(&plain, ids[i], &whole) < 0)
            abort();
    if (upto == n && detokenizer_flush(&plain, &whole) < 0)
        abort();
    detokenizer_fini(&plain);

    if (stop_decoder_new(t, c, &d, NULL) < 0)
        abort();
    for (; fed < n && last != STOP_STOPPED && last != STOP_STOPPED_WITH_TEXT; fed++)
        if ((last = stop_decoder_put(d, ids[fed], &got)) < 0)
            abort();
    size_t told = got.n;
    if (fed < n && (stop_decoder_put(d, ids[fed], &got) != STOP_STOPPED || got.n != told)) /* after a stop: nothing more */
        abort();
    if (stop_decoder_flush(d, &got) < 0)
        abort();

    size_t end = first_stop(buf_str(&whole), c->stops, c->stops_n, &begin);
    size_t want = end ? (c->visible ? end : begin) : whole.n;
    if (!end && upto < n && c->visible && tokenizer_decode(t, &ids[upto], 1, true, &whole, NULL) < 0)
        abort();
    want = !end && upto < n ? whole.n : want;
    if (got.n != want || (want && memcmp(got.p, whole.p, want) != 0) || (stop_decoder_matched(d).n > 0) != (end != 0))
        abort();
    if (!end && upto < n && fed != upto + 1)
        abort();
    if (all_utf8(c) && !utf8_valid(buf_str(&got)))
        abort();
    if (c->tokens_n == 0) { /* what streams out is what decoding at once gives */
        struct buf once = { 0 };
        if (tokenizer_decode(t, ids, n, true, &once, NULL) < 0 || once.n != whole.n ||
            (once.n && memcmp(once.p, whole.p, once.n) != 0))
            abort();
        buf_fini(&once);
    }
    stop_decoder_free(d);
    buf_fini(&whole);
    buf_fini(&got);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint32_t ids[256], tokens[3];
    struct str stops[STOPS];
    if (size < 2)
        return 0;
    size_t kind = data[0] % KINDS_N, bytes = data[1] % 8, stops_n = 1 + (data[1] >> 4 & 3), tokens_n = data[1] >> 6, n = 0;
    if (size < 2 + bytes + tokens_n)
        return 0;
    const char *from = (const char *)data + 2;
    for (size_t k = 0; k < stops_n; k++)
        stops[k] = str_range(from + bytes * k / stops_n, from + bytes * (k + 1) / stops_n);
    for (size_t k = 0; k < tokens_n; k++)
        tokens[k] = data[2 + bytes + k] % IDS;
    for (size_t i = 2 + bytes + tokens_n; i < size && n < 256; i++)
        ids[n++] = data[i] % IDS;
    struct stop_config c = {
        .stops = stops, .stops_n = stops_n, .tokens = tokens, .tokens_n = tokens_n, .visible = data[1] & 8, .skip_specials = true
    };
    check(tokenizer(kind), &c, ids, n);
    return 0;
}
