/* text/tokenizer/pretokenizer_internal.h -- what pretokenizer.c (reading the file), pretokenizer_run.c (the steps) and pretokenizer_cut.c (the split behaviours) share */
#pragma once

#include "text/tokenizer/pretokenizer.h"
#include "text/tokenizer/regex.h"

enum behavior { REMOVED, ISOLATED, MERGED_WITH_PREVIOUS, MERGED_WITH_NEXT, CONTIGUOUS };

enum step_kind {
    SPLIT,
    DIGITS,
    PUNCTUATION,
    WHITESPACE,
    WHITESPACE_SPLIT,
    DELIMITER,
    SCRIPTS,
    FIXED_LENGTH,
    METASPACE,
    BYTE_LEVEL
};
enum prepend { PREPEND_ALWAYS, PREPEND_FIRST, PREPEND_NEVER };

struct step {
    enum step_kind kind;
    enum behavior behavior; /* SPLIT, PUNCTUATION, DIGITS */
    bool invert;            /* SPLIT */
    bool prefix;            /* BYTE_LEVEL: a space in front of each piece that has none */
    bool split;             /* BYTE_LEVEL: with GPT-2's regex; METASPACE: at the replacement */
    bool map;               /* BYTE_LEVEL: another step comes behind it and must see the mapped characters */
    enum prepend prepend;   /* METASPACE */
    char mark[4];           /* METASPACE, DELIMITER: the character */
    uint8_t mark_n;
    uint32_t length;               /* FIXED_LENGTH: characters */
    struct regex *regex;           /* SPLIT, BYTE_LEVEL with split; owned; NULL where the scanner does it */
    const struct scanner *scanner; /* cuts as the regex does; static */
    char *source;                  /* SPLIT: the regex as the file has it; owned; NULL for a String pattern */
    size_t source_n;
};

struct pretokenizer {
    struct step *steps; /* owned */
    size_t n;
    bool byte_level;               /* the pieces are raw bytes */
    bool unmap;                    /* the last steps saw mapped characters: turn them into bytes at the end */
    const struct scanner *scanner; /* does all of it; static; NULL = none */
};

/* A way of cutting pieces one after the other into OUT. */
struct cutter {
    struct pieces *out;
    const char *text; /* the piece that is cut */
    enum behavior behavior;
    bool invert;
    bool held, held_match; /* a range that may still grow */
    size_t from, to;
    bool in_at_start; /* the piece begins where the original text does */
    bool *at_start;   /* set with the first piece of OUT: so does that one */
};

bool pieces_end(
    struct pieces
        *p); /* what was put into p->text since the last piece is a piece, unless it is empty. False: no memory, or too long */
void cut_range(struct cutter *c, size_t from, size_t to, bool match); /* ranges come in order and cover the piece */
void cut_end(struct cutter *c);
void cut_piece(struct cutter *c, size_t from, size_t to); /* text[from, to) is a piece, whatever the behaviour */
