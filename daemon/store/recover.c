/* What an earlier daemon left: every batch and task that is not over goes back into
 * the core. Runs once, before the writer thread, on the writer's connection. */
#include "base/clock.h"
#include "daemon/core/core.h"
#include "daemon/store/sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* How long an Idempotency-Key is remembered. */
#define KEY_AGE_MS 86400000

struct recovery {
    sqlite3 *db;
    struct gd_core *core;
    uint64_t low_task;
    uint64_t low_batch;
    struct gd_recovered_task run[GD_BLOCK_TASKS];
    size_t n_run;
    char *messages[GD_BLOCK_TASKS]; /* of `run`, owned */
};

static int64_t query_number(sqlite3 *db, const char *sql, int64_t otherwise)
{
    sqlite3_stmt *st = NULL;
    int64_t n = otherwise;
    if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW &&
        sqlite3_column_type(st, 0) != SQLITE_NULL)
        n = sqlite3_column_int64(st, 0);
    (void)sqlite3_finalize(st);
    return n;
}

static struct gd_span text(sqlite3_stmt *st, int at)
{
    const void *p = sqlite3_column_blob(st, at);
    return (struct gd_span){.ptr = p, .len = (size_t)sqlite3_column_bytes(st, at)};
}

static int64_t number(sqlite3_stmt *st, int at, int64_t if_null)
{
    return sqlite3_column_type(st, at) == SQLITE_NULL ? if_null : sqlite3_column_int64(st, at);
}

/* --- the machine */

/* Compares and notes /proc/sys/kernel/random/boot_id. */
static int check_boot(sqlite3 *db, bool *ret_rebooted)
{
    char now[40] = "";
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, now, sizeof(now) - 1);
    if (fd >= 0)
        close(fd);
    now[n > 0 ? n : 0] = '\0';
    now[strcspn(now, "\n")] = '\0';
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(db, "SELECT value FROM meta WHERE key = 'boot_id'", -1, &st, NULL);
    bool known = rc == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW;
    struct gd_span before = known ? text(st, 0) : (struct gd_span){0};
    bool same = known && before.len == strlen(now) && memcmp(before.ptr, now, before.len) == 0;
    *ret_rebooted = known && !same;
    (void)sqlite3_finalize(st);
    if (rc != SQLITE_OK || same)
        return rc;
    rc = sqlite3_prepare_v2(db, "INSERT OR REPLACE INTO meta (key, value) VALUES ('boot_id', ?)",
                            -1, &st, NULL);
    if (rc == SQLITE_OK) {
        (void)sqlite3_bind_text(st, 1, now, -1, SQLITE_STATIC);
        rc = sqlite3_step(st) == SQLITE_DONE ? SQLITE_OK : SQLITE_ERROR;
    }
    (void)sqlite3_finalize(st);
    return rc;
}

/* --- left-overs */

static int clean_up(sqlite3 *db)
{
    char *sql =
        sqlite3_mprintf("DELETE FROM label WHERE task IN (SELECT t.id FROM staged s JOIN task t"
                        "  ON t.id >= s.first AND t.batch = s.batch);"
                        "DELETE FROM task WHERE id IN (SELECT t.id FROM staged s JOIN task t"
                        "  ON t.id >= s.first AND t.batch = s.batch);"
                        "DELETE FROM staged;"
                        "DELETE FROM idempotency WHERE created_at < %lld;",
                        (long long)(gd_wall_ms() - KEY_AGE_MS));
    int rc = sql ? sqlite3_exec(db, sql, NULL, NULL, NULL) : SQLITE_NOMEM;
    sqlite3_free(sql);
    return rc;
}

/* --- batches */

static void apply_end(sqlite3_stmt *st, struct gd_batch *b)
{
    if (sqlite3_column_type(st, 6) == SQLITE_NULL)
        return;
    b->gather.decided = b->done_written = true;
    b->gather.future.state = (uint8_t)sqlite3_column_int(st, 6);
    b->started_ms = sqlite3_column_int64(st, 7);
}

static int apply_cancel(sqlite3_stmt *st, struct gd_batch *b)
{
    if (sqlite3_column_type(st, 8) == SQLITE_NULL)
        return SQLITE_OK;
    struct gd_span msg = text(st, 9);
    if (msg.ptr && !(b->cancel_msg = strndup(msg.ptr, msg.len)))
        return SQLITE_NOMEM;
    b->cancel_grace_ms = number(st, 10, -1);
    b->sweep_first = true;
    (void)!gd_gather_cancel(&b->gather);
    return SQLITE_OK;
}

