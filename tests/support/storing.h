/* tests/support/storing.h — the real store in a private directory, on a disk that fails
 * when it is told to. One at a time. Thread: the test's, which is the loop's.
 */
#ifndef GD_TESTS_STORING_H
#define GD_TESTS_STORING_H

#include "daemon/core/core.h"
#include "daemon/store/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STORING_MOST 4096

struct storing {
    struct gd_loop loop;
    struct gd_sqlite *s;
    struct gd_store *store;
    char path[96];
    char failure[256];                /* what `failed` was told */
    unsigned n_failures;              /* how often */
    struct gd_op *done[STORING_MOST]; /* in the order in which they came back */
    size_t n_done;
};

extern struct storing storing;

/* Makes the directory; opens; starts the writer (unless the test recovers first). */
void storing_begin(void);
void storing_open(void);
void storing_start(void);

/* Stops and closes in order; and all of it away. */
void storing_close(void);
void storing_end(void);

/* Closes and opens again, as a daemon that starts anew does; the writer runs. */
void storing_reopen(void);

/* Queues an operation; its `done` notes it. */
void storing_write(struct gd_op *op);

/* Runs the loop until `n` operations in all have come back, or the store has failed. */
void storing_wait(size_t n);
void storing_wait_failure(void);

/* Writes one and waits for it; its rc. */
int storing_commit(struct gd_op *op);

/* From now on every write to the disk (every sync, if `sync`) fails with this SQLite
 * code; 0: none does. Any thread. */
void storing_break_disk(int code, bool sync);

/* --- short forms: committed when they return */

/* A submission of `n` jobs with the text {"run":["true"]} and, if `spec`, a batch. */
struct gd_op_submit storing_submission(const struct gd_job *jobs, size_t n, uint64_t first,
                                       uint64_t batch, const struct gd_batch_spec *spec,
                                       struct gd_extent *room);
void storing_task(uint64_t id);
void storing_batch(uint64_t id, uint64_t first, size_t n);
void storing_settle(uint64_t task, enum gd_state state, int64_t finished_ms);
struct gd_job storing_job(void);

/* The one number that a query gives, by a connection of its own; -1: none (or NULL). */
int64_t storing_number(const char *sql);

#endif
