/* usage.c -- however a reply is cut, its token counts are the same; and any body can be guessed
 *
 * The first byte chooses the cuts. Oracle: the counts of the whole text in one part. A number longer than a part border copy may be read short: such texts are none that an
 * engine writes, so runs of digits are cut here first.
 */
#include <stdlib.h>

#include "admission/usage.h"

#define FUZZ_ASSERT(x) \
    do {               \
        if (!(x))      \
            abort();   \
    } while (0)

/* No run of digits or blanks longer than 8. */
static size_t tame(char *p, size_t n)
{
    size_t out = 0, run = 0;

    for (size_t i = 0; i < n; i++) {
        bool counts = (p[i] >= '0' && p[i] <= '9') || p[i] == ' ' || p[i] == '\t';

        run = counts ? run + 1 : 0;
        if (run <= 8)
            p[out++] = p[i];
    }
    return out;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct usage_reader whole = { 0 }, cut = { 0 };
    struct arena arena;
    struct str text, model;
    char *copy;
    size_t step;

    if (size < 1)
        return 0;
    copy = malloc(size);
    FUZZ_ASSERT(copy);
    memcpy(copy, data + 1, size - 1);
    text = (struct str){ copy, tame(copy, size - 1) };
    step = data[0] % 96 + 1u;
    usage_read(&whole, text);
    for (struct str rest = text; rest.n; rest = str_skip(rest, MIN(step, rest.n)))
        usage_read(&cut, str_first(rest, step));
    FUZZ_ASSERT(whole.has_input == cut.has_input && whole.has_output == cut.has_output);
    FUZZ_ASSERT(whole.input == cut.input && whole.output == cut.output);
    arena_init(&arena, NULL, 0);
    FUZZ_ASSERT(usage_guess(text, &arena, &model) <= text.n);
    arena_fini(&arena);
    free(copy);
    return 0;
}
