/* The stop decoder: the vectors of spec tokenizers 16.2 with the mock tokenizer's words, and every stream against a search of the whole text */
#include "loaded.h"

#include <stdlib.h>

#include "fail_alloc.h"
#include "text/tokenizer/stop_decoder.h"

/* Tokens joined with one space, as the mock tokenizer's. */
#define WORDS                                                                                                                   \
    "{\"version\":\"1.0\",\"added_tokens\":[{\"id\":5,\"content\":\"<eos>\",\"single_word\":false,\"lstrip\":false,\"rstrip\":" \
    "false,"                                                                                                                    \
    "\"normalized\":false,\"special\":true}],\"decoder\":null,\"model\":{\"type\":\"WordLevel\",\"unk_token\":\"<unk>\","       \
    "\"vocab\":{\"<unk>\":0,\"Hello\":1,\"world\":2,\"test\":3,\"token\":4}}}"
#define EOS 5

/* Single letters and bytes, joined without anything. */
#define LETTERS                                                                                                                    \
    "{\"version\":\"1.0\",\"decoder\":{\"type\":\"ByteLevel\",\"add_prefix_space\":true,\"trim_offsets\":true,\"use_regex\":true}" \
    ","                                                                                                                            \
    "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true,\"use_regex\":true},"              \
    "\"model\":{\"type\":\"BPE\",\"merges\":[],\"vocab\":{\"a\":0,\"b\":1,\"c\":2,\"d\":3,\"x\":4,\"Ã\":5,\"©\":6}}}"

static struct stop_decoder *decoder_of(const struct tokenizer *t, const char *const *stops, const uint32_t *tokens, size_t tokens_n,
                                       bool visible)
{
    struct str strings[4];
    size_t n = 0;
    struct stop_decoder *d;
    for (; n < 4 && stops && stops[n]; n++)
        strings[n] = str_of(stops[n]);
    struct stop_config c = { .stops = strings, .stops_n = n, .tokens = tokens, .tokens_n = tokens_n, .visible = visible };
    assert_int_equal(stop_decoder_new(t, &c, &d, NULL), 0);
    return d;
}

/* "result text, result text ...": what came of each id, then of the flush. H held, T text, S stopped, W stopped with text. */
static void gives(const char *json, const char *const *stops, const uint32_t *tokens, size_t tokens_n, bool visible,
                  const uint32_t *ids, size_t n, const char *want, const char *matched)
{
    struct tokenizer *t = loaded_json(json);
    struct stop_decoder *d = decoder_of(t, stops, tokens, tokens_n, visible);
    struct buf all = { 0 };
    for (size_t i = 0; i <= n; i++) {
        struct buf out = { 0 };
        int r = i < n ? stop_decoder_put(d, ids[i], &out) : stop_decoder_flush(d, &out);
        assert_true(r >= 0);
        assert_true((r == STOP_TEXT) <= (out.n > 0));
        buf_printf(&all, "%s%c%.*s", i ? "," : "", "HTSW"[r], STR_FMT(buf_str(&out)));
        buf_fini(&out);
    }
    buf_put_char(&all, '\0');
    assert_string_equal(all.p, want);
    struct str m = stop_decoder_matched(d);
    assert_true(str_eq(m, str_of(matched)));
    buf_fini(&all);
    stop_decoder_free(d);
    tokenizer_free(t);
}
#define IDS(...) (const uint32_t[]){ __VA_ARGS__ }, sizeof((const uint32_t[]){ __VA_ARGS__ }) / 4
#define STOPS(...)        \
    (const char *const[]) \
    {                     \
        __VA_ARGS__, NULL \
    }
#define NO_TOKENS NULL, 0

static void the_vectors_of_the_spec(void **state)
{
    gives(WORDS, NULL, IDS(EOS), false, IDS(1, EOS, 2), "THello,S,S,S", "");
    gives(WORDS, NULL, IDS(EOS), true, IDS(EOS), "W<eos>,S", "");
    gives(WORDS, STOPS("Hello world"), NO_TOKENS, false, IDS(1, 2, 3), "H,S,S,S", "Hello world");
    gives(WORDS, STOPS("Hello world"), NO_TOKENS, true, IDS(1, 2), "H,WHello world,S", "Hello world");
    /* Less is withheld than SMG does: "test" cannot become the stop string. */
    gives(WORDS, STOPS("Hello world"), NO_TOKENS, false, IDS(3, 1, 2), "Ttest,T ,S,S", "Hello world");
    gives(WORDS, STOPS("NEVER_MATCH"), NO_TOKENS, false, IDS(1), "THello,H", "");
    gives(WORDS, STOPS("test"), NO_TOKENS, false, IDS(1, 2, 3), "THello,T world,W ,S", "test");
    gives(WORDS, STOPS("world"), IDS(EOS), false, IDS(1, EOS), "THello,S,S", "");
    gives(WORDS, STOPS(" ×", "Δ", "€", "🚀"), NO_TOKENS, false, IDS(1, 2, 3), "THello,T world,T test,H", "");
}

