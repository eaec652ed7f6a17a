/* dispatch/pair_internal.h -- one pair's state, for pair.c (its life) and pair_fail.c (what goes wrong) */
#pragma once

#include "dispatch/pair.h"
#include "dispatch/pair_body.h"
#include "dispatch/pair_reply.h"

enum pair_step { PAIR_NEW, PAIR_SENT, PAIR_REPLYING, PAIR_REFUSED, PAIR_WAITING, PAIR_DONE };

struct leg {
    struct pair *pair;
    enum policy_leg role;
    const struct worker *worker; /* reference; counted as load as long as it is here */
    const struct worker *shadow; /* of its pick, as long */
    struct key_hold key;         /* counted beside the load */
    struct http_call call;
    bool probe;                  /* the probe of its worker's breaker, which is still to be told how it went */
    bool judged;                 /* the breaker knows that it went well, so far */
    uint64_t picked_us, head_us; /* loop clock */
    unsigned status;             /* of its head; 0 = none yet */
    bool ended;                  /* its whole reply came */
};

struct pair {
    struct dispatcher *dispatcher; /* borrowed */
    struct dispatch_request request;
    struct reply_sink *sink; /* borrowed until DONE */
    enum pair_step step;     /* written by pair_enter() */
    struct str model;        /* canonical; the exchange's arena */
    struct str body;         /* what prepare() gave; the exchange's arena */
    struct leg prefill, decode;
    unsigned attempts;
    struct retry_conf retry;                       /* of the model */
    struct pair_tried tried_prefill, tried_decode; /* whom to spare: the legs that failed */
    struct timer timer;                            /* WAITING: the pause; REPLYING: after [DONE] */
    uint64_t began_us, sent_us, prefilled_us, first_part_us;

    /* of this attempt */
    enum handover handover;
    struct str runtime; /* prefill's; metric label, static */
    struct arena arena; /* owned: bodies, heads of requests, a head that waits */
    struct kv_params kv;
    struct pair_ranks ranks;
    struct http_head head;           /* decode's, while it waits; its texts are in `arena` */
    struct dispatch_failure failure; /* WAITING: what to answer when nobody is left */
    struct leg *refused;             /* REFUSED: who answered with an error */
    unsigned retry_after_s;
    struct buf gathered;              /* owned: prefill's reply, then decode's where it is merged; REFUSED: the error */
    struct buf held;                  /* owned: what came of decode's body before it could be passed on; at most one read */
    struct buf merged;                /* owned: scratch */
    size_t budgeted;                  /* bytes of the memory budget that `gathered` holds */
    struct str prefill_reply;         /* what prefill_logprobs views; owned by `arena` */
    struct prompt_logprobs *logprobs; /* arena; NULL = nothing to merge */
    struct logprob_stream merging;
    struct done_scan done;
};

static inline struct loop *pair_loop(const struct pair *p)
{
    return p->dispatcher->loop;
}

static inline uint64_t pair_now(const struct pair *p)
{
    return loop_now_us(p->dispatcher->loop);
}

/* ---- pair.c ---- */

void pair_enter(struct pair *p, enum pair_step step);
/* The one place where a leg is let go, whatever its call is doing; its worker's breaker is told how it went. */
void pair_release(struct leg *leg, enum breaker_outcome outcome);
void pair_drop_gathered(struct pair *p);
void pair_keep_fields(struct pair *p, const struct http_head *head); /* as p->head, which lives as long as the attempt */

int pair_pick_both(struct pair *p, struct dispatch_failure *failure) _must_check_; /* 0, or ERR_NOT_FOUND with *FAILURE */
void pair_take(struct pair *p, const struct pair_picked *picked);
int pair_attempt(struct pair *p) _must_check_; /* both workers are taken. 0 or a negative code: the pair must end */
void pair_finish(struct pair *p);              /* decode's reply is whole, or its stream said so. Ends the pair */

/* ---- pair_fail.c; each may end the pair: the caller's last statement ---- */

/* LEG answered with an error status: the other leg ends, the error's body is read. */
void pair_refuse(struct leg *leg, const struct http_head *head);
/* The error's body is there, or as much of it as is wanted. */
void pair_refusal_ends(struct pair *p);
/* LEG's call ended with STATUS, a negative err_code; or the leg cannot go on (ERR_NOMEM, ERR_LIMIT). */
void pair_leg_failed(struct leg *leg, int status);
void pair_give_up(struct pair *p, const struct dispatch_failure *failure, bool after_head);
