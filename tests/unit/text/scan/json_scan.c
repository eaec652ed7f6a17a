/* json_scan: where values end, against the JSON room's reader, cut in every way; markers against a search of all places */
#include "test.h"

#include <stdlib.h>

#include "json/json.h"
#include "text/scan/json_scan.h"
#include "text/scan/markers.h"

/* What the scanner says of the whole text, fed in two pieces: bytes of the value, or -1. */
static long scanned(struct str text, size_t cut)
{
    struct json_scan s;
    size_t used, first = 0;
    json_scan_init(&s);
    enum json_scan_result r = json_scan_feed(&s, str_first(text, cut), &used);
    if (r == JSON_SCAN_MORE) {
        first = cut;
        r = json_scan_feed(&s, str_skip(text, cut), &used);
    }
    if (r == JSON_SCAN_MORE) {
        r = json_scan_end(&s);
        used = text.n - first;
    }
    return r == JSON_SCAN_DONE ? (long)(first + used) : -1;
}

static void values_end_where_they_end(void **state)
{
    static const struct {
        const char *text;
        long end;
    } cases[] = {
        { "{\"a\":[1,2,{\"b\":\"}\"}]} tail", 21 },
        { "[]x", 2 },
        { "\"a\\\"b\" c", 6 },
        { "12 ", 2 },
        { "-0.5e+3,", 7 },
        { "true]", 4 },
        { "01", 1 },
        { "[01]", -1 },
        { "[1,]", -1 },
        { "{\"a\":1,}", -1 },
        { "{a:1}", -1 },
        { "nul", -1 },
        { "\"\\ud83d\\ude00\"", 14 },
        { "\"\\ud83d\"", -1 },
        { "\"\\ude00\"", -1 },
        { "\"\n\"", -1 },
        { "[1", -1 },
        { "1.", -1 },
        { "-", -1 },
        { "  {}", 4 },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct str text = str_of(cases[i].text);
        for (size_t cut = 0; cut <= text.n; cut++)
            assert_int_equal(scanned(text, cut), cases[i].end);
    }
}

static void the_scanner_and_the_reader_agree(void **state)
{
    static const char ALPHABET[] = "{}[]\",:0123eE+-.\\u trufalsn d8";
    srand(4);
    for (int round = 0; round < 200000; round++) {
        char text[14];
        size_t n = 1 + (size_t)(rand() % 13);
        struct arena arena;
        struct json_doc doc;
        for (size_t i = 0; i < n; i++)
            text[i] = ALPHABET[rand() % (sizeof(ALPHABET) - 1)];
        struct str s = { text, n };
        long end = scanned(s, (size_t)(rand() % (int)(n + 1)));
        arena_init(&arena, NULL, 0);
        if (end > 0)
            assert_int_equal(json_parse(str_first(s, (size_t)end), &arena, &doc, NULL), 0);
        else if (!memchr(text, '\\', n)) /* halves of surrogates: the reader takes them */
            assert_true(json_parse(s, &arena, &doc, NULL) < 0);
        arena_fini(&arena);
    }
}

static void nesting_has_a_bound(void **state)
{
    char text[2 * JSON_SCAN_DEPTH + 2];
    memset(text, '[', JSON_SCAN_DEPTH + 1);
    memset(text + JSON_SCAN_DEPTH + 1, ']', JSON_SCAN_DEPTH + 1);
    assert_int_equal(scanned((struct str){ text + 1, 2 * JSON_SCAN_DEPTH }, 0), 2 * JSON_SCAN_DEPTH);
    assert_int_equal(scanned((struct str){ text, 2 * JSON_SCAN_DEPTH + 2 }, 0), -1);
}

/* The leftmost marker, of several at one place the longest, by trying everything. */
static int naive(const struct str *strings, size_t n, struct str text, size_t *ret_at)
{
    for (*ret_at = 0; *ret_at < text.n; ++*ret_at) {
        int best = -1;
        for (size_t i = 0; i < n; i++)
            if (str_has_prefix(str_skip(text, *ret_at), strings[i]) && (best < 0 || strings[i].n > strings[best].n))
                best = (int)i;
        if (best >= 0)
            return best;
    }
    return -1;
}

static void markers_are_found_and_their_beginnings_held_back(void **state)
{
    static const struct str sets[][3] = {
        { STR_INIT("<a"), STR_INIT("<ab>"), STR_INIT("<") },
        { STR_INIT("ab"), STR_INIT("ba"), STR_INIT("<<a") },
    };
    srand(6);
    for (int round = 0; round < 100000; round++) {
        const struct str *strings = sets[round % 2];
        char bytes[10];
        struct str text = { bytes, (size_t)(rand() % 10) };
        struct markers m;
        size_t at, want_at, open;
        for (size_t i = 0; i < text.n; i++)
            bytes[i] = "<ab>"[rand() % 4];
        markers_init(&m, strings, 3);
        int want = naive(strings, 3, text, &want_at);
        assert_int_equal(markers_find(&m, text, 0, true, &at), want);
        assert_int_equal(at, want_at);
        if (markers_find(&m, text, 0, false, &open) >= 0)
            assert_int_equal(open, want_at);
        else
            assert_true(open <= want_at); /* held: something longer may come of it */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_end_where_they_end),
        cmocka_unit_test(the_scanner_and_the_reader_agree),
        cmocka_unit_test(nesting_has_a_bound),
        cmocka_unit_test(markers_are_found_and_their_beginnings_held_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
