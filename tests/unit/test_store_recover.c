/* What a store puts back into the core: every unfinished task and batch as it was. */
#include "base/clock.h"
#include "daemon/core/core_impl.h"
#include "daemon/store/store.h"

#include "tests/support/storing.h"
#include "tests/support/suite.h"

#include <stdio.h>
#include <string.h>

static struct gd_core core;
static unsigned n_starts;

static int start(struct gd_executor *ex, struct gd_task *t)
{
    (void)ex;
    (void)t;
    n_starts++;
    return 0;
}

static void cancel(struct gd_executor *ex, struct gd_task *t, int64_t grace_ms)
{
    (void)ex;
    (void)t;
    (void)grace_ms;
}

static const struct gd_executor_ops ops = {.start = start, .cancel = cancel};
static struct gd_executor sleeper = {.ops = &ops, .ready = true};
static struct gd_executor worker = {.ops = &ops, .is_worker = true};

static void setup(void)
{
    storing_begin();
    storing_open();
    storing_start();
}

static void teardown(void)
{
    gd_core_done(&core);
    storing_end();
}

/* Ends this store and makes a core of what is in the file; the writer does not run. */
static void recover(void)
{
    const struct gd_core_config config = {
        .slots = 2, .fetches = 2, .fetches_a_host = 2, .wall_ms = gd_wall_ms};
    struct gd_err err = {0};
    bool rebooted = true;
    storing_close();
    storing_open();
    ck_assert_int_eq(gd_core_init(&core, &storing.loop, storing.store, &config), 0);
    gd_core_use(&core, GD_KIND_SLEEP, &sleeper);
    gd_core_use(&core, GD_KIND_RUN, &worker);
    ck_assert_msg(gd_sqlite_recover(storing.s, &core, &rebooted, &err) == 0, "%s", err.text);
    ck_assert(!rebooted);
}

/* The task, which must be there. */
static const struct gd_task *task(uint64_t id)
{
    const struct gd_task *t = gd_core_task(&core, id);
    if (!t)
        ck_abort_msg("task %llu is not there", (unsigned long long)id);
    return t;
}

static void lease(uint64_t task, uint32_t attempt, uint64_t epoch, int64_t started_ms)
{
    struct gd_lease one = {
        .task = task, .attempt = attempt, .epoch = epoch, .started_ms = started_ms};
    struct gd_op_lease op = {.op = {.kind = GD_OP_LEASE, .urgent = true}, .leases = &one, .n = 1};
    ck_assert_int_eq(storing_commit(&op.op), 0);
}

static void ask_cancel(uint64_t task, uint64_t batch, const char *msg, int64_t grace_ms)
{
    struct gd_op_cancel op = {.op.kind = GD_OP_CANCEL,
                              .task = task,
                              .batch = batch,
                              .msg = msg,
                              .grace_ms = grace_ms,
                              .n_cancels = 2};
    ck_assert_int_eq(storing_commit(&op.op), 0);
}

/* --- tasks */

START_TEST(a_task_that_waits_is_as_it_was)
{
    struct gd_job job = storing_job();
    struct gd_extent room;
    job.timeout_ms = 0;
    job.priority = -7;
    job.host = UINT32_MAX;
    job.rerun_if_lost = true;
    struct gd_op_submit op = storing_submission(&job, 1, 12, 0, NULL, &room);
    ck_assert_int_eq(storing_commit(&op.op), 0);
    recover();
    const struct gd_task *t = task(12);
    ck_assert_ptr_nonnull(t);
    ck_assert_int_eq(t->phase, GD_TASK_QUEUED);
    ck_assert_int_eq(t->timeout_ms, 0);
    ck_assert_int_eq(t->priority, -7);
    ck_assert_uint_eq(t->host, UINT32_MAX);
    ck_assert(t->rerun_if_lost);
    ck_assert_ptr_null(t->extra);
    ck_assert_uint_eq(core.next_task, 13);
}

START_TEST(a_task_that_was_leased_waits_for_its_worker)
{
    storing_task(1);
    lease(1, 3, INT64_MAX, 0);
    recover();
    const struct gd_task *t = task(1);
    ck_assert_int_eq(t->phase, GD_TASK_LEASED);
    ck_assert_uint_eq(t->attempt, 3);
    ck_assert_uint_eq(t->extra->lease_epoch, INT64_MAX);
    ck_assert(t->has_lease);
    ck_assert_uint_eq(core.n_in_stock, 1);
}

START_TEST(a_cancel_is_remembered_with_all_that_it_said)
{
    storing_task(1);
    lease(1, 1, 5, 0);
    ask_cancel(1, 0, "why not", 700);
    recover();
    const struct gd_task *t = task(1);
    ck_assert_uint_eq(t->extra->n_cancels, 2);
    ck_assert_str_eq(t->extra->cancel_msg, "why not");
    ck_assert_int_eq(t->extra->cancel_grace_ms, 700);
}

