/* tests/fuzz/regex.c -- any pattern: it is refused with a reason, or its matches in any text come in order, at borders of characters, and end */
#include <stdlib.h>

#include "text/tokenizer/regex.h"

#include "base/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool holds)
{
    if (!holds)
        abort();
}

/* Input: the pattern, a NUL, the text. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str whole = { (const char *)data, size }, pattern, text;
    struct regex *r = NULL;
    struct regex_work *w;
    struct err err = { 0 };
    (void)str_split(whole, 0, &pattern, &text); /* without a NUL: no text */
    if (size > 4096 || !utf8_valid(text))
        return 0;
    int code = regex_new(pattern, &r, &err);
    if (code < 0) {
        expect(!r && err.message[0]);
        return 0;
    }
    if (regex_work_new(&w) == 0) {
        regex_work_begin(w, text.n);
        struct regex_scan s = regex_scan(r, w, text.p ? text : STR(""));
        size_t last = 0, from = 0, to = 0;
        while ((code = regex_next(&s, &from, &to, &err)) == 1) {
            expect(last <= from && from <= to && to <= text.n);
            expect(utf8_valid(str_range(s.text.p + from, s.text.p + to)));
            last = to;
        }
        expect(code == 0 || err.message[0]);
        regex_work_free(w);
    }
    regex_free(r);
    return 0;
}
