#include "daemon/loop/loop.h"

#include "base/clock.h"

#include <assert.h>
#include <errno.h>
#include <unistd.h>

/* Timers that run in one round before others get their turn: a crowd that is due
 * at once must not keep requests waiting. */
#define TIMERS_A_ROUND 512

static void count_closed(uv_handle_t *h)
{
    struct gd_loop *l = h->data;
    l->n_open--;
}

/* --- soon */

static void run_soon(uv_idle_t *idle)
{
    struct gd_loop *l = idle->data;
    struct gd_node now; /* what is asked for from here on waits for the next round */
    gd_list_init(&now);
    gd_list_splice(&now, &l->soon);
    struct gd_node *node;
    while ((node = gd_list_shift(&now))) {
        struct gd_soon *s = GD_OWNER(node, struct gd_soon, node);
        s->fn(s);
    }
    if (gd_list_empty(&l->soon))
        (void)uv_idle_stop(idle);
}

void gd_soon(struct gd_loop *l, struct gd_soon *s)
{
    if (gd_node_linked(&s->node))
        return;
    gd_list_push(&l->soon, &s->node);
    (void)uv_idle_start(&l->uv_idle, run_soon); /* fails only for want of a function */
}

void gd_soon_cancel(struct gd_soon *s)
{
    gd_node_unlink(&s->node);
}

/* --- timers */

static void arm(struct gd_loop *l);

/* What is due after a slice comes in the next round of the loop: libuv would run a timer
 * that is due now again at once, before anything else. */
static void run_some_timers(struct gd_loop *l)
{
    int64_t now_ms = gd_mono_ms();
    struct gd_heap_node *node = NULL;
    l->armed_ms = INT64_MIN; /* nobody arms it meanwhile */
    for (unsigned i = 0; (node = gd_heap_min(&l->timers)) && node->key <= now_ms; i++) {
        if (i == TIMERS_A_ROUND) {
            gd_soon(l, &l->more_timers);
            return;
        }
        gd_heap_del(&l->timers, node);
        struct gd_timer *t = GD_OWNER(node, struct gd_timer, node);
        t->fn(t);
    }
    arm(l);
}

static void run_timers(uv_timer_t *uv)
{
    run_some_timers(uv->data);
}

static void run_more_timers(struct gd_soon *s)
{
    run_some_timers(GD_OWNER(s, struct gd_loop, more_timers));
}

/* Sets the one libuv timer to the earliest due time. */
static void arm(struct gd_loop *l)
{
    struct gd_heap_node *node = gd_heap_min(&l->timers);
    int64_t due_ms = node ? node->key : INT64_MAX;
    if (due_ms == l->armed_ms)
        return;
    l->armed_ms = due_ms;
    if (!node) {
        (void)uv_timer_stop(&l->uv_timer);
        return;
    }
    uv_update_time(l->uv); /* libuv counts from the start of the round */
    int64_t wait_ms = due_ms - gd_mono_ms();
    (void)uv_timer_start(&l->uv_timer, run_timers, wait_ms > 0 ? (uint64_t)wait_ms : 0, 0);
}

int gd_timer_at(struct gd_loop *l, struct gd_timer *t, int64_t due_ms)
{
    gd_heap_del(&l->timers, &t->node);
    int rc = gd_heap_add(&l->timers, &t->node, due_ms);
    if (rc == 0 && due_ms < l->armed_ms)
        arm(l);
    return rc;
}

void gd_timer_stop(struct gd_loop *l, struct gd_timer *t)
{
    gd_heap_del(&l->timers, &t->node); /* an alarm for nothing is cheaper than arming anew */
}

/* --- watches */

static void run_watches(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    struct gd_loop *l = poll->data;
    int n = epoll_wait(l->epoll_fd, l->events, GD_LOOP_EVENTS, 0);
    l->n_events = n > 0 ? n : 0;
    for (int i = 0; i < l->n_events; i++) {
        struct gd_watch *w = l->events[i].data.ptr;
        if (w)
            w->fn(w, l->events[i].events);
    }
    l->n_events = 0;
}

int gd_watch_start(struct gd_loop *l, struct gd_watch *w, int fd, uint32_t events)
{
    assert(!w->on);
    struct epoll_event ev = {.events = events, .data.ptr = w};
    if (epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0)
        return -errno;
    w->fd = fd;
    w->on = true;
    return 0;
}

int gd_watch_change(struct gd_loop *l, struct gd_watch *w, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.ptr = w};
    return epoll_ctl(l->epoll_fd, EPOLL_CTL_MOD, w->fd, &ev) < 0 ? -errno : 0;
}

/* It may have an event further down in the batch that is being handled. */
static void forget_events(struct gd_loop *l, const struct gd_watch *w)
{
    for (int i = 0; i < l->n_events; i++)
        if (l->events[i].data.ptr == w)
            l->events[i].data.ptr = NULL;
}

void gd_watch_stop(struct gd_loop *l, struct gd_watch *w)
{
    if (!w->on)
        return;
    (void)epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, w->fd, NULL);
    w->on = false;
    forget_events(l, w);
}

void gd_watch_close(struct gd_loop *l, struct gd_watch *w)
{
    if (!w->on)
        return;
    close(w->fd);
    w->on = false;
    forget_events(l, w);
}

/* --- all */

int gd_loop_init(struct gd_loop *l, uv_loop_t *uv)
{
    *l = (struct gd_loop){.uv = uv, .armed_ms = INT64_MAX};
    gd_list_init(&l->soon);
    l->more_timers.fn = run_more_timers;
    l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (l->epoll_fd < 0)
        return -errno;
    l->uv_timer.data = l->uv_poll.data = l->uv_idle.data = l;
    int rc = uv_poll_init(uv, &l->uv_poll, l->epoll_fd);
    if (rc < 0) {
        close(l->epoll_fd);
        return rc;
    }
    (void)uv_timer_init(uv, &l->uv_timer); /* these two cannot fail */
    (void)uv_idle_init(uv, &l->uv_idle);
    l->n_open = 3;
    rc = uv_poll_start(&l->uv_poll, UV_READABLE, run_watches);
    if (rc < 0)
        gd_loop_close(l);
    return rc;
}

static void close_epoll(uv_handle_t *h)
{
    struct gd_loop *l = h->data;
    close(l->epoll_fd);
    count_closed(h);
}

void gd_loop_close(struct gd_loop *l)
{
    uv_close((uv_handle_t *)&l->uv_poll, close_epoll);
    uv_close((uv_handle_t *)&l->uv_timer, count_closed);
    uv_close((uv_handle_t *)&l->uv_idle, count_closed);
    gd_heap_free(&l->timers);
}
