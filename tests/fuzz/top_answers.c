/* tests/fuzz/top_answers.c -- whatever a gateway answers, a frame of `smg top` fits its terminal and holds nothing that a terminal would obey
 *
 * The input is cut at zero bytes into answers; the first byte of each says of which kind it is: w = list of workers, l = loads, m = metrics page.
 */
#include <stdlib.h>

#include "cli/cli.h"
#include "cli/text_table.h"
#include "cli/top_screen.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define COLUMNS 80
#define LINES   24

int cli_fail(const struct err *err) /* main.c's, which text_table.c wants */
{
    (void)err;
    return CLI_FAILED;
}

static void expect(bool holds)
{
    if (!holds)
        abort();
}

static void take(struct top_state *s, struct str answer, uint64_t now_us)
{
    size_t before = s->n;
    struct str body = str_skip(answer, 1);

    if (answer.p[0] == 'w') {
        if (top_set_workers(s, body) < 0)
            expect(s->n == before);
    } else if (answer.p[0] == 'l') {
        int r = top_set_loads(s, body);

        expect(r == 0 || r == ERR_SYNTAX);
    } else {
        top_set_metrics(s, body, now_us);
    }
}

static void look_at_frame(const struct top_state *s, enum top_sort sort, enum top_mode mode)
{
    struct top_view v = {
        .columns = COLUMNS, .lines = LINES, .gateway = STR("http://g"), .interval_s = 1, .sort = sort, .mode = mode
    };
    struct buf out = { 0 };
    struct str rest, line;
    size_t lines = 0;

    top_render(&v, s, &out);
    expect(!out.failed);
    rest = buf_str(&out);
    while (rest.n) {
        expect(str_split(rest, '\n', &line, &rest));
        expect(text_width(line) <= COLUMNS);
        for (size_t i = 0; i < line.n; i++)
            expect((unsigned char)line.p[i] >= 0x20 && line.p[i] != 0x7F);
        lines++;
    }
    expect(lines == LINES);
    expect((top_selected(&v, s) != NULL) == (s->n > 0));
    buf_fini(&out);
    top_view_fini(&v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = { (const char *)data, size }, answer;
    struct top_state s;
    uint64_t now_us = 1;

    top_state_init(&s);
    while (rest.n) {
        (void)str_split(rest, '\0', &answer, &rest);
        if (answer.n)
            take(&s, answer, now_us += 500000);
    }
    look_at_frame(&s, (enum top_sort)(size % SORT_N), TOP_WATCH);
    look_at_frame(&s, SORT_RATE, TOP_ASK_DRAIN);
    top_state_fini(&s);
    return 0;
}
