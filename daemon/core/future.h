/* daemon/core/future.h — a result that will be, and who wants to know.
 *
 * The one mechanism of the core, as in asyncio: tasks and batches are futures,
 * and gather, waiting requests and whatever else follows an end are callbacks.
 * A future settles once. Callbacks run once, in the order in which they were
 * added; one that runs may add and remove callbacks, its own future's too.
 * Callbacks are embedded in their owners; nothing is allocated.
 *
 * Who waits subscribes first and then looks: gd_future_watch() on a future that
 * is done adds nothing and says so.
 *
 * Thread: loop thread only.
 */
#ifndef GD_DAEMON_CORE_FUTURE_H
#define GD_DAEMON_CORE_FUTURE_H

#include "base/attr.h"
#include "base/list.h"
#include "base/state.h"

#include <stdbool.h>
#include <stdint.h>

struct gd_future {
    struct gd_node callbacks;
    uint8_t state; /* enum gd_state; final: done */
};

struct gd_callback {
    struct gd_node node;
    /* `f` is done; it may be gone once the callback returns. */
    void (*fn)(struct gd_callback *cb, struct gd_future *f);
};

void gd_future_init(struct gd_future *f);

static inline bool gd_future_done(const struct gd_future *f)
{
    return gd_state_is_final((enum gd_state)f->state);
}

/* Adds a callback (in no future). False: `f` is done already, nothing was added. */
GD_MUST_CHECK bool gd_future_watch(struct gd_future *f, struct gd_callback *cb);

/* Removes a callback; in no future is fine. */
static inline void gd_future_unwatch(struct gd_callback *cb)
{
    gd_node_unlink(&cb->node);
}

/* Makes `f` done, in a final state, and runs its callbacks. */
void gd_future_settle(struct gd_future *f, enum gd_state state);

#endif
