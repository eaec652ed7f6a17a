/* faults.c -- reading the fault knobs from a header and from JSON, by two tables */
#include "mock/faults.h"

enum number_type { NUMBER_U32, NUMBER_I64, NUMBER_F64, NUMBER_BOOL };

struct knob {
    const char *name;
    enum number_type type;
    size_t at;
    double min, max;
};

#define TOKENS_MAX 1e9
#define MS_MAX     3600e3

static const struct knob HEADER_KNOBS[] = {
    { "status", NUMBER_U32, offsetof(struct mock_request_faults, status), 400, 599 },
    { "delay", NUMBER_U32, offsetof(struct mock_request_faults, delay_ms), 0, MS_MAX },
    { "retry-after", NUMBER_U32, offsetof(struct mock_request_faults, retry_after_s), 0, 86400 },
    { "stall", NUMBER_I64, offsetof(struct mock_request_faults, stall_after), -1, TOKENS_MAX },
    { "cut", NUMBER_I64, offsetof(struct mock_request_faults, cut_after), -1, TOKENS_MAX },
    { "wrong-length", NUMBER_I64, offsetof(struct mock_request_faults, wrong_length), -TOKENS_MAX, TOKENS_MAX },
};

static const struct knob JSON_KNOBS[] = {
    { "fail_rate", NUMBER_F64, offsetof(struct mock_faults, fail_rate), 0, 1 },
    { "fail_status", NUMBER_U32, offsetof(struct mock_faults, fail_status), 400, 599 },
    { "retry_after_s", NUMBER_U32, offsetof(struct mock_faults, retry_after_s), 0, 86400 },
    { "ttft_ms", NUMBER_U32, offsetof(struct mock_faults, ttft_ms), 0, MS_MAX },
    { "stall_after", NUMBER_I64, offsetof(struct mock_faults, stall_after), -1, TOKENS_MAX },
    { "cut_after", NUMBER_I64, offsetof(struct mock_faults, cut_after), -1, TOKENS_MAX },
    { "wrong_length", NUMBER_I64, offsetof(struct mock_faults, wrong_length), -TOKENS_MAX, TOKENS_MAX },
    { "slow_health_ms", NUMBER_U32, offsetof(struct mock_faults, slow_health_ms), 0, MS_MAX },
    { "unhealthy", NUMBER_BOOL, offsetof(struct mock_faults, unhealthy), 0, 1 },
};

/* '-' and '_' are the same in a name. */
static const struct knob *find(const struct knob *knobs, size_t n, struct str name)
{
    for (size_t i = 0; i < n; i++) {
        const char *known = knobs[i].name;
        size_t at = 0;

        while (at < name.n && known[at] &&
               (known[at] == name.p[at] || (strchr("-_", known[at]) && strchr("-_", name.p[at]) && name.p[at])))
            at++;
        if (at == name.n && !known[at])
            return &knobs[i];
    }
    return NULL;
}

static void store(const struct knob *k, void *object, double v)
{
    char *at = (char *)object + k->at;

    switch (k->type) {
    case NUMBER_U32:
        *(uint32_t *)(void *)at = (uint32_t)v;
        break;
    case NUMBER_I64:
        *(int64_t *)(void *)at = (int64_t)v;
        break;
    case NUMBER_F64:
        *(double *)(void *)at = v;
        break;
    case NUMBER_BOOL:
        *(bool *)(void *)at = v != 0;
        break;
    }
}

static bool in_range(const struct knob *k, double v)
{
    return v >= k->min && v <= k->max && (k->type == NUMBER_F64 || v == (double)(int64_t)v);
}

static bool is_separator(char c)
{
    return c == ',' || c == ';' || c == ' ' || c == '\t';
}

static int read_item(struct str item, struct mock_request_faults *f, struct err *err)
{
    struct str name, text;
    const struct knob *k;
    double v;

    (void)str_split(item, '=', &name, &text); /* without '=' the text is empty and no number */
    k = find(HEADER_KNOBS, ARRAY_LEN(HEADER_KNOBS), name);
    if (!k)
        return err_set(err, ERR_INVALID,
                       "x-mock-fault: unknown item \"%.*s\"; known are status, delay, retry-after, stall, cut, wrong-length",
                       STR_FMT(str_first(item, 64)));
    if (str_to_double(text, &v) < 0 || !in_range(k, v))
        return err_set(err, ERR_INVALID, "x-mock-fault: \"%.*s\" is not a whole number from %.0f to %.0f",
                       STR_FMT(str_first(item, 64)), k->min, k->max);
    store(k, f, v);
    return 0;
}

int faults_read_header(struct str header, struct mock_request_faults *f, struct err *err)
{
    struct mock_request_faults changed = *f;
    size_t at = 0;

    while (at < header.n) {
        size_t from = at;
        int r;

        while (at < header.n && !is_separator(header.p[at]))
            at++;
        if (at > from) {
            r = read_item(str_range(header.p + from, header.p + at), &changed, err);
            if (r < 0)
                return r;
        }
        at++;
    }
    *f = changed;
    return 0;
}

static int read_member(struct str name, struct json value, struct mock_faults *f, struct err *err)
{
    const struct knob *k = find(JSON_KNOBS, ARRAY_LEN(JSON_KNOBS), name);
    double v;

    if (!k)
        return err_set(err, ERR_INVALID, "unknown fault \"%.*s\"; GET /mock/faults shows the names", STR_FMT(str_first(name, 64)));
    if (k->type == NUMBER_BOOL) {
        if (!json_is_bool(value))
            return err_set(err, ERR_INVALID, "%s: expected true or false", k->name);
        v = json_is(value, JSON_TRUE);
    } else if (json_to_double(value, &v) < 0 || !in_range(k, v)) {
        return err_set(err, ERR_INVALID, "%s: expected a number from %.0f to %.0f", k->name, k->min, k->max);
    }
    store(k, f, v);
    return 0;
}

int faults_read_json(struct json object, struct mock_faults *f, struct err *err)
{
    struct mock_faults changed = *f;
    struct json_iter it;

    if (!json_is(object, JSON_OBJECT))
        return err_set(err, ERR_INVALID, "expected an object of faults");
    it = json_iter(object);
    while (json_next(&it)) {
        int r = read_member(json_raw_str(it.key), it.value, &changed, err);

        if (r < 0)
            return r;
    }
    *f = changed;
    return 0;
}

void faults_write_json(const struct mock_faults *f, struct json_writer *w)
{
    json_object(w);
    json_put_f64(w, "fail_rate", f->fail_rate);
    json_put_u64(w, "fail_status", f->fail_status);
    json_put_u64(w, "retry_after_s", f->retry_after_s);
    json_put_u64(w, "ttft_ms", f->ttft_ms);
    json_put_i64(w, "stall_after", f->stall_after);
    json_put_i64(w, "cut_after", f->cut_after);
    json_put_i64(w, "wrong_length", f->wrong_length);
    json_put_u64(w, "slow_health_ms", f->slow_health_ms);
    json_put_bool(w, "unhealthy", f->unhealthy);
    json_end(w);
}
