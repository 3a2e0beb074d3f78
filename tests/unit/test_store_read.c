/* The reading half: records as they were written, lists in order and by every filter, the
 * children of a batch by their places. */
#include "daemon/store/store.h"

#include "tests/support/storing.h"
#include "tests/support/suite.h"

#include <string.h>

#define MOST 256

/* What the last reading handed out. */
static uint64_t ids[MOST];
static uint32_t places[MOST];
static size_t n_ids;
static size_t most; /* after so many it has had enough */

static void setup(void)
{
    storing_begin();
    storing_open();
    storing_start();
    most = MOST;
}

static void teardown(void)
{
    storing_end();
}

static bool keep_task(const struct gd_task_record *r, void *arg)
{
    ck_assert_ptr_eq(arg, &most);
    ids[n_ids] = r->id;
    places[n_ids++] = r->index;
    return n_ids < most;
}

static bool keep_batch(const struct gd_batch_record *r, void *arg)
{
    ck_assert_ptr_eq(arg, &most);
    ids[n_ids++] = r->id;
    return n_ids < most;
}

static void was_read(size_t n, const uint64_t *expected)
{
    ck_assert_uint_eq(n_ids, n);
    for (size_t i = 0; i < n; i++)
        ck_assert_uint_eq(ids[i], expected[i]);
    n_ids = 0;
}
#define WAS_READ(...)                                                    \
    was_read(sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t), \
             (const uint64_t[]){__VA_ARGS__})

static void list(const struct gd_query *q)
{
    ck_assert_int_eq(storing.store->ops->list_tasks(storing.store, q, keep_task, &most), 0);
}

static void list_batches(const struct gd_query *q)
{
    ck_assert_int_eq(storing.store->ops->list_batches(storing.store, q, keep_batch, &most), 0);
}

static void submit(uint64_t id, uint64_t batch, const char *name, const char *labels)
{
    struct gd_job job = storing_job();
    const struct gd_batch_spec spec = {.timeout_ms = GD_NO_TIMEOUT,
                                       .name = {name, name ? strlen(name) : 0},
                                       .labels = {labels, labels ? strlen(labels) : 0}};
    struct gd_extent room;
    job.name = spec.name;
    job.labels = spec.labels;
    struct gd_op_submit op = storing_submission(&job, 1, id, batch, batch ? &spec : NULL, &room);
    ck_assert_int_eq(storing_commit(&op.op), 0);
}

/* --- one */

static bool check_full(const struct gd_task_record *r, void *arg)
{
    bool outputs = arg != NULL;
    ck_assert_uint_eq(r->id, 3);
    ck_assert(r->has_outcome);
    ck_assert_int_eq(r->state, GD_FAILED);
    ck_assert_uint_eq(r->attempt, 2);
    ck_assert_int_eq(r->exit_code, -1);
    ck_assert_int_eq(r->started_ms, 5);
    ck_assert_int_eq(r->finished_ms, 6);
    ck_assert_uint_eq(r->detail.len, 5);
    ck_assert_mem_eq(r->exception.ptr, "{}", 2);
    ck_assert_ptr_null(r->name.ptr);
    ck_assert_ptr_null(r->value.ptr);
    ck_assert_uint_eq(r->out.total, 9);
    ck_assert_uint_eq(r->out.bytes.len, outputs ? 3 : 0);
    if (outputs)
        ck_assert_mem_eq(r->out.bytes.ptr, "a\0b", 3);
    ck_assert(r->err.in_file);
    return true;
}

START_TEST(a_task_is_read_as_it_ended)
{
    char out[] = "a\0b";
    char detail[] = "\"a\":1";
    char exception[] = "{}";
    struct gd_outcome o = {.state = GD_FAILED,
                           .attempt = 2,
                           .started_ms = 5,
                           .finished_ms = 6,
                           .exit_code = -1,
                           .detail = detail,
                           .exception = exception,
                           .out = {.bytes = out, .len = 3, .total = 9, .kept = 3},
                           .err = {.total = 1, .kept = 1, .in_file = true}};
    struct gd_op_settle op = {
        .op = {.kind = GD_OP_SETTLE, .urgent = true}, .task = 3, .outcome = &o};
    const struct gd_store_ops *ops = storing.store->ops;
    storing_task(3);
    ck_assert_int_eq(storing_commit(&op.op), 0);
    ck_assert_int_eq(ops->read_task(storing.store, 3, false, check_full, NULL), 0);
    ck_assert_int_eq(ops->read_task(storing.store, 3, true, check_full, &most), 0);
}

