#include "daemon/store/store.h"

#include "daemon/store/schema.h"
#include "daemon/store/sqlite.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Operations whose `done` runs in one round of the loop. */
#define TOLD_A_ROUND 512
/* Pages in the log before it is folded back into the database: 16 MB. */
#define CHECKPOINT_PAGES 4000

/* --- handing over */

static bool is_urgent(const struct gd_op *op)
{
    switch (op->kind) {
    case GD_OP_LEASE:
    case GD_OP_SETTLE:
    case GD_OP_UNSTAGE:
    case GD_OP_MARK:
        return op->urgent;
    case GD_OP_SUBMIT:
    case GD_OP_CANCEL:
    case GD_OP_BATCH_END:
    case GD_OP_PATCH:
    case GD_OP_STAGE:
        break;
    }
    return true; /* a client waits for the answer */
}

static void send_now(struct gd_soon *soon)
{
    struct gd_sqlite *s = GD_OWNER(soon, struct gd_sqlite, send);
    bool urgent = false;
    gd_list_each (node, &s->unsent)
        urgent = urgent || is_urgent(GD_OWNER(node, struct gd_op, node));
    (void)pthread_mutex_lock(&s->mutex);
    bool wake = gd_list_empty(&s->queue) || (urgent && !s->urgent);
    gd_list_splice(&s->queue, &s->unsent);
    s->urgent = s->urgent || urgent;
    if (wake)
        (void)pthread_cond_signal(&s->wake);
    (void)pthread_mutex_unlock(&s->mutex);
}

static void write_op(struct gd_store *store, struct gd_op *op)
{
    struct gd_sqlite *s = (struct gd_sqlite *)(void *)store;
    gd_list_push(&s->unsent, &op->node);
    if (s->running)
        gd_soon(s->loop, &s->send);
}

static void tell_failure(struct gd_sqlite *s)
{
    char what[sizeof(s->failure)];
    (void)pthread_mutex_lock(&s->mutex);
    memcpy(what, s->failure, sizeof(what));
    (void)pthread_mutex_unlock(&s->mutex);
    if (!what[0] || s->failure_told)
        return;
    s->failure_told = true;
    s->config.failed(s->config.arg, what);
}

static void tell_some(struct gd_soon *soon)
{
    struct gd_sqlite *s = GD_OWNER(soon, struct gd_sqlite, tell);
    struct gd_node *node = NULL;
    for (unsigned i = 0; i < TOLD_A_ROUND && (node = gd_list_shift(&s->told)); i++) {
        struct gd_op *op = GD_OWNER(node, struct gd_op, node);
        op->done(op);
    }
    if (!gd_list_empty(&s->told))
        gd_soon(s->loop, &s->tell);
    else
        tell_failure(s);
}

static void came_back(uv_async_t *async)
{
    struct gd_sqlite *s = async->data;
    (void)pthread_mutex_lock(&s->mutex);
    gd_list_splice(&s->told, &s->back);
    (void)pthread_mutex_unlock(&s->mutex);
    tell_some(&s->tell);
}

/* --- life */

static int complain(sqlite3 *db, const char *path, int rc, struct gd_err *err)
{
    int code =
        (rc & 0xff) == SQLITE_CORRUPT || (rc & 0xff) == SQLITE_NOTADB ? GD_E_DAMAGED : GD_E_STORE;
    return gd_err_set(err, code, "%s: %s", path, db ? sqlite3_errmsg(db) : sqlite3_errstr(rc));
}

