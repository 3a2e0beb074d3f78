/* The writer: groups, their order, and what each operation leaves on disk. */
#include "daemon/store/store.h"

#include "tests/support/storing.h"
#include "tests/support/suite.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void setup(void)
{
    storing_begin();
    storing_open();
    storing_start();
}

static void teardown(void)
{
    storing_end();
}

static int64_t rows(const char *table)
{
    char sql[64];
    (void)snprintf(sql, sizeof(sql), "SELECT count(*) FROM %s", table);
    return storing_number(sql);
}

/* --- groups */

START_TEST(what_is_written_in_one_round_is_one_commit)
{
    static struct gd_op_submit ops[100];
    const struct gd_job job = storing_job();
    struct gd_extent room;
    uint64_t before = 0;
    uint64_t n_ops = 0;
    uint64_t after = 0;
    gd_sqlite_counts(storing.s, &before, &n_ops);
    for (unsigned i = 0; i < 100; i++) {
        ops[i] = storing_submission(&job, 1, i + 1, 0, NULL, &room);
        storing_write(&ops[i].op);
    }
    storing_wait(100);
    gd_sqlite_counts(storing.s, &after, &n_ops);
    ck_assert_uint_eq(after - before, 1);
    ck_assert_uint_eq(n_ops, 100);
    for (unsigned i = 0; i < 100; i++) {
        ck_assert_ptr_eq(storing.done[i], &ops[i].op); /* in the order of the calls */
        ck_assert_int_eq(ops[i].op.rc, 0);
    }
    ck_assert_int_eq(rows("task"), 100);
}

START_TEST(what_was_told_of_is_on_disk)
{
    storing_task(1);
    ck_assert_int_eq(rows("task"), 1); /* as another connection sees it */
    storing_reopen();
    ck_assert_int_eq(rows("task"), 1);
}

START_TEST(what_nobody_waits_for_is_written_too)
{
    struct gd_lease lease = {.task = 1, .attempt = 1, .epoch = 5};
    struct gd_op_lease op = {.op.kind = GD_OP_LEASE, .leases = &lease, .n = 1};
    storing_task(1);
    for (unsigned i = 0; i < 20; i++) /* beyond what may follow closely */
        ck_assert_int_eq(storing_commit(&op.op), 0);
    ck_assert_int_eq(rows("lease"), 1);
}

/* The end of the daemon: what is queued is written, and what its callbacks ask for. */
static struct gd_op_settle second = {
    .op = {.kind = GD_OP_SETTLE}, .task = 2, .plain = {.state = GD_SUCCEEDED, .finished_ms = 9}};
static unsigned n_late;

static void note_late(struct gd_op *op)
{
    n_late++;
    if (op == &second.op)
        return;
    second.op.done = note_late;
    storing.store->ops->write(storing.store, &second.op);
}

START_TEST(stopping_writes_what_is_queued_and_what_follows_from_it)
{
    struct gd_op_settle first = {.op = {.kind = GD_OP_SETTLE, .done = note_late},
                                 .task = 1,
                                 .plain = {.state = GD_SUCCEEDED, .finished_ms = 9}};
    storing_batch(1, 1, 2);
    n_late = 0;
    storing.store->ops->write(storing.store, &first.op);
    gd_sqlite_stop(storing.s);
    ck_assert_uint_eq(n_late, 2);
    ck_assert_int_eq(rows("outcome"), 2);
}

/* --- operations */

START_TEST(a_submission_is_there_with_all_that_it_said)
{
    const struct gd_job job = {
        .text = GD_SPAN("{\"sleep\":1}"),
        .name = GD_SPAN("\"a \\\"name\\\"\""),
        .value = GD_SPAN("[1,2]"),
        .labels = GD_SPAN("{\"env\":\"prod\",\"n\":\"\"}"),
        .sleep_ms = 1000,
        .timeout_ms = 2500,
        .priority = -3,
        .rerun_if_lost = true,
        .kind = GD_KIND_SLEEP,
    };
    const struct gd_batch_spec spec = {.name = GD_SPAN("\"b\""),
                                       .labels = GD_SPAN("{\"of\":\"batch\"}"),
                                       .timeout_ms = 0,
                                       .concurrency = 7,
                                       .return_exceptions = true};
    struct gd_extent room;
    struct gd_op_submit op = storing_submission(&job, 1, 40, 3, &spec, &room);
    ck_assert_int_eq(storing_commit(&op.op), 0);
    ck_assert_int_eq(storing_number("SELECT count(*) FROM task WHERE id=40 AND batch=3 AND idx=0"
                                    " AND created_at=1000 AND kind=3 AND priority=-3 AND"
                                    " sleep_ms=1000 AND timeout_ms=2500 AND host IS NULL AND"
                                    " rerun=1 AND name='a \"name\"' AND value='[1,2]' AND"
                                    " job='{\"sleep\":1}'"),
                     1);
    ck_assert_int_eq(storing_number("SELECT count(*) FROM batch WHERE id=3 AND n=1 AND"
                                    " return_exceptions=1 AND cancel_on_failure=0 AND"
                                    " concurrency=7 AND timeout_ms=0 AND name='b'"),
                     1);
    ck_assert_int_eq(storing_number("SELECT task FROM label WHERE key='env' AND value='prod'"), 40);
    ck_assert_int_eq(storing_number("SELECT task FROM label WHERE key='n' AND value=''"), 40);
    ck_assert_int_eq(storing_number("SELECT batch FROM batch_label WHERE key='of'"), 3);
}

