/* the scanners: the examples of the spec, and the same pieces as the regexes give, on every machine and however the batches are cut */
#include "test.h"

#include <stdio.h>

#include "scanner_reference.h"

#define PIECES_MAX 4096

static const struct example {
    enum scan_row_number row;
    const char *text;
    const char *pieces; /* between "|"; no example has one in it */
} EXAMPLES[] = {
    { SCAN_NUMBER_G, "I'll see  you", "I|'ll| see| | you" },
    { SCAN_NUMBER_G, "don'T 12 x!? y", "don|'|T| 12| x|!?| y" },
    { SCAN_NUMBER_L3, "abc   def\n\n  x1234!", "abc|  | def|\n\n| | x|123|4|!" },
    { SCAN_NUMBER_L3, "foo.bar", "foo|.bar" },
    { SCAN_NUMBER_L3, "HELLO'S", "HELLO|'S" },
    { SCAN_NUMBER_L3, "a\t\tb", "a|\t|\tb" },
    { SCAN_NUMBER_L3, "!!!\n\nx", "!!!\n\n|x" },
    { SCAN_NUMBER_L3, "x  ", "x|  " },
    { SCAN_NUMBER_L3, "x  123", "x| | |123" },
    { SCAN_NUMBER_L3, "'\u017F x", "'\u017F| x" },
    { SCAN_NUMBER_L3, "'tis (foo", "'t|is| (|foo" },
    { SCAN_NUMBER_L3, "(foo", "(foo" },
    { SCAN_NUMBER_L3, "  \n\n  x", "  \n\n| | x" },
    { SCAN_NUMBER_L3, "1234567", "123|456|7" },
    { SCAN_NUMBER_C1, "x\n\n  ", "x|\n\n  " },
    { SCAN_NUMBER_C1, "x\n\n  y", "x|\n\n| | y" },
    { SCAN_NUMBER_C1, "1234567 12", "1234567| |12" },
    { SCAN_NUMBER_Q2, "12345", "1|2|3|4|5" },
    { SCAN_NUMBER_Q35, "e\u0301a \u0301", "e\u0301a| \u0301" },
    { SCAN_NUMBER_O, "HelloWorld's", "Hello|World's" },
    { SCAN_NUMBER_O, "x=/\n", "x|=/\n" },
    { SCAN_NUMBER_O, "HTTPServer", "HTTPServer" },
    { SCAN_NUMBER_O, "helloWorld", "hello|World" },
    { SCAN_NUMBER_O, "I'll", "I'll" },
    { SCAN_NUMBER_O, "ABC", "ABC" },
    { SCAN_NUMBER_O, "\u0301AB", "\u0301|AB" }, /* a mark before capitals is a word: the first alternative takes it */
    { SCAN_NUMBER_T, "I'll go12", "I|'ll| go|1|2" },
    { SCAN_NUMBER_K, "\u4F60\u597Dabc", "\u4F60\u597D|abc" },
    { SCAN_NUMBER_K, "abc\u4F60\u597D !\u2E80", "abc|\u4F60\u597D| !\u2E80" },
    { SCAN_NUMBER_D, "abc123\u4E2D\u6587def", "abc|123|\u4E2D\u6587|def" },
    { SCAN_NUMBER_D, "1234", "123|4" },
    { SCAN_NUMBER_D, "x  123", "x|  |123" },
    { SCAN_NUMBER_D,
      "\x01\x01"
      "ab\x01\x01",
      "\x01|\x01"
      "ab|\x01\x01" },
    { SCAN_NUMBER_D, "\u30FB\n", "\u30FB|\n" }, /* a region's punctuation cannot reach the line end behind it */
    { SCAN_NUMBER_R, "ab  12 3c", "ab|  |1|2| |3|c" },
};

