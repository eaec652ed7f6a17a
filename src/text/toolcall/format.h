/* text/toolcall/format.h -- private to text/toolcall: what a format is, and what its step function may do
 *
 * The engine calls step() with all bytes that were not used yet, again and again while it uses some. A step
 *   - uses bytes from the front: what it says about them it says by the parser_ functions below, then returns how many they were;
 *   - or returns 0: nothing can be said before more comes. Then it is called again with the same bytes and more behind them; parser->seen is its own note of how far it has looked,
 *     so that no byte is looked at twice (the engine sets it to 0 whenever bytes were used);
 *   - when `ended` is true nothing more comes: it must use at least one byte (all, in the end). What makes no sense is text or dropped.
 * Each format is one const struct toolcall_format in a file of its own (families share files); registry.c lists them.
 */
#pragma once

#include "text/scan/json_scan.h"
#include "text/scan/markers.h"
#include "text/toolcall/arguments.h"
#include "text/toolcall/toolcall.h"
#include "text/toolcall/tools.h"

struct toolcall_format {
    const char *name;                         /* canonical */
    const char *summary;                      /* for people: the shape of a call */
    const char *const *aliases;               /* normalised, NULL at the end; may be NULL */
    size_t state_bytes;                       /* of parser->state */
    void (*start)(struct toolcall_parser *p); /* state is zeroed; may be NULL */
    size_t (*step)(struct toolcall_parser *p, struct str text, bool ended);
    const void *row; /* static; of a machine that several formats share: what is this one's own */
};

struct toolcall_parser {
    const struct toolcall_format *format;
    struct toolcall_config config;
    void *state;             /* owned; the format's own */
    size_t seen;             /* see above */
    struct buf pending;      /* not used yet */
    struct buf held;         /* text and dropped pieces since the last call, while there was no call yet */
    struct held_part *parts; /* owned */
    size_t parts_n, parts_cap;
    unsigned calls;  /* told so far */
    bool in_call;    /* inside a block: set by the format */
    bool after_call; /* nothing but white space since the last call: not given out before something follows that is no call */
    bool drop_after; /* set by start(): text behind the first call is left out */
    bool began;      /* parser_text_trimmed: some text went out, white space counts now */
    bool failed;
    struct arena scratch; /* of one step; emptied by the engine behind it */
    struct buf work;      /* for the format: arguments in the making */
    struct buf kept;      /* for the format: survives steps */
};

void parser_text(struct toolcall_parser *p, struct str text); /* content */
/* Content without the white space around all of it: what may be its end is in `kept` until more follows. TEXT is whole characters, but for what ends the reply. */
void parser_text_trimmed(struct toolcall_parser *p, struct str text);
void parser_drop(struct toolcall_parser *p,
                 struct str raw); /* markup, or a block that is no call: text if there is never a call, nothing otherwise */
void parser_call(struct toolcall_parser *p, struct str name, struct str arguments); /* a whole call */

/* The usual beginning of a step: gives out text up to the first marker. Returns bytes of text used, which may be 0; *RET_MARKER = the marker that stands behind them, or -1 (all there is
 * to say was said: return what this returned). White space between two calls, and behind the last one, is formatting: it is dropped. */
size_t parser_text_until(struct toolcall_parser *p, const struct markers *m, struct str text, bool ended, int *ret_marker);

/* By name, one a line. */
/* clang-format off */
extern const struct toolcall_format
    TOOLCALL_APERTUS,
    TOOLCALL_COHERE,
    TOOLCALL_DEEPSEEK,
    TOOLCALL_DEEPSEEK31,
    TOOLCALL_DEEPSEEK32,
    TOOLCALL_DEEPSEEK_V4,
    TOOLCALL_DOTS,
    TOOLCALL_ERNIE45,
    TOOLCALL_FUNCTIONGEMMA,
    TOOLCALL_GEMMA4,
    TOOLCALL_GIGACHAT3,
    TOOLCALL_GIGACHAT35,
    TOOLCALL_GLM45_MOE,
    TOOLCALL_GLM47_MOE,
    TOOLCALL_GRANITE,
    TOOLCALL_GRANITE4,
    TOOLCALL_GRANITE_20B_FC,
    TOOLCALL_HUNYUAN_A13B,
    TOOLCALL_HY_V3,
    TOOLCALL_INKLING,
    TOOLCALL_INTERNLM,
    TOOLCALL_JAMBA,
    TOOLCALL_JSON,
    TOOLCALL_K2_HORIZON,
    TOOLCALL_KIMIK2,
    TOOLCALL_KIMI_K3,
    TOOLCALL_LFM2,
    TOOLCALL_LLAMA,
    TOOLCALL_LONGCAT,
    TOOLCALL_MINICPM5,
    TOOLCALL_MINIMAX_M1,
    TOOLCALL_MINIMAX_M2,
    TOOLCALL_MINIMAX_M3,
    TOOLCALL_MISTRAL,
    TOOLCALL_NEMOTRON_JSON,
    TOOLCALL_OLMO3,
    TOOLCALL_PASSTHROUGH,
    TOOLCALL_PHI4_MINI_JSON,
    TOOLCALL_PYTHONIC,
    TOOLCALL_QWEN,
    TOOLCALL_QWEN_CODER,
    TOOLCALL_QWEN_XML,
    TOOLCALL_SARASHINA,
    TOOLCALL_SEED_OSS,
    TOOLCALL_SOLAR_OPEN2,
    TOOLCALL_STEP3,
    TOOLCALL_TRINITY,
    TOOLCALL_XLAM;
/* clang-format on */
