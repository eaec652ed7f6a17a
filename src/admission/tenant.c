/* tenant.c -- tenant keys */
#include "admission/tenant.h"

#include <arpa/inet.h>

#define AUTH   STR("auth:")
#define HEADER STR("header:")
#define IP     STR("ip:")

static struct str field_named(const struct http_fields *fields, struct str name)
{
    for (unsigned i = 0; i < fields->n; i++)
        if (str_eq_nocase(fields->v[i].name, name))
            return str_trim(fields->v[i].value);
    return STR_NONE;
}

/* "1.2.3.4:5" and "[::1]:5" without the port. An IPv4 client of a dual-stack listener is an IPv4 client. */
static struct str address_of(struct str peer)
{
    size_t colon = str_rfind_char(peer, ':');
    struct str address = colon == STR_NPOS ? peer : str_first(peer, colon);

    if (address.n > 2 && address.p[0] == '[')
        address = str_first(str_skip(address, 1), address.n - 2);
    if (str_has_prefix(address, STR("::ffff:")) && str_find_char(address, '.') != STR_NPOS)
        address = str_skip(address, 7);
    return address;
}

static struct str prefixed(struct exchange *ex, struct str prefix, struct str value)
{
    size_t n = prefix.n + MIN(value.n, TENANT_KEY_MAX - prefix.n);
    char *p = arena_alloc(&ex->arena, n);

    if (!p)
        return STR("anonymous");
    memcpy(p, prefix.p, prefix.n);
    memcpy(p + prefix.n, value.p, n - prefix.n);
    return (struct str){ p, n };
}

struct str tenant_of(const struct tenant_conf *conf, struct exchange *ex)
{
    struct str value;

    if (ex->principal.id.n)
        return ex->principal.id;
    if (conf->trust_header) {
        value = field_named(&ex->req.fields, conf->header);
        if (value.n)
            return prefixed(ex, HEADER, value);
    }
    value = address_of(ex->peer);
    return value.n ? prefixed(ex, IP, value) : STR("anonymous");
}

static int check_address(struct str text, struct err *err)
{
    char given[INET6_ADDRSTRLEN + 1] = "", canonical[INET6_ADDRSTRLEN] = "";
    unsigned char bytes[16];

    if (text.n > 0 && text.n < sizeof given) {
        memcpy(given, text.p, text.n);
        if (inet_pton(AF_INET, given, bytes) == 1)
            (void)inet_ntop(AF_INET, bytes, canonical, sizeof canonical);
        else if (inet_pton(AF_INET6, given, bytes) == 1)
            (void)inet_ntop(AF_INET6, bytes, canonical, sizeof canonical);
    }
    if (!canonical[0])
        return err_set(err, ERR_INVALID, "an IP address is expected behind \"ip:\"");
    if (strcmp(canonical, given) != 0)
        return err_set(err, ERR_INVALID, "the address must be in its canonical form: \"ip:%s\"", canonical);
    return 0;
}

int tenant_key_check(struct str key, bool trust_header, struct err *err)
{
    if (key.n == 0 || key.n > TENANT_KEY_MAX || str_trim(key).n != key.n)
        return err_set(err, ERR_INVALID, "must be 1 to %d bytes without white space around them", TENANT_KEY_MAX);
    if (str_eq(key, STR("anonymous")))
        return 0;
    if (str_has_prefix(key, IP))
        return check_address(str_skip(key, IP.n), err);
    if (str_has_prefix(key, AUTH) || str_has_prefix(key, HEADER)) {
        struct str name = str_skip(key, key.p[0] == 'a' ? AUTH.n : HEADER.n);

        if (name.n == 0 || str_trim(name).n != name.n)
            return err_set(err, ERR_INVALID, "a name without white space around it is expected behind the colon");
        if (key.p[0] == 'h' && !trust_header)
            return err_set(err, ERR_INVALID, "\"header:\" keys need --trust-tenant-header: otherwise no request is ever one's");
        return 0;
    }
    return err_set(err, ERR_INVALID, "must be auth:<tenant>, header:<tenant>, ip:<address> or anonymous");
}