START_TEST(what_is_not_there_is_told_apart_from_an_error)
{
    struct gd_buf text = {0};
    const struct gd_store_ops *ops = storing.store->ops;
    ck_assert_int_eq(ops->read_task(storing.store, 3, true, keep_task, &most), GD_E_NO_TASK);
    ck_assert_int_eq(ops->read_batch(storing.store, 3, keep_batch, &most), GD_E_NO_BATCH);
    ck_assert_int_eq(ops->read_job(storing.store, UINT64_MAX, &text), GD_E_NO_TASK);
    ck_assert_int_eq(ops->read_exception(storing.store, 3, &text), GD_E_NO_TASK);
    storing_task(3);
    storing_settle(3, GD_SUCCEEDED, 9);
    ck_assert_int_eq(ops->read_exception(storing.store, 3, &text), 0);
    ck_assert_uint_eq(text.len, 0);
    ck_assert_int_eq(ops->read_job(storing.store, 3, &text), 0);
    ck_assert_int_eq(strncmp(text.ptr, "{\"run\":[\"true\"]}", text.len), 0);
    gd_buf_free(&text);
}

static bool check_batch(const struct gd_batch_record *r, void *arg)
{
    bool settled = arg != NULL;
    ck_assert(r->is_done);
    ck_assert_int_eq(r->state, GD_FAILED);
    ck_assert_uint_eq(r->culprit, 2);
    ck_assert_int_eq(r->timeout_ms, GD_NO_TIMEOUT);
    ck_assert_int_eq(r->settled_ms, settled ? 12 : 0);
    ck_assert_uint_eq(r->counts[GD_CANCELLED], settled ? 2 : 0);
    return true;
}

START_TEST(a_batch_is_read_as_it_ended)
{
    struct gd_op_batch_end op = {.op.kind = GD_OP_BATCH_END,
                                 .batch = 1,
                                 .is_done = true,
                                 .state = GD_FAILED,
                                 .exception = "{}",
                                 .culprit = 2,
                                 .finished_ms = 9};
    storing_batch(1, 1, 2);
    ck_assert_int_eq(storing_commit(&op.op), 0);
    ck_assert_int_eq(storing.store->ops->read_batch(storing.store, 1, check_batch, NULL), 0);
    op.is_done = false;
    op.is_settled = true;
    op.settled_ms = 12;
    op.counts[GD_CANCELLED] = 2;
    ck_assert_int_eq(storing_commit(&op.op), 0);
    ck_assert_int_eq(storing.store->ops->read_batch(storing.store, 1, check_batch, &most), 0);
}

/* --- lists */

START_TEST(lists_go_both_ways_and_page_by_page)
{
    struct gd_query q = {.final_state = -1};
    for (uint64_t id = 1; id <= 5; id++)
        storing_task(id);
    list(&q);
    WAS_READ(5, 4, 3, 2, 1);
    most = 2;
    list(&q);
    WAS_READ(5, 4);
    q.after = 4;
    list(&q);
    WAS_READ(3, 2);
    q.ascending = true;
    list(&q);
    WAS_READ(5);
    q.after = 0;
    list(&q);
    WAS_READ(1, 2);
}

START_TEST(tasks_are_found_by_name_and_default_name)
{
    struct gd_query q = {.final_state = -1, .name = "Task-2"};
    submit(1, 0, "\"Task-2\"", NULL);
    submit(2, 0, NULL, NULL);
    submit(3, 0, "\"x\"", NULL);
    list(&q);
    WAS_READ(1);
    q.named_by_id = 2;
    list(&q);
    WAS_READ(2, 1);
    q.named_by_id = 3; /* has a name of its own */
    list(&q);
    WAS_READ(1);
    q.name = "'; DROP TABLE task; --";
    list(&q);
    was_read(0, NULL);
}

START_TEST(tasks_are_found_by_label)
{
    struct gd_query q = {.final_state = -1, .label_key = "env", .label_value = "prod"};
    submit(1, 0, NULL, "{\"env\":\"prod\",\"x\":\"y\"}");
    submit(2, 0, NULL, "{\"env\":\"test\"}");
    submit(3, 0, NULL, "{\"\\u0065nv\":\"\\u0070rod\"}");
    submit(4, 0, NULL, "{\"env\":\"\"}");
    list(&q);
    WAS_READ(3, 1);
    q.label_value = "";
    list(&q);
    WAS_READ(4);
}

