/* The vocabulary: the byte-level alphabet, duplicates, literals, bounds, failing memory */
#include "test.h"

#include "fail_alloc.h"
#include "text/tokenizer/vocab.h"

#include <stdio.h>

static struct vocab *vocab_of(bool byte_level, const char *const *texts, const uint32_t *ids, size_t n)
{
    struct vocab_builder *b;
    struct vocab *v;

    assert_int_equal(vocab_builder_new(byte_level, 0, 0, &b), 0);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(vocab_builder_add(b, str_of(texts[i]), ids ? ids[i] : (uint32_t)i), 0);
    assert_int_equal(vocab_builder_finish(b, &v), 0);
    return v;
}

static void bytes_have_the_characters_of_the_spec(void **state)
{
    static const struct {
        uint8_t byte;
        uint32_t c;
    } ROWS[] = {
        { 0x00, 0x100 }, { 0x20, 0x120 }, { 0x21, 0x21 },  { 0x7f, 0x121 }, { 0x80, 0x122 },
        { 0xa0, 0x142 }, { 0xa1, 0xa1 },  { 0xad, 0x143 }, { 0xae, 0xae },
    };
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(*ROWS); i++)
        assert_int_equal(byte_level_char(ROWS[i].byte), ROWS[i].c);
    for (unsigned b = 0; b < 256; b++) {
        uint8_t back;
        assert_true(byte_level_byte(byte_level_char((uint8_t)b), &back));
        assert_int_equal(back, b);
    }
    uint8_t none;
    assert_false(byte_level_byte(' ', &none));
    assert_false(byte_level_byte(0xad, &none));
    assert_false(byte_level_byte(0x144, &none));
}

static void byte_level_tokens_are_found_by_their_bytes_and_by_their_spelling(void **state)
{
    const char *const texts[] = { "\u0120world", "a", " " /* literal */, "\uff5cx" /* literal */, "" };
    struct vocab *v = vocab_of(true, texts, NULL, 5);
    struct buf out = { 0 };
    uint32_t id;
    struct str bytes;

    assert_true(vocab_find(v, STR(" world"), &id) && id == 0);
    assert_true(vocab_find_text(v, STR("\u0120world"), &id) && id == 0);
    assert_false(vocab_find(v, STR(" "), &id));
    assert_true(vocab_find_text(v, STR(" "), &id) && id == 2 && vocab_is_literal(v, 2));
    assert_true(vocab_find_text(v, STR("\uff5cx"), &id) && id == 3);
    assert_true(vocab_find(v, STR(""), &id) && id == 4);
    assert_true(vocab_bytes(v, 0, &bytes));
    assert_str(bytes, " world");
    assert_false(vocab_bytes(v, 5, &bytes));
    assert_true(vocab_spell(v, 0, &out) && vocab_spell(v, 3, &out));
    assert_str(buf_str(&out), "\u0120world\uff5cx");
    assert_int_equal(vocab_count(v), 5);
    assert_int_equal(vocab_id_end(v), 5);
    buf_fini(&out);
    vocab_free(v);
}

static void of_equal_texts_the_last_id_counts_and_the_old_id_means_nothing(void **state)
{
    const char *const texts[] = { "a", "b", "a" };
    const uint32_t ids[] = { 3, 4, 7 };
    struct vocab *v = vocab_of(false, texts, ids, 3);
    struct str bytes;
    uint32_t id;

    assert_int_equal(vocab_count(v), 2);
    assert_int_equal(vocab_id_end(v), 8);
    assert_true(vocab_find(v, STR("a"), &id) && id == 7);
    assert_false(vocab_bytes(v, 3, &bytes));
    assert_true(vocab_bytes(v, 7, &bytes));
    vocab_free(v);
}

static void many_are_found_at_once(void **state)
{
    struct vocab_builder *b;
    struct vocab *v;
    char texts[1000][16];
    struct str asked[1000];
    uint32_t ids[1000];

    assert_int_equal(vocab_builder_new(false, 0, 0, &b), 0);
    for (uint32_t i = 0; i < 1000; i++) {
        snprintf(texts[i], sizeof(texts[i]), "token %u", i);
        asked[i] = str_of(texts[i]);
        if (i % 3)
            assert_int_equal(vocab_builder_add(b, asked[i], i), 0);
    }
    assert_int_equal(vocab_builder_finish(b, &v), 0);
    vocab_find_many(v, asked, 1000, ids);
    for (uint32_t i = 0; i < 1000; i++)
        assert_int_equal(ids[i], i % 3 ? i : VOCAB_NONE);
    assert_true(vocab_memory(v) > 10000);
    vocab_free(v);
}

static void ids_have_a_bound(void **state)
{
    struct vocab_builder *b;

    assert_int_equal(vocab_builder_new(false, 0, 0, &b), 0);
    assert_int_equal(vocab_builder_add(b, STR("a"), VOCAB_IDS_MAX - 1), 0);
    assert_int_equal(vocab_builder_add(b, STR("a"), VOCAB_IDS_MAX), ERR_LIMIT);
    vocab_builder_free(b);
    vocab_builder_free(NULL);
    vocab_free(NULL);
}

static void memory_may_run_out_anywhere(void **state)
{
    FOR_EACH_FAILING_ALLOCATION(n)
    {
        struct vocab_builder *b = NULL;
        struct vocab *v = NULL;
        int r = vocab_builder_new(true, 0, 0, &b);
        char text[8];

        for (uint32_t i = 0; i < 100 && r >= 0; i++) {
            snprintf(text, sizeof(text), "t%u", i);
            r = vocab_builder_add(b, str_of(text), i);
        }
        if (r >= 0)
            r = vocab_builder_finish(b, &v);
        else
            vocab_builder_free(b);
        if (r < 0)
            assert_int_equal(r, ERR_NOMEM);
        else
            assert_int_equal(vocab_count(v), 100);
        vocab_free(v);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_have_the_characters_of_the_spec),
        cmocka_unit_test(byte_level_tokens_are_found_by_their_bytes_and_by_their_spelling),
        cmocka_unit_test(of_equal_texts_the_last_id_counts_and_the_old_id_means_nothing),
        cmocka_unit_test(many_are_found_at_once),
        cmocka_unit_test(ids_have_a_bound),
        cmocka_unit_test(memory_may_run_out_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
