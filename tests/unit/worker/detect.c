/* detect.c -- engines' answers: which engine, labels, model card (spec control-plane 9.4 to 9.6, cases 38 to 43) */
#include "test.h"

#include "worker/detect.h"
#include "worker/registry.h"

static struct arena arena;
static struct worker_spec submitted, found;
static struct detect_answers answers;

static int begin(void **state)
{
    arena_init(&arena, NULL, 0);
    worker_spec_defaults(&submitted);
    submitted.url = STR("http://a:1");
    answers = (struct detect_answers){ 0 };
    return 0;
}

static int end(void **state)
{
    arena_fini(&arena);
    return 0;
}

static struct detect_answer says(const char *body)
{
    return (struct detect_answer){ 200, str_of(body) };
}

static void detect(const struct str *aliases, size_t n)
{
    assert_int_equal(detect_spec(&submitted, &answers, aliases, n, &arena, &found), 0);
}

static const char *label(const char *key)
{
    for (size_t i = 0; i < found.labels_n; i++)
        if (str_eq(found.labels[i].key, str_of(key)))
            return arena_printf(&arena, "%.*s", STR_FMT(found.labels[i].value)).p;
    return "(none)";
}

static void case_38_the_engine_is_known_by_its_owner_or_its_paths(void **state)
{
    static const struct {
        const char *owner;
        int version, server_info;
        enum worker_runtime runtime;
    } CASES[] = {
        { "sglang", 0, 0, RUNTIME_SGLANG },
        { "nvidia", 0, 0, RUNTIME_SGLANG },
        { "vllm", 0, 200, RUNTIME_VLLM },
        { "VLLM", 0, 0, RUNTIME_VLLM },
        { "trtllm", 0, 0, RUNTIME_TRTLLM },
        { "mlx", 0, 0, RUNTIME_MLX },
        { "tokenspeed", 0, 0, RUNTIME_TOKENSPEED },
        { "somebody", 200, 404, RUNTIME_VLLM },
        { "somebody", 404, 200, RUNTIME_SGLANG },
        { "somebody", 200, 200, RUNTIME_VLLM },
        { "somebody", 404, 500, RUNTIME_UNSPECIFIED },
    };
    char body[128];

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        snprintf(body, sizeof body, "{\"data\":[{\"id\":\"m\",\"owned_by\":\"%s\"}]}", CASES[i].owner);
        answers = (struct detect_answers){ .models = says(body),
                                           .version = { CASES[i].version, STR("{\"version\":\"1\"}") },
                                           .server_info = { CASES[i].server_info, STR("{}") } };
        assert_int_equal(detect_runtime(&answers), CASES[i].runtime);
        detect(NULL, 0);
        assert_int_equal(found.runtime, CASES[i].runtime ? CASES[i].runtime : RUNTIME_SGLANG);
    }
}

/* LM Studio answers 200 to every path, others show a page. */
static void an_answer_that_describes_nothing_names_no_engine(void **state)
{
    static const char *const BODIES[] = { "<html>", "{\"error\":\"Unexpected endpoint or method. (GET /version)\"}", "[]", "\"ok\"",
                                          "" };

    for (size_t i = 0; i < ARRAY_LEN(BODIES); i++) {
        answers = (struct detect_answers){ .models = says("{\"data\":[{\"id\":\"m\",\"owned_by\":\"organization_owner\"}]}"),
                                           .version = says(BODIES[i]),
                                           .server_info = says(BODIES[i]),
                                           .model_info = says(BODIES[i]) };
        assert_int_equal(detect_runtime(&answers), RUNTIME_UNSPECIFIED);
        detect(NULL, 0);
        assert_str(found.models[0].id, "m");
        assert_int_equal(found.labels_n, 1);
    }
}

static void a_declared_engine_is_believed(void **state)
{
    submitted.runtime = RUNTIME_TRTLLM;
    answers.models = says("{\"data\":[{\"id\":\"m\",\"owned_by\":\"vllm\"}]}");
    detect(NULL, 0);
    assert_int_equal(found.runtime, RUNTIME_TRTLLM);
}

