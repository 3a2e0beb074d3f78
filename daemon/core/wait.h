/* daemon/core/wait.h — asyncio.wait(): some of these futures, as soon as enough are done.
 *
 *   adding --begin()--> waiting --enough are done, or stop()--> told
 *
 *   return_when       enough is
 *   ALL_COMPLETED     every one is done
 *   FIRST_COMPLETED   any one is done
 *   FIRST_EXCEPTION   any one has failed (cancelled is not failed), or every one is done
 *
 * `enough` runs in the round after that, so that all that end together are seen
 * together. A wait cancels nothing.
 *
 * Thread: loop thread only.
 */
#ifndef GD_DAEMON_CORE_WAIT_H
#define GD_DAEMON_CORE_WAIT_H

#include "base/attr.h"
#include "daemon/core/future.h"
#include "daemon/loop/loop.h"

#include <stdbool.h>
#include <stddef.h>

enum gd_return_when {
    GD_ALL_COMPLETED,
    GD_FIRST_COMPLETED,
    GD_FIRST_EXCEPTION
};

struct gd_wait;

struct gd_wait_slot {
    struct gd_callback callback;
    struct gd_wait *wait;
};

struct gd_wait {
    struct gd_wait_slot *slots; /* n of them; owned */
    size_t n;
    size_t n_left; /* that are not done */
    struct gd_loop *loop;
    struct gd_soon soon;
    void (*enough)(struct gd_wait *w);
    uint8_t when;  /* enum gd_return_when */
    bool has_one;  /* one is done … */
    bool has_fail; /* … and one has failed */
};

/* Makes the slots for `n` futures, which all count as done until they are added. Errors:
 * -ENOMEM. */
GD_MUST_CHECK int gd_wait_init(struct gd_wait *w, size_t n, enum gd_return_when when,
                               struct gd_loop *l, void (*enough)(struct gd_wait *w));

/* Unwatches all and frees the slots. All zero bytes are fine. */
void gd_wait_done(struct gd_wait *w);

/* Watches `f` as future `i`; each once. One that is done already counts as such. */
void gd_wait_add(struct gd_wait *w, size_t i, struct gd_future *f);

/* Future `i` was done, in `state`, before anybody could watch it. */
void gd_wait_add_done(struct gd_wait *w, size_t i, enum gd_state state);

/* True: it is enough already, and `enough` will not be called for it. */
GD_MUST_CHECK bool gd_wait_is_enough(const struct gd_wait *w);

/* Is future `i` still not done? */
static inline bool gd_wait_is_pending(const struct gd_wait *w, size_t i)
{
    return gd_node_linked(&w->slots[i].callback.node);
}

#endif
