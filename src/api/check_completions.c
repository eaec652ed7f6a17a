/* api/check_completions.c -- the rules of /v1/completions (spec data-plane 5.3, completions checks)
 *
 * prompt: a string, or an array of strings, token ids or arrays of token ids. Only the array's emptiness is a rule; what an engine makes of the
 * elements is its own affair. Better than SMG: best_of == n passes, as with OpenAI.
 */
#include "api/check.h"

static const struct number_rule NUMBERS[] = {
    { KEY_MAX_TOKENS, NUMBER_U32, false, 0, NUMBER_ANY, NULL },
    { KEY_N, NUMBER_U32, false, 1, 128, NULL },
    { KEY_BEST_OF, NUMBER_U32, false, 0, 20, NULL },
    { KEY_LOGPROBS, NUMBER_U32, false, 0, 5, NULL },
    { KEY_MIN_TOKENS, NUMBER_U32, false, 0, NUMBER_ANY, NULL },
};

static int check_prompt(struct check *c)
{
    const struct json_doc *doc = c->doc;
    uint32_t prompt;
    int r;

    r = api_need(c, KEY_PROMPT);
    if (r < 0)
        return r;
    prompt = c->root.at[KEY_PROMPT];
    if (node_type(doc, prompt) == JSON_STRING)
        return 0;
    if (node_type(doc, prompt) != JSON_ARRAY)
        return api_wrong_type(c, prompt, "a string or a sequence");
    if (doc->nodes[prompt].count == 0)
        api_bad_field(c, KEY_PROMPT, prompt, "prompt array cannot be empty");
    for (uint32_t i = element_first(prompt); i < element_end(doc, prompt); i = element_next(doc, i))
        if (node_type(doc, i) != JSON_STRING && node_type(doc, i) != JSON_NUMBER && node_type(doc, i) != JSON_ARRAY)
            return api_wrong_type(c, i, "a string, a token id or a sequence of token ids");
    return 0;
}

static int check_pairs(struct check *c)
{
    const struct members *root = &c->root;
    uint32_t best_of = member(root, KEY_BEST_OF);
    static const enum api_key CONSTRAINTS[] = { KEY_REGEX, KEY_EBNF, KEY_JSON_SCHEMA };
    unsigned constraints = 0;
    int r;

    r = api_check_stream_options(c);
    if (r < 0)
        return r;
    if (member(root, KEY_MIN_TOKENS) && member(root, KEY_MAX_TOKENS) &&
        member_u64(c, KEY_MIN_TOKENS) > member_u64(c, KEY_MAX_TOKENS))
        return api_bad_pair(c, root->at[KEY_MIN_TOKENS], "min_tokens cannot exceed max_tokens");
    for (size_t i = 0; i < ARRAY_LEN(CONSTRAINTS); i++)
        if (member(root, CONSTRAINTS[i]) && ++constraints == 2)
            return api_bad_pair(c, root->at[CONSTRAINTS[i]], API_ONE_CONSTRAINT);
    if (best_of && member(root, KEY_N) && member_u64(c, KEY_BEST_OF) < member_u64(c, KEY_N))
        return api_bad_pair(c, best_of, "best_of must be greater than n or equal to it");
    if (best_of && member_true(c, KEY_STREAM))
        return api_bad_pair(c, best_of, "best_of is not supported when stream is enabled");
    return 0;
}

int api_check_completions(struct check *c)
{
    int r;

    if ((r = api_need_string(c, KEY_MODEL)) < 0 || (r = check_prompt(c)) < 0 || (r = api_check_bool(c, KEY_STREAM)) < 0 ||
        (r = api_check_object(c, KEY_STREAM_OPTIONS)) < 0 || (r = api_check_sampling(c)) < 0 ||
        (r = api_check_numbers(c, NUMBERS, ARRAY_LEN(NUMBERS))) < 0 || (r = api_check_stop(c)) < 0 ||
        (r = api_check_string(c, KEY_REGEX)) < 0 || (r = api_check_string(c, KEY_EBNF)) < 0 ||
        (r = api_check_string(c, KEY_JSON_SCHEMA)) < 0)
        return r;
    return check_failed(c) ? ERR_INVALID : check_pairs(c);
}
