/* The reading half, on the loop's connection. Rows are handed out as they are: the
 * spans point into SQLite's memory and are gone after the call. */
#include "daemon/store/sqlite.h"

#include <stdio.h>
#include <string.h>

#define TASK_COLUMNS                                                                        \
    "t.id, t.batch, t.idx, t.kind, t.created_at, t.name, t.labels, t.value,"                \
    " o.state, o.result, o.attempt, o.n_cancels, o.started_at, o.finished_at, o.exit_code," \
    " o.detail, o.exception, o.out_total, o.out_kept, o.out_file, o.err_total, o.err_kept," \
    " o.err_file"
/* Large values are read only where they are asked for. */
#define OUTPUT_COLUMNS ", o.out, o.err"
#define FROM_TASK      " FROM task t LEFT JOIN outcome o ON o.task = t.id"

enum {
    COLUMN_STATE = 8,
    COLUMN_OUT_TOTAL = 17,
    COLUMN_OUT = 23
};

static struct gd_sqlite *sqlite_of(struct gd_store *s)
{
    return (struct gd_sqlite *)(void *)s;
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

static void get_output(sqlite3_stmt *st, int at, struct gd_record_output *o)
{
    o->total = (uint64_t)sqlite3_column_int64(st, at);
    o->kept = (uint64_t)sqlite3_column_int64(st, at + 1);
    o->in_file = sqlite3_column_int(st, at + 2) != 0;
}

static void get_outcome(sqlite3_stmt *st, struct gd_task_record *r)
{
    r->has_outcome = true;
    r->state = (enum gd_state)sqlite3_column_int(st, COLUMN_STATE);
    r->result = (enum gd_result_kind)sqlite3_column_int(st, COLUMN_STATE + 1);
    r->attempt = (uint32_t)number(st, COLUMN_STATE + 2, 1);
    r->n_cancels = (unsigned)sqlite3_column_int(st, COLUMN_STATE + 3);
    r->started_ms = sqlite3_column_int64(st, COLUMN_STATE + 4);
    r->finished_ms = sqlite3_column_int64(st, COLUMN_STATE + 5);
    r->exit_code = sqlite3_column_int(st, COLUMN_STATE + 6);
    r->detail = text(st, COLUMN_STATE + 7);
    r->exception = text(st, COLUMN_STATE + 8);
    get_output(st, COLUMN_OUT_TOTAL, &r->out);
    get_output(st, COLUMN_OUT_TOTAL + 3, &r->err);
    if (sqlite3_column_count(st) > COLUMN_OUT) {
        r->out.bytes = text(st, COLUMN_OUT);
        r->err.bytes = text(st, COLUMN_OUT + 1);
    }
}

static void get_task(sqlite3_stmt *st, struct gd_task_record *r)
{
    *r = (struct gd_task_record){
        .id = (uint64_t)sqlite3_column_int64(st, 0),
        .batch = (uint64_t)sqlite3_column_int64(st, 1),
        .index = (uint32_t)sqlite3_column_int64(st, 2),
        .kind = (enum gd_kind)sqlite3_column_int(st, 3),
        .created_ms = sqlite3_column_int64(st, 4),
        .name = text(st, 5),
        .labels = text(st, 6),
        .value = text(st, 7),
    };
    if (sqlite3_column_type(st, COLUMN_STATE) != SQLITE_NULL)
        get_outcome(st, r);
}

/* Prepares `*st` if it is not yet. */
static int prepare(struct gd_sqlite *s, sqlite3_stmt **st, const char *sql)
{
    if (*st)
        return 0;
    return sqlite3_prepare_v3(s->reader, sql, -1, SQLITE_PREPARE_PERSISTENT, st, NULL) == SQLITE_OK
               ? 0
               : GD_E_STORE;
}

/* Hands out all rows of a task statement until fn says false. */
static int each_task(sqlite3_stmt *st, gd_task_record_fn *fn, void *arg)
{
    int rc;
    while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
        struct gd_task_record r;
        get_task(st, &r);
        if (!fn(&r, arg))
            return 0;
    }
    return rc == SQLITE_DONE ? 0 : GD_E_STORE;
}

/* --- one task */

int gd_sqlite_read_task(struct gd_store *store, uint64_t id, bool outputs, gd_task_record_fn *fn,
                        void *arg)
{
    struct gd_sqlite *s = sqlite_of(store);
    sqlite3_stmt **st = outputs ? &s->read_full_task : &s->read_task;
    int rc = prepare(s, st,
                     outputs ? "SELECT " TASK_COLUMNS OUTPUT_COLUMNS FROM_TASK " WHERE t.id = ?"
                             : "SELECT " TASK_COLUMNS FROM_TASK " WHERE t.id = ?");
    if (rc < 0)
        return rc;
    (void)sqlite3_bind_int64(*st, 1, (int64_t)id);
    int sql = sqlite3_step(*st);
    if (sql == SQLITE_ROW) {
        struct gd_task_record r;
        get_task(*st, &r);
        (void)fn(&r, arg);
    }
    (void)sqlite3_reset(*st);
    if (sql == SQLITE_DONE)
        return GD_E_NO_TASK;
    return sql == SQLITE_ROW ? 0 : GD_E_STORE;
}

