#include "daemon/core/future.h"

#include <assert.h>

void gd_future_init(struct gd_future *f)
{
    gd_list_init(&f->callbacks);
    f->state = GD_PENDING;
}

bool gd_future_watch(struct gd_future *f, struct gd_callback *cb)
{
    assert(!gd_node_linked(&cb->node));
    if (gd_future_done(f))
        return false;
    gd_list_push(&f->callbacks, &cb->node);
    return true;
}

void gd_future_settle(struct gd_future *f, enum gd_state state)
{
    assert(!gd_future_done(f) && gd_state_may_go((enum gd_state)f->state, state) &&
           gd_state_is_final(state));
    f->state = (uint8_t)state;
    /* Moved to a list of our own, so that a callback may even free the future;
     * removing one that has not run yet works there as well. */
    struct gd_node all;
    gd_list_init(&all);
    gd_list_splice(&all, &f->callbacks);
    struct gd_node *node;
    while ((node = gd_list_shift(&all))) {
        struct gd_callback *cb = GD_OWNER(node, struct gd_callback, node);
        cb->fn(cb, f);
    }
}
