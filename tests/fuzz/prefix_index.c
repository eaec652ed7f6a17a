/* tests/fuzz/prefix_index.c -- the index says what a naive comparison with all earlier prompts says, to the last block, and never more
 *
 * Input: prompts, each a length byte, a byte for the worker, and bytes of which each stands for a run of a letter: long prompts with much in common.
 */
#include <stdlib.h>
#include <string.h>

#include "routing/prefix_index.h"

#define PROMPTS_MAX 32
#define RUN         37 /* letters of one byte */
#define TEXT_MAX    (255 * RUN)

static char texts[PROMPTS_MAX][TEXT_MAX];
static size_t lengths[PROMPTS_MAX];

static size_t common(const char *a, size_t a_n, const char *b, size_t b_n)
{
    size_t i = 0;

    while (i < a_n && i < b_n && a[i] == b[i])
        i++;
    return i;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct prefix_path path;
    struct prefix_index *ix;
    size_t n = 0;

    if (prefix_index_new(&(struct prefix_index_conf){ .units_max = 1 << 30, .interval_s = 100, .bytes_max = 1 << 20 }, &ix) < 0)
        abort();
    while (size >= 2 && n < PROMPTS_MAX) {
        size_t bytes = data[0] < size - 2 ? data[0] : size - 2, known = 0;
        uint16_t worker = (uint16_t)(data[1] + 1);
        struct prefix_match m;

        lengths[n] = 0;
        for (size_t i = 0; i < bytes; i++)
            for (size_t k = 0; k < 1 + (size_t)data[2 + i] % RUN; k++)
                texts[n][lengths[n]++] = (char)data[2 + i];
        for (size_t i = 0; i < n; i++) {
            size_t c = common(texts[i], lengths[i], texts[n], lengths[n]);

            known = c > known ? c : known;
        }
        prefix_index_match(ix, &(struct prefix_prompt){ texts[n], lengths[n], 1, 0 }, n, &path, &m);
        if (m.total != lengths[n] || m.matched > known || m.matched + PREFIX_BLOCK_BYTES <= known)
            abort();
        prefix_index_hold(ix, &path, worker, n);
        prefix_index_match(ix, &(struct prefix_prompt){ texts[n], lengths[n], 1, 0 }, n, &path, &m);
        if (m.matched != lengths[n] || (lengths[n] && m.holders.n == 0))
            abort();
        data += 2 + bytes;
        size -= 2 + bytes;
        n++;
    }
    prefix_index_free(ix);
    return 0;
}
