/* worker/external.h -- workers that are providers on the network instead of engines of ours (spec control-plane 9.2, 9.8): pure, no I/O
 *
 *   URL or `runtime` --external_classify--> is it one, and whose?      key --external_key--> what its models are asked with
 *   GET /v1/models   --external_models----> model cards, dated releases as aliases of their family
 *
 * Answers are a provider's own words: what is not understood is left out. Bounds: EXTERNAL_MODELS_MAX ids of at most EXTERNAL_ID_MAX bytes.
 */
#pragma once

#include "json/json.h"
#include "worker/worker.h"

#define EXTERNAL_MODELS_MAX 2048 /* ids; aggregators list several hundred */
#define EXTERNAL_ID_MAX     256  /* bytes; a longer id is left out */
#define EXTERNAL_BODY_MAX   (4u << 20)

/* Sets the runtime of a spec whose host belongs to a provider and that names no runtime, and the provider of an external one that names none. */
void external_classify(struct worker_spec *spec);

/* The canonical name of the provider whose host is in URL ("openai", "xai", "anthropic", "gemini"), or {NULL, 0}. */
struct str external_provider_of(struct str url);

/* What the models of an external worker are asked with: the admin key of its host's provider (OPENAI_ADMIN_KEY, XAI_ADMIN_KEY, ANTHROPIC_ADMIN_KEY,
 * GEMINI_ADMIN_KEY), else the worker's own, else empty. The environment's keys go to their provider's hosts only. */
struct str external_key(const struct worker_spec *spec);

/* Cards from the body of /v1/models: 0 and *RET of *RET_N cards (ordered by id); ERR_NOT_FOUND: it names no model; ERR_NOMEM. Everything in ARENA. */
int external_models(struct str body, struct arena *arena, struct model_card **ret, size_t *ret_n) _must_check_;
