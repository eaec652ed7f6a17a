/* external.c -- providers: who is one, with which key its models are asked, what they are (spec control-plane 9.2, 9.8, case 46) */
#include <stdlib.h>

#include "test.h"

#include "worker/external.h"
#include "worker/registry.h"

static struct arena arena;
static struct model_card *cards;
static size_t cards_n;

static int begin(void **state)
{
    arena_init(&arena, NULL, 0);
    return 0;
}

static int end(void **state)
{
    arena_fini(&arena);
    unsetenv("OPENAI_ADMIN_KEY");
    unsetenv("ANTHROPIC_ADMIN_KEY");
    return 0;
}

static struct worker_spec spec_of(const char *url)
{
    struct worker_spec s;

    worker_spec_defaults(&s);
    s.url = str_of(url);
    return s;
}

static void a_provider_is_known_by_its_host_on_label_boundaries(void **state)
{
    static const struct {
        const char *url, *provider;
    } CASES[] = {
        { "https://api.openai.com", "openai" },
        { "https://openai.com/v1", "openai" },
        { "https://API.OpenAI.com:443", "openai" },
        { "http://api.x.ai", "xai" },
        { "https://api.anthropic.com", "anthropic" },
        { "https://generativelanguage.googleapis.com/v1beta/openai", "gemini" },
        { "https://notopenai.com", "" },
        { "https://max.ai", "" },
        { "https://openai.com.evil.example", "" },
        { "https://evil.example/openai.com", "" },
        { "http://10.0.0.1:8000", "" },
        { "nonsense", "" },
    };

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        struct worker_spec s = spec_of(CASES[i].url);

        external_classify(&s);
        assert_str(s.provider, CASES[i].provider);
        assert_int_equal(s.runtime, CASES[i].provider[0] ? RUNTIME_EXTERNAL : RUNTIME_UNSPECIFIED);
    }
}

static void what_the_operator_says_stands(void **state)
{
    struct worker_spec engine = spec_of("https://api.openai.com"), proxy = spec_of("http://proxy:1");

    engine.runtime = RUNTIME_VLLM;
    external_classify(&engine);
    assert_int_equal(engine.runtime, RUNTIME_VLLM);
    assert_str(engine.provider, "");
    proxy.runtime = RUNTIME_EXTERNAL;
    proxy.provider = STR("anthropic");
    proxy.type = WORKER_PREFILL;
    external_classify(&proxy);
    assert_str(proxy.provider, "anthropic");
    assert_int_equal(proxy.type, WORKER_REGULAR);
}

static void the_environments_key_goes_to_its_own_provider_only(void **state)
{
    struct worker_spec openai = spec_of("https://api.openai.com"), other = spec_of("http://proxy:1");

    openai.api_key = other.api_key = STR("own");
    other.runtime = RUNTIME_EXTERNAL;
    other.provider = STR("openai");
    assert_str(external_key(&openai), "own");
    setenv("OPENAI_ADMIN_KEY", "", 1);
    assert_str(external_key(&openai), "own");
    setenv("OPENAI_ADMIN_KEY", "admin", 1);
    assert_str(external_key(&openai), "admin");
    assert_str(external_key(&other), "own");
    openai.api_key = STR_NONE;
    unsetenv("OPENAI_ADMIN_KEY");
    setenv("ANTHROPIC_ADMIN_KEY", "theirs", 1);
    assert_str(external_key(&openai), "");
}

static int read_list(const char *body)
{
    return external_models(str_of(body), &arena, &cards, &cards_n);
}

static void case_46_dated_releases_are_aliases_of_their_family(void **state)
{
    assert_int_equal(
        read_list(
            "{\"data\":[{\"id\":\"gpt-4o-2024-08-06\"},{\"id\":\"gpt-4o\"},{\"id\":\"gpt-4o-2024-05-13\"},{\"id\":\"gpt-4o\"}]}"),
        0);
    assert_int_equal(cards_n, 1);
    assert_str(cards[0].id, "gpt-4o");
    assert_int_equal(cards[0].aliases_n, 2);
    assert_str(cards[0].aliases[0], "gpt-4o-2024-05-13");
    assert_str(cards[0].aliases[1], "gpt-4o-2024-08-06");
    assert_str(cards[0].provider, "openai");
    assert_int_equal(cards[0].model_type, CAPABILITIES_DEFAULT | CAPABILITY_VISION);
}

