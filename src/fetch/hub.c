/* fetch/hub.c -- the order of things: the cache, the list, the files, the ref
 *
 * Files are asked for first, all of them, so that the total is known, then fetched, then linked into the snapshot; tokenizer_config.json is linked last, and the ref written behind it.
 * So whoever looks at the cache meanwhile, or after a crash, does not take a part for the whole (hub.h tells what is believed).
 */
#include "fetch/hub.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "fetch/hub_file.h"
#include "json/json.h"

#define LIST_MS    60000      /* the whole of the question for the list */
#define CONFIG_MAX (8u << 20) /* bytes of a tokenizer_config.json that is looked into; the largest have about 200 KB */
#define ID_SHOWN   96
#define REASON_MAX 240 /* bytes of a reason that stands in the middle of a message */

struct job {
    const struct hub_config *config; /* borrowed, as the next three */
    struct hub_progress *progress;
    const _Atomic bool *cancel;
    struct arena *arena;
    struct hub_source source;
    struct hub_cache cache;
    struct hub_list have;       /* what the cache has of `known` */
    char known[HUB_COMMIT_MAX]; /* the commit that the cache has; "" = none */
    struct hub_list list;       /* what the hub says there is */
    struct hub_http http;
    struct hub_file *files; /* arena; those that are to be fetched */
    size_t files_n;
};

const char *hub_phase_text(enum hub_phase phase)
{
    static const char *const TEXTS[] = { "idle",     "looking", "listing", "asking", "downloading",
                                         "checking", "waiting", "done",    "failed" };

    return (unsigned)phase < ARRAY_LEN(TEXTS) ? TEXTS[phase] : "unknown";
}

static void say(struct job *j, enum hub_phase phase)
{
    atomic_store_explicit(&j->progress->phase, phase, memory_order_relaxed);
}

/* ---- is the cache believed? ---- */

/* Has tokenizer_config.json a template in it? One that cannot be read counts as none: then the hub is asked. */
static bool config_has_template(struct job *j)
{
    char path[PATH_MAX];
    struct buf text = { 0 };
    struct json_doc doc;
    bool found = hub_cache_path(&j->cache, j->known, STR("tokenizer_config.json"), path, NULL) == 0 &&
                 file_read(path, CONFIG_MAX, &text, NULL) == 0 && json_parse(buf_str(&text), j->arena, &doc, NULL) == 0 &&
                 !json_is_null(json_get(json_root(&doc), STR("chat_template")));

    buf_fini(&text);
    return found;
}

static bool is_known(struct job *j, struct str name)
{
    return hub_cache_has(&j->cache, j->known, name) || hub_cache_lacks(&j->cache, j->known, name);
}

static bool template_is_known(struct job *j)
{
    for (size_t i = 0; i < j->have.n; i++) {
        if (str_has_suffix(j->have.names[i], STR(".jinja")) || str_eq(j->have.names[i], STR("chat_template.json")))
            return true;
    }
    return hub_cache_lacks(&j->cache, j->known, STR("chat_template.jinja")) || config_has_template(j);
}

static bool is_believed(struct job *j)
{
    static const struct str READ[] = { STR_INIT("tokenizer_config.json"), STR_INIT("config.json"),
                                       STR_INIT("generation_config.json") };

    if (!hub_list_has_tokenizer(&j->have) || j->config->offline)
        return hub_list_has_tokenizer(&j->have);
    for (size_t i = 0; i < ARRAY_LEN(READ); i++) {
        if (!is_known(j, READ[i]))
            return false;
    }
    return template_is_known(j);
}

/* ---- asking the hub ---- */

static int keep_body(void *arg, const struct hub_head *head, struct str bytes, struct err *err)
{
    struct buf *body = arg;

    (void)head;
    buf_put(body, bytes);
    return body->failed ? err_set(err, ERR_NOMEM, "out of memory") : 0;
}

/* A body that broke off is begun anew, so the loop of hub_http_get_patiently is not for it. */
static int get_list(struct job *j, const char *url, struct buf *body, struct hub_head *head, struct err *err)
{
    /* With something to fall back to, nobody waits for a hub that is away. */
    unsigned attempts = hub_list_has_tokenizer(&j->have) ? 1 : j->config->attempts;
    struct hub_request r = { .url = url,
                             .accept = "application/json",
                             .max_bytes = HUB_LIST_BYTES_MAX,
                             .total_ms = LIST_MS,
                             .part = keep_body,
                             .arg = body };

    for (unsigned attempt = 1;; attempt++) {
        int st;

        say(j, HUB_LISTING);
        buf_clear(body);
        st = hub_http_get(&j->http, &r, head, err);
        if (attempt >= attempts || !hub_http_is_passing(st, head->status))
            return st;
        st = hub_http_pause(&j->http, attempt, head->retry_after_s, err);
        if (st < 0)
            return st;
    }
}

