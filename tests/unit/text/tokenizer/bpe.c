/* The BPE model: rules of the spec one by one, then random models against the definition (bpe_reference.h), then pieces that are made to be slow */
#include "test.h"

#include <time.h>

#include "bpe_reference.h"
#include "fail_alloc.h"

#define TOKENS(...)       \
    (const char *const[]) \
    {                     \
        __VA_ARGS__, NULL \
    }

static struct vocab *vocab_of(bool byte_level, const char *const *tokens)
{
    struct vocab_builder *b;
    struct vocab *v;

    assert_int_equal(vocab_builder_new(byte_level, 16, 256, &b), 0);
    for (uint32_t i = 0; tokens[i]; i++)
        assert_int_equal(vocab_builder_add(b, str_of(tokens[i]), i), 0);
    assert_int_equal(vocab_builder_finish(b, &v), 0);
    return v;
}

static struct bpe_merge merge(const struct vocab *v, const char *a, const char *b, const char *merged)
{
    struct bpe_merge m;

    assert_true(vocab_find_text(v, str_of(a), &m.a));
    assert_true(vocab_find_text(v, str_of(b), &m.b));
    assert_true(vocab_find_text(v, str_of(merged), &m.merged));
    return m;
}

static struct model *model_of(const struct bpe_config *c)
{
    struct model *m;
    struct err err = { 0 };

    if (bpe_model_new(c, &m, &err) != 0)
        fail_msg("%s", err.message);
    return m;
}

/* TEXT as one piece: twice, so that the second time comes from the cache. */
static void expect_ids(struct model *m, struct str text, size_t cache, const uint32_t *want, size_t n)
{
    struct model_state *s;
    struct ids ids = { 0 };
    uint32_t end = (uint32_t)text.n;

    assert_int_equal(m->ops->state_new(m, cache, &s), 0);
    for (int round = 0; round < 2; round++) {
        ids_clear(&ids);
        assert_int_equal(model_encode(m, s, text.p, 0, &end, 1, &ids, NULL), 0);
        assert_int_equal(ids.n, n);
        if (n)
            assert_memory_equal(ids.v, want, n * sizeof(*want));
    }
    ids_fini(&ids);
    m->ops->state_free(s);
}
#define EXPECT(m, text, ...)                                          \
    do {                                                              \
        const uint32_t want_[] = { __VA_ARGS__ };                     \
        expect_ids((m), str_of(text), 0, want_, ARRAY_LEN(want_));    \
        expect_ids((m), str_of(text), 4096, want_, ARRAY_LEN(want_)); \
    } while (0)

static void done(struct model *m)
{
    m->ops->free(m);
}

static void the_lowest_rank_goes_first_and_the_leftmost_on_ties(void **state)
{
    struct vocab *v = vocab_of(true, TOKENS("a", "b", "c", "ab", "bc", "aa", "aaa"));
    struct bpe_merge merges[] = { merge(v, "b", "c", "bc"), merge(v, "a", "b", "ab"), merge(v, "a", "a", "aa"),
                                  merge(v, "aa", "a", "aaa") };
    struct model *m = model_of(&(struct bpe_config){ .vocab = v, .merges = merges, .merges_n = 4 });

    EXPECT(m, "abc", 0, 4);
    EXPECT(m, "ab", 3);
    EXPECT(m, "aaaa", 5, 5);
    EXPECT(m, "aaaaa", 5, 6);
    done(m);
}

static void the_published_example_of_backtracking(void **state)
{
    struct vocab *v = vocab_of(true, TOKENS("a", "b", "c", "ab", "cb", "ac", "bb", "cbb", "acbb"));
    struct model *m = model_of(&(struct bpe_config){ .vocab = v, .ranks_are_ids = true });

    EXPECT(m, "abacb", 3, 0, 4);
    EXPECT(m, "abacbb", 3, 8);
    done(m);
}

