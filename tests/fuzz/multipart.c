/* tests/fuzz/multipart.c -- whatever the type and the body say, parts lie in the body, in order, without overlapping; and what was read, written again, reads the same
 *
 * Input: the Content-Type up to the first line feed, then the body.
 */
#include <stdlib.h>

#include "api/multipart.h"
#include "base/buf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool holds)
{
    if (!holds)
        abort();
}

static void write_again(const struct multipart *m, struct str boundary, struct buf *out)
{
    for (size_t i = 0; i < m->n; i++) {
        const struct multipart_part *p = &m->parts[i];

        buf_puts(out, "--");
        buf_put(out, boundary);
        buf_puts(out, "\r\nContent-Disposition: form-data; name=\"");
        buf_put(out, p->name);
        buf_puts(out, "\"\r\n\r\n");
        buf_put(out, p->data);
        buf_puts(out, "\r\n");
    }
    buf_puts(out, "--");
    buf_put(out, boundary);
    buf_puts(out, "--");
}

/* A name that was written without quotes may end where a quoted one would not. */
static bool is_plain(struct str name)
{
    for (size_t i = 0; i < name.n; i++)
        if (name.p[i] == '"' || name.p[i] == '\\')
            return false;
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = malloc(size ? size : 1);
    static struct multipart m, again;
    struct str type, body, boundary;
    struct buf text = { 0 };
    struct err err;
    const char *end;
    bool plain = true;

    expect(copy != NULL);
    memcpy(copy, data, size);
    if (!str_split((struct str){ copy, size }, '\n', &type, &body))
        goto out;
    boundary = multipart_boundary(type);
    if (boundary.n == 0 || multipart_read(body, boundary, &m, &err) < 0)
        goto out;
    end = body.p;
    for (size_t i = 0; i < m.n; i++) {
        expect(m.parts[i].name.n > 0 && m.parts[i].data.p >= end);
        end = m.parts[i].data.p + m.parts[i].data.n;
        expect(end <= body.p + body.n);
        plain &= is_plain(m.parts[i].name);
    }
    write_again(&m, boundary, &text);
    expect(!text.failed);
    if (plain) {
        expect(multipart_read(buf_str(&text), boundary, &again, &err) == 0 && again.n == m.n);
        for (size_t i = 0; i < m.n; i++)
            expect(str_eq(again.parts[i].name, m.parts[i].name) && str_eq(again.parts[i].data, m.parts[i].data));
    }
out:
    buf_fini(&text);
    free(copy);
    return 0;
}