/* The value rules of 9.5, too. */
static void case_40_values_become_labels_by_their_kind(void **state)
{
    answers.server_info = says(
        "{\"max_running_requests\":256,\"context_length\":null,\"tp_size\":0,\"dp_size\":2.0,\"version\":\"\",\"weight_version\":"
        "\"null\",\"is_embedding\":false,\"load_balance_method\":{\"a\":1},\"model\":\"by-alias\"}");
    answers.model_info = says("{\"architectures\":[\"A\", \"B\"],\"is_generation\":true}");
    detect(NULL, 0);
    assert_string_equal(label("max_running_requests"), "256");
    assert_string_equal(label("dp_size"), "2");
    assert_string_equal(label("is_embedding"), "false");
    assert_string_equal(label("is_generation"), "true");
    assert_string_equal(label("architectures"), "[\"A\",\"B\"]");
    assert_string_equal(label("model_id"), "by-alias");
    assert_string_equal(label("context_length"), "(none)");
    assert_string_equal(label("tp_size"), "(none)");
    assert_string_equal(label("version"), "(none)");
    assert_string_equal(label("weight_version"), "(none)");
    assert_string_equal(label("load_balance_method"), "(none)");
    assert_int_equal(found.models[0].architectures_n, 2);
    answers.server_info = says("{\"tp_size\":2}");
    detect(NULL, 0);
    assert_string_equal(label("tp_size"), "2");
    assert_string_equal(label("max_running_requests"), "(none)");
}

static void case_41_the_model_list_alone_gives_an_identity(void **state)
{
    answers.models = says("{\"data\":[{\"id\":\"test-model\",\"root\":\"test-root\",\"max_model_len\":4096}]}");
    detect(NULL, 0);
    assert_string_equal(label("served_model_name"), "test-model");
    assert_string_equal(label("model_path"), "test-root");
    assert_string_equal(label("max_model_len"), "4096");
    assert_int_equal(found.models_n, 1);
    assert_str(found.models[0].id, "test-model");
    assert_int_equal(found.models[0].context_length, 4096);
    assert_int_equal(found.models[0].model_type, CAPABILITIES_DEFAULT);
}

static void a_vllm_engine_tells_its_version(void **state)
{
    answers.models = says("{\"data\":[{\"id\":\"m\",\"owned_by\":\"vllm\",\"root\":\"r\"}]}");
    answers.version = says("{\"version\":\"0.9\"}");
    answers.server_info = says("{\"tp_size\":4}");
    detect(NULL, 0);
    assert_string_equal(label("version"), "0.9");
    assert_string_equal(label("tp_size"), "(none)");
}

static void case_42_the_identity_has_an_order(void **state)
{
    answers.server_info = says("{\"served_model_name\":\"GLM-5.2\",\"model_id\":\"GLM-5.2-Coding\",\"model_path\":\"p\"}");
    detect(NULL, 0);
    assert_str(found.models[0].id, "GLM-5.2");
    answers.server_info = says("{\"model_id\":\"GLM-5.2-Coding\",\"model_path\":\"p\"}");
    detect(NULL, 0);
    assert_str(found.models[0].id, "GLM-5.2-Coding");
    answers.server_info = says("{\"model_path\":\"p\"}");
    detect(NULL, 0);
    assert_str(found.models[0].id, "p");
}

static void an_engine_that_tells_nothing_is_a_wildcard(void **state)
{
    answers.models.status = ERR_TIMEOUT;
    answers.server_info = says("<html>");
    answers.model_info = says("[]");
    detect(NULL, 0);
    assert_int_equal(found.models_n, 0);
    assert_int_equal(found.labels_n, 0);
    assert_int_equal(found.runtime, RUNTIME_SGLANG);
}

static void further_models_of_the_engine_are_served_too(void **state)
{
    answers.models = says("{\"data\":[{\"id\":\"base\",\"owned_by\":\"vllm\",\"root\":\"org/"
                          "base\"},{\"id\":\"lora-1\"},{\"id\":\"base\"},{\"id\":7},{}]}");
    detect(NULL, 0);
    assert_int_equal(found.models_n, 3);
    assert_str(found.models[0].id, "base");
    assert_str(found.models[1].id, "lora-1");
    assert_str(found.models[2].id, "7");
}

static void adapters_have_their_bases_card_and_other_models_their_own(void **state)
{
    answers.models = says("{\"data\":[{\"id\":\"base\",\"max_model_len\":100},{\"id\":\"lora\",\"parent\":\"base\"},"
                          "{\"id\":\"other\",\"max_model_len\":200,\"parent\":null},{\"id\":\"third\"}]}");
    answers.model_info = says("{\"architectures\":[\"A\"],\"tokenizer_path\":\"tok\"}");
    detect(NULL, 0);
    assert_int_equal(found.models_n, 4);
    assert_int_equal(found.models[1].context_length, 100);
    assert_str(found.models[1].tokenizer_path, "tok");
    assert_int_equal(found.models[2].context_length, 200);
    assert_int_equal(found.models[2].architectures_n, 0);
    assert_int_equal(found.models[3].context_length, 0);
}