static void a_pair_listed_twice_keeps_the_last_rank(void **state)
{
    struct vocab *v = vocab_of(true, TOKENS("a", "b", "c", "ab", "bc"));
    struct bpe_merge merges[] = { merge(v, "a", "b", "ab"), merge(v, "b", "c", "bc"), merge(v, "a", "b", "ab") };
    struct model *m = model_of(&(struct bpe_config){ .vocab = v, .merges = merges, .merges_n = 3 });

    EXPECT(m, "abc", 0, 4);
    done(m);
}

static void characters_without_token_fall_back_to_their_bytes(void **state)
{
    struct vocab *v = vocab_of(false, TOKENS("<unk>", "<0xC3>", "<0xA9>", "a"));
    struct model *m = model_of(&(struct bpe_config){ .vocab = v, .byte_fallback = true, .has_unk = true });

    EXPECT(m, "\xc3\xa9", 1, 2);
    EXPECT(m,
           "a\xc3\xa9"
           "a",
           3, 1, 2, 3);
    EXPECT(m, "\xc3\xa8", 0); /* one byte without token: unknown as a whole */
    done(m);
}

static void the_bytes_of_a_fallback_do_not_end_what_is_pending(void **state)
{
    struct vocab *v = vocab_of(false, TOKENS("<unk>", "<0xC3>", "<0xA9>", "a"));
    struct model *m = model_of(&(struct bpe_config){ .vocab = v, .byte_fallback = true, .has_unk = true });

    EXPECT(m,
           "x\xc3\xa9"
           "a",
           1, 2, 0, 3);
    done(m);
}

static void unknown_characters_are_fused_when_the_model_says_so(void **state)
{
    struct model *m =
        model_of(&(struct bpe_config){ .vocab = vocab_of(false, TOKENS("<unk>", "a")), .has_unk = true, .fuse_unk = true });
    EXPECT(m, "\xc2\xa7\xc2\xa7", 0);
    EXPECT(m,
           "\xc2\xa7\xc2\xa7"
           "a\xc2\xa7",
           0, 1, 0);
    done(m);
    m = model_of(&(struct bpe_config){ .vocab = vocab_of(false, TOKENS("<unk>", "a")), .has_unk = true });
    EXPECT(m, "\xc2\xa7\xc2\xa7", 0, 0);
    done(m);
}

static void an_unknown_token_that_is_not_there_is_an_error_where_it_is_needed(void **state)
{
    struct model *m = model_of(&(struct bpe_config){ .vocab = vocab_of(false, TOKENS("a", "b")), .unk_missing = true });
    struct model_state *s;
    struct ids ids = { 0 };
    struct err err = { 0 };
    uint32_t end = 3;

    EXPECT(m, "ab", 0, 1);
    assert_int_equal(m->ops->state_new(m, 4096, &s), 0);
    assert_int_equal(model_encode(m, s, "axb", 0, &end, 1, &ids, &err), ERR_INVALID);
    assert_non_null(strstr(err.message, "unk_token"));
    ids_fini(&ids);
    m->ops->state_free(s);
    done(m);
}

static void without_an_unknown_token_characters_vanish_and_their_neighbours_meet(void **state)
{
    struct vocab *v = vocab_of(false, TOKENS("a", "b", "ab"));
    struct bpe_merge merges[] = { merge(v, "a", "b", "ab") };
    struct model *m = model_of(&(struct bpe_config){ .vocab = v, .merges = merges, .merges_n = 1 });

    EXPECT(m,
           "a\xc2\xa7"
           "b",
           2);
    expect_ids(m, STR("\xc2\xa7"), 4096, NULL, 0);
    done(m);
}

static void ignore_merges_takes_a_piece_that_is_a_token(void **state)
{
    struct model *m = model_of(&(struct bpe_config){ .vocab = vocab_of(true, TOKENS("a", "b", "ab")), .ignore_merges = true });
    EXPECT(m, "ab", 2);
    EXPECT(m, "aab", 0, 0, 1);
    done(m);
    m = model_of(&(struct bpe_config){ .vocab = vocab_of(true, TOKENS("a", "b", "ab")) });
    EXPECT(m, "ab", 0, 1);
    done(m);
}

