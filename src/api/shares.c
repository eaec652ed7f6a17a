/* api/shares.c -- how many prompts and answers a request has: what engines that share it must agree about */
#include "api/request.h"

#define MANY 1000000 /* more answers than any engine gives: counting ends there */

/* A list of texts or of lists of token ids; a flat list of ids is one prompt. */
static unsigned list_length(struct json v)
{
    return json_is(v, JSON_ARRAY) && !json_is(json_at(v, 0), JSON_NUMBER) ? (unsigned)json_count(v) : 0;
}

static unsigned count_of(struct json v)
{
    uint64_t n;

    return json_to_u64(v, &n) == 0 && n > 0 ? (unsigned)MIN(n, (uint64_t)MANY) : 1;
}

static unsigned times(unsigned prompts, unsigned n)
{
    return (unsigned)MIN((uint64_t)MAX(prompts, 1u) * n, (uint64_t)MANY);
}

struct api_shares api_shares(const struct api_request *r)
{
    struct api_shares s = { .answers = 1 };
    struct json root = r->root, input;
    unsigned n;

    switch (r->kind) {
    case API_CHAT:
        s.answers = count_of(json_get(root, STR("n")));
        s.batch = s.answers > 1 ? s.answers : 0;
        break;
    case API_COMPLETIONS:
        n = count_of(json_get(root, STR("n")));
        s.batch = list_length(json_get(root, STR("prompt")));
        s.answers = times(s.batch, n);
        break;
    case API_GENERATE:
        input = json_get(root, STR("text"));
        s.batch = list_length(json_is_null(input) ? json_get(root, STR("input_ids")) : input);
        s.answers = times(s.batch, count_of(json_get(json_get(root, STR("sampling_params")), STR("n"))));
        s.logprobs =
            !json_is_null(json_get(root, STR("return_logprob"))) && !json_is(json_get(root, STR("return_logprob")), JSON_FALSE);
        break;
    default:
        break;
    }
    return s;
}
