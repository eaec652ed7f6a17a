/* ask.c -- what a request asks for, in every dialect; and which bodies are refused */
#include "test.h"

#include "mock/ask.h"

struct reading {
    struct arena arena;
    struct ask ask;
    struct err err;
    struct kv_hasher hasher;
    int r;
};

static void setup(struct reading *x, enum ask_kind kind, const char *body)
{
    memset(x, 0, sizeof(*x));
    arena_init(&x->arena, NULL, 0);
    kv_hasher_init(&x->hasher, &x->arena, 4);
    x->r = ask_read(kind, str_of(body), &x->arena, &x->hasher, &x->ask, &x->err);
}

static void a_chat_counts_all_texts_and_the_roles(void **state)
{
    struct reading x;

    setup(&x, ASK_CHAT,
          "{\"model\":\"m\",\"messages\":[{\"role\":\"system\",\"content\":\"abc\"},{\"role\":\"user\",\"content\":[{\"type\":"
          "\"text\",\"text\":\"de\"},"
          "{\"type\":\"image_url\"}]},{\"role\":\"assistant\",\"content\":null}]}");
    assert_int_equal(x.r, 0);
    assert_str(x.ask.model_json, "\"m\"");
    assert_int_equal(x.ask.prompts_n, 1);
    assert_int_equal(x.ask.prompts[0].bytes, strlen("systemabcuserdeassistantassistant"));
    assert_int_equal(x.hasher.bytes, x.ask.prompts[0].bytes);
    assert_str(x.ask.prompts[0].echo, "de");
    assert_int_equal(x.ask.n, 1);
    assert_false(x.ask.stream);
    arena_fini(&x.arena);
}

static void the_answer_in_the_next_turn_continues_the_chain(void **state)
{
    struct reading first, next;

    setup(&first, ASK_CHAT, "{\"messages\":[{\"role\":\"user\",\"content\":\"hello world\"}]}");
    kv_hasher_feed(&first.hasher, STR("the answer"));
    setup(&next, ASK_CHAT,
          "{\"messages\":[{\"role\":\"user\",\"content\":\"hello world\"},{\"role\":\"assistant\",\"content\":\"the answer\"},"
          "{\"role\":\"user\",\"content\":\"more\"}]}");
    assert_true(first.hasher.n > 5 && next.hasher.n > first.hasher.n);
    assert_memory_equal(first.hasher.hashes, next.hasher.hashes, first.hasher.n * sizeof(uint64_t));
    arena_fini(&first.arena);
    arena_fini(&next.arena);
}

static void amounts_are_read_under_each_dialects_names(void **state)
{
    static const struct {
        enum ask_kind kind;
        const char *body;
        uint64_t max, min;
        unsigned n;
    } rows[] = {
        { ASK_CHAT, "{\"messages\":[{}],\"max_tokens\":5,\"n\":3,\"min_tokens\":2}", 5, 2, 3 },
        { ASK_CHAT, "{\"messages\":[{}],\"max_tokens\":5,\"max_completion_tokens\":7,\"n\":null}", 7, 0, 1 },
        { ASK_COMPLETIONS, "{\"prompt\":\"x\",\"max_tokens\":5}", 5, 0, 1 },
        { ASK_GENERATE, "{\"text\":\"x\",\"sampling_params\":{\"max_new_tokens\":5,\"n\":2}}", 5, 0, 2 },
        { ASK_GENERATE, "{\"text\":\"x\",\"n\":9}", 0, 0, 1 },
        { ASK_MESSAGES, "{\"messages\":[{}],\"max_tokens\":5,\"n\":9}", 5, 0, 1 },
        { ASK_RESPONSES, "{\"input\":\"x\",\"max_output_tokens\":5}", 5, 0, 1 },
        { ASK_CHAT, "{\"messages\":[{}],\"max_tokens\":99999999999}", ASK_OUTPUT_MAX, 0, 1 },
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct reading x;

        setup(&x, rows[i].kind, rows[i].body);
        assert_int_equal(x.r, 0);
        assert_int_equal(x.ask.max_tokens, rows[i].max);
        assert_int_equal(x.ask.min_tokens, rows[i].min);
        assert_int_equal(x.ask.n, rows[i].n);
        arena_fini(&x.arena);
    }
}

