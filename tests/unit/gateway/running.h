/* running.h -- a whole gateway in the test's process: its main thread is one of ours, its ports are free ones, its engine answers what registration asks
 *
 *     test thread --sockets--> gateway thread (gateway_run) and its loops --> engine thread: GETs are answered, POSTs are handed to the test
 *
 * The raw client and its words (say, hear_all, assert_heard ...) are those of dispatch/stage.h.
 */
#pragma once

#include "dispatch/stage.h"

#include <dirent.h>
#include <pthread.h>
#include <signal.h>

#include "config/launch.h"
#include "gateway/gateway_internal.h"

static struct running {
    struct arena arena;
    struct launch_config config;
    char port[8], metrics_port[8], probe_port[8], engine_url[64];
    pthread_t gateway, engine;
    int engine_listener, posts[2]; /* posts: a pipe of sockets */
    _Atomic bool engine_ends;
    int result;
    struct err err;
} run;

/* A listening socket on a port that the kernel chose. */
static inline int listen_anywhere(char port[8])
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t n = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(fd, 64), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &n), 0);
    snprintf(port, 8, "%u", ntohs(at.sin_port));
    return fd;
}

/* A port that was free a moment ago. */
static inline void free_port(char port[8])
{
    close(listen_anywhere(port));
}

static inline unsigned open_files(void)
{
    DIR *d = opendir("/proc/self/fd");
    unsigned n = 0;

    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

/* The configuration of a small gateway; EXTRA: further arguments, NULL-terminated. */
static inline void configure(const char *const *extra)
{
    const char *argv[32] = { "--host",      "127.0.0.1", "--runtime-worker-threads", "2", "--prometheus-host", "127.0.0.1",
                             "--log-level", "error" };
    struct option_input in = { .argv = argv };
    struct option_report report = { 0 };

    for (in.argc = 8; *extra; extra++)
        argv[in.argc++] = *extra;
    arena_init(&run.arena, NULL, 0);
    if (launch_parse(&in, &run.arena, &run.config, &report) != 0)
        fail_msg("%.*s", STR_FMT(report.problems[0].text));
}

static inline void choose_ports(void)
{
    memset(&run, 0, sizeof run);
    free_port(run.port);
    free_port(run.metrics_port);
    free_port(run.probe_port);
}

/* ---- the engine ---- */

static inline void answer_probe(int fd)
{
    static const char BODY[] = "{\"object\":\"list\",\"data\":[{\"id\":\"m\",\"object\":\"model\"}],\"model_path\":\"m\"}";
    char text[256];

    snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %zu\r\n\r\n%s", sizeof BODY - 1, BODY);
    say(fd, text);
    close(fd);
}

static inline void *be_an_engine(void *arg)
{
    struct pollfd p = { .fd = run.engine_listener, .events = POLLIN };
    char text[4096];

    while (!atomic_load(&run.engine_ends)) {
        int fd = poll(&p, 1, 20) == 1 ? accept4(p.fd, NULL, NULL, SOCK_CLOEXEC) : -1;

        if (fd < 0)
            continue;
        be_patient(fd);
        if (recv(fd, text, sizeof text, MSG_PEEK) >= 4 && memcmp(text, "POST", 4) == 0) {
            assert_int_equal(write(run.posts[1], &fd, sizeof fd), sizeof fd);
            continue;
        }
        (void)!recv(fd, text, sizeof text, 0);
        answer_probe(fd);
    }
    return NULL;
}

/* The next POST that reached the engine, heard. */
static inline int engine_hears(void)
{
    struct pollfd p = { .fd = run.posts[0], .events = POLLIN };
    int fd;

    assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
    assert_int_equal(read(run.posts[0], &fd, sizeof fd), sizeof fd);
    hear_request(fd);
    return fd;
}

static inline void engine_begin(void)
{
    char port[8];

    run.engine_listener = listen_anywhere(port);
    snprintf(run.engine_url, sizeof run.engine_url, "http://127.0.0.1:%s", port);
    assert_int_equal(pipe(run.posts), 0);
    assert_int_equal(pthread_create(&run.engine, NULL, be_an_engine, NULL), 0);
}

static inline void engine_end(void)
{
    atomic_store(&run.engine_ends, true);
    pthread_join(run.engine, NULL);
    close(run.engine_listener);
    close(run.posts[0]);
    close(run.posts[1]);
}

/* ---- the gateway ---- */

static inline void *be_a_gateway(void *arg)
{
    run.result = gateway_run(&run.config, /* source= */ NULL, &run.err);
    return NULL;
}

/* The reply to GET PATH on PORT, in `heard`; false when nobody listens. */
static inline bool get_on(const char *port, const char *path)
{
    char text[256];
    struct sockaddr_in to = { .sin_family = AF_INET,
                              .sin_port = htons((uint16_t)atoi(port)),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    be_patient(fd);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0) {
        close(fd);
        return false;
    }
    snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nhost: g\r\nconnection: close\r\n\r\n", path);
    say(fd, text);
    hear_all(fd);
    return true;
}

static inline bool is_status(const char *port, const char *path, const char *status)
{
    char want[32];

    snprintf(want, sizeof want, "HTTP/1.1 %s ", status);
    return get_on(port, path) && strstr(heard, want);
}

static inline void wait_for_status(const char *path, const char *status)
{
    for (unsigned waited = 0; !is_status(run.port, path, status); waited += 10) {
        if (waited > PATIENCE_MS)
            fail_msg("%s never became %s; last: %s", path, status, heard);
        nap_ms(10);
    }
}

/* Running and ready, its one worker registered. */
static inline void gateway_begin(const char *grace_s)
{
    choose_ports();
    engine_begin();
    configure((const char *const[]){ "--port", run.port, "--prometheus-port", run.metrics_port, "--health-check-port",
                                     run.probe_port, "--worker-urls", run.engine_url, "--shutdown-grace-period-secs", grace_s,
                                     NULL });
    stage.port = (uint16_t)atoi(run.port);
    assert_int_equal(pthread_create(&run.gateway, NULL, be_a_gateway, NULL), 0);
    wait_for_status("/readiness", "200");
}

/* How long it took the gateway to end, in ms. */
static inline unsigned gateway_ends(void)
{
    uint64_t began = clock_now_us();

    pthread_join(run.gateway, NULL);
    engine_end();
    arena_fini(&run.arena);
    assert_int_equal(run.result, 0);
    return (unsigned)((clock_now_us() - began) / 1000);
}

#define CHAT_BODY "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}"

static inline int chat(void)
{
    return ask_with("POST /v1/chat/completions", "content-type: application/json\r\n", CHAT_BODY);
}
