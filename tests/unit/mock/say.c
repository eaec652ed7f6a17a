/* say.c -- what a request has the engine say, and in which pieces */
#include "test.h"

#include "mock/say.h"

static struct arena arena;
static struct json_doc doc;
static struct say *says;
static size_t n;
static struct err err;

static int read_member(const char *json)
{
    err = (struct err){ 0 };
    says = NULL;
    assert_int_equal(json_parse(str_of(json), &arena, &doc, NULL), 0);
    return say_read(json_root(&doc), &arena, &says, &n, &err);
}

static int open_arena(void **state)
{
    arena_init(&arena, NULL, 0);
    return 0;
}

static int close_arena(void **state)
{
    arena_fini(&arena);
    return 0;
}

static void pieces_are_one_text_and_know_their_ends(void **state)
{
    assert_int_equal(read_member("[\"a\\n\",\"\",\"bc\"]"), 0);
    assert_int_equal(n, 1);
    assert_str(says[0].text, "a\\nbc");
    assert_int_equal(says[0].n, 3);
    assert_int_equal(says[0].ends[0], 3);
    assert_int_equal(says[0].ends[1], 3);
    assert_int_equal(says[0].ends[2], 5);
}

static void each_answer_may_have_pieces_of_its_own(void **state)
{
    assert_int_equal(read_member("[[\"a\"],[\"b\",\"c\"]]"), 0);
    assert_int_equal(n, 2);
    assert_str(says[1].text, "bc");
    assert_int_equal(read_member("null"), 0);
    assert_int_equal(n, 0);
}

static void anything_else_is_refused_with_what_is_expected(void **state)
{
    static const char *const WRONG[] = { "1", "\"a\"", "[]", "[1]", "{}", "[[]]", "[[\"a\"],1]", "[[\"a\"],[2]]" };

    for (size_t i = 0; i < ARRAY_LEN(WRONG); i++) {
        assert_int_equal(read_member(WRONG[i]), ERR_INVALID);
        assert_non_null(strstr(err.message, "mock_say: expected an array of texts"));
    }
}

static void without_memory_nothing_is_said(void **state)
{
    struct arena small;

    assert_int_equal(json_parse(STR("[\"abc\"]"), &arena, &doc, NULL), 0);
    arena_init(&small, NULL, 16);
    assert_int_equal(say_read(json_root(&doc), &small, &says, &n, &err), ERR_NOMEM);
    arena_fini(&small);
}

#define RULE(f) cmocka_unit_test_setup_teardown(f, open_arena, close_arena)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE(pieces_are_one_text_and_know_their_ends),
        RULE(each_answer_may_have_pieces_of_its_own),
        RULE(anything_else_is_refused_with_what_is_expected),
        RULE(without_memory_nothing_is_said),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