static void prompts_are_texts_or_ids_one_or_many(void **state)
{
    static const struct {
        const char *body;
        unsigned n;
        uint64_t bytes; /* of the first */
        bool batch;
    } rows[] = {
        { "{\"prompt\":\"hello\"}", 1, 5, false },     { "{\"prompt\":[\"hello\",\"x\"]}", 2, 5, true },
        { "{\"prompt\":[\"hello\"]}", 1, 5, true },    { "{\"prompt\":[1,2,3]}", 1, 12, false },
        { "{\"prompt\":[[1,2,3],[4]]}", 2, 12, true }, { "{\"prompt\":\"\"}", 1, 0, false },
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct reading x;

        setup(&x, ASK_COMPLETIONS, rows[i].body);
        assert_int_equal(x.r, 0);
        assert_int_equal(x.ask.prompts_n, rows[i].n);
        assert_int_equal(x.ask.prompts[0].bytes, rows[i].bytes);
        assert_int_equal(x.ask.batch, rows[i].batch);
        arena_fini(&x.arena);
    }
}

static void streams_and_usage_are_asked_for(void **state)
{
    struct reading x;

    setup(&x, ASK_CHAT, "{\"messages\":[{}],\"stream\":true,\"stream_options\":{\"include_usage\":true},\"ignore_eos\":true}");
    assert_true(x.r == 0 && x.ask.stream && x.ask.include_usage && x.ask.ignore_eos);
    arena_fini(&x.arena);
}

static void what_cannot_be_answered_is_refused_with_its_name(void **state)
{
    static const struct {
        enum ask_kind kind;
        const char *body, *message;
    } rows[] = {
        { ASK_CHAT, "", "the body is not JSON" },
        { ASK_CHAT, "{", "the body is not JSON" },
        { ASK_CHAT, "[]", "the body is not a JSON object" },
        { ASK_CHAT, "{}", "messages: expected" },
        { ASK_CHAT, "{\"messages\":[]}", "messages: expected" },
        { ASK_CHAT, "{\"messages\":\"x\"}", "messages: expected" },
        { ASK_COMPLETIONS, "{}", "prompt: expected" },
        { ASK_COMPLETIONS, "{\"prompt\":[]}", "prompt: expected" },
        { ASK_COMPLETIONS, "{\"prompt\":5}", "prompt: expected" },
        { ASK_GENERATE, "{\"text\":null}", "prompt: expected" },
        { ASK_RESPONSES, "{}", "prompt: expected" },
        { ASK_CHAT, "{\"messages\":[{}],\"n\":0}", "n: expected" },
        { ASK_CHAT, "{\"messages\":[{}],\"n\":65}", "n: expected" },
        { ASK_CHAT, "{\"messages\":[{}],\"n\":18446744073709551615}", "n: expected" },
        { ASK_CHAT, "{\"messages\":[{}],\"max_tokens\":-1}", "max_tokens: expected" },
        { ASK_CHAT, "{\"messages\":[{}],\"max_tokens\":\"5\"}", "max_tokens: expected" },
        { ASK_COMPLETIONS, "{\"prompt\":[\"a\",\"b\"],\"n\":33}", "n: expected" },
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct reading x;

        setup(&x, rows[i].kind, rows[i].body);
        assert_int_equal(x.r, ERR_INVALID);
        assert_memory_equal(x.err.message, rows[i].message, strlen(rows[i].message));
        arena_fini(&x.arena);
    }
}

static void memory_that_is_out_is_said(void **state)
{
    struct arena arena;
    struct ask ask;

    for (size_t max = 0; max < 400; max += 16) {
        int r;

        arena_init(&arena, NULL, max ? max : 1);
        r = ask_read(ASK_COMPLETIONS, STR("{\"prompt\":[\"a\",\"b\"]}"), &arena, NULL, &ask, NULL);
        assert_true(r == 0 || r == ERR_NOMEM);
        assert_int_equal(r == ERR_NOMEM, arena.failed);
        arena_fini(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_chat_counts_all_texts_and_the_roles),
        cmocka_unit_test(the_answer_in_the_next_turn_continues_the_chain),
        cmocka_unit_test(amounts_are_read_under_each_dialects_names),
        cmocka_unit_test(prompts_are_texts_or_ids_one_or_many),
        cmocka_unit_test(streams_and_usage_are_asked_for),
        cmocka_unit_test(what_cannot_be_answered_is_refused_with_its_name),
        cmocka_unit_test(memory_that_is_out_is_said),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
