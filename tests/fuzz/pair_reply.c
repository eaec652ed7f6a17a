/* tests/fuzz/pair_reply.c -- replies of two engines: however a stream is cut, its end and its merged form are the same; an error becomes one valid event
 *
 * The first byte of the input chooses the cut, the second where prefill's reply ends and decode's begins.
 */
#include <stdlib.h>

#include "dispatch/pair_reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool holds)
{
    if (!holds)
        abort();
}

static void scan(struct str text, size_t cut)
{
    struct done_scan whole = { 0 }, parts = { 0 };
    size_t at = done_scan(&whole, text), n = done_scan(&parts, str_first(text, cut));

    if (!parts.found)
        n += done_scan(&parts, str_skip(text, cut));
    expect(whole.found == parts.found);
    expect(at == n || (whole.found && at == n + 1 && text.p[n] == '\n')); /* the last LF of a CRLF may come too late */
}

static void merge(struct str prefill, struct str decode, size_t cut)
{
    struct prompt_logprobs *from = calloc(1, sizeof *from);
    struct logprob_stream whole = { .from = from }, parts = { .from = from };
    struct buf one = { 0 }, two = { 0 };
    struct json_doc doc;
    struct arena arena;

    expect(from != NULL);
    arena_init(&arena, NULL, 0);
    prompt_logprobs_read(prefill, &arena, from);
    logprob_stream_feed(&whole, decode, &one);
    logprob_stream_end(&whole, &one);
    logprob_stream_feed(&parts, str_first(decode, cut), &two);
    logprob_stream_feed(&parts, str_skip(decode, MIN(cut, decode.n)), &two);
    logprob_stream_end(&parts, &two);
    expect(str_eq(buf_str(&one), buf_str(&two)));
    buf_clear(&one);
    if (prompt_logprobs_merge(from, decode, &arena, &one))
        expect(json_parse(buf_str(&one), &arena, &doc, NULL) == 0);
    else
        expect(str_eq(buf_str(&one), decode));
    logprob_stream_fini(&whole);
    logprob_stream_fini(&parts);
    buf_fini(&one);
    buf_fini(&two);
    arena_fini(&arena);
    free(from);
}

static void say(struct str body)
{
    struct buf out = { 0 };
    struct json_doc doc;
    struct arena arena;
    struct str event;

    arena_init(&arena, NULL, 0);
    (void)pair_error_message(body, &arena);
    pair_error_event(body, 500, &arena, &out);
    event = buf_str(&out);
    expect(str_has_prefix(event, STR("data: ")) && str_find_char(event, '\n') == event.n - 2);
    expect(json_parse(str_trim(str_skip(event, 6)), &arena, &doc, NULL) == 0 || json_parse(body, &arena, &doc, NULL) < 0);
    buf_fini(&out);
    arena_fini(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = { (const char *)data + 2, size - 2 };
    size_t border;

    if (size < 3)
        return 0;
    border = data[1] % text.n;
    scan(text, data[0] % text.n);
    merge(str_first(text, border), str_skip(text, border), data[0] % (text.n - border + 1));
    say(text);
    return 0;
}
