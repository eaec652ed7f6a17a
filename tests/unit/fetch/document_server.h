/* document_server.h -- a small HTTP server on a thread of its own that misbehaves as its paths say
 *
 *   /ok        200 application/json {"ok":true}       /redirect   302 to /ok         /echo       the request's head as the body
 *   /missing   404                                    /reset      RST after the request
 *   /big       Content-Length 1000000                 /stream     chunks without end
 *   /slow      the head, then nothing                 anything else: 404
 */
#pragma once

#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "test.h"

static struct document_server {
    int listener;
    uint16_t port;
    pthread_t thread;
    _Atomic unsigned requests, hung_up; /* hung_up: clients that left while they were being served */
} docs;

static inline void docs_send(int fd, const char *text)
{
    (void)!send(fd, text, strlen(text), MSG_NOSIGNAL);
}

/* Until the peer closes. */
static inline void docs_hang(int fd)
{
    char c;

    while (recv(fd, &c, 1, 0) > 0)
        ;
    atomic_fetch_add(&docs.hung_up, 1);
}

static inline void docs_answer(int fd, const char *request)
{
    char text[4096];
    const struct linger now = { .l_onoff = 1, .l_linger = 0 };

    if (strncmp(request, "GET /ok ", 8) == 0)
        docs_send(fd, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{\"ok\":true}");
    else if (strncmp(request, "GET /redirect ", 14) == 0)
        docs_send(fd, "HTTP/1.1 302 Found\r\nLocation: /ok\r\nContent-Length: 0\r\n\r\n");
    else if (strncmp(request, "GET /echo ", 10) == 0) {
        snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s", strlen(request), request);
        docs_send(fd, text);
    } else if (strncmp(request, "GET /big ", 9) == 0) {
        docs_send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
        docs_hang(fd);
    } else if (strncmp(request, "GET /stream ", 12) == 0) {
        docs_send(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        while (send(fd, "10\r\n0123456789abcdef\r\n", 22, MSG_NOSIGNAL) > 0)
            ;
    } else if (strncmp(request, "GET /slow ", 10) == 0) {
        docs_send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n");
        docs_hang(fd);
    } else if (strncmp(request, "GET /reset ", 11) == 0)
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    else
        docs_send(fd, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
}

static inline void *docs_serve(void *arg)
{
    int fd;

    (void)arg;
    while ((fd = accept(docs.listener, NULL, NULL)) >= 0) {
        char request[2048];
        size_t n = 0;
        ssize_t r;

        while (n < sizeof request - 1 && (r = recv(fd, request + n, sizeof request - 1 - n, 0)) > 0) {
            n += (size_t)r;
            request[n] = 0;
            if (strstr(request, "\r\n\r\n"))
                break;
        }
        request[n] = 0;
        atomic_fetch_add(&docs.requests, 1);
        docs_answer(fd, request);
        close(fd);
    }
    return NULL;
}

static inline int docs_open(void **state)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t n = sizeof at;

    (void)state;
    unsetenv("http_proxy");
    unsetenv("HTTP_PROXY");
    docs.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(docs.listener, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(getsockname(docs.listener, (struct sockaddr *)&at, &n), 0);
    assert_int_equal(listen(docs.listener, 16), 0);
    docs.port = ntohs(at.sin_port);
    return pthread_create(&docs.thread, NULL, docs_serve, NULL);
}

static inline int docs_close(void **state)
{
    (void)state;
    shutdown(docs.listener, SHUT_RDWR);
    pthread_join(docs.thread, NULL);
    close(docs.listener);
    return 0;
}
