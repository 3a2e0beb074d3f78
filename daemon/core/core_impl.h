/* daemon/core/core_impl.h — between the parts of the core; nobody else's. */
#ifndef GD_DAEMON_CORE_IMPL_H
#define GD_DAEMON_CORE_IMPL_H

#include "daemon/core/core.h"

/* A run of new tasks that are not all in line yet. */
struct gd_feed {
    struct gd_node node;
    uint64_t next;
    uint64_t end;
};

/* A sleep from this length on keeps its start over a restart: it gets a lease. */
#define GD_LONG_SLEEP_MS 1000

static inline bool gd_core_is_long(const struct gd_task *t)
{
    return t->sleep_ms >= GD_LONG_SLEEP_MS;
}

/* A command that lies at the runner and has not started. */
static inline bool gd_core_is_in_stock(const struct gd_task *t)
{
    return t->phase == GD_TASK_LEASED && gd_class_of((enum gd_kind)t->kind) == GD_CLASS_COMMAND;
}

/* Moves a task to another phase; the one place where that happens. */
void gd_task_go(struct gd_task *t, enum gd_task_phase phase);

/* Something that the world can see of a task has changed. */
void gd_core_task_changed(struct gd_core *c, const struct gd_task *t);

/* The lanes in which a task stands. */
struct gd_lanes *gd_core_lanes(const struct gd_task *t);

/* Takes a task that is QUEUED out of its line, if it is in one already. */
void gd_core_leave_line(struct gd_core *c, struct gd_task *t);

/* Starts what may start, in the next round of the loop. */
void gd_core_pump(struct gd_core *c);
void gd_core_pump_init(struct gd_core *c);

/* Ends a task with CancelledError, TimeoutError …: takes `own_exception`, whose being
 * NULL means out of memory. Errors: -ENOMEM, and the task is as it was. */
GD_MUST_CHECK int gd_core_end_with(struct gd_core *c, struct gd_task *t, enum gd_state state,
                                   char *own_exception);
GD_MUST_CHECK int gd_core_end_cancelled(struct gd_core *c, struct gd_task *t);

/* Somebody waits for the output of a task that runs anew, or whose worker is back. */
void gd_core_spill_again(struct gd_core *c, struct gd_task *t);

/* Puts a QUEUED task that stands in no line into one, in the next round. */
void gd_core_requeue_later(struct gd_core *c, struct gd_task *t);

#endif
