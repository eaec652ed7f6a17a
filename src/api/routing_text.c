/* api/routing_text.c -- the text by which policies find the worker that has seen most of it (spec data-plane 5.11)
 *
 * Pieces of text in the order in which an engine sees them, joined by one space; empty ones are left out. A request whose shape was not checked
 * in depth (responses, messages) contributes what can be read. Stops as soon as the bound is reached, never within a UTF-8 character.
 */
#include "api/keys.h"
#include "api/request.h"

struct text {
    const struct json_doc *doc;
    struct arena *arena; /* for strings with escapes */
    struct buf *out;
    size_t left; /* bytes that may still be written */
    bool any;    /* something was written: the next piece needs a space before it */
};

static void put(struct text *t, struct str piece)
{
    if (piece.n == 0 || t->left == 0)
        return;
    if (t->any && t->left == 1) { /* no room for more than the space */
        t->left = 0;
        return;
    }
    if (t->any) {
        buf_put_char(t->out, ' ');
        t->left--;
    }
    if (piece.n > t->left) {
        buf_put(t->out, api_cut(piece, t->left));
        t->left = 0;
    } else {
        buf_put(t->out, piece);
        t->left -= piece.n;
    }
    t->any = true;
}

/* The string or number at I; nothing for other values and for 0 (absent). */
static void put_scalar(struct text *t, uint32_t i)
{
    if (i == 0 || t->left == 0)
        return;
    if (node_type(t->doc, i) == JSON_STRING)
        put(t, json_str((struct json){ t->doc, i }, t->arena));
    else if (node_type(t->doc, i) == JSON_NUMBER)
        put(t, json_raw((struct json){ t->doc, i }));
}

static void put_string(struct text *t, uint32_t i)
{
    if (i && node_type(t->doc, i) == JSON_STRING)
        put_scalar(t, i);
}

/* A string, a number, or an array of them (of arrays of them): prompts, inputs, token ids. */
static void put_scalars(struct text *t, uint32_t i)
{
    if (i == 0)
        return;
    if (node_type(t->doc, i) != JSON_ARRAY) {
        put_scalar(t, i);
        return;
    }
    for (uint32_t e = element_first(i), end = element_end(t->doc, i); e < end && t->left; e++) /* all levels: the tape is flat */
        if (node_type(t->doc, e) != JSON_OBJECT)
            put_scalar(t, e);
        else
            e = element_next(t->doc, e) - 1;
}

/* A string, or the `text` members of an array of parts. */
static void put_content(struct text *t, uint32_t content)
{
    put_string(t, content);
    if (content == 0 || node_type(t->doc, content) != JSON_ARRAY)
        return;
    for (uint32_t i = element_first(content); i < element_end(t->doc, content) && t->left; i = element_next(t->doc, i)) {
        struct members m;

        if (node_type(t->doc, i) != JSON_OBJECT)
            continue;
        members_read(t->doc, i, &m);
        put_string(t, member(&m, KEY_TEXT));
    }
}

/* The contents of an array of messages or items; an item without content may be a text part itself. */
static void put_messages(struct text *t, uint32_t messages)
{
    if (messages == 0 || node_type(t->doc, messages) != JSON_ARRAY)
        return;
    for (uint32_t i = element_first(messages); i < element_end(t->doc, messages) && t->left; i = element_next(t->doc, i)) {
        struct members m;
        uint32_t role;

        if (node_type(t->doc, i) != JSON_OBJECT)
            continue;
        members_read(t->doc, i, &m);
        put_content(t, member(&m, KEY_CONTENT));
        put_string(t, member(&m, KEY_TEXT));
        role = member(&m, KEY_ROLE);
        if (role && node_says(t->doc, role, STR("assistant")))
            put_string(t, member(&m, KEY_REASONING_CONTENT));
    }
}

void api_routing_text(const struct api_request *r, struct arena *arena, struct buf *out, size_t max)
{
    struct text t = { .doc = &r->doc, .arena = arena, .out = out, .left = max };
    struct members root;
    uint32_t input;

    members_read(&r->doc, 0, &root);
    switch (r->kind) {
    case API_MESSAGES:
        put_content(&t, member(&root, KEY_SYSTEM));
        put_messages(&t, member(&root, KEY_MESSAGES));
        break;
    case API_CHAT:
        put_messages(&t, member(&root, KEY_MESSAGES));
        break;
    case API_COMPLETIONS:
        put_scalars(&t, member(&root, KEY_PROMPT));
        break;
    case API_GENERATE:
        input = member(&root, KEY_TEXT);
        put_scalars(&t, input ? input : member(&root, KEY_INPUT_IDS));
        break;
    case API_EMBEDDINGS:
    case API_CLASSIFY:
        put_scalars(&t, member(&root, KEY_INPUT));
        break;
    case API_RERANK:
    case API_V1_RERANK:
        put_string(&t, member(&root, KEY_QUERY));
        break;
    case API_RESPONSES:
        input = member(&root, KEY_INPUT);
        put_string(&t, input);
        put_messages(&t, input);
        break;
    }
}