/* What the expansion of a data-parallel engine goes by. */
static void case_44_the_number_of_ranks_is_a_positive_integer_or_none(void **state)
{
    static const struct {
        const char *info;
        int64_t dp_size;
    } CASES[] = {
        { "{\"dp_size\":4}", 4 },   { "{\"dp_size\":\"8\"}", 8 }, { "{\"dp_size\":0}", -1 },       { "{\"dp_size\":\"abc\"}", -1 },
        { "{\"dp_size\":-1}", -1 }, { "{\"dp_size\":1.5}", -1 },  { "{\"dp_size\":1000000}", -1 }, { "{}", -1 },
    };
    struct err err;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        answers.server_info = says(CASES[i].info);
        detect(NULL, 0);
        assert_int_equal(found.dp_size, CASES[i].dp_size);
        assert_int_equal(detect_check_dp(&found, &err), CASES[i].dp_size > 0 ? 0 : ERR_INVALID);
    }
    assert_string_equal(err.message, "Failed to get DP info: No dp_size in response from http://a:1");
    found.mode = WORKER_GRPC;
    assert_int_equal(detect_check_dp(&found, &err), ERR_INVALID);
    assert_string_equal(err.message, "Failed to get DP info for http://a:1: no positive dp_size in discovered metadata");
    found.mode = WORKER_ZMQ;
    assert_int_equal(detect_check_dp(&found, &err), 0);
    found.dp_size = 2;
    assert_int_equal(detect_check_dp(&found, &err), ERR_INVALID);
    assert_string_equal(err.message,
                        "ZMQ worker http://a:1 cannot run data-parallel (dp_size=2); DP>1 over ZMQ is not yet supported");
}

/* The first that is present decides, even when it is no number. */
static void the_context_length_has_an_order(void **state)
{
    static const struct {
        const char *info;
        unsigned length;
    } CASES[] = {
        { "{\"model_path\":\"m\",\"context_length\":10,\"max_total_tokens\":20}", 10 },
        { "{\"model_path\":\"m\",\"max_total_tokens\":20}", 20 },
        { "{\"model_path\":\"m\",\"context_length\":\"auto\",\"max_total_tokens\":20}", 0 },
        { "{\"model_path\":\"m\",\"context_length\":-1}", 0 },
        { "{\"model_path\":\"m\",\"context_length\":4294967296}", 0 },
    };

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        answers.server_info = says(CASES[i].info);
        detect(NULL, 0);
        assert_int_equal(found.models[0].context_length, CASES[i].length);
    }
}

static void class_labels_that_are_given_stand(void **state)
{
    struct worker_label good[] = { { STR("id2label_json"), STR("{\"0\":\"no\",\"1\":\"yes\"}") }, { STR("num_labels"), STR("5") } };
    struct worker_label bad[] = { { STR("id2label_json"), STR("{\"zero\":\"no\"}") }, { STR("num_labels"), STR("1") } };

    answers.server_info = says("{\"model_path\":\"m\"}");
    submitted.labels = good;
    submitted.labels_n = 2;
    detect(NULL, 0);
    assert_str(found.models[0].id2label_json, "{\"0\":\"no\",\"1\":\"yes\"}");
    assert_int_equal(found.models[0].num_labels, 2);
    submitted.labels = bad;
    detect(NULL, 0);
    assert_str(found.models[0].id2label_json, "{\"0\":\"LABEL_0\"}");
    assert_int_equal(found.models[0].num_labels, 1);
}

