#include "tests/support/httpd.h"

#include "base/list.h"

#include <arpa/inet.h>
#include <assert.h>
#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define HEAD_MAX      65536
#define STACK_BYTES   262144
#define DEADLINE_S    30
#define TLS_HANDSHAKE 22 /* the first byte of a ClientHello */
#define BACKLOG       1024

struct connection {
    struct gd_node node;
    struct httpd *server;
    pthread_t thread;
    int fd; /* -1: closed */
    char in[HEAD_MAX + 1];
    size_t n_in;
};

struct httpd {
    const struct httpd_route *routes;
    int fd;
    unsigned port;
    pthread_t acceptor;
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t changed;
    struct gd_node connections;
    bool stopping;
    bool released;
    unsigned n_held;
    unsigned n_requests;
    unsigned n_connections;
};

/* --- for routes */

const char *httpd_field(const struct exchange *x, const char *name)
{
    static _Thread_local char value[1024];
    size_t n = strlen(name);
    for (const char *line = strchr(x->head, '\n'); line; line = strchr(line, '\n')) {
        line++;
        if (strncasecmp(line, name, n) != 0 || line[n] != ':')
            continue;
        const char *from = line + n + 1;
        from += strspn(from, " ");
        (void)snprintf(value, sizeof(value), "%.*s", (int)strcspn(from, "\r\n"), from);
        return value;
    }
    return NULL;
}

void httpd_send(struct exchange *x, const void *bytes, size_t n)
{
    const char *at = bytes;
    while (n > 0 && !x->close) {
        ssize_t done = send(x->fd, at, n, MSG_NOSIGNAL);
        if (done < 0)
            x->close = true; /* the peer has had enough */
        at += done > 0 ? done : 0;
        n -= done > 0 ? (size_t)done : 0;
    }
}

void httpd_printf(struct exchange *x, const char *fmt, ...)
{
    char text[4096];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    assert(n >= 0 && (size_t)n < sizeof(text));
    httpd_send(x, text, (size_t)n);
}