static void prefix_and_suffix_are_part_of_the_symbols(void **state)
{
    struct vocab *v = vocab_of(false, TOKENS("a", "##b", "##c</w>", "ab", "abc</w>", "a</w>"));
    struct bpe_merge merges[] = { merge(v, "a", "##b", "ab"), merge(v, "ab", "##c</w>", "abc</w>") };
    struct model *m = model_of(&(struct bpe_config){
        .vocab = v, .merges = merges, .merges_n = 2, .continuing_subword_prefix = STR("##"), .end_of_word_suffix = STR("</w>") });

    EXPECT(m, "abc", 4);
    EXPECT(m, "a", 5);
    done(m);
}

static void sentencepiece_text_is_cut_where_no_merge_crosses(void **state)
{
    struct vocab *v = vocab_of(false, TOKENS("\xe2\x96\x81", "a", "b",
                                             "\xe2\x96\x81"
                                             "a",
                                             "\xe2\x96\x81\xe2\x96\x81", "ab", "b\xe2\x96\x81"));
    struct bpe_merge merges[] = { merge(v, "\xe2\x96\x81", "\xe2\x96\x81", "\xe2\x96\x81\xe2\x96\x81"),
                                  merge(v, "\xe2\x96\x81", "a",
                                        "\xe2\x96\x81"
                                        "a"),
                                  merge(v, "a", "b", "ab"), merge(v, "b", "\xe2\x96\x81", "b\xe2\x96\x81") };
    struct model *m = model_of(&(struct bpe_config){ .vocab = v, .merges = merges, .merges_n = 3 });
    EXPECT(m,
           "\xe2\x96\x81"
           "ab\xe2\x96\x81\xe2\x96\x81\xe2\x96\x81"
           "ab\xe2\x96\x81",
           3, 2, 4, 3, 2, 0);
    done(m);

    v = vocab_of(false, TOKENS("\xe2\x96\x81", "a", "b",
                               "\xe2\x96\x81"
                               "a",
                               "\xe2\x96\x81\xe2\x96\x81", "ab", "b\xe2\x96\x81"));
    m = model_of(&(struct bpe_config){ .vocab = v, .merges = merges, .merges_n = 4 }); /* now one does cross */
    EXPECT(m,
           "b\xe2\x96\x81"
           "b",
           6, 2);
    done(m);
}

static void a_rank_vocabulary_without_a_byte_says_which(void **state)
{
    struct model *m = model_of(&(struct bpe_config){ .vocab = vocab_of(true, TOKENS("a", "b")), .ranks_are_ids = true });
    struct model_state *s;
    struct ids ids = { 0 };
    struct err err = { 0 };
    uint32_t end = 3;

    assert_int_equal(m->ops->state_new(m, 4096, &s), 0);
    assert_int_equal(model_encode(m, s, "azb", 0, &end, 1, &ids, &err), ERR_INVALID);
    assert_non_null(strstr(err.message, "0x7A"));
    ids_fini(&ids);
    m->ops->state_free(s);
    done(m);
}

static void configurations_that_cannot_be_are_refused(void **state)
{
    struct bpe_merge merges[] = { { 0, 1, 9 } };
    char prefix[300] = { 0 };
    struct model *m;
    struct err err = { 0 };

    assert_int_equal(
        bpe_model_new(&(struct bpe_config){ .vocab = vocab_of(true, TOKENS("a", "b")), .merges = merges, .merges_n = 1 }, &m, &err),
        ERR_INVALID);
    assert_non_null(strstr(err.message, "merges[0]"));
    assert_int_equal(
        bpe_model_new(&(struct bpe_config){ .vocab = vocab_of(true, TOKENS("a")), .has_unk = true, .unk_id = 1 }, &m, &err),
        ERR_INVALID);
    assert_int_equal(
        bpe_model_new(&(struct bpe_config){ .vocab = vocab_of(true, TOKENS("a")), .continuing_subword_prefix = { prefix, 300 } },
                      &m, &err),
        ERR_LIMIT);
}

