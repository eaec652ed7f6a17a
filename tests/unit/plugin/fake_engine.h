/* fake_engine.h -- an engine whose plugins are words: what the chain and the registry do is tested without a runtime
 *
 * The bytes of a module are "fake:" and a behaviour: continue, stamp, reject, trap, slow, wait, body. Those that begin with "async-" pause and are answered by fake_answer on the test's
 * thread. Those that begin with "quick-" may be called on a loop, where "quick-long-" is suspended first. The first eight bytes are those of a component.
 */
#pragma once

#include "test.h"

#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "plugin/table.h"

#define FAKE_MAGIC "\0asm\r\0\1\0"

struct fake_code {
    char behaviour[64];
};

static struct fake {
    struct plugin_engine engine;
    _Atomic unsigned compiled, released, called, cancelled, on_loop;
    struct plugin_call *_Atomic paused; /* the one that waits for its answer */
    sem_t gate;                         /* "wait" waits here */
    _Atomic unsigned at_gate;
    char seen[256]; /* the body and the header x-o that the last call got */
    bool refuse_cancel;
} fake;

static int fake_compile(struct plugin_engine *e, struct str name, struct str bytes, void **ret_code, unsigned *ret_points,
                        struct err *err)
{
    struct fake_code *code;
    struct str word = bytes.n > 8 ? str_skip(bytes, 8) : STR_NONE;

    (void)e;
    (void)name;
    if (!str_has_prefix(bytes, STR(FAKE_MAGIC)) || !str_has_prefix(word, STR("fake:")))
        return err_set(err, ERR_INVALID, "bad magic");
    code = calloc(1, sizeof(*code));
    if (!code)
        return err_set(err, ERR_NOMEM, "no memory");
    snprintf(code->behaviour, sizeof code->behaviour, "%.*s", STR_FMT(str_skip(word, 5)));
    atomic_fetch_add(&fake.compiled, 1);
    *ret_code = code;
    *ret_points = strstr(code->behaviour, "onlyreq") ? 1u << PLUGIN_ON_REQUEST : 7;
    return 0;
}

static void fake_release(struct plugin_engine *e, void *code)
{
    (void)e;
    atomic_fetch_add(&fake.released, 1);
    free(code);
}

static struct wasm_header STAMP[] = { { STR_INIT("x-o"), STR_INIT("stamped") } };

/* What BEHAVIOUR answers. */
static void fake_do(struct plugin_call *c, const char *behaviour)
{
    struct str body = c->point == PLUGIN_ON_REQUEST ? c->request.body : c->response.body;

    snprintf(fake.seen, sizeof fake.seen, "%.*s", STR_FMT(body));
    if (strcmp(behaviour, "stamp") == 0)
        c->action = (struct wasm_action){ .type = WASM_MODIFY, .set = { STAMP, 1 } };
    else if (strcmp(behaviour, "body") == 0)
        c->action = (struct wasm_action){ .type = WASM_MODIFY, .has_body = true, .body = STR("replaced") };
    else if (strcmp(behaviour, "large") == 0)
        c->action = (struct wasm_action){ .type = WASM_MODIFY, .has_body = true, .body = { "x", 1u << 30 } };
    else if (strcmp(behaviour, "reject") == 0)
        c->action = (struct wasm_action){ .type = WASM_REJECT, .status = 429 };
    else if (strcmp(behaviour, "trap") == 0)
        c->status = err_set(&c->err, ERR_INVALID, "unreachable");
}

static enum plugin_progress fake_call(struct plugin_engine *e, struct plugin_call *c)
{
    const struct fake_code *code = c->code;
    const char *behaviour = code->behaviour;

    (void)e;
    atomic_fetch_add(&fake.called, 1);
    if (strcmp(behaviour, "wait") == 0) {
        atomic_fetch_add(&fake.at_gate, 1);
        while (sem_wait(&fake.gate) < 0)
            ;
    }
    atomic_fetch_add(&fake.on_loop, c->on_loop);
    if (strncmp(behaviour, "quick-long-", 11) == 0 && c->on_loop) {
        c->engine_data = c;
        atomic_store(&fake.paused, c);
        return PLUGIN_SUSPENDED;
    }
    if (strncmp(behaviour, "quick-", 6) == 0) {
        atomic_store(&fake.paused, NULL);
        behaviour += strncmp(behaviour, "quick-long-", 11) == 0 ? 11 : 6;
    }
    if (strncmp(behaviour, "async-", 6) == 0) {
        c->engine_data = (void *)(behaviour + 6);
        atomic_store(&fake.paused, c);
        if (strcmp(behaviour, "async-early") == 0) { /* it is answered before the thread is back */
            atomic_store(&fake.paused, NULL);
            c->resume(c);
        }
        return PLUGIN_PAUSED;
    }
    fake_do(c, behaviour);
    return PLUGIN_ANSWERED;
}

static bool fake_cancel(struct plugin_engine *e, struct plugin_call *c)
{
    struct plugin_call *expected = c;

    (void)e;
    if (fake.refuse_cancel)
        return false;
    atomic_fetch_add(&fake.cancelled, 1);
    return atomic_compare_exchange_strong(&fake.paused, &expected, NULL);
}

static bool fake_suspends(struct plugin_engine *e, const void *code)
{
    (void)e;
    return strncmp(((const struct fake_code *)code)->behaviour, "quick-", 6) == 0;
}

/* On any thread. */
static inline void fake_answer(void)
{
    struct plugin_call *c = atomic_exchange(&fake.paused, NULL);

    assert_non_null(c);
    fake_do(c, c->engine_data);
    c->resume(c);
}

static inline void fake_init(void)
{
    memset(&fake, 0, sizeof fake);
    sem_init(&fake.gate, 0, 0);
    fake.engine = (struct plugin_engine){
        .compile = fake_compile, .release = fake_release, .call = fake_call, .cancel = fake_cancel, .suspends = fake_suspends
    };
}

static inline void fake_fini(void)
{
    assert_int_equal(atomic_load(&fake.compiled), atomic_load(&fake.released));
    sem_destroy(&fake.gate);
}

static inline struct plugin_descriptor fake_descriptor(const char *name, const int *attach, size_t n)
{
    return (struct plugin_descriptor){ .name = str_of(name), .path = STR("/x/y.wasm"), .attach = attach, .attach_n = n };
}
