/* ask.c -- reading requests, leniently */
#include "mock/ask.h"

#include "mock/text.h"

/* A prompt being read. */
struct reader {
    struct ask_prompt *prompt;
    struct kv_hasher *hasher; /* or NULL */
};

static void take(struct reader *r, struct str text)
{
    r->prompt->hash = r->prompt->hash * 31 + text_hash(text);
    r->prompt->bytes += text.n;
    if (r->hasher)
        kv_hasher_feed(r->hasher, text);
}

/* A string, or an array of parts with a text each. Returns the last text. */
static struct str take_content(struct reader *r, struct json content)
{
    struct str last = STR_NONE;
    struct json_iter it;

    if (json_is(content, JSON_STRING)) {
        last = json_raw_str(content);
        take(r, last);
    } else if (json_is(content, JSON_ARRAY)) {
        it = json_iter(content);
        while (json_next(&it)) {
            struct json text = json_get(it.value, STR("text"));

            if (json_is(text, JSON_STRING)) {
                last = json_raw_str(text);
                take(r, last);
            }
        }
    }
    return last;
}

/* Role, content, role, content ..., then the role that answers: an answer continues the chain, and the next turn finds it. */
static void take_messages(struct reader *r, struct json messages)
{
    struct json_iter it = json_iter(messages);

    while (json_next(&it)) {
        struct json role = json_get(it.value, STR("role"));
        struct str text;

        take(r, json_raw_str(role));
        text = take_content(r, json_get(it.value, STR("content")));
        if (json_str_eq(role, STR("user")) && text.n)
            r->prompt->echo = text;
    }
    take(r, STR("assistant"));
}

/* Token ids count as one token each; they are hashed as they are written. */
static void take_ids(struct reader *r, struct json ids)
{
    take(r, json_raw(ids));
    r->prompt->bytes = json_count(ids) * 4;
}

static bool is_id_list(struct json v)
{
    return json_is(v, JSON_ARRAY) && json_is(json_at(v, 0), JSON_NUMBER);
}

/* "text", ["text", ...], [1,2,3] or [[1,2], ...]. */
static int read_prompts(struct ask *a, struct json prompt, struct arena *arena, struct kv_hasher *hasher, struct err *err)
{
    bool several = json_is(prompt, JSON_ARRAY) && !is_id_list(prompt);
    size_t n = several ? json_count(prompt) : 1;
    struct json_iter it = json_iter(prompt);

    if (!json_is(prompt, JSON_STRING) && !json_is(prompt, JSON_ARRAY))
        return err_set(err, ERR_INVALID, "prompt: expected a string, an array of strings, or token ids");
    if (n == 0 || n > ASK_CHOICES_MAX)
        return err_set(err, ERR_INVALID, "prompt: expected 1 to %d prompts, got %zu", ASK_CHOICES_MAX, n);
    a->prompts = arena_array(arena, n, sizeof(*a->prompts));
    if (!a->prompts)
        return err_set(err, ERR_NOMEM, "out of memory");
    a->prompts_n = (uint32_t)n;
    a->batch = several;
    for (size_t i = 0; i < n; i++) {
        struct reader r = { &a->prompts[i], hasher };
        struct json one = prompt;

        if (several && json_next(&it))
            one = it.value;
        if (json_is(one, JSON_ARRAY))
            take_ids(&r, one);
        else
            take(&r, r.prompt->echo = json_raw_str(one));
    }
    return 0;
}

static int read_conversation(struct ask *a, struct json before, struct json messages, struct arena *arena, struct kv_hasher *hasher,
                             struct err *err)
{
    struct reader r;

    if (!json_is(messages, JSON_ARRAY) || json_count(messages) == 0)
        return err_set(err, ERR_INVALID, "messages: expected an array with at least one message");
    a->prompts = arena_new(arena, struct ask_prompt);
    if (!a->prompts)
        return err_set(err, ERR_NOMEM, "out of memory");
    a->prompts_n = 1;
    r = (struct reader){ a->prompts, hasher };
    if (!json_is_null(before)) {
        take(&r, STR("system"));
        (void)take_content(&r, before);
    }
    take_messages(&r, messages);
    return 0;
}

static int read_text(enum ask_kind kind, struct ask *a, struct arena *arena, struct kv_hasher *hasher, struct err *err)
{
    struct json root = a->root, input;

    switch (kind) {
    case ASK_CHAT:
        return read_conversation(a, JSON_NONE, json_get(root, STR("messages")), arena, hasher, err);
    case ASK_MESSAGES:
        return read_conversation(a, json_get(root, STR("system")), json_get(root, STR("messages")), arena, hasher, err);
    case ASK_RESPONSES:
        input = json_get(root, STR("input"));
        if (json_is(input, JSON_ARRAY))
            return read_conversation(a, json_get(root, STR("instructions")), input, arena, hasher, err);
        return read_prompts(a, input, arena, hasher, err);
    case ASK_COMPLETIONS:
        return read_prompts(a, json_get(root, STR("prompt")), arena, hasher, err);
    case ASK_GENERATE:
        input = json_get(root, STR("text"));
        return read_prompts(a, json_is_null(input) ? json_get(root, STR("input_ids")) : input, arena, hasher, err);
    }
    return 0;
}