void httpd_ok(struct exchange *x, const void *body, size_t n)
{
    httpd_printf(x, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", n);
    httpd_send(x, body, n);
}

void httpd_reset(struct exchange *x)
{
    struct linger now = {.l_onoff = 1};
    (void)setsockopt(x->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    x->close = true;
}

void httpd_hold(struct exchange *x)
{
    struct httpd *h = x->server;
    pthread_mutex_lock(&h->lock);
    h->n_held++;
    pthread_cond_broadcast(&h->changed);
    while (!h->released)
        pthread_cond_wait(&h->changed, &h->lock);
    h->n_held--;
    pthread_mutex_unlock(&h->lock);
}

/* --- for the test */

void httpd_wait_held(struct httpd *h, unsigned n)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += DEADLINE_S;
    int rc = 0;
    pthread_mutex_lock(&h->lock);
    while (h->n_held < n && rc == 0)
        rc = pthread_cond_timedwait(&h->changed, &h->lock, &until);
    unsigned held = h->n_held;
    pthread_mutex_unlock(&h->lock);
    ck_assert_msg(held >= n, "%u requests wait instead of %u", held, n);
}

static void set_released(struct httpd *h, bool released)
{
    pthread_mutex_lock(&h->lock);
    h->released = released;
    pthread_cond_broadcast(&h->changed);
    pthread_mutex_unlock(&h->lock);
}

void httpd_release(struct httpd *h)
{
    set_released(h, true);
}

void httpd_hold_again(struct httpd *h)
{
    set_released(h, false);
}

static unsigned get(struct httpd *h, const unsigned *n)
{
    pthread_mutex_lock(&h->lock);
    unsigned value = *n;
    pthread_mutex_unlock(&h->lock);
    return value;
}

unsigned httpd_n_requests(struct httpd *h)
{
    return get(h, &h->n_requests);
}

unsigned httpd_n_connections(struct httpd *h)
{
    return get(h, &h->n_connections);
}

unsigned httpd_port(const struct httpd *h)
{
    return h->port;
}

/* --- connections */

static bool read_more(struct connection *c)
{
    if (c->n_in == HEAD_MAX)
        return false;
    ssize_t n = recv(c->fd, c->in + c->n_in, HEAD_MAX - c->n_in, 0);
    if (n <= 0)
        return false;
    c->n_in += (size_t)n;
    c->in[c->n_in] = '\0';
    return true;
}

/* The body, whose beginning has come with the head; `n_head` bytes of c->in are used. */
static bool read_body(struct connection *c, struct exchange *x, size_t n_head)
{
    const char *length = httpd_field(x, "Content-Length");
    x->body_bytes = length ? strtoul(length, NULL, 10) : 0;
    x->body = calloc(1, x->body_bytes + 1);
    assert(x->body);
    size_t have = c->n_in - n_head;
    if (have > x->body_bytes)
        have = x->body_bytes;
    memcpy(x->body, c->in + n_head, have);
    memmove(c->in, c->in + n_head + have, c->n_in - n_head - have);
    c->n_in -= n_head + have;
    c->in[c->n_in] = '\0';
    while (have < x->body_bytes) {
        ssize_t n = recv(c->fd, x->body + have, x->body_bytes - have, 0);
        if (n <= 0)
            return false;
        have += (size_t)n;
    }
    return true;
}

static bool read_request(struct connection *c, struct exchange *x)
{
    const char *end = NULL;
    while (!(end = strstr(c->in, "\r\n\r\n")))
        if (!read_more(c) || c->in[0] == TLS_HANDSHAKE)
            return false;
    size_t n_head = (size_t)(end + 4 - c->in);
    x->head = strndup(c->in, n_head);
    assert(x->head);
    if (!read_body(c, x, n_head))
        return false;
    char *space = strchr(x->head, ' ');
    char *second = space ? strchr(space + 1, ' ') : NULL;
    if (!second)
        return false;
    *space = *second = '\0';
    x->method = x->head;
    x->path = space + 1;
    x->head = second + 1; /* see forget() */
    return true;
}

static void forget(struct exchange *x)
{
    if (x->method)
        free((void *)(uintptr_t)x->method);
    else
        free(x->head);
    free(x->body);
}

static void answer(struct httpd *h, struct exchange *x)
{
    pthread_mutex_lock(&h->lock);
    h->n_requests++;
    pthread_mutex_unlock(&h->lock);
    size_t n = strcspn(x->path, "?");
    const struct httpd_route *r = h->routes;
    while (r->path && (strlen(r->path) != n || strncmp(r->path, x->path, n) != 0))
        r++;
    if (r->path)
        r->fn(x);
    else
        httpd_printf(x, "HTTP/1.1 404 Not Found\r\nContent-Length: 8\r\n\r\nno route");
}

static void *serve(void *arg)
{
    struct connection *c = arg;
    struct httpd *h = c->server;
    bool more = true;
    while (more) {
        struct exchange x = {.server = h, .fd = c->fd};
        more = read_request(c, &x);
        if (more) {
            answer(h, &x);
            more = !x.close;
        }
        forget(&x);
    }
    pthread_mutex_lock(&h->lock);
    (void)close(c->fd);
    c->fd = -1;
    pthread_mutex_unlock(&h->lock);
    return NULL;
}

static void start_connection(struct httpd *h, int fd)
{
    struct connection *c = calloc(1, sizeof(*c));
    pthread_attr_t attr;
    assert(c);
    c->server = h;
    c->fd = fd;
    pthread_mutex_lock(&h->lock);
    h->n_connections++;
    gd_list_push(&h->connections, &c->node);
    if (h->stopping)
        (void)shutdown(fd, SHUT_RDWR);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    int rc = pthread_create(&c->thread, &attr, serve, c);
    assert(rc == 0);
    (void)rc;
    pthread_attr_destroy(&attr);
    pthread_mutex_unlock(&h->lock);
}

static void *accept_all(void *arg)
{
    struct httpd *h = arg;
    int on = 1;
    for (int fd; (fd = accept4(h->fd, NULL, NULL, SOCK_CLOEXEC)) >= 0 || errno == ECONNABORTED;) {
        if (fd < 0)
            continue;
        /* Head and body are sent apart: else the body waits for the head's ACK. */
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        start_connection(h, fd);
    }
    return NULL;
}

/* --- life */

struct httpd *httpd_start(const struct httpd_route *routes)
{
    struct httpd *h = calloc(1, sizeof(*h));
    ck_assert_ptr_nonnull(h);
    h->routes = routes;
    gd_list_init(&h->connections);
    pthread_mutex_init(&h->lock, NULL);
    pthread_cond_init(&h->changed, NULL);
    h->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(sin);
    ck_assert_int_eq(bind(h->fd, (struct sockaddr *)&sin, n), 0);
    ck_assert_int_eq(listen(h->fd, BACKLOG), 0);
    ck_assert_int_eq(getsockname(h->fd, (struct sockaddr *)&sin, &n), 0);
    h->port = ntohs(sin.sin_port);
    ck_assert_int_eq(pthread_create(&h->acceptor, NULL, accept_all, h), 0);
    return h;
}

void httpd_stop(struct httpd *h)
{
    if (!h)
        return;
    httpd_release(h);
    (void)shutdown(h->fd, SHUT_RDWR);
    (void)pthread_join(h->acceptor, NULL);
    (void)close(h->fd);
    pthread_mutex_lock(&h->lock);
    h->stopping = true;
    gd_list_each (node, &h->connections) {
        struct connection *c = GD_OWNER(node, struct connection, node);
        if (c->fd >= 0)
            (void)shutdown(c->fd, SHUT_RDWR);
    }
    pthread_mutex_unlock(&h->lock);
    struct gd_node *node;
    while ((node = gd_list_shift(&h->connections))) {
        struct connection *c = GD_OWNER(node, struct connection, node);
        (void)pthread_join(c->thread, NULL);
        free(c);
    }
    pthread_cond_destroy(&h->changed);
    pthread_mutex_destroy(&h->lock);
    free(h);
}
