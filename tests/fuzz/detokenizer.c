/* Ids to text, one at a time, with stop strings: whatever the ids and strings, the pieces are valid UTF-8, and together they are the whole text up to the first stop
 *
 * Input: a byte for the kind of decoder, a byte for the length of a stop string and whether it is visible, the string, then a byte per id.
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
    "{\"version\":\"1.0\",\"decoder\":{\"type\":\"ByteLevel\",\"add_prefix_space\":true,\"trim_offsets\":true,\"use_regex\":true},"
    "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true,\"use_regex\":true},"
    "\"model\":{\"type\":\"BPE\",\"merges\":[],\"vocab\":{\"H\":0,\"Ġ\":1,\"ä\":2,\"½\":3,\"ł\":4,\"ä½\":5,\"Ģ\":6,\"ï¿½\":7,\"ð\":"
    "8,\"Ł\":9,\"ĺ\":10}}}",
};
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

static void check(const struct tokenizer *t, struct str stop, bool visible, const uint32_t *ids, size_t n)
{
    struct stop_config c = { .stops = &stop, .stops_n = 1, .visible = visible, .skip_specials = true };
    struct stop_decoder *d;
    struct buf whole = { 0 }, got = { 0 };
    if (stop_decoder_new(t, &c, &d, NULL) < 0 || tokenizer_decode(t, ids, n, true, &whole, NULL) < 0)
        abort();
    for (size_t i = 0; i < n; i++)
        if (stop_decoder_put(d, ids[i], &got) < 0)
            abort();
    if (stop_decoder_flush(d, &got) < 0)
        abort();
    const char *hit = stop.n && whole.n ? memmem(whole.p, whole.n, stop.p, stop.n) : NULL;
    size_t want = hit ? (size_t)(hit - whole.p) + (visible ? stop.n : 0) : whole.n;
    if (got.n != want || (want && memcmp(got.p, whole.p, want) != 0) || (stop_decoder_matched(d).n > 0) != (hit != NULL))
        abort();
    if ((!stop.n || utf8_valid(stop)) && !utf8_valid(buf_str(&got)))
        abort();
    stop_decoder_free(d);
    buf_fini(&whole);
    buf_fini(&got);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint32_t ids[256];
    if (size < 2)
        return 0;
    size_t kind = data[0] % KINDS_N, stop_n = data[1] % 8, n = 0;
    if (size < 2 + stop_n)
        return 0;
    for (size_t i = 2 + stop_n; i < size && n < 256; i++)
        ids[n++] = data[i] % 13;
    check(tokenizer(kind), (struct str){ (const char *)data + 2, stop_n }, data[1] & 8, ids, n);
    return 0;
}
