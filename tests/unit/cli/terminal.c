/* terminal.c -- bytes become keys (raw mode itself is seen by tests/integration/test_top.py, with a real pseudo-terminal) */
#include "test.h"

#include <unistd.h>

#include "cli/terminal.h"

static void keys_are_read_one_after_another(void **state)
{
    struct str bytes = STR("j\x1b[A\x1bOB\x1b[5~\x1b[6~\x1b[H\x1b[4~q");
    static const int KEYS[] = { 'j', KEY_UP, KEY_DOWN, KEY_PAGE_UP, KEY_PAGE_DOWN, KEY_HOME, KEY_END, 'q', KEY_NONE };

    for (size_t i = 0; i < ARRAY_LEN(KEYS); i++)
        assert_int_equal(terminal_key(&bytes), KEYS[i]);
    assert_int_equal(bytes.n, 0);
}

static void what_is_no_key_of_ours_is_dropped_as_a_whole(void **state)
{
    struct str unknown = STR("\x1b[15~q"), high = STR("\xC3\xA4q"), escape = STR("\x1b");

    assert_int_equal(terminal_key(&unknown), KEY_NONE); /* F5: its letters must not be taken for commands */
    assert_int_equal(unknown.n, 0);
    assert_int_equal(terminal_key(&high), KEY_NONE);
    assert_int_equal(high.n, 0);
    assert_int_equal(terminal_key(&escape), 27);
}

static void a_pipe_is_no_terminal(void **state)
{
    struct err err = { 0 };
    unsigned columns, lines;
    int ends[2], real = dup(STDIN_FILENO);

    assert_int_equal(pipe(ends), 0);
    dup2(ends[0], STDIN_FILENO);
    assert_int_equal(terminal_enter(&err), ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "--once"));
    terminal_leave(); /* nothing to give back */
    terminal_size(&columns, &lines);
    assert_true(columns > 0 && lines > 0);
    dup2(real, STDIN_FILENO);
    close(real);
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_read_one_after_another),
        cmocka_unit_test(what_is_no_key_of_ours_is_dropped_as_a_whole),
        cmocka_unit_test(a_pipe_is_no_terminal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
