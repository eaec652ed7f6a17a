/* Added tokens in text: leftmost-longest, the three flags, both passes; compared with a search that is too simple to be wrong */
#include "test.h"

#include "fail_alloc.h"
#include "base/buf.h"
#include "text/tokenizer/added_tokens.h"

#include <stdlib.h>

static struct added_tokens *set_of(const struct added_token *tokens, size_t n)
{
    struct added_tokens *s;

    assert_int_equal(added_tokens_new(tokens, n, &s, NULL), 0);
    return s;
}

#define TOKEN(text, number, ...)                                                          \
    {                                                                                     \
        .content = STR_INIT(text), .matched = STR_INIT(text), .id = (number), __VA_ARGS__ \
    }

/* "[7:<s>]" for a match, gaps as they are. */
static void splits(const struct added_tokens *s, const char *text, const char *want)
{
    struct str t = str_of(text);
    struct buf got = { 0 };
    size_t from = 0, done = 0, start, end;
    const struct added_token *a;

    while ((a = added_tokens_next(s, false, t, from, done, &start, &end, &from))) {
        if (start > done)
            buf_put(&got, str_skip(str_first(t, start), done));
        buf_printf(&got, "[%u:%.*s]", a->id, (int)(end - start), t.p + start);
        done = end;
    }
    buf_put(&got, str_skip(t, done));
    assert_str(buf_str(&got), want);
    buf_fini(&got);
}

static void the_leftmost_and_then_the_longest_wins(void **state)
{
    const struct added_token tokens[] = { TOKEN("<|im|>", 1), TOKEN("<|im|>x", 2), TOKEN("m|>x y", 3), TOKEN("\n", 4),
                                          TOKEN("\n\n", 5) };
    struct added_tokens *s = set_of(tokens, 5);

    splits(s, "a<|im|>b", "a[1:<|im|>]b");
    splits(s, "a<|im|>x yb", "a[2:<|im|>x] yb");
    splits(s, "<|im|><|im|>x", "[1:<|im|>][2:<|im|>x]");
    splits(s, "<|i m|>x y", "<|i [3:m|>x y]");
    splits(s, "\n\n\n.\n", "[5:\n\n][4:\n].[4:\n]");
    splits(s, "nothing here", "nothing here");
    splits(s, "", "");
    splits(s, "<|im|", "<|im|");
    added_tokens_free(s);
}

static void lstrip_and_rstrip_take_white_space(void **state)
{
    const struct added_token tokens[] = { TOKEN("<mask>", 1, .lstrip = true), TOKEN("<r>", 2, .rstrip = true),
                                          TOKEN("<b>", 3, .lstrip = true, .rstrip = true) };
    struct added_tokens *s = set_of(tokens, 3);

    splits(s, "a <mask> b", "a[1: <mask>] b");
    splits(s, "a \u3000\t<mask>", "a[1: \u3000\t<mask>]");
    splits(s, "a <r> \n b", "a [2:<r> \n ]b");
    splits(s, "<r> <mask>", "[2:<r> ][1:<mask>]"); /* not past the end of the match before */
    splits(s, "a  <b>  <b>  c", "a[3:  <b>  ][3:<b>  ]c");
    added_tokens_free(s);
}

static void a_match_inside_stripped_space_still_counts(void **state)
{
    const struct added_token tokens[] = { TOKEN("<r>", 1, .rstrip = true), TOKEN("\t", 2) };
    struct added_tokens *s = set_of(tokens, 2);
    size_t from = 0, done = 0, start, end;
    struct str text = STR("<r> \t x");

    assert_int_equal(added_tokens_next(s, false, text, from, done, &start, &end, &from)->id, 1);
    assert_int_equal(end, 6);
    done = end;
    assert_int_equal(added_tokens_next(s, false, text, from, done, &start, &end, &from)->id, 2);
    assert_int_equal(start, 4);
    assert_int_equal(end, 5);
    added_tokens_free(s);
}

static void a_single_word_stands_alone(void **state)
{
    const struct added_token tokens[] = { TOKEN("ab", 1, .single_word = true), TOKEN("a", 2) };
    struct added_tokens *s = set_of(tokens, 2);

    splits(s, "ab", "[1:ab]");
    splits(s, "(ab) ab.", "([1:ab]) [1:ab].");
    splits(s, "xab abx \u00e9ab ab_ ab1", "xab abx \u00e9ab ab_ ab1"); /* and no shorter one in its place */
    splits(s, "a ab", "[2:a] [1:ab]");
    added_tokens_free(s);
}

