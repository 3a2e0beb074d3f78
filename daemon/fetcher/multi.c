/* Invariants
 *  1. `timer` (or `kick`) is set whenever libcurl waits for a time.
 *  2. Every socket that libcurl waits for has a struct sock with its watch on; where
 *     that fails, the transfer fails, as nothing would ever wake it.
 *  3. Callbacks of libcurl never return an error to it: in 7.88 that stops the whole
 *     multi handle for good.
 */
#include "daemon/fetcher/multi.h"

#include "base/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

struct sock {
    struct gd_watch watch;
    struct gd_multi *multi;
    int wants; /* CURL_POLL_IN, _OUT, _INOUT */
};

/* --- ends */

static void take_out(struct gd_easy *e)
{
    struct gd_multi *m = e->multi;
    if (!m)
        return;
    e->multi = NULL;
    gd_soon_cancel(&e->broken);
    gd_node_unlink(&e->node);
    (void)curl_multi_remove_handle(m->curl, e->curl);
    if (!gd_list_empty(&m->transfers))
        return;
    int rc = gd_timer_at(m->loop, &m->idle, gd_mono_ms() + m->idle_ms);
    (void)rc; /* no memory: they stay open, no harm */
}

static void report_broken(struct gd_soon *s)
{
    struct gd_easy *e = GD_OWNER(s, struct gd_easy, broken);
    take_out(e);
    e->done(e, CURLE_OUT_OF_MEMORY);
}

static void report_done(struct gd_multi *m)
{
    int n = 0;
    for (CURLMsg *msg; (msg = curl_multi_info_read(m->curl, &n));) {
        struct gd_easy *e = NULL;
        CURLcode code = msg->data.result;
        if (msg->msg != CURLMSG_DONE)
            continue;
        (void)curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &e);
        take_out(e); /* the message is gone with it */
        e->done(e, code);
    }
}

static void act(struct gd_multi *m, curl_socket_t fd, int events)
{
    int n_running = 0;
    CURLMcode rc = curl_multi_socket_action(m->curl, fd, events, &n_running);
    /* A socket that libcurl has just let go of is no harm. Anything else leaves
     * transfers that nobody will wake. */
    if (rc != CURLM_OK && rc != CURLM_BAD_SOCKET)
        gd_list_each (node, &m->transfers)
            gd_soon(m->loop, &GD_OWNER(node, struct gd_easy, node)->broken);
    report_done(m);
}

/* --- time */

static void on_due(struct gd_timer *t)
{
    act(GD_OWNER(t, struct gd_multi, timer), CURL_SOCKET_TIMEOUT, 0);
}

static void on_kick(struct gd_soon *s)
{
    act(GD_OWNER(s, struct gd_multi, kick), CURL_SOCKET_TIMEOUT, 0);
}

/* CURLMOPT_TIMERFUNCTION. libcurl may not be called from in here. */
static int set_timer(CURLM *curl, long wait_ms, void *arg)
{
    (void)curl;
    struct gd_multi *m = arg;
    gd_soon_cancel(&m->kick);
    gd_timer_stop(m->loop, &m->timer);
    /* Too early is no harm: libcurl looks and asks again. */
    if (wait_ms >= 0 && gd_timer_at(m->loop, &m->timer, gd_mono_ms() + wait_ms) < 0)
        gd_soon(m->loop, &m->kick);
    return 0;
}

/* --- sockets */

static void on_ready(struct gd_watch *w, uint32_t events)
{
    struct sock *s = GD_OWNER(w, struct sock, watch);
    int ready = 0;
    /* An error is found by the read or the write that was wanted. */
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        ready |= s->wants & CURL_POLL_IN ? CURL_CSELECT_IN : 0;
    if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
        ready |= s->wants & CURL_POLL_OUT ? CURL_CSELECT_OUT : 0;
    act(s->multi, w->fd, ready); /* frees `s`, maybe */
}

static uint32_t as_epoll(int wants)
{
    return (wants & CURL_POLL_IN ? EPOLLIN : 0U) | (wants & CURL_POLL_OUT ? EPOLLOUT : 0U);
}

static void drop_sock(struct gd_multi *m, curl_socket_t fd, struct sock *s)
{
    if (!s)
        return;
    gd_watch_stop(m->loop, &s->watch);
    (void)curl_multi_assign(m->curl, fd, NULL);
    free(s);
}

