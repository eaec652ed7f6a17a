/* net/tls_error.c -- why a handshake or a record failed: from OpenSSL's reasons to our codes, and the counter of them
 *
 * Operators meet these texts as a worker's reason, so the frequent mistakes have codes of their own: an expired certificate, another name, an authority
 * that nobody told us about, a client certificate that is missing. Everything else is ERR_TLS.
 */
#include "net/tls_internal.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

static const struct metric_family HANDSHAKES = { .name = "smg_tls_handshakes_total",
                                                 .help = "TLS handshakes that ended, by side and result",
                                                 .type = METRIC_COUNTER,
                                                 .labels = { "side", "result" } };

struct reason {
    int number, code;
    const char *why;
};

/* X509_V_ERR_*: what we found wrong with the peer's certificate. */
static const struct reason VERIFY[] = {
    { X509_V_ERR_CERT_HAS_EXPIRED, ERR_TLS_EXPIRED, "expired" },
    { X509_V_ERR_CERT_NOT_YET_VALID, ERR_TLS_EARLY, "not_yet_valid" },
    { X509_V_ERR_HOSTNAME_MISMATCH, ERR_TLS_NAME, "wrong_name" },
    { X509_V_ERR_IP_ADDRESS_MISMATCH, ERR_TLS_NAME, "wrong_name" },
    { X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, ERR_TLS_SELF_SIGNED, "self_signed" },
    { X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, ERR_TLS_ISSUER, "unknown_authority" },
    { X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, ERR_TLS_ISSUER, "unknown_authority" },
    { X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, ERR_TLS_ISSUER, "unknown_authority" },
    { X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, ERR_TLS_ISSUER, "unknown_authority" },
};

/* SSL_R_*: what the peer said, or what it sent. */
static const struct reason SSL_REASONS[] = {
    { SSL_R_HTTP_REQUEST, ERR_PROTOCOL, "plain_http" },
    { SSL_R_UNSUPPORTED_PROTOCOL, ERR_TLS, "version" },
    { SSL_R_TLSV1_ALERT_PROTOCOL_VERSION, ERR_TLS, "version" },
    { SSL_R_WRONG_VERSION_NUMBER, ERR_TLS, "not_tls" },
    { SSL_R_NO_SHARED_CIPHER, ERR_TLS, "no_shared_cipher" },
    { SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE, ERR_TLS, "no_shared_cipher" },
    { SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE, ERR_TLS_REFUSED, "no_certificate" },
    { SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED, ERR_TLS_REFUSED, "certificate_refused" },
    { SSL_R_SSLV3_ALERT_BAD_CERTIFICATE, ERR_TLS_REFUSED, "certificate_refused" },
    { SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE, ERR_TLS_REFUSED, "certificate_refused" },
    { SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED, ERR_TLS_REFUSED, "certificate_refused" },
    { SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED, ERR_TLS_REFUSED, "certificate_refused" },
    { SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN, ERR_TLS_REFUSED, "certificate_refused" },
    { SSL_R_TLSV1_ALERT_UNKNOWN_CA, ERR_TLS_REFUSED, "certificate_refused" },
};

static const struct reason *find(const struct reason *v, size_t n, int number)
{
    for (size_t i = 0; i < n; i++)
        if (v[i].number == number)
            return &v[i];
    return NULL;
}

static bool is_out_of_memory(unsigned long e)
{
    return ERR_GET_REASON(e) == ERR_R_MALLOC_FAILURE;
}

int tls_error(const SSL *ssl, const char **ret_why)
{
    unsigned long e = ERR_peek_error(), last = ERR_peek_last_error();
    const struct reason *r = NULL;
    long verify = SSL_get_verify_result(ssl);

    ERR_clear_error();
    *ret_why = "other";
    if (is_out_of_memory(e) || is_out_of_memory(last))
        return ERR_NOMEM;
    if (ERR_GET_LIB(e) != ERR_LIB_SSL)
        return ERR_TLS;
    if (ERR_GET_REASON(e) == SSL_R_CERTIFICATE_VERIFY_FAILED) {
        r = find(VERIFY, ARRAY_LEN(VERIFY), (int)verify);
        *ret_why = r ? r->why : "bad_certificate";
        return r ? r->code : ERR_TLS_CERTIFICATE;
    }
    r = find(SSL_REASONS, ARRAY_LEN(SSL_REASONS), ERR_GET_REASON(e));
    if (r)
        *ret_why = r->why;
    return r ? r->code : ERR_TLS;
}

const char *tls_reason(char *out, size_t n)
{
    unsigned long e = ERR_get_error();
    const char *text = ERR_GET_LIB(e) == ERR_LIB_PEM && ERR_GET_REASON(e) == PEM_R_NO_START_LINE
                           ? "it holds no PEM block of that kind"
                           : ERR_reason_error_string(e);

    snprintf(out, n, "%s", text ? text : "it cannot be read");
    ERR_clear_error();
    return out;
}

void tls_count(struct loop *l, enum tls_side side, const char *why)
{
    struct str values[] = { side == TLS_SERVER ? STR("server") : STR("client"), str_of(why) };

    metric_add(metric_cell(l->metrics, &HANDSHAKES, values), 1);
}