/* The examples of 5 and 16.4, and what else is easily got wrong. */
static void the_examples_of_the_specification(void **state)
{
    const struct scanner *all[3];
    unsigned n = machines(all);
    uint32_t ends[PIECES_MAX];

    for (size_t i = 0; i < ARRAY_LEN(EXAMPLES); i++) {
        const struct example *e = &EXAMPLES[i];
        for (unsigned m = 0; m < n; m++) {
            char got[256];
            size_t length = strlen(e->text), at = 0, from = 0;
            size_t count = scan_all(&all[m][e->row], e->text, length, PIECES_MAX, ends);
            for (size_t k = 0; k < count; from = ends[k++])
                at += (size_t)snprintf(got + at, sizeof(got) - at, "%s%.*s", k ? "|" : "", (int)(ends[k] - from), e->text + from);
            assert_string_equal(got, e->pieces);
        }
    }
}

static struct row_reference references[SCAN_ROW_COUNT];

static int open_references(void **state)
{
    for (unsigned row = 0; row < SCAN_ROW_COUNT; row++)
        references[row] = reference_new((enum scan_row_number)row);
    return 0;
}

static int close_references(void **state)
{
    for (unsigned row = 0; row < SCAN_ROW_COUNT; row++)
        reference_free(&references[row]);
    return 0;
}

static void agrees(enum scan_row_number row, const char *text, size_t n, size_t max)
{
    const struct scanner *all[3];
    unsigned machines_n = machines(all);
    uint32_t wanted[PIECES_MAX], got[PIECES_MAX];
    size_t count = reference_cut(&references[row], row, text, n, wanted);

    assert_true(n <= PIECES_MAX);
    for (unsigned m = 0; m < machines_n; m++) {
        size_t found = scan_all(&all[m][row], text, n, max, got);
        if (found != count || memcmp(got, wanted, count * sizeof(*got)) != 0)
            fail_msg("row %s, machine %u, batches of %zu: \"%.*s\"", all[m][row].name, m, max, (int)n, text);
    }
}

static void every_two_and_three_characters_of_all_classes(void **state)
{
    const size_t few = 46; /* the first of each class; the others differ for contractions and at borders only */
    char text[16];

    for (unsigned row = 0; row < SCAN_ROW_COUNT; row++) {
        for (size_t i = 0; i < REPRESENTATIVES_N; i++)
            for (size_t k = 0; k < REPRESENTATIVES_N; k++) {
                int n = snprintf(text, sizeof(text), "%s%s", REPRESENTATIVES[i], REPRESENTATIVES[k]);
                agrees((enum scan_row_number)row, text, (size_t)n, PIECES_MAX);
            }
        for (size_t i = 0; i < few * few * few; i++) {
            int n = snprintf(text, sizeof(text), "%s%s%s", REPRESENTATIVES[i % few], REPRESENTATIVES[i / few % few],
                             REPRESENTATIVES[i / few / few]);
            agrees((enum scan_row_number)row, text, (size_t)n, PIECES_MAX);
        }
    }
}

static uint64_t seed = 1;

static size_t dice(size_t sides)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (size_t)(seed >> 33) % sides;
}

/* ASCII mostly, so that windows are used; runs, so that things lie across their ends. */
static size_t random_text(char *text, size_t max)
{
    static const char *const ASCII[] = { "a", "s",  "t",  "Z",  "S",    "'", "'",  "'s", "'ll",  "'Re",  "!",    "/",    " ",
                                         " ", "  ", "\t", "\n", "\r\n", "7", "42", "_",  "\x01", "word", "Word", " word" };
    size_t n = 0, length = dice(8) ? dice(120) : dice(max - 8), foreign = dice(3) ? dice(40) + 2 : 0;

    while (n < length) {
        const char *c = foreign && dice(foreign) == 0 ? REPRESENTATIVES[dice(REPRESENTATIVES_N)] : ASCII[dice(ARRAY_LEN(ASCII))];
        for (size_t times = dice(6) ? 1 : dice(9) + 1; times && n < length; times--) {
            memcpy(text + n, c, strlen(c));
            n += strlen(c);
        }
    }
    return n;
}

static void random_mixes_in_any_batches(void **state)
{
    char text[1024];

    for (unsigned i = 0; i < 4000; i++) {
        size_t n = random_text(text, sizeof(text));
        for (unsigned row = 0; row < SCAN_ROW_COUNT; row++)
            agrees((enum scan_row_number)row, text, n, dice(2) ? PIECES_MAX : 1 + dice(5));
    }
}

