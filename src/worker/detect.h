/* worker/detect.h -- from an engine's answers to what the gateway knows about it: pure, no I/O
 *
 *   /v1/models, /version, /server_info, /model_info  --detect_runtime--> which engine      (spec control-plane 9.4)
 *                                                    --detect_spec-----> labels, model ids (9.5, 9.6)
 *
 * Answers are an engine's own words: anything in them may be missing, of another type, or huge. What is not understood is left out.
 * Bounds: DETECT_LABELS_MAX labels, DETECT_VALUE_MAX bytes each, DETECT_MODELS_MAX models.
 */
#pragma once

#include "json/json.h"
#include "worker/worker.h"

#define DETECT_LABELS_MAX 64   /* discovered ones; those of the spec come on top */
#define DETECT_VALUE_MAX  1024 /* bytes; a longer value is left out */
#define DETECT_MODELS_MAX 64
#define DETECT_DP_MAX     1024 /* data-parallel ranks of one engine */

struct detect_answer {
    int status;      /* HTTP status; negative enum err_code; 0 = not asked */
    struct str body; /* borrowed */
};

struct detect_answers {
    struct detect_answer models, version, server_info, model_info;
};

/* The owner named by the first entry of /v1/models, or RUNTIME_UNSPECIFIED. */
enum worker_runtime detect_owner(const struct detect_answer *models);

/* As far as the answers tell; RUNTIME_UNSPECIFIED when they do not. */
enum worker_runtime detect_runtime(const struct detect_answers *a);

/* May a worker with this (detected) description be split into data-parallel ranks? 0, or ERR_INVALID with the reason of spec control-plane 9.7 in *ERR. */
int detect_check_dp(const struct worker_spec *spec, struct err *err) _must_check_;

/* SUBMITTED with what the answers add: runtime, labels, models, dp_size, aliases (ALIASES: pairs alias, canonical). Strings in ARENA or of SUBMITTED. 0 or ERR_NOMEM. */
int detect_spec(const struct worker_spec *submitted, const struct detect_answers *a, const struct str *aliases, size_t aliases_n,
                struct arena *arena, struct worker_spec *ret) _must_check_;
