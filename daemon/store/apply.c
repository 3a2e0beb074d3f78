/* Operations as SQL. All of it runs on the writer thread, inside a transaction. */
#include "base/json_scan.h"
#include "daemon/store/sqlite.h"

#include <string.h>

int gd_writer_prepare(struct gd_writer *w)
{
    static const char *const texts[GD_N_SQL] = {
#define X(id, text) [GD_SQL_##id] = (text),
        GD_WRITER_SQL(X)
#undef X
    };
    for (unsigned i = 0; i < GD_N_SQL; i++) {
        int rc =
            sqlite3_prepare_v3(w->db, texts[i], -1, SQLITE_PREPARE_PERSISTENT, &w->sql[i], NULL);
        if (rc != SQLITE_OK)
            return rc;
    }
    return SQLITE_OK;
}

void gd_writer_finalize(struct gd_writer *w)
{
    for (unsigned i = 0; i < GD_N_SQL; i++) {
        (void)sqlite3_finalize(w->sql[i]);
        w->sql[i] = NULL;
    }
    gd_buf_free(&w->scratch);
}

/* Runs a statement whose parameters are bound. */
static int run(sqlite3_stmt *st)
{
    int rc = sqlite3_step(st);
    (void)sqlite3_reset(st);
    return rc == SQLITE_DONE || rc == SQLITE_ROW ? SQLITE_OK : rc;
}

int gd_writer_run(struct gd_writer *w, enum gd_writer_sql sql)
{
    return run(w->sql[sql]);
}

/* Binding cannot fail for these types but for memory, which the step then meets
 * again; a text that is not there becomes NULL. */
static void bind_text(sqlite3_stmt *st, int at, struct gd_span s)
{
    if (s.len > 0)
        (void)sqlite3_bind_text64(st, at, s.ptr, s.len, SQLITE_STATIC, SQLITE_UTF8);
    else
        (void)sqlite3_bind_null(st, at);
}

static void bind_str(sqlite3_stmt *st, int at, const char *s)
{
    if (s)
        (void)sqlite3_bind_text64(st, at, s, strlen(s), SQLITE_STATIC, SQLITE_UTF8);
    else
        (void)sqlite3_bind_null(st, at);
}

/* 0 (or -1 for `none` = -1) becomes NULL, which takes no room in a row. */
static void bind_unless(sqlite3_stmt *st, int at, int64_t n, int64_t none)
{
    if (n == none)
        (void)sqlite3_bind_null(st, at);
    else
        (void)sqlite3_bind_int64(st, at, n);
}

/* What a quoted string stands for; in `scratch` if it has escapes. */
static struct gd_span plain(struct gd_writer *w, struct gd_span quoted)
{
    if (quoted.len == 0)
        return quoted;
    if (!memchr(quoted.ptr, '\\', quoted.len))
        return (struct gd_span){quoted.ptr + 1, quoted.len - 2};
    gd_buf_reset(&w->scratch);
    gd_json_unquote(quoted, &w->scratch);
    return gd_buf_view(&w->scratch);
}

/* One row per label, so that they can be looked for. */
static int each_label(struct gd_writer *w, struct gd_span labels, enum gd_writer_sql sql,
                      uint64_t id)
{
    struct gd_json_cursor c;
    struct gd_span key;
    struct gd_span value;
    bool first = true;
    int rc = SQLITE_OK;
    if (labels.len == 0)
        return SQLITE_OK;
    gd_json_cursor_init(&c, labels, 4);
    (void)gd_json_peek(&c);
    gd_json_open(&c);
    while (rc == SQLITE_OK && gd_json_next_member(&c, &first, &key) && gd_json_value(&c, &value)) {
        struct gd_buf plain_value = {0};
        gd_json_unquote(value, &plain_value);
        struct gd_span view = gd_buf_view(&plain_value);
        bind_text(w->sql[sql], 1, plain(w, key));
        (void)sqlite3_bind_text64(w->sql[sql], 2, view.ptr, view.len, SQLITE_STATIC, SQLITE_UTF8);
        (void)sqlite3_bind_int64(w->sql[sql], 3, (int64_t)id);
        rc = gd_buf_error(&plain_value) < 0 ? SQLITE_NOMEM : run(w->sql[sql]);
        gd_buf_free(&plain_value);
    }
    gd_json_cursor_done(&c);
    return rc;
}

