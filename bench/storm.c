/* bench/storm.c -- a storm of registrations that costs its own core as little as it can
 *
 *   storm GATEWAY_PORT ENGINE_PORT RATE FIRST [SECONDS]
 *
 * RATE times a second: POST /workers with an address of its own (127.x.y.z, all of them the engine), GET of the worker that was added IN_FLIGHT registrations ago,
 * which must be ready by now, and its DELETE; one connection, the three requests one after another. FIRST: number of the first address, so that runs use different ones.
 * Ends after SECONDS or at SIGTERM, removes what is left and prints "ADDED READY_IN_TIME SECONDS CPU_SECONDS".
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define IN_FLIGHT 200
#define ID_BYTES  36

static volatile sig_atomic_t ends;
static char ids[IN_FLIGHT][ID_BYTES + 1];
static char reply[1 << 16];

static void on_term(int number)
{
    (void)number;
    ends = 1;
}

static double seconds(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int dial(uint16_t port)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = { htonl(INADDR_LOOPBACK) } };
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;

    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) < 0) {
        perror("storm: connect");
        exit(1);
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

/* The whole reply, which has a Content-Length, in `reply`; its status. */
static int talk(int fd, const char *request, size_t n)
{
    size_t got = 0, whole = 0;

    if (write(fd, request, n) != (ssize_t)n) {
        perror("storm: write");
        exit(1);
    }
    while (!whole || got < whole) {
        ssize_t r = read(fd, reply + got, sizeof reply - 1 - got);
        char *end, *length;

        if (r <= 0) {
            fprintf(stderr, "storm: the gateway closed the connection or sent too much\n");
            exit(1);
        }
        got += (size_t)r;
        reply[got] = 0;
        end = strstr(reply, "\r\n\r\n");
        if (whole || !end)
            continue;
        length = strcasestr(reply, "\r\ncontent-length:");
        whole = (size_t)(end - reply) + 4 + (length && length < end ? strtoul(length + 17, NULL, 10) : 0);
    }
    return atoi(reply + 9);
}

static void must(int status, int wanted)
{
    if (status == wanted)
        return;
    fprintf(stderr, "storm: unexpected reply: %.300s\n", reply);
    exit(1);
}

static void add(int fd, unsigned i, unsigned engine, char id[ID_BYTES + 1])
{
    char body[160], request[400];
    const char *found;
    int n = snprintf(body, sizeof body, "{\"url\":\"http://127.%u.%u.%u:%u\",\"models\":[{\"id\":\"storm\"}]}",
                     10 + i / 62500 % 240, i / 250 % 250, 1 + i % 250, engine);

    n = snprintf(request, sizeof request,
                 "POST /workers HTTP/1.1\r\nhost: g\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s", n, body);
    must(talk(fd, request, (size_t)n), 202);
    found = strstr(reply, "\"worker_id\":\"");
    if (!found)
        must(0, 202);
    memcpy(id, found + 13, ID_BYTES);
}

/* Was it ready? */
static bool ask_and_remove(int fd, const char *id)
{
    char request[200];
    bool ready;
    int n = snprintf(request, sizeof request, "GET /workers/%s HTTP/1.1\r\nhost: g\r\n\r\n", id);

    must(talk(fd, request, (size_t)n), 200);
    ready = strstr(reply, "\"status\":\"ready\"") != NULL;
    n = snprintf(request, sizeof request, "DELETE /workers/%s HTTP/1.1\r\nhost: g\r\n\r\n", id);
    must(talk(fd, request, (size_t)n), 202);
    return ready;
}

static void sleep_until(double when)
{
    struct timespec t = { .tv_sec = (time_t)when };

    t.tv_nsec = (long)((when - (double)t.tv_sec) * 1e9);
    (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL); /* a signal ends it early, which is meant */
}

int main(int argc, char **argv)
{
    double rate, began, now, limit;
    unsigned added = 0, asked = 0, ready = 0, first, engine;
    int fd;

    if (argc < 5) {
        fprintf(stderr, "usage: storm GATEWAY_PORT ENGINE_PORT RATE FIRST [SECONDS]\n");
        return 2;
    }
    (void)signal(SIGTERM, on_term);
    fd = dial((uint16_t)atoi(argv[1]));
    engine = (unsigned)atoi(argv[2]);
    rate = atof(argv[3]);
    first = (unsigned)atoi(argv[4]);
    limit = argc > 5 ? atof(argv[5]) : 1e9;
    began = seconds(CLOCK_MONOTONIC);
    for (now = began; !ends && now - began < limit; now = seconds(CLOCK_MONOTONIC)) {
        if (added >= IN_FLIGHT) {
            ready += ask_and_remove(fd, ids[added % IN_FLIGHT]);
            asked++;
        }
        add(fd, first + added, engine, ids[added % IN_FLIGHT]);
        added++;
        sleep_until(began + added / rate);
    }
    while (asked < added)
        (void)ask_and_remove(fd, ids[asked++ % IN_FLIGHT]);
    printf("%u %u %.3f %.3f\n", added, ready + (added < IN_FLIGHT ? added : IN_FLIGHT), now - began,
           seconds(CLOCK_PROCESS_CPUTIME_ID));
    return 0;
}
