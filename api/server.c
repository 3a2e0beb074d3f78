#include "api/api.h"
#include "api/cache.h"
#include "api/follow.h"
#include "api/http.h"
#include "api/wait.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Memory of a connection for its head and its write buffer. */
#define CONNECTION_BYTES (2 * (size_t)GD_MAX_HEAD_BYTES)
/* A connection without a request is closed after this long. */
#define IDLE_S 60U
/* Connections taken in one round. */
#define ACCEPTS_A_ROUND 64

struct listener {
    struct gd_node node;
    struct gd_watch watch;
    struct gd_api *api;
};

/* --- libmicrohttpd on the loop */

static void run(struct gd_api *a)
{
    MHD_UNSIGNED_LONG_LONG wait_ms = 0;
    (void)MHD_run(a->mhd);
    if (MHD_get_timeout(a->mhd, &wait_ms) != MHD_YES)
        gd_timer_stop(a->loop, &a->mhd_timer);
    else if (wait_ms == 0)
        gd_soon(a->loop, &a->mhd_soon);
    else if (gd_timer_at(a->loop, &a->mhd_timer, gd_mono_ms() + (int64_t)wait_ms) < 0)
        gd_soon(a->loop, &a->mhd_soon);
}

static void run_by_event(struct gd_watch *w, uint32_t events)
{
    (void)events;
    run(GD_OWNER(w, struct gd_api, mhd_watch));
}

static void run_by_timer(struct gd_timer *t)
{
    run(GD_OWNER(t, struct gd_api, mhd_timer));
}

static void run_by_request(struct gd_soon *s)
{
    run(GD_OWNER(s, struct gd_api, mhd_soon));
}

void gd_api_run_soon(struct gd_api *a)
{
    gd_soon(a->loop, &a->mhd_soon);
}

static void log_message(void *cls, const char *fmt, va_list ap)
{
    (void)cls;
    char text[256];
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    text[strcspn(text, "\n")] = '\0';
    gd_log(GD_LOG_DEBUG, "http", "message", text, NULL);
}

/* --- connections */

static void listen_again(struct gd_api *a)
{
    if (!a->exhausted || a->draining)
        return;
    a->exhausted = false;
    gd_list_each (node, &a->listeners) {
        struct listener *l = GD_OWNER(node, struct listener, node);
        (void)!gd_watch_change(a->loop, &l->watch, EPOLLIN);
    }
}

/* No descriptors left: those who knock wait in the kernel until somebody leaves. */
static void pause_listening(struct gd_api *a)
{
    if (a->exhausted)
        return;
    a->exhausted = true;
    gd_log(GD_LOG_WARNING, "no-descriptors", "what", "connections wait", NULL);
    gd_list_each (node, &a->listeners) {
        struct listener *l = GD_OWNER(node, struct listener, node);
        (void)!gd_watch_change(a->loop, &l->watch, 0);
    }
}

static void connection_changed(void *cls, struct MHD_Connection *conn, void **socket_context,
                               enum MHD_ConnectionNotificationCode what)
{
    (void)conn;
    (void)socket_context;
    struct gd_api *a = cls;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        a->n_connections++;
        return;
    }
    a->n_connections--;
    listen_again(a);
}

static void knock(struct gd_watch *w, uint32_t events)
{
    (void)events;
    struct listener *l = GD_OWNER(w, struct listener, watch);
    struct gd_api *a = l->api;
    for (unsigned i = 0; i < ACCEPTS_A_ROUND; i++) {
        if (a->n_connections >= a->config.max_connections) {
            pause_listening(a);
            break;
        }
        struct sockaddr_storage addr = {0};
        socklen_t n = sizeof(addr);
        int fd = accept4(w->fd, (struct sockaddr *)&addr, &n, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS))
            pause_listening(a);
        if (fd < 0)
            break;
        if (addr.ss_family == AF_INET || addr.ss_family == AF_INET6) {
            int one = 1;
            (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        }
        if (MHD_add_connection(a->mhd, fd, (struct sockaddr *)&addr, n) != MHD_YES)
            gd_log(GD_LOG_DEBUG, "connection-refused", NULL); /* MHD has closed it */
    }
    run(a);
}

int gd_api_listen(struct gd_api *a, int own_fd)
{
    struct listener *l = calloc(1, sizeof(*l));
    int rc = l ? 0 : -ENOMEM;
    if (rc == 0 && fcntl(own_fd, F_SETFL, O_NONBLOCK) < 0)
        rc = -errno;
    if (rc == 0) {
        l->api = a;
        l->watch.fn = knock;
        rc = gd_watch_start(a->loop, &l->watch, own_fd, EPOLLIN);
    }
    if (rc < 0) {
        free(l);
        close(own_fd);
        return rc;
    }
    gd_list_push(&a->listeners, &l->node);
    return 0;
}

