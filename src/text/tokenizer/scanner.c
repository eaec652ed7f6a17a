/* text/tokenizer/scanner.c -- which regexes are which row, and which machine this processor has
 *
 * A row may be spelled in several ways; a regex that is not here to the letter goes the generic way, which is right in any case. What the engine behind tokenizer.json makes of a spelling is
 * what counts: "{1,3}+" is no possessive there but "one or more times one to three".
 */
#include "text/tokenizer/scanner.h"

#include "base/attr.h"
#include "text/tokenizer/scanner_rows.h"

#define GPT2        "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
#define GPT2_NEWER  "'(?:[sdmt]|ll|ve|re)| ?\\p{L}++| ?\\p{N}++| ?[^\\s\\p{L}\\p{N}]++|\\s++$|\\s+(?!\\S)|\\s"
#define SHORT       "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define WORD        "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+"
#define OTHER       " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*"
#define OTHER_SLASH " ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*"
#define TAIL        "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define CL100K                                                             \
    "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}++|\\p{N}{1,3}+| " \
    "?[^\\s\\p{L}\\p{N}]++[\\r\\n]*+|\\s++$|\\s*[\\r\\n]|\\s+(?!\\S)|\\s"
#define CAMEL1     "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+"
#define CAMEL2     "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*"
#define KIMI1      "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}&&[^\\p{Han}]]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}&&[^\\p{Han}]]+"
#define KIMI2      "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}&&[^\\p{Han}]]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}&&[^\\p{Han}]]*"
#define DIGITS_1_3 "\\p{N}{1,3}"
#define CJK        "[\xE4\xB8\x80-\xE9\xBE\xA5\xE3\x81\x80-\xE3\x82\x9F\xE3\x82\xA0-\xE3\x83\xBF]+"
/* CR and LF are themselves in the published file. */
#define DEEPSEEK(cr, lf)                                             \
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^" cr lf \
    "\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[" cr lf "]*|\\s*[" cr lf "]+|\\s+(?!\\S)|\\s+"

const struct str SCANNER_REGEX_GPT2 = STR_INIT(GPT2);

/* Single splits. */
static const struct {
    struct str regex;
    enum scan_row_number row;
} SINGLE[] = {
    { STR_INIT(GPT2), SCAN_NUMBER_G },
    { STR_INIT(GPT2_NEWER), SCAN_NUMBER_G },
    { STR_INIT(SHORT "|" WORD "|" DIGITS_1_3 "|" OTHER "|" TAIL), SCAN_NUMBER_L3 },
    { STR_INIT(CL100K "+"), SCAN_NUMBER_C1 },
    { STR_INIT(CL100K), SCAN_NUMBER_C1 },
    { STR_INIT(SHORT "|" WORD "|\\p{N}|" OTHER "|" TAIL), SCAN_NUMBER_Q2 },
    { STR_INIT(SHORT "|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|" TAIL), SCAN_NUMBER_Q35 },
    { STR_INIT(CAMEL1 SHORT "?|" CAMEL2 SHORT "?|" DIGITS_1_3 "|" OTHER_SLASH "|" TAIL), SCAN_NUMBER_O },
    { STR_INIT(CAMEL1 "|" CAMEL2 "|\\p{N}|" OTHER_SLASH "|" TAIL), SCAN_NUMBER_T },
    { STR_INIT("[\\p{Han}]+|" KIMI1 SHORT "?|" KIMI2 SHORT "?|" DIGITS_1_3 "|" OTHER "|" TAIL), SCAN_NUMBER_K },
};

enum scan_row_number scanner_row(const struct str *regexes, size_t n, bool digits_first)
{
    if (digits_first)
        return n == 1 && str_eq(regexes[0], SCANNER_REGEX_GPT2) ? SCAN_NUMBER_R : SCAN_ROW_COUNT;
    for (size_t i = 0; n == 1 && i < ARRAY_LEN(SINGLE); i++)
        if (str_eq(regexes[0], SINGLE[i].regex))
            return SINGLE[i].row;
    if (n == 3 && str_eq(regexes[0], STR(DIGITS_1_3)) && str_eq(regexes[1], STR(CJK)) &&
        (str_eq(regexes[2], STR(DEEPSEEK("\r", "\n"))) || str_eq(regexes[2], STR(DEEPSEEK("\\r", "\\n")))))
        return SCAN_NUMBER_D;
    return SCAN_ROW_COUNT;
}

const struct scanner *scanner_find(const struct str *regexes, size_t n, bool digits_first)
{
    enum scan_row_number row = scanner_row(regexes, n, digits_first);

    if (row == SCAN_ROW_COUNT)
        return NULL;
#ifdef __x86_64__
    return scanner_has_avx2() ? &SCANNERS_AVX2[row] : &SCANNERS_SSE2[row];
#else
    return &SCANNERS_PORTABLE[row];
#endif
}
