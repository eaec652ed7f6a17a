/* vectors.c -- the files of tests/vectors/json through every scanner, and the scanners against each other
 *
 * Each text is also cut after every byte and shifted to every place within a block, so that each rule meets every block border. Texts stand
 * in memory of exactly their size: AddressSanitizer sees a scanner that reads past them.
 */
#include "../test.h"

#include "base/file.h"
#include "scanners.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#define SHIFT_MAX 70 /* more than a block */

static const char FILLER[] = "0123456789012345678901234567890123456789012345678901234567890123456789";

static struct arena_cache cache;

struct outcome {
    int status;
    struct json_doc doc;
    struct json_error error;
};

static struct outcome outcome_of(json_scan_fn *scan, struct str text, struct arena *arena)
{
    struct outcome o = { 0 };

    o.status = json_parse_with(scan, text, arena, &o.doc, &o.error);
    return o;
}

static bool same(const struct outcome *a, const struct outcome *b)
{
    if (a->status != b->status)
        return false;
    if (a->status < 0)
        return a->error.at == b->error.at && !strcmp(a->error.message, b->error.message) && a->error.line == b->error.line &&
               a->error.column == b->error.column;
    return a->doc.n == b->doc.n && memcmp(a->doc.nodes, b->doc.nodes, a->doc.n * sizeof *a->doc.nodes) == 0;
}

/* Every scanner says the same about TEXT; returns what. */
static int agreed(struct str text)
{
    struct scanner scanners[3];
    size_t n = scanners_list(scanners);
    struct arena arena;
    char *copy = malloc(text.n ? text.n : 1);

    if (text.n)
        memcpy(copy, text.p, text.n);
    text.p = copy;
    arena_init(&arena, &cache, 0);
    struct outcome first = outcome_of(scanners[0].scan, text, &arena);
    for (size_t i = 1; i < n; i++) {
        struct outcome other = outcome_of(scanners[i].scan, text, &arena);
        if (!same(&first, &other))
            fail_msg("%s differs from %s on %.*s", scanners[i].name, scanners[0].name, STR_FMT(str_first(text, 200)));
    }
    arena_fini(&arena);
    free(copy);
    return first.status;
}

static void each_vector(void (*check)(const char *name, struct str text))
{
    DIR *dir = opendir(VECTORS);
    struct dirent *entry;
    unsigned n = 0;

    assert_non_null(dir);
    while ((entry = readdir(dir)) != NULL) {
        char path[1024];
        struct buf text = { 0 };
        if (!str_has_suffix(str_of(entry->d_name), STR(".json")))
            continue;
        snprintf(path, sizeof path, "%s/%s", VECTORS, entry->d_name);
        assert_int_equal(file_read(path, 1 << 20, &text, NULL), 0);
        check(entry->d_name, buf_str(&text));
        buf_fini(&text);
        n++;
    }
    closedir(dir);
    assert_true(n > 200);
}

static void check_verdict(const char *name, struct str text)
{
    bool accepted = agreed(text) == 0;
    bool wanted = name[0] == 'y' || str_has_prefix(str_of(name), STR("i_accepted"));

    if (accepted != wanted)
        fail_msg("%s was %s", name, accepted ? "accepted" : "refused");
}

static void check_shifted(const char *name, struct str text)
{
    struct buf moved = { 0 };
    int status = agreed(text);

    if (text.n > 2000 || !str_has_prefix(text, STR("[\"")))
        return;
    /* as the second element, behind a string of every length */
    for (int shift = 0; shift < SHIFT_MAX; shift++) {
        buf_clear(&moved);
        buf_printf(&moved, "[\"%.*s\",", shift, FILLER);
        buf_put(&moved, text);
        buf_put_char(&moved, ']');
        int now = agreed(buf_str(&moved));
        if (status == 0)
            assert_int_equal(now, 0);
    }
    buf_fini(&moved);
}

static void check_cut(const char *name, struct str text)
{
    for (size_t n = 0; n < text.n && n < 600; n++)
        agreed(str_first(text, n));
}

static void every_vector_gets_the_verdict_that_its_name_says(void **state)
{
    each_vector(check_verdict);
}

static void scanners_agree_wherever_a_string_begins(void **state)
{
    each_vector(check_shifted);
}

static void scanners_agree_wherever_the_text_is_cut(void **state)
{
    each_vector(check_cut);
}

/* Every pair of bytes, and all three- and four-byte sequences around the borders, at a block's end and beginning. */
static void scanners_agree_on_every_pair_of_bytes_in_a_string(void **state)
{
    char text[150];

    for (unsigned first = 0; first < 256; first++) {
        for (unsigned second = 0; second < 256; second++) {
            size_t at = 1 + (first * 7 + second) % 140;
            memset(text, 'a', sizeof text);
            text[0] = '"';
            text[at] = (char)first;
            text[at + 1] = (char)second;
            text[sizeof text - 1] = '"';
            agreed((struct str){ text, sizeof text });
        }
    }
}

static void scanners_agree_on_sequences_around_the_borders_of_utf8(void **state)
{
    static const unsigned char LEADS[] = { 0xC2, 0xDF, 0xE0, 0xE1, 0xEC, 0xED, 0xEE, 0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xFF };
    static const unsigned char NEXT[] = { 0x00, 0x22, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xE1, 0xF1 };
    char text[150];
    unsigned turn = 0;

    for (size_t a = 0; a < sizeof LEADS; a++) {
        for (size_t b = 0; b < sizeof NEXT; b++) {
            for (size_t c = 0; c < sizeof NEXT; c++) {
                for (size_t d = 0; d < sizeof NEXT; d++) {
                    size_t at = 1 + turn++ % 140;
                    memset(text, 'a', sizeof text);
                    text[0] = '"';
                    memcpy(text + at, (unsigned char[]){ LEADS[a], NEXT[b], NEXT[c], NEXT[d] }, 4);
                    text[sizeof text - 1] = '"';
                    agreed((struct str){ text, sizeof text });
                }
            }
        }
    }
}

static void the_best_scanner_is_one_of_them(void **state)
{
    struct arena arena;
    struct json_doc doc;

    arena_init(&arena, NULL, 0);
    assert_int_equal(json_parse(STR("{\"a\":[1,2,\"é\"]}"), &arena, &doc, NULL), 0);
    assert_int_equal(doc.n, 6);
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_vector_gets_the_verdict_that_its_name_says),
        cmocka_unit_test(scanners_agree_wherever_a_string_begins),
        cmocka_unit_test(scanners_agree_wherever_the_text_is_cut),
        cmocka_unit_test(scanners_agree_on_every_pair_of_bytes_in_a_string),
        cmocka_unit_test(scanners_agree_on_sequences_around_the_borders_of_utf8),
        cmocka_unit_test(the_best_scanner_is_one_of_them),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);

    arena_cache_fini(&cache);
    return failed;
}
