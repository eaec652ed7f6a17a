/* text/scan/markers.c */
#include "text/scan/markers.h"

#include <assert.h>
#include <string.h>

void markers_init(struct markers *m, const struct str *strings, size_t n)
{
    assert(n <= MARKERS_MAX);
    *m = (struct markers){ .n = (unsigned)n, .first = -1 };
    for (size_t i = 0; i < n; i++) {
        assert(strings[i].n > 0 && strings[i].n <= MARKER_MAX);
        m->strings[i] = strings[i];
        m->is_first[(uint8_t)strings[i].p[0]] = true;
        if (strings[i].n == 1)
            memset(m->is_second, 0xFF, sizeof(m->is_second));
        else
            m->is_second[(uint8_t)strings[i].p[1] / 64] |= UINT64_C(1) << (uint8_t)strings[i].p[1] % 64;
    }
    bool same = n > 0;
    for (size_t i = 1; i < n; i++)
        same = same && strings[i].p[0] == strings[0].p[0];
    if (same)
        m->first = (uint8_t)strings[0].p[0];
}

/* The next place at or behind AT where a marker may begin; TEXT.n when there is none. */
static size_t next_first(const struct markers *m, struct str text, size_t at)
{
    if (m->first >= 0) {
        const char *p = at < text.n ? memchr(text.p + at, m->first, text.n - at) : NULL;
        return p ? (size_t)(p - text.p) : text.n;
    }
    while (at < text.n && !m->is_first[(uint8_t)text.p[at]])
        at++;
    return at;
}

static bool fits_second(const struct markers *m, struct str text, size_t at)
{
    uint8_t c = at + 1 < text.n ? (uint8_t)text.p[at + 1] : 0;
    return at + 1 == text.n || (m->is_second[c / 64] >> c % 64 & 1);
}

/* The longest marker that stands at AT; *RET_CUT: a longer one would fit if TEXT went on. */
static int marker_at(const struct markers *m, struct str text, size_t at, bool *ret_cut)
{
    size_t left = text.n - at, best_n = 0, cut_n = 0;
    int best = -1;
    for (unsigned i = 0; i < m->n; i++) {
        struct str s = m->strings[i];
        if (memcmp(text.p + at, s.p, s.n < left ? s.n : left) != 0)
            continue;
        if (s.n <= left && s.n > best_n) {
            best = (int)i;
            best_n = s.n;
        } else if (s.n > left && s.n > cut_n)
            cut_n = s.n;
    }
    *ret_cut = cut_n > best_n;
    return best;
}

int markers_find(const struct markers *m, struct str text, size_t from, bool ended, size_t *ret_at)
{
    for (size_t at = next_first(m, text, from); at < text.n; at = next_first(m, text, at + 1)) {
        bool cut;
        if (!fits_second(m, text, at))
            continue;
        int found = marker_at(m, text, at, &cut);
        if (cut && !ended) {
            *ret_at = at;
            return -1;
        }
        if (found >= 0) {
            *ret_at = at;
            return found;
        }
    }
    *ret_at = text.n;
    return -1;
}
