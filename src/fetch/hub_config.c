/* fetch/hub_config.c -- the environment, read as huggingface_hub reads it */
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/url.h"
#include "fetch/hub.h"

#define ENDPOINT       "https://huggingface.co"
#define TOKEN_FILE_MAX 4096

static struct str env(const char *name)
{
    return str_trim(str_of(getenv(name)));
}

static bool env_is_true(const char *name)
{
    struct str v = env(name);

    return str_eq(v, STR("1")) || str_eq_nocase(v, STR("on")) || str_eq_nocase(v, STR("yes")) || str_eq_nocase(v, STR("true"));
}

/* A path, its "~" undone, with TAIL behind it. NULL when memory is out. */
static char *path_of(struct str path, const char *tail)
{
    struct buf b = { 0 };

    if (str_eq(path, STR("~")) || str_has_prefix(path, STR("~/"))) {
        buf_put(&b, env("HOME"));
        path = str_skip(path, 1);
    }
    while (path.n > 1 && path.p[path.n - 1] == '/')
        path.n--;
    buf_put(&b, path);
    buf_put(&b, str_of(tail));
    buf_put_char(&b, 0);
    if (b.failed)
        buf_fini(&b);
    return b.p;
}

/* HF_HOME, or where it is when nobody says: with TAIL behind it. */
static int in_home(const char *tail, char **ret, struct err *err)
{
    char below[64];

    (void)snprintf(below, sizeof below, "/huggingface%s", tail);
    if (env("HF_HOME").n)
        *ret = path_of(env("HF_HOME"), tail);
    else if (env("XDG_CACHE_HOME").n)
        *ret = path_of(env("XDG_CACHE_HOME"), below);
    else if (env("HOME").n)
        *ret = path_of(STR("~/.cache"), below);
    else
        return err_set(err, ERR_INVALID, "there is no folder for the Hugging Face cache: set HF_HOME or HOME");
    return *ret ? 0 : ERR_NOMEM;
}

static int read_cache(struct hub_config *c, struct err *err)
{
    struct str cache = env("HF_HUB_CACHE").n ? env("HF_HUB_CACHE") : env("HUGGINGFACE_HUB_CACHE");

    if (cache.n == 0)
        return in_home("/hub", &c->cache, err);
    c->cache = path_of(cache, "");
    return c->cache ? 0 : ERR_NOMEM;
}

static int read_endpoint(struct hub_config *c, struct err *err)
{
    struct str text = env("HF_ENDPOINT").n ? env("HF_ENDPOINT") : STR(ENDPOINT);
    struct url u;

    while (text.n && text.p[text.n - 1] == '/')
        text.n--;
    if (url_parse(text, &u, err) < 0)
        return err_wrap(err, ERR_INVALID, "HF_ENDPOINT is no URL");
    if ((!str_eq(u.scheme, STR("http")) && !str_eq(u.scheme, STR("https"))) || u.query.n)
        return err_set(err, ERR_INVALID, "HF_ENDPOINT: \"%.*s\" is no http:// or https:// URL of a hub",
                       STR_FMT(str_first(text, 200)));
    c->endpoint = str_dup(text);
    return c->endpoint ? 0 : ERR_NOMEM;
}

/* It becomes a header line, so it must be one word. What it says is not repeated. */
static int take_token(struct hub_config *c, struct str token, const char *from, struct err *err)
{
    for (size_t i = 0; i < token.n; i++) {
        if ((unsigned char)token.p[i] <= 0x20 || (unsigned char)token.p[i] >= 0x7f)
            return err_set(err, ERR_INVALID, "%s holds no token: blanks, line ends or non-ASCII bytes are inside it", from);
    }
    c->token = str_dup(token);
    return c->token ? 0 : ERR_NOMEM;
}

static int read_token_file(struct hub_config *c, struct err *err)
{
    struct buf text = { 0 };
    char *path = NULL;
    int st = env("HF_TOKEN_PATH").n ? (path = path_of(env("HF_TOKEN_PATH"), "")) ? 0 : ERR_NOMEM : in_home("/token", &path, NULL);

    if (st == ERR_INVALID) /* no home, no file: HF_HUB_CACHE told all that is needed */
        return 0;
    if (st == 0)
        st = file_read(path, TOKEN_FILE_MAX, &text, err);
    if (st == 0 && str_trim(buf_str(&text)).n)
        st = take_token(c, str_trim(buf_str(&text)), path, err);
    else if (st == ERR_NOT_FOUND)
        st = 0;
    else if (st < 0 && st != ERR_NOMEM)
        st = err_wrap(err, ERR_INVALID, "the file with the hub's token cannot be read (HF_TOKEN or HF_TOKEN_PATH name another)");
    if (text.p)
        explicit_bzero(text.p, text.n);
    buf_fini(&text);
    free(path);
    return st;
}

static int read_token(struct hub_config *c, struct err *err)
{
    static const char *const NAMES[] = { "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN" };

    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++) {
        if (env(NAMES[i]).n)
            return take_token(c, env(NAMES[i]), NAMES[i], err);
    }
    return read_token_file(c, err);
}

static int read_ca_file(struct hub_config *c)
{
    struct str path = env("REQUESTS_CA_BUNDLE").n ? env("REQUESTS_CA_BUNDLE") : env("SSL_CERT_FILE");

    c->ca_file = path.n ? path_of(path, "") : NULL;
    return path.n && !c->ca_file ? ERR_NOMEM : 0;
}

int hub_config_from_env(struct hub_config *ret, struct err *err)
{
    struct hub_config c = {
        .offline = env_is_true("HF_HUB_OFFLINE") || env_is_true("TRANSFORMERS_OFFLINE"),
        .copies = env_is_true("HF_HUB_DISABLE_SYMLINKS"),
        .file_bytes_max = 1u << 30,
        .connect_ms = 10000,
        .stall_s = 30,
        .lock_s = 600,
        .backoff_ms = 500,
        .retry_after_max_s = 60,
        .attempts = 5,
    };
    int st = read_endpoint(&c, err);

    *ret = (struct hub_config){ 0 };
    if (st == 0)
        st = read_cache(&c, err);
    if (st == 0)
        st = read_token(&c, err);
    if (st == 0)
        st = read_ca_file(&c);
    if (st < 0) {
        hub_config_fini(&c);
        return st == ERR_NOMEM ? err_set(err, st, "out of memory") : st;
    }
    *ret = c;
    return 0;
}

void hub_config_fini(struct hub_config *c)
{
    if (c->token)
        explicit_bzero(c->token, strlen(c->token));
    free(c->endpoint);
    free(c->cache);
    free(c->token);
    free(c->ca_file);
    *c = (struct hub_config){ 0 };
}