static void the_operators_models_and_labels_stand(void **state)
{
    struct model_card cards[] = { { .id = STR("mine"), .model_type = 1, .context_length = 5 },
                                  { .id = STR("other"), .model_type = 1 } };
    struct worker_label labels[] = { { STR("version"), STR("mine") },
                                     { STR("zone"), STR("b") },
                                     { STR("kv_role"), STR("producer") } };

    submitted.models = cards;
    submitted.models_n = 2;
    submitted.labels = labels;
    submitted.labels_n = 3;
    answers.server_info = says("{\"served_model_name\":\"theirs\",\"version\":\"0.5\",\"context_length\":9,\"is_embedding\":true}");
    detect(NULL, 0);
    assert_int_equal(found.models_n, 2);
    assert_str(found.models[0].id, "mine");
    assert_int_equal(found.models[0].context_length, 5);
    assert_int_equal(found.models[0].model_type, 1);
    assert_str(found.models[1].id, "other");
    assert_string_equal(label("version"), "mine");
    assert_string_equal(label("zone"), "b");
    assert_string_equal(label("kv_role"), "(none)");
    assert_str(found.kv_role, "producer");
}

static void capabilities_follow_from_the_labels(void **state)
{
    static const struct {
        const char *server, *model;
        unsigned bits;
    } CASES[] = {
        { "{\"model_path\":\"m\"}", "{\"has_image_understanding\":true}", CAPABILITIES_DEFAULT | CAPABILITY_VISION },
        { "{\"model_path\":\"m\",\"is_embedding\":true}", "{}", CAPABILITY_EMBEDDINGS },
        { "{\"model_path\":\"m\"}", "{\"is_generation\":false,\"architectures\":[\"BertReranker\"]}", CAPABILITY_RERANK },
        { "{\"model_path\":\"m\",\"is_embedding\":true}", "{\"model_type\":\"x-ReRank\"}", CAPABILITY_RERANK },
    };

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        answers.server_info = says(CASES[i].server);
        answers.model_info = says(CASES[i].model);
        detect(NULL, 0);
        assert_int_equal(found.models[0].model_type, CASES[i].bits);
    }
}

static void class_labels_are_made_up_from_their_number(void **state)
{
    struct worker_label labels[] = { { STR("num_labels"), STR("2") } };

    submitted.labels = labels;
    submitted.labels_n = 1;
    answers.server_info = says("{\"model_path\":\"m\"}");
    detect(NULL, 0);
    assert_str(found.models[0].id2label_json, "{\"0\":\"LABEL_0\",\"1\":\"LABEL_1\"}");
    assert_int_equal(found.models[0].num_labels, 2);
}

static void case_43_configured_aliases_are_attached_once_and_exactly(void **state)
{
    const struct str aliases[] = { STR("GLM-5.2-Coding"), STR("GLM-5.2"), STR("glm-5.2-coding"), STR("glm-5.2"),
                                   STR("GLM-5.2"),        STR("GLM-5.2"), STR("GLM-5.2-Coding"), STR("GLM-5.2") };

    answers.server_info = says("{\"served_model_name\":\"GLM-5.2\"}");
    detect(aliases, 4);
    assert_int_equal(found.models[0].aliases_n, 1);
    assert_str(found.models[0].aliases[0], "GLM-5.2-Coding");
}

static void oversized_values_are_left_out(void **state)
{
    char body[DETECT_VALUE_MAX + 200];
    int n = snprintf(body, sizeof body, "{\"model_path\":\"m\",\"version\":\"");

    memset(body + n, 'v', DETECT_VALUE_MAX + 1);
    memcpy(body + n + DETECT_VALUE_MAX + 1, "\"}", 3);
    answers.server_info = says(body);
    detect(NULL, 0);
    assert_string_equal(label("version"), "(none)");
    assert_str(found.models[0].id, "m");
}

#define RULE(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE(case_38_the_engine_is_known_by_its_owner_or_its_paths),
        RULE(an_answer_that_describes_nothing_names_no_engine),
        RULE(a_declared_engine_is_believed),
        RULE(adapters_have_their_bases_card_and_other_models_their_own),
        RULE(case_44_the_number_of_ranks_is_a_positive_integer_or_none),
        RULE(the_context_length_has_an_order),
        RULE(class_labels_that_are_given_stand),
        RULE(case_40_values_become_labels_by_their_kind),
        RULE(case_41_the_model_list_alone_gives_an_identity),
        RULE(a_vllm_engine_tells_its_version),
        RULE(case_42_the_identity_has_an_order),
        RULE(an_engine_that_tells_nothing_is_a_wildcard),
        RULE(further_models_of_the_engine_are_served_too),
        RULE(the_operators_models_and_labels_stand),
        RULE(capabilities_follow_from_the_labels),
        RULE(class_labels_are_made_up_from_their_number),
        RULE(case_43_configured_aliases_are_attached_once_and_exactly),
        RULE(oversized_values_are_left_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