static void normalized_tokens_are_searched_by_their_normal_form(void **state)
{
    const struct added_token tokens[] = {
        { .content = STR_INIT("New"), .matched = STR_INIT("new"), .id = 1, .normalized = true },
        TOKEN("raw", 2),
    };
    struct added_tokens *s = set_of(tokens, 2);
    size_t start, end, resume;

    assert_true(added_tokens_has(s, true) && added_tokens_has(s, false));
    assert_null(added_tokens_next(s, false, STR("new New"), 0, 0, &start, &end, &resume));
    assert_int_equal(added_tokens_next(s, true, STR("raw new"), 0, 0, &start, &end, &resume)->id, 1);
    assert_int_equal(start, 4);
    assert_int_equal(added_tokens_by_content(s, STR("New"))->id, 1);
    assert_null(added_tokens_by_content(s, STR("new")));
    added_tokens_free(s);
}

static void of_equal_contents_and_of_equal_ids_the_last_counts(void **state)
{
    const struct added_token tokens[] = { TOKEN("a", 1), TOKEN("b", 2), TOKEN("a", 3, .special = true), TOKEN("c", 2) };
    struct added_tokens *s = set_of(tokens, 4);
    size_t n;

    (void)added_tokens_all(s, &n);
    assert_int_equal(n, 3);
    assert_int_equal(added_tokens_by_content(s, STR("a"))->id, 3);
    assert_true(added_tokens_by_id(s, 3)->special);
    assert_null(added_tokens_by_id(s, 1));
    assert_str(added_tokens_by_id(s, 2)->content, "c");
    added_tokens_free(s);
}

static void no_tokens_match_nothing(void **state)
{
    struct added_tokens *s = set_of(NULL, 0);
    size_t start, end, resume;

    assert_null(added_tokens_next(s, false, STR("abc"), 0, 0, &start, &end, &resume));
    assert_null(added_tokens_by_id(s, 0));
    added_tokens_free(s);
    added_tokens_free(NULL);
}

/* The longest token at the first place that has one. */
static const struct added_token *slow_next(const struct added_token *tokens, size_t n, struct str text, size_t from,
                                           size_t *ret_start)
{
    for (size_t at = from; at < text.n; at++) {
        const struct added_token *best = NULL;
        for (size_t i = 0; i < n; i++) {
            if (str_has_prefix(str_skip(text, at), tokens[i].content) && (!best || tokens[i].content.n > best->content.n))
                best = &tokens[i];
        }
        if (best) {
            *ret_start = at;
            return best;
        }
    }
    return NULL;
}

static void agrees_with_the_slow_search(void **state)
{
    unsigned seed = 7;
    for (int round = 0; round < 300; round++) {
        char texts[20][6], text[300];
        struct added_token tokens[20] = { 0 };
        size_t n = 1 + (size_t)rand_r(&seed) % 20, letters = 2 + (size_t)rand_r(&seed) % 12;
        for (size_t i = 0; i < n; i++) {
            size_t len = 1 + (size_t)rand_r(&seed) % 5;
            for (size_t k = 0; k < len; k++)
                texts[i][k] = (char)('a' + (size_t)rand_r(&seed) % letters);
            tokens[i].content = tokens[i].matched = (struct str){ texts[i], len };
            tokens[i].id = (uint32_t)i;
        }
        for (size_t k = 0; k < sizeof(text); k++)
            text[k] = rand_r(&seed) % 3 ? 'z' : (char)('a' + (size_t)rand_r(&seed) % letters);
        struct added_tokens *s = set_of(tokens, n);
        struct str t = { text, sizeof(text) - (size_t)rand_r(&seed) % 100 };
        size_t from = 0, start, end, slow_start = 0;
        for (;;) {
            const struct added_token *slow = slow_next(tokens, n, t, from, &slow_start);
            const struct added_token *fast = added_tokens_next(s, false, t, from, 0, &start, &end, &from);
            assert_int_equal(fast != NULL, slow != NULL);
            if (!fast)
                break;
            assert_int_equal(start, slow_start);
            assert_true(str_eq(fast->content, slow->content));
        }
        added_tokens_free(s);
    }
}

static void memory_may_run_out_anywhere(void **state)
{
    const struct added_token tokens[] = { TOKEN("a", 1), TOKEN("b", 2) };
    FOR_EACH_FAILING_ALLOCATION(n)
    {
        struct added_tokens *s = NULL;
        int r = added_tokens_new(tokens, 2, &s, NULL);
        assert_true(r == 0 || r == ERR_NOMEM);
        added_tokens_free(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_leftmost_and_then_the_longest_wins),
        cmocka_unit_test(lstrip_and_rstrip_take_white_space),
        cmocka_unit_test(a_match_inside_stripped_space_still_counts),
        cmocka_unit_test(a_single_word_stands_alone),
        cmocka_unit_test(normalized_tokens_are_searched_by_their_normal_form),
        cmocka_unit_test(of_equal_contents_and_of_equal_ids_the_last_counts),
        cmocka_unit_test(no_tokens_match_nothing),
        cmocka_unit_test(agrees_with_the_slow_search),
        cmocka_unit_test(memory_may_run_out_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
