/* daemon/store/sqlite.h — between the parts of the store; nobody else's. */
#ifndef GD_DAEMON_STORE_SQLITE_H
#define GD_DAEMON_STORE_SQLITE_H

#include "daemon/store/store.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <uv.h>

/* Statements of the writer. X(identifier, SQL) */
#define GD_WRITER_SQL(X)                                                                       \
    X(BEGIN, "BEGIN IMMEDIATE")                                                                \
    X(COMMIT, "COMMIT")                                                                        \
    X(ROLLBACK, "ROLLBACK")                                                                    \
    X(ADD_TASK, "INSERT INTO task (id, batch, idx, created_at, kind, priority, sleep_ms,"      \
                " timeout_ms, host, rerun, name, labels, value, job)"                          \
                " VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)")                                       \
    X(ADD_LABEL, "INSERT OR IGNORE INTO label (key, value, task) VALUES (?,?,?)")              \
    X(ADD_BATCH_LABEL, "INSERT OR IGNORE INTO batch_label (key, value, batch) VALUES (?,?,?)") \
    X(DELETE_LABELS, "DELETE FROM label WHERE key = ? AND value = ? AND task = ?")             \
    X(ADD_BATCH, "INSERT INTO batch (id, created_at, n, return_exceptions, cancel_on_failure," \
                 " concurrency, timeout_ms, name, labels) VALUES (?,?,?,?,?,?,?,?,?)")         \
    X(ADD_EXTENT, "INSERT INTO extent (batch, idx, first, n) VALUES (?,?,?,?)")                \
    X(FIND_KEY, "SELECT fingerprint, task, batch FROM idempotency WHERE key = ?")              \
    X(ADD_KEY, "INSERT INTO idempotency (key, fingerprint, task, batch, created_at)"           \
               " VALUES (?,?,?,?,?)")                                                          \
    X(ADD_LEASE, "INSERT OR REPLACE INTO lease (task, attempt, epoch, started_at)"             \
                 " VALUES (?,?,?,?)")                                                          \
    X(DELETE_LEASE, "DELETE FROM lease WHERE task = ?")                                        \
    X(ADD_OUTCOME, "INSERT OR IGNORE INTO outcome (task, state, result, attempt, n_cancels,"   \
                   " started_at, finished_at, exit_code, detail, exception, out, out_total,"   \
                   " out_kept, out_file, err, err_total, err_kept, err_file)"                  \
                   " VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)")                            \
    X(ADD_CANCEL, "INSERT OR REPLACE INTO cancel (task, n, msg, grace_ms) VALUES (?,?,?,?)")   \
    X(DELETE_CANCEL, "DELETE FROM cancel WHERE task = ?")                                      \
    X(ADD_BATCH_CANCEL, "INSERT OR REPLACE INTO batch_cancel (batch, msg, grace_ms)"           \
                        " VALUES (?,?,?)")                                                     \
    X(DELETE_BATCH_CANCEL, "DELETE FROM batch_cancel WHERE batch = ?")                         \
    X(BATCH_DONE, "INSERT INTO batch_end (batch, state, culprit, exception, started_at,"       \
                  " finished_at) VALUES (?,?,?,?,?,?) ON CONFLICT DO NOTHING")                 \
    X(BATCH_SETTLED, "UPDATE batch_end SET settled_at = ?2, succeeded = ?3, failed = ?4,"      \
                     " cancelled = ?5 WHERE batch = ?1 AND settled_at IS NULL")                \
    X(PATCH_NAME, "UPDATE task SET name = ?2 WHERE id = ?1")                                   \
    X(PATCH_LABELS, "UPDATE task SET labels = ?2 WHERE id = ?1")                               \
    X(GET_LABELS, "SELECT labels FROM task WHERE id = ?")                                      \
    X(PATCH_PRIORITY, "UPDATE task SET priority = ?2 WHERE id = ?1")                           \
    X(PATCH_TIMEOUT, "UPDATE task SET timeout_ms = ?2 WHERE id = ?1")                          \
    X(ADD_STAGED, "INSERT OR IGNORE INTO staged (batch, first) VALUES (?,?)")                  \
    X(DELETE_STAGED, "DELETE FROM staged WHERE batch = ?")                                     \
    X(DELETE_TASKS, "DELETE FROM task WHERE id BETWEEN ? AND ?")                               \
    X(DELETE_TASK_LABELS, "DELETE FROM label WHERE task BETWEEN ? AND ?")                      \
    X(SET_META, "INSERT OR REPLACE INTO meta (key, value) VALUES (?,?)")