/* ---- random models ---- */

static uint64_t seed;
static uint8_t random_byte(void)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint8_t)(seed >> 56);
}

static void compare(const struct model *m, const struct bpe_config *c, struct model_state *s, const char *text, size_t n)
{
    static uint32_t want[REFERENCE_SYMBOLS];
    struct ids ids = { 0 };
    uint32_t end = (uint32_t)n;
    size_t want_n;

    if (reference_encode(c, (struct str){ text, n }, want, &want_n) < 0) {
        assert_int_equal(model_encode(m, s, text, 0, &end, 1, &ids, NULL), ERR_INVALID);
    } else {
        assert_int_equal(model_encode(m, s, text, 0, &end, 1, &ids, NULL), 0);
        assert_int_equal(ids.n, want_n);
        if (want_n)
            assert_memory_equal(ids.v, want, want_n * sizeof(*want));
    }
    ids_fini(&ids);
}

static void random_models_do_what_the_definition_says(void **state)
{
    for (unsigned round = 0; round < 3000; round++) {
        uint8_t bytes[1200];
        struct reference_bytes in = { bytes, 60 + round % 160 };
        struct reference_case k;
        struct model_state *s;
        char text[2048];

        seed = round;
        for (size_t i = 0; i < sizeof(bytes); i++)
            bytes[i] = random_byte();
        assert_true(reference_make(&k, &in));
        struct model *m = model_of(&k.config);
        assert_int_equal(m->ops->state_new(m, round & 1 ? 1024 : 0, &s), 0);
        for (unsigned t = 0; t < 8; t++) {
            in = (struct reference_bytes){ bytes + 220 + 100 * t, t < 6 ? 1 + random_byte() % 12 : 40 + random_byte() % 60 };
            compare(m, &k.config, s, text, reference_text(&in, text, sizeof(text)));
        }
        m->ops->state_free(s);
        done(m);
    }
}

static void compare_marked(const struct model *m, const struct bpe_config *c, struct model_state *s, struct str front,
                           struct str back, unsigned which)
{
    static uint32_t want[REFERENCE_SYMBOLS];
    char text[4096];
    size_t n = reference_blanks(front, which, text), want_n;
    struct model_mark mark = { (uint32_t)n, (uint32_t)n + 3, 77 };
    struct ids ids = { 0 };

    memcpy(text + n, "~~~", 3); /* whatever it is */
    n += 3 + reference_blanks(back, which, text + n + 3);
    assert_true(reference_marked(c, front, 77, back, want, &want_n));
    assert_int_equal(m->ops->encode_marked(m, s, (struct str){ text, n }, 0, n, &mark, 1, &ids, NULL), 0);
    assert_int_equal(ids.n, want_n);
    assert_memory_equal(ids.v, want, want_n * sizeof(*want));
    ids_fini(&ids);
}

