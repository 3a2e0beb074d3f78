#include "api/wait.h"

#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct waiter {
    struct gd_callback callback;
    struct gd_timer timer;
    struct gd_http *http;
    uint64_t id;
    gd_wait_fn *fn;
    void (*on_gone)(struct gd_core *c, uint64_t id);
};

static void let_go(struct waiter *w)
{
    gd_future_unwatch(&w->callback);
    gd_timer_stop(w->http->api->loop, &w->timer);
    free(w);
}

static void answer(struct waiter *w, bool in_time)
{
    struct gd_http *h = w->http;
    uint64_t id = w->id;
    gd_wait_fn *fn = w->fn;
    h->waiting = NULL;
    h->abandon = NULL;
    let_go(w);
    fn(h, id, in_time);
}

static void is_done(struct gd_callback *cb, struct gd_future *f)
{
    (void)f;
    answer(GD_OWNER(cb, struct waiter, callback), true);
}

static void time_is_up(struct gd_timer *t)
{
    answer(GD_OWNER(t, struct waiter, timer), false);
}

static void abandon(struct gd_http *h)
{
    struct waiter *w = h->waiting;
    struct gd_core *c = h->api->core;
    uint64_t id = w->id;
    /* The daemon's own end is not the client's. */
    void (*on_gone)(struct gd_core *, uint64_t) = h->leaving ? NULL : w->on_gone;
    let_go(w);
    if (on_gone)
        on_gone(c, id);
}

void gd_wait_leave(struct gd_http *h)
{
    struct gd_buf members = {0};
    char detail[160];
    char location[64];
    unsigned long long id = h->awaited;
    bool is_task = strncmp(h->route->path, "/v1/tasks", strlen("/v1/tasks")) == 0;
    const char *what = is_task ? "task" : "batch";
    (void)snprintf(location, sizeof(location), "/v1/%s/%llu", is_task ? "tasks" : "batches", id);
    (void)snprintf(
        detail, sizeof(detail),
        "only the wait has ended: %s %llu is on disk and goes on; do not create it again", what,
        id);
    struct gd_problem_info info = {
        .problem = GD_PROBLEM_CLOSING, .detail = "what was waited for goes on", .retry_after_s = 2};
    if (id) {
        gd_buf_printf(&members, "\"%s\":%llu", what, id);
        info.detail = detail;
        info.members = gd_buf_view(&members);
        info.location = location;
    }
    gd_http_problem(h, &info);
    gd_buf_free(&members);
}

void gd_wait_for(struct gd_http *h, struct gd_future *f, int64_t wait_ms, uint64_t id,
                 gd_wait_fn *fn, void (*on_gone)(struct gd_core *c, uint64_t id))
{
    h->awaited = id;
    if (h->api->draining) {
        gd_wait_leave(h);
        return;
    }
    struct waiter *w = calloc(1, sizeof(*w));
    if (!w) {
        gd_http_error(h, -ENOMEM);
        return;
    }
    *w = (struct waiter){.http = h, .id = id, .fn = fn, .on_gone = on_gone};
    w->callback.fn = is_done;
    w->timer.fn = time_is_up;
    if (wait_ms >= 0 && gd_timer_at(h->api->loop, &w->timer, gd_mono_ms() + wait_ms) < 0) {
        free(w);
        gd_http_error(h, -ENOMEM);
        return;
    }
    (void)!gd_future_watch(f, &w->callback); /* the caller has looked */
    gd_http_keep_watched(h, w, abandon);
}

/* --- on_disconnect=cancel */

static void cancel_is_made(struct gd_change *r, int rc)
{
    (void)rc; /* nobody is there to be told */
    free(r->msg);
    free(r);
}

static struct gd_change *cancel_new(void)
{
    struct gd_change *r = calloc(1, sizeof(*r));
    if (r)
        r->done = cancel_is_made;
    return r;
}

void gd_wait_cancel_task(struct gd_core *c, uint64_t id)
{
    struct gd_change *r = cancel_new();
    if (r)
        gd_core_cancel_task(c, r, id, strdup("the client went away"), -1);
}

void gd_wait_cancel_batch(struct gd_core *c, uint64_t id)
{
    struct gd_change *r = cancel_new();
    if (r)
        gd_core_cancel_batch(c, r, id, strdup("the client went away"), -1, false);
}

bool gd_wait_on_gone(struct gd_http *h, void (*cancel)(struct gd_core *, uint64_t),
                     void (**ret)(struct gd_core *, uint64_t))
{
    const char *value = gd_params_get(&h->params, "on_disconnect");
    *ret = value && strcmp(value, "cancel") == 0 ? cancel : NULL;
    if (!value || *ret || strcmp(value, "continue") == 0)
        return true;
    gd_http_fail(h, GD_PROBLEM_BAD_REQUEST, "on_disconnect must be \"cancel\" or \"continue\"");
    return false;
}
