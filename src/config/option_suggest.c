/* config/option_suggest.c -- "did you mean": the known spelling that is nearest to an unknown one
 *
 * Distance: insertions, deletions, replacements and swaps of neighbours ("optimal string alignment"); "_" and "-" are the same letter here. A beginning
 * that only one option has is a hint, too.
 */
#include "config/option_internal.h"

#define NAME_MAX_LEN 64 /* longer spellings are not guessed */

static bool same_letter(char a, char b)
{
    return (a == '_' ? '-' : a) == (b == '_' ? '-' : b);
}

static unsigned distance(struct str a, struct str b)
{
    unsigned rows[3][NAME_MAX_LEN + 1];
    unsigned *before = rows[0], *above = rows[1], *here = rows[2];

    for (unsigned j = 0; j <= b.n; j++)
        above[j] = j;
    for (unsigned i = 1; i <= a.n; i++) {
        unsigned *free_row = before;

        here[0] = i;
        for (unsigned j = 1; j <= b.n; j++) {
            bool same = same_letter(a.p[i - 1], b.p[j - 1]);
            unsigned best = above[j - 1] + (same ? 0 : 1);

            best = MIN(best, above[j] + 1);
            best = MIN(best, here[j - 1] + 1);
            if (i > 1 && j > 1 && same_letter(a.p[i - 1], b.p[j - 2]) && same_letter(a.p[i - 2], b.p[j - 1]))
                best = MIN(best, before[j - 2] + 1);
            here[j] = best;
        }
        before = above;
        above = here;
        here = free_row;
    }
    return above[b.n];
}

struct search {
    struct str wrong;
    const char *nearest, *completion;
    unsigned nearest_distance, completions;
};

static void consider(struct search *s, const char *spelling)
{
    struct str name = str_of(spelling);
    unsigned d;

    if (!spelling || !str_has_prefix(name, STR("--")) || name.n > NAME_MAX_LEN)
        return;
    if (s->wrong.n > 3 && str_has_prefix(name, s->wrong)) {
        s->completion = spelling;
        s->completions++;
    }
    if ((name.n > s->wrong.n ? name.n - s->wrong.n : s->wrong.n - name.n) >= s->nearest_distance)
        return; /* that many insertions alone are too many */
    d = distance(s->wrong, name);
    if (d < s->nearest_distance) {
        s->nearest_distance = d;
        s->nearest = spelling;
    }
}

const char *option_suggest(const struct option_table *table, struct str wrong)
{
    struct search s = { .wrong = wrong };

    if (wrong.n < 3 || wrong.n > NAME_MAX_LEN)
        return NULL;
    s.nearest_distance = (unsigned)MAX(1, (wrong.n - 2) / 4) + 1; /* one slip per four letters */
    for (size_t i = 0; i < table->options_n; i++) {
        const struct option *o = &table->options[i];

        consider(&s, o->name);
        consider(&s, o->file);
        for (size_t k = 0; k < ARRAY_LEN(o->aliases); k++)
            consider(&s, o->aliases[k]);
    }
    return s.nearest ? s.nearest : s.completions == 1 ? s.completion : NULL;
}
