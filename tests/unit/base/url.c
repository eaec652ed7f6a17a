/* url.c -- the rules of URLs */
#include "test.h"

#include "base/url.h"

static void parts_are_found(void **state)
{
    static const struct {
        const char *in, *scheme, *host, *path, *query;
        uint16_t port;
        bool ipv6, has_port;
    } TABLE[] = {
        { "http://h", "http", "h", "", "", 80, false, false },
        { "https://h/", "https", "h", "/", "", 443, false, false },
        { "http://h:8000/a/b?x=1&y=/#f?", "http", "h", "/a/b", "x=1&y=/", 8000, false, true },
        { "http://h?x", "http", "h", "", "x", 80, false, false },
        { "http://h#f", "http", "h", "", "", 80, false, false },
        { "http://h:", "http", "h", "", "", 80, false, false },
        { "grpc://10.0.0.7:50051", "grpc", "10.0.0.7", "", "", 50051, false, true },
        { "grpcs://h", "grpcs", "h", "", "", 0, false, false },
        { "http://[::1]:65535/x", "http", "::1", "/x", "", 65535, true, true },
        { "http://[2001:db8::1]", "http", "2001:db8::1", "", "", 80, true, false },
        { "http://a_b.C-d.example.", "http", "a_b.C-d.example.", "", "", 80, false, false },
        { "http://7.example", "http", "7.example", "", "", 80, false, false },
    };

    for (size_t i = 0; i < ARRAY_LEN(TABLE); i++) {
        struct url u;

        assert_int_equal(url_parse(str_of(TABLE[i].in), &u, NULL), 0);
        assert_str(u.scheme, TABLE[i].scheme);
        assert_str(u.host, TABLE[i].host);
        assert_str(u.path, TABLE[i].path);
        assert_str(u.query, TABLE[i].query);
        assert_int_equal(u.port, TABLE[i].port);
        assert_int_equal(u.host_is_ipv6, TABLE[i].ipv6);
        assert_int_equal(u.has_port, TABLE[i].has_port);
    }
}

static void what_is_wrong_is_said_and_nothing_is_written(void **state)
{
    static const struct {
        const char *in, *reason;
    } TABLE[] = {
        { "", "relative URL without a base" },
        { "host:80", "relative URL without a base" },
        { "://h", "invalid scheme: lowercase letters, then \"://\", are expected" },
        { "HTTP://h", "invalid scheme: lowercase letters, then \"://\", are expected" },
        { "http://", "empty host" },
        { "http:///x", "empty host" },
        { "http://:80", "empty host" },
        { "http://user:secret@h", "user info is not allowed" },
        { "http://h:0", "invalid port number" },
        { "http://h:65536", "invalid port number" },
        { "http://h:8x", "invalid port number" },
        { "http://h:80:80", "invalid port number" },
        { "http://[::1", "invalid IPv6 address" },
        { "http://[::g]", "invalid IPv6 address" },
        { "http://[]", "invalid IPv6 address" },
        { "http://[::1]x", "invalid port number" },
        { "http://1.2.3.4.5", "invalid IPv4 address" },
        { "http://1.2.3.256", "invalid IPv4 address" },
        { "http://a..", "empty label in host" },
        { "http://.", "empty label in host" },
        { "http://a%20b", "invalid domain character" },
        { "http://a/b c", "invalid character at 11: write it percent-encoded" },
        { "http://a/\r\nX: y", "invalid character at 10: write it percent-encoded" },
        { "http://\xc3\xa4", "invalid character at 8: write it percent-encoded" },
    };

    for (size_t i = 0; i < ARRAY_LEN(TABLE); i++) {
        struct url u = { .port = 7 };
        struct err err = { 0 };

        assert_int_equal(url_parse(str_of(TABLE[i].in), &u, &err), ERR_SYNTAX);
        assert_string_equal(err.message, TABLE[i].reason);
        assert_int_equal(u.port, 7);
    }
}

static void worker_urls_follow_their_rules_in_order(void **state)
{
#define SCHEME_REASON "URL must start with a lowercase http://, https://, grpc://, grpcs://, or ipc:// scheme"
    static const struct {
        const char *in, *reason; /* NULL = accepted */
    } TABLE[] = {
        { "", "URL cannot be empty" },
        { "h:8000", SCHEME_REASON },
        { "Http://h:8000", SCHEME_REASON },
        { "ftp://h", SCHEME_REASON },
        { "ipc://", "ipc:// worker URL must include a socket path" },
        { "ipc:///run/x y", NULL },
        { "ipc://x", NULL },
        { "grpc://", "URL must have a valid host" },
        { "http://", "Invalid URL format: empty host" },
        { "http://h:99999", "Invalid URL format: invalid port number" },
        { "http://h:8000/", NULL },
        { "grpcs://h:1", NULL },
        { "https://[::1]:8000", NULL },
    };

    for (size_t i = 0; i < ARRAY_LEN(TABLE); i++) {
        struct err err = { 0 };

        assert_int_equal(url_check_worker(str_of(TABLE[i].in), &err), TABLE[i].reason ? ERR_INVALID : 0);
        assert_string_equal(err.message, TABLE[i].reason ? TABLE[i].reason : "");
    }
}

static void escapes_are_decoded_to_utf8_or_refused(void **state)
{
    static const struct {
        struct str in;
        const char *out; /* NULL = refused */
    } TABLE[] = {
        { STR_INIT(""), "" },
        { STR_INIT("abc"), "abc" },
        { STR_INIT("a%2Fb%2fc"), "a/b/c" },
        { STR_INIT("a+b"), "a+b" },
        { STR_INIT("%c3%a4"), "\xc3\xa4" },
        { STR_INIT("%25"), "%" },
        { STR_INIT("%"), NULL },
        { STR_INIT("%4"), NULL },
        { STR_INIT("%4x"), NULL },
        { STR_INIT("%zz"), NULL },
        { STR_INIT("%ff"), NULL },
        { STR_INIT("%c3"), NULL },
        { STR_INIT("%ed%a0%80"), NULL },
    };

    for (size_t i = 0; i < ARRAY_LEN(TABLE); i++) {
        char out[64];
        long n = url_decode(TABLE[i].in, out);

        if (TABLE[i].out)
            assert_str(((struct str){ out, (size_t)n }), TABLE[i].out);
        else
            assert_int_equal(n, ERR_SYNTAX);
    }
}

static void query_values_are_found_by_their_key(void **state)
{
    struct str v = STR("untouched");
    bool repeated;

    assert_false(url_query_get(STR_NONE, STR("a"), &v, &repeated));
    assert_false(url_query_get(STR("ab=1&b=a"), STR("a"), &v, NULL));
    assert_str(v, "untouched");
    assert_true(url_query_get(STR("x=1&a=2%20&&y"), STR("a"), &v, &repeated));
    assert_str(v, "2%20");
    assert_false(repeated);
    assert_true(url_query_get(STR("a=1&a=2"), STR("a"), &v, &repeated));
    assert_str(v, "1");
    assert_true(repeated);
    assert_true(url_query_get(STR("x&a"), STR("a"), &v, NULL));
    assert_str(v, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_are_found),
        cmocka_unit_test(what_is_wrong_is_said_and_nothing_is_written),
        cmocka_unit_test(worker_urls_follow_their_rules_in_order),
        cmocka_unit_test(escapes_are_decoded_to_utf8_or_refused),
        cmocka_unit_test(query_values_are_found_by_their_key),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
