/* tests/support/world.h — a core whose store, executors and clock a test plays.
 *
 * The store keeps what was committed in plain arrays, commits when it is told to and
 * can refuse; a crash forgets everything else, and a new core recovers from the
 * arrays. The workers hold what was started until they are told to forget it, as
 * gatherd-runner does. Whatever happens is noted as words, in order:
 *
 *   w:submit/3-5  c:submit/3-5     an operation was written, was committed (r: refused)
 *   accepted:3 refused:3/-5009     what a submission was told
 *   start:3 cancel:3/5000 …        what an executor was asked (a second attempt: 3.2)
 *   done:3=failed batch:1=failed settled:1      a future settled
 *
 * and what must hold at any time is checked at any time: no start without its lease on
 * disk and none twice (but what may be run again if it was lost), nothing shown and nothing forgotten before its outcome is on
 * disk, one outcome for each task, no rows left behind.
 *
 * One world at a time; a test that fails says how. Thread: the test's.
 */
#ifndef GD_TESTS_WORLD_H
#define GD_TESTS_WORLD_H

#include "daemon/core/core.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WORLD_TASKS   8192
#define WORLD_BATCHES 512
#define WORLD_JOBS    300 /* in one submission */

/* A task as it is on disk, and as its worker has it. */
struct world_task {
    bool exists;
    bool staged;
    bool settled;
    bool cancelled; /* a CANCEL is on disk */
    bool leased;    /* a LEASE is on disk */
    uint64_t batch;
    uint32_t index;
    struct gd_job job;
    struct gd_lease lease;
    unsigned n_cancels;
    enum gd_state state; /* of a settled one */
    unsigned long order; /* in which they settled */
    uint32_t started;    /* the newest attempt that was started */
    bool is_shown;       /* its future was seen done */
    enum {
        WORLD_NOT_HELD,
        WORLD_WAITS,
        WORLD_RUNS,
        WORLD_ENDED
    } held;            /* by its worker */
    enum gd_state end; /* of one that has ended there */
};

struct world_batch {
    bool exists;
    bool done;
    bool settled;
    bool cancelled;
    struct gd_batch_spec spec;
    uint64_t first; /* its children: n from here on */
    size_t n;
    enum gd_state state;
    uint64_t culprit;
    uint64_t counts[GD_N_STATES];
};

struct world {
    struct gd_core core;
    struct gd_loop loop;
    struct gd_store store;
    struct gd_executor sleeper;
    struct gd_executor runner;
    struct gd_executor fetcher;
    struct world_task tasks[WORLD_TASKS]; /* by id */
    struct world_batch batches[WORLD_BATCHES];
    struct gd_node ops; /* written and not committed */
    int64_t wall_ms;
    int start_rc;    /* what the next start answers; then 0 again */
    uint64_t n_died; /* workers since the one that the core knows */
};

extern struct world world;

/* --- life */

void world_start(size_t slots);
void world_stop(void);

/* gatherd dies and another one recovers from what is on disk; workers live on. */
void world_crash(void);

/* Carries out what comes soon, and whatever that brings, until nothing does. */
void world_turn(void);

/* --- the store */

/* Commits the oldest operation; false: there is none. */
bool world_commit_one(void);

/* Turns and commits until there is nothing left to do. */
void world_rest(void);

/* The disk is full: refuses, with `rc`, what can be refused and leaves the rest. */
void world_refuse(int rc);

size_t world_n_ops(void);

/* --- words */

/* What was noted since the last call must be exactly these, in this order. */
void world_said(const char *expected);

/* True if all of it has that word; and how often. */
bool world_has_said(const char *word);
unsigned world_count(const char *word);

/* Forgets what was noted. */
void world_hush(void);

/* --- asking */

struct gd_job job_run(void);
struct gd_job job_fetch(uint32_t host);
struct gd_job job_sleep(int64_t ms);

/* Submits; the ids (of the first task). Not committed yet. */
uint64_t world_submit(struct gd_job job);
uint64_t world_submit_batch(const struct gd_job *jobs, size_t n, const struct gd_batch_spec *spec);

/* A batch of `n` commands by that rule; committed, nothing started yet. */
uint64_t world_batch_of(size_t n, bool return_exceptions, bool cancel_on_failure);

/* Written; answered as "asked:3=1" (it had effect) or "asked:3/-5009". */
void world_cancel(uint64_t task);
void world_cancel_batch(uint64_t batch, bool all);
void world_patch(uint64_t task, const int16_t *priority, const int64_t *timeout_ms);

/* --- what workers report */

/* The task, which must be in memory. */
struct gd_task *world_task(uint64_t id);

void world_started(uint64_t id);
/* It ended there; reported as far as the core knows it and is connected. Errors:
 * -ENOMEM, and the next list reports it. */
int world_end(uint64_t id, enum gd_state state);
/* The worker lists what it holds, as after a reconnect; what has ended is reported
 * again. `died`: it is another one, which holds nothing. Without memory ("list-again")
 * it is away until the next list. */
void world_list(bool died);

/* What was accepted must be settled and shown, and nobody holds anything. */
void world_is_empty(void);

#endif
