#include "daemon/store/schema.h"

#include <sqlite3.h>
#include <stdio.h>

/* What was asked (task, batch, extent) is written once and hardly changed; what came
 * of it (outcome, batch_end) is written once, too. Only lease and cancel come and go.
 * So an end appends a row instead of rewriting a grown one. */
static const char step_1[] =
    /* Values that must outlive everything: key, number or text. */
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID;"

    "CREATE TABLE batch ("
    " id INTEGER PRIMARY KEY, created_at INTEGER NOT NULL, n INTEGER NOT NULL,"
    " return_exceptions INTEGER NOT NULL, cancel_on_failure INTEGER NOT NULL,"
    " concurrency INTEGER NOT NULL, timeout_ms INTEGER, name TEXT, labels TEXT) STRICT;"

    /* A batch's children, as runs of ids one after the other. */
    "CREATE TABLE extent ("
    " batch INTEGER NOT NULL, idx INTEGER NOT NULL, first INTEGER NOT NULL,"
    " n INTEGER NOT NULL, PRIMARY KEY (batch, idx)) STRICT, WITHOUT ROWID;"

    "CREATE TABLE batch_end ("
    " batch INTEGER PRIMARY KEY, state INTEGER, culprit INTEGER, exception TEXT,"
    " started_at INTEGER, finished_at INTEGER, settled_at INTEGER,"
    " succeeded INTEGER, failed INTEGER, cancelled INTEGER) STRICT;"
    "CREATE INDEX batch_named ON batch (name) WHERE name IS NOT NULL;"

    "CREATE TABLE task ("
    " id INTEGER PRIMARY KEY, batch INTEGER, idx INTEGER, created_at INTEGER NOT NULL,"
    " kind INTEGER NOT NULL, priority INTEGER NOT NULL, sleep_ms INTEGER, timeout_ms INTEGER,"
    " host INTEGER, rerun INTEGER, name TEXT, labels TEXT, value TEXT, job TEXT NOT NULL) STRICT;"
    "CREATE INDEX task_named ON task (name) WHERE name IS NOT NULL;"

    "CREATE TABLE label ("
    " key TEXT NOT NULL, value TEXT NOT NULL, task INTEGER NOT NULL,"
    " PRIMARY KEY (key, value, task)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE batch_label ("
    " key TEXT NOT NULL, value TEXT NOT NULL, batch INTEGER NOT NULL,"
    " PRIMARY KEY (key, value, batch)) STRICT, WITHOUT ROWID;"

    /* An attempt that may have been started; goes with the outcome. */
    "CREATE TABLE lease ("
    " task INTEGER PRIMARY KEY, attempt INTEGER NOT NULL, epoch INTEGER NOT NULL,"
    " started_at INTEGER) STRICT;"

    /* Cancels that were asked for; go with the outcome. */
    "CREATE TABLE cancel ("
    " task INTEGER PRIMARY KEY, n INTEGER NOT NULL, msg TEXT, grace_ms INTEGER) STRICT;"
    "CREATE TABLE batch_cancel ("
    " batch INTEGER PRIMARY KEY, msg TEXT, grace_ms INTEGER) STRICT;"

    "CREATE TABLE outcome ("
    " task INTEGER PRIMARY KEY, state INTEGER NOT NULL, result INTEGER NOT NULL,"
    " attempt INTEGER, n_cancels INTEGER, started_at INTEGER, finished_at INTEGER NOT NULL,"
    " exit_code INTEGER, detail TEXT, exception TEXT,"
    " out BLOB, out_total INTEGER, out_kept INTEGER, out_file INTEGER,"
    " err BLOB, err_total INTEGER, err_kept INTEGER, err_file INTEGER) STRICT;"
    "CREATE INDEX outcome_not_succeeded ON outcome (state, task) WHERE state <> 2;"

    /* Requests that created something, by their key. */
    "CREATE TABLE idempotency ("
    " key TEXT PRIMARY KEY, fingerprint BLOB NOT NULL, task INTEGER, batch INTEGER,"
    " created_at INTEGER NOT NULL) STRICT, WITHOUT ROWID;"

    /* Tasks of streamed batches that are not complete: gone at the next start. */
    "CREATE TABLE staged (batch INTEGER PRIMARY KEY, first INTEGER NOT NULL) STRICT;";

static const char *const steps[] = {step_1};

#define N_STEPS ((int)(sizeof(steps) / sizeof(steps[0])))

static int pragma(sqlite3 *db, const char *sql, int *ret)
{
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &st, NULL);
    if (rc == SQLITE_OK && (rc = sqlite3_step(st)) == SQLITE_ROW) {
        *ret = sqlite3_column_int(st, 0);
        rc = SQLITE_OK;
    }
    (void)sqlite3_finalize(st);
    return rc;
}

static int complain(sqlite3 *db, int rc, struct gd_err *err)
{
    int code =
        (rc & 0xff) == SQLITE_CORRUPT || (rc & 0xff) == SQLITE_NOTADB ? GD_E_DAMAGED : GD_E_STORE;
    return gd_err_set(err, code, "%s: %s", sqlite3_db_filename(db, "main"), sqlite3_errmsg(db));
}

static int run_steps(sqlite3 *db, int from, struct gd_err *err)
{
    char last[96];
    int rc = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    for (int i = from; rc == SQLITE_OK && i < N_STEPS; i++)
        rc = sqlite3_exec(db, steps[i], NULL, NULL, NULL);
    (void)snprintf(last, sizeof(last), "PRAGMA application_id=%d; PRAGMA user_version=%d; COMMIT",
                   GD_APPLICATION_ID, N_STEPS);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(db, last, NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        return 0;
    rc = complain(db, rc, err);
    (void)sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return rc;
}

int gd_schema_update(sqlite3 *db, struct gd_err *err)
{
    int id = 0;
    int version = 0;
    int n_tables = 0;
    int rc = pragma(db, "PRAGMA application_id", &id);
    if (rc == SQLITE_OK)
        rc = pragma(db, "PRAGMA user_version", &version);
    if (rc == SQLITE_OK)
        rc = pragma(db, "SELECT count(*) FROM sqlite_schema", &n_tables);
    if (rc != SQLITE_OK)
        return complain(db, rc, err);
    if (id != GD_APPLICATION_ID && n_tables > 0)
        return gd_err_set(err, GD_E_DAMAGED, "%s: this is not a database of gatherd",
                          sqlite3_db_filename(db, "main"));
    if (version > N_STEPS)
        return gd_err_set(err, GD_E_DAMAGED,
                          "%s: written by a newer gatherd (format %d, this one knows %d)",
                          sqlite3_db_filename(db, "main"), version, N_STEPS);
    return version == N_STEPS ? 0 : run_steps(db, version, err);
}
