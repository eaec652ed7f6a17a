/* canned_server.h -- a server on a thread of its own that answers with what the test wrote down: paths and whole replies */
#pragma once

#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "test.h"

struct canned {
    const char *path;  /* with its query */
    const char *reply; /* head and body, CRLF as on the wire; the connection is closed behind it */
};

static struct canned_server {
    int listener;
    uint16_t port;
    char url[64];
    pthread_t thread;
    const struct canned *table; /* written while nothing is asked */
    size_t table_n;
    char last[4096]; /* the last request's head */
    _Atomic unsigned requests;
} can;

static inline void can_answer(int fd)
{
    const char *reply = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

    for (size_t i = 0; i < can.table_n; i++) {
        char line[512];

        snprintf(line, sizeof line, "GET %s HTTP/1.1\r\n", can.table[i].path);
        if (strncmp(can.last, line, strlen(line)) == 0)
            reply = can.table[i].reply;
    }
    (void)!send(fd, reply, strlen(reply), MSG_NOSIGNAL);
}

static inline void *can_serve(void *arg)
{
    int fd;

    while ((fd = accept(can.listener, NULL, NULL)) >= 0) {
        size_t n = 0;
        ssize_t r;

        while (n < sizeof can.last - 1 && (r = recv(fd, can.last + n, sizeof can.last - 1 - n, 0)) > 0) {
            n += (size_t)r;
            can.last[n] = 0;
            if (strstr(can.last, "\r\n\r\n"))
                break;
        }
        can.last[n] = 0;
        atomic_fetch_add(&can.requests, 1);
        can_answer(fd);
        shutdown(fd, SHUT_WR);
        while (recv(fd, (char[256]){ 0 }, 256, 0) > 0)
            ;
        close(fd);
    }
    return arg;
}

static inline int can_open(void **state)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t n = sizeof at;

    (void)state;
    unsetenv("http_proxy");
    unsetenv("HTTP_PROXY");
    unsetenv("all_proxy");
    unsetenv("ALL_PROXY");
    can.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(can.listener, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(getsockname(can.listener, (struct sockaddr *)&at, &n), 0);
    assert_int_equal(listen(can.listener, 16), 0);
    can.port = ntohs(at.sin_port);
    snprintf(can.url, sizeof can.url, "http://127.0.0.1:%u", can.port);
    return pthread_create(&can.thread, NULL, can_serve, NULL);
}

static inline int can_close(void **state)
{
    (void)state;
    shutdown(can.listener, SHUT_RDWR);
    pthread_join(can.thread, NULL);
    close(can.listener);
    return 0;
}

#define CAN(rows) (can.table = (rows), can.table_n = ARRAY_LEN(rows))
