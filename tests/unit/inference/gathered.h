/* gathered.h -- what a client makes of a chat reply, whole or streamed, as one text that can be compared
 *
 * "[index] finish|thought|content|name(arguments)name(arguments)" for each choice.
 */
#pragma once

#include "inference/parsed.h"

#define GATHERED_MAX 8

struct gathered {
    struct {
        struct buf thought, content, calls; /* owned */
        struct str finish;                  /* the document's */
        bool there;
    } choice[GATHERED_MAX];
    struct arena arena;
};

static inline void gathered_init(struct gathered *g)
{
    *g = (struct gathered){ 0 };
    arena_init(&g->arena, NULL, 0);
}

static inline void gathered_fini(struct gathered *g)
{
    for (int i = 0; i < GATHERED_MAX; i++) {
        buf_fini(&g->choice[i].thought);
        buf_fini(&g->choice[i].content);
        buf_fini(&g->choice[i].calls);
    }
    arena_fini(&g->arena);
}

/* A completion or a chunk. False: it is no JSON with choices. */
static inline bool gather(struct gathered *g, struct str json)
{
    struct json_doc *doc = arena_new(&g->arena, struct json_doc);
    struct json_iter it, calls;

    if (!doc || json_parse(arena_str(&g->arena, json), &g->arena, doc, NULL) < 0)
        return false;
    it = json_iter(json_get(json_root(doc), STR("choices")));
    while (json_next(&it)) {
        struct json message = json_get(it.value, STR("message")), reason = json_get(it.value, STR("finish_reason"));
        uint64_t i = 0;

        if (!json_exists(message))
            message = json_get(it.value, STR("delta"));
        if (json_to_u64(json_get(it.value, STR("index")), &i) < 0 || i >= GATHERED_MAX)
            i = 0;
        g->choice[i].there = true;
        buf_put(&g->choice[i].content, json_str(json_get(message, STR("content")), &g->arena));
        buf_put(&g->choice[i].thought, json_str(json_get(message, STR("reasoning_content")), &g->arena));
        calls = json_iter(json_get(message, STR("tool_calls")));
        while (json_next(&calls)) {
            struct json f = json_get(calls.value, STR("function"));

            if (json_exists(json_get(f, STR("name")))) {
                buf_puts(&g->choice[i].calls, "#");
                buf_put(&g->choice[i].calls, json_str(json_get(f, STR("name")), &g->arena));
                buf_puts(&g->choice[i].calls, ":");
            }
            buf_put(&g->choice[i].calls, json_str(json_get(f, STR("arguments")), &g->arena));
        }
        if (json_is(reason, JSON_STRING))
            g->choice[i].finish = json_str(reason, &g->arena);
    }
    return true;
}

/* The events of a stream, "data: {...}\n\n" each. False: one of them is no chunk and not [DONE]. */
static inline bool gather_events(struct gathered *g, struct str stream)
{
    while (stream.n) {
        size_t end = str_find(stream, STR("\n\n"));
        struct str one = str_first(stream, end);

        stream = str_skip(stream, end == STR_NPOS ? stream.n : end + 2);
        if (!str_has_prefix(one, STR("data: ")))
            return false;
        one = str_skip(one, 6);
        if (!str_eq(one, STR("[DONE]")) && !gather(g, one))
            return false;
    }
    return true;
}

static inline void gathered_put(const struct gathered *g, struct buf *out)
{
    for (int i = 0; i < GATHERED_MAX; i++) {
        if (!g->choice[i].there)
            continue;
        buf_printf(out, "[%d] %.*s|", i, STR_FMT(g->choice[i].finish));
        buf_put(out, buf_str(&g->choice[i].thought));
        buf_puts(out, "|");
        buf_put(out, buf_str(&g->choice[i].content));
        buf_puts(out, "|");
        buf_put(out, buf_str(&g->choice[i].calls));
    }
}
