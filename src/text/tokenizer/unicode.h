/* text/tokenizer/unicode.h -- what the engines that we must agree with know of characters
 *
 * Tables made of unicode.data, which tools/gen-unicode wrote down by asking that engine about every code point. Regular expressions there are Oniguruma (Unicode 16), Digits and lower case are Rust (17),
 * BertNormalizer, Punctuation and StripAccents ask tables that are ten years old: a function says whose answer it gives.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum unicode_category {
    UNICODE_CN,
    UNICODE_LU,
    UNICODE_LL,
    UNICODE_LT,
    UNICODE_LM,
    UNICODE_LO,
    UNICODE_MN,
    UNICODE_MC,
    UNICODE_ME,
    UNICODE_ND,
    UNICODE_NL,
    UNICODE_NO,
    UNICODE_PC,
    UNICODE_PD,
    UNICODE_PS,
    UNICODE_PE,
    UNICODE_PI,
    UNICODE_PF,
    UNICODE_PO,
    UNICODE_SM,
    UNICODE_SC,
    UNICODE_SK,
    UNICODE_SO,
    UNICODE_ZS,
    UNICODE_ZL,
    UNICODE_ZP,
    UNICODE_CC,
    UNICODE_CF,
    UNICODE_CS,
    UNICODE_CO
};

enum unicode_category unicode_category(uint32_t c); /* of regexes (Unicode 16); past U+10FFFF: CN */
bool unicode_is_white_space(uint32_t c);            /* White_Space: all engines agree */
bool unicode_is_word(
    uint32_t
        c); /* \w of the Whitespace pre-tokenizer: Alphabetic, M*, Nd, Pc, Join_Control (a regex's \w has N* and no Join_Control) */
bool unicode_is_han(uint32_t c);             /* Script=Han, of regexes */
bool unicode_is_numeric(uint32_t c);         /* N* as Digits asks: Unicode 17 */
bool unicode_is_punctuation(uint32_t c);     /* ASCII punctuation or P*, as Punctuation and BertPreTokenizer ask */
bool unicode_is_mark(uint32_t c);            /* M* as StripAccents asks */
bool unicode_is_mark_nonspacing(uint32_t c); /* Mn as BertNormalizer's strip_accents asks */
bool unicode_is_other(uint32_t c);           /* C* without Cn: what BertNormalizer's clean_text removes, and TAB, LF, CR */
unsigned unicode_script(uint32_t c); /* for UnicodeScripts: equal numbers = one script; 0 = goes with any (space, unassigned) */
/* Lower-case mapping without context (Unicode 17); the number of code points, 1 or (U+0130 alone) 2. */
size_t unicode_lower(uint32_t c, uint32_t ret[3]);

/* Reads the character at p[0..n), n >= 1. Invalid bytes: U+FFFD, *ret_n = length of the maximal invalid prefix. */
uint32_t unicode_read(const char *p, size_t n, size_t *ret_n);
size_t unicode_write(char out[4], uint32_t c); /* UTF-8, 1..4 bytes */
