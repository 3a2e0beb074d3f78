/* daemon/loop/loop.h — call_soon, call_at and add_reader on one libuv loop.
 *
 * The three things that every process here asks of its loop, each small enough
 * to be embedded by the thousand (a uv_timer_t has 152 bytes, a gd_timer 24) and
 * gone at once when stopped (a libuv handle lives on until its close callback).
 * Below lie three libuv handles: one timer armed for the earliest due time, one
 * poll on an epoll descriptor of our own, one idle handle for what comes soon.
 *
 * Thread: the loop's own, all functions.
 */
#ifndef GD_DAEMON_LOOP_H
#define GD_DAEMON_LOOP_H

#include "base/attr.h"
#include "base/heap.h"
#include "base/list.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <uv.h>

/* Events taken from the kernel in one go. */
#define GD_LOOP_EVENTS 64

struct gd_watch;
struct gd_timer;

/* A call that comes soon: once, in the next round of the loop, in the order of the calls.
 * All zero bytes is a call that was not asked for. */
struct gd_soon {
    struct gd_node node;
    void (*fn)(struct gd_soon *s);
};

struct gd_loop {
    uv_loop_t *uv;
    struct gd_heap timers;
    struct gd_node soon;
    uv_timer_t uv_timer;
    uv_poll_t uv_poll;
    uv_idle_t uv_idle;
    struct gd_soon more_timers; /* more are due than run in one round */
    int64_t armed_ms; /* when uv_timer fires; INT64_MAX: not armed; INT64_MIN: need not be */
    int epoll_fd;
    int n_events; /* of the batch that is being handled */
    struct epoll_event events[GD_LOOP_EVENTS];
    unsigned n_open; /* libuv handles not closed yet */
};

/* Starts on `uv`, which must outlive it. Errors: -errno. */
GD_MUST_CHECK int gd_loop_init(struct gd_loop *l, uv_loop_t *uv);

/* Closes the libuv handles; uv_run() must go on until they are. Timers, watches
 * and calls that are still there never run. */
void gd_loop_close(struct gd_loop *l);

/* --- call_soon */

/* Asks for s->fn; again before it ran changes nothing. */
void gd_soon(struct gd_loop *l, struct gd_soon *s);

/* Takes the request back. */
void gd_soon_cancel(struct gd_soon *s);

/* --- call_at: once, when gd_mono_ms() has reached the due time. */
struct gd_timer {
    struct gd_heap_node node;
    void (*fn)(struct gd_timer *t);
};

/* Sets t->fn (set by the caller) to run at `due_ms` (monotonic); a timer that is
 * set already moves. Errors: -ENOMEM, and it is not set. */
GD_MUST_CHECK int gd_timer_at(struct gd_loop *l, struct gd_timer *t, int64_t due_ms);

/* Takes it back; not set is fine. */
void gd_timer_stop(struct gd_loop *l, struct gd_timer *t);

static inline bool gd_timer_is_set(const struct gd_timer *t)
{
    return t->node.pos != 0;
}

/* --- add_reader: whenever a descriptor is ready, as epoll sees it. */
struct gd_watch {
    int fd; /* meaningful while `on` */
    bool on;
    void (*fn)(struct gd_watch *w, uint32_t events);
};

/* Watches `fd` for `events` (EPOLLIN, EPOLLOUT, EPOLLRDHUP …; level-triggered) and
 * calls w->fn (set by the caller). Errors: -errno of epoll_ctl. */
GD_MUST_CHECK int gd_watch_start(struct gd_loop *l, struct gd_watch *w, int fd, uint32_t events);

/* Changes the events of a watch that is on. */
GD_MUST_CHECK int gd_watch_change(struct gd_loop *l, struct gd_watch *w, uint32_t events);

/* Ends it; before the descriptor is closed. Off is fine. */
void gd_watch_stop(struct gd_loop *l, struct gd_watch *w);

/* Ends it and closes the descriptor, of which there must be no other copy: epoll(7)
 * then forgets it by itself. Off is fine. */
void gd_watch_close(struct gd_loop *l, struct gd_watch *w);

#endif