START_TEST(a_lease_of_a_new_attempt_replaces_the_one_before)
{
    struct gd_lease leases[] = {{.task = 1, .attempt = 1, .epoch = 5},
                                {.task = 2, .attempt = 1, .started_ms = 77}};
    struct gd_op_lease op = {.op = {.kind = GD_OP_LEASE, .urgent = true}, .leases = leases, .n = 2};
    ck_assert_int_eq(storing_commit(&op.op), 0);
    leases[0].attempt = 2;
    leases[0].epoch = INT64_MAX;
    ck_assert_int_eq(storing_commit(&op.op), 0);
    ck_assert_int_eq(rows("lease"), 2);
    ck_assert_int_eq(storing_number("SELECT attempt FROM lease WHERE task=1"), 2);
    ck_assert_int_eq(storing_number("SELECT epoch FROM lease WHERE task=1"), INT64_MAX);
    ck_assert_int_eq(storing_number("SELECT started_at FROM lease WHERE task=1"), -1);
    ck_assert_int_eq(storing_number("SELECT started_at FROM lease WHERE task=2"), 77);
}

START_TEST(an_outcome_takes_lease_and_cancel_away)
{
    struct gd_lease lease = {.task = 1, .attempt = 1, .epoch = 5};
    struct gd_op_lease op = {.op = {.kind = GD_OP_LEASE, .urgent = true}, .leases = &lease, .n = 1};
    struct gd_op_cancel cancel = {
        .op.kind = GD_OP_CANCEL, .task = 1, .msg = "why", .grace_ms = 10, .n_cancels = 2};
    storing_task(1);
    ck_assert_int_eq(storing_commit(&op.op), 0);
    ck_assert_int_eq(storing_commit(&cancel.op), 0);
    ck_assert_int_eq(
        storing_number("SELECT n FROM cancel WHERE task=1 AND msg='why' AND grace_ms=10"), 2);
    storing_settle(1, GD_CANCELLED, 9);
    ck_assert_int_eq(rows("lease"), 0);
    ck_assert_int_eq(rows("cancel"), 0);
    ck_assert_int_eq(storing_number("SELECT state FROM outcome WHERE task=1"), GD_CANCELLED);
}

START_TEST(the_first_outcome_stays)
{
    storing_task(1);
    storing_settle(1, GD_FAILED, 9);
    storing_settle(1, GD_SUCCEEDED, 10);
    ck_assert_int_eq(storing_number("SELECT state FROM outcome WHERE task=1"), GD_FAILED);
}

START_TEST(outputs_are_bytes)
{
    char bytes[] = "a\0b";
    struct gd_outcome o = {.state = GD_SUCCEEDED,
                           .result = GD_RK_COMMAND,
                           .attempt = 3,
                           .finished_ms = 9,
                           .out = {.bytes = bytes, .len = 3, .total = 3, .kept = 3},
                           .err = {.total = 900, .kept = 800, .in_file = true}};
    struct gd_op_settle op = {
        .op = {.kind = GD_OP_SETTLE, .urgent = true}, .task = 1, .outcome = &o};
    storing_task(1);
    ck_assert_int_eq(storing_commit(&op.op), 0);
    ck_assert_int_eq(storing_number("SELECT count(*) FROM outcome WHERE out=x'610062' AND"
                                    " out_file IS NULL AND err IS NULL AND err_total=900 AND"
                                    " err_kept=800 AND err_file=1 AND attempt=3"),
                     1);
}

