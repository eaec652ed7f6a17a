/* worker_body.c -- options and files become the JSON that the API takes */
#include "stand_ins.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/worker_client.h"

static struct arena arena;
static struct buf out;
static char path[32];

static int begin(void **state)
{
    arena_init(&arena, NULL, 0);
    path[0] = 0;
    return 0;
}

static int end(void **state)
{
    arena_fini(&arena);
    buf_fini(&out);
    if (path[0])
        unlink(path);
    return 0;
}

static struct str file_with(const char *text)
{
    int fd;

    snprintf(path, sizeof path, "/tmp/smg-body-XXXXXX");
    fd = mkstemp(path);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    return str_of(path);
}

static struct option_list list_of(struct str *items, size_t n)
{
    return (struct option_list){ items, n };
}

#define NOTHING .priority = -1, .cost = -1

static void assert_body(const struct worker_description *d, const char *expected)
{
    buf_clear(&out);
    assert_int_equal(worker_body(d, &arena, &out), CLI_OK);
    buf_put_char(&out, 0);
    assert_string_equal(out.p, expected);
}

static void nothing_said_is_an_empty_object(void **state)
{
    assert_body(&(struct worker_description){ NOTHING }, "{}");
}

static void everything_said_is_in_the_body_with_the_apis_names(void **state)
{
    struct str models[] = { STR("a"), STR("b") }, labels[] = { STR("zone=x=y"), STR("empty=") }, gone[] = { STR("old") },
               health[] = { STR("timeout_secs=3"), STR("disable_health_check=true") };
    struct worker_description d = { .url = STR("http://e:1"),
                                    .models = list_of(models, 2),
                                    .labels = list_of(labels, 2),
                                    .remove_labels = list_of(gone, 1),
                                    .health = list_of(health, 2),
                                    .type = STR("prefill"),
                                    .runtime = STR("vllm"),
                                    .provider = STR("xai"),
                                    .api_key_file = file_with("key-1\n"),
                                    .priority = 0,
                                    .cost = 0.5,
                                    .bootstrap_port = 9000 };

    assert_body(
        &d,
        "{\"url\":\"http://e:1\",\"models\":[{\"id\":\"a\"},{\"id\":\"b\"}],\"worker_type\":\"prefill\",\"runtime_type\":\"vllm\","
        "\"provider\":\"xai\",\"labels\":{\"zone\":\"x=y\",\"empty\":\"\",\"old\":null},\"priority\":0,\"cost\":0.5,"
        "\"api_key\":\"key-1\",\"bootstrap_port\":9000,\"health\":{\"timeout_secs\":3,\"disable_health_check\":true}}");
}

static void values_of_health_are_numbers_and_booleans_and_cannot_break_out(void **state)
{
    static const char *const BAD[] = {
        "timeout_secs", "=3", "timeout_secs=", "timeout_secs=-1", "timeout_secs=1.5", "timeout_secs=\"3\"", "timeout_secs=1,\"x\":2"
    };

    for (size_t i = 0; i < ARRAY_LEN(BAD); i++) {
        struct str item = str_of(BAD[i]);
        struct worker_description d = { NOTHING, .health = list_of(&item, 1) };

        buf_clear(&out);
        assert_int_equal(worker_body(&d, &arena, &out), CLI_USAGE);
        assert_non_null(strstr(failed_with.message, "--health"));
    }
}

static void a_label_without_a_value_is_wrong_usage(void **state)
{
    struct str item = STR("zone");
    struct worker_description d = { NOTHING, .labels = list_of(&item, 1) };

    assert_int_equal(worker_body(&d, &arena, &out), CLI_USAGE);
}

static void a_file_goes_out_byte_for_byte(void **state)
{
    assert_body(&(struct worker_description){ NOTHING, .file = file_with("{ \"url\" : \"http://e:1\",\n\"x\":[1e0] }\n") },
                "{ \"url\" : \"http://e:1\",\n\"x\":[1e0] }\n");
}

static void a_file_that_is_no_json_is_refused_with_the_place(void **state)
{
    struct worker_description d = { NOTHING, .file = file_with("{\n\"url\" \"x\"}") };

    assert_int_equal(worker_body(&d, &arena, &out), CLI_USAGE);
    assert_non_null(strstr(failed_with.message, "line 2"));
    d.file = STR("/nonexistent/spec.json");
    assert_int_equal(worker_body(&d, &arena, &out), CLI_FAILED);
    assert_non_null(strstr(failed_with.message, "/nonexistent/spec.json"));
}

static void a_file_and_other_options_do_not_mix(void **state)
{
    struct worker_description d = { .file = STR("f"), .priority = 1, .cost = -1 };

    assert_int_equal(worker_body(&d, &arena, &out), CLI_USAGE);
    d = (struct worker_description){ NOTHING, .file = STR("f"), .url = STR("http://e:1") };
    assert_int_equal(worker_body(&d, &arena, &out), CLI_USAGE);
}

static void a_key_file_that_cannot_be_read_fails(void **state)
{
    struct worker_description d = { NOTHING, .api_key_file = STR("/nonexistent/key") };

    assert_int_equal(worker_body(&d, &arena, &out), CLI_FAILED);
    assert_non_null(strstr(failed_with.message, "--api-key-file"));
}

int main(void)
{
#define ROW(f) cmocka_unit_test_setup_teardown(f, begin, end)
    const struct CMUnitTest tests[] = {
        ROW(nothing_said_is_an_empty_object),
        ROW(everything_said_is_in_the_body_with_the_apis_names),
        ROW(values_of_health_are_numbers_and_booleans_and_cannot_break_out),
        ROW(a_label_without_a_value_is_wrong_usage),
        ROW(a_file_goes_out_byte_for_byte),
        ROW(a_file_that_is_no_json_is_refused_with_the_place),
        ROW(a_file_and_other_options_do_not_mix),
        ROW(a_key_file_that_cannot_be_read_fails),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
