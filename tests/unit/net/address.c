/* address.c -- IP addresses to and from text */
#include <netinet/in.h>

#include "net/stream.h"
#include "test.h"

static void literals_are_read_and_printed(void **state)
{
    static const struct {
        const char *in, *out;
    } ROWS[] = {
        { "127.0.0.1", "127.0.0.1:8000" },
        { "0.0.0.0", "0.0.0.0:8000" },
        { "::1", "[::1]:8000" },
        { "::", "[::]:8000" },
        { "2001:DB8:0::1", "[2001:db8::1]:8000" },
        { "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255", "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:8000" },
    };

    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        struct net_address a;
        char text[64];

        assert_int_equal(net_address_parse(str_of(ROWS[i].in), 8000, &a), 0);
        assert_int_equal(net_address_text(&a, text), strlen(ROWS[i].out));
        assert_string_equal(text, ROWS[i].out);
    }
}

static void what_is_no_literal_is_refused_and_changes_nothing(void **state)
{
    static const struct str ROWS[] = { STR_INIT(""),          STR_INIT("localhost"), STR_INIT("1.2.3"),       STR_INIT("1.2.3.4.5"),
                                       STR_INIT("256.1.1.1"), STR_INIT("[::1]"),     STR_INIT("1.2.3.4\0"),   STR_INIT(":::"),
                                       STR_INIT(" 1.2.3.4"),  STR_INIT("01.2.3.4x"), STR_INIT("fe80::1%eth0") };
    struct net_address a, b;

    memset(&a, 7, sizeof a);
    b = a;
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        assert_int_equal(net_address_parse(ROWS[i], 1, &a), ERR_INVALID);
        assert_memory_equal(&a, &b, sizeof a);
    }
}

static void an_address_of_no_known_family_has_a_text(void **state)
{
    struct net_address a = { 0 };
    char text[64];

    assert_int_equal(net_address_text(&a, text), 7);
    assert_string_equal(text, "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(literals_are_read_and_printed),
        cmocka_unit_test(what_is_no_literal_is_refused_and_changes_nothing),
        cmocka_unit_test(an_address_of_no_known_family_has_a_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
