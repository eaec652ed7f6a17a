/* live.c -- prepared changes are invisible, settled ones are true, dropped ones never were */
#include "journal/live.h"

#include <stdio.h>

#include "fail_alloc.h"
#include "test.h"

static int prepare(struct live *l, struct list *changes, enum record_op op, const char *kind, const char *key, const char *value)
{
    return live_prepare(l, &(struct record){ op, str_of(kind), str_of(key), str_of(value) }, changes);
}

/* "kind/key=value ..." in order */
static const char *walk(const struct live *l)
{
    static char text[256];
    const struct live_entry *e;
    size_t n = 0;

    text[0] = 0;
    LIST_EACH(e, &l->entries, link)
    n += (size_t)snprintf(text + n, sizeof text - n, "%.*s/%.*s=%.*s ", STR_FMT(e->kind), STR_FMT(e->key), STR_FMT(e->value));
    return text;
}

static void a_prepared_change_is_not_seen_until_it_is_settled(void **state)
{
    struct live l;
    struct list changes;

    live_init(&l);
    list_init(&changes);
    assert_int_equal(prepare(&l, &changes, RECORD_PUT, "w", "1", "a"), 0);
    assert_string_equal(walk(&l), "");
    assert_int_equal(l.n, 0);
    assert_int_equal(l.prepared_bytes, RECORD_HEAD_BYTES + 3);
    live_settle(&l, &changes);
    assert_string_equal(walk(&l), "w/1=a ");
    assert_int_equal(l.bytes, RECORD_HEAD_BYTES + 3);
    assert_int_equal(l.prepared_bytes, 0);
    live_fini(&l);
}

static void a_dropped_change_leaves_what_was_there(void **state)
{
    struct live l;
    struct list changes;

    live_init(&l);
    list_init(&changes);
    assert_int_equal(prepare(&l, &changes, RECORD_PUT, "w", "1", "a"), 0);
    live_settle(&l, &changes);
    assert_int_equal(prepare(&l, &changes, RECORD_PUT, "w", "1", "b"), 0);
    assert_int_equal(prepare(&l, &changes, RECORD_PUT, "w", "2", "c"), 0);
    assert_int_equal(prepare(&l, &changes, RECORD_DELETE, "w", "1", ""), 0);
    live_drop(&l, &changes);
    assert_string_equal(walk(&l), "w/1=a ");
    assert_int_equal(l.by_name.n, 1);
    assert_int_equal(l.prepared_bytes, 0);
    live_fini(&l);
}

static void keys_keep_the_order_in_which_they_came(void **state)
{
    struct live l;
    struct list changes;

    live_init(&l);
    list_init(&changes);
    assert_int_equal(prepare(&l, &changes, RECORD_PUT, "w", "1", "a"), 0);
    assert_int_equal(prepare(&l, &changes, RECORD_PUT, "t", "1", "b"), 0); /* another kind, the same key */
    assert_int_equal(prepare(&l, &changes, RECORD_PUT, "w", "2", "c"), 0);
    assert_int_equal(prepare(&l, &changes, RECORD_PUT, "w", "1", "aa"), 0); /* keeps its place */
    assert_int_equal(prepare(&l, &changes, RECORD_DELETE, "t", "1", ""), 0);
    assert_int_equal(prepare(&l, &changes, RECORD_PUT, "t", "1", "d"), 0); /* comes anew */
    live_settle(&l, &changes);
    assert_string_equal(walk(&l), "w/1=aa w/2=c t/1=d ");
    assert_int_equal(l.n, 3);
    live_fini(&l);
}

static void two_lists_may_name_one_key(void **state)
{
    struct live l;
    struct list first, second;

    live_init(&l);
    list_init(&first);
    list_init(&second);
    assert_int_equal(prepare(&l, &first, RECORD_PUT, "w", "1", "a"), 0);
    assert_int_equal(prepare(&l, &second, RECORD_DELETE, "w", "1", ""), 0);
    live_drop(&l, &first);
    live_settle(&l, &second);
    assert_string_equal(walk(&l), "");
    assert_int_equal(l.by_name.n, 0);
    live_fini(&l);
}

static void deleting_what_is_not_there_is_fine(void **state)
{
    struct live l;
    struct list changes;

    live_init(&l);
    list_init(&changes);
    assert_int_equal(prepare(&l, &changes, RECORD_DELETE, "w", "1", ""), 0);
    live_settle(&l, &changes);
    assert_int_equal(l.by_name.n, 0);
    live_fini(&l);
}

static void keeps_its_promises_when_memory_runs_out(void **state)
{
    FOR_EACH_FAILING_ALLOCATION(n)
    {
        struct live l;
        struct list changes;
        int r;

        live_init(&l);
        list_init(&changes);
        r = prepare(&l, &changes, RECORD_PUT, "w", "1", "a");
        if (r == 0)
            r = prepare(&l, &changes, RECORD_PUT, "w", "2", "b");
        assert_true(r == 0 || r == ERR_NOMEM);
        if (r == 0)
            live_settle(&l, &changes);
        else
            live_drop(&l, &changes);
        assert_string_equal(walk(&l), r == 0 ? "w/1=a w/2=b " : "");
        assert_int_equal(l.by_name.n, r == 0 ? 2 : 0);
        live_fini(&l);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_prepared_change_is_not_seen_until_it_is_settled),
        cmocka_unit_test(a_dropped_change_leaves_what_was_there),
        cmocka_unit_test(keys_keep_the_order_in_which_they_came),
        cmocka_unit_test(two_lists_may_name_one_key),
        cmocka_unit_test(deleting_what_is_not_there_is_fine),
        cmocka_unit_test(keeps_its_promises_when_memory_runs_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