/* Appends the one column of the one row. */
static int read_text(struct gd_sqlite *s, sqlite3_stmt **st, const char *sql, uint64_t id,
                     struct gd_buf *to)
{
    int rc = prepare(s, st, sql);
    if (rc < 0)
        return rc;
    (void)sqlite3_bind_int64(*st, 1, (int64_t)id);
    int step = sqlite3_step(*st);
    if (step == SQLITE_ROW)
        gd_buf_span(to, text(*st, 0));
    (void)sqlite3_reset(*st);
    if (step == SQLITE_ROW)
        return gd_buf_error(to);
    return step == SQLITE_DONE ? GD_E_NO_TASK : GD_E_STORE;
}

int gd_sqlite_read_job(struct gd_store *store, uint64_t task, struct gd_buf *to)
{
    struct gd_sqlite *s = sqlite_of(store);
    return read_text(s, &s->read_job, "SELECT job FROM task WHERE id = ?", task, to);
}

int gd_sqlite_read_exception(struct gd_store *store, uint64_t task, struct gd_buf *to)
{
    struct gd_sqlite *s = sqlite_of(store);
    return read_text(s, &s->read_exception, "SELECT exception FROM outcome WHERE task = ?", task,
                     to);
}

/* --- lists */

/* A statement that is put together, and its parameters as they come. */
struct query {
    char sql[1024];
    sqlite3_stmt *st;
    int n_bound;
};

static void add(struct query *q, const char *sql)
{
    (void)strncat(q->sql, sql, sizeof(q->sql) - strlen(q->sql) - 1);
}

static void bind_int(struct query *q, int64_t n)
{
    (void)sqlite3_bind_int64(q->st, ++q->n_bound, n);
}

static void bind_str(struct query *q, const char *s)
{
    (void)sqlite3_bind_text(q->st, ++q->n_bound, s, -1, SQLITE_STATIC);
}

/* The rows come in the order of an index: sorting all that match, for one page, would be
 * a long stop. So the table with the index goes first (CROSS JOIN keeps it there), and its
 * column is what is compared and ordered by. */
static void where_tasks(struct query *q, const struct gd_query *f)
{
    bool by_state = !f->label_key && !f->name && f->final_state > GD_SUCCEEDED;
    const char *id = f->label_key ? "l.task" : by_state ? "o.task" : "t.id";
    add(q, "SELECT " TASK_COLUMNS " FROM ");
    if (by_state) {
        add(q, "outcome o CROSS JOIN task t ON t.id = o.task WHERE ");
    } else {
        add(q, f->label_key ? "label l CROSS JOIN task t ON t.id = l.task" : "task t");
        add(q, f->final_state >= 0 ? " CROSS JOIN" : " LEFT JOIN");
        add(q, " outcome o ON o.task = t.id WHERE ");
    }
    add(q, id);
    add(q, f->ascending ? " > ?" : " < ?");
    if (f->label_key)
        add(q, " AND l.key = ? AND l.value = ?");
    if (f->name)
        add(q, f->named_by_id ? " AND (t.name = ? OR (t.id = ? AND t.name IS NULL))"
                              : " AND t.name = ?");
    if (f->batch)
        add(q, " AND t.batch = ? AND t.id >= (SELECT min(first) FROM extent WHERE batch = ?)"
               " AND t.id < (SELECT max(first + n) FROM extent WHERE batch = ?)");
    if (f->final_state >= 0)
        add(q, f->final_state == GD_SUCCEEDED ? " AND o.state = ?"
                                              : " AND o.state = ? AND o.state <> 2");
    add(q, " ORDER BY ");
    add(q, id);
    add(q, f->ascending ? "" : " DESC");
}

static void bind_common(struct query *q, const struct gd_query *f, bool tasks)
{
    bind_int(q, f->after || f->ascending ? (int64_t)f->after : INT64_MAX);
    if (f->label_key) {
        bind_str(q, f->label_key);
        bind_str(q, f->label_value);
    }
    if (f->name)
        bind_str(q, f->name);
    if (f->name && tasks && f->named_by_id)
        bind_int(q, (int64_t)f->named_by_id);
}

