/* daemon/core/task.h — a task that is not done yet, and the table of them.
 *
 * Only what scheduling needs is here, about 150 bytes; the rest (name, labels,
 * the job's text, later the outcome) is in the store. A task leaves memory when
 * its outcome is on disk.
 *
 *   QUEUED --lease written--> LEASED --worker started it--> RUNNING --+
 *     |  \--(LEASING while the lease is being written)                |
 *     |   \--sleep------------------------------------> RUNNING ------+--> SETTLING
 *     \--cancelled, expired ------------------------------------------/       |
 *                                                        outcome on disk: gone
 *
 * To the world QUEUED, LEASING and LEASED are `pending`; SETTLING is what it was
 * before. Tasks of one submission lie side by side in blocks, so that 100,000 of
 * them cost 1,600 allocations and one array that the table can search.
 */
#ifndef GD_DAEMON_CORE_TASK_H
#define GD_DAEMON_CORE_TASK_H

#include "base/attr.h"
#include "base/heap.h"
#include "base/job.h"
#include "base/list.h"
#include "base/state.h"
#include "daemon/core/future.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gd_batch;
struct gd_lane;

/* X(identifier, phases it may go to) */
#define GD_PHASES(X)                                                \
    X(QUEUED, GD_PTO(LEASING) | GD_PTO(RUNNING) | GD_PTO(SETTLING)) \
    X(LEASING, GD_PTO(LEASED) | GD_PTO(SETTLING) | GD_PTO(QUEUED))  \
    X(LEASED, GD_PTO(RUNNING) | GD_PTO(SETTLING) | GD_PTO(QUEUED))  \
    X(RUNNING, GD_PTO(SETTLING) | GD_PTO(QUEUED))                   \
    X(SETTLING, 0U)

enum gd_task_phase {
#define X(id, next) GD_TASK_##id,
    GD_PHASES(X)
#undef X
    GD_TASK_N_PHASES
};

/* True if a task in phase `from` may go to `to`. */
bool gd_task_phase_may_go(enum gd_task_phase from, enum gd_task_phase to);

/* What only few tasks have; made when it is needed. */
struct gd_task_extra {
    uint64_t lease_epoch;    /* recovery: the worker that it was leased to; 0: our own */
    unsigned n_cancels;      /* cancelling() */
    char *cancel_msg;        /* of the latest; NULL: none was given */
    int64_t cancel_grace_ms; /* -1: the job's */
    struct gd_node spills;   /* callbacks for when its output is in files */
    int64_t bytes;           /* progress of a fetch; -1: none yet */
    int64_t total;           /* -1: not known */
};

struct gd_task {
    struct gd_future future;
    struct gd_node queue;        /* in its lane or in a limit's line */
    struct gd_lane *lane;        /* while QUEUED */
    struct gd_batch *batch;      /* NULL: none */
    struct gd_heap_node due;     /* a sleep's end: the executor's heap */
    struct gd_task_extra *extra; /* NULL: nothing special */
    int64_t sleep_ms;            /* GD_KIND_SLEEP */
    int64_t timeout_ms;          /* GD_NO_TIMEOUT: none */
    int64_t started_ms;          /* wall; 0: not started */
    uint32_t index;              /* in its batch */
    uint32_t host;               /* GD_KIND_FETCH: hash of the host; else 0 */
    int16_t priority;
    uint16_t attempt; /* the current or the next one; 1 is the first */
    uint8_t kind;     /* enum gd_kind */
    uint8_t phase;    /* enum gd_task_phase */
    uint8_t slot;     /* in its block */
    bool rerun_if_lost : 1;
    bool has_lease : 1;  /* on disk, or on its way there */
    bool counted : 1;    /* holds its slots in the limits */
    bool at_limit : 1;   /* waits in the line of its host's limit */
    bool was_called : 1; /* has been at the front of that line */
};

/* --- blocks */

#define GD_BLOCK_TASKS 64

struct gd_block {
    uint64_t first;        /* id of tasks[0] */
    struct gd_block *next; /* in the submission that made it, until it is linked */
    uint16_t n;
    uint16_t n_live; /* not gone yet */
    struct gd_task tasks[];
};

/* Makes the blocks for `n` jobs, index 0 to n-1, of `batch` (may be NULL). Touches
 * nothing shared, so any thread may call it. NULL: out of memory. */
struct gd_block *gd_blocks_new(const struct gd_job *jobs, size_t n, struct gd_batch *batch,
                               size_t first_index) GD_MUST_CHECK;

/* Frees a chain that was never linked. */
void gd_blocks_free(struct gd_block *chain);

static inline struct gd_block *gd_task_block(const struct gd_task *t)
{
    const char *first = (const char *)(t - t->slot);
    /* NOLINTNEXTLINE(performance-no-int-to-ptr): drops the const */
    return (struct gd_block *)((uintptr_t)first - offsetof(struct gd_block, tasks));
}

static inline uint64_t gd_task_id(const struct gd_task *t)
{
    return gd_task_block(t)->first + t->slot;
}

/* --- the table */

struct gd_task_table {
    struct gd_block **blocks; /* by id; NULL: that block is gone */
    uint64_t *firsts;         /* blocks[i]->first, also of those that are gone */
    size_t n;
    size_t cap;
    size_t n_reserved; /* blocks that gd_task_table_reserve() made room for */
    size_t n_gone;
    size_t n_tasks;
};

void gd_task_table_free(struct gd_task_table *tt);

/* Makes room for `n` blocks, so that adding them cannot fail. Errors: -ENOMEM. */
GD_MUST_CHECK int gd_task_table_reserve(struct gd_task_table *tt, size_t n);

/* Gives up room that will not be used. */
void gd_task_table_unreserve(struct gd_task_table *tt, size_t n);

/* Adds one block, for which room was made. Blocks may come a little out of the order
 * of their ids, as commits do. */
void gd_task_table_add(struct gd_task_table *tt, struct gd_block *b);

/* The task with this id if it is not done; else NULL. */
struct gd_task *gd_task_find(const struct gd_task_table *tt, uint64_t id);

/* The first task with an id of at least `id`; NULL: none. */
struct gd_task *gd_task_from(const struct gd_task_table *tt, uint64_t id);

/* The last task with an id of at most `id`; NULL: none. */
struct gd_task *gd_task_up_to(const struct gd_task_table *tt, uint64_t id);

/* Takes a task out; its block is freed with the last one. */
void gd_task_remove(struct gd_task_table *tt, struct gd_task *t);

/* The extras of a task, made if need be; NULL: out of memory. */
struct gd_task_extra *gd_task_extra(struct gd_task *t) GD_MUST_CHECK;

/* What the world sees: pending, running, or a final state. */
enum gd_state gd_task_state(const struct gd_task *t);

#endif