static int open_db(const struct gd_sqlite_config *config, sqlite3 **ret, const char *pragmas,
                   struct gd_err *err)
{
    int rc = sqlite3_open_v2(
        config->path, ret, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_extended_result_codes(*ret, 1);
    if (rc == SQLITE_OK)
        rc = sqlite3_busy_timeout(*ret, 5000);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(*ret, pragmas, NULL, NULL, NULL);
    return rc == SQLITE_OK ? 0 : complain(*ret, config->path, rc, err);
}

static int open_writer(struct gd_sqlite *s, struct gd_err *err)
{
    struct gd_writer *w = &s->writer;
    int rc =
        open_db(&s->config, &w->db,
                "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA temp_store=MEMORY;", err);
    if (rc < 0)
        return rc;
    rc = gd_schema_update(w->db, err);
    if (rc < 0)
        return rc;
    int one = 1;
    /* The log file stays and is written over: a file that does not grow syncs faster. */
    (void)sqlite3_file_control(w->db, "main", SQLITE_FCNTL_PERSIST_WAL, &one);
    int sql = sqlite3_wal_autocheckpoint(w->db, CHECKPOINT_PAGES);
    if (sql == SQLITE_OK && s->config.relaxed)
        sql = sqlite3_exec(w->db, "PRAGMA synchronous=NORMAL", NULL, NULL, NULL);
    if (sql == SQLITE_OK)
        sql = gd_writer_prepare(w);
    return sql == SQLITE_OK ? 0 : complain(w->db, s->config.path, sql, err);
}

static const struct gd_store_ops store_ops = {
    .read_task = gd_sqlite_read_task,
    .read_batch = gd_sqlite_read_batch,
    .list_tasks = gd_sqlite_list_tasks,
    .list_batches = gd_sqlite_list_batches,
    .read_children = gd_sqlite_read_children,
    .read_extents = gd_sqlite_read_extents,
    .read_key = gd_sqlite_read_key,
    .write = write_op,
    .read_job = gd_sqlite_read_job,
    .read_exception = gd_sqlite_read_exception,
};

static int init_sync(struct gd_sqlite *s)
{
    pthread_condattr_t attr;
    int rc = pthread_mutex_init(&s->mutex, NULL);
    if (rc == 0)
        rc = pthread_condattr_init(&attr);
    if (rc == 0)
        rc = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    if (rc == 0)
        rc = pthread_cond_init(&s->wake, &attr);
    (void)pthread_condattr_destroy(&attr);
    return -rc;
}

int gd_sqlite_open(struct gd_loop *l, const struct gd_sqlite_config *config, struct gd_sqlite **ret,
                   struct gd_err *err)
{
    struct gd_sqlite *s = calloc(1, sizeof(*s));
    if (!s)
        return gd_err_set(err, -ENOMEM, "out of memory");
    s->store.ops = &store_ops;
    s->loop = l;
    s->config = *config;
    s->send.fn = send_now;
    s->tell.fn = tell_some;
    s->async.data = s;
    gd_list_init(&s->unsent);
    gd_list_init(&s->told);
    gd_list_init(&s->queue);
    gd_list_init(&s->back);
    int rc = init_sync(s);
    if (rc < 0) {
        free(s);
        return gd_err_set(err, rc, "mutex: %s", gd_err_text(rc));
    }
    rc = open_writer(s, err);
    if (rc == 0)
        rc = open_db(config, &s->reader, "PRAGMA query_only=1; PRAGMA temp_store=MEMORY;", err);
    if (rc == 0 && (rc = uv_async_init(l->uv, &s->async, came_back)) < 0)
        (void)gd_err_set(err, rc, "event loop: %s", gd_err_text(rc));
    s->async_open = rc == 0;
    if (rc < 0) {
        gd_sqlite_close(s);
        return rc;
    }
    *ret = s;
    return 0;
}

struct gd_store *gd_sqlite_store(struct gd_sqlite *s)
{
    return &s->store;
}

int gd_sqlite_start(struct gd_sqlite *s)
{
    int rc = pthread_create(&s->thread, NULL, gd_sqlite_write_loop, s);
    s->running = rc == 0;
    if (s->running && !gd_list_empty(&s->unsent))
        gd_soon(s->loop, &s->send);
    return -rc;
}

/* Writes what the last callbacks asked for, on this thread: the other has ended. */
static void write_rest(struct gd_sqlite *s)
{
    while (!gd_list_empty(&s->told) || !gd_list_empty(&s->unsent)) {
        struct gd_node *node;
        while ((node = gd_list_shift(&s->told))) {
            struct gd_op *op = GD_OWNER(node, struct gd_op, node);
            op->done(op);
        }
        gd_list_splice(&s->queue, &s->unsent);
        if (gd_list_empty(&s->queue))
            return;
        (void)gd_sqlite_write_loop(s); /* `stop` is set: it ends with the queue */
        gd_list_splice(&s->told, &s->back);
        if (s->failure[0])
            return;
    }
}

void gd_sqlite_stop(struct gd_sqlite *s)
{
    if (!s->running)
        return;
    send_now(&s->send);
    gd_soon_cancel(&s->send);
    gd_soon_cancel(&s->tell);
    (void)pthread_mutex_lock(&s->mutex);
    s->stop = true;
    (void)pthread_cond_signal(&s->wake);
    (void)pthread_mutex_unlock(&s->mutex);
    (void)pthread_join(s->thread, NULL);
    s->running = false;
    gd_list_splice(&s->told, &s->back);
    if (!s->failure[0])
        write_rest(s);
}

static void free_store(uv_handle_t *h)
{
    struct gd_sqlite *s = h->data;
    (void)pthread_cond_destroy(&s->wake);
    (void)pthread_mutex_destroy(&s->mutex);
    free(s);
}

void gd_sqlite_close(struct gd_sqlite *s)
{
    if (!s)
        return;
    gd_sqlite_reader_done(s);
    gd_writer_finalize(&s->writer);
    (void)sqlite3_close(s->reader);
    (void)sqlite3_close(s->writer.db);
    if (s->async_open)
        uv_close((uv_handle_t *)&s->async, free_store);
    else
        free_store((uv_handle_t *)&s->async);
}

void gd_sqlite_counts(const struct gd_sqlite *s, uint64_t *ret_commits, uint64_t *ret_ops)
{
    *ret_commits = s->n_commits;
    *ret_ops = s->n_ops;
}
