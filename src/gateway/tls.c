/* gateway/tls.c -- the gateway's two TLS contexts, from flags: what its port shows to clients, and what it shows to and asks of workers */
#include "base/log.h"
#include "gateway/gateway_internal.h"

#define TARGET    "smg::gateway"
#define WARN_DAYS 14
#define DAY_S     86400

static void warn_of_expiry(struct tls_context *c, const char *option)
{
    int64_t left_s = tls_context_lifetime_s(c);

    if (left_s < 0)
        log_warn(TARGET, "the certificate has expired: peers will refuse it", LF_CSTR("option", option));
    else if (left_s < (int64_t)WARN_DAYS * DAY_S)
        log_warn(TARGET, "the certificate expires soon", LF_CSTR("option", option), LF_INT("days", left_s / DAY_S));
}

int gateway_make_tls(struct gateway *g, struct err *err)
{
    const struct launch_config *c = g->config;
    struct tls_client_conf client = { .ca_paths = c->ca_cert_paths.items,
                                      .ca_paths_n = c->ca_cert_paths.n,
                                      .cert_path = c->client_cert_path,
                                      .key_path = c->client_key_path };
    struct tls_server_conf server = { .cert_path = c->tls_cert_path,
                                      .key_path = c->tls_key_path,
                                      .client_ca_path = c->tls_client_ca_path,
                                      .min_version = c->tls_min_version == LAUNCH_TLS_1_3 ? TLS_1_3 : TLS_1_2 };
    int r = tls_client_new(&client, &g->tls_client, err);

    if (r < 0)
        return r;
    warn_of_expiry(g->tls_client, "--client-cert-path");
    if (c->tls_cert_path.n == 0)
        return 0;
    r = tls_server_new(&server, &g->tls_server, err);
    if (r == 0)
        warn_of_expiry(g->tls_server, "--tls-cert-path");
    return r;
}

int gateway_watch_tls(struct gateway *g, struct err *err)
{
    const struct launch_config *c = g->config;
    int r = 0;

    if (g->tls_server)
        r = tls_watch_new(g->control, g->tls_server, /* period_ms= */ 0, &g->watch_server);
    if (r == 0 && (c->client_cert_path.n || c->ca_cert_paths.n))
        r = tls_watch_new(g->control, g->tls_client, /* period_ms= */ 0, &g->watch_client);
    return r < 0 ? err_set(err, r, "out of memory") : 0;
}

void gateway_unwatch_tls(struct gateway *g)
{
    tls_watch_free(STEAL(g->watch_server));
    tls_watch_free(STEAL(g->watch_client));
}

void gateway_free_tls(struct gateway *g)
{
    tls_context_free(g->tls_server);
    tls_context_free(g->tls_client);
}
