/* bench/http_hello.c -- the smallest server of http/: what a request costs before anything of the gateway runs
 *
 *   http_hello --port 8080        one loop, GET and POST on every path of ROUTES answer {"hello":"world"}
 *   wrk -t1 -c32 -d3s http://127.0.0.1:8080/hello
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/cors.h"
#include "http/request_id.h"
#include "http/server.h"

static void hello(struct exchange *ex, void *context)
{
    exchange_reply(ex, 200, TYPE_JSON, STR("{\"hello\":\"world\"}"));
}

static const struct route ROUTES[] = {
    { .method = HTTP_GET, .path = "/", .handler = hello },
    { .method = HTTP_GET, .path = "/hello", .handler = hello },
    { .method = HTTP_POST, .path = "/hello", .body = ROUTE_BODY_BUFFER, .handler = hello },
};

/* --filters adds what every reply of the gateway passes. */
static const struct filter FILTERS[] = {
    { .name = "cors", .on_head = cors_on_head, .on_reply = cors_on_reply, .context = 0 },
    { .name = "request id", .on_head = request_id_on_head, .on_reply = request_id_on_reply, .context = 1 },
};

static void usage(void)
{
    fprintf(stderr, "usage: http_hello --port N [--filters]\n");
    exit(2);
}

int main(int argc, char **argv)
{
    static struct cors cors;
    static struct request_id_conf ids;
    void *contexts[] = { &cors, &ids };
    struct http_server_conf conf = { .filters = FILTERS, .contexts = contexts };
    struct net_address address;
    struct http_server *server;
    struct router *router;
    struct loop *loop;
    struct err err = { 0 };
    uint16_t port = 0;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--port") == 0 && i + 1 < argc)
            port = (uint16_t)strtoul(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--filters") == 0)
            conf.filters_n = ARRAY_LEN(FILTERS);
        else
            usage();
    }
    signal(SIGPIPE, SIG_IGN);
    if (router_new(ROUTES, ARRAY_LEN(ROUTES), &router, &err) < 0 || loop_new("loop 0", 0, &loop, &err) < 0 ||
        net_address_parse(STR("127.0.0.1"), port, &address) < 0) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    conf.router = router;
    if (http_server_new(loop, &conf, &server) < 0 || http_server_listen(server, &address, LISTENER_ALONE, &port, &err) < 0) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    printf("http://127.0.0.1:%u/hello\n", port);
    fflush(stdout);
    loop_run(loop);
    return 0;
}