/* ' ' for U+2581 and ids given between: as the definition says of the text that it stands for. */
static void random_models_read_blanks_and_marks(void **state)
{
    unsigned took = 0;

    for (unsigned round = 0; round < 600; round++) {
        uint8_t bytes[700];
        struct reference_bytes in = { bytes, 60 + round % 160 };
        struct reference_case k;
        struct model_state *s;
        char front[2048], back[2048];

        seed = round + 77777;
        for (size_t i = 0; i < sizeof(bytes); i++)
            bytes[i] = random_byte();
        bytes[0] = (uint8_t)((bytes[0] & ~71u) | 16); /* not of ranks, whole pieces not first; fallbacks */
        bytes[1] &= (uint8_t)~7u;                     /* characters without prefix and suffix ... */
        bytes[2] &= (uint8_t)~32u;                    /* ... U+2581 is one of them, ... */
        bytes[3] |= 16;                               /* ... and none is unknown */
        assert_true(reference_make(&k, &in));
        struct model *m = model_of(&k.config);
        if (m->ops->take_blanks(m)) {
            took++;
            assert_int_equal(m->ops->state_new(m, round & 1 ? 1024 : 0, &s), 0);
            for (unsigned t = 0; t < 4; t++) {
                in = (struct reference_bytes){ bytes + 220 + 100 * t, 1 + random_byte() % 40 };
                size_t front_n = reference_text(&in, front, sizeof(front));
                in = (struct reference_bytes){ bytes + 270 + 100 * t, random_byte() % 40 };
                size_t back_n = reference_text(&in, back, sizeof(back));
                compare_marked(m, &k.config, s, (struct str){ front, front_n }, (struct str){ back, back_n }, random_byte());
            }
            m->ops->state_free(s);
        }
        done(m);
    }
    assert_true(took > 180);
}

static void a_run_of_blanks_is_a_word_where_its_merges_come_first(void **state)
{
    struct vocab *v = vocab_of(false, TOKENS("\xe2\x96\x81", "a", "\xe2\x96\x81\xe2\x96\x81",
                                             "\xe2\x96\x81"
                                             "a"));
    struct bpe_merge merges[] = { merge(v, "\xe2\x96\x81", "\xe2\x96\x81", "\xe2\x96\x81\xe2\x96\x81"),
                                  merge(v, "\xe2\x96\x81", "a",
                                        "\xe2\x96\x81"
                                        "a") };
    struct model *m = model_of(&(struct bpe_config){ .vocab = v, .merges = merges, .merges_n = 2 });
    EXPECT(m,
           "\xe2\x96\x81\xe2\x96\x81\xe2\x96\x81"
           "a\xe2\x96\x81\xe2\x96\x81"
           "a",
           2, 3, 2, 1); /* of an odd run the last still goes to what is behind it */
    assert_true(m->ops->take_blanks(m));
    EXPECT(m, "   a  a", 2, 3, 2, 1);
    EXPECT(m, "a \xe2\x96\x81", 1, 2);
    done(m);

    v = vocab_of(false, TOKENS("\xe2\x96\x81", "a", "\xe2\x96\x81\xe2\x96\x81",
                               "\xe2\x96\x81"
                               "a"));
    m = model_of(&(struct bpe_config){ .vocab = v, .merges = (struct bpe_merge[]){ merges[1], merges[0] }, .merges_n = 2 });
    assert_true(m->ops->take_blanks(m));
    EXPECT(m, "   a  a", 2, 3, 0, 3); /* now they do not come first */
    done(m);
}

/* ---- pieces that are made to be slow ---- */

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void a_megabyte_of_one_thing_takes_linear_time(void **state)
{
    static const char *const UNITS[] = { "a", " ", "\n", "\xf0\x9f\x99\x82", "ab" };
    struct vocab_builder *b;
    struct vocab *v;
    size_t n = 1 << 20;
    char *text = malloc(n);

    assert_int_equal(vocab_builder_new(true, 512, 8192, &b), 0);
    for (unsigned i = 0; i < 256; i++)
        assert_int_equal(vocab_builder_add_bytes(b, (struct str){ (char[]){ (char)i }, 1 }, i), 0);
    uint32_t id = 256;
    for (unsigned u = 0; u < ARRAY_LEN(UNITS); u++)
        for (size_t len = 2; len <= 64; len *= 2) {
            char token[64];
            for (size_t i = 0; i < len; i++)
                token[i] = UNITS[u][i % strlen(UNITS[u])];
            assert_int_equal(vocab_builder_add_bytes(b, (struct str){ token, len }, id++), 0);
        }
    assert_int_equal(vocab_builder_add_bytes(b, STR("\x99\x82"), id++), 0); /* so that the halves of the emoji meet */
    assert_int_equal(vocab_builder_finish(b, &v), 0);
    struct model *m = model_of(&(struct bpe_config){ .vocab = v, .ranks_are_ids = true });
    struct model_state *s;
    assert_int_equal(m->ops->state_new(m, 1 << 20, &s), 0);
    for (unsigned u = 0; u < ARRAY_LEN(UNITS); u++) {
        struct ids ids = { 0 };
        uint32_t end = (uint32_t)n;
        for (size_t i = 0; i < n; i++)
            text[i] = UNITS[u][i % strlen(UNITS[u])];
        double from = seconds();
        assert_int_equal(model_encode(m, s, text, 0, &end, 1, &ids, NULL), 0);
        double took = seconds() - from;
        if (getenv("SMG_TIMES"))
            print_message("1 MiB of \"%s\": %.1f ms\n", UNITS[u], took * 1e3);
        assert_true(took < 5); /* quadratic would be minutes */
        assert_int_equal(ids.n, n / 64);
        compare(m, &(struct bpe_config){ .vocab = v, .ranks_are_ids = true }, s, text, 512);
        ids_fini(&ids);
    }
    m->ops->state_free(s);
    done(m);
    free(text);
}

