/* tests/fuzz/jwks.c -- any text as a key set: a set that was taken keeps its promises, and its keys refuse a signature that nobody made */
#include <stdlib.h>

#include "auth/jwk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char ZEROS[256];
    struct key_set *s = NULL;
    struct err err = { 0 };
    char *copy = malloc(size ? size : 1);
    int r;

    expect(copy != NULL);
    memcpy(copy, data, size);
    r = key_set_parse((struct str){ copy, size }, &s, &err);
    free(copy); /* a set holds nothing of its text */
    if (r < 0) {
        expect(s == NULL && err.message[0] != 0);
        return 0;
    }
    expect(s->n > 0 && s->n <= KEY_SET_KEYS_MAX);
    for (size_t i = 0; i < s->n; i++) {
        const struct jwk *k = &s->keys[i];

        expect(k->kid.n > 0 && (k->key != NULL) == (k->algorithm != NULL) && (k->key || k->reason.n > 0));
        expect(key_set_find(s, k->kid) == k);
        if (k->key && k->algorithm && i < 4)
            expect(jwk_verify(k, STR("text"), (struct str){ ZEROS, strcmp(jwk_algorithm(k), "EdDSA") == 0 ? 65u : 256u }) < 0);
    }
    key_set_free(s);
    return 0;
}
