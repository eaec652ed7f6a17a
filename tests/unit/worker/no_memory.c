/* no_memory.c -- every allocation of reading, describing and indexing a worker fails once: the answer is ERR_NOMEM or NULL, and nothing leaks */
#include "test.h"

#include "fail_alloc.h"

#include "worker/detect.h"
#include "worker/external.h"
#include "worker/registry.h"

static const char SPEC[] =
    "{\"url\":\"http://h:1/"
    "\",\"models\":[{\"id\":\"m\",\"aliases\":[\"a\"],\"metadata\":{\"x\":1},\"id2label\":{\"0\":\"y\"}}],\"labels\":"
    "{\"k\":\"v\"},\"health\":{\"timeout_secs\":1},\"resilience\":{\"retryable_status_codes\":[500]}}";

static int read_spec(struct arena *arena, struct worker_spec *ret)
{
    struct json_doc doc;
    int r = json_parse(str_of(SPEC), arena, &doc, NULL);

    return r < 0 ? r : worker_spec_read(&doc, arena, ret, NULL);
}

static void a_description_is_read_whole_or_not_at_all(void **state)
{
    FOR_EACH_FAILING_ALLOCATION(n)
    {
        struct worker_spec spec;
        struct arena arena;
        int r;

        arena_init(&arena, NULL, 0);
        r = read_spec(&arena, &spec);
        assert_int_equal(r, fail_alloc_failed() ? ERR_NOMEM : 0);
        if (r == 0) {
            assert_str(spec.models[0].aliases[0], "a");
            assert_str(spec.resilience_json, "{\"retryable_status_codes\":[500]}");
        }
        arena_fini(&arena);
    }
}

static void a_providers_models_are_read_whole_or_not_at_all(void **state)
{
    FOR_EACH_FAILING_ALLOCATION(n)
    {
        struct model_card *cards;
        struct arena arena;
        size_t cards_n = 0;
        int r;

        arena_init(&arena, NULL, 0);
        r = external_models(STR("{\"data\":[{\"id\":\"a\"},{\"id\":\"b\\u0063\"}]}"), &arena, &cards, &cards_n);
        assert_int_equal(r, fail_alloc_failed() ? ERR_NOMEM : 0);
        if (r == 0)
            assert_int_equal(cards_n, 2);
        arena_fini(&arena);
    }
}

static void answers_are_understood_whole_or_not_at_all(void **state)
{
    const struct str aliases[] = { STR("short"), STR("m1") };
    const struct detect_answers answers = {
        .models = { 200, STR("{\"data\":[{\"id\":\"m1\",\"owned_by\":\"x\"},{\"id\":\"m2\"}]}") },
        .server_info = { 200, STR("{\"model_path\":\"p\",\"max_running_requests\":1.0}") },
        .model_info = { 200, STR("{\"architectures\":[\"A\"]}") },
    };

    FOR_EACH_FAILING_ALLOCATION(n)
    {
        struct worker_spec submitted, spec;
        struct arena arena;
        int r;

        arena_init(&arena, NULL, 0);
        worker_spec_defaults(&submitted);
        r = detect_spec(&submitted, &answers, aliases, 1, &arena, &spec);
        assert_true(r == 0 || (r == ERR_NOMEM && fail_alloc_failed()));
        if (!fail_alloc_failed())
            assert_int_equal(spec.models_n, 2);
        arena_fini(&arena);
    }
}

static void a_table_stands_whole_or_not_at_all(void **state)
{
    FOR_EACH_FAILING_ALLOCATION(n)
    {
        struct model_card cards[] = { { .id = STR("m") }, { .id = STR("o") } };
        struct worker_spec spec = { .url = STR("http://h:1"), .models = cards, .models_n = 2 };
        struct worker *w = worker_new(&spec, "01234567-89ab-7def-8123-456789abcdef", 0, 0, NULL);
        struct worker_table *t = w ? worker_table_new((const struct worker *const *)&w, 1) : NULL;

        assert_true((t != NULL) == !fail_alloc_failed());
        worker_table_free(t);
        if (w)
            assert_int_equal(atomic_load(&w->refs), 1);
        worker_unref(w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_description_is_read_whole_or_not_at_all),
        cmocka_unit_test(answers_are_understood_whole_or_not_at_all),
        cmocka_unit_test(a_providers_models_are_read_whole_or_not_at_all),
        cmocka_unit_test(a_table_stands_whole_or_not_at_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
