/* tests/tokenizer/tokenizer_probe.c -- the tokenizer library for a program that is not C: tokenizer_probe FOLDER [--config]
 *
 *   stdin:   frames: kind (1 byte), flags (1 byte), length (4 bytes, little-endian), payload
 *   stdout:  answers in the same order; all numbers are 4 bytes, little-endian
 *
 *   'E'  text -> code, n, n ids.  Flags: 1 with specials, 2 once more by an encoder that remembers nothing (answers CODE_DIFFERS when its ids are others)
 *   'D'  ids  -> code, n, n bytes: the decoded text; m, m bytes: the same ids, one at a time, with the flush; k: how many pieces of the stream were not whole characters
 *               Flags: 1 skip special tokens
 *
 *   'F'  -> nothing: everything answered so far goes out
 *
 * A code below zero is an enum err_code; then n is the length of the message that follows.
 */
#include "text/tokenizer/detokenizer.h"

#include "tests/tokenizer/load_folder.h"

#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>

#define CACHE_BYTES  (4u << 20)
#define CODE_DIFFERS (-1000)

struct probe {
    const struct tokenizer *t;
    struct tokenizer_encoder *warm;
    struct ids ids, again;
    struct buf text, streamed;
};

static void put_u32(uint32_t v)
{
    fwrite(&v, sizeof(v), 1, stdout);
}

static void put_bytes(const void *p, size_t n)
{
    if (n)
        fwrite(p, 1, n, stdout);
}

static void put_failure(int code, struct str message)
{
    put_u32((uint32_t)code);
    put_u32((uint32_t)message.n);
    put_bytes(message.p, message.n);
}

static void encode(struct probe *p, struct str text, uint8_t flags)
{
    struct err err = { 0 };
    ids_clear(&p->ids);
    int r = tokenizer_encode(p->warm, text, flags & 1 ? ENCODE_SPECIALS : 0, &p->ids, &err);
    if (r < 0) {
        put_failure(r, str_of(err.message));
        return;
    }
    if (flags & 2) {
        struct tokenizer_encoder *cold;
        ids_clear(&p->again);
        if (tokenizer_encoder_new(p->t, 0, &cold) < 0)
            abort();
        r = tokenizer_encode(cold, text, flags & 1 ? ENCODE_SPECIALS : 0, &p->again, &err);
        tokenizer_encoder_free(cold);
        if (r < 0 || p->again.n != p->ids.n || (p->ids.n && memcmp(p->again.v, p->ids.v, p->ids.n * sizeof(uint32_t)) != 0)) {
            put_failure(CODE_DIFFERS, STR("with and without a cache the ids are not the same"));
            return;
        }
    }
    put_u32(0);
    put_u32((uint32_t)p->ids.n);
    put_bytes(p->ids.v, p->ids.n * sizeof(uint32_t));
}

static void decode(struct probe *p, const uint32_t *ids, size_t n, bool skip)
{
    struct err err = { 0 };
    buf_clear(&p->text);
    buf_clear(&p->streamed);
    int r = tokenizer_decode(p->t, ids, n, skip, &p->text, &err);
    if (r < 0) {
        put_failure(r, str_of(err.message));
        return;
    }
    struct detokenizer d;
    uint32_t broken = 0;
    detokenizer_init(&d, p->t, skip);
    for (size_t i = 0; i <= n; i++) {
        size_t before = p->streamed.n;
        r = i < n ? detokenizer_put(&d, ids[i], &p->streamed) : detokenizer_flush(&d, &p->streamed);
        if (r < 0)
            abort();
        broken += !utf8_valid(str_skip(buf_str(&p->streamed), before));
    }
    detokenizer_fini(&d);
    put_u32(0);
    put_u32((uint32_t)p->text.n);
    put_bytes(p->text.p, p->text.n);
    put_u32((uint32_t)p->streamed.n);
    put_bytes(p->streamed.p, p->streamed.n);
    put_u32(broken);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: tokenizer_probe FOLDER [--config]\n");
        return 2;
    }
    struct load_folder folder = { 0 };
    struct probe p = { 0 };
    struct tokenizer *t;
    struct err err = { 0 };
    load_folder_read(&folder, argv[1], argc > 2 && strcmp(argv[2], "--config") == 0);
    int r = tokenizer_load(&folder.files, &TOKENIZER_LIMITS_DEFAULT, &t, &err);
    load_folder_fini(&folder);
    if (r < 0) {
        fprintf(stderr, "tokenizer_probe: %s: %s\n", argv[1], err.message);
        return 1;
    }
    p.t = t;
    if (tokenizer_encoder_new(t, CACHE_BYTES, &p.warm) < 0)
        abort();

    uint8_t head[6];
    uint32_t cap = 0;
    char *payload = NULL;
    while (fread(head, 1, sizeof(head), stdin) == sizeof(head)) {
        uint32_t n;
        memcpy(&n, head + 2, sizeof(n));
        if (n > cap || !payload) {
            free(payload);
            cap = n ? n : 1;
            payload = malloc(cap);
            if (!payload)
                abort();
        }
        if (fread(payload, 1, n, stdin) != n)
            break;
        if (head[0] == 'E')
            encode(&p, (struct str){ payload, n }, head[1]);
        else if (head[0] == 'F')
            fflush(stdout);
        else
            decode(&p, (const uint32_t *)(void *)payload, n / sizeof(uint32_t), head[1] & 1);
    }
    fflush(stdout);
    free(payload);
    ids_fini(&p.ids);
    ids_fini(&p.again);
    buf_fini(&p.text);
    buf_fini(&p.streamed);
    tokenizer_encoder_free(p.warm);
    tokenizer_free(t);
    return 0;
}
