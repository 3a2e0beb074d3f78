/* daemon/core/batch.h — a batch: a gather, its rules, and the tasks it brought.
 *
 *   pending --first task starts--> running --decided, on disk--> done
 *                                     all children ended, on disk: settled, gone
 *
 * Leaves memory when it is done and settled.
 */
#ifndef GD_DAEMON_CORE_BATCH_H
#define GD_DAEMON_CORE_BATCH_H

#include "base/attr.h"
#include "base/buf.h"
#include "daemon/core/gather.h"
#include "daemon/core/schedule.h"
#include "daemon/core/store.h"
#include "daemon/loop/loop.h"

#include <stdbool.h>
#include <stdint.h>

struct gd_core;

struct gd_batch {
    struct gd_gather gather;
    struct gd_future settled; /* every child has ended, and that is on disk */
    struct gd_lanes lanes;
    struct gd_core *core; /* NULL: not part of it yet */
    uint64_t id;
    struct gd_extent *extents; /* its children in order; owned */
    size_t n_extents;
    int64_t created_ms;
    int64_t started_ms; /* of the first task; 0: none has started */
    int64_t timeout_ms;
    struct gd_timer deadline;
    struct gd_soon sweep;    /* cancels its children, some in each round */
    size_t sweep_at;         /* the next one */
    char *cancel_msg;        /* NULL: none */
    int64_t cancel_grace_ms; /* -1: the jobs' own */
    uint64_t *failed;        /* GROUP: tasks that failed, in that order; owned */
    size_t n_failed;
    size_t n_running;  /* tasks that have started and not ended */
    size_t n_tasks;    /* of it that are in memory */
    size_t n_settling; /* of these, whose end is being written */
    struct gd_op_batch_end done_op;
    struct gd_op_batch_end settled_op;
    char *exception; /* for done_op; owned */
    bool return_exceptions;
    bool cancel_on_failure;
    bool only_commands; /* so its concurrency can be kept by the runner */
    enum gd_gather_cause cause;
    enum gd_state outcome; /* decided, maybe not on disk yet */
    bool sweep_first;      /* recovery: its children are to be cancelled */
    bool done_written;     /* done_op is under way, or back */
    int n_writes;          /* operations under way */
};

/* Makes a batch for `n` children by `spec`. Touches nothing shared. NULL: no memory. */
struct gd_batch *gd_batch_new(const struct gd_batch_spec *spec, size_t n) GD_MUST_CHECK;

/* Frees one that is not part of a core any more, or never was. NULL is fine. */
void gd_batch_free(struct gd_batch *b);

/* Adds a run of ids to its children. Errors: -ENOMEM. */
GD_MUST_CHECK int gd_batch_extend(struct gd_batch *b, uint64_t first, uint64_t n);

/* The id of child `index`. */
uint64_t gd_batch_child(const struct gd_batch *b, size_t index);

/* It becomes part of `core`: its deadline runs, and if nothing is left to wait for
 * it is decided now. */
void gd_batch_begin(struct gd_batch *b, struct gd_core *core);

/* A task of it left memory. May free the batch. */
void gd_batch_task_gone(struct gd_batch *b);

/* The world's view: pending, running or final. */
enum gd_state gd_batch_state(const struct gd_batch *b);

/* Cancels every child that has not ended, a few in each round of the loop. */
void gd_batch_sweep(struct gd_batch *b);

/* What a cancel of the batch means once it is on disk: the gather notes it (unless it
 * is decided) and all children that have not ended are cancelled. Takes `own_msg`
 * (NULL: none). */
void gd_batch_cancel(struct gd_batch *b, char *own_msg, int64_t grace_ms);

#endif