static struct sock *new_sock(struct gd_multi *m, curl_socket_t fd, int wants)
{
    struct sock *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    s->multi = m;
    s->watch.fn = on_ready;
    if (gd_watch_start(m->loop, &s->watch, fd, as_epoll(wants)) < 0) {
        free(s);
        return NULL;
    }
    if (curl_multi_assign(m->curl, fd, s) != CURLM_OK) {
        gd_watch_stop(m->loop, &s->watch);
        free(s);
        return NULL;
    }
    return s;
}

/* CURLMOPT_SOCKETFUNCTION. `easy` is the first transfer that uses the socket, and as
 * long as the socket has no struct sock, the only one. */
static int watch_socket(CURL *easy, curl_socket_t fd, int wants, void *arg, void *sock)
{
    struct gd_multi *m = arg;
    struct sock *s = sock;
    if (wants == CURL_POLL_REMOVE) {
        drop_sock(m, fd, s);
        return 0;
    }
    bool good = true;
    if (!s) {
        s = new_sock(m, fd, wants);
        good = s != NULL;
    } else if (s->wants != wants) {
        good = gd_watch_change(m->loop, &s->watch, as_epoll(wants)) == 0;
    }
    if (s)
        s->wants = wants;
    struct gd_easy *e = NULL;
    if (!good && curl_easy_getinfo(easy, CURLINFO_PRIVATE, &e) == CURLE_OK && e)
        gd_soon(m->loop, &e->broken);
    return 0;
}

/* CURLOPT_OPENSOCKETFUNCTION: libcurl's own sockets would survive an exec. */
static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *a)
{
    (void)arg;
    (void)purpose;
    return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

/* --- life */

static CURLM *new_curl(struct gd_multi *m)
{
    CURLM *curl = curl_multi_init();
    if (!curl)
        return NULL;
    if (curl_multi_setopt(curl, CURLMOPT_SOCKETFUNCTION, watch_socket) == CURLM_OK &&
        curl_multi_setopt(curl, CURLMOPT_SOCKETDATA, m) == CURLM_OK &&
        curl_multi_setopt(curl, CURLMOPT_TIMERFUNCTION, set_timer) == CURLM_OK &&
        curl_multi_setopt(curl, CURLMOPT_TIMERDATA, m) == CURLM_OK &&
        curl_multi_setopt(curl, CURLMOPT_MAXCONNECTS, GD_MULTI_CONNECTIONS) == CURLM_OK)
        return curl;
    (void)curl_multi_cleanup(curl);
    return NULL;
}

/* A new handle in place of the old one closes what is idle. */
static void close_idle(struct gd_timer *t)
{
    struct gd_multi *m = GD_OWNER(t, struct gd_multi, idle);
    CURLM *fresh = gd_list_empty(&m->transfers) ? new_curl(m) : NULL;
    if (!fresh)
        return;
    CURLM *old = m->curl;
    m->curl = fresh;
    (void)curl_multi_cleanup(old);
    (void)set_timer(fresh, -1, m);
}

int gd_multi_init(struct gd_multi *m, struct gd_loop *l)
{
    *m = (struct gd_multi){.loop = l, .idle_ms = GD_MULTI_IDLE_MS};
    m->timer.fn = on_due;
    m->kick.fn = on_kick;
    m->idle.fn = close_idle;
    gd_list_init(&m->transfers);
    m->curl = new_curl(m);
    return m->curl ? 0 : -ENOMEM;
}

void gd_multi_done(struct gd_multi *m)
{
    if (m->curl)
        (void)curl_multi_cleanup(m->curl);
    m->curl = NULL;
    gd_soon_cancel(&m->kick);
    gd_timer_stop(m->loop, &m->timer);
    gd_timer_stop(m->loop, &m->idle);
}

int gd_easy_open(struct gd_easy *e)
{
    e->curl = curl_easy_init();
    if (e->curl && curl_easy_setopt(e->curl, CURLOPT_OPENSOCKETFUNCTION, open_socket) == CURLE_OK &&
        curl_easy_setopt(e->curl, CURLOPT_PRIVATE, e) == CURLE_OK)
        return 0;
    gd_easy_close(e);
    return -ENOMEM;
}

void gd_easy_close(struct gd_easy *e)
{
    take_out(e);
    curl_easy_cleanup(e->curl);
    e->curl = NULL;
}

int gd_multi_add(struct gd_multi *m, struct gd_easy *e)
{
    e->broken.fn = report_broken;
    gd_timer_stop(m->loop, &m->idle);
    if (curl_multi_add_handle(m->curl, e->curl) != CURLM_OK)
        return -ENOMEM;
    e->multi = m;
    gd_list_push(&m->transfers, &e->node);
    return 0;
}

void gd_multi_remove(struct gd_easy *e)
{
    take_out(e);
}
