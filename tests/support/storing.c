#include "tests/support/storing.h"

#include "base/clock.h"
#include "base/exception.h"

#include "tests/support/scratch.h"

#include <check.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEADLINE_MS 60000

struct storing storing;

static uv_loop_t uv;
static struct gd_timer deadline;

/* --- a disk that fails: the methods of every file, two of them replaced */

/* One for each set that SQLite has: with locks for the database, without for its log. */
static struct replaced {
    sqlite3_io_methods mine; /* first */
    const sqlite3_io_methods *real;
} replaced[4];

static atomic_int write_code;
static atomic_int sync_code;
static sqlite3_vfs vfs;
static sqlite3_vfs *real_vfs;

static const sqlite3_io_methods *real_of(const sqlite3_file *f)
{
    return ((const struct replaced *)(const void *)f->pMethods)->real;
}

static int disk_write(sqlite3_file *f, const void *bytes, int n, sqlite3_int64 at)
{
    int code = write_code;
    return code ? code : real_of(f)->xWrite(f, bytes, n, at);
}

static int disk_sync(sqlite3_file *f, int flags)
{
    int code = sync_code;
    return code ? code : real_of(f)->xSync(f, flags);
}

/* Files are opened by the thread of the test, but for the log, which SQLite opens with the
 * database. */
static int disk_open(sqlite3_vfs *v, const char *name, sqlite3_file *f, int flags, int *ret_flags)
{
    (void)v;
    int rc = real_vfs->xOpen(real_vfs, name, f, flags, ret_flags);
    if (rc != SQLITE_OK || !f->pMethods)
        return rc;
    struct replaced *r = replaced;
    while (r->real && r->real != f->pMethods)
        r++;
    ck_assert_ptr_ne(r, replaced + 4);
    if (!r->real) {
        r->mine = *f->pMethods;
        r->mine.xWrite = disk_write;
        r->mine.xSync = disk_sync;
        r->real = f->pMethods;
    }
    f->pMethods = &r->mine;
    return rc;
}

void storing_break_disk(int code, bool sync)
{
    if (sync)
        sync_code = code;
    else
        write_code = code;
}

/* --- life */

static void failed(void *arg, const char *what)
{
    (void)arg;
    storing.n_failures++;
    (void)snprintf(storing.failure, sizeof(storing.failure), "%s", what);
    uv_stop(&uv);
}

void storing_begin(void)
{
    storing = (struct storing){0};
    scratch_begin();
    (void)snprintf(storing.path, sizeof(storing.path), "%s/gatherd.db", scratch_dir);
    if (!real_vfs) {
        real_vfs = sqlite3_vfs_find(NULL);
        vfs = *real_vfs;
        vfs.pNext = NULL;
        vfs.zName = "breaking";
        vfs.xOpen = disk_open;
        ck_assert_int_eq(sqlite3_vfs_register(&vfs, 1), SQLITE_OK);
    }
    ck_assert_int_eq(uv_loop_init(&uv), 0);
    ck_assert_int_eq(gd_loop_init(&storing.loop, &uv), 0);
}

void storing_open(void)
{
    const struct gd_sqlite_config config = {.path = storing.path, .failed = failed};
    struct gd_err err = {0};
    storing.n_failures = 0;
    ck_assert_msg(gd_sqlite_open(&storing.loop, &config, &storing.s, &err) == 0, "%s", err.text);
    storing.store = gd_sqlite_store(storing.s);
}

void storing_start(void)
{
    ck_assert_int_eq(gd_sqlite_start(storing.s), 0);
}

void storing_close(void)
{
    gd_sqlite_stop(storing.s);
    gd_sqlite_close(storing.s);
    storing.s = NULL;
}

void storing_end(void)
{
    storing_break_disk(0, false);
    storing_break_disk(0, true);
    if (storing.s)
        storing_close();
    gd_loop_close(&storing.loop);
    (void)uv_run(&uv, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&uv), 0);
    scratch_end();
}

void storing_reopen(void)
{
    storing_close();
    storing_open();
    storing_start();
}

/* --- writing */

static void note_done(struct gd_op *op)
{
    ck_assert_uint_lt(storing.n_done, STORING_MOST);
    storing.done[storing.n_done++] = op;
    uv_stop(&uv);
}

