/* daemon/core/store.h — what the core asks of a store; daemon/store answers.
 *
 * Writes are operations: structs with a gd_op at their start, made by the caller
 * and its own again once `done` ran. The store commits whatever has queued up in
 * one transaction, in the order of the calls; an operation is never split.
 *
 *   SUBMIT     D1  tasks and batch exist         before the 2xx answer
 *   LEASE      D2  an attempt may start          before START
 *   SETTLE     D3  an outcome is final           before anybody sees it, before ACK
 *   CANCEL     D4  a cancel was asked for        before CANCEL goes out
 *   BATCH_END      a batch's outcome, or that all its children have ended
 *   PATCH          name, labels, priority, timeout
 *   STAGE          jobs of a streamed batch that is not complete yet
 *   UNSTAGE        takes them back
 *   MARK           where a restart need not look any more
 *
 * `done` gets 0 or, for SUBMIT, CANCEL, PATCH and STAGE, an error: GD_E_STORE_FULL
 * (nothing was written), GD_E_STORE, -ENOMEM. The others are tried until they
 * succeed: the world waits for them, they cannot fail.
 *
 * Thread: all calls and callbacks on the loop's.
 */
#ifndef GD_DAEMON_CORE_STORE_H
#define GD_DAEMON_CORE_STORE_H

#include "base/attr.h"
#include "base/buf.h"
#include "base/job.h"
#include "base/list.h"
#include "base/state.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum gd_op_kind {
    GD_OP_SUBMIT,
    GD_OP_LEASE,
    GD_OP_SETTLE,
    GD_OP_CANCEL,
    GD_OP_BATCH_END,
    GD_OP_PATCH,
    GD_OP_STAGE,
    GD_OP_UNSTAGE,
    GD_OP_MARK,
};

struct gd_op {
    struct gd_node node;
    enum gd_op_kind kind;
    bool urgent; /* something stands still until it is written */
    int rc;      /* set by the store before `done` */
    void (*done)(struct gd_op *op);
};

/* A run of a batch's children with ids one after the other. */
struct gd_extent {
    uint64_t index; /* of the first of them in the batch */
    uint64_t first; /* its id */
    uint64_t n;
};

/* Rules and options of a batch, as its submission gave them. */
struct gd_batch_spec {
    struct gd_span name;   /* in quotes; empty: none */
    struct gd_span labels; /* JSON object; empty: none */
    int64_t timeout_ms;    /* GD_NO_TIMEOUT: none */
    uint32_t concurrency;  /* 0: not bounded */
    int16_t priority;      /* of jobs that name none */
    bool return_exceptions;
    bool cancel_on_failure; /* "on_failure": "cancel" */
};

/* The key of a request that creates, and what came of it. */
struct gd_idempotency {
    struct gd_span key; /* empty: none */
    unsigned char fingerprint[32];
    uint64_t replay_task; /* set with GD_E_REPLAYED: what the first one made */
    uint64_t replay_batch;
};

struct gd_op_submit {
    struct gd_op op;
    const struct gd_job *jobs; /* n of them; ids first_task and up */
    size_t n;
    uint64_t first_task;
    uint64_t batch; /* 0: none */
    const struct gd_batch_spec *spec;
    /* A streamed batch: its tasks are staged already, in these runs; n is 0. */
    const struct gd_extent *extents;
    size_t n_extents;
    int64_t created_ms;
    struct gd_idempotency idempotency;
};

struct gd_op_stage {
    struct gd_op op;
    const struct gd_job *jobs;
    size_t n;
    uint64_t first_task;
    uint64_t batch;
    size_t first_index;
    int64_t created_ms;
};

struct gd_op_unstage {
    struct gd_op op;
    uint64_t batch;
    const struct gd_extent *extents;
    size_t n;
};

/* All tasks and batches below are done (and settled). Only a hint for a fast start. */
struct gd_op_mark {
    struct gd_op op;
    uint64_t low_task;
    uint64_t low_batch;
};

