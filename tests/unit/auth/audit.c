/* audit.c -- spec control-plane 5 and case 58 */
#include "auth/audit.h"
#include "test.h"

static void sanitised(const char *in, size_t n, const char *out)
{
    struct buf b = { 0 };

    audit_sanitise(&b, (struct str){ in, n });
    assert_str(buf_str(&b), out);
    buf_fini(&b);
}

static void case_58_sanitiser_vectors(void **state)
{
    char long_text[2000], want[1024 + 32];

    sanitised("line1\r\nline2", 12, "line1\\r\\nline2");
    sanitised("test\0null", 9, "test\\x00null");
    sanitised("path\\to", 7, "path\\\\to");
    sanitised("tab\there", 8, "tab\\there");
    sanitised("\x1b[31m\x7f", 6, "\\x1b[31m\\x7f");
    sanitised("na\xc3\xafve", 6, "na\xc3\xafve");
    sanitised("\xc2\x9b", 2, "\\x9b");
    memset(long_text, 'a', sizeof long_text);
    memset(want, 'a', 1024);
    memcpy(want + 1024, "...[TRUNCATED]", sizeof "...[TRUNCATED]");
    sanitised(long_text, sizeof long_text, want);
    want[1024] = 0;
    sanitised(long_text, 1024, want);
    sanitised("", 0, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(case_58_sanitiser_vectors) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