START_TEST(tasks_are_found_by_state_and_batch)
{
    const uint64_t batch = 2;
    struct gd_query q = {.final_state = _i, .ascending = true};
    storing_batch(1, 1, 4);
    storing_batch(2, 5, 4);
    for (uint64_t id = 1; id <= 8; id++)
        if (id % 4 != 0)
            storing_settle(id, (enum gd_state)(GD_SUCCEEDED + id % 4 - 1), 9);
    list(&q);
    WAS_READ((uint64_t)(_i - 1), (uint64_t)(_i + 3));
    q.batch = &batch;
    list(&q);
    WAS_READ((uint64_t)(_i + 3));
    q.final_state = -1;
    list(&q);
    WAS_READ(5, 6, 7, 8);
}

START_TEST(batches_are_found_by_all_of_it)
{
    struct gd_query q = {.final_state = -1, .name = "n"};
    struct gd_op_batch_end op = {
        .op.kind = GD_OP_BATCH_END, .batch = 2, .is_done = true, .state = GD_CANCELLED};
    submit(1, 1, "\"n\"", NULL);
    submit(2, 2, "\"n\"", "{\"a\":\"b\"}");
    submit(3, 3, NULL, "{\"a\":\"b\"}");
    ck_assert_int_eq(storing_commit(&op.op), 0);
    list_batches(&q);
    WAS_READ(2, 1);
    q.label_key = "a";
    q.label_value = "b";
    list_batches(&q);
    WAS_READ(2);
    q.name = NULL;
    list_batches(&q);
    WAS_READ(3, 2);
    q.final_state = GD_CANCELLED;
    list_batches(&q);
    WAS_READ(2);
    q = (struct gd_query){.final_state = -1, .ascending = true, .after = 1};
    most = 1;
    list_batches(&q);
    WAS_READ(2);
}

/* --- children */

START_TEST(children_are_numbered_by_the_batch_that_asks)
{
    const struct gd_batch_spec spec = {.timeout_ms = GD_NO_TIMEOUT};
    struct gd_extent extents[] = {{.index = 0, .first = 4, .n = 3},
                                  {.index = 3, .first = 1, .n = 2}}; /* ids need not rise */
    struct gd_op_submit op = {.op.kind = GD_OP_SUBMIT,
                              .first_task = 4,
                              .batch = 1,
                              .spec = &spec,
                              .extents = extents,
                              .n_extents = 2};
    struct gd_buf runs = {0};
    for (uint64_t id = 1; id <= 6; id++)
        storing_task(id);
    ck_assert_int_eq(storing_commit(&op.op), 0);
    const struct gd_store_ops *ops = storing.store->ops;
    ck_assert_int_eq(ops->read_children(storing.store, 1, 0, keep_task, &most), 0);
    for (unsigned i = 0; i < 5; i++)
        ck_assert_uint_eq(places[i], i);
    WAS_READ(4, 5, 6, 1, 2);
    for (uint64_t from = 2; from < 6; from++) {
        ck_assert_int_eq(ops->read_children(storing.store, 1, from, keep_task, &most), 0);
        ck_assert_uint_eq(n_ids, 5 - from);
        ck_assert(n_ids == 0 || places[0] == from);
        n_ids = 0;
    }
    most = 4;
    ck_assert_int_eq(ops->read_children(storing.store, 1, 0, keep_task, &most), 0);
    WAS_READ(4, 5, 6, 1);
    ck_assert_int_eq(ops->read_extents(storing.store, 1, &runs), 0);
    ck_assert_uint_eq(runs.len, sizeof(extents));
    ck_assert_mem_eq(runs.ptr, extents, sizeof(extents));
    gd_buf_free(&runs);
}

int main(void)
{
    TCase *tc = tcase_create("core");
    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, setup, teardown);
    suite_add(tc, 1, a_task_is_read_as_it_ended, what_is_not_there_is_told_apart_from_an_error,
              a_batch_is_read_as_it_ended, lists_go_both_ways_and_page_by_page,
              tasks_are_found_by_name_and_default_name, tasks_are_found_by_label,
              batches_are_found_by_all_of_it, children_are_numbered_by_the_batch_that_asks);
    tcase_add_loop_test(tc, tasks_are_found_by_state_and_batch, GD_SUCCEEDED, GD_CANCELLED + 1);
    return suite_main("store_read", tc);
}