static int add_extents(struct recovery *r, struct gd_batch *b)
{
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(r->db, "SELECT first, n FROM extent WHERE batch = ? ORDER BY idx",
                                -1, &st, NULL);
    if (rc != SQLITE_OK)
        return rc;
    (void)sqlite3_bind_int64(st, 1, (int64_t)b->id);
    while ((rc = sqlite3_step(st)) == SQLITE_ROW)
        if (gd_batch_extend(b, (uint64_t)sqlite3_column_int64(st, 0),
                            (uint64_t)sqlite3_column_int64(st, 1)) < 0)
            break;
    (void)sqlite3_finalize(st);
    return rc == SQLITE_DONE ? SQLITE_OK : rc == SQLITE_ROW ? SQLITE_NOMEM : rc;
}

/* Children that ended before, in the order of time. */
static int add_ended(struct recovery *r, struct gd_batch *b)
{
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(r->db,
                                "SELECT o.task, o.state, e.idx + o.task - e.first, o.started_at,"
                                " o.finished_at FROM extent e"
                                " JOIN outcome o ON o.task >= e.first AND o.task < e.first + e.n"
                                " WHERE e.batch = ? ORDER BY o.finished_at, o.task",
                                -1, &st, NULL);
    if (rc != SQLITE_OK)
        return rc;
    (void)sqlite3_bind_int64(st, 1, (int64_t)b->id);
    while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
        struct gd_recovered_end end = {.task = (uint64_t)sqlite3_column_int64(st, 0),
                                       .index = (uint32_t)sqlite3_column_int64(st, 2),
                                       .state = (enum gd_state)sqlite3_column_int(st, 1),
                                       .started_ms = sqlite3_column_int64(st, 3),
                                       .finished_ms = sqlite3_column_int64(st, 4)};
        gd_core_recover_ended(r->core, b, &end);
    }
    (void)sqlite3_finalize(st);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int add_batch(struct recovery *r, sqlite3_stmt *st)
{
    struct gd_batch_spec spec = {
        .return_exceptions = sqlite3_column_int(st, 3) != 0,
        .cancel_on_failure = sqlite3_column_int(st, 4) != 0,
        .concurrency = (uint32_t)sqlite3_column_int64(st, 5),
        .timeout_ms = number(st, 11, GD_NO_TIMEOUT),
    };
    struct gd_batch *b = gd_batch_new(&spec, (size_t)sqlite3_column_int64(st, 2));
    if (!b)
        return SQLITE_NOMEM;
    b->id = (uint64_t)sqlite3_column_int64(st, 0);
    b->created_ms = sqlite3_column_int64(st, 1);
    int rc = add_extents(r, b);
    if (rc == SQLITE_OK)
        rc = apply_cancel(st, b);
    if (rc != SQLITE_OK) {
        gd_batch_free(b);
        return rc;
    }
    apply_end(st, b);
    if (gd_core_recover_batch(r->core, b) < 0)
        return SQLITE_NOMEM;
    return add_ended(r, b);
}

static int add_batches(struct recovery *r)
{
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(
        r->db,
        "SELECT b.id, b.created_at, b.n, b.return_exceptions, b.cancel_on_failure, b.concurrency,"
        " e.state, e.started_at, c.batch, c.msg, c.grace_ms, b.timeout_ms"
        " FROM batch b LEFT JOIN batch_end e ON e.batch = b.id"
        " LEFT JOIN batch_cancel c ON c.batch = b.id"
        " WHERE b.id >= ? AND e.settled_at IS NULL ORDER BY b.id",
        -1, &st, NULL);
    if (rc != SQLITE_OK)
        return rc;
    (void)sqlite3_bind_int64(st, 1, (int64_t)r->low_batch);
    int step;
    while (rc == SQLITE_OK && (step = sqlite3_step(st)) != SQLITE_DONE)
        rc = step == SQLITE_ROW ? add_batch(r, st) : step;
    (void)sqlite3_finalize(st);
    return rc;
}

/* --- tasks */

static int flush_run(struct recovery *r)
{
    int rc = r->n_run ? gd_core_recover_tasks(r->core, r->run, r->n_run) : 0;
    for (size_t i = 0; i < r->n_run; i++) {
        free(r->messages[i]);
        r->messages[i] = NULL;
    }
    r->n_run = 0;
    return rc < 0 ? SQLITE_NOMEM : SQLITE_OK;
}