int gd_sqlite_list_tasks(struct gd_store *store, const struct gd_query *f, gd_task_record_fn *fn,
                         void *arg)
{
    struct query q = {.n_bound = 0};
    where_tasks(&q, f);
    if (sqlite3_prepare_v2(sqlite_of(store)->reader, q.sql, -1, &q.st, NULL) != SQLITE_OK)
        return GD_E_STORE;
    bind_common(&q, f, true);
    for (unsigned i = 0; f->batch && i < 3; i++)
        bind_int(&q, (int64_t)*f->batch);
    if (f->final_state >= 0)
        bind_int(&q, f->final_state);
    int rc = each_task(q.st, fn, arg);
    (void)sqlite3_finalize(q.st);
    return rc;
}

int gd_sqlite_read_extents(struct gd_store *store, uint64_t batch, struct gd_buf *to)
{
    sqlite3_stmt *st = NULL;
    if (sqlite3_prepare_v2(sqlite_of(store)->reader,
                           "SELECT idx, first, n FROM extent WHERE batch = ? ORDER BY idx", -1, &st,
                           NULL) != SQLITE_OK)
        return GD_E_STORE;
    (void)sqlite3_bind_int64(st, 1, (int64_t)batch);
    int rc;
    while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
        struct gd_extent e = {.index = (uint64_t)sqlite3_column_int64(st, 0),
                              .first = (uint64_t)sqlite3_column_int64(st, 1),
                              .n = (uint64_t)sqlite3_column_int64(st, 2)};
        gd_buf_put(to, &e, sizeof(e));
    }
    (void)sqlite3_finalize(st);
    return rc == SQLITE_DONE ? gd_buf_error(to) : GD_E_STORE;
}

/* Children are numbered by their place in the batch that asks. */
struct children {
    struct gd_extent extent;
    gd_task_record_fn *fn;
    void *arg;
    bool stopped;
};

static bool each_child(const struct gd_task_record *r, void *arg)
{
    struct children *c = arg;
    struct gd_task_record mine = *r;
    mine.index = (uint32_t)(c->extent.index + (r->id - c->extent.first));
    c->stopped = !c->fn(&mine, c->arg);
    return !c->stopped;
}

int gd_sqlite_read_children(struct gd_store *store, uint64_t batch, uint64_t from,
                            gd_task_record_fn *fn, void *arg)
{
    struct gd_buf extents = {0};
    sqlite3_stmt *st = NULL;
    int rc = gd_sqlite_read_extents(store, batch, &extents);
    if (rc == 0 && sqlite3_prepare_v2(sqlite_of(store)->reader,
                                      "SELECT " TASK_COLUMNS OUTPUT_COLUMNS FROM_TASK
                                      " WHERE t.id >= ? AND t.id < ? ORDER BY t.id",
                                      -1, &st, NULL) != SQLITE_OK)
        rc = GD_E_STORE;
    struct children c = {.fn = fn, .arg = arg};
    for (size_t at = 0; rc == 0 && !c.stopped && at < extents.len; at += sizeof(c.extent)) {
        memcpy(&c.extent, extents.ptr + at, sizeof(c.extent));
        if (c.extent.index + c.extent.n <= from)
            continue;
        uint64_t skip = from > c.extent.index ? from - c.extent.index : 0;
        (void)sqlite3_bind_int64(st, 1, (int64_t)(c.extent.first + skip));
        (void)sqlite3_bind_int64(st, 2, (int64_t)(c.extent.first + c.extent.n));
        rc = each_task(st, each_child, &c);
        (void)sqlite3_reset(st);
    }
    (void)sqlite3_finalize(st);
    gd_buf_free(&extents);
    return rc;
}

/* --- batches */

#define BATCH_COLUMNS                                                                          \
    "SELECT b.id, b.n, b.created_at, b.return_exceptions, b.cancel_on_failure, b.concurrency," \
    " b.timeout_ms, b.name, b.labels, e.state, e.culprit, e.exception, e.started_at,"          \
    " e.finished_at, e.settled_at, e.succeeded, e.failed, e.cancelled FROM "
#define JOIN_END " LEFT JOIN batch_end e ON e.batch = b.id"

