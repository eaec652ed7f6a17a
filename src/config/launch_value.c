/* config/launch_value.c -- what single values of `smg launch` must look like
 *
 * Reasons are SMG's where it has one (spec operations 3.4, 5.2, 5.3), ours where it lets a bad value pass. They never repeat the value: the engine does, or hides it.
 */
#include "config/launch_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/url.h"

/* ---- syntax: one token, usage errors ---- */

int launch_syntax_alias(struct str token, struct err *err)
{
    struct str alias, canonical;

    if (!str_split(token, '=', &alias, &canonical))
        return err_set(err, ERR_SYNTAX, "Expected: <alias>=<canonical>");
    alias = str_trim(alias);
    canonical = str_trim(canonical);
    if (alias.n == 0 || canonical.n == 0)
        return err_set(err, ERR_SYNTAX, "Expected: <alias>=<canonical>. Alias and canonical model ID must be non-empty");
    if (str_eq(alias, canonical))
        return err_set(err, ERR_SYNTAX, "Expected: <alias>=<canonical>. Alias must differ from the canonical model ID");
    return 0;
}

int launch_syntax_model_id_from(struct str token, struct err *err)
{
    static const struct str PREFIXES[] = { STR_INIT("label:"), STR_INIT("annotation:") };

    if (str_eq_nocase(token, STR("namespace")))
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(PREFIXES); i++) {
        if (!str_has_prefix(token, PREFIXES[i]))
            continue;
        return token.n > PREFIXES[i].n ? 0 : err_set(err, ERR_SYNTAX, "%.*s requires a key name", STR_FMT(PREFIXES[i]));
    }
    return err_set(err, ERR_SYNTAX, "Expected: namespace, label:<key>, or annotation:<key>");
}

/* One token may hold several pairs, separated by white space: the Helm chart passes one string. */
int launch_syntax_selector(struct str token, struct err *err)
{
    struct str word, key, value;

    while (option_next_word(&token, &word)) {
        if (!str_split(word, '=', &key, &value) || key.n == 0)
            return err_set(err, ERR_SYNTAX, "Expected: key=value");
    }
    return 0;
}

int launch_syntax_header_pair(struct str token, struct err *err)
{
    struct str header, key;

    return str_split(token, '=', &header, &key) ? 0 : err_set(err, ERR_SYNTAX, "Expected: header=key");
}

static bool is_role(struct str text)
{
    return str_eq_nocase(text, STR("admin")) || str_eq_nocase(text, STR("user"));
}

/* id:name:role:key; the key is everything behind the third ':'. */
int launch_syntax_control_key(struct str token, struct err *err)
{
    struct str id, name, role, rest;

    if (!str_split(token, ':', &id, &rest) || !str_split(rest, ':', &name, &rest) || !str_split(rest, ':', &role, &rest) ||
        id.n == 0 || rest.n == 0)
        return err_set(err, ERR_SYNTAX, "Expected 'id:name:role:key'");
    return is_role(role) ? 0 : err_set(err, ERR_SYNTAX, "Expected 'id:name:role:key'. Valid roles: admin, user");
}

int launch_syntax_role_mapping(struct str token, struct err *err)
{
    struct str theirs, ours;

    if (!str_split(token, '=', &theirs, &ours) || theirs.n == 0)
        return err_set(err, ERR_SYNTAX, "Expected 'idp_role=gateway_role'");
    return is_role(ours) ? 0 : err_set(err, ERR_SYNTAX, "Valid roles: admin, user");
}

/* ---- validation ---- */

static int check_worker_url(struct str url, struct err *err)
{
    int r = url_check_worker(url, err);

    if (r < 0)
        return r;
    if (str_has_prefix(url, STR("grpc")))
        return err_set(err, ERR_UNSUPPORTED, "gRPC workers are not available in this version");
    if (str_has_prefix(url, STR("ipc")))
        return err_set(err, ERR_UNSUPPORTED, "ZMQ workers (ipc://) are not available in this version");
    return 0;
}

int launch_validate_worker_url(const void *value, struct err *err)
{
    return check_worker_url(*(const struct str *)value, err);
}

int launch_validate_endpoint_url(const void *value, struct err *err)
{
    return check_worker_url(((const struct option_endpoint *)value)->url, err);
}

struct str launch_without_brackets(struct str text)
{
    if (text.n >= 2 && text.p[0] == '[' && text.p[text.n - 1] == ']')
        return (struct str){ text.p + 1, text.n - 2 };
    return text;
}

bool launch_is_address(struct str text)
{
    struct str bare = launch_without_brackets(text), zone;
    char name[INET6_ADDRSTRLEN];
    unsigned char bytes[16];
    bool has_zone = str_split(bare, '%', &bare, &zone);

    if (bare.n == 0 || bare.n >= sizeof name || (has_zone && zone.n == 0))
        return false;
    memcpy(name, bare.p, bare.n);
    name[bare.n] = 0;
    if (inet_pton(AF_INET6, name, bytes) == 1)
        return true;
    return bare.p == text.p && !has_zone && inet_pton(AF_INET, name, bytes) == 1; /* no brackets around IPv4 */
}

/* Letters, digits, "-", "_", and dots between non-empty labels; resolving is for the one who binds. */
static bool is_host_name(struct str text)
{
    bool label = false;

    if (text.n > 253)
        return false;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];

        if (c == '.') {
            if (!label)
                return false;
            label = false;
        } else if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_') {
            label = true;
        } else {
            return false;
        }
    }
    return text.n > 0;
}

/* "1.2.3" and "10.0.0.256" are addresses with a slip, not names. */
static bool is_all_digits_and_dots(struct str text)
{
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] != '.' && (text.p[i] < '0' || text.p[i] > '9'))
            return false;
    }
    return true;
}

