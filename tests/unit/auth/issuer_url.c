/* issuer_url.c -- spec control-plane 20, case 57 */
#include "auth/issuer_url.h"
#include "test.h"

struct url_case {
    const char *url, *says; /* NULL: allowed */
};

static void hold(const struct url_case *cases, size_t n, bool allow)
{
    for (size_t i = 0; i < n; i++) {
        struct err err = { 0 };
        int r = issuer_url_check(str_of(cases[i].url), allow, &err);

        if ((r == 0) != !cases[i].says || (cases[i].says && !strstr(err.message, cases[i].says)))
            fail_msg("%s: %d %s", cases[i].url, r, err.message);
    }
}

static void case_57_jwks_url_rules(void **state)
{
    static const struct url_case CASES[] = {
        { "https://example.com/x", NULL },
        { "https://example.com:8443/x?y=z", NULL },
        { "https://8.8.8.8/x", NULL },
        { "https://[2001:4860:4860::8888]/x", NULL },
        { "http://localhost:8080/x", NULL },
        { "http://127.0.0.1:8080/x", NULL },
        { "http://[::1]:8080/x", NULL },
        { "https://172.32.0.1/x", NULL },
        { "http://example.com/x", "Only HTTPS URLs are allowed for JWKS endpoints" },
        { "http://127.0.0.2/x", "Only HTTPS URLs are allowed" },
        { "http://localhost.example.com/x", "Only HTTPS URLs are allowed" },
        { "https://10.0.0.1/x", "Private/internal IP addresses are not allowed: 10.0.0.1" },
        { "https://127.0.0.1/x", "Private/internal IP addresses are not allowed: 127.0.0.1" },
        { "https://169.254.169.254/x", "Private/internal IP addresses" },
        { "https://100.64.0.1/x", "Private/internal IP addresses" },
        { "https://172.16.0.1/x", "Private/internal IP addresses" },
        { "https://192.168.1.1/x", "Private/internal IP addresses" },
        { "https://192.0.2.1/x", "Private/internal IP addresses" },
        { "https://0.0.0.0/x", "Private/internal IP addresses" },
        { "https://255.255.255.255/x", "Private/internal IP addresses" },
        { "https://[::1]/x", "Private/internal IP addresses" },
        { "https://[::]/x", "Private/internal IP addresses" },
        { "https://[fd00::1]/x", "Private/internal IP addresses" },
        { "https://[fe80::1]/x", "Private/internal IP addresses" },
        { "https://[::ffff:10.0.0.1]/x", "Private/internal IP addresses" },
        { "https://[64:ff9b::a00:1]/x", "Private/internal IP addresses" },
        { "https://metadata/x", "Internal hostnames are not allowed: metadata" },
        { "https://metadata.google.internal/x", "Internal hostnames are not allowed" },
        { "https://METADATA.GOOGLE.INTERNAL./x", "Internal hostnames are not allowed" },
        { "https://printer.local/x", "Internal hostnames are not allowed: printer.local" },
        { "https://0x7f000001/x", "Internal hostnames are not allowed" },
        { "ftp://example.com/x", "Invalid URL scheme 'ftp'. Only HTTPS is allowed" },
        { "file:///etc/passwd", "Invalid URL scheme 'file'. Only HTTPS is allowed" },
        { "", "Invalid URL: Failed to parse URL: " },
        { "https://", "Invalid URL: Failed to parse URL: " },
        { "https://user@10.0.0.1/", "Invalid URL: Failed to parse URL: " },
    };

    hold(CASES, ARRAY_LEN(CASES), false);
}

static void the_option_lifts_the_rule_about_private_places_only(void **state)
{
    static const struct url_case CASES[] = {
        { "https://10.0.0.1/x", NULL },
        { "https://idp.svc.internal/x", NULL },
        { "http://idp.svc.internal/x", "Only HTTPS URLs are allowed" },
        { "ftp://10.0.0.1/x", "Invalid URL scheme 'ftp'" },
    };

    hold(CASES, ARRAY_LEN(CASES), true);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(case_57_jwks_url_rules),
                                        cmocka_unit_test(the_option_lifts_the_rule_about_private_places_only) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
