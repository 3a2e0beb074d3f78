#include "daemon/core/gather.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

static void decide(struct gd_gather *g, enum gd_state state, enum gd_gather_cause cause)
{
    assert(!g->decided);
    g->decided = true;
    g->ops->decided(g, state, cause);
}

/* All children have ended and nothing was decided before. */
static void decide_last(struct gd_gather *g)
{
    if (g->rule == GD_GATHER_GROUP && g->counts[GD_FAILED] > 0)
        decide(g, GD_FAILED, GD_CAUSE_GROUP); /* real failures win over a cancel (P03) */
    else if (g->cancelled)
        decide(g, GD_CANCELLED, GD_CAUSE_CANCEL); /* over a timeout, too (M05) */
    else if (g->expired)
        decide(g, GD_FAILED, GD_CAUSE_TIMEOUT);
    else
        decide(g, GD_SUCCEEDED, GD_CAUSE_CHILDREN);
}

/* Counts one end and remembers the first that a FIRST gather fails by. */
static void count(struct gd_gather *g, size_t i, enum gd_state state)
{
    g->n_left--;
    g->counts[state]++;
    if (state != GD_SUCCEEDED && g->culprit == GD_NO_CHILD &&
        (g->rule == GD_GATHER_FIRST || state == GD_FAILED)) {
        g->culprit = i;
        g->culprit_state = (uint8_t)state;
    }
}

/* A child has ended in `state`, not successfully; one that was cancelled with the
 * gather says nothing but that. */
static void decide_first(struct gd_gather *g, enum gd_state state)
{
    if (g->cancelled && state == GD_CANCELLED)
        decide(g, GD_CANCELLED, GD_CAUSE_CANCEL);
    else if (!g->expired)
        decide(g, GD_FAILED, GD_CAUSE_CHILD);
}

static void abort_once(struct gd_gather *g)
{
    if (g->aborting || g->n_left == 0)
        return;
    g->aborting = true;
    g->ops->abort(g);
}

/* If all have ended it is over; an abort may have noticed before. */
static void settle(struct gd_gather *g)
{
    if (g->n_left > 0 || g->over)
        return;
    g->over = true;
    if (!g->decided)
        decide_last(g);
    g->ops->settled(g);
}

static void react(struct gd_gather *g, enum gd_state state)
{
    if (!g->decided && g->rule == GD_GATHER_FIRST && state != GD_SUCCEEDED)
        decide_first(g, state);
    if (g->rule == GD_GATHER_GROUP && state == GD_FAILED)
        abort_once(g);
    settle(g);
}

static void child_done(struct gd_callback *cb, struct gd_future *f)
{
    struct gd_gather_slot *s = GD_OWNER(cb, struct gd_gather_slot, callback);
    struct gd_gather *g = s->gather;
    size_t i = (size_t)(s - g->slots);
    count(g, i, (enum gd_state)f->state);
    react(g, (enum gd_state)f->state);
}

int gd_gather_init(struct gd_gather *g, size_t n, enum gd_gather_rule rule,
                   const struct gd_gather_ops *ops)
{
    *g = (struct gd_gather){
        .ops = ops, .n = n, .n_left = n, .culprit = GD_NO_CHILD, .rule = (uint8_t)rule};
    gd_future_init(&g->future);
    if (n == 0)
        return 0;
    g->slots = calloc(n, sizeof(*g->slots));
    return g->slots ? 0 : -ENOMEM;
}

int gd_gather_resize(struct gd_gather *g, size_t n)
{
    struct gd_gather_slot *slots = n ? calloc(n, sizeof(*slots)) : NULL;
    if (n && !slots)
        return -ENOMEM;
    free(g->slots);
    g->slots = slots;
    g->n = g->n_left = n;
    return 0;
}

void gd_gather_done(struct gd_gather *g)
{
    for (size_t i = 0; i < g->n; i++)
        if (g->slots)
            gd_future_unwatch(&g->slots[i].callback);
    free(g->slots);
    g->slots = NULL;
}

void gd_gather_add(struct gd_gather *g, size_t i, struct gd_future *f)
{
    struct gd_gather_slot *s = &g->slots[i];
    s->gather = g;
    s->callback.fn = child_done;
    if (!gd_future_watch(f, &s->callback))
        count(g, i, (enum gd_state)f->state);
}

void gd_gather_add_ended(struct gd_gather *g, size_t i, enum gd_state state)
{
    count(g, i, state);
}

void gd_gather_begin(struct gd_gather *g)
{
    /* Decided before a restart: what may be missing is that all have ended since. */
    if (!g->decided && g->rule == GD_GATHER_FIRST && g->culprit != GD_NO_CHILD)
        decide_first(g, (enum gd_state)g->culprit_state);
    if (!g->decided && g->rule == GD_GATHER_GROUP && g->counts[GD_FAILED] > 0)
        abort_once(g);
    settle(g);
}

bool gd_gather_cancel(struct gd_gather *g)
{
    if (g->decided)
        return false;
    g->cancelled = true;
    return true;
}

bool gd_gather_expire(struct gd_gather *g)
{
    if (g->decided)
        return false;
    g->expired = true;
    return true;
}
