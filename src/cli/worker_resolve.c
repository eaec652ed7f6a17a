/* cli/worker_resolve.c -- which worker a person means
 *
 * Ids are UUIDs of version 7: they begin with the time, so those of workers that came together begin alike. Their ends are random, which is why the end of an id will do as well as
 * its beginning, and why the tables show the end.
 */
#include <stdio.h>

#include "base/ids.h"
#include "cli/text_table.h"
#include "cli/worker_client.h"

static bool is_part_of_id(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!((s.p[i] >= '0' && s.p[i] <= '9') || (s.p[i] >= 'a' && s.p[i] <= 'f') || s.p[i] == '-'))
            return false;
    return s.n >= WORKER_PART_MIN;
}

static struct str without_slash(struct str url)
{
    while (url.n && url.p[url.n - 1] == '/')
        url.n--;
    return url;
}

static bool matches(struct json worker, struct str target, bool is_url, struct arena *arena)
{
    struct str id = json_raw_str(json_get(worker, STR("id")));

    if (is_url)
        return str_eq_nocase(without_slash(json_str(json_get(worker, STR("url")), arena)), without_slash(target));
    return str_has_prefix(id, target) || str_has_suffix(id, target);
}

static int pick(const struct gateway_client *g, struct gateway_reply *list, struct str target, bool is_url, struct arena *arena,
                struct str *ret_id)
{
    struct json_iter it = json_iter(json_get(json_root(&list->doc), STR("workers")));
    struct str found = STR_NONE;

    while (json_next(&it)) {
        struct str id = json_raw_str(json_get(it.value, STR("id")));

        if (!matches(it.value, target, is_url, &list->arena))
            continue;
        if (found.n) {
            fprintf(stderr, "smg: error: '%.*s' means more than one worker, %.*s and %.*s among them: give more of the id\n",
                    STR_FMT(target), STR_FMT(text_clean(found, &list->arena)), STR_FMT(text_clean(id, &list->arena)));
            return CLI_FAILED;
        }
        found = id;
    }
    if (!found.n) {
        fprintf(
            stderr,
            "smg: error: %.*s has no worker %s '%.*s'; `smg worker list` shows those that it has (one that is still registering is "
            "known by its whole id only)\n",
            STR_FMT(g->target.text), is_url ? "at" : "whose id begins or ends with", STR_FMT(target));
        return CLI_FAILED;
    }
    *ret_id = arena_str(arena, found);
    return ret_id->p ? CLI_OK : cli_fail(&(struct err){ .code = ERR_NOMEM });
}

int worker_resolve(struct gateway_client *g, struct str target, struct arena *arena, struct str *ret_id)
{
    bool is_url = str_find(target, STR("://")) != STR_NPOS;
    struct gateway_reply list;
    char text[UUID_TEXT_LEN + 1];
    struct uuid uuid;
    int status;

    if (uuid_parse(target, &uuid, NULL) == 0) {
        uuid_text(uuid, text);
        *ret_id = arena_str(arena, str_of(text));
        return ret_id->p ? CLI_OK : cli_fail(&(struct err){ .code = ERR_NOMEM });
    }
    if (!is_url && !is_part_of_id(target)) {
        fprintf(stderr,
                "smg: error: '%.*s' is neither a worker's URL nor its id: give http://host:port, or at least %d characters of the "
                "beginning or end of an id\n",
                STR_FMT(target), WORKER_PART_MIN);
        return CLI_USAGE;
    }
    status = gateway_do(g, HTTP_GET, STR("/workers"), STR_NONE, /* accept= */ 0, &list);
    if (status == CLI_OK)
        status = pick(g, &list, target, is_url, arena, ret_id);
    gateway_reply_fini(&list);
    return status;
}

struct str worker_path(struct str id, struct arena *arena)
{
    return arena_printf(arena, "/workers/%.*s", STR_FMT(id));
}
