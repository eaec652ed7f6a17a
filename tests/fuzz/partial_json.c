/* tests/fuzz/partial_json.c -- any text, cut as one likes: the value is the same, and where the text is UTF-8 it is JSON
 *
 * Input: a byte whose lowest bit says whether strings that are cut off count and whose others seed the cuts, the text.
 */
#include <stdlib.h>
#include <string.h>

#include "json/json.h"
#include "text/toolcall/partial_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TEXT_MAX 16384

static void expect(bool holds)
{
    if (!holds)
        abort();
}

static bool is_utf8(struct str text)
{
    struct buf quoted = { 0 };
    struct arena arena;
    struct json_doc doc;
    arena_init(&arena, NULL, 0);
    buf_put_char(&quoted, '"');
    for (size_t i = 0; i < text.n; i++) /* no byte that ends a string or is not allowed in one */
        buf_put_char(&quoted, (uint8_t)text.p[i] >= 0x80 ? text.p[i] : 'x');
    buf_put_char(&quoted, '"');
    bool ok = json_parse(buf_str(&quoted), &arena, &doc, NULL) == 0;
    arena_fini(&arena);
    buf_fini(&quoted);
    return ok;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > TEXT_MAX)
        return 0;
    struct str text = { (const char *)data + 1, size - 1 };
    bool strings = data[0] & 1;
    struct buf whole = { 0 }, cut = { 0 };
    size_t used = 0, used_cut = 0;
    int r = partial_json(text, strings, &whole, &used);
    struct partial_json s;
    partial_json_init(&s, strings);
    unsigned random = data[0];
    for (struct str rest = text; rest.n;) {
        random = random * 1103515245 + 12345;
        size_t n = 1 + (random >> 16) % 7;
        n = n < rest.n ? n : rest.n;
        char *piece = malloc(n); /* of its own, for the sanitizer */
        if (!piece)
            break;
        memcpy(piece, rest.p, n);
        partial_json_feed(&s, (struct str){ piece, n });
        free(piece);
        rest = str_skip(rest, n);
    }
    expect(partial_json_read(&s, &cut, &used_cut) == r);
    expect(str_eq(buf_str(&whole), buf_str(&cut)) && used == used_cut && used <= text.n);
    if (r == 0 && is_utf8(text)) {
        struct arena arena;
        struct json_doc doc;
        arena_init(&arena, NULL, 0);
        expect(json_parse(buf_str(&whole), &arena, &doc, NULL) == 0);
        arena_fini(&arena);
    }
    partial_json_fini(&s);
    buf_fini(&whole);
    buf_fini(&cut);
    return 0;
}
