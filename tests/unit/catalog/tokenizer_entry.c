/* tokenizer_entry.c -- entries, their encoders and the table */
#include "test.h"
#include "fail_alloc.h"

#include "catalog/source.h"
#include "catalog/tokenizer_entry.h"

static struct tokenizer_entry *an_entry(const char *name, char last)
{
    char id[UUID_TEXT_LEN + 1] = "0199b1c2-7d10-7a3e-9d52-6a1f0c2b3d4x";
    struct tokenizer *t = NULL;

    id[UUID_TEXT_LEN - 1] = last;
    if (mock_tokenizer_load(&t, NULL) < 0)
        return NULL;
    return tokenizer_entry_new(id, str_of(name), STR("mock"), STR_NONE, t);
}

static void a_table_is_sorted_by_bytes_and_finds_names_and_ids(void **state)
{
    struct tokenizer_entry *e[] = { an_entry("b", '1'), an_entry("B", '2'), an_entry("a/c", '3') };
    struct tokenizer_table *t = tokenizer_table_new(e, 3);

    assert_str(t->entries[0]->name, "B");
    assert_str(t->entries[1]->name, "a/c");
    assert_str(t->entries[2]->name, "b");
    assert_ptr_equal(tokenizer_table_find(t, STR("a/c")), e[2]);
    assert_ptr_equal(tokenizer_table_find(t, str_of(e[0]->id)), e[0]);
    assert_ptr_equal(tokenizer_table_find_id(t, STR("b")), e[0]);
    assert_null(tokenizer_table_find(t, STR("c")));
    for (int i = 0; i < 3; i++)
        tokenizer_entry_unref(e[i]); /* the table keeps them */
    assert_int_equal(t->entries[0]->vocab_size, 14);
    tokenizer_table_free(t);
}

static void a_name_that_is_anothers_id_is_found_first_as_a_name_and_first_as_an_id(void **state)
{
    struct tokenizer_entry *a = an_entry("a", '1'), *b = an_entry(a->id, '2');
    struct tokenizer_table *t = tokenizer_table_new((struct tokenizer_entry *[]){ a, b }, 2);

    assert_ptr_equal(tokenizer_table_find(t, str_of(a->id)), b);
    assert_ptr_equal(tokenizer_table_find_id(t, str_of(a->id)), a);
    tokenizer_entry_unref(a);
    tokenizer_entry_unref(b);
    tokenizer_table_free(t);
}

static void a_loop_has_one_encoder_and_the_pool_gets_back_what_it_gave(void **state)
{
    struct tokenizer_entry *e = an_entry("a", '1');
    struct tokenizer_encoder *first, *second, *all[40];
    struct loop *loop;

    assert_int_equal(loop_new("a", 0, &loop, NULL), 0);
    first = tokenizer_entry_encoder(e, loop);
    assert_non_null(first);
    assert_ptr_equal(tokenizer_entry_encoder(e, loop), first);
    first = tokenizer_entry_borrow(e);
    second = tokenizer_entry_borrow(e);
    assert_true(first && second && first != second);
    tokenizer_entry_give_back(e, first);
    assert_ptr_equal(tokenizer_entry_borrow(e), first);
    tokenizer_entry_give_back(e, first);
    tokenizer_entry_give_back(e, second);
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        all[i] = tokenizer_entry_borrow(e);
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        tokenizer_entry_give_back(e, all[i]); /* more than are kept */
    tokenizer_entry_unref(e);
    loop_free(loop);
}

static void nothing_is_lost_when_memory_runs_out(void **state)
{
    struct tokenizer_entry *e = an_entry("a", '1');

    FOR_EACH_FAILING_ALLOCATION(n)
    {
        struct tokenizer_table *t = tokenizer_table_new(&e, 1);

        assert_true(t != NULL || fail_alloc_failed());
        tokenizer_entry_give_back(e, tokenizer_entry_borrow(e));
        tokenizer_table_free(t);
    }
    assert_int_equal(e->refs, 1);
    tokenizer_entry_unref(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_table_is_sorted_by_bytes_and_finds_names_and_ids),
        cmocka_unit_test(a_name_that_is_anothers_id_is_found_first_as_a_name_and_first_as_an_id),
        cmocka_unit_test(a_loop_has_one_encoder_and_the_pool_gets_back_what_it_gave),
        cmocka_unit_test(nothing_is_lost_when_memory_runs_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