struct gd_lease {
    uint64_t task;
    uint32_t attempt;
    uint64_t epoch;     /* of the worker that gets it; 0: a sleep */
    int64_t started_ms; /* of a sleep, which runs from here on; else 0 */
};

struct gd_op_lease {
    struct gd_op op;
    struct gd_lease *leases;
    size_t n;
};

/* One stream of output. */
struct gd_output {
    char *bytes; /* owned; NULL: none, or in a file */
    size_t len;
    uint64_t total; /* bytes that came */
    uint64_t kept;
    bool in_file;
};

/* What an API reader turns an outcome into. The numbers are of the file format. */
enum gd_result_kind {
    GD_RK_NONE = 0,        /* no result: null */
    GD_RK_VALUE = 1,       /* the job's `value` */
    GD_RK_COMMAND = 2,     /* exit code, stdout, stderr, truncated, members of `detail` */
    GD_RK_STDOUT = 3,      /* stdout as a string */
    GD_RK_JSON = 4,        /* stdout as it is */
    GD_RK_FETCH = 5,       /* members of `detail`, which name a path; no body */
    GD_RK_FETCH_TEXT = 6,  /* members of `detail`, and the body as a string */
    GD_RK_FETCH_BYTES = 7, /* the same, the body in base64 */
};

/* How a task ended. */
struct gd_outcome {
    enum gd_state state; /* final */
    enum gd_result_kind result;
    uint32_t attempt;
    int64_t started_ms; /* wall; 0: never started */
    int64_t finished_ms;
    int exit_code;
    unsigned n_cancels;
    char *detail;    /* JSON members without braces; owned; NULL: none */
    char *exception; /* JSON; owned; NULL: none */
    struct gd_output out;
    struct gd_output err;
};

/* Frees what it owns. */
void gd_outcome_done(struct gd_outcome *o);

struct gd_op_settle {
    struct gd_op op;
    uint64_t task;
    bool leased;                /* there is a lease to be removed */
    bool cancelled;             /* there may be a cancel to be removed */
    struct gd_outcome *outcome; /* borrowed; NULL: `plain` says it all */
    struct {
        enum gd_state state;
        enum gd_result_kind result;
        int64_t started_ms;
        int64_t finished_ms;
    } plain;
};

struct gd_op_cancel {
    struct gd_op op;
    uint64_t task; /* one of the two */
    uint64_t batch;
    const char *msg;    /* NULL: none */
    int64_t grace_ms;   /* -1: the job's */
    unsigned n_cancels; /* of a task; 0: all were taken back */
};

/* Either half, or both. */
struct gd_op_batch_end {
    struct gd_op op;
    uint64_t batch;
    bool is_done;
    enum gd_state state;
    const char *exception; /* JSON; NULL: none */
    uint64_t culprit;      /* the task by which it failed; 0: none */
    int64_t started_ms;    /* of its first task; 0: none has started */
    int64_t finished_ms;
    bool is_settled;
    int64_t settled_ms;
    uint64_t counts[GD_N_STATES];
};

struct gd_op_patch {
    struct gd_op op;
    uint64_t task;
    struct gd_span name;   /* empty: stays */
    struct gd_span labels; /* empty: stay */
    bool set_priority;
    int16_t priority;
    bool set_timeout;
    int64_t timeout_ms;
};

/* A task as it is on disk. All spans are borrowed for the time of the call. */
struct gd_task_record {
    uint64_t id;
    uint64_t batch; /* 0: none */
    uint32_t index;
    enum gd_kind kind;
    int64_t created_ms;
    struct gd_span name;   /* plain; ptr NULL: none */
    struct gd_span labels; /* JSON; ptr NULL: none */
    struct gd_span value;  /* JSON; ptr NULL: none */
    bool has_outcome;      /* else nothing below is set */
    enum gd_state state;
    enum gd_result_kind result;
    uint32_t attempt;
    unsigned n_cancels;
    int64_t started_ms;
    int64_t finished_ms;
    int exit_code;
    struct gd_span detail;    /* JSON members; ptr NULL: none */
    struct gd_span exception; /* JSON; ptr NULL: none */
    struct gd_record_output {
        struct gd_span bytes; /* ptr NULL: none, in a file, or not asked for */
        uint64_t total;
        uint64_t kept;
        bool in_file;
    } out, err;
};

