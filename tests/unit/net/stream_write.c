/* stream_write.c -- what a stream promises its owner: writing more than the kernel takes */
#include "fail_alloc.h"
#include "net/stream_peer.h"

/* ---- writing ---- */

static void big_write(enum stream_leftover leftover)
{
    struct peer p = { .fd = -1 };
    char *bytes = a_pattern(0, BIG);

    open_pair(&p, SMALL);
    p.parts[0] = (struct str){ bytes, 1 };
    p.parts[1] = (struct str){ bytes + 1, 1000 };
    p.parts[2] = (struct str){ bytes + 1001, BIG / 2 };
    p.parts[3] = (struct str){ bytes + 1001 + BIG / 2, BIG - 1001 - BIG / 2 };
    p.parts_n = 4;
    p.leftover = leftover;
    on_loop(loop, call_write, &p);
    assert_int_equal(p.wrote, STREAM_PENDING);
    assert_true(p.answer);
    assert_true(p.number > BIG / 2);
    if (leftover == STREAM_COPY) {
        assert_true(budget_used() > BIG / 2);
        memset(bytes, 0, BIG); /* ours again */
    }
    expect_pattern(p.fd, 0, BIG);
    EVENTUALLY(p.drains == 1);
    assert_int_equal(budget_used(), 0);
    assert_int_equal(write_str(&p, STR("!"), STREAM_COPY), STREAM_SENT);
    finish(&p);
    assert_int_equal(p.drains, 1);
    free(bytes);
}

static void what_does_not_fit_is_copied_and_sent_later(void **state)
{
    big_write(STREAM_COPY);
}

static void what_does_not_fit_is_borrowed_until_drained(void **state)
{
    big_write(STREAM_BORROW);
}

static void appended_writes(enum stream_leftover first)
{
    enum { PIECE = 70000, PIECES = 12 };
    struct peer p = { .fd = -1 };
    char *bytes = a_pattern(0, BIG);

    open_pair(&p, SMALL);
    assert_int_equal(write_str(&p, (struct str){ bytes, BIG - PIECE * PIECES }, first), STREAM_PENDING);
    for (size_t i = 0; i < PIECES; i++) {
        char *piece = a_pattern(BIG - PIECE * (PIECES - i), PIECE);

        assert_int_equal(write_str(&p, (struct str){ piece, PIECE }, i % 2 ? STREAM_BORROW : STREAM_COPY), STREAM_PENDING);
        free(piece); /* while one is pending the others are copied */
    }
    expect_pattern(p.fd, 0, BIG);
    EVENTUALLY(p.drains == 1);
    finish(&p);
    assert_int_equal(p.drains, 1);
    assert_int_equal(budget_used(), 0);
    free(bytes);
}

static void writes_behind_a_pending_one_keep_their_order(void **state)
{
    appended_writes(STREAM_COPY);
    appended_writes(STREAM_BORROW);
}

static void copies_have_a_bound_past_which_the_stream_fails(void **state)
{
    struct peer p = { .fd = -1 };
    char *bytes = a_pattern(0, STREAM_PENDING_MAX);

    open_pair(&p, SMALL);
    assert_int_equal(write_str(&p, (struct str){ bytes, STREAM_PENDING_MAX }, STREAM_COPY), STREAM_PENDING);
    assert_int_equal(write_str(&p, (struct str){ bytes, STREAM_PENDING_MAX }, STREAM_COPY), STREAM_FAILED);
    EVENTUALLY(p.ends == 1);
    assert_int_equal(p.ended, ERR_LIMIT);
    assert_int_equal(write_str(&p, STR("x"), STREAM_COPY), STREAM_FAILED);
    finish(&p);
    assert_int_equal(p.drains, 0);
    assert_int_equal(budget_used(), 0);
    free(bytes);
}

static void copies_draw_from_the_budget(void **state)
{
    struct peer p = { .fd = -1 };
    char *bytes = a_pattern(0, BIG);

    budget_set_limit(BIG / 4);
    open_pair(&p, SMALL);
    assert_int_equal(write_str(&p, (struct str){ bytes, BIG }, STREAM_COPY), STREAM_FAILED);
    EVENTUALLY(p.ends == 1);
    assert_int_equal(p.ended, ERR_LIMIT);
    finish(&p);
    budget_set_limit(0);
    assert_int_equal(budget_used(), 0);
    free(bytes);
}

