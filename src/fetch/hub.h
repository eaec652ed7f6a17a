/* fetch/hub.h -- models of the Hugging Face hub: the tokenizer files of one revision, in the cache that Python's huggingface_hub keeps
 *
 *   "org/name[@revision]" --hub_fetch--> the cache believed? --yes------------------------------------------------> a folder with tokenizer files
 *                                              | no                                                                        ^
 *                                              v                                                                           |
 *                         the hub: which files (hub_list) --> their etags and sizes --> bytes (hub_file) --> blobs, links, ref (hub_cache)
 *                                              | offline, unreachable, refused                                              |
 *                                              +--> what the cache has, when it is a tokenizer at all (HUB_FALLBACK) -------+
 *
 * The cache is shared: vLLM, SGLang and transformers on the same machine read and write the same folders, take the same locks, and none fetches what another has (docs/hub.md draws it).
 *
 * When the cache is believed without asking anybody (decision 16). The commit is the revision itself when that has 40 hexadecimal digits, else what refs/REVISION says. Its snapshot
 * is believed when
 *   - the network is forbidden (HF_HUB_OFFLINE), and the snapshot has a tokenizer: whatever is there is what there is; or
 *   - nothing that we would read is unknown: a tokenizer is there, each of tokenizer_config.json, config.json and generation_config.json is there or known not to exist, and so is
 *     the chat template (a member of tokenizer_config.json, chat_template.json, any .jinja). "Known not to exist" is an empty file .no_exist/COMMIT/NAME, as huggingface_hub and we leave it.
 * So a model that was loaded once loads without network ever after, and a branch that moves on the hub is not followed until its ref moves (`hf download`, or the ref removed).
 *
 * Blocking: for the blocking pool (loop/pool.h), never on a loop. Any number of calls on any threads at a time; those that want the same file wait for each other by its lock, as other processes do.
 * What is trusted: nothing that comes over the network. Names are checked before they touch the disk (hub_list.h), sizes before and while bytes come, SHA-256 or git hashes when the
 * etag is one; a blob is seen under its name only when it is whole. The token goes to the endpoint's own origin only, and into no message.
 * Bounds: HUB_FILES_MAX files of file_bytes_max bytes, a list of HUB_LIST_BYTES_MAX bytes; `attempts` per request, with pauses; every wait ends within a second of *cancel.
 * Read next: hub.c (the order of things), hub_file.h (one file), hub_cache.h (the folders), hub_http.h (one request).
 */
#pragma once

#include <stdatomic.h>

#include "base/err.h"
#include "base/str.h"

#define HUB_FILES_MAX      256u        /* wanted files of one revision; the largest tokenizers have about a dozen */
#define HUB_LIST_BYTES_MAX (16u << 20) /* the model's description; 100,000 names fit */
#define HUB_COMMIT_MAX     65u         /* bytes with the NUL: a SHA-1, or one day a SHA-256 */

struct hub_config {
    char *endpoint; /* owned; http or https, no slash at its end */
    char *cache;    /* owned; the folder of models--ORG--NAME folders */
    char *token;    /* owned; secret; NULL = none */
    char *ca_file;  /* owned; PEM in place of the system's authorities; NULL = the system's */
    bool offline;
    bool copies; /* snapshots hold copies in place of symbolic links */

    uint64_t file_bytes_max;
    uint32_t connect_ms; /* name and handshakes */
    uint32_t stall_s;    /* no byte for so long = the connection is dead */
    uint32_t lock_s;     /* how long another process may hold a file's lock */
    uint32_t
        backoff_ms; /* the first pause; each further one is twice as long, at most 16 times, and up to a quarter longer by chance */
    uint32_t retry_after_max_s; /* a longer Retry-After fails at once */
    unsigned attempts;          /* at least 1; a download that got a megabyte further begins to count again */
};

/* From the environment, with defaults for the rest: HF_ENDPOINT; HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE, HF_HOME/hub, XDG_CACHE_HOME or HOME; HF_TOKEN, HUGGING_FACE_HUB_TOKEN, the file
 * HF_TOKEN_PATH or HF_HOME/token; HF_HUB_OFFLINE, TRANSFORMERS_OFFLINE; HF_HUB_DISABLE_SYMLINKS; REQUESTS_CA_BUNDLE, SSL_CERT_FILE. docs/hub.md has the table.
 * 0; ERR_INVALID (the message names the variable, and a token's value never), ERR_NOMEM: then *RET is zeroed. */
int hub_config_from_env(struct hub_config *ret, struct err *err) _must_check_;
void hub_config_fini(struct hub_config *c); /* wipes the token; a zeroed one is fine */

enum hub_phase { HUB_IDLE, HUB_LOOKING, HUB_LISTING, HUB_ASKING, HUB_DOWNLOADING, HUB_CHECKING, HUB_WAITING, HUB_DONE, HUB_FAILED };

/* What a status page may look at while it runs; zeroed by its owner before. One writer, any readers; each number is right by itself (relaxed). */
struct hub_progress {
    _Atomic int phase; /* enum hub_phase */
    _Atomic unsigned files_done, files_total;
    _Atomic uint64_t bytes_done, bytes_total; /* of the files that had to be fetched; the total is whole from HUB_DOWNLOADING on */
};

const char *hub_phase_text(enum hub_phase phase); /* "downloading", ... */

enum hub_origin {
    HUB_CACHED,   /* nobody was asked */
    HUB_FETCHED,  /* the hub was asked; what was missing came from there */
    HUB_FALLBACK, /* the hub could not be asked; `why` says why: to be logged as a warning */
};

struct hub_snapshot {
    char *dir; /* owned: free(); the folder that holds the tokenizer files: the snapshot, or the one sub-folder of it that does */
    char commit[HUB_COMMIT_MAX];
    enum hub_origin origin;
    struct err why; /* HUB_FALLBACK only */
};

/* PROGRESS and CANCEL may be NULL; CANCEL is read by this thread and set by any. 0, or a code of ours with a whole message ("Failed to download tokenizer from HuggingFace: ..."): ERR_INVALID (the name),
 * ERR_NOT_FOUND (model, revision, tokenizer files), ERR_LIMIT, ERR_CANCELLED, ERR_UNSUPPORTED (no libcurl), ERR_PROTOCOL (bad bytes, bad answers), ERR_IO (the disk), and the network's. */
int hub_fetch(const struct hub_config *c, struct str source, struct hub_progress *progress, const _Atomic bool *cancel,
              struct hub_snapshot *ret, struct err *err) _must_check_;