/* A batch as it is on disk. */
struct gd_batch_record {
    uint64_t id;
    uint64_t n;
    int64_t created_ms;
    bool return_exceptions;
    bool cancel_on_failure;
    uint32_t concurrency;
    int64_t timeout_ms; /* GD_NO_TIMEOUT: none */
    struct gd_span name;
    struct gd_span labels;
    bool is_done; /* else nothing below is set, but the counts if settled_ms */
    enum gd_state state;
    uint64_t culprit;
    struct gd_span exception;
    int64_t started_ms;
    int64_t finished_ms;
    int64_t settled_ms; /* 0: not settled */
    uint64_t counts[GD_N_STATES];
};

/* False ends the reading. */
typedef bool gd_task_record_fn(const struct gd_task_record *r, void *arg);
typedef bool gd_batch_record_fn(const struct gd_batch_record *r, void *arg);

/* Which tasks or batches, in the order of their ids. */
struct gd_query {
    uint64_t after; /* the last id of the page before; 0: from the start */
    bool ascending;
    const uint64_t *batch;   /* NULL: any; tasks of this batch */
    const char *name;        /* NULL: any */
    uint64_t named_by_id;    /* with name: the task whose default name it is; 0: none */
    const char *label_key;   /* NULL: any */
    const char *label_value; /* with label_key */
    int final_state;         /* -1: any; else only those that ended so */
};

struct gd_store;

struct gd_store_ops {
    /* The task, with its outputs if `outputs`. Errors: GD_E_NO_TASK, GD_E_STORE. */
    int (*read_task)(struct gd_store *s, uint64_t id, bool outputs, gd_task_record_fn *fn,
                     void *arg);
    /* The batch. Errors: GD_E_NO_BATCH, GD_E_STORE. */
    int (*read_batch)(struct gd_store *s, uint64_t id, gd_batch_record_fn *fn, void *arg);
    /* Tasks and batches, one after the other until fn says false. Errors: GD_E_STORE. */
    int (*list_tasks)(struct gd_store *s, const struct gd_query *q, gd_task_record_fn *fn,
                      void *arg);
    int (*list_batches)(struct gd_store *s, const struct gd_query *q, gd_batch_record_fn *fn,
                        void *arg);
    /* The children of a batch from index `from` on, with outputs. r->index is the place
     * in this batch. Errors: GD_E_STORE. */
    int (*read_children)(struct gd_store *s, uint64_t batch, uint64_t from, gd_task_record_fn *fn,
                         void *arg);
    /* Appends the batch's extents (struct gd_extent). Errors: GD_E_STORE, -ENOMEM. */
    int (*read_extents)(struct gd_store *s, uint64_t batch, struct gd_buf *to);
    /* What a key was used for: 0 and the ids; GD_E_NO_TASK: it is new; GD_E_KEY_REUSED:
     * for something else. */
    int (*read_key)(struct gd_store *s, struct gd_idempotency *key);
    /* Queues a write. Never blocks; `done` never runs from inside. */
    void (*write)(struct gd_store *s, struct gd_op *op);
    /* Appends the text of a task's job. Errors: GD_E_NO_TASK, GD_E_STORE, -ENOMEM. */
    int (*read_job)(struct gd_store *s, uint64_t task, struct gd_buf *to);
    /* Appends the exception of a task that has ended; nothing if it has none. */
    int (*read_exception)(struct gd_store *s, uint64_t task, struct gd_buf *to);
};

/* A store starts with this. */
struct gd_store {
    const struct gd_store_ops *ops;
};

#endif