START_TEST(a_batch_may_end_in_one_step_or_two)
{
    struct gd_op_batch_end done = {.op.kind = GD_OP_BATCH_END,
                                   .batch = 1,
                                   .is_done = true,
                                   .state = GD_FAILED,
                                   .exception = "{}",
                                   .culprit = 2,
                                   .finished_ms = 9};
    struct gd_op_batch_end settled = {
        .op.kind = GD_OP_BATCH_END, .batch = 1, .is_settled = true, .settled_ms = 12};
    struct gd_op_cancel cancel = {.op.kind = GD_OP_CANCEL, .batch = 1, .grace_ms = -1};
    settled.counts[GD_FAILED] = 2;
    storing_batch(1, 1, 2);
    ck_assert_int_eq(storing_commit(&cancel.op), 0);
    if (_i == 0) {
        ck_assert_int_eq(storing_commit(&done.op), 0);
        ck_assert_int_eq(storing_number("SELECT settled_at FROM batch_end"), -1);
        ck_assert_int_eq(rows("batch_cancel"), 1); /* its children still need it */
        ck_assert_int_eq(storing_commit(&settled.op), 0);
    } else {
        done.is_settled = true;
        done.settled_ms = 12;
        done.counts[GD_FAILED] = 2;
        ck_assert_int_eq(storing_commit(&done.op), 0);
    }
    ck_assert_int_eq(rows("batch_cancel"), 0);
    ck_assert_int_eq(storing_number("SELECT count(*) FROM batch_end WHERE state=3 AND culprit=2"
                                    " AND settled_at=12 AND failed=2 AND succeeded=0"),
                     1);
}

START_TEST(a_patch_changes_what_it_names_and_no_more)
{
    const struct gd_job job = {.text = GD_SPAN("{}"),
                               .name = GD_SPAN("\"old\""),
                               .labels = GD_SPAN("{\"a\":\"1\",\"b\":\"2\"}"),
                               .timeout_ms = 5,
                               .priority = 4,
                               .kind = GD_KIND_RUN};
    struct gd_extent room;
    struct gd_op_submit submit = storing_submission(&job, 1, 1, 0, NULL, &room);
    struct gd_op_patch op = {
        .op.kind = GD_OP_PATCH, .task = 1, .labels = GD_SPAN("{\"b\":\"3\",\"c\":\"\\u00e9\"}")};
    ck_assert_int_eq(storing_commit(&submit.op), 0);
    ck_assert_int_eq(storing_commit(&op.op), 0);
    ck_assert_int_eq(rows("label"), 2);
    ck_assert_int_eq(storing_number("SELECT task FROM label WHERE key='b' AND value='3'"), 1);
    ck_assert_int_eq(storing_number("SELECT task FROM label WHERE key='c' AND value='é'"), 1);
    ck_assert_int_eq(storing_number("SELECT timeout_ms FROM task WHERE name='old'"), 5);
    op = (struct gd_op_patch){.op.kind = GD_OP_PATCH,
                              .task = 1,
                              .name = GD_SPAN("\"new\""),
                              .set_timeout = true,
                              .timeout_ms = GD_NO_TIMEOUT,
                              .set_priority = true,
                              .priority = 0};
    ck_assert_int_eq(storing_commit(&op.op), 0);
    ck_assert_int_eq(storing_number("SELECT timeout_ms FROM task WHERE name='new'"), -1);
    ck_assert_int_eq(storing_number("SELECT priority FROM task WHERE name='new'"), 0);
    ck_assert_int_eq(rows("label"), 2);
}

/* --- streamed batches */

static void stage(uint64_t batch, uint64_t first, size_t n, size_t index)
{
    struct gd_job jobs[4];
    for (size_t i = 0; i < n; i++) {
        jobs[i] = storing_job();
        jobs[i].labels = GD_SPAN("{\"k\":\"v\"}");
    }
    struct gd_op_stage op = {.op.kind = GD_OP_STAGE,
                             .jobs = jobs,
                             .n = n,
                             .first_task = first,
                             .batch = batch,
                             .first_index = index};
    ck_assert_int_eq(storing_commit(&op.op), 0);
}

START_TEST(staged_tasks_become_a_batch)
{
    const struct gd_batch_spec spec = {.timeout_ms = GD_NO_TIMEOUT};
    struct gd_extent extents[] = {{.index = 0, .first = 1, .n = 2},
                                  {.index = 2, .first = 9, .n = 1}};
    struct gd_op_submit op = {.op.kind = GD_OP_SUBMIT,
                              .first_task = 1,
                              .batch = 4,
                              .spec = &spec,
                              .extents = extents,
                              .n_extents = 2};
    stage(4, 1, 2, 0);
    stage(4, 9, 1, 2);
    ck_assert_int_eq(storing_number("SELECT first FROM staged WHERE batch=4"), 1);
    ck_assert_int_eq(storing_commit(&op.op), 0);
    ck_assert_int_eq(rows("staged"), 0);
    ck_assert_int_eq(rows("task"), 3);
    ck_assert_int_eq(storing_number("SELECT n FROM batch WHERE id=4"), 3);
    ck_assert_int_eq(rows("extent"), 2);
}

