/* json_oracle.c -- the reader behind a pipe, for tests/integration/test_json_oracle.py, which compares it with other languages' readers
 *
 * stdin:  any number of "LENGTH\n" and LENGTH bytes of text.
 * stdout: for each text "accept LENGTH\n", the text written again in canonical form, "\n"; or "reject MESSAGE at line L column C\n".
 */
#include "rewrite.h"

#include <stdio.h>
#include <stdlib.h>

#define TEXT_MAX (16u << 20)

static void answer(struct str text)
{
    struct arena arena;
    struct json_doc doc;
    struct json_error error;
    struct buf out = { 0 };

    arena_init(&arena, NULL, 0);
    int e = json_parse(text, &arena, &doc, &error);
    if (e == 0) {
        rewrite_value(&out, json_root(&doc), &arena);
        printf("accept %zu\n", out.n);
        fwrite(out.p, 1, out.n, stdout);
        putchar('\n');
    } else if (e == ERR_SYNTAX) {
        printf("reject %s at line %u column %u\n", error.message, error.line, error.column);
    } else {
        printf("reject %s\n", err_text(e));
    }
    buf_fini(&out);
    arena_fini(&arena);
}

int main(void)
{
    size_t n;

    while (scanf("%zu", &n) == 1 && n <= TEXT_MAX && getchar() == '\n') {
        char *text = malloc(n ? n : 1);
        if (!text || fread(text, 1, n, stdin) != n)
            return 1;
        answer((struct str){ text, n });
        free(text);
    }
    return feof(stdin) ? 0 : 1;
}