static int read_list(struct job *j, struct err *err)
{
    struct buf url = { 0 }, body = { 0 };
    struct str text;
    struct hub_head head;
    int st;

    buf_printf(&url, "%s/api/models/", j->config->endpoint);
    hub_http_escape(&url, j->source.id, true);
    buf_puts(&url, "/revision/");
    hub_http_escape(&url, j->source.revision, false);
    buf_put_char(&url, 0);
    st = url.failed ? err_set(err, ERR_NOMEM, "out of memory") : get_list(j, url.p, &body, &head, err);
    if (st == 0 && head.status != 200)
        st = hub_http_refusal(&j->http, &head, j->source.id, err);
    text = arena_str(j->arena, buf_str(&body)); /* the names are views into it */
    if (st == 0)
        st = text.p ? hub_list_parse(text, j->arena, &j->list, err) : err_set(err, ERR_NOMEM, "out of memory");
    buf_fini(&url);
    buf_fini(&body);
    return st;
}

static int list(struct job *j, struct err *err)
{
    struct str id = str_first(j->source.id, ID_SHOWN);
    struct err why = { 0 };
    int st = hub_http_init(&j->http, j->config, j->progress, j->cancel, &why);

    if (st == 0)
        st = read_list(j, &why);
    if (st == ERR_CANCELLED || st == ERR_NOMEM)
        return err_set(err, st, "%s", why.message);
    if (st < 0)
        return err_set(err, st, "Failed to fetch model '%.*s' from HuggingFace: %.*s. Is this a valid HuggingFace ID?", STR_FMT(id),
                       REASON_MAX, why.message);
    if (j->list.files == 0)
        return err_set(err, ERR_NOT_FOUND, "Model '%.*s' exists but contains no downloadable files.", STR_FMT(id));
    for (size_t i = 0; i < j->list.n; i++) {
        if (hub_want_of(j->list.names[i]) == HUB_WANTED)
            return 0;
    }
    return err_set(err, ERR_NOT_FOUND, "No tokenizer files found for model '%.*s'.", STR_FMT(id));
}

/* ---- fetching ---- */

/* The revision that files are asked at: the commit, so that all are of one tree even if the branch moves meanwhile. */
static struct str revision_of(const struct job *j)
{
    return j->list.commit[0] ? str_of(j->list.commit) : j->source.revision;
}

static int file_failed(const struct job *j, struct str name, int st, const struct err *why, struct err *err)
{
    if (st == ERR_CANCELLED || st == ERR_NOMEM)
        return err_set(err, st, "%s", why->message);
    return err_set(err, st, "Failed to download tokenizer file '%.*s' from model '%.*s': %.*s", STR_FMT(str_first(name, 120)),
                   STR_FMT(str_first(j->source.id, ID_SHOWN)), REASON_MAX, why->message);
}

/* May the model be loaded without NAME, whose fetching ended with ST? */
static bool is_forgiven(struct str name, int st)
{
    return hub_want_of(name) == HUB_BEST_EFFORT && st != ERR_CANCELLED && st != ERR_NOMEM;
}

static int check_commit(struct job *j, const struct hub_file *f, struct err *err)
{
    if (!j->list.commit[0])
        (void)snprintf(j->list.commit, sizeof j->list.commit, "%s", f->commit);
    if (!j->list.commit[0])
        return err_set(err, ERR_PROTOCOL, "neither the list nor the file names its commit (X-Repo-Commit): HF_ENDPOINT is no hub");
    if (f->commit[0] && strcmp(f->commit, j->list.commit) != 0)
        return err_set(err, ERR_PROTOCOL, "it is of commit %.12s, the others are of %.12s: the branch moved; try again", f->commit,
                       j->list.commit);
    return 0;
}

/* What each missing file is: after it the total is known. */
static int ask(struct job *j, struct err *err)
{
    j->files = arena_array(j->arena, j->list.n, sizeof *j->files);
    if (!j->files)
        return err_set(err, ERR_NOMEM, "out of memory");
    atomic_store_explicit(&j->progress->files_total, (unsigned)j->list.n, memory_order_relaxed);
    for (size_t i = 0; i < j->list.n; i++) {
        struct str name = j->list.names[i];
        struct hub_file *f = &j->files[j->files_n];
        struct err why = { 0 };
        int st = 0;

        say(j, HUB_ASKING);
        if (j->list.commit[0] && hub_cache_has(&j->cache, j->list.commit, name)) {
            atomic_fetch_add_explicit(&j->progress->files_done, 1, memory_order_relaxed);
            continue;
        }
        st = hub_file_ask(&j->http, j->source.id, revision_of(j), name, j->arena, f, &why);
        if (st == 0)
            st = check_commit(j, f, &why);
        if (st < 0 && is_forgiven(name, st))
            continue;
        if (st < 0)
            return file_failed(j, name, st, &why, err);
        atomic_fetch_add_explicit(&j->progress->bytes_total, f->has_size ? f->size : 0, memory_order_relaxed);
        j->files_n++;
    }
    return 0;
}

static int fetch_all(struct job *j, struct err *err)
{
    size_t kept = 0;

    for (size_t i = 0; i < j->files_n; i++) {
        struct hub_file *f = &j->files[i];
        struct err why = { 0 };
        int st;

        say(j, HUB_DOWNLOADING);
        st = hub_file_fetch(&j->http, &j->cache, j->source.id, revision_of(j), j->arena, f, &why);
        if (st < 0 && is_forgiven(f->name, st))
            continue;
        if (st < 0)
            return file_failed(j, f->name, st, &why, err);
        atomic_fetch_add_explicit(&j->progress->files_done, 1, memory_order_relaxed);
        j->files[kept++] = *f;
    }
    j->files_n = kept;
    return 0;
}