START_TEST(a_sleep_goes_on_from_its_start)
{
    struct gd_job job = storing_job();
    struct gd_extent room;
    job.kind = GD_KIND_SLEEP;
    job.sleep_ms = 5000;
    struct gd_op_submit op = storing_submission(&job, 1, 1, 0, NULL, &room);
    ck_assert_int_eq(storing_commit(&op.op), 0);
    lease(1, 1, 0, 123456);
    recover();
    const struct gd_task *t = task(1);
    ck_assert_int_eq(t->phase, GD_TASK_RUNNING);
    ck_assert_int_eq(t->started_ms, 123456);
    n_starts = 0;
    ck_assert_int_eq(gd_core_recovered(&core), 0);
    ck_assert_uint_eq(n_starts, 1);
}

START_TEST(what_has_ended_is_not_there)
{
    storing_task(1);
    storing_task(2);
    storing_settle(1, GD_FAILED, 9);
    recover();
    ck_assert_ptr_null(gd_core_task(&core, 1));
    ck_assert_ptr_nonnull(gd_core_task(&core, 2));
    ck_assert_uint_eq(core.tasks.n_tasks, 1);
}

START_TEST(ids_go_on_after_the_last)
{
    storing_batch(7, 1, 3);
    for (uint64_t t = 1; t <= 3; t++)
        storing_settle(t, GD_SUCCEEDED, 9);
    recover();
    ck_assert_uint_eq(core.next_task, 4);
    ck_assert_uint_eq(core.next_batch, 8);
}

START_TEST(a_gap_in_the_ids_is_no_hindrance)
{
    static const uint64_t ids[] = {1, 2, 5, 200, 201};
    for (unsigned i = 0; i < 5; i++)
        storing_task(ids[i]);
    storing_batch(1, 202, 64); /* more than one block, beside a task without a batch */
    storing_batch(2, 266, 64);
    recover();
    for (unsigned i = 0; i < 5; i++)
        ck_assert_ptr_null(task(ids[i])->batch);
    for (uint64_t id = 202; id < 330; id++)
        ck_assert_uint_eq(task(id)->batch->id, id < 266 ? 1 : 2);
    ck_assert_uint_eq(core.tasks.n_tasks, 133);
}

START_TEST(the_mark_only_says_where_to_look)
{
    struct gd_op_mark op = {.op.kind = GD_OP_MARK, .low_task = 3, .low_batch = 2};
    storing_batch(1, 1, 2);
    storing_batch(2, 3, 2);
    storing_settle(1, GD_SUCCEEDED, 8);
    storing_settle(2, GD_SUCCEEDED, 9);
    op.op.urgent = true;
    ck_assert_int_eq(storing_commit(&op.op), 0);
    recover();
    ck_assert_uint_eq(core.tasks.n_tasks, 2);
    ck_assert_uint_eq(core.batches.n, 1);
}

START_TEST(staged_tasks_are_gone)
{
    struct gd_job job = storing_job();
    job.labels = GD_SPAN("{\"a\":\"b\"}");
    struct gd_op_stage op = {
        .op.kind = GD_OP_STAGE, .jobs = &job, .n = 1, .first_task = 4, .batch = 9};
    storing_task(3);
    ck_assert_int_eq(storing_commit(&op.op), 0);
    storing_task(5);
    recover();
    ck_assert_ptr_null(gd_core_task(&core, 4));
    ck_assert_uint_eq(core.tasks.n_tasks, 2);
    ck_assert_int_eq(storing_number("SELECT count(*) FROM label"), 0);
    ck_assert_int_eq(storing_number("SELECT count(*) FROM staged"), 0);
}

/* --- batches */

START_TEST(a_batch_is_as_it_was)
{
    struct gd_job jobs[2] = {storing_job(), storing_job()};
    const struct gd_batch_spec spec = {
        .timeout_ms = 0x7fffffffff, .concurrency = 9, .cancel_on_failure = true};
    struct gd_extent room;
    struct gd_op_submit op = storing_submission(jobs, 2, 10, 3, &spec, &room);
    ck_assert_int_eq(storing_commit(&op.op), 0);
    storing_settle(11, GD_SUCCEEDED, 9);
    ask_cancel(0, 3, "all of it", 50);
    recover();
    const struct gd_batch *b = gd_core_batch(&core, 3);
    ck_assert_int_eq(b->timeout_ms, 0x7fffffffff);
    ck_assert_uint_eq(b->lanes.concurrency, 9);
    ck_assert(b->cancel_on_failure && !b->return_exceptions);
    ck_assert_int_eq(b->created_ms, 1000);
    ck_assert_str_eq(b->cancel_msg, "all of it");
    ck_assert_int_eq(b->cancel_grace_ms, 50);
    ck_assert(b->sweep_first);
    ck_assert_uint_eq(b->gather.n, 2);
    ck_assert_uint_eq(b->gather.n_left, 1);
    ck_assert_uint_eq(task(10)->index, 0);
}

