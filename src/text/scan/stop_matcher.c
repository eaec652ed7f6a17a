/* text/scan/stop_matcher.c -- the automaton: built once per request, one table look-up per byte
 *
 * The strings make a trie, the trie's missing edges are filled in along the failure links (breadth first), and what is left is a plain table: state x class of byte -> state. Bytes that
 * no string contains share class 0, which leads to the start from everywhere, so the table has as many columns as the strings have different bytes.
 * A state is the longest end of the text that begins a string; its depth is the number of bytes of that end. The strings are the client's: what the table may grow to is bounded.
 */
#include "text/scan/stop_matcher.h"

#include <stdlib.h>
#include <string.h>

#define CELLS_MAX ((size_t)1 << 20) /* states x classes: 4 MiB */
#define NONE      (-1)

struct state {
    uint32_t depth;
    uint32_t fail; /* the state of its longest proper end */
    int32_t match; /* the longest string that ends here, or NONE */
};

struct stop_matcher {
    uint16_t class_of[256];
    uint32_t classes;
    uint32_t states_n;
    struct state *states; /* owned */
    uint32_t *next;       /* owned: states_n * classes cells; 0 is the start */
    struct str *strings;  /* owned; their bytes are in `bytes` */
    size_t strings_n;
    char *bytes; /* owned */
};

void stop_matcher_free(struct stop_matcher *m)
{
    if (!m)
        return;
    free(m->states);
    free(m->next);
    free(m->strings);
    free(m->bytes);
    free(m);
}

static void find_classes(struct stop_matcher *m, const struct str *strings, size_t n)
{
    bool used[256] = { false };
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < strings[i].n; j++)
            used[(uint8_t)strings[i].p[j]] = true;
    m->classes = 1;
    for (size_t b = 0; b < 256; b++)
        if (used[b])
            m->class_of[b] = (uint16_t)m->classes++;
}

static int allocate(struct stop_matcher *m, const struct str *strings, size_t n, size_t total)
{
    m->states = calloc(total + 1, sizeof(*m->states));
    m->next = calloc((total + 1) * m->classes, sizeof(*m->next));
    m->strings = calloc(n + 1, sizeof(*m->strings));
    m->bytes = malloc(total + 1);
    if (!m->states || !m->next || !m->strings || !m->bytes)
        return ERR_NOMEM;
    m->strings_n = n;
    char *at = m->bytes;
    for (size_t i = 0; i < n; i++) {
        if (strings[i].n)
            memcpy(at, strings[i].p, strings[i].n);
        m->strings[i] = (struct str){ .p = at, .n = strings[i].n };
        at += strings[i].n;
    }
    return 0;
}

static void add_string(struct stop_matcher *m, int32_t number)
{
    struct str s = m->strings[number];
    if (!s.n)
        return;
    uint32_t at = 0;
    for (size_t i = 0; i < s.n; i++) {
        uint32_t *cell = &m->next[(size_t)at * m->classes + m->class_of[(uint8_t)s.p[i]]];
        if (!*cell) {
            *cell = m->states_n;
            m->states[m->states_n++] = (struct state){ .depth = (uint32_t)i + 1, .match = NONE };
        }
        at = *cell;
    }
    if (m->states[at].match == NONE) /* of two that are the same the first counts */
        m->states[at].match = number;
}

/* Breadth first: a state's failure link is nearer to the start than it, so its row is complete when it is needed. */
static int fill_in(struct stop_matcher *m)
{
    uint32_t *queue = calloc(m->states_n, sizeof(*queue));
    if (!queue)
        return ERR_NOMEM;
    size_t head = 0, tail = 0;
    queue[tail++] = 0;
    while (head < tail) {
        uint32_t at = queue[head++];
        uint32_t *row = m->next + (size_t)at * m->classes;
        const uint32_t *fail_row = m->next + (size_t)m->states[at].fail * m->classes;
        for (uint32_t c = 1; c < m->classes; c++) {
            uint32_t to = row[c];
            if (!to) {
                row[c] = fail_row[c]; /* of the start: itself, still 0 */
                continue;
            }
            struct state *s = &m->states[to];
            s->fail = at ? fail_row[c] : 0;
            if (s->match == NONE)
                s->match = m->states[s->fail].match;
            queue[tail++] = to;
        }
    }
    free(queue);
    return 0;
}

int stop_matcher_new(const struct str *strings, size_t n, struct stop_matcher **ret)
{
    size_t total = 0;
    for (size_t i = 0; i < n; i++) {
        if (strings[i].n > CELLS_MAX - total)
            return ERR_LIMIT;
        total += strings[i].n;
    }
    if (n > CELLS_MAX)
        return ERR_LIMIT;
    struct stop_matcher *m = calloc(1, sizeof(*m));
    if (!m)
        return ERR_NOMEM;
    find_classes(m, strings, n);
    int rc = (total + 1) * m->classes > CELLS_MAX ? ERR_LIMIT : allocate(m, strings, n, total);
    if (!rc) {
        m->states[m->states_n++].match = NONE;
        for (size_t i = 0; i < n; i++)
            add_string(m, (int32_t)i);
        rc = fill_in(m);
    }
    if (rc) {
        stop_matcher_free(m);
        return rc;
    }
    *ret = m;
    return 0;
}

int stop_matcher_feed(const struct stop_matcher *m, uint32_t *state, struct str text, size_t *ret_end)
{
    uint32_t at = *state;
    for (size_t i = 0; i < text.n; i++) {
        at = m->next[(size_t)at * m->classes + m->class_of[(uint8_t)text.p[i]]];
        if (m->states[at].match != NONE) {
            *state = 0;
            *ret_end = i + 1;
            return m->states[at].match;
        }
    }
    *state = at;
    return -1;
}

size_t stop_matcher_pending(const struct stop_matcher *m, uint32_t state)
{
    return m->states[state].depth;
}

struct str stop_matcher_string(const struct stop_matcher *m, int i)
{
    return m->strings[i];
}
