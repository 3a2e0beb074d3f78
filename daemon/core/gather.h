/* daemon/core/gather.h — the outer future of a gather: when is it decided, and how.
 *
 * A gather watches its children, which are futures of any kind, and tells its
 * owner two things, each once: that its outcome is decided, and that every child
 * has ended (`settled`), which may be later. The owner puts the outcome on disk and
 * then settles the future.
 *
 *   rule       first failed child        first cancelled child   all have ended
 *   FIRST      decided: failed           decided: failed (G09)    succeeded
 *   COLLECT    -                         -                        succeeded
 *   GROUP      abort: cancel the others  -                        failed if one has failed
 *
 * cancel(): a FIRST gather is decided with the first child that ends cancelled, the
 * others when all have ended, as cancelled (asyncio: CancelledError). expire() is
 * wait_for()'s timeout: decided when all have ended, as failed (TimeoutError). A cancel
 * beside it stays a cancel. What has been decided never changes.
 *
 * Thread: loop thread only.
 */
#ifndef GD_DAEMON_CORE_GATHER_H
#define GD_DAEMON_CORE_GATHER_H

#include "base/attr.h"
#include "daemon/core/future.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum gd_gather_rule {
    GD_GATHER_FIRST,
    GD_GATHER_COLLECT,
    GD_GATHER_GROUP
};

/* Why it was decided as it was. */
enum gd_gather_cause {
    GD_CAUSE_CHILDREN, /* all have ended */
    GD_CAUSE_CHILD,    /* child `g->culprit` failed or was cancelled */
    GD_CAUSE_CANCEL,
    GD_CAUSE_TIMEOUT,
    GD_CAUSE_GROUP, /* GROUP: one or more have failed */
};

#define GD_NO_CHILD SIZE_MAX

struct gd_gather;

struct gd_gather_slot {
    struct gd_callback callback;
    struct gd_gather *gather;
};

struct gd_gather_ops {
    void (*decided)(struct gd_gather *g, enum gd_state state, enum gd_gather_cause cause);
    /* GROUP: cancel every child that has not ended. Once. */
    void (*abort)(struct gd_gather *g);
    void (*settled)(struct gd_gather *g);
};

struct gd_gather {
    struct gd_future future;
    const struct gd_gather_ops *ops;
    struct gd_gather_slot *slots; /* n of them; owned */
    size_t n;
    size_t n_left;
    size_t counts[GD_N_STATES]; /* of children that have ended */
    size_t culprit;             /* index; GD_NO_CHILD */
    uint8_t culprit_state;      /* enum gd_state */
    uint8_t rule;               /* enum gd_gather_rule */
    bool decided;
    bool aborting;
    bool over;      /* settled() was called */
    bool cancelled; /* cancel() was called */
    bool expired;   /* expire() was called */
};

/* Makes the slots for `n` children. Errors: -ENOMEM. Any thread. */
GD_MUST_CHECK int gd_gather_init(struct gd_gather *g, size_t n, enum gd_gather_rule rule,
                                 const struct gd_gather_ops *ops);

/* Gives a gather that has no children yet room for `n`. Errors: -ENOMEM. */
GD_MUST_CHECK int gd_gather_resize(struct gd_gather *g, size_t n);

/* Unwatches all and frees the slots. */
void gd_gather_done(struct gd_gather *g);

/* Watches `f` as child `i`; each child once, before gd_gather_begin(). One that is done
 * already counts, but decides nothing until then. */
void gd_gather_add(struct gd_gather *g, size_t i, struct gd_future *f);

/* Child `i` ended in `state` before this process began (recovery). Decides nothing
 * by itself; gd_gather_begin() does. */
void gd_gather_add_ended(struct gd_gather *g, size_t i, enum gd_state state);

/* All children have been added: a gather of nothing, or of children that all have
 * ended, is decided now. */
void gd_gather_begin(struct gd_gather *g);

/* Notes that the gather was cancelled; the owner cancels the children. False: it was
 * decided before, and nothing is to be done (G13, G14). */
GD_MUST_CHECK bool gd_gather_cancel(struct gd_gather *g);

/* Notes that its time is up; the owner cancels the children. False as above. */
GD_MUST_CHECK bool gd_gather_expire(struct gd_gather *g);

#endif
