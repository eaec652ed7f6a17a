/* option_suggest.c -- which name an unknown one was meant to be */
#include "parsed.h"

#include "config/option_internal.h"

static void slips_of_the_pen_are_recognised(void **state)
{
    static const struct {
        const char *wrong, *guess; /* NULL: better no guess than a bad one */
    } rows[] = {
        { "--prot", "--port" },
        { "--prt", "--port" },
        { "--porrt", "--port" },
        { "--worker-url", "--worker-urls" },
        { "--worker_urls", "--worker-urls" },
        { "--polcy", "--policy" },
        { "--api-key-fiel", "--api-key-file" },
        { "--runtmie", "--runtime" },
        { "--request-timeout", "--request-timeout-secs" },
        { "--max-payload", "--max-payload-size" },
        { "--zebra", NULL },
        { "--x", NULL },
        { "--", NULL },
        { "-", NULL },
        { "", NULL },
        { "--health", NULL }, /* many begin like this */
        { "--an-option-with-a-name-that-is-longer-than-any-name-that-anybody-would-type", NULL },
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const char *guess = option_suggest(&LAUNCH_TABLE, str_of(rows[i].wrong));

        if (!guess != !rows[i].guess || (guess && strcmp(guess, rows[i].guess) != 0))
            fail_msg("%s: guessed %s", rows[i].wrong, guess ? guess : "nothing");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(slips_of_the_pen_are_recognised) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
