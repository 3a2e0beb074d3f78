/* daemon/core/core.h — tasks and batches from submission to outcome.
 *
 * The loop thread owns it all. Nothing is shown that is not on disk: a task exists
 * when its SUBMIT has been committed, and is done when its SETTLE has.
 *
 * Thread: loop thread only, but where a function says "any thread".
 */
#ifndef GD_DAEMON_CORE_H
#define GD_DAEMON_CORE_H

#include "base/attr.h"
#include "base/list.h"
#include "base/map.h"
#include "daemon/core/batch.h"
#include "daemon/core/executor.h"
#include "daemon/core/schedule.h"
#include "daemon/core/store.h"
#include "daemon/core/task.h"
#include "daemon/loop/loop.h"

#include <stdbool.h>
#include <stdint.h>

struct gd_core_config {
    size_t slots;          /* commands at once */
    size_t fetches;        /* at once */
    size_t fetches_a_host; /* at once */
    int64_t (*wall_ms)(void);
};

struct gd_core {
    struct gd_loop *loop;
    struct gd_store *store;
    struct gd_core_config config;
    struct gd_executor *executors[GD_N_KINDS];
    struct gd_schedule schedule;
    struct gd_task_table tasks;
    struct gd_map batches;
    uint64_t next_task;
    uint64_t next_batch;
    struct gd_soon pump; /* starts what may start */
    struct gd_timer pump_later;
    struct gd_node feeds;  /* struct gd_feed: submissions not yet all in line */
    struct gd_node staged; /* struct gd_submission: ids that must stay unseen */
    size_t ahead;          /* commands leased beyond the slots */
    size_t n_in_stock;     /* commands that lie at the runner and have not started */
    size_t n_ended;        /* commands so far, and when `ahead` was learned last */
    size_t learned_ended;
    int64_t learned_us;
    size_t n_submitting; /* SUBMITs under way */
    size_t n_settled;
    struct gd_op_mark mark;
    bool marking;     /* `mark` is under way */
    size_t n_changes; /* grows with every visible change of a task or batch */
    bool closing;     /* nothing starts any more */
    /* A task or batch has changed for the world. NULL: nobody asks. */
    void (*changed)(void *arg, uint64_t task, uint64_t batch);
    void *changed_arg;
};

/* `loop`, `store` and everything in `config` are borrowed. Errors: -ENOMEM. */
GD_MUST_CHECK int gd_core_init(struct gd_core *c, struct gd_loop *loop, struct gd_store *store,
                               const struct gd_core_config *config);
/* Frees all tasks and batches; nothing is reported. */
void gd_core_done(struct gd_core *c);

/* Tasks of `kind` go to `ex`, borrowed. */
void gd_core_use(struct gd_core *c, enum gd_kind kind, struct gd_executor *ex);

/* Nothing starts any more (the end of the daemon); what runs goes on. */
void gd_core_close(struct gd_core *c);

/* --- submitting */

struct gd_submission {
    struct gd_op_submit op;
    struct gd_batch_spec spec;
    struct gd_batch *batch;  /* NULL: one task without a batch */
    struct gd_block *blocks; /* chain; the core's once it is on disk */
    struct gd_block *last;
    struct gd_node node;       /* in core->staged */
    struct gd_extent *extents; /* of staged tasks; owned */
    size_t n_extents;
    size_t n_jobs;
    struct gd_node feeds; /* made before the commit, used after it */
    struct gd_soon later;
    struct gd_core *core;
    /* 0: tasks and batch exist; else an error as the store gave it, or -ENOMEM. The
     * submission is the caller's again. */
    void (*done)(struct gd_submission *s, int rc);
};

/* Prepares blocks and batch for `n` jobs. `spec` NULL: one task without a batch.
 * `jobs` and all texts they point to must live until `done`. Any thread.
 * Errors: -ENOMEM. */
GD_MUST_CHECK int gd_submission_build(struct gd_submission *s, const struct gd_job *jobs, size_t n,
                                      const struct gd_batch_spec *spec);

/* Frees what was built and has not become the core's. */
void gd_submission_done(struct gd_submission *s);

/* Writes it; s->done follows, never from inside. */
void gd_core_submit(struct gd_core *c, struct gd_submission *s);

/* Streaming: gives ids to `n` more jobs of a submission that was built with none, so
 * that the caller can write them with a STAGE. Their ids stay unseen until
 * gd_core_submit(). Errors: -ENOMEM. */
GD_MUST_CHECK int gd_core_stage(struct gd_core *c, struct gd_submission *s,
                                const struct gd_job *jobs, size_t n, struct gd_op_stage *ret_op);

/* True if tasks with this id are staged: to the world they do not exist. */
bool gd_core_is_staged(const struct gd_core *c, uint64_t task);

/* --- looking */

struct gd_batch *gd_core_batch(const struct gd_core *c, uint64_t id);

/* A task that is not done; NULL: the store knows it, or nobody. While callbacks of its
 * future run it is done already, though still in the table. */
static inline struct gd_task *gd_core_task(const struct gd_core *c, uint64_t id)
{
    struct gd_task *t = gd_task_find(&c->tasks, id);
    return t && !gd_future_done(&t->future) ? t : NULL;
}

/* --- asking for changes */