/* A count that may be absent or null. */
static int read_count(struct json object, struct str name, uint64_t max, uint64_t *ret, struct err *err)
{
    struct json v = json_get(object, name);

    if (json_is_null(v))
        return 0;
    if (json_to_u64(v, ret) < 0)
        return err_set(err, ERR_INVALID, "%.*s: expected a whole number of at least 0", STR_FMT(name));
    *ret = MIN(*ret, max);
    return 0;
}

/* Names of the longest output, the one that counts last. */
static const struct str CHAT_MAX[] = { STR_INIT("max_tokens"), STR_INIT("max_completion_tokens") };
static const struct str COMPLETIONS_MAX[] = { STR_INIT("max_tokens") };
static const struct str GENERATE_MAX[] = { STR_INIT("max_new_tokens") };
static const struct str RESPONSES_MAX[] = { STR_INIT("max_output_tokens") };

static const struct {
    const struct str *names;
    size_t n;
} MAX_NAMES[] = {
    [ASK_CHAT] = { CHAT_MAX, ARRAY_LEN(CHAT_MAX) },
    [ASK_COMPLETIONS] = { COMPLETIONS_MAX, ARRAY_LEN(COMPLETIONS_MAX) },
    [ASK_GENERATE] = { GENERATE_MAX, ARRAY_LEN(GENERATE_MAX) },
    [ASK_MESSAGES] = { COMPLETIONS_MAX, ARRAY_LEN(COMPLETIONS_MAX) },
    [ASK_RESPONSES] = { RESPONSES_MAX, ARRAY_LEN(RESPONSES_MAX) },
};

static int read_amounts(enum ask_kind kind, struct ask *a, struct err *err)
{
    struct json from = kind == ASK_GENERATE ? json_get(a->root, STR("sampling_params")) : a->root;
    uint64_t n = 1;
    int r = 0;

    for (size_t i = 0; i < MAX_NAMES[kind].n && r == 0; i++)
        r = read_count(from, MAX_NAMES[kind].names[i], ASK_OUTPUT_MAX, &a->max_tokens, err);
    if (r == 0)
        r = read_count(from, kind == ASK_GENERATE ? STR("min_new_tokens") : STR("min_tokens"), ASK_OUTPUT_MAX, &a->min_tokens, err);
    if (r == 0 && kind != ASK_MESSAGES && kind != ASK_RESPONSES)
        r = read_count(from, STR("n"), UINT32_MAX, &n, err);
    if (r < 0)
        return r;
    if (n == 0 || n * a->prompts_n > ASK_CHOICES_MAX)
        return err_set(err, ERR_INVALID, "n: expected 1 to %d answers for all prompts", ASK_CHOICES_MAX);
    a->n = (uint32_t)n;
    a->ignore_eos = json_is(json_get(from, STR("ignore_eos")), JSON_TRUE);
    return 0;
}

int ask_read(enum ask_kind kind, struct str body, struct arena *arena, struct kv_hasher *hasher, struct ask *ret, struct err *err)
{
    struct json_error wrong;
    struct json model;
    int r;

    *ret = (struct ask){ 0 };
    r = json_parse(body, arena, &ret->doc, &wrong);
    if (r == ERR_SYNTAX)
        return err_set(err, ERR_INVALID, "the body is not JSON: %s at line %u column %u", wrong.message, wrong.line, wrong.column);
    if (r < 0)
        return err_set(err, r, "%s", err_text(r));
    ret->root = json_root(&ret->doc);
    if (!json_is(ret->root, JSON_OBJECT))
        return err_set(err, ERR_INVALID, "the body is not a JSON object");
    model = json_get(ret->root, STR("model"));
    if (json_is(model, JSON_STRING) && json_node(model)->len > 0)
        ret->model_json = json_raw(model);
    ret->stream = json_is(json_get(ret->root, STR("stream")), JSON_TRUE);
    ret->include_usage = json_is(json_get(json_get(ret->root, STR("stream_options")), STR("include_usage")), JSON_TRUE);
    r = read_text(kind, ret, arena, hasher, err);
    if (r == 0)
        r = say_read(json_get(ret->root, STR("mock_say")), arena, &ret->says, &ret->says_n, err);
    if (r < 0)
        return r;
    return read_amounts(kind, ret, err);
}