static int add_task(struct gd_writer *w, const struct gd_job *job, uint64_t id, uint64_t batch,
                    size_t index, int64_t created_ms)
{
    sqlite3_stmt *st = w->sql[GD_SQL_ADD_TASK];
    (void)sqlite3_bind_int64(st, 1, (int64_t)id);
    bind_unless(st, 2, (int64_t)batch, 0);
    if (batch)
        (void)sqlite3_bind_int64(st, 3, (int64_t)index);
    else
        (void)sqlite3_bind_null(st, 3);
    (void)sqlite3_bind_int64(st, 4, created_ms);
    (void)sqlite3_bind_int(st, 5, job->kind);
    (void)sqlite3_bind_int(st, 6, job->priority);
    bind_unless(st, 7, job->sleep_ms, 0);
    bind_unless(st, 8, job->timeout_ms, GD_NO_TIMEOUT);
    bind_unless(st, 9, job->host, 0);
    bind_unless(st, 10, job->rerun_if_lost, 0);
    bind_text(st, 11, plain(w, job->name));
    bind_text(st, 12, job->labels);
    bind_text(st, 13, job->value);
    bind_text(st, 14, job->text);
    int rc = run(st);
    return rc == SQLITE_OK ? each_label(w, job->labels, GD_SQL_ADD_LABEL, id) : rc;
}

static int add_tasks(struct gd_writer *w, const struct gd_job *jobs, size_t n, uint64_t first,
                     uint64_t batch, size_t first_index, int64_t created_ms)
{
    int rc = SQLITE_OK;
    for (size_t i = 0; rc == SQLITE_OK && i < n; i++)
        rc = add_task(w, &jobs[i], first + i, batch, first_index + i, created_ms);
    return rc;
}

/* --- SUBMIT */

static int add_batch(struct gd_writer *w, const struct gd_op_submit *op)
{
    const struct gd_batch_spec *spec = op->spec;
    sqlite3_stmt *st = w->sql[GD_SQL_ADD_BATCH];
    uint64_t n = 0;
    for (size_t i = 0; i < op->n_extents; i++)
        n += op->extents[i].n;
    (void)sqlite3_bind_int64(st, 1, (int64_t)op->batch);
    (void)sqlite3_bind_int64(st, 2, op->created_ms);
    (void)sqlite3_bind_int64(st, 3, (int64_t)n);
    (void)sqlite3_bind_int(st, 4, spec->return_exceptions);
    (void)sqlite3_bind_int(st, 5, spec->cancel_on_failure);
    (void)sqlite3_bind_int64(st, 6, spec->concurrency);
    bind_unless(st, 7, spec->timeout_ms, GD_NO_TIMEOUT);
    bind_text(st, 8, plain(w, spec->name));
    bind_text(st, 9, spec->labels);
    int rc = run(st);
    st = w->sql[GD_SQL_ADD_EXTENT];
    for (size_t i = 0; rc == SQLITE_OK && i < op->n_extents; i++) {
        (void)sqlite3_bind_int64(st, 1, (int64_t)op->batch);
        (void)sqlite3_bind_int64(st, 2, (int64_t)op->extents[i].index);
        (void)sqlite3_bind_int64(st, 3, (int64_t)op->extents[i].first);
        (void)sqlite3_bind_int64(st, 4, (int64_t)op->extents[i].n);
        rc = run(st);
    }
    if (rc == SQLITE_OK && op->n == 0) {
        (void)sqlite3_bind_int64(w->sql[GD_SQL_DELETE_STAGED], 1, (int64_t)op->batch);
        rc = run(w->sql[GD_SQL_DELETE_STAGED]);
    }
    return rc == SQLITE_OK ? each_label(w, spec->labels, GD_SQL_ADD_BATCH_LABEL, op->batch) : rc;
}

