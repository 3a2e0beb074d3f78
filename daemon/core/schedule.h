/* daemon/core/schedule.h — which task starts next.
 *
 * Tasks that wait stand in lanes: one per batch, class and priority, first in
 * first out (all tasks without a batch share one per class and priority). The
 * lanes of one priority form a ring that is served in turn, so that a batch of
 * 100,000 does not starve one of 3. A higher priority goes first.
 *
 * Bounds: a class has slots; a batch has its concurrency (its lanes leave the ring
 * while it is full); a host has its connections (a task that finds its host full
 * leaves the lane and waits in the host's line, first in first out).
 *
 * Thread: loop thread only.
 */
#ifndef GD_DAEMON_CORE_SCHEDULE_H
#define GD_DAEMON_CORE_SCHEDULE_H

#include "base/attr.h"
#include "base/limits.h"
#include "base/list.h"
#include "base/map.h"
#include "daemon/core/task.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum gd_class {
    GD_CLASS_TIMER,
    GD_CLASS_COMMAND,
    GD_CLASS_FETCH,
    GD_N_CLASSES
};

enum gd_class gd_class_of(enum gd_kind kind);

#define GD_N_LEVELS (2 * GD_MAX_PRIORITY + 1)

/* The lanes of one batch; embedded in it. All zero bytes: none, not bounded. */
struct gd_lanes {
    struct gd_map by_key;  /* class and priority to lane */
    struct gd_lane *last;  /* found last: most batches have one */
    size_t n_running;      /* tasks that hold a place in the concurrency */
    size_t concurrency;    /* 0: not bounded */
    const size_t *ahead;   /* how many more may be leased ahead; NULL: none */
    struct gd_node parked; /* lanes that wait for the batch to have room */
    bool closed;           /* nothing of it starts any more: its tasks will be cancelled */
};

struct gd_lane {
    struct gd_node ring; /* in its level, or in lanes->parked */
    struct gd_node tasks;
    struct gd_lanes *lanes;
    uint64_t key;
    int16_t priority;
    uint8_t class;
};

struct gd_level {
    struct gd_node ring; /* lanes with tasks that may run */
};

struct gd_schedule {
    struct {
        struct gd_level *levels;                /* GD_N_LEVELS, highest priority first */
        uint64_t used[(GD_N_LEVELS + 63) / 64]; /* which rings are not empty */
        size_t n_running;
        size_t slots;
    } classes[GD_N_CLASSES];
    struct gd_lanes singles; /* of tasks without a batch */
    struct gd_map hosts;     /* struct host_limit by hash */
    size_t per_host;
    size_t n_waiting;
};

/* Slots of GD_CLASS_TIMER are without bound. Errors: -ENOMEM. */
GD_MUST_CHECK int gd_schedule_init(struct gd_schedule *s, size_t command_slots, size_t fetch_slots,
                                   size_t per_host);
void gd_schedule_done(struct gd_schedule *s);

/* Puts a task (QUEUED, in no lane) at the end of its line. Errors: -ENOMEM. */
GD_MUST_CHECK int gd_schedule_add(struct gd_schedule *s, struct gd_task *t, struct gd_lanes *lanes);

/* Takes a task that waits out of its line. */
void gd_schedule_remove(struct gd_schedule *s, struct gd_task *t);

/* The next task of `class` that may start, out of its line and counted in every
 * bound; NULL: none may. `*budget` is how many tasks may be looked at; it is 0
 * when that, not the bounds, was the reason for NULL. */
struct gd_task *gd_schedule_next(struct gd_schedule *s, enum gd_class class, unsigned *budget);

/* A task that was counted has ended, or goes back: its places are free. */
void gd_schedule_release(struct gd_schedule *s, struct gd_task *t, struct gd_lanes *lanes);

/* Counts a task that runs already (recovery); bounds may be exceeded. Errors: -ENOMEM. */
GD_MUST_CHECK int gd_schedule_count(struct gd_schedule *s, struct gd_task *t,
                                    struct gd_lanes *lanes);

/* The lanes of a batch. Freed when no task of it is in any. */
void gd_lanes_init(struct gd_lanes *lanes, size_t concurrency);
void gd_lanes_done(struct gd_lanes *lanes);

/* True if the task waits for its batch or its host rather than for a slot. */
bool gd_schedule_at_limit(const struct gd_task *t);

#endif
