/* tests/fuzz/scanner.c -- the hand-written scanners cut any text as the regex engine does, on every machine and in any batches
 *
 * Input: the row, the size of batches, the text. Text that is not UTF-8 is spelled instead: bytes from 80 up stand for representatives of the classes, so that mutations stay valid.
 */
#include "../unit/text/tokenizer/scanner_reference.h"

#include "base/utf8.h"

#define TEXT_MAX 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t spell(const uint8_t *data, size_t size, char *text)
{
    struct str whole = { (const char *)data, size };
    size_t n = 0;

    if (size <= TEXT_MAX && utf8_valid(whole)) {
        memcpy(text, data, size);
        return size;
    }
    for (size_t i = 0; i < size && n + 4 <= TEXT_MAX; i++) {
        if (data[i] < 0x80) {
            text[n++] = (char)data[i];
            continue;
        }
        const char *c = REPRESENTATIVES[(data[i] - 0x80) % REPRESENTATIVES_N];
        memcpy(text + n, c, strlen(c));
        n += strlen(c);
    }
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct row_reference references[SCAN_ROW_COUNT];
    static uint32_t wanted[TEXT_MAX], got[TEXT_MAX];
    const struct scanner *all[3];
    char text[TEXT_MAX];

    if (size < 3)
        return 0;
    enum scan_row_number row = (enum scan_row_number)(data[0] % SCAN_ROW_COUNT);
    size_t max = data[1] ? data[1] : TEXT_MAX, n = spell(data + 2, size - 2, text);
    if (!references[row].work)
        references[row] = reference_new(row);
    size_t count = reference_cut(&references[row], row, text, n, wanted);
    for (unsigned m = 0, end = machines(all); m < end; m++) {
        char *exact = malloc(n + !n); /* so that a read past the end is seen */
        reference_abort(!exact);
        memcpy(exact, text, n);
        reference_abort(scan_all(&all[m][row], exact, n, max, got) != count || memcmp(got, wanted, count * sizeof(*got)) != 0);
        free(exact);
    }
    return 0;
}
