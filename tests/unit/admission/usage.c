/* usage.c -- tokens guessed from a body, and read from a reply however it is cut */
#include "test.h"

#include "admission/usage.h"

static void guesses_a_quarter_of_the_text(void **state)
{
    static const struct {
        const char *body, *model;
        uint64_t tokens;
    } ROWS[] = {
        { "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"abcd\"}]}", "m", 2 },
        { "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"12345678\"},"
          "{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/png;base64,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}}]}]}",
          "", 7 },
        { "{\"model\":\"a\\u0062\",\"prompt\":[\"abcd\",\"efgh\"],\"max_tokens\":100000}", "ab", 2 },
        { "{\"input_ids\":[[1,2,3],[4]]}", "", 4 },
        { "{\"prompt\":[1,2,3,4,5]}", "", 5 },
        { "{\"text\":\"\"}", "", 0 },
        { "{\"model\":5,\"user\":\"not a prompt\"}", "", 0 },
        { "--boundary", "", 0 },
        { "[1]", "", 0 },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        struct arena arena;
        struct str model;

        arena_init(&arena, NULL, 0);
        assert_int_equal(usage_guess(str_of(ROWS[i].body), &arena, &model), ROWS[i].tokens);
        assert_str(model, ROWS[i].model);
        arena_fini(&arena);
    }
}

struct reply {
    const char *text;
    int64_t input, output; /* -1: not told */
};

static const struct reply REPLIES[] = {
    { "{\"choices\":[],\"usage\":{\"prompt_tokens\":12,\"completion_tokens\": 34,\"total_tokens\":46,"
      "\"prompt_tokens_details\":{\"cached_tokens\":7}}}",
      12, 34 },
    { "data: {\"choices\":[{\"delta\":{\"content\":\"\\\"prompt_tokens\\\":99\"}}]}\n\ndata: {\"usage\":{\"prompt_tokens\":1,"
      "\"completion_tokens\":2}}\n\ndata: {\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":3}}\n\ndata: [DONE]\n\n",
      1, 3 },
    { "event: message_start\ndata: "
      "{\"message\":{\"usage\":{\"input_tokens\":25,\"cache_read_input_tokens\":9,\"output_tokens\":1}}}\n\n"
      "event: message_delta\ndata: {\"usage\":{\"output_tokens\":150000}}\n\n",
      25, 150000 },
    { "{\"text\":\"x\",\"meta_info\":{\"prompt_tokens\" : 5,\"completion_tokens\"\t:\t6}}", 5, 6 },
    { "{\"usage\":{\"prompt_tokens\":8,\"completion_tokens\":null}}", 8, -1 },
    { "{\"usage\":null}", -1, -1 },
    { "\"my_prompt_tokens\":5, \"prompt_tokens\", prompt_tokens\":7", -1, -1 },
    { "", -1, -1 },
};

static void expect(const struct usage_reader *u, const struct reply *r)
{
    assert_int_equal(u->has_input, r->input >= 0);
    assert_int_equal(u->has_output, r->output >= 0);
    assert_int_equal(u->input, r->input < 0 ? 0 : r->input);
    assert_int_equal(u->output, r->output < 0 ? 0 : r->output);
}

static void reads_counts_whatever_the_cuts(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(REPLIES); i++) {
        struct str text = str_of(REPLIES[i].text);

        for (size_t cut = 0; cut <= text.n; cut++) {
            struct usage_reader u = { 0 };

            usage_read(&u, str_first(text, cut));
            usage_read(&u, str_skip(text, cut));
            expect(&u, &REPLIES[i]);
        }
        for (size_t step = 1; step < 100; step++) {
            struct usage_reader u = { 0 };

            for (struct str rest = text; rest.n; rest = str_skip(rest, MIN(step, rest.n)))
                usage_read(&u, str_first(rest, step));
            expect(&u, &REPLIES[i]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(guesses_a_quarter_of_the_text),
        cmocka_unit_test(reads_counts_whatever_the_cuts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