enum gd_writer_sql {
#define X(id, sql) GD_SQL_##id,
    GD_WRITER_SQL(X)
#undef X
    GD_N_SQL
};

/* The writer's side; only its thread touches it while it runs. */
struct gd_writer {
    sqlite3 *db;
    sqlite3_stmt *sql[GD_N_SQL];
    struct gd_buf scratch;
};

/* Prepares the statements. Returns an SQLite code. */
int gd_writer_prepare(struct gd_writer *w);
void gd_writer_finalize(struct gd_writer *w);

/* Carries out one operation inside the open transaction. Returns an SQLite code;
 * *ret_rc is what the operation's `done` gets when the group commits. */
int gd_writer_apply(struct gd_writer *w, struct gd_op *op, int *ret_rc);

/* Runs a statement without parameters or results. Returns an SQLite code. */
int gd_writer_run(struct gd_writer *w, enum gd_writer_sql sql);

struct gd_sqlite {
    struct gd_store store; /* first */
    struct gd_loop *loop;
    struct gd_sqlite_config config;
    sqlite3 *reader;
    sqlite3_stmt *read_task;
    sqlite3_stmt *read_full_task;
    sqlite3_stmt *read_batch;
    sqlite3_stmt *read_job;
    sqlite3_stmt *read_exception;

    struct gd_writer writer;
    pthread_t thread;
    bool running;
    struct gd_node unsent; /* operations of this round of the loop */
    struct gd_soon send;
    struct gd_node told; /* operations whose `done` is due */
    struct gd_soon tell;
    uv_async_t async;
    bool async_open;

    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t wake;
    struct gd_node queue; /* to be written */
    struct gd_node back;  /* written, or failed */
    bool stop;
    bool urgent;       /* somebody waits for an operation in the queue */
    char failure[256]; /* why the writer gave up; empty: it has not */

    bool failure_told;
    _Atomic uint64_t n_commits;
    _Atomic uint64_t n_ops;
};

/* The writer thread. */
void *gd_sqlite_write_loop(void *arg);

/* reader.c: the reading half of the store's functions. */
int gd_sqlite_read_task(struct gd_store *store, uint64_t id, bool outputs, gd_task_record_fn *fn,
                        void *arg);
int gd_sqlite_read_batch(struct gd_store *store, uint64_t id, gd_batch_record_fn *fn, void *arg);
int gd_sqlite_list_tasks(struct gd_store *store, const struct gd_query *f, gd_task_record_fn *fn,
                         void *arg);
int gd_sqlite_list_batches(struct gd_store *store, const struct gd_query *f, gd_batch_record_fn *fn,
                           void *arg);
int gd_sqlite_read_children(struct gd_store *store, uint64_t batch, uint64_t from,
                            gd_task_record_fn *fn, void *arg);
int gd_sqlite_read_extents(struct gd_store *store, uint64_t batch, struct gd_buf *to);
int gd_sqlite_read_key(struct gd_store *store, struct gd_idempotency *key);
int gd_sqlite_read_job(struct gd_store *store, uint64_t task, struct gd_buf *to);
int gd_sqlite_read_exception(struct gd_store *store, uint64_t task, struct gd_buf *to);
void gd_sqlite_reader_done(struct gd_sqlite *s);

#endif
