/* hub_config.c -- the environment, variable by variable */
#include "fail_alloc.h"
#include "fetch/hub.h"
#include "fetch/temporary_folder.h"

static struct hub_config c;
static struct err err;

static int clear(void **state)
{
    static const char *const NAMES[] = { "HF_ENDPOINT",
                                         "HF_HOME",
                                         "HF_HUB_CACHE",
                                         "HUGGINGFACE_HUB_CACHE",
                                         "XDG_CACHE_HOME",
                                         "HF_TOKEN",
                                         "HF_TOKEN_PATH",
                                         "HF_HUB_OFFLINE",
                                         "TRANSFORMERS_OFFLINE",
                                         "HUGGING_FACE_HUB_TOKEN",
                                         "HF_HUB_DISABLE_SYMLINKS",
                                         "REQUESTS_CA_BUNDLE",
                                         "SSL_CERT_FILE" };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++)
        unsetenv(NAMES[i]);
    setenv("HOME", folder, 1);
    return 0;
}

static int release(void **state)
{
    (void)state;
    hub_config_fini(&c);
    return 0;
}

static void read_env(void)
{
    hub_config_fini(&c);
    assert_int_equal(hub_config_from_env(&c, &err), 0);
}

static void without_any_variable_there_are_defaults(void **state)
{
    char cache[PATH_MAX];

    read_env();
    snprintf(cache, sizeof cache, "%s/.cache/huggingface/hub", folder);
    assert_string_equal(c.endpoint, "https://huggingface.co");
    assert_string_equal(c.cache, cache);
    assert_null(c.token);
    assert_null(c.ca_file);
    assert_false(c.offline || c.copies);
    assert_true(c.file_bytes_max == 1u << 30 && c.attempts == 5);
}

static void the_more_special_variable_wins(void **state)
{
    setenv("HF_HOME", "/h/", 1);
    read_env();
    assert_string_equal(c.cache, "/h/hub");
    setenv("HUGGINGFACE_HUB_CACHE", "/old", 1);
    read_env();
    assert_string_equal(c.cache, "/old");
    setenv("HF_HUB_CACHE", "/new//", 1);
    read_env();
    assert_string_equal(c.cache, "/new");
    setenv("HUGGING_FACE_HUB_TOKEN", "old", 1);
    read_env();
    assert_string_equal(c.token, "old");
    setenv("HF_TOKEN", " new\n", 1);
    read_env();
    assert_string_equal(c.token, "new");
    setenv("SSL_CERT_FILE", "/ca", 1);
    setenv("REQUESTS_CA_BUNDLE", "~/bundle", 1);
    read_env();
    assert_true(strncmp(c.ca_file, folder, strlen(folder)) == 0 && strstr(c.ca_file, "/bundle"));
}

static void an_empty_variable_is_none(void **state)
{
    setenv("HF_TOKEN", "", 1);
    setenv("HF_HUB_CACHE", " ", 1);
    setenv("HF_HOME", "/h", 1);
    read_env();
    assert_null(c.token);
    assert_string_equal(c.cache, "/h/hub");
}

static void the_token_file_is_the_last_place_for_a_token(void **state)
{
    folder_write(".cache/huggingface/token", "\n");
    read_env();
    assert_null(c.token);
    folder_write(".cache/huggingface/token", "from-the-file \n");
    read_env();
    assert_string_equal(c.token, "from-the-file");
    folder_write("elsewhere", "from-elsewhere");
    setenv("HF_TOKEN_PATH", "~/elsewhere", 1);
    read_env();
    assert_string_equal(c.token, "from-elsewhere");
    setenv("HF_TOKEN", "from-the-variable", 1);
    read_env();
    assert_string_equal(c.token, "from-the-variable");
}

static void true_is_written_in_four_ways(void **state)
{
    static const char *const TRUE[] = { "1", "on", "YES", "True" };
    static const char *const FALSE[] = { "", "0", "no", "2" };

    for (size_t i = 0; i < 4; i++) {
        setenv("HF_HUB_OFFLINE", TRUE[i], 1);
        read_env();
        assert_true(c.offline);
        setenv("HF_HUB_OFFLINE", FALSE[i], 1);
        read_env();
        assert_false(c.offline);
    }
    setenv("TRANSFORMERS_OFFLINE", "1", 1);
    setenv("HF_HUB_DISABLE_SYMLINKS", "1", 1);
    read_env();
    assert_true(c.offline && c.copies);
}

static void what_is_wrong_is_named(void **state)
{
    static const char *const ENDPOINTS[] = { "hub", "ftp://hub", "http://u:p@hub", "http://hub?x=1", "https://", "http://h ub" };

    for (size_t i = 0; i < ARRAY_LEN(ENDPOINTS); i++) {
        setenv("HF_ENDPOINT", ENDPOINTS[i], 1);
        assert_int_equal(hub_config_from_env(&c, &err), ERR_INVALID);
        assert_non_null(strstr(err.message, "HF_ENDPOINT"));
        assert_null(c.endpoint);
    }
    setenv("HF_ENDPOINT", "http://hub:8080/mirror/", 1);
    setenv("HF_TOKEN", "sec\r\nret", 1);
    assert_int_equal(hub_config_from_env(&c, &err), ERR_INVALID);
    assert_non_null(strstr(err.message, "HF_TOKEN"));
    assert_null(strstr(err.message, "sec"));
    unsetenv("HF_TOKEN");
    setenv("HF_TOKEN_PATH", folder, 1); /* no file that could be read */
    assert_int_equal(hub_config_from_env(&c, &err), ERR_INVALID);
    assert_non_null(strstr(err.message, "HF_TOKEN_PATH"));
    unsetenv("HF_TOKEN_PATH");
    read_env();
    assert_string_equal(c.endpoint, "http://hub:8080/mirror");
    hub_config_fini(&c);
    unsetenv("HOME");
    assert_int_equal(hub_config_from_env(&c, &err), ERR_INVALID);
    assert_non_null(strstr(err.message, "HF_HOME"));
    setenv("HF_HUB_CACHE", "/c", 1); /* all that is needed */
    read_env();
    assert_null(c.token);
}

static void it_is_whole_or_out_of_memory(void **state)
{
    setenv("SSL_CERT_FILE", "/ca", 1);
    folder_write(".cache/huggingface/token", "token");
    FOR_EACH_FAILING_ALLOCATION(n)
    {
        int st = hub_config_from_env(&c, &err);

        assert_true(st == 0 || (st == ERR_NOMEM && fail_alloc_failed() && c.endpoint == NULL));
        hub_config_fini(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(without_any_variable_there_are_defaults, clear, release),
        cmocka_unit_test_setup_teardown(the_more_special_variable_wins, clear, release),
        cmocka_unit_test_setup_teardown(an_empty_variable_is_none, clear, release),
        cmocka_unit_test_setup_teardown(the_token_file_is_the_last_place_for_a_token, clear, release),
        cmocka_unit_test_setup_teardown(true_is_written_in_four_ways, clear, release),
        cmocka_unit_test_setup_teardown(what_is_wrong_is_named, clear, release),
        cmocka_unit_test_setup_teardown(it_is_whole_or_out_of_memory, clear, release),
    };

    return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