static void what_is_allocated_may_fail(void **state)
{
    FOR_EACH_FAILING_ALLOCATION(n)
    {
        struct vocab_builder *b;
        struct vocab *v = NULL;
        struct model *m = NULL;
        struct model_state *s = NULL;
        struct ids ids = { 0 };
        char text[200];
        uint32_t end = sizeof(text);

        memset(text, 'a', sizeof(text));
        if (vocab_builder_new(true, 16, 64, &b) == 0) {
            int r = vocab_builder_add(b, STR("a"), 0);
            r = r < 0 ? r : vocab_builder_add(b, STR("aa"), 1);
            if (r < 0)
                vocab_builder_free(b);
            else if (vocab_builder_finish(b, &v) == 0 &&
                     bpe_model_new(&(struct bpe_config){ .vocab = v, .ranks_are_ids = true }, &m, NULL) == 0 &&
                     m->ops->state_new(m, 4096, &s) == 0) {
                r = model_encode(m, s, text, 0, &end, 1, &ids, NULL);
                assert_true(r == ERR_NOMEM || (r == 0 && ids.n == 100));
                assert_true(r == 0 || fail_alloc_failed());
            }
        }
        if (m) {
            m->ops->state_free(s);
            m->ops->free(m);
        }
        ids_fini(&ids);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_lowest_rank_goes_first_and_the_leftmost_on_ties),
        cmocka_unit_test(the_published_example_of_backtracking),
        cmocka_unit_test(a_pair_listed_twice_keeps_the_last_rank),
        cmocka_unit_test(characters_without_token_fall_back_to_their_bytes),
        cmocka_unit_test(the_bytes_of_a_fallback_do_not_end_what_is_pending),
        cmocka_unit_test(unknown_characters_are_fused_when_the_model_says_so),
        cmocka_unit_test(an_unknown_token_that_is_not_there_is_an_error_where_it_is_needed),
        cmocka_unit_test(without_an_unknown_token_characters_vanish_and_their_neighbours_meet),
        cmocka_unit_test(ignore_merges_takes_a_piece_that_is_a_token),
        cmocka_unit_test(prefix_and_suffix_are_part_of_the_symbols),
        cmocka_unit_test(sentencepiece_text_is_cut_where_no_merge_crosses),
        cmocka_unit_test(a_rank_vocabulary_without_a_byte_says_which),
        cmocka_unit_test(configurations_that_cannot_be_are_refused),
        cmocka_unit_test(random_models_do_what_the_definition_says),
        cmocka_unit_test(random_models_read_blanks_and_marks),
        cmocka_unit_test(a_run_of_blanks_is_a_word_where_its_merges_come_first),
        cmocka_unit_test(a_megabyte_of_one_thing_takes_linear_time),
        cmocka_unit_test(what_is_allocated_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