static void scanning_on_from_any_end_gives_the_same_pieces(void **state)
{
    const struct scanner *all[3];
    unsigned machines_n = machines(all);
    char text[1024];
    uint32_t ends[PIECES_MAX], rest[PIECES_MAX];

    for (unsigned i = 0; i < 50; i++) {
        size_t n = random_text(text, sizeof(text));
        for (unsigned row = 0; row < SCAN_ROW_COUNT; row++) {
            const struct scanner *s = &all[i % machines_n][row];
            size_t count = scan_all(s, text, n, PIECES_MAX, ends);
            for (size_t k = 0; k + 1 < count; k++) {
                assert_int_equal(s->scan(text, n, ends[k], rest, PIECES_MAX), count - k - 1);
                assert_memory_equal(rest, ends + k + 1, (count - k - 1) * sizeof(*rest));
            }
        }
    }
}

/* Each character of these would cost a pass over the rest where a scanner looks ahead without need: then this test never ends. */
static void long_runs_of_anything_take_linear_time(void **state)
{
    static const char *const UNITS[] = { "a",   " ",   "\n",   "7",          "!",      "'s",     "A\u05D0", "\u0301A",
                                         " \n", "\n/", "\x01", "\U0001F642", "\u4E2D", "\u30FB", "aB" };
    enum { SIZE = 1 << 20 };
    char *text = malloc(SIZE);
    const struct scanner *all[3];
    unsigned machines_n = machines(all);

    assert_non_null(text);
    for (size_t u = 0; u < ARRAY_LEN(UNITS); u++) {
        size_t length = strlen(UNITS[u]), n = SIZE / length * length;
        for (size_t i = 0; i < n; i += length)
            memcpy(text + i, UNITS[u], length);
        for (unsigned row = 0; row < SCAN_ROW_COUNT; row++) {
            uint32_t ends[64];
            size_t begin = 0;
            while (begin < n)
                begin = ends[all[(u + row) % machines_n][row].scan(text, n, begin, ends, 64) - 1];
            assert_int_equal(begin, n);
        }
    }
    free(text);
}

static void every_row_is_found_by_its_regexes(void **state)
{
    for (unsigned row = 0; row < SCAN_ROW_COUNT; row++) {
        const struct row_regexes *r = &ROW_REGEXES[row];
        const struct scanner *s = scanner_find(r->regexes, r->n, r->digits_first);
        assert_non_null(s);
        assert_string_equal(s->name, SCANNERS_PORTABLE[row].name);
    }
    assert_string_equal(scanner_find(&SCANNER_REGEX_GPT2, 1, false)->name, "G");
}

static void other_regexes_have_none(void **state)
{
    struct str deepseek[3] = { ROW_REGEXES[SCAN_NUMBER_D].regexes[0], ROW_REGEXES[SCAN_NUMBER_D].regexes[1], STR("\\s+") };
    struct str longer = STR(REGEX_G " ");

    assert_null(scanner_find(deepseek, 3, false));
    assert_null(scanner_find(ROW_REGEXES[SCAN_NUMBER_D].regexes, 2, false));
    assert_null(scanner_find(ROW_REGEXES[SCAN_NUMBER_L3].regexes, 1, true)); /* digits stand first in row R only */
    assert_null(scanner_find(&longer, 1, false));
    assert_null(scanner_find(NULL, 0, false));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_examples_of_the_specification),
        cmocka_unit_test(every_two_and_three_characters_of_all_classes),
        cmocka_unit_test(random_mixes_in_any_batches),
        cmocka_unit_test(scanning_on_from_any_end_gives_the_same_pieces),
        cmocka_unit_test(long_runs_of_anything_take_linear_time),
        cmocka_unit_test(every_row_is_found_by_its_regexes),
        cmocka_unit_test(other_regexes_have_none),
    };

    return cmocka_run_group_tests(tests, open_references, close_references);
}
