/* law.c -- generated replies: however they are cut the result is the same, and for pairs of tags it is what a slow, obvious reading of the whole text gives */
#include "cuts.h"
#include "text/reasoning/format.h"

#define REPLIES 120 /* per format and seed; with all cuts in two some 3 s under the sanitizers */

/* Whole markers, halves of them, and what stands between. */
static const char *const PARTS[] = {
    "<think>",
    "</think>",
    "<thi",
    "nk>",
    "</th",
    "ink>",
    "<",
    "</",
    ">",
    "\n",
    "\n\n",
    "a",
    "b c",
    "é",
    "語",
    "◁",
    "◁think▷",
    "◁/think▷",
    "▷",
    "<think>\n",
    "\n</think>\n<answer>\n",
    "<response>\n",
    "\n</response>",
    "<answer>",
    "</answer>",
    "[THINK]",
    "[/THINK]",
    "[TH",
    "<seed:think>",
    "</seed:think>",
    "<seed:",
    "<|channel>",
    "<channel|>",
    "<|channel>thought\n",
    "thou",
    "<|START_THINKING|>",
    "<|END_THINKING|>",
    "<|START_",
    "Here is my thought process:",
    "Here is my response:",
    "Here's my thought process:",
    "Here's my response:",
    "Here",
    " is my ",
    "H",
    "<|open|>",
    "<|close|>",
    "<|sep|>",
    "think",
    "response",
    "tools",
    "message",
    " ",
    "<|open|>think<|sep|>",
    "<|close|>think<|sep|>",
    "<|open|>response<|sep|>",
    "<|close|>response<|sep|>",
    "<|open|>tools<|sep|>",
    "<|close|>tools<|sep|>",
    "<|close|>message<|sep|>",
    "<|message_model|>",
    "<|content_thinking|>",
    "<|content_text|>",
    "<|end_message|>",
    "<|content_",
    "<|content_invoke_tool_json|>",
    "<|content_invoke_tool_text|>",
    "<|content_model_end_sampling|>",
    "<|endoftext|>",
    "<tool_call>",
    "<tool_",
    "                                                                 ",
};
static const struct str INTERRUPTS[] = { STR_INIT("<tool_call>"), STR_INIT("[TOOL_CALLS]") };

/* A reply for F: its own markers are as likely as all other parts together. */
static void make_reply(const struct reasoning_format *f, struct buf *out)
{
    const struct reasoning_tags *t = f->tags;
    int parts = rand() % 10;
    buf_clear(out);
    for (int i = 0; i < parts; i++) {
        struct str own = STR_NONE;
        if (t && rand() % 2)
            own = rand() % 3 == 0 ? t->starts[rand() % REASONING_STARTS_MAX]
                  : rand() % 4    ? t->ends[rand() % REASONING_ENDS_MAX]
                                  : t->closes[rand() % REASONING_CLOSES_MAX];
        buf_put(out, own.n ? own : str_of(PARTS[(size_t)rand() % ARRAY_LEN(PARTS)]));
    }
}

/* ---- what a whole text gives, the slow way ---- */

static bool stands_at(struct str text, size_t at, struct str s)
{
    return s.n && str_has_prefix(str_skip(text, at), s);
}

/* The longest of S at AT; 0 = none. *RET_WHICH = its number. */
static size_t longest_at(struct str text, size_t at, const struct str *s, size_t n, size_t *ret_which)
{
    size_t best = 0;
    for (size_t i = 0; i < n; i++)
        if (stands_at(text, at, s[i]) && s[i].n > best) {
            best = s[i].n;
            *ret_which = i;
        }
    return best;
}

static void read_slowly(const struct reasoning_tags *t, const struct reasoning_config *c, struct str text, struct seen *s)
{
    bool has_tags = t->starts[0].n > 0;
    bool thinks = has_tags && (c->started || (t->starts_in_thought && !c->content_only));
    bool thought_yet = thinks, only_blanks = true, answer = false;
    if (text.n)
        buf_put(&s->text, t->prefix);
    for (size_t at = 0, n, which = 0; at < text.n; at += n) {
        bool may_start = has_tags && !c->tag_was_given && (!t->starts_once || (only_blanks && !thought_yet));
        size_t start = may_start ? longest_at(text, at, t->starts, REASONING_STARTS_MAX, &which) : 0;
        size_t end = thinks ? longest_at(text, at, t->ends, REASONING_ENDS_MAX, &which) : 0;
        size_t interrupt = 0, ignored, close = answer ? longest_at(text, at, t->closes, REASONING_CLOSES_MAX, &ignored) : 0;
        if (thinks)
            interrupt = longest_at(text, at, c->interrupts, c->interrupts_n, &ignored);
        if (start > end && start > interrupt) {
            thinks = thinks || !thought_yet;
            thought_yet = true;
            n = start;
        } else if (end > interrupt) {
            thinks = false;
            answer = which < t->answer_ends;
            n = end;
        } else if (interrupt) {
            thinks = false;
            n = 0;
        } else if (close) {
            answer = false;
            n = close;
        } else {
            only_blanks = only_blanks && strchr(" \t\r\n", text.p[at]);
            buf_put_char(thinks ? &s->thoughts : &s->text, text.p[at]);
            n = 1;
        }
    }
}

