/* text_table.c -- columns as wide as they must be, shortened where the terminal is narrow, and nothing that a terminal would obey */
#include "stand_ins.h"

#include "cli/text_table.h"

static const struct text_column COLUMNS[] = { { "ID" }, { "URL", .shrinks = true }, { "LOAD", .right = true } };

static struct buf out;

static int forget(void **state)
{
    buf_fini(&out);
    return 0;
}

static void render(const char *const *cells, size_t n, unsigned width)
{
    struct text_table t;

    buf_clear(&out);
    text_table_init(&t, COLUMNS, ARRAY_LEN(COLUMNS));
    for (size_t i = 0; i < n; i++)
        text_table_cell(&t, str_of(cells[i]));
    text_table_render(&t, width, &out);
    text_table_fini(&t);
    assert_false(out.failed);
}

#define assert_text(expected)                                \
    do {                                                     \
        buf_put_char(&out, 0);                               \
        assert_string_equal(out.p ? out.p : "", (expected)); \
        out.n--;                                             \
    } while (0)

static const char *const ROWS[] = { "a1", "http://10.0.0.1:8000", "3", "b22", "http://10.0.0.22:8000", "12" };

static void columns_are_as_wide_as_their_widest_cell(void **state)
{
    render(ROWS, ARRAY_LEN(ROWS), 0);
    assert_text("ID   URL                    LOAD\n"
                "a1   http://10.0.0.1:8000      3\n"
                "b22  http://10.0.0.22:8000    12\n");
}

static void a_table_without_rows_is_its_titles(void **state)
{
    render(NULL, 0, 80);
    assert_text("ID  URL  LOAD\n");
}

static void a_narrow_terminal_takes_the_beginning_of_long_cells(void **state)
{
    render(ROWS, ARRAY_LEN(ROWS), 24);
    assert_text("ID   URL            LOAD\n"
                "a1   ...0.0.1:8000     3\n"
                "b22  ..0.0.22:8000    12\n");
}

static void a_column_keeps_eight_columns_however_narrow_it_gets(void **state)
{
    render(ROWS, ARRAY_LEN(ROWS), 5);
    assert_text("ID   URL       LOAD\n"
                "a1   ..1:8000     3\n"
                "b22  ..2:8000    12\n");
}

static void width_counts_characters_and_not_bytes(void **state)
{
    static const char *const CELLS[] = { "ä€", "\xF0\x9F\x98\x80x", "1" };

    assert_int_equal(text_width(STR("ä€\xF0\x9F\x98\x80")), 3);
    render(CELLS, ARRAY_LEN(CELLS), 0);
    assert_text("ID  URL  LOAD\nä€  \xF0\x9F\x98\x80x      1\n");
    buf_clear(&out);
    text_put_cell(STR("äöüß"), 3, false, &out);
    assert_text("..ß");
}

static void blanks_at_the_end_of_a_line_are_left_out(void **state)
{
    static const struct text_column TWO[] = { { "A" }, { "LONG TITLE" } };
    struct text_table t;

    buf_clear(&out);
    text_table_init(&t, TWO, 2);
    text_table_cell(&t, STR("x"));
    text_table_cell(&t, STR(""));
    text_table_render(&t, 0, &out);
    text_table_fini(&t);
    assert_text("A  LONG TITLE\nx\n");
}

static void text_from_outside_cannot_command_the_terminal(void **state)
{
    struct arena arena;
    struct str s;

    arena_init(&arena, NULL, 0);
    s = text_clean(STR("a\x1b[2Jb\nc\x7f"), &arena);
    assert_true(str_eq(s, STR("a?[2Jb?c?")));
    s = text_clean(STR("x\xC2\x9B"
                       "31m"),
                   &arena); /* U+009B: what ESC [ is in eight bits */
    assert_true(str_eq(s, STR("x??31m")));
    s = STR("plain ä €");
    assert_ptr_equal(text_clean(s, &arena).p, s.p);
    arena_fini(&arena);
}

static void durations_are_in_the_unit_that_people_use(void **state)
{
    static const struct {
        uint64_t ms;
        const char *text;
    } ROWS_[] = { { 0, "0 ms" },      { 999, "999 ms" },  { 1000, "1 s" },     { 59999, "59 s" },
                  { 60000, "1 min" }, { 7200000, "2 h" }, { 172800000, "2 d" } };

    for (size_t i = 0; i < ARRAY_LEN(ROWS_); i++) {
        buf_clear(&out);
        text_put_duration(ROWS_[i].ms, &out);
        assert_text(ROWS_[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(columns_are_as_wide_as_their_widest_cell, forget),
        cmocka_unit_test_teardown(a_table_without_rows_is_its_titles, forget),
        cmocka_unit_test_teardown(a_narrow_terminal_takes_the_beginning_of_long_cells, forget),
        cmocka_unit_test_teardown(a_column_keeps_eight_columns_however_narrow_it_gets, forget),
        cmocka_unit_test_teardown(width_counts_characters_and_not_bytes, forget),
        cmocka_unit_test_teardown(blanks_at_the_end_of_a_line_are_left_out, forget),
        cmocka_unit_test(text_from_outside_cannot_command_the_terminal),
        cmocka_unit_test_teardown(durations_are_in_the_unit_that_people_use, forget),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