static void close_listeners(struct gd_api *a)
{
    struct gd_node *node;
    while ((node = gd_list_shift(&a->listeners))) {
        struct listener *l = GD_OWNER(node, struct listener, node);
        int fd = l->watch.fd;
        gd_watch_stop(a->loop, &l->watch);
        close(fd);
        free(l);
    }
}

/* --- life */

static int start_daemon(struct gd_api *a)
{
    a->mhd = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0,
        NULL, NULL, gd_http_access, a, MHD_OPTION_EXTERNAL_LOGGER, log_message, a,
        MHD_OPTION_URI_LOG_CALLBACK, gd_http_begin, a, MHD_OPTION_NOTIFY_COMPLETED, gd_http_end, a,
        MHD_OPTION_NOTIFY_CONNECTION, connection_changed, a, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)a->config.max_connections, MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_BYTES,
        MHD_OPTION_CONNECTION_TIMEOUT, IDLE_S, MHD_OPTION_STRICT_FOR_CLIENT, -1, MHD_OPTION_END);
    if (!a->mhd)
        return errno ? -errno : -ENOMEM;
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(a->mhd, MHD_DAEMON_INFO_EPOLL_FD);
    return info ? gd_watch_start(a->loop, &a->mhd_watch, info->epoll_fd, EPOLLIN) : -ENOTSUP;
}

static void on_changed(void *arg, uint64_t task, uint64_t batch)
{
    struct gd_api *a = arg;
    if (task) {
        gd_cache_drop_task(a->cache, task);
        gd_follow_changed(a, task);
    }
    if (batch)
        gd_cache_drop_batch(a->cache, batch);
}

int gd_api_open(struct gd_loop *loop, struct gd_core *core, const struct gd_api_config *config,
                struct gd_api **ret)
{
    struct gd_api *a = calloc(1, sizeof(*a));
    if (!a)
        return -ENOMEM;
    a->loop = loop;
    a->core = core;
    a->config = *config;
    a->output_fd = -1;
    a->mhd_watch.fn = run_by_event;
    a->mhd_timer.fn = run_by_timer;
    a->mhd_soon.fn = run_by_request;
    gd_list_init(&a->listeners);
    gd_list_init(&a->requests);
    a->cache = gd_cache_new();
    int rc = a->cache ? start_daemon(a) : -ENOMEM;
    if (rc < 0) {
        gd_api_close(a);
        return rc;
    }
    core->changed = on_changed;
    core->changed_arg = a;
    *ret = a;
    return 0;
}

void gd_api_drain(struct gd_api *a, void (*idle)(void *arg), void *arg)
{
    a->draining = true;
    a->idle = idle;
    a->idle_arg = arg;
    close_listeners(a);
    gd_list_each_safe (node, &a->requests) {
        struct gd_http *h = GD_OWNER(node, struct gd_http, node);
        /* What waits for a commit gets its own answer in a moment. */
        if (!h->suspended || (h->abandon && !h->watched))
            continue;
        void (*abandon)(struct gd_http *) = h->abandon;
        h->abandon = NULL;
        h->leaving = true;
        if (abandon)
            abandon(h);
        if (h->streaming)
            gd_http_go_on(h); /* it ends its stream */
        else
            gd_wait_leave(h);
    }
    if (a->n_requests == 0)
        idle(arg);
}

bool gd_api_is_busy(const struct gd_api *a)
{
    return a->n_requests > 0;
}

void gd_api_close(struct gd_api *a)
{
    if (!a)
        return;
    close_listeners(a);
    if (a->core->changed_arg == a)
        a->core->changed = NULL;
    gd_watch_stop(a->loop, &a->mhd_watch);
    /* A suspended connection must be resumed before the end, or MHD panics. */
    gd_list_each_safe (node, &a->requests) {
        struct gd_http *h = GD_OWNER(node, struct gd_http, node);
        h->gone = true;
        gd_http_go_on(h);
    }
    if (a->mhd)
        MHD_stop_daemon(a->mhd);
    gd_timer_stop(a->loop, &a->mhd_timer);
    gd_soon_cancel(&a->mhd_soon);
    gd_cache_free(a->cache);
    gd_map_free(&a->followed);
    if (a->output_fd >= 0)
        close(a->output_fd);
    free(a);
}