static void hold_for(const struct reasoning_format *f, const struct reasoning_config *c, struct str reply, int rounds)
{
    struct seen whole = { 0 }, slow = { 0 };
    assert_cuts_agree(f, c, reply, rounds, &whole);
    if (f->tags) {
        read_slowly(f->tags, c, reply, &slow);
        assert_same(f, &slow, &whole, "speed", reply);
    }
    seen_fini(&whole);
    seen_fini(&slow);
}

static void make_config(unsigned bits, struct reasoning_config *c)
{
    *c = (struct reasoning_config){ .started = bits & 1, .tag_was_given = bits & 2, .content_only = bits & 4 };
    if (bits & 8) {
        c->interrupts = INTERRUPTS;
        c->interrupts_n = ARRAY_LEN(INTERRUPTS);
    }
}

static void streaming_is_the_whole_text_for_generated_replies(void **state)
{
    size_t n;
    const struct reasoning_format *const *all = reasoning_formats(&n);
    struct buf reply = { 0 };
    for (size_t i = 0; i < n; i++) {
        for (unsigned k = 0; k < REPLIES; k++) {
            struct reasoning_config c;
            make_config((unsigned)rand() % 16, &c);
            make_reply(all[i], &reply);
            hold_for(all[i], &c, buf_str(&reply), 4);
        }
    }
    buf_fini(&reply);
}

/* Markers inside the beginnings of others: all texts of five of these. */
static void streaming_is_the_whole_text_for_all_short_replies(void **state)
{
    static const char *const PIECES[] = { "<think>", "</think>", "<", "x" };
    static const char *const NAMES[] = { "base", "deepseek_r1" };
    struct buf reply = { 0 };
    for (unsigned k = 0; k < 4 * 4 * 4 * 4 * 4; k++) {
        buf_clear(&reply);
        for (unsigned rest = k, i = 0; i < 5; i++, rest /= 4)
            buf_put(&reply, str_of(PIECES[rest % 4]));
        for (size_t i = 0; i < ARRAY_LEN(NAMES); i++) {
            struct reasoning_config c = { .started = false };
            hold_for(reasoning_find(str_of(NAMES[i])), &c, buf_str(&reply), 0);
        }
    }
    buf_fini(&reply);
}

/* Nothing is made and nothing lost: text and thoughts of a reply without markers are the reply. */
static void a_reply_without_markers_is_given_out_byte_for_byte(void **state)
{
    static const char *const NAMES[] = { "base",    "kimi",   "cohere_cmd", "kimi_k3",      "inkling",
                                         "mistral", "gemma4", "granite",    "hunyuan_a13b", "passthrough" };
    struct buf reply = { 0 };
    for (unsigned k = 0; k < 60; k++) {
        buf_clear(&reply);
        for (int i = 0; i < 200; i++)
            buf_put_char(&reply, (char)(rand() % 4 ? '<' + rand() % 3 : 1 + rand() % 255));
        for (size_t i = 0; i < ARRAY_LEN(NAMES); i++) {
            struct reasoning_config c = { .started = false };
            struct seen s = { 0 };
            assert_cuts_agree(reasoning_find(str_of(NAMES[i])), &c, buf_str(&reply), 2, &s);
            assert_true(str_eq(buf_str(&s.text), buf_str(&reply)) && !s.thoughts.n);
            seen_fini(&s);
        }
    }
    buf_fini(&reply);
}

int main(void)
{
    srand(7);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(streaming_is_the_whole_text_for_generated_replies),
        cmocka_unit_test(streaming_is_the_whole_text_for_all_short_replies),
        cmocka_unit_test(a_reply_without_markers_is_given_out_byte_for_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