int launch_validate_host(const void *value, struct err *err)
{
    struct str host = *(const struct str *)value;

    if (launch_is_address(host) || (is_host_name(host) && !is_all_digits_and_dots(host)))
        return 0;
    return err_set(err, ERR_INVALID, "Must be an IPv4 or IPv6 address or a host name, without a port");
}

int launch_validate_address(const void *value, struct err *err)
{
    return launch_is_address(*(const struct str *)value) ? 0
                                                         : err_set(err, ERR_INVALID, "Must be an IP address such as 0.0.0.0 or ::");
}

int launch_validate_metrics_host(const void *value, struct err *err)
{
    return ((const struct str *)value)->n ? launch_validate_address(value, err) : err_set(err, ERR_INVALID, "Host cannot be empty");
}

/* It goes into header fields: a second line in a key file must not become one. */
int launch_validate_key(const void *value, struct err *err)
{
    struct str key = *(const struct str *)value;

    for (size_t i = 0; i < key.n; i++) {
        if ((unsigned char)key.p[i] < 0x20 || key.p[i] == 0x7f)
            return err_set(err, ERR_INVALID, "Must not contain line breaks or other control characters");
    }
    return key.n ? 0 : err_set(err, ERR_INVALID, "Must not be empty");
}

/* It is the tokenizer's name too. */
int launch_validate_source(const void *value, struct err *err)
{
    struct str source = *(const struct str *)value;

    if (source.n > 256)
        return err_set(err, ERR_INVALID, "Must not be longer than 256 bytes");
    return launch_validate_key(value, err);
}

int launch_validate_readable(const void *value, struct err *err)
{
    char *path = str_dup(*(const struct str *)value);
    struct stat st;
    int r = 0;

    if (!path)
        return err_set(err, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
    if (access(path, R_OK) < 0 || stat(path, &st) < 0)
        r = err_set(err, ERR_INVALID, "Must be a file that can be read: %s", strerrordesc_np(errno));
    else if (!S_ISREG(st.st_mode))
        r = err_set(err, ERR_INVALID, "Must be a file that can be read: not a regular file");
    free(path);
    return r;
}

/* Visible ASCII only: it goes into a request line as it is. */
int launch_validate_path(const void *value, struct err *err)
{
    struct str path = *(const struct str *)value;

    if (path.n == 0 || path.p[0] != '/')
        return err_set(err, ERR_INVALID, "Must begin with '/'");
    for (size_t i = 0; i < path.n; i++) {
        if (path.p[i] <= 0x20 || path.p[i] == 0x7f || path.p[i] == '#')
            return err_set(err, ERR_INVALID, "Must be a path of visible ASCII characters without '#'");
    }
    return 0;
}

int launch_validate_origin(const void *value, struct err *err)
{
    struct str origin = *(const struct str *)value;
    struct url url;

    if (str_eq(origin, STR("*")) || str_eq(origin, STR("null")))
        return 0;
    if (url_parse(origin, &url, NULL) == 0 && url.host.n && url.path.n == 0 && url.query.n == 0 &&
        str_find_char(origin, '#') == STR_NPOS && str_find_char(origin, '?') == STR_NPOS)
        return 0;
    return err_set(err, ERR_INVALID, "Must be \"*\" or an origin such as https://app.example.com (scheme, host and port only)");
}

/* RFC 9110 5.6.2: tchar. */
bool launch_is_header_name(struct str text)
{
    static const char OTHERS[] = "!#$%&'*+-.^_`|~";

    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c && strchr(OTHERS, c))))
            return false;
    }
    return text.n > 0;
}

int launch_validate_header_name(const void *value, struct err *err)
{
    return launch_is_header_name(*(const struct str *)value) ? 0 : err_set(err, ERR_INVALID, "Must be a valid HTTP header name");
}

int launch_validate_bucket(const void *value, struct err *err)
{
    return *(const double *)value > 0 ? 0 : err_set(err, ERR_INVALID, "Must be > 0");
}

int launch_validate_host_port(const void *value, struct err *err)
{
    struct str text = *(const struct str *)value;
    size_t colon = str_rfind_char(text, ':');
    uint64_t port;

    if (str_eq(text, STR("none")))
        return 0;
    if (colon == STR_NPOS || colon == 0 || str_to_u64(str_skip(text, colon + 1), &port) < 0 || port < 1 || port > UINT16_MAX)
        return err_set(err, ERR_INVALID, "Must be <host>:<port> or none");
    return 0;
}

/* The rules between several keys are in launch_check.c; this reason is SMG's. */
int launch_validate_tenant_key(const void *value, struct err *err)
{
    struct str id, key;

    return str_split(*(const struct str *)value, ':', &id, &key)
               ? 0
               : err_set(err, ERR_INVALID, "expected 'tenant_id:key' (missing ':' separator)");
}

int launch_validate_priority_class(const void *value, struct err *err)
{
    static const struct str CLASSES[] = { STR_INIT("system"), STR_INIT("interactive"), STR_INIT("default"), STR_INIT("bulk") };
    struct str given = str_trim(*(const struct str *)value);

    for (size_t i = 0; i < ARRAY_LEN(CLASSES); i++)
        if (str_eq_nocase(given, CLASSES[i]))
            return 0;
    return err_set(err, ERR_INVALID, "Must be system, interactive, default or bulk");
}

int launch_validate_wasm_threads(const void *value, struct err *err)
{
    uint64_t threads = *(const uint64_t *)value;

    if (threads == 0)
        return err_set(err, ERR_INVALID, "thread_pool_size cannot be 0");
    return threads > 128 ? err_set(err, ERR_INVALID, "thread_pool_size cannot exceed 128") : 0;
}
