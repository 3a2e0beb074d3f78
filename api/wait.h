/* api/wait.h — a request that waits for a future.
 *
 * Every wait is a shield: the client going away, or its time being up, leaves the
 * task alone, unless `?on_disconnect=cancel` opts out of that.
 */
#ifndef GD_API_WAIT_H
#define GD_API_WAIT_H

#include "api/http.h"
#include "daemon/core/future.h"

/* How a wait was answered. */
typedef void gd_wait_fn(struct gd_http *h, uint64_t id, bool in_time);

/* Lets `h` wait for `f` (not done), at most `wait_ms` (-1: for ever); then `fn` answers,
 * with `id`. If the client goes first and `on_gone` is not NULL, it is called with `id`.
 * Without memory the request is answered with that. */
void gd_wait_for(struct gd_http *h, struct gd_future *f, int64_t wait_ms, uint64_t id,
                 gd_wait_fn *fn, void (*on_gone)(struct gd_core *c, uint64_t id));

/* The daemon ends: answers with that, and with what h->awaited is, which goes on. */
void gd_wait_leave(struct gd_http *h);

/* What `?on_disconnect=cancel` does. */
void gd_wait_cancel_task(struct gd_core *c, uint64_t id);
void gd_wait_cancel_batch(struct gd_core *c, uint64_t id);

/* `?on_disconnect`: NULL or one of the two. False: answered. */
GD_MUST_CHECK bool gd_wait_on_gone(struct gd_http *h, void (*cancel)(struct gd_core *, uint64_t),
                                   void (**ret)(struct gd_core *, uint64_t));

#endif
