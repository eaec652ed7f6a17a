#include "routing/board.h"

#include <stdlib.h>

#define ROUND 16 /* the part of a long list that one look finds the least loaded of, and its price per choice */

static int64_t load_of(const struct worker *w, bool shadow)
{
    return atomic_load_explicit(shadow ? &w->live->shadow_load : &w->live->load, memory_order_relaxed);
}

static uint64_t processed_of(const struct worker *w)
{
    return atomic_load_explicit(&w->live->processed, memory_order_relaxed);
}

void board_fini(struct policy_board *b)
{
    free(b->places);
    free(b->idle);
    *b = (struct policy_board){ 0 };
}

static bool reserve(struct policy_board *b, size_t places, size_t idle)
{
    if (places > b->places_cap) {
        uint32_t *grown = reallocarray(b->places, places, sizeof(*grown));

        if (!grown)
            return false;
        b->places = grown;
        b->places_cap = places;
    }
    if (idle > b->idle_cap) {
        struct board_row *grown = reallocarray(b->idle, idle, sizeof(*grown));

        if (!grown)
            return false;
        b->idle = grown;
        b->idle_cap = idle;
    }
    return true;
}

bool board_ready(struct policy_board *b, const struct worker *const *cand, size_t n)
{
    size_t places = 4;

    if (_likely_(b->built && b->n == n))
        return true;
    while (places < n * 2)
        places *= 2;
    if (n > UINT16_MAX || !reserve(b, places, n > BOARD_EXACT ? n : 0))
        return false;
    b->places_n = places;
    memset(b->places, 0, places * sizeof(*b->places));
    for (size_t at = 0; at < n; at++) {
        uint16_t number = cand[at]->live->number;
        size_t i = number & (places - 1);

        if (!number)
            continue;
        while (b->places[i])
            i = (i + 1) & (places - 1);
        b->places[i] = (uint32_t)number << 16 | (uint32_t)at;
    }
    b->n = n;
    b->idle_n = b->used = b->asked = 0;
    b->looked_us = 0;
    b->built = true;
    return true;
}

static void add_usage(const struct worker *w, double *min, double *max)
{
    double usage;

    if (!atomic_load_explicit(&w->live->report.at_us, memory_order_relaxed))
        return;
    usage = atomic_load_explicit(&w->live->report.kv_usage, memory_order_relaxed);
    *min = MIN(*min, usage);
    *max = MAX(*max, usage);
}

void board_look_at_all(const struct worker *const *cand, size_t n, bool shadow, struct board_view *ret)
{
    uint64_t processed_min = 0;

    *ret = (struct board_view){ .min = -1, .usage_min = 2, .usage_max = -1 };
    for (size_t i = 0; i < n; i++) {
        int64_t load = load_of(cand[i], shadow);

        if (ret->min < 0 || load < ret->load_min || (load == ret->load_min && processed_of(cand[i]) < processed_min)) {
            ret->min = (int)i;
            ret->load_min = load;
            processed_min = processed_of(cand[i]);
        }
        ret->load_max = i == 0 ? load : MAX(ret->load_max, load);
        add_usage(cand[i], &ret->usage_min, &ret->usage_max);
    }
}

static int compare_rows(const void *a, const void *b)
{
    const struct board_row *x = a, *y = b;

    if (x->load != y->load)
        return x->load < y->load ? -1 : 1;
    if (x->processed != y->processed)
        return x->processed < y->processed ? -1 : 1;
    return x->at < y->at ? -1 : x->at > y->at;
}

static void swap_rows(struct board_row *a, struct board_row *b)
{
    struct board_row t = *a;

    *a = *b;
    *b = t;
}

/* The least K of the N rows come to the front, in any order (Hoare's selection; the pivot is the middle one of three). */
static void select_rows(struct board_row *rows, size_t n, size_t k)
{
    while (n > k && n > 2) {
        struct board_row pivot;
        size_t i = 0, j = n - 1, mid = n / 2;

        if (compare_rows(&rows[mid], &rows[0]) < 0)
            swap_rows(&rows[mid], &rows[0]);
        if (compare_rows(&rows[j], &rows[0]) < 0)
            swap_rows(&rows[j], &rows[0]);
        if (compare_rows(&rows[j], &rows[mid]) < 0)
            swap_rows(&rows[j], &rows[mid]);
        pivot = rows[mid];
        for (;;) {
            while (compare_rows(&rows[i], &pivot) < 0)
                i++;
            while (compare_rows(&rows[j], &pivot) > 0)
                j--;
            if (i >= j)
                break;
            swap_rows(&rows[i++], &rows[j--]);
        }
        if (j + 1 >= k) {
            n = j + 1;
            if (n == k)
                return;
        } else {
            rows += j + 1;
            n -= j + 1;
            k -= j + 1;
        }
    }
    if (n == 2 && k == 1 && compare_rows(&rows[1], &rows[0]) < 0)
        swap_rows(&rows[0], &rows[1]);
}

static void look(struct policy_board *b, const struct worker *const *cand, size_t n, bool shadow, uint64_t now_us)
{
    b->load_max = INT64_MIN;
    b->usage_min = 2;
    b->usage_max = -1;
    for (size_t i = 0; i < n; i++) {
        int64_t load = load_of(cand[i], shadow);

        b->idle[i] = (struct board_row){ .load = load, .processed = processed_of(cand[i]), .at = (uint32_t)i };
        b->load_max = MAX(b->load_max, load);
        add_usage(cand[i], &b->usage_min, &b->usage_max);
    }
    b->idle_n = MAX((size_t)BOARD_EXACT / 2, n / ROUND);
    select_rows(b->idle, n, b->idle_n);
    qsort(b->idle, b->idle_n, sizeof(*b->idle), compare_rows);
    b->used = b->asked = 0;
    b->shadow = shadow;
    b->looked_us = now_us + 1;
}

void board_look(struct policy_board *b, const struct worker *const *cand, size_t n, bool shadow, uint64_t now_us,
                struct board_view *ret)
{
    if (n <= BOARD_EXACT) {
        board_look_at_all(cand, n, shadow, ret);
        return;
    }
    for (; b->used < b->idle_n; b->used++) /* others have chosen him, too */
        if (load_of(cand[b->idle[b->used].at], shadow) <= b->idle[b->used].load)
            break;
    if (b->used >= b->idle_n || ++b->asked > b->idle_n || now_us >= b->looked_us + BOARD_STALE_US || b->shadow != shadow)
        look(b, cand, n, shadow, now_us);
    *ret = (struct board_view){
        .min = (int)b->idle[b->used].at,
        .load_min = load_of(cand[b->idle[b->used].at], shadow),
        .load_max = b->load_max,
        .usage_min = b->usage_min,
        .usage_max = b->usage_max,
    };
}