void storing_write(struct gd_op *op)
{
    size_t before = storing.n_done;
    op->done = note_done;
    storing.store->ops->write(storing.store, op);
    ck_assert_uint_eq(storing.n_done, before); /* never from inside */
}

static void is_late(struct gd_timer *t)
{
    (void)t;
    ck_abort_msg("the store does not answer");
}

static void run_until(size_t n_done, unsigned n_failures)
{
    deadline.fn = is_late;
    ck_assert_int_eq(gd_timer_at(&storing.loop, &deadline, gd_mono_ms() + DEADLINE_MS), 0);
    while (storing.n_done < n_done && storing.n_failures < n_failures)
        (void)uv_run(&uv, UV_RUN_DEFAULT);
    gd_timer_stop(&storing.loop, &deadline);
}

void storing_wait(size_t n)
{
    run_until(n, 1);
}

void storing_wait_failure(void)
{
    run_until(SIZE_MAX, 1);
}

int storing_commit(struct gd_op *op)
{
    size_t n = storing.n_done + 1;
    storing_write(op);
    storing_wait(n);
    ck_assert_uint_eq(storing.n_done, n);
    return op->rc;
}

/* --- short forms */

struct gd_job storing_job(void)
{
    return (struct gd_job){
        .text = GD_SPAN("{\"run\":[\"true\"]}"), .kind = GD_KIND_RUN, .timeout_ms = GD_NO_TIMEOUT};
}

struct gd_op_submit storing_submission(const struct gd_job *jobs, size_t n, uint64_t first,
                                       uint64_t batch, const struct gd_batch_spec *spec,
                                       struct gd_extent *room)
{
    *room = (struct gd_extent){.first = first, .n = n};
    return (struct gd_op_submit){.op.kind = GD_OP_SUBMIT,
                                 .jobs = jobs,
                                 .n = n,
                                 .first_task = first,
                                 .batch = batch,
                                 .spec = spec,
                                 .extents = batch ? room : NULL,
                                 .n_extents = batch ? 1 : 0,
                                 .created_ms = 1000};
}

void storing_task(uint64_t id)
{
    const struct gd_job job = storing_job();
    struct gd_extent room;
    struct gd_op_submit op = storing_submission(&job, 1, id, 0, NULL, &room);
    ck_assert_int_eq(storing_commit(&op.op), 0);
}

void storing_batch(uint64_t id, uint64_t first, size_t n)
{
    struct gd_job jobs[64];
    const struct gd_batch_spec spec = {.timeout_ms = GD_NO_TIMEOUT};
    struct gd_extent room;
    ck_assert_uint_le(n, 64);
    for (size_t i = 0; i < n; i++)
        jobs[i] = storing_job();
    struct gd_op_submit op = storing_submission(jobs, n, first, id, &spec, &room);
    ck_assert_int_eq(storing_commit(&op.op), 0);
}

void storing_settle(uint64_t task, enum gd_state state, int64_t finished_ms)
{
    struct gd_outcome o = {.state = state, .attempt = 1, .finished_ms = finished_ms};
    if (state == GD_FAILED)
        o.exception = gd_exception_exit(1, GD_SPAN(""));
    else if (state == GD_CANCELLED)
        o.exception = gd_exception_cancelled(NULL);
    struct gd_op_settle op = {.op = {.kind = GD_OP_SETTLE, .urgent = true},
                              .task = task,
                              .leased = true,
                              .cancelled = true,
                              .outcome = &o};
    ck_assert_int_eq(storing_commit(&op.op), 0);
    gd_outcome_done(&o);
}

int64_t storing_number(const char *sql)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *st = NULL;
    int64_t n = -1;
    ck_assert_int_eq(sqlite3_open_v2(storing.path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    ck_assert_msg(sqlite3_prepare_v2(db, sql, -1, &st, NULL) == SQLITE_OK, "%s: %s", sql,
                  sqlite3_errmsg(db));
    if (sqlite3_step(st) == SQLITE_ROW && sqlite3_column_type(st, 0) != SQLITE_NULL)
        n = sqlite3_column_int64(st, 0);
    (void)sqlite3_finalize(st);
    (void)sqlite3_close(db);
    return n;
}