START_TEST(a_batch_that_is_done_waits_for_its_children_only)
{
    struct gd_op_batch_end op = {.op.kind = GD_OP_BATCH_END,
                                 .batch = 1,
                                 .is_done = true,
                                 .state = GD_FAILED,
                                 .exception = "{}",
                                 .culprit = 1,
                                 .finished_ms = 9};
    storing_batch(1, 1, 2);
    storing_settle(1, GD_FAILED, 8);
    ck_assert_int_eq(storing_commit(&op.op), 0);
    if (_i == 1) { /* ... which have ended all, but that is not on disk */
        storing_settle(2, GD_FAILED, 10);
    } else if (_i == 2) {
        storing_settle(2, GD_FAILED, 10);
        op.is_done = false;
        op.is_settled = true;
        op.settled_ms = 11;
        ck_assert_int_eq(storing_commit(&op.op), 0);
    }
    recover();
    const struct gd_batch *b = gd_core_batch(&core, 1);
    ck_assert_int_eq(b == NULL, _i == 2);
    if (!b)
        return;
    ck_assert_int_eq(gd_batch_state(b), GD_FAILED);
    ck_assert_uint_eq(b->gather.n_left, _i == 1 ? 0 : 1);
    ck_assert_int_eq(gd_core_recovered(&core), 0);
    ck_assert_int_eq(b->n_writes, _i == 1); /* that all have ended is written now */
}

/* A batch that came line by line, while others came: its ids are not one run. */
static void scattered(void)
{
    struct gd_job job = storing_job();
    const struct gd_batch_spec spec = {.timeout_ms = GD_NO_TIMEOUT};
    struct gd_extent extents[] = {{.index = 0, .first = 1, .n = 1},
                                  {.index = 1, .first = 5, .n = 1},
                                  {.index = 2, .first = 9, .n = 1}};
    struct gd_op_submit submit = {.op.kind = GD_OP_SUBMIT,
                                  .first_task = 1,
                                  .batch = 1,
                                  .spec = &spec,
                                  .extents = extents,
                                  .n_extents = 3,
                                  .created_ms = 1000};
    for (unsigned i = 0; i < 3; i++) {
        struct gd_op_stage op = {.op.kind = GD_OP_STAGE,
                                 .jobs = &job,
                                 .n = 1,
                                 .first_task = extents[i].first,
                                 .batch = 1,
                                 .first_index = i};
        ck_assert_int_eq(storing_commit(&op.op), 0);
    }
    ck_assert_int_eq(storing_commit(&submit.op), 0);
}

START_TEST(children_that_ended_count_in_the_order_of_their_ends)
{
    scattered();
    storing_settle(9, GD_CANCELLED, 100);
    storing_settle(1, GD_FAILED, 300);
    recover();
    const struct gd_batch *b = gd_core_batch(&core, 1);
    ck_assert_uint_eq(b->gather.culprit, 2); /* by which it has failed */
    ck_assert_int_eq(b->gather.culprit_state, GD_CANCELLED);
    ck_assert_uint_eq(b->gather.n_left, 1);
    ck_assert_uint_eq(task(5)->index, 1);
    ck_assert_uint_eq(gd_batch_child(b, 2), 9);
}

/* --- keys, boots */

START_TEST(keys_are_remembered_for_a_day)
{
    struct gd_job job = storing_job();
    struct gd_extent room;
    struct gd_op_submit op = storing_submission(&job, 1, 1, 0, NULL, &room);
    op.created_ms = gd_wall_ms() - (_i ? 86400000 + 60000 : 86400000 - 60000);
    op.idempotency.key = GD_SPAN("k");
    ck_assert_int_eq(storing_commit(&op.op), 0);
    recover();
    ck_assert_int_eq(storing.store->ops->read_key(storing.store, &op.idempotency),
                     _i ? GD_E_NO_TASK : 0);
}

START_TEST(another_boot_is_noticed_once)
{
    struct gd_err err = {0};
    bool rebooted = false;
    storing_task(1);
    recover();
    gd_core_done(&core);
    (void)storing_number("UPDATE meta SET value = 'another' WHERE key = 'boot_id'");
    storing_close();
    storing_open();
    const struct gd_core_config config = {
        .slots = 2, .fetches = 2, .fetches_a_host = 2, .wall_ms = gd_wall_ms};
    ck_assert_int_eq(gd_core_init(&core, &storing.loop, storing.store, &config), 0);
    ck_assert_int_eq(gd_sqlite_recover(storing.s, &core, &rebooted, &err), 0);
    ck_assert(rebooted);
    gd_core_done(&core);
    recover();
}

int main(void)
{
    TCase *tc = tcase_create("core");
    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, setup, teardown);
    suite_add(tc, 1, a_task_that_waits_is_as_it_was, a_task_that_was_leased_waits_for_its_worker,
              a_cancel_is_remembered_with_all_that_it_said, a_sleep_goes_on_from_its_start,
              what_has_ended_is_not_there, ids_go_on_after_the_last,
              a_gap_in_the_ids_is_no_hindrance, the_mark_only_says_where_to_look,
              staged_tasks_are_gone, a_batch_is_as_it_was,
              children_that_ended_count_in_the_order_of_their_ends, another_boot_is_noticed_once);
    suite_add(tc, 2, keys_are_remembered_for_a_day);
    suite_add(tc, 3, a_batch_that_is_done_waits_for_its_children_only);
    return suite_main("store_recover", tc);
}