static void get_batch(sqlite3_stmt *st, struct gd_batch_record *r)
{
    *r = (struct gd_batch_record){
        .id = (uint64_t)sqlite3_column_int64(st, 0),
        .n = (uint64_t)sqlite3_column_int64(st, 1),
        .created_ms = sqlite3_column_int64(st, 2),
        .return_exceptions = sqlite3_column_int(st, 3) != 0,
        .cancel_on_failure = sqlite3_column_int(st, 4) != 0,
        .concurrency = (uint32_t)sqlite3_column_int64(st, 5),
        .timeout_ms = number(st, 6, GD_NO_TIMEOUT),
        .name = text(st, 7),
        .labels = text(st, 8),
        .is_done = sqlite3_column_type(st, 9) != SQLITE_NULL,
        .state = (enum gd_state)sqlite3_column_int(st, 9),
        .culprit = (uint64_t)sqlite3_column_int64(st, 10),
        .exception = text(st, 11),
        .started_ms = sqlite3_column_int64(st, 12),
        .finished_ms = sqlite3_column_int64(st, 13),
        .settled_ms = sqlite3_column_int64(st, 14),
    };
    r->counts[GD_SUCCEEDED] = (uint64_t)sqlite3_column_int64(st, 15);
    r->counts[GD_FAILED] = (uint64_t)sqlite3_column_int64(st, 16);
    r->counts[GD_CANCELLED] = (uint64_t)sqlite3_column_int64(st, 17);
}

int gd_sqlite_read_batch(struct gd_store *store, uint64_t id, gd_batch_record_fn *fn, void *arg)
{
    struct gd_sqlite *s = sqlite_of(store);
    int rc = prepare(s, &s->read_batch, BATCH_COLUMNS "batch b" JOIN_END " WHERE b.id = ?");
    if (rc < 0)
        return rc;
    (void)sqlite3_bind_int64(s->read_batch, 1, (int64_t)id);
    int step = sqlite3_step(s->read_batch);
    if (step == SQLITE_ROW) {
        struct gd_batch_record r;
        get_batch(s->read_batch, &r);
        (void)fn(&r, arg);
    }
    (void)sqlite3_reset(s->read_batch);
    if (step == SQLITE_DONE)
        return GD_E_NO_BATCH;
    return step == SQLITE_ROW ? 0 : GD_E_STORE;
}

int gd_sqlite_list_batches(struct gd_store *store, const struct gd_query *f, gd_batch_record_fn *fn,
                           void *arg)
{
    struct query q = {.n_bound = 0};
    add(&q, BATCH_COLUMNS);
    add(&q, f->label_key ? "batch_label l CROSS JOIN batch b ON b.id = l.batch" : "batch b");
    add(&q, JOIN_END " WHERE ");
    add(&q, f->label_key ? "l.batch" : "b.id");
    add(&q, f->ascending ? " > ?" : " < ?");
    if (f->label_key)
        add(&q, " AND l.key = ? AND l.value = ?");
    if (f->name)
        add(&q, " AND b.name = ?");
    if (f->final_state >= 0)
        add(&q, " AND e.state = ?");
    add(&q, f->label_key ? " ORDER BY l.batch" : " ORDER BY b.id");
    add(&q, f->ascending ? "" : " DESC");
    if (sqlite3_prepare_v2(sqlite_of(store)->reader, q.sql, -1, &q.st, NULL) != SQLITE_OK)
        return GD_E_STORE;
    bind_common(&q, f, false);
    if (f->final_state >= 0)
        bind_int(&q, f->final_state);
    int rc;
    bool going = true;
    while (going && (rc = sqlite3_step(q.st)) == SQLITE_ROW) {
        struct gd_batch_record r;
        get_batch(q.st, &r);
        going = fn(&r, arg);
    }
    (void)sqlite3_finalize(q.st);
    return !going || rc == SQLITE_DONE ? 0 : GD_E_STORE;
}

/* --- keys */

int gd_sqlite_read_key(struct gd_store *store, struct gd_idempotency *key)
{
    sqlite3_stmt *st = NULL;
    if (sqlite3_prepare_v2(sqlite_of(store)->reader,
                           "SELECT fingerprint, task, batch FROM idempotency WHERE key = ?", -1,
                           &st, NULL) != SQLITE_OK)
        return GD_E_STORE;
    (void)sqlite3_bind_text64(st, 1, key->key.ptr, key->key.len, SQLITE_STATIC, SQLITE_UTF8);
    int step = sqlite3_step(st);
    int rc = step == SQLITE_DONE ? GD_E_NO_TASK : GD_E_STORE;
    if (step == SQLITE_ROW) {
        struct gd_span print = text(st, 0);
        rc = print.len == sizeof(key->fingerprint) &&
                     memcmp(print.ptr, key->fingerprint, print.len) == 0
                 ? 0
                 : GD_E_KEY_REUSED;
        key->replay_task = (uint64_t)sqlite3_column_int64(st, 1);
        key->replay_batch = (uint64_t)sqlite3_column_int64(st, 2);
    }
    (void)sqlite3_finalize(st);
    return rc;
}

void gd_sqlite_reader_done(struct gd_sqlite *s)
{
    sqlite3_stmt **all[] = {&s->read_task, &s->read_full_task, &s->read_batch, &s->read_job,
                            &s->read_exception};
    for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        (void)sqlite3_finalize(*all[i]);
        *all[i] = NULL;
    }
}