static void the_match_that_ends_first_wins(void **state)
{
    gives(LETTERS, STOPS("abcd", "bc"), NO_TOKENS, false, IDS(4, 0, 1, 2, 3), "Tx,H,H,Wa,S,S", "bc");
    gives(LETTERS, STOPS("cd", "bcd"), NO_TOKENS, false, IDS(0, 1, 2, 3), "Ta,H,H,S,S", "bcd");
    gives(LETTERS, STOPS("abd"), NO_TOKENS, false, IDS(0, 1), "H,H,Tab", "");
}

static void broken_characters_may_be_part_of_a_stop_string(void **state)
{
    gives(LETTERS, STOPS("é"), NO_TOKENS, false, IDS(0, 5, 6, 1), "Ta,H,S,S,S", "é");
    gives(LETTERS, STOPS("a\uFFFD"), NO_TOKENS, false, IDS(4, 0, 5), "Tx,H,H,S", "a\uFFFD"); /* it ends with the text */
}

/* The text up to the first stop, by trying all places. */
static size_t naive(struct str text, const char *const *stops, bool visible, int *ret_which)
{
    for (size_t end = 1; end <= text.n; end++) {
        size_t best = 0;
        for (int i = 0; stops[i]; i++) {
            struct str s = str_of(stops[i]);
            if (s.n > best && str_has_suffix(str_first(text, end), s)) {
                best = s.n;
                *ret_which = i;
            }
        }
        if (best)
            return visible ? end : end - best;
    }
    *ret_which = -1;
    return text.n;
}

static void every_stream_is_the_whole_text_up_to_the_first_stop(void **state)
{
    struct tokenizer *t = loaded_json(LETTERS);
    srand(9);
    for (int round = 0; round < 20000; round++) {
        char texts[3][6];
        const char *stops[4] = { NULL };
        uint32_t ids[16];
        size_t n = (size_t)(rand() % 16);
        bool visible = rand() % 2;
        for (int i = 0, many = 1 + rand() % 3; i < many; i++) {
            int length = 1 + rand() % 4;
            for (int k = 0; k < length; k++)
                texts[i][k] = "abcd"[rand() % 3];
            texts[i][length] = '\0';
            stops[i] = texts[i];
        }
        for (size_t i = 0; i < n; i++)
            ids[i] = (uint32_t)(rand() % 5 % 4);
        struct buf whole = { 0 }, got = { 0 };
        int which, r = STOP_HELD;
        assert_int_equal(tokenizer_decode(t, ids, n, false, &whole, NULL), 0);
        size_t want = naive(buf_str(&whole), stops, visible, &which);
        struct stop_decoder *d = decoder_of(t, stops, NULL, 0, visible);
        for (size_t i = 0; i < n; i++)
            r = stop_decoder_put(d, ids[i], &got);
        r = stop_decoder_flush(d, &got);
        assert_true(r >= 0);
        assert_int_equal(got.n, want);
        assert_true(!want || memcmp(got.p, whole.p, want) == 0);
        assert_true(str_eq(stop_decoder_matched(d), which < 0 ? STR_NONE : str_of(stops[which])));
        stop_decoder_free(d);
        buf_fini(&whole);
        buf_fini(&got);
    }
    tokenizer_free(t);
}

static void a_reset_begins_anew(void **state)
{
    struct tokenizer *t = loaded_json(LETTERS);
    struct stop_decoder *d = decoder_of(t, STOPS("ab"), NULL, 0, false);
    for (int round = 0; round < 2; round++) {
        struct buf out = { 0 };
        assert_int_equal(stop_decoder_put(d, 2, &out), STOP_TEXT);
        assert_int_equal(stop_decoder_put(d, 0, &out), STOP_HELD);
        assert_int_equal(stop_decoder_put(d, 1, &out), STOP_STOPPED);
        assert_int_equal(stop_decoder_put(d, 1, &out), STOP_STOPPED);
        assert_int_equal(out.n, 1);
        buf_fini(&out);
        stop_decoder_reset(d);
        assert_int_equal(stop_decoder_matched(d).n, 0);
    }
    stop_decoder_free(d);
    tokenizer_free(t);
}

static void memory_may_run_out(void **state)
{
    struct tokenizer *t = loaded_json(LETTERS);
    FOR_EACH_FAILING_ALLOCATION(nth)
    {
        struct str stops[] = { STR("ab"), STR("cd") };
        uint32_t tokens[] = { 4 };
        struct stop_config c = { .stops = stops, .stops_n = 2, .tokens = tokens, .tokens_n = 1 };
        struct stop_decoder *d = NULL;
        struct buf out = { 0 };
        int r = stop_decoder_new(t, &c, &d, NULL);
        for (uint32_t id = 0; r >= 0 && id < 5; id += 2)
            r = stop_decoder_put(d, id, &out);
        if (r >= 0)
            r = stop_decoder_flush(d, &out);
        assert_true(r >= 0 || r == ERR_NOMEM);
        stop_decoder_free(d);
        buf_fini(&out);
    }
    tokenizer_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_vectors_of_the_spec),
        cmocka_unit_test(the_match_that_ends_first_wins),
        cmocka_unit_test(broken_characters_may_be_part_of_a_stop_string),
        cmocka_unit_test(every_stream_is_the_whole_text_up_to_the_first_stop),
        cmocka_unit_test(a_reset_begins_anew),
        cmocka_unit_test(memory_may_run_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