START_TEST(what_is_unstaged_was_never_there)
{
    struct gd_extent extents[] = {{.index = 0, .first = 1, .n = 2},
                                  {.index = 2, .first = 9, .n = 1}};
    struct gd_op_unstage op = {.op.kind = GD_OP_UNSTAGE, .batch = 4, .extents = extents, .n = 2};
    stage(4, 1, 2, 0);
    storing_task(5);
    stage(4, 9, 1, 2);
    ck_assert_int_eq(storing_commit(&op.op), 0);
    ck_assert_int_eq(rows("staged"), 0);
    ck_assert_int_eq(rows("label"), 0);
    ck_assert_int_eq(storing_number("SELECT sum(id) FROM task"), 5);
}

/* --- keys */

static struct gd_op_submit keyed(const struct gd_job *job, uint64_t id, unsigned char print,
                                 struct gd_extent *room)
{
    struct gd_op_submit op = storing_submission(job, 1, id, 0, NULL, room);
    op.idempotency.key = GD_SPAN("key-1");
    memset(op.idempotency.fingerprint, print, sizeof(op.idempotency.fingerprint));
    return op;
}

START_TEST(the_same_request_twice_makes_things_once)
{
    const struct gd_job job = storing_job();
    struct gd_extent room;
    struct gd_op_submit first = keyed(&job, 1, 'a', &room);
    struct gd_op_submit again = keyed(&job, 2, 'a', &room);
    struct gd_op_submit other = keyed(&job, 3, 'b', &room);
    if (_i == 0) { /* all in one commit: a client that was impatient */
        storing_write(&first.op);
        storing_write(&again.op);
        storing_write(&other.op);
        storing_wait(3);
    } else {
        (void)storing_commit(&first.op);
        storing_reopen();
        (void)storing_commit(&again.op);
        (void)storing_commit(&other.op);
    }
    ck_assert_int_eq(first.op.rc, 0);
    ck_assert_int_eq(again.op.rc, GD_E_REPLAYED);
    ck_assert_uint_eq(again.idempotency.replay_task, 1);
    ck_assert_uint_eq(again.idempotency.replay_batch, 0);
    ck_assert_int_eq(other.op.rc, GD_E_KEY_REUSED);
    ck_assert_int_eq(rows("task"), 1);
}

START_TEST(a_key_is_read_as_it_was_used)
{
    const struct gd_job job = storing_job();
    const struct gd_batch_spec spec = {.timeout_ms = GD_NO_TIMEOUT};
    struct gd_extent room;
    struct gd_op_submit op = storing_submission(&job, 1, 6, 8, &spec, &room);
    op.idempotency.key = GD_SPAN("k");
    struct gd_idempotency key = op.idempotency;
    ck_assert_int_eq(storing.store->ops->read_key(storing.store, &key), GD_E_NO_TASK);
    ck_assert_int_eq(storing_commit(&op.op), 0);
    ck_assert_int_eq(storing.store->ops->read_key(storing.store, &key), 0);
    ck_assert_uint_eq(key.replay_batch, 8);
    ck_assert_uint_eq(key.replay_task, 0);
    key.fingerprint[31] ^= 1;
    ck_assert_int_eq(storing.store->ops->read_key(storing.store, &key), GD_E_KEY_REUSED);
}

int main(void)
{
    TCase *tc = tcase_create("core");
    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, setup, teardown);
    suite_add(tc, 1, what_is_written_in_one_round_is_one_commit, what_was_told_of_is_on_disk,
              what_nobody_waits_for_is_written_too,
              stopping_writes_what_is_queued_and_what_follows_from_it,
              a_submission_is_there_with_all_that_it_said,
              a_lease_of_a_new_attempt_replaces_the_one_before,
              an_outcome_takes_lease_and_cancel_away, the_first_outcome_stays, outputs_are_bytes,
              a_patch_changes_what_it_names_and_no_more, staged_tasks_become_a_batch,
              what_is_unstaged_was_never_there, a_key_is_read_as_it_was_used);
    suite_add(tc, 2, a_batch_may_end_in_one_step_or_two, the_same_request_twice_makes_things_once);
    return suite_main("store_write", tc);
}