static bool follows(const struct recovery *r, uint64_t id, uint64_t batch)
{
    if (r->n_run == 0 || r->n_run == GD_BLOCK_TASKS)
        return r->n_run == 0;
    const struct gd_recovered_task *last = &r->run[r->n_run - 1];
    return last->id + 1 == id && last->batch == batch;
}

static void get_job(sqlite3_stmt *st, struct gd_job *job)
{
    *job = (struct gd_job){
        .kind = (uint8_t)sqlite3_column_int(st, 4),
        .priority = (int16_t)sqlite3_column_int(st, 5),
        .sleep_ms = sqlite3_column_int64(st, 6),
        .timeout_ms = number(st, 7, GD_NO_TIMEOUT),
        .host = (uint32_t)sqlite3_column_int64(st, 8),
        .rerun_if_lost = sqlite3_column_int(st, 9) != 0,
    };
}

static int add_task(struct recovery *r, sqlite3_stmt *st)
{
    uint64_t id = (uint64_t)sqlite3_column_int64(st, 0);
    uint64_t batch = (uint64_t)sqlite3_column_int64(st, 1);
    if (!follows(r, id, batch)) {
        int rc = flush_run(r);
        if (rc != SQLITE_OK)
            return rc;
    }
    struct gd_span msg = text(st, 14);
    char *copy = msg.ptr ? strndup(msg.ptr, msg.len) : NULL;
    if (msg.ptr && !copy)
        return SQLITE_NOMEM;
    r->messages[r->n_run] = copy;
    struct gd_recovered_task *t = &r->run[r->n_run++];
    *t = (struct gd_recovered_task){
        .id = id,
        .batch = batch,
        .index = (uint32_t)sqlite3_column_int64(st, 2),
        .created_ms = sqlite3_column_int64(st, 3),
        .leased = sqlite3_column_type(st, 10) != SQLITE_NULL,
        .lease = {.task = id,
                  .attempt = (uint32_t)sqlite3_column_int(st, 10),
                  .epoch = (uint64_t)sqlite3_column_int64(st, 11),
                  .started_ms = sqlite3_column_int64(st, 12)},
        .n_cancels = (unsigned)sqlite3_column_int(st, 13),
        .cancel_msg = copy,
        .cancel_grace_ms = number(st, 15, -1),
    };
    get_job(st, &t->job);
    return SQLITE_OK;
}

static int add_tasks(struct recovery *r)
{
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(
        r->db,
        "SELECT t.id, t.batch, t.idx, t.created_at, t.kind, t.priority, t.sleep_ms, t.timeout_ms,"
        " t.host, t.rerun, l.attempt, l.epoch, l.started_at, c.n, c.msg, c.grace_ms"
        " FROM task t LEFT JOIN outcome o ON o.task = t.id LEFT JOIN lease l ON l.task = t.id"
        " LEFT JOIN cancel c ON c.task = t.id"
        " WHERE t.id >= ? AND o.task IS NULL ORDER BY t.id",
        -1, &st, NULL);
    if (rc != SQLITE_OK)
        return rc;
    (void)sqlite3_bind_int64(st, 1, (int64_t)r->low_task);
    int step;
    while (rc == SQLITE_OK && (step = sqlite3_step(st)) != SQLITE_DONE)
        rc = step == SQLITE_ROW ? add_task(r, st) : step;
    (void)sqlite3_finalize(st);
    return rc == SQLITE_OK ? flush_run(r) : rc;
}

int gd_sqlite_recover(struct gd_sqlite *s, struct gd_core *c, bool *ret_rebooted,
                      struct gd_err *err)
{
    struct recovery r = {.db = s->writer.db, .core = c};
    int rc = check_boot(r.db, ret_rebooted);
    if (rc == SQLITE_OK)
        rc = clean_up(r.db);
    r.low_task = (uint64_t)query_number(r.db, "SELECT value FROM meta WHERE key = 'low_task'", 0);
    r.low_batch = (uint64_t)query_number(r.db, "SELECT value FROM meta WHERE key = 'low_batch'", 0);
    c->next_task = (uint64_t)query_number(r.db, "SELECT max(id) FROM task", 0) + 1;
    c->next_batch = (uint64_t)query_number(r.db, "SELECT max(id) FROM batch", 0) + 1;
    if (rc == SQLITE_OK)
        rc = add_batches(&r);
    if (rc == SQLITE_OK)
        rc = add_tasks(&r);
    if (rc != SQLITE_OK)
        return gd_err_set(err, rc == SQLITE_NOMEM ? -ENOMEM : GD_E_STORE, "%s: %s", s->config.path,
                          sqlite3_errmsg(r.db));
    return 0;
}
