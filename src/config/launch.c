/* config/launch.c -- from the command line of `smg launch` to a struct launch_config that the gateway can take as it is */
#include "config/launch_internal.h"

/* http/request_id compares with lowercase names. */
static int lower_header_names(struct option_list *list, struct arena *arena)
{
    for (size_t i = 0; i < list->n; i++) {
        struct str name = list->items[i];
        char *copy = arena_alloc(arena, name.n);

        if (!copy)
            return ERR_NOMEM;
        for (size_t k = 0; k < name.n; k++)
            copy[k] = name.p[k] >= 'A' && name.p[k] <= 'Z' ? (char)(name.p[k] | 0x20) : name.p[k];
        list->items[i] = (struct str){ copy, name.n };
    }
    return 0;
}

/* The environment holds one text: entries separated by commas (a key with a comma goes to the command line or into the file). */
static int split_control_keys(struct launch_config *c, struct arena *arena, struct option_report *report)
{
    struct str rest = c->control_plane_api_keys.items[0], entry;
    struct option_list list = { .items = arena_array(arena, rest.n / 2 + 1, sizeof(struct str)) };
    struct err err = { 0 };

    if (!list.items)
        return ERR_NOMEM;
    while (rest.n) {
        (void)str_split(rest, ',', &entry, &rest);
        entry = str_trim(entry);
        if (entry.n == 0)
            continue;
        if (launch_syntax_control_key(entry, &err) < 0)
            option_report_add(report, OPTION_INVALID,
                              "Invalid value in the environment variable CONTROL_PLANE_API_KEYS, entry %zu: <redacted> - %s",
                              list.n + 1, err.message);
        list.items[list.n++] = entry;
    }
    c->control_plane_api_keys = list;
    return 0;
}

/* Workers that were given for a mode that is off. */
static void note_unused_workers(const struct launch_config *c, struct option_report *report)
{
    bool pd = c->pd_disaggregation || c->epd_disaggregation;

    if (!pd && (c->prefill.n || c->decode.n))
        option_report_add(report, OPTION_NOTE, "--prefill and --decode are ignored without --pd-disaggregation");
    if (!c->epd_disaggregation && c->encode.n)
        option_report_add(report, OPTION_NOTE, "--encode is ignored without --epd-disaggregation");
    if (pd && c->worker_urls.n)
        option_report_add(report, OPTION_NOTE, "--worker-urls is ignored with --pd-disaggregation: write --prefill and --decode");
}

static void add_notes(const struct launch_config *c, struct option_report *report)
{
    if (c->priority_scheduler_config.n && !c->priority_scheduler_enabled)
        option_report_add(report, OPTION_NOTE, "--priority-scheduler-config does nothing without --priority-scheduler-enabled");
    if (c->tenant_rate_limit_config.n && !c->tenant_rate_limit_enabled)
        option_report_add(report, OPTION_NOTE, "--tenant-rate-limit-config does nothing without --tenant-rate-limit-enabled");
    note_unused_workers(c, report);
    if (c->enable_igw && (c->prefill_policy != LAUNCH_POLICY_UNSET || c->decode_policy != LAUNCH_POLICY_UNSET))
        option_report_add(
            report, OPTION_NOTE,
            "--prefill-policy and --decode-policy are ignored with --enable-igw: --policy holds for both sides of a pair");
}

int launch_parse(const struct option_input *in, struct arena *arena, struct launch_config *ret, struct option_report *report)
{
    int r = options_parse(&LAUNCH_TABLE, in, arena, ret, sizeof *ret, report);

    if (r == OPTIONS_HELP || r == ERR_NOMEM || report->worst == OPTION_USAGE)
        return r;
    ret->host = launch_without_brackets(ret->host);
    ret->prometheus_host = launch_without_brackets(ret->prometheus_host);
    ret->enable_igw |= ret->service_discovery; /* discovery finds workers of any model */
    r = lower_header_names(&ret->request_id_headers, arena);
    if (r < 0)
        return r;
    if (option_source(&LAUNCH_TABLE, report, "--control-plane-api-keys") == OPTION_ENV)
        r = split_control_keys(ret, arena, report);
    if (r < 0)
        return r;
    launch_check(ret, report);
    if (report->worst == OPTION_NOTE)
        add_notes(ret, report);
    if (arena->failed)
        return ERR_NOMEM;
    return report->worst > OPTION_NOTE ? ERR_INVALID : 0;
}
