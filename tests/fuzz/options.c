/* options.c -- any bytes as a command line, cut at NULs, and as an environment
 *
 * Oracles: the outcome and the report agree (0: nothing but notes; negative: something to print, as one line); a second reading of the same arguments gives the same
 * bytes in the struct; a scalar that was accepted is within the bounds of its row.
 */
#include <stdio.h>
#include <stdlib.h>

#include "config/launch.h"

#define FUZZ_ASSERT(x) \
    do {               \
        if (!(x))      \
            abort();   \
    } while (0)

#define ARGUMENTS_MAX 64

struct words {
    const char *at[ARGUMENTS_MAX];
    int n;
};

/* Every odd word stands in for a variable, so that the environment is exercised, too. */
static const char *fake_env(void *arg, const char *name)
{
    const struct words *w = arg;
    unsigned sum = 0;

    for (; *name; name++)
        sum = sum * 31 + (unsigned char)*name;
    return w->n && sum % 4 == 0 ? w->at[sum % (unsigned)w->n] : NULL;
}

/* Instead of the file system: the path is the content. */
static int fake_read(const char *path, size_t max_bytes, struct buf *out, struct err *err)
{
    if (strlen(path) > max_bytes || path[0] == '/')
        return err_set(err, ERR_NOT_FOUND, "no such file: %s", path);
    buf_put(out, str_of(path));
    return out->failed ? ERR_NOMEM : 0;
}

static void check_report(const struct option_report *report, int r)
{
    int status = option_report_status(report);

    FUZZ_ASSERT(r == 0 || r == OPTIONS_HELP || r == ERR_INVALID);
    FUZZ_ASSERT(r != 0 || status == 0);
    FUZZ_ASSERT(r != ERR_INVALID || (status > 0 && report->n > 0));
    for (size_t i = 0; i < report->n; i++) {
        FUZZ_ASSERT(report->problems[i].text.n > 0);
        FUZZ_ASSERT(str_find_char(report->problems[i].text, '\n') == STR_NPOS);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct option_report report = { 0 }, again = { 0 };
    struct launch_config c, d;
    struct words words = { .n = 0 };
    struct arena arena, other;
    char *text = malloc(size + 1);
    int r;

    FUZZ_ASSERT(text);
    memcpy(text, data, size);
    text[size] = 0;
    for (size_t i = 0; i < size && words.n < ARGUMENTS_MAX; i += strlen(text + i) + 1)
        words.at[words.n++] = text + i;

    struct option_input in = { .argc = words.n, .argv = words.at, .env = fake_env, .read_file = fake_read, .arg = &words };

    arena_init(&arena, NULL, 0);
    arena_init(&other, NULL, 0);
    r = launch_parse(&in, &arena, &c, &report);
    check_report(&report, r);
    FUZZ_ASSERT(launch_parse(&in, &other, &d, &again) == r);
    FUZZ_ASSERT(again.n == report.n && again.worst == report.worst);
    if (r == 0) {
        FUZZ_ASSERT(c.port > 0 && c.prometheus_port > 0 && c.port != c.prometheus_port);
        FUZZ_ASSERT(c.policy != LAUNCH_POLICY_UNSET);
        FUZZ_ASSERT(c.request_timeout_s > 0 && c.request_timeout_s <= LAUNCH_SECONDS_MAX);
        FUZZ_ASSERT(c.health_check_endpoint.n && c.health_check_endpoint.p[0] == '/');
        FUZZ_ASSERT(c.port == d.port && c.worker_urls.n == d.worker_urls.n && str_eq(c.host, d.host) &&
                    str_eq(c.api_key, d.api_key));
    }
    arena_fini(&other);
    arena_fini(&arena);
    free(text);
    return 0;
}
