/* board.c -- the least loaded of many, and where somebody is */
#include "fleet.h"
#include "test.h"

static struct policy_board board;
static struct board_view view;

static int set_up(void **state)
{
    (void)state;
    fleet_reset();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    board_fini(&board);
    return 0;
}

static void look(size_t n, uint64_t now_us)
{
    assert_true(board_ready(&board, fleet, n));
    board_look(&board, fleet, n, /* shadow= */ false, now_us, &view);
}

static void it_knows_everybodys_place(void **state)
{
    assert_true(board_ready(&board, fleet, FLEET_MAX));
    for (size_t i = 0; i < FLEET_MAX; i++)
        assert_int_equal(board_place(&board, fleet_lives[i].number), i);
    assert_int_equal(board_place(&board, FLEET_MAX + 1), -1);
    board_reset(&board);
    assert_true(board_ready(&board, fleet + 5, 3));
    assert_int_equal(board_place(&board, 6), 0);
    assert_int_equal(board_place(&board, 5), -1);
    fleet_lives[6].number = 0; /* none was free */
    board_reset(&board);
    assert_true(board_ready(&board, fleet + 5, 3));
    assert_int_equal(board_place(&board, 8), 2);
    assert_int_equal(board_place(&board, 7), -1);
}

static void a_short_list_is_looked_at_each_time(void **state)
{
    fleet_load(0, 1);
    fleet_load(2, 5);
    look(3, 0);
    assert_int_equal(view.min, 1);
    assert_int_equal(view.load_min, 0);
    assert_int_equal(view.load_max, 5);
    fleet_load(1, 9);
    look(3, 0);
    assert_int_equal(view.min, 0);
    assert_int_equal(view.load_max, 9);
}

static void equals_are_told_apart_by_what_they_have_done(void **state)
{
    atomic_store(&fleet_lives[0].processed, 7);
    atomic_store(&fleet_lives[1].processed, 3);
    atomic_store(&fleet_lives[2].processed, 3);
    look(3, 0);
    assert_int_equal(view.min, 1);
    for (size_t i = 0; i < FLEET_MAX; i++)
        atomic_store(&fleet_lives[i].processed, i == 700 ? 1 : 2);
    board_reset(&board);
    look(FLEET_MAX, 0);
    assert_int_equal(view.min, 700);
}

static void a_long_list_is_used_up_in_order(void **state)
{
    for (size_t i = 0; i < FLEET_MAX; i++)
        fleet_load(i, (int64_t)(i * 7919 % FLEET_MAX));
    look(FLEET_MAX, 0);
    assert_int_equal(view.load_max, FLEET_MAX - 1);
    for (int64_t i = 0; i < 20; i++) {
        look(FLEET_MAX, 0);
        assert_int_equal(view.load_min, i);
        atomic_fetch_add(&fleet_lives[view.min].load, 100);
        board_use_min(&board);
    }
}

static void who_was_chosen_by_others_is_passed_over(void **state)
{
    for (size_t i = 0; i < FLEET_MAX; i++)
        fleet_load(i, (int64_t)i);
    look(FLEET_MAX, 0);
    assert_int_equal(view.min, 0);
    fleet_load(0, 50);
    fleet_load(1, 50);
    look(FLEET_MAX, 0);
    assert_int_equal(view.min, 2);
}

static void a_look_grows_old(void **state)
{
    for (size_t i = 0; i < FLEET_MAX; i++)
        fleet_load(i, 10);
    look(FLEET_MAX, 0);
    fleet_load(900, 1);
    look(FLEET_MAX, BOARD_STALE_US / 2);
    assert_int_equal(view.load_min, 10);
    look(FLEET_MAX, BOARD_STALE_US + 1);
    assert_int_equal(view.min, 900);
}

static void loads_of_all_kinds_are_ordered(void **state)
{
    for (unsigned pattern = 0; pattern < 6; pattern++) {
        for (size_t i = 0; i < FLEET_MAX; i++)
            fleet_load(i, pattern == 0   ? 0
                          : pattern == 1 ? (int64_t)i
                          : pattern == 2 ? (int64_t)(FLEET_MAX - i)
                          : pattern == 3 ? (int64_t)(i % 2)
                          : pattern == 4 ? (int64_t)(i * i % 37)
                                         : (int64_t)(i * 2654435761u >> 20 & 1023));
        for (size_t n = 65; n <= FLEET_MAX; n += 137) {
            int64_t before = INT64_MIN;

            board_reset(&board);
            look(n, 0);
            for (size_t k = 0; k < board.idle_n; k++) {
                assert_true(board.idle[k].load >= before);
                before = board.idle[k].load;
            }
            for (size_t i = 0, below = 0; i < n; i++) {
                below += atomic_load(&fleet_lives[i].load) < before;
                assert_true(below <= board.idle_n);
            }
        }
    }
}

static void usage_is_of_those_that_report(void **state)
{
    look(3, 0);
    assert_true(view.usage_max < 0);
    fleet_usage(0, 0.5);
    fleet_usage(2, 0.25);
    look(3, 0);
    assert_true(view.usage_max == 0.5 && view.usage_min == 0.25);
    board_reset(&board);
    look(FLEET_MAX, 0);
    assert_true(view.usage_max == 0.5 && view.usage_min == 0.25);
}

#define RULE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE(it_knows_everybodys_place),
        RULE(a_short_list_is_looked_at_each_time),
        RULE(equals_are_told_apart_by_what_they_have_done),
        RULE(a_long_list_is_used_up_in_order),
        RULE(who_was_chosen_by_others_is_passed_over),
        RULE(a_look_grows_old),
        RULE(loads_of_all_kinds_are_ordered),
        RULE(usage_is_of_those_that_report),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
