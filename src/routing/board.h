/* routing/board.h -- what a loop keeps about a list of candidates, so that a choice among thousands costs no more than one among a few
 *
 *   dispatch/ makes a list of candidates --board_reset--> the board is empty --first question--> built, O(n)
 *
 * Two questions: where in the list is the worker with this number, and who is least loaded?
 * Up to BOARD_EXACT candidates everybody is looked at each time. In a longer list the least loaded sixteenth is found in one look at all and then used up one after the
 * other; the look is repeated when they are used up, after as many questions as they are, or after BOARD_STALE_US. So a choice costs about sixteen looks whatever
 * the length, and loads are as old as that at the most. One of the sixteenth who got more load since is passed over.
 * Owner:    the list's owner; a policy gets it with the hint (policy.h). Threads: the list's loop.
 * Memory:   some 12 bytes per candidate, kept until board_fini; made when a list was made anew, never for a request.
 */
#pragma once

#include "worker/worker.h"

#define BOARD_EXACT    64
#define BOARD_STALE_US 10000

struct board_row {
    int64_t load;
    uint64_t processed;
    uint32_t at; /* in the list */
};

struct policy_board {
    bool built;
    size_t n;                    /* candidates */
    uint32_t *places;            /* owned: number << 16 | place in the list, hashed by number; 0 = free */
    size_t places_n, places_cap; /* powers of two */
    struct board_row *idle;      /* owned: the least loaded ones at the last look, in order */
    size_t idle_n, idle_cap, used;
    size_t asked;       /* questions since the last look */
    uint64_t looked_us; /* 0 = never */
    bool shadow;        /* whose loads they are */
    int64_t load_max;
    double usage_min, usage_max; /* of those that report; usage_max < 0: nobody does */
};

/* What there is to know about all candidates at once. */
struct board_view {
    int min; /* the least loaded one by (load, processed, place) */
    int64_t load_min, load_max;
    double usage_min, usage_max; /* kv_usage of those that report; usage_max < 0: nobody does */
};

/* The list has changed. */
static inline void board_reset(struct policy_board *b)
{
    b->built = false;
}
void board_fini(struct policy_board *b);

/* Ready to be asked about CAND? False: memory is out, or there are more than 65535; then the caller looks itself. */
bool board_ready(struct policy_board *b, const struct worker *const *cand, size_t n);

/* The place of the candidate with this number, or -1. */
static inline int board_place(const struct policy_board *b, uint16_t number)
{
    for (size_t i = number & (b->places_n - 1);; i = (i + 1) & (b->places_n - 1)) {
        uint32_t p = b->places[i];

        if (p >> 16 == number)
            return (int)(p & 0xffff);
        if (!p)
            return -1;
    }
}

/* SHADOW: loads are those of shadow choices (policy_load). */
void board_look(struct policy_board *b, const struct worker *const *cand, size_t n, bool shadow, uint64_t now_us,
                struct board_view *ret);
/* The view's least loaded one was chosen. */
static inline void board_use_min(struct policy_board *b)
{
    if (b->used < b->idle_n)
        b->used++;
}

/* The same without a board, O(n). */
void board_look_at_all(const struct worker *const *cand, size_t n, bool shadow, struct board_view *ret);
