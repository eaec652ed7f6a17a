/* fetch/hub_digest.c -- SHA-256, and git's names of blobs */
#include "fetch/hub_digest.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <unistd.h>

#include "fetch/hub_list.h"

#define PART 65536 /* bytes per read */

static void md_free(EVP_MD_CTX **m)
{
    EVP_MD_CTX_free(*m);
}

/* HEAD and then the file's SIZE bytes, as lowercase hexadecimal digits with a NUL. */
static int digest(int fd, uint64_t size, const EVP_MD *kind, struct str head, char hex[2 * EVP_MAX_MD_SIZE + 1], struct err *err)
{
    _cleanup_(md_free) EVP_MD_CTX *m = EVP_MD_CTX_new();
    unsigned char value[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    char part[PART];

    if (!m || EVP_DigestInit_ex(m, kind, NULL) != 1 || EVP_DigestUpdate(m, head.p, head.n) != 1)
        return err_set(err, ERR_NOMEM, "out of memory");
    for (uint64_t at = 0; at < size;) {
        ssize_t got = pread(fd, part, MIN(sizeof part, size - at), (off_t)at);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return err_set(err, ERR_IO, "cannot be read again: %s", got < 0 ? strerrordesc_np(errno) : "it became shorter");
        if (EVP_DigestUpdate(m, part, (size_t)got) != 1)
            return err_set(err, ERR_NOMEM, "out of memory");
        at += (uint64_t)got;
    }
    if (EVP_DigestFinal_ex(m, value, &n) != 1)
        return err_set(err, ERR_NOMEM, "out of memory");
    for (unsigned i = 0; i < n; i++)
        (void)snprintf(hex + 2 * i, 3, "%02x", value[i]);
    return 0;
}

int hub_digest_check(int fd, uint64_t size, struct str etag, struct err *err)
{
    bool large = etag.n == 64;
    const EVP_MD *kind = large ? EVP_sha256() : EVP_sha1();
    char hex[2 * EVP_MAX_MD_SIZE + 1], plain[2 * EVP_MAX_MD_SIZE + 1], head[32];
    int n = snprintf(head, sizeof head, "blob %llu", (unsigned long long)size) + 1; /* git's header ends with a NUL */
    int st;

    if (!hub_is_commit(etag)) /* no hash: the same digits and lengths */
        return 0;
    st = digest(fd, size, kind, large ? STR_NONE : (struct str){ head, (size_t)n }, hex, err);
    if (st < 0 || str_eq(str_of(hex), etag))
        return st;
    if (!large) {
        st = digest(fd, size, kind, STR_NONE, plain, err);
        if (st < 0 || str_eq(str_of(plain), etag))
            return st;
    }
    return err_set(err, ERR_PROTOCOL, "the bytes are damaged: their %s is %s and should be %.*s", large ? "SHA-256" : "git hash",
                   hex, STR_FMT(etag));
}
