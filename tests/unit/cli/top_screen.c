/* top_screen.c -- a frame fits its terminal, follows the selection, and says what it must */
#include "stand_ins.h"

#include <stdio.h>

#include "cli/text_table.h"
#include "cli/top_screen.h"

static struct top_state s;
static struct top_view v;
static struct buf out;

static void list(size_t n)
{
    struct buf text = { 0 };

    buf_puts(&text, "{\"workers\":[");
    for (size_t i = 0; i < n; i++)
        buf_printf(&text,
                   "%s{\"id\":\"id-%zu\",\"model_id\":\"m\",\"url\":\"http://10.0.%zu.%zu:8000\",\"status\":\"%s\",\"load\":%zu}",
                   i ? "," : "", i, i / 250, i % 250, i % 10 == 9 ? "failed" : "ready", i % 7);
    buf_puts(&text, "]}");
    assert_int_equal(top_set_workers(&s, buf_str(&text)), 0);
    buf_fini(&text);
}

static int begin(void **state)
{
    top_state_init(&s);
    v = (struct top_view){ .columns = 80, .lines = 24, .gateway = STR("http://127.0.0.1:30000"), .interval_s = 1, .metrics = true };
    return 0;
}

static int end(void **state)
{
    top_view_fini(&v);
    top_state_fini(&s);
    buf_fini(&out);
    return 0;
}

static const char *frame(void)
{
    buf_clear(&out);
    top_render(&v, &s, &out);
    buf_put_char(&out, 0);
    assert_false(out.failed);
    return out.p;
}

/* Line AT (from 0) of the last frame, without its end. */
static struct str line(size_t at)
{
    struct str rest = { out.p, out.n - 1 }, head = STR_NONE;

    for (size_t i = 0; i <= at; i++)
        (void)str_split(rest, '\n', &head, &rest);
    return head;
}

static size_t lines(void)
{
    size_t n = 0;

    for (size_t i = 0; i < out.n; i++)
        n += out.p[i] == '\n';
    return n;
}

static void a_frame_fits_every_terminal(void **state)
{
    static const unsigned WIDTHS[] = { 1, 10, 20, 33, 40, 60, 79, 80, 100, 200 }, HEIGHTS[] = { 6, 10, 24, 60 };

    list(100);
    for (size_t i = 0; i < ARRAY_LEN(WIDTHS); i++) {
        for (size_t k = 0; k < ARRAY_LEN(HEIGHTS); k++) {
            v.columns = WIDTHS[i];
            v.lines = HEIGHTS[k];
            for (v.mode = TOP_WATCH; v.mode <= TOP_HELP; v.mode++) {
                (void)frame();
                assert_int_equal(lines(), HEIGHTS[k]);
                for (size_t at = 0; at < HEIGHTS[k]; at++)
                    assert_in_range(text_width(line(at)), 0, WIDTHS[i]);
            }
            v.mode = TOP_WATCH;
        }
    }
}

static void eighty_columns_show_everything_that_was_promised(void **state)
{
    list(3);
    (void)frame();
    assert_true(str_eq(line(1), STR("3 workers: 3 ready; 3 in flight")));
    assert_true(str_eq(line(3), STR("WORKER                        STATE      LOAD  WAIT   REQ/S  LATENCY  ERR/S   KV")));
    assert_true(str_eq(line(5), STR("10.0.0.1:8000                 ready         1     -       -        -      -    -")));
}

static void a_wide_terminal_shows_models_and_a_narrow_one_drops_the_least(void **state)
{
    list(3);
    v.columns = 120;
    assert_non_null(strstr(frame(), "MODEL"));
    v.columns = 60;
    (void)frame();
    assert_null(strstr(out.p, "WAIT"));
    assert_non_null(strstr(out.p, "LOAD"));
    v.columns = 40;
    (void)frame();
    assert_null(strstr(out.p, "LATENCY"));
    assert_non_null(strstr(out.p, "STATE"));
}

static void four_thousand_workers_scroll_with_the_selection(void **state)
{
    list(4000);
    (void)frame();
    assert_true(str_eq(top_selected(&v, &s)->id, STR("id-0")));
    top_move(&v, &s, 5000);
    (void)frame();
    assert_true(str_eq(top_selected(&v, &s)->id, STR("id-3999")));
    assert_true(str_has_prefix(line(22), STR("10.0.15.249:8000")));
    top_move(&v, &s, -1);
    top_move(&v, &s, -(long)top_page(&v));
    (void)frame();
    assert_true(str_eq(top_selected(&v, &s)->id, STR("id-3979")));
    assert_true(str_has_prefix(line(4), STR("10.0.15.229:8000")));
    top_move(&v, &s, -100000);
    (void)frame();
    assert_true(str_has_prefix(line(4), STR("10.0.0.0:8000")));
}