/* A change that is on its way to the disk. */
struct gd_change {
    struct gd_op_cancel cancel;
    struct gd_op_patch patch;
    struct gd_callback ended; /* watches a task that is cancelled without a CANCEL */
    struct gd_soon answer;
    int rc;
    struct gd_core *core;
    uint64_t task;
    uint64_t batch;
    char *msg; /* owned by the request until it is done, then the caller's to free */
    unsigned n_cancels;
    bool had_effect;
    /* The change is on disk (0) or was not made. The request is the caller's again. */
    void (*done)(struct gd_change *r, int rc);
};

/* task.cancel(msg), gather(…).cancel(msg). `own_msg` may be NULL; `grace_ms` -1: the
 * job's. Answers by r->done, never from inside; r->had_effect is cancel()'s return
 * value. A batch that is decided while children go on is left alone, as asyncio
 * does, unless `all`. */
void gd_core_cancel_task(struct gd_core *c, struct gd_change *r, uint64_t task, char *own_msg,
                         int64_t grace_ms);
void gd_core_cancel_batch(struct gd_core *c, struct gd_change *r, uint64_t batch, char *own_msg,
                          int64_t grace_ms, bool all);

/* Cancels for a batch, whose own state says it on disk. Errors: -ENOMEM. */
GD_MUST_CHECK int gd_core_cancel_child(struct gd_core *c, struct gd_task *t, const char *msg,
                                       int64_t grace_ms);

/* task.uncancel(), in memory: the number of requests that are left. */
unsigned gd_core_uncancel(struct gd_core *c, struct gd_task *t);
/* The same on disk; r->n_cancels are left. */
void gd_core_uncancel_task(struct gd_core *c, struct gd_change *r, uint64_t task);

/* Sets what r->patch asks for; its spans must live until r->done. */
void gd_core_patch(struct gd_core *c, struct gd_change *r);

/* Asks a task for its output in files; `cb` runs when it is there, or when the task
 * is done. False: it is not running a command, and nothing was asked. */
GD_MUST_CHECK bool gd_core_spill(struct gd_core *c, struct gd_task *t, struct gd_callback *cb);

/* --- what executors report */

void gd_core_started(struct gd_core *c, struct gd_task *t, int64_t wall_ms);
void gd_core_progress(struct gd_core *c, struct gd_task *t, int64_t bytes, int64_t total);
void gd_core_spilled(struct gd_core *c, struct gd_task *t);
/* It has ended. Takes `own` (allocated). Errors: -ENOMEM; `own` is gone and the end
 * must be reported again, later. */
GD_MUST_CHECK int gd_core_ended(struct gd_core *c, struct gd_task *t, struct gd_outcome *own);
/* A plain end without output or exception. Errors as above. */
GD_MUST_CHECK int gd_core_succeeded(struct gd_core *c, struct gd_task *t,
                                    enum gd_result_kind result);
/* What became of it will never be known; `reason` as for gd_exception_lost(). Errors:
 * -ENOMEM; it is as it was, and must be reported again, later. */
GD_MUST_CHECK int gd_core_lost(struct gd_core *c, struct gd_task *t, const char *reason);
/* Its attempt never reached the worker: it waits again. */
void gd_core_requeue(struct gd_core *c, struct gd_task *t);
/* A worker that (again) lists what it holds has this one. `started_ms` 0: it waits. */
void gd_core_reattached(struct gd_core *c, struct gd_task *t, int64_t started_ms);
/* A worker that lists what it holds does not have this one: it never came there, and
 * waits again, if it was leased to the worker of this `epoch`; else it is lost. Errors
 * as above. */
GD_MUST_CHECK int gd_core_missing(struct gd_core *c, struct gd_task *t, uint64_t epoch,
                                  const char *reason);
/* An executor became ready, or not. */
void gd_core_executor_changed(struct gd_core *c);

/* --- recovery: before the loop runs, in the order of ids */

struct gd_recovered_task {
    uint64_t id;
    uint64_t batch;
    uint32_t index;
    struct gd_job job; /* without texts */
    int64_t created_ms;
    bool leased;
    struct gd_lease lease;
    unsigned n_cancels;
    const char *cancel_msg;
    int64_t cancel_grace_ms;
};

/* A child that has ended. */
struct gd_recovered_end {
    uint64_t task;
    uint32_t index;
    enum gd_state state;
    int64_t started_ms; /* 0: never started */
    int64_t finished_ms;
};

/* Adds a batch that is not done or not settled (own->core is NULL, its rules, extents
 * and times are set, so is gather.decided); its children that have ended are added
 * with gd_core_recover_ended(), in the order of their ends. Errors: -ENOMEM; `own` is
 * gone. */
GD_MUST_CHECK int gd_core_recover_batch(struct gd_core *c, struct gd_batch *own);
void gd_core_recover_ended(struct gd_core *c, struct gd_batch *b,
                           const struct gd_recovered_end *end);
/* Adds up to GD_BLOCK_TASKS unfinished tasks of one batch (or none), their ids and
 * indexes one after the other. */
GD_MUST_CHECK int gd_core_recover_tasks(struct gd_core *c, const struct gd_recovered_task *tasks,
                                        size_t n);
/* All is there: batches are decided that must be, waiting tasks get in line. */
GD_MUST_CHECK int gd_core_recovered(struct gd_core *c);

#endif