/* Looks whether the key was used before. *ret_rc: 0, GD_E_REPLAYED, GD_E_KEY_REUSED. */
static int find_key(struct gd_writer *w, struct gd_idempotency *key, int *ret_rc)
{
    sqlite3_stmt *st = w->sql[GD_SQL_FIND_KEY];
    bind_text(st, 1, key->key);
    int rc = sqlite3_step(st);
    if (rc == SQLITE_ROW) {
        bool same =
            sqlite3_column_bytes(st, 0) == (int)sizeof(key->fingerprint) &&
            memcmp(sqlite3_column_blob(st, 0), key->fingerprint, sizeof(key->fingerprint)) == 0;
        key->replay_task = (uint64_t)sqlite3_column_int64(st, 1);
        key->replay_batch = (uint64_t)sqlite3_column_int64(st, 2);
        *ret_rc = same ? GD_E_REPLAYED : GD_E_KEY_REUSED;
        rc = SQLITE_DONE;
    }
    (void)sqlite3_reset(st);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int add_key(struct gd_writer *w, const struct gd_op_submit *op)
{
    sqlite3_stmt *st = w->sql[GD_SQL_ADD_KEY];
    bind_text(st, 1, op->idempotency.key);
    (void)sqlite3_bind_blob(st, 2, op->idempotency.fingerprint, sizeof(op->idempotency.fingerprint),
                            SQLITE_STATIC);
    bind_unless(st, 3, op->batch ? 0 : (int64_t)op->first_task, 0);
    bind_unless(st, 4, (int64_t)op->batch, 0);
    (void)sqlite3_bind_int64(st, 5, op->created_ms);
    return run(st);
}

static int apply_submit(struct gd_writer *w, struct gd_op_submit *op, int *ret_rc)
{
    int rc = SQLITE_OK;
    if (op->idempotency.key.len > 0) {
        rc = find_key(w, &op->idempotency, ret_rc);
        if (rc != SQLITE_OK || *ret_rc < 0)
            return rc;
        rc = add_key(w, op);
    }
    if (rc == SQLITE_OK && op->batch)
        rc = add_batch(w, op);
    return rc == SQLITE_OK
               ? add_tasks(w, op->jobs, op->n, op->first_task, op->batch, 0, op->created_ms)
               : rc;
}

/* --- STAGE, UNSTAGE */

static int apply_stage(struct gd_writer *w, const struct gd_op_stage *op)
{
    sqlite3_stmt *st = w->sql[GD_SQL_ADD_STAGED];
    (void)sqlite3_bind_int64(st, 1, (int64_t)op->batch);
    (void)sqlite3_bind_int64(st, 2, (int64_t)op->first_task);
    int rc = run(st);
    return rc == SQLITE_OK ? add_tasks(w, op->jobs, op->n, op->first_task, op->batch,
                                       op->first_index, op->created_ms)
                           : rc;
}

static int apply_unstage(struct gd_writer *w, const struct gd_op_unstage *op)
{
    static const enum gd_writer_sql sql[] = {GD_SQL_DELETE_TASKS, GD_SQL_DELETE_TASK_LABELS};
    int rc = SQLITE_OK;
    for (size_t i = 0; i < op->n; i++)
        for (unsigned k = 0; rc == SQLITE_OK && k < 2; k++) {
            (void)sqlite3_bind_int64(w->sql[sql[k]], 1, (int64_t)op->extents[i].first);
            (void)sqlite3_bind_int64(w->sql[sql[k]], 2,
                                     (int64_t)(op->extents[i].first + op->extents[i].n - 1));
            rc = run(w->sql[sql[k]]);
        }
    (void)sqlite3_bind_int64(w->sql[GD_SQL_DELETE_STAGED], 1, (int64_t)op->batch);
    return rc == SQLITE_OK ? run(w->sql[GD_SQL_DELETE_STAGED]) : rc;
}

/* --- LEASE, SETTLE, CANCEL */

static int apply_lease(struct gd_writer *w, const struct gd_op_lease *op)
{
    sqlite3_stmt *st = w->sql[GD_SQL_ADD_LEASE];
    int rc = SQLITE_OK;
    for (size_t i = 0; rc == SQLITE_OK && i < op->n; i++) {
        (void)sqlite3_bind_int64(st, 1, (int64_t)op->leases[i].task);
        (void)sqlite3_bind_int64(st, 2, op->leases[i].attempt);
        (void)sqlite3_bind_int64(st, 3, (int64_t)op->leases[i].epoch);
        bind_unless(st, 4, op->leases[i].started_ms, 0);
        rc = run(st);
    }
    return rc;
}

static void bind_output(sqlite3_stmt *st, int at, const struct gd_output *o)
{
    if (o->bytes)
        (void)sqlite3_bind_blob64(st, at, o->bytes, o->len, SQLITE_STATIC);
    else
        (void)sqlite3_bind_null(st, at);
    bind_unless(st, at + 1, (int64_t)o->total, 0);
    bind_unless(st, at + 2, (int64_t)o->kept, 0);
    bind_unless(st, at + 3, o->in_file, 0);
}

static void bind_outcome(sqlite3_stmt *st, const struct gd_outcome *o)
{
    (void)sqlite3_bind_int(st, 2, (int)o->state);
    (void)sqlite3_bind_int(st, 3, (int)o->result);
    bind_unless(st, 4, o->attempt, 1);
    bind_unless(st, 5, o->n_cancels, 0);
    bind_unless(st, 6, o->started_ms, 0);
    (void)sqlite3_bind_int64(st, 7, o->finished_ms);
    bind_unless(st, 8, o->exit_code, 0);
    bind_str(st, 9, o->detail);
    bind_str(st, 10, o->exception);
    bind_output(st, 11, &o->out);
    bind_output(st, 15, &o->err);
}

static int delete_row(struct gd_writer *w, enum gd_writer_sql sql, uint64_t id)
{
    (void)sqlite3_bind_int64(w->sql[sql], 1, (int64_t)id);
    return run(w->sql[sql]);
}

static int apply_settle(struct gd_writer *w, const struct gd_op_settle *op)
{
    sqlite3_stmt *st = w->sql[GD_SQL_ADD_OUTCOME];
    struct gd_outcome small = {
        .state = op->plain.state,
        .result = op->plain.result,
        .attempt = 1,
        .started_ms = op->plain.started_ms,
        .finished_ms = op->plain.finished_ms,
    };
    (void)sqlite3_bind_int64(st, 1, (int64_t)op->task);
    bind_outcome(st, op->outcome ? op->outcome : &small);
    int rc = run(st);
    if (rc == SQLITE_OK && op->leased)
        rc = delete_row(w, GD_SQL_DELETE_LEASE, op->task);
    if (rc == SQLITE_OK && op->cancelled)
        rc = delete_row(w, GD_SQL_DELETE_CANCEL, op->task);
    return rc;
}

static int apply_cancel(struct gd_writer *w, const struct gd_op_cancel *op)
{
    if (!op->batch && op->n_cancels == 0)
        return delete_row(w, GD_SQL_DELETE_CANCEL, op->task);
    sqlite3_stmt *st = w->sql[op->batch ? GD_SQL_ADD_BATCH_CANCEL : GD_SQL_ADD_CANCEL];
    int at = 1;
    (void)sqlite3_bind_int64(st, at++, (int64_t)(op->batch ? op->batch : op->task));
    if (!op->batch)
        (void)sqlite3_bind_int64(st, at++, op->n_cancels);
    bind_str(st, at++, op->msg);
    bind_unless(st, at, op->grace_ms, -1);
    return run(st);
}

/* --- BATCH_END, PATCH */

static int apply_batch_end(struct gd_writer *w, const struct gd_op_batch_end *op)
{
    int rc = SQLITE_OK;
    if (op->is_done) {
        sqlite3_stmt *st = w->sql[GD_SQL_BATCH_DONE];
        (void)sqlite3_bind_int64(st, 1, (int64_t)op->batch);
        (void)sqlite3_bind_int(st, 2, (int)op->state);
        bind_unless(st, 3, (int64_t)op->culprit, 0);
        bind_str(st, 4, op->exception);
        bind_unless(st, 5, op->started_ms, 0);
        (void)sqlite3_bind_int64(st, 6, op->finished_ms);
        rc = run(st);
    }
    if (rc == SQLITE_OK && op->is_settled) {
        sqlite3_stmt *st = w->sql[GD_SQL_BATCH_SETTLED];
        (void)sqlite3_bind_int64(st, 1, (int64_t)op->batch);
        (void)sqlite3_bind_int64(st, 2, op->settled_ms);
        (void)sqlite3_bind_int64(st, 3, (int64_t)op->counts[GD_SUCCEEDED]);
        (void)sqlite3_bind_int64(st, 4, (int64_t)op->counts[GD_FAILED]);
        (void)sqlite3_bind_int64(st, 5, (int64_t)op->counts[GD_CANCELLED]);
        rc = run(st);
        if (rc == SQLITE_OK)
            rc = delete_row(w, GD_SQL_DELETE_BATCH_CANCEL, op->batch);
    }
    return rc;
}

/* Takes the rows of the labels out that a task has had. */
static int forget_labels(struct gd_writer *w, uint64_t task)
{
    sqlite3_stmt *st = w->sql[GD_SQL_GET_LABELS];
    struct gd_buf old = {0};
    (void)sqlite3_bind_int64(st, 1, (int64_t)task);
    int rc = sqlite3_step(st);
    if (rc == SQLITE_ROW) {
        gd_buf_put(&old, sqlite3_column_text(st, 0), (size_t)sqlite3_column_bytes(st, 0));
        rc = gd_buf_error(&old) < 0 ? SQLITE_NOMEM : SQLITE_DONE;
    }
    (void)sqlite3_reset(st);
    if (rc == SQLITE_DONE)
        rc = each_label(w, gd_buf_view(&old), GD_SQL_DELETE_LABELS, task);
    gd_buf_free(&old);
    return rc;
}

static int patch_labels(struct gd_writer *w, const struct gd_op_patch *op)
{
    sqlite3_stmt *st = w->sql[GD_SQL_PATCH_LABELS];
    int rc = forget_labels(w, op->task);
    (void)sqlite3_bind_int64(st, 1, (int64_t)op->task);
    bind_text(st, 2, op->labels);
    if (rc == SQLITE_OK)
        rc = run(st);
    return rc == SQLITE_OK ? each_label(w, op->labels, GD_SQL_ADD_LABEL, op->task) : rc;
}

static int patch_number(struct gd_writer *w, enum gd_writer_sql sql, uint64_t task, int64_t n,
                        int64_t none)
{
    (void)sqlite3_bind_int64(w->sql[sql], 1, (int64_t)task);
    bind_unless(w->sql[sql], 2, n, none);
    return run(w->sql[sql]);
}

static int apply_patch(struct gd_writer *w, const struct gd_op_patch *op)
{
    int rc = SQLITE_OK;
    if (op->name.len > 0) {
        (void)sqlite3_bind_int64(w->sql[GD_SQL_PATCH_NAME], 1, (int64_t)op->task);
        bind_text(w->sql[GD_SQL_PATCH_NAME], 2, plain(w, op->name));
        rc = run(w->sql[GD_SQL_PATCH_NAME]);
    }
    if (rc == SQLITE_OK && op->labels.len > 0)
        rc = patch_labels(w, op);
    if (rc == SQLITE_OK && op->set_priority)
        rc = patch_number(w, GD_SQL_PATCH_PRIORITY, op->task, op->priority, INT64_MIN);
    if (rc == SQLITE_OK && op->set_timeout)
        rc = patch_number(w, GD_SQL_PATCH_TIMEOUT, op->task, op->timeout_ms, GD_NO_TIMEOUT);
    return rc;
}

static int set_meta(struct gd_writer *w, const char *key, uint64_t n)
{
    sqlite3_stmt *st = w->sql[GD_SQL_SET_META];
    bind_str(st, 1, key);
    (void)sqlite3_bind_int64(st, 2, (int64_t)n);
    return run(st);
}

static int apply_mark(struct gd_writer *w, const struct gd_op_mark *op)
{
    int rc = set_meta(w, "low_task", op->low_task);
    return rc == SQLITE_OK ? set_meta(w, "low_batch", op->low_batch) : rc;
}

/* NOLINTBEGIN(clang-diagnostic-cast-align): an operation starts with its gd_op */
int gd_writer_apply(struct gd_writer *w, struct gd_op *op, int *ret_rc)
{
    *ret_rc = 0;
    switch (op->kind) {
    case GD_OP_SUBMIT:
        return apply_submit(w, GD_OWNER(op, struct gd_op_submit, op), ret_rc);
    case GD_OP_LEASE:
        return apply_lease(w, GD_OWNER(op, struct gd_op_lease, op));
    case GD_OP_SETTLE:
        return apply_settle(w, GD_OWNER(op, struct gd_op_settle, op));
    case GD_OP_CANCEL:
        return apply_cancel(w, GD_OWNER(op, struct gd_op_cancel, op));
    case GD_OP_BATCH_END:
        return apply_batch_end(w, GD_OWNER(op, struct gd_op_batch_end, op));
    case GD_OP_PATCH:
        return apply_patch(w, GD_OWNER(op, struct gd_op_patch, op));
    case GD_OP_STAGE:
        return apply_stage(w, GD_OWNER(op, struct gd_op_stage, op));
    case GD_OP_UNSTAGE:
        return apply_unstage(w, GD_OWNER(op, struct gd_op_unstage, op));
    case GD_OP_MARK:
        return apply_mark(w, GD_OWNER(op, struct gd_op_mark, op));
    }
    return SQLITE_MISUSE;
}
/* NOLINTEND(clang-diagnostic-cast-align) */