static void the_selection_stays_on_its_worker(void **state)
{
    list(10);
    (void)frame();
    top_move(&v, &s, 3);
    v.sort = SORT_LOAD;
    (void)frame();
    assert_true(str_eq(top_selected(&v, &s)->id, STR("id-3")));
    list(2); /* its worker is gone: one that is there takes its place */
    (void)frame();
    assert_non_null(top_selected(&v, &s));
    list(0);
    (void)frame();
    assert_null(top_selected(&v, &s));
    top_move(&v, &s, 1);
    assert_null(top_selected(&v, &s));
}

static void sorting_puts_the_greatest_first_and_keeps_the_order_of_equals(void **state)
{
    list(9);
    v.sort = SORT_LOAD;
    (void)frame();
    assert_true(str_has_prefix(line(4), STR("10.0.0.6:8000")));
    assert_true(str_has_prefix(line(5), STR("10.0.0.5:8000")));
    assert_true(str_has_prefix(line(9), STR("10.0.0.1:8000"))); /* load 1, as 10.0.0.8 */
    assert_true(str_has_prefix(line(10), STR("10.0.0.8:8000")));
    list(10);
    v.sort = SORT_STATE;
    (void)frame();
    assert_true(str_has_prefix(line(4), STR("10.0.0.9:8000"))); /* the failed one */
}

static void trouble_outranks_news_and_a_missing_page_is_told(void **state)
{
    list(1);
    v.metrics = false;
    assert_non_null(strstr(frame(), "--metrics URL"));
    buf_puts(&v.news, "drained");
    assert_non_null(strstr(frame(), "\ndrained\n"));
    buf_puts(&v.trouble, "cannot be reached");
    assert_non_null(strstr(frame(), "\ncannot be reached\n"));
    assert_null(strstr(out.p, "drained"));
}

static void a_question_names_the_worker_and_what_it_does(void **state)
{
    list(2);
    (void)frame();
    top_move(&v, &s, 1);
    v.mode = TOP_ASK_DRAIN;
    assert_non_null(strstr(frame(), "Drain http://10.0.0.1:8000 (1 in flight) and remove it? y/n"));
    v.mode = TOP_ASK_FLUSH;
    assert_non_null(strstr(frame(), "Flush the caches of all 2 workers? y/n"));
}

static void a_frame_for_a_pipe_has_all_workers_and_no_keys(void **state)
{
    list(100);
    v.lines = 0;
    (void)frame();
    assert_int_equal(lines(), 104);
    assert_null(strstr(out.p, "q quit"));
    assert_null(strchr(out.p, 27));
}

static void a_terminal_gets_no_newline_at_its_end_and_no_leftovers(void **state)
{
    list(2);
    v.escapes = true;
    v.colours = true;
    (void)frame();
    assert_true(str_has_prefix(str_of(out.p), STR("\x1b[H")));
    assert_int_equal(lines(), v.lines - 1);
    assert_non_null(strstr(out.p, "\x1b[7m")); /* the selected one */
    assert_non_null(strstr(out.p, "\x1b[K\r\n"));
}

int main(void)
{
#define ROW(f) cmocka_unit_test_setup_teardown(f, begin, end)
    const struct CMUnitTest tests[] = {
        ROW(a_frame_fits_every_terminal),
        ROW(eighty_columns_show_everything_that_was_promised),
        ROW(a_wide_terminal_shows_models_and_a_narrow_one_drops_the_least),
        ROW(four_thousand_workers_scroll_with_the_selection),
        ROW(the_selection_stays_on_its_worker),
        ROW(sorting_puts_the_greatest_first_and_keeps_the_order_of_equals),
        ROW(trouble_outranks_news_and_a_missing_page_is_told),
        ROW(a_question_names_the_worker_and_what_it_does),
        ROW(a_frame_for_a_pipe_has_all_workers_and_no_keys),
        ROW(a_terminal_gets_no_newline_at_its_end_and_no_leftovers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
