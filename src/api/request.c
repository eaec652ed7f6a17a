/* api/request.c -- the way in: parse, file the members, check by kind, and note what the gateway needs
 *
 *   body --json_parse--> doc --members_read--> root members --CHECKS[kind]--> struct api_request
 *
 * One walk over the root's members serves all checks; messages are walked once more by theirs. Nothing is allocated but the document's nodes,
 * from the arena, unless the request is refused or its model's name has escapes.
 */
#include "api/request.h"

#include "api/check.h"
#include "json/json_write.h"

typedef int check_fn(struct check *c);

static check_fn *const CHECKS[] = {
    [API_CHAT] = api_check_chat,           [API_COMPLETIONS] = api_check_completions,
    [API_GENERATE] = api_check_generate,   [API_EMBEDDINGS] = api_check_embeddings,
    [API_CLASSIFY] = api_check_embeddings, [API_RERANK] = api_check_rerank,
    [API_V1_RERANK] = api_check_v1_rerank, [API_MESSAGES] = api_check_messages,
    [API_RESPONSES] = api_check_responses,
};

static int refuse_syntax(struct arena *arena, const struct json_error *why, struct api_error *error)
{
    *error = (struct api_error){
        .status = 400,
        .code = STR("json_parse_error"),
        .message = arena_printf(arena, "JSON syntax error: Failed to parse the request body as JSON: %s at line %u column %u",
                                why->message, why->line, why->column),
    };
    return arena->failed ? ERR_NOMEM : ERR_INVALID;
}

static bool can_stream(enum api_kind kind)
{
    switch (kind) {
    case API_CHAT:
    case API_COMPLETIONS:
    case API_GENERATE:
    case API_MESSAGES:
    case API_RESPONSES:
        return true;
    case API_EMBEDDINGS:
    case API_CLASSIFY:
    case API_RERANK:
    case API_V1_RERANK:
        break;
    }
    return false;
}

/* top_k, else top_n (the name that other rerank APIs use), else 0: all. */
static uint64_t rerank_limit(const struct check *c)
{
    if (member(&c->root, KEY_TOP_K))
        return member_u64(c, KEY_TOP_K);
    return member(&c->root, KEY_TOP_N) ? member_u64(c, KEY_TOP_N) : 0;
}

static void note(struct check *c, enum api_kind kind, struct api_request *ret)
{
    uint32_t model = member(&c->root, KEY_MODEL), rid = member(&c->root, KEY_RID),
             documents = member(&c->root, KEY_RETURN_DOCUMENTS);

    *ret = (struct api_request){ .kind = kind, .doc = *c->doc, .return_documents = true };
    ret->root = json_root(&ret->doc);
    if (model) {
        ret->model_node = (struct json){ &ret->doc, model };
        ret->model = json_str(ret->model_node, c->arena);
    }
    ret->stream = can_stream(kind) && member_true(c, KEY_STREAM);
    if (kind != API_RERANK && kind != API_V1_RERANK)
        return;
    if (rid)
        ret->rid = json_raw((struct json){ &ret->doc, rid });
    ret->top_k = rerank_limit(c);
    ret->return_documents = !documents || member_true(c, KEY_RETURN_DOCUMENTS);
}

int api_request_read(enum api_kind kind, struct str body, struct arena *arena, struct api_request *ret, struct api_error *error)
{
    struct check c = { .arena = arena, .error = error };
    struct json_error why;
    struct json_doc doc;
    int r;

    *error = (struct api_error){ 0 };
    r = json_parse(body, arena, &doc, &why);
    if (r == ERR_SYNTAX)
        return refuse_syntax(arena, &why, error);
    if (r < 0)
        return r;
    c.doc = &doc;
    if (node_type(&doc, 0) != JSON_OBJECT)
        return api_wrong_type(&c, 0, "a map");
    members_read(&doc, 0, &c.root);
    r = CHECKS[kind](&c);
    if (arena->failed)
        return ERR_NOMEM;
    if (r < 0)
        return r;
    note(&c, kind, ret);
    return arena->failed ? ERR_NOMEM : 0;
}

/* RFC 9110 8.3.1: type "/" subtype, case does not matter, then parameters; the suffix +json is RFC 6839's. */
bool api_is_json_type(struct str content_type)
{
    struct str type, parameters;

    (void)str_split(content_type, ';', &type, &parameters); /* no parameters: TYPE is all of it */
    type = str_trim(type);
    if (!str_has_prefix_nocase(type, STR("application/")))
        return false;
    type = str_skip(type, sizeof("application/") - 1);
    if (str_eq_nocase(type, STR("json")))
        return true;
    return type.n > sizeof("+json") - 1 && str_eq_nocase(str_skip(type, type.n - (sizeof("+json") - 1)), STR("+json"));
}

void api_splice_model(const struct api_request *r, struct str body, struct str canonical, struct buf *out)
{
    struct str name = json_raw(r->model_node);
    size_t before;

    if (!json_exists(r->model_node)) {
        buf_put(out, body);
        return;
    }
    before = (size_t)(name.p - r->doc.text.p);
    buf_put(out, str_first(body, before));
    buf_put_char(out, '"');
    json_escape(out, canonical);
    buf_put_char(out, '"');
    buf_put(out, str_skip(body, before + name.n));
}
