/* curl.c -- opening the library, and what it says when that fails */
#include "fetch/curl.h"
#include "test.h"

static void a_missing_library_is_named_with_its_remedy(void **state)
{
    struct curl_library l;
    struct err err = { 0 };

    assert_int_equal(curl_library_open("libcurl-is-not-here.so.4", &l, &err), ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "libcurl.so.4"));
    assert_non_null(strstr(err.message, "install libcurl"));
}

static void a_library_without_our_functions_is_refused(void **state)
{
    struct curl_library l;
    struct err err = { 0 };

    assert_int_equal(curl_library_open("libm.so.6", &l, &err), ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "has no function curl_global_init"));
}

static void it_is_opened_once(void **state)
{
    struct err err = { 0 };
    const struct curl_library *l = curl_library(&err);

    assert_non_null(l);
    assert_ptr_equal(l, curl_library(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_missing_library_is_named_with_its_remedy),
        cmocka_unit_test(a_library_without_our_functions_is_refused),
        cmocka_unit_test(it_is_opened_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
