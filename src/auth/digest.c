#include "auth/digest.h"

int digest_init(struct digest *d)
{
    *d = (struct digest){ .state = EVP_MD_CTX_new(), .sha256 = EVP_MD_fetch(NULL, "SHA256", NULL) };
    if (d->state && d->sha256)
        return 0;
    digest_fini(d);
    return ERR_NOMEM;
}

void digest_fini(struct digest *d)
{
    EVP_MD_CTX_free(d->state);
    EVP_MD_free(d->sha256);
    *d = (struct digest){ 0 };
}

bool digest_of(struct digest *d, struct str bytes, struct digest_value *ret)
{
    struct digest_value v;

    if (EVP_DigestInit_ex2(d->state, d->sha256, NULL) != 1 || EVP_DigestUpdate(d->state, bytes.p, bytes.n) != 1 ||
        EVP_DigestFinal_ex(d->state, (unsigned char *)v.w, NULL) != 1)
        return false;
    *ret = v;
    return true;
}

void digest_hex(const struct digest_value *v, char out[DIGEST_BYTES * 2])
{
    static const char HEX[] = "0123456789abcdef";
    const unsigned char *bytes = (const unsigned char *)v->w;

    for (size_t i = 0; i < DIGEST_BYTES; i++) {
        out[2 * i] = HEX[bytes[i] >> 4];
        out[2 * i + 1] = HEX[bytes[i] & 15];
    }
}
