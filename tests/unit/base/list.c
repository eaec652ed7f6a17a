/* list.c -- the rules of lists through members */
#include "test.h"

#include "base/list.h"

struct item {
    int n;
    struct list in_list;
};

static int digits(struct list *head)
{
    struct item *it;
    int n = 0;

    LIST_EACH(it, head, in_list)
    n = n * 10 + it->n;
    return n;
}

static void items_stand_in_order_and_move_in_bulk(void **state)
{
    struct item a = { .n = 1 }, b = { .n = 2 }, c = { .n = 3 };
    struct list head, other;

    list_init(&head);
    list_init(&other);
    list_init(&a.in_list);
    list_remove(&a.in_list); /* in no list: nothing happens */
    assert_null(list_first(&head, struct item, in_list));
    list_append(&head, &b.in_list);
    list_append(&head, &c.in_list);
    list_prepend(&head, &a.in_list);
    assert_int_equal(digits(&head), 123);
    assert_ptr_equal(list_first(&head, struct item, in_list), &a);
    list_remove(&a.in_list);
    list_append(&other, &a.in_list);
    list_move(&other, &head);
    assert_true(list_empty(&head));
    assert_int_equal(digits(&other), 123);
    list_move(&other, &head);
    assert_int_equal(digits(&other), 123);
}

static void the_current_item_may_leave_during_a_walk(void **state)
{
    struct item items[4], *it;
    struct list head;

    list_init(&head);
    for (int i = 0; i < 4; i++) {
        items[i].n = i + 1;
        list_append(&head, &items[i].in_list);
    }
    LIST_EACH(it, &head, in_list)
    if (it->n % 2)
        list_remove(&it->in_list);
    assert_int_equal(digits(&head), 24);
}

static void walks_may_be_nested(void **state)
{
    struct item a[2] = { { .n = 1 }, { .n = 2 } }, *x, *y;
    struct list head;
    int sum = 0;

    list_init(&head);
    list_append(&head, &a[0].in_list);
    list_append(&head, &a[1].in_list);
    LIST_EACH(x, &head, in_list)
    LIST_EACH(y, &head, in_list)
    sum = sum * 10 + x->n * y->n;
    assert_int_equal(sum, 1224);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_stand_in_order_and_move_in_bulk),
        cmocka_unit_test(the_current_item_may_leave_during_a_walk),
        cmocka_unit_test(walks_may_be_nested),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