/* Those that say "the rest is there" come last. */
static bool is_last(const struct hub_file *f)
{
    return str_eq(f->name, STR("tokenizer_config.json"));
}

static int link_all(struct job *j, struct err *err)
{
    for (unsigned last = 0; last < 2; last++) {
        for (size_t i = 0; i < j->files_n; i++) {
            const struct hub_file *f = &j->files[i];
            struct err why = { 0 };
            int st = is_last(f) == last ? hub_cache_link(&j->cache, j->list.commit, f->name, str_of(f->etag), &why) : 0;

            if (st < 0)
                return file_failed(j, f->name, st, &why, err);
        }
    }
    return 0;
}

/* What the commit has not, so that the next load need not ask. */
static void note_lacks(struct job *j)
{
    static const struct str NAMES[] = { STR_INIT("tokenizer_config.json"), STR_INIT("config.json"),
                                        STR_INIT("generation_config.json"), STR_INIT("chat_template.jinja") };

    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++) {
        if (!hub_list_has(&j->list, NAMES[i]))
            hub_cache_note_lack(&j->cache, j->list.commit, NAMES[i]);
    }
}

/* ---- the whole ---- */

static int answer(struct job *j, const struct hub_list *l, const char *commit, enum hub_origin origin, struct hub_snapshot *ret,
                  struct err *err)
{
    struct str folder = hub_list_folder(l);
    char path[PATH_MAX];
    int st = hub_cache_path(&j->cache, commit, folder, path, err);
    char *dir = st == 0 ? str_dup((struct str){ path, strlen(path) - (folder.n == 0) })
                        : NULL; /* without the '/' that an empty name leaves */

    if (st < 0)
        return st;
    if (!dir)
        return err_set(err, ERR_NOMEM, "out of memory");
    ret->dir = dir;
    ret->origin = origin;
    ret->why.code = 0;
    (void)snprintf(ret->commit, sizeof ret->commit, "%s", commit);
    return 0;
}

static int from_hub(struct job *j, struct hub_snapshot *ret, struct err *err)
{
    int st = list(j, err);

    if (st == 0)
        st = ask(j, err);
    if (st == 0)
        st = fetch_all(j, err);
    if (st == 0)
        st = link_all(j, err);
    if (st < 0)
        return st;
    note_lacks(j);
    (void)hub_cache_write_ref(&j->cache, j->source.revision, j->list.commit, NULL); /* the files are there */
    return answer(j, &j->list, j->list.commit, HUB_FETCHED, ret, err);
}

static int run(struct job *j, struct hub_snapshot *ret, struct err *err)
{
    struct err why = { 0 };
    int st = 0;

    say(j, HUB_LOOKING);
    if (hub_cache_commit(&j->cache, j->source.revision, j->known))
        st = hub_cache_list(&j->cache, j->known, j->arena, &j->have, err);
    if (st < 0)
        return st;
    if (is_believed(j))
        return answer(j, &j->have, j->known, HUB_CACHED, ret, err);
    if (j->config->offline)
        return err_set(err, ERR_NOT_FOUND,
                       "Model '%.*s' %s the cache %.160s, and HF_HUB_OFFLINE forbids to ask the hub: unset it, or fetch the model "
                       "elsewhere and copy the cache",
                       STR_FMT(str_first(j->source.id, ID_SHOWN)), j->known[0] ? "has no tokenizer files in" : "is not in",
                       j->config->cache);
    st = from_hub(j, ret, &why);
    if (st < 0 && st != ERR_CANCELLED && st != ERR_NOMEM && hub_list_has_tokenizer(&j->have)) {
        st = answer(j, &j->have, j->known, HUB_FALLBACK, ret, err);
        if (st == 0)
            ret->why = why;
        return st;
    }
    return st < 0 ? err_set(err, st, "%s", why.message) : 0;
}

int hub_fetch(const struct hub_config *c, struct str source, struct hub_progress *progress, const _Atomic bool *cancel,
              struct hub_snapshot *ret, struct err *err)
{
    struct hub_progress unseen = { 0 };
    struct arena arena;
    struct job j = { .config = c, .progress = progress ? progress : &unseen, .cancel = cancel, .arena = &arena };
    struct hub_snapshot got;
    int st = hub_source_parse(source, &j.source, err);

    arena_init(&arena, NULL, 0);
    if (st == 0)
        st = hub_cache_init(&j.cache, c, j.source.id, err);
    if (st == 0)
        st = run(&j, &got, err);
    if (j.http.curl)
        hub_http_fini(&j.http);
    arena_fini(&arena);
    say(&j, st == 0 ? HUB_DONE : HUB_FAILED);
    if (st < 0)
        return err_wrap(err, st, "Failed to download tokenizer from HuggingFace");
    *ret = got;
    return 0;
}