static void a_family_without_a_plain_name_has_its_shortest(void **state)
{
    assert_int_equal(read_list("{\"data\":[{\"id\":\"m-2024-08-06\"},{\"id\":\"m-2025-01\"},{\"id\":\"m-2024-02\"},{\"id\":\"m-24-"
                               "02\"},{\"id\":\"-2024-02\"}]}"),
                     0);
    assert_int_equal(cards_n, 3);
    assert_str(cards[0].id, "-2024-02");
    assert_str(cards[1].id, "m-2024-02");
    assert_int_equal(cards[1].aliases_n, 2);
    assert_str(cards[1].aliases[0], "m-2025-01");
    assert_str(cards[1].aliases[1], "m-2024-08-06");
    assert_str(cards[2].id, "m-24-02");
}

static void the_name_tells_what_a_model_can_do_and_who_made_it(void **state)
{
    static const struct {
        const char *id;
        unsigned type;
        const char *maker;
    } CASES[] = {
        { "text-embedding-3-small", CAPABILITY_EMBEDDINGS, "openai" },
        { "Text-Embedding-ADA-002", CAPABILITY_EMBEDDINGS, "openai" },
        { "rerank-v3", CAPABILITY_RERANK, "" },
        { "dall-e-3", CAPABILITY_IMAGE_GEN, "openai" },
        { "sora-2", CAPABILITY_IMAGE_GEN, "" },
        { "gpt-image-1", CAPABILITY_IMAGE_GEN, "openai" },
        { "grok-image-vision", CAPABILITIES_DEFAULT | CAPABILITY_VISION, "xai" },
        { "tts-1", CAPABILITY_AUDIO, "openai" },
        { "whisper-1", CAPABILITY_AUDIO, "openai" },
        { "gpt-realtime", CAPABILITY_AUDIO, "openai" },
        { "omni-moderation-latest", CAPABILITY_MODERATION, "openai" },
        { "chatgpt-4o-latest", CAPABILITIES_DEFAULT | CAPABILITY_VISION, "" },
        { "o1-mini", CAPABILITIES_DEFAULT | CAPABILITY_REASONING, "openai" },
        { "o3", CAPABILITIES_DEFAULT | CAPABILITY_REASONING, "openai" },
        { "claude-sonnet-4-5", CAPABILITIES_DEFAULT, "anthropic" },
        { "models/gemini-2.5-pro", CAPABILITIES_DEFAULT, "gemini" },
        { "davinci-002", CAPABILITIES_DEFAULT, "openai" },
        { "llama-3", CAPABILITIES_DEFAULT, "" },
    };
    char body[128];

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        snprintf(body, sizeof body, "{\"data\":[{\"id\":\"%s\"}]}", CASES[i].id);
        assert_int_equal(read_list(body), 0);
        assert_int_equal(cards[0].model_type, CASES[i].type);
        assert_str(cards[0].provider, CASES[i].maker);
    }
}

static void a_list_without_models_is_none(void **state)
{
    static const char *const BODIES[] = {
        "", "<html>", "[]", "{}", "{\"data\":{}}", "{\"data\":[]}", "{\"data\":[{},{\"id\":7},{\"id\":\"\"},3]}"
    };

    for (size_t i = 0; i < ARRAY_LEN(BODIES); i++)
        assert_int_equal(read_list(BODIES[i]), ERR_NOT_FOUND);
}

static void a_list_that_is_too_long_is_cut(void **state)
{
    struct buf body = { 0 };

    buf_puts(&body, "{\"data\":[");
    for (unsigned i = 0; i < EXTERNAL_MODELS_MAX + 10; i++)
        buf_printf(&body, "%s{\"id\":\"m%u\"}", i ? "," : "", i);
    buf_puts(&body, "]}");
    assert_int_equal(external_models(buf_str(&body), &arena, &cards, &cards_n), 0);
    assert_int_equal(cards_n, EXTERNAL_MODELS_MAX);
    buf_fini(&body);
}

#define RULE(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE(a_provider_is_known_by_its_host_on_label_boundaries),
        RULE(what_the_operator_says_stands),
        RULE(the_environments_key_goes_to_its_own_provider_only),
        RULE(case_46_dated_releases_are_aliases_of_their_family),
        RULE(a_family_without_a_plain_name_has_its_shortest),
        RULE(the_name_tells_what_a_model_can_do_and_who_made_it),
        RULE(a_list_without_models_is_none),
        RULE(a_list_that_is_too_long_is_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