static void a_copy_that_went_out_is_given_back_before_those_behind_it(void **state)
{
    struct peer p = { .fd = -1 };
    char *bytes = a_pattern(0, 2 * BIG);

    open_pair(&p, SMALL);
    assert_int_equal(write_str(&p, (struct str){ bytes, BIG }, STREAM_COPY), STREAM_PENDING);
    assert_int_equal(write_str(&p, (struct str){ bytes + BIG, BIG }, STREAM_COPY), STREAM_PENDING);
    expect_pattern(p.fd, 0, BIG + 1);
    EVENTUALLY(budget_used() == BIG);
    expect_pattern(p.fd, BIG + 1, BIG - 1);
    EVENTUALLY(p.drains == 1);
    assert_int_equal(budget_used(), 0);
    finish(&p);
    free(bytes);
}

static void call_count_kept(void *arg)
{
    struct peer *p = arg;

    p->number = p->s->sending.cap + p->s->pending.cap;
}

static void a_stream_that_drained_keeps_no_large_memory(void **state)
{
    struct peer p = { .fd = -1 };
    char *bytes = a_pattern(0, BIG);

    open_pair(&p, SMALL);
    assert_int_equal(write_str(&p, (struct str){ bytes, BIG }, STREAM_COPY), STREAM_PENDING);
    expect_pattern(p.fd, 0, BIG);
    EVENTUALLY(p.drains == 1);
    on_loop(loop, call_count_kept, &p);
    assert_in_range(p.number, 0, 4096);
    finish(&p);
    free(bytes);
}

static void a_copy_without_memory_fails_the_stream(void **state)
{
    char *bytes = a_pattern(0, BIG);

    FOR_EACH_FAILING_ALLOCATION(n)
    {
        struct peer p = { .fd = -1 };

        open_pair(&p, SMALL); /* its memory comes from the stream that an earlier test closed */
        if (write_str(&p, (struct str){ bytes, BIG }, STREAM_COPY) == STREAM_FAILED) {
            assert_true(fail_alloc_failed());
            EVENTUALLY(p.ends == 1);
            assert_int_equal(p.ended, ERR_NOMEM);
        }
        finish(&p);
        assert_int_equal(budget_used(), 0);
    }
    free(bytes);
}

static void closing_with_a_pending_write_is_silent_and_frees_it(void **state)
{
    struct peer p = { .fd = -1 };
    char *bytes = a_pattern(0, BIG);

    open_pair(&p, SMALL);
    assert_int_equal(write_str(&p, (struct str){ bytes, BIG }, STREAM_BORROW), STREAM_PENDING);
    assert_int_equal(write_str(&p, (struct str){ bytes, BIG }, STREAM_COPY), STREAM_PENDING);
    on_loop(loop, call_close, &p);
    memset(bytes, 0, BIG);
    free(bytes); /* from the close on nobody looks at it */
    finish(&p);
    assert_int_equal(p.drains, 0);
    assert_int_equal(p.ends, 0);
    assert_int_equal(budget_used(), 0);
}

static void shutdown_sends_fin_behind_what_is_pending(void **state)
{
    struct peer p = { .fd = -1 };
    char *bytes = a_pattern(0, BIG), c;

    open_pair(&p, SMALL);
    on_loop(loop, call_read_start, &p);
    assert_int_equal(write_str(&p, (struct str){ bytes, BIG }, STREAM_COPY), STREAM_PENDING);
    on_loop(loop, call_shutdown, &p);
    assert_int_equal(write_str(&p, STR("x"), STREAM_COPY), STREAM_FAILED);
    expect_pattern(p.fd, 0, BIG);
    assert_int_equal(recv(p.fd, &c, 1, 0), 0);
    send_bytes(p.fd, "still here", 10); /* the other direction is open */
    EVENTUALLY(p.bytes == 10);
    assert_false(peer_gone(&p));
    close_fd(&p);
    EVENTUALLY(p.ends == 1);
    assert_int_equal(p.ended, 0);
    finish(&p);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_does_not_fit_is_copied_and_sent_later),
        cmocka_unit_test(what_does_not_fit_is_borrowed_until_drained),
        cmocka_unit_test(writes_behind_a_pending_one_keep_their_order),
        cmocka_unit_test(copies_have_a_bound_past_which_the_stream_fails),
        cmocka_unit_test(copies_draw_from_the_budget),
        cmocka_unit_test(a_copy_that_went_out_is_given_back_before_those_behind_it),
        cmocka_unit_test(a_stream_that_drained_keeps_no_large_memory),
        cmocka_unit_test(a_copy_without_memory_fails_the_stream),
        cmocka_unit_test(closing_with_a_pending_write_is_silent_and_frees_it),
        cmocka_unit_test(shutdown_sends_fin_behind_what_is_pending),
    };

    return cmocka_run_group_tests(tests, loop_setup, loop_teardown);
}
