/* asyncio.wait()'s rules, one future after the other and several in one round. */
#include "daemon/core/wait.h"

#include "tests/support/failalloc.h"
#include "tests/support/suite.h"

#include <errno.h>

#define N 4

static uv_loop_t uv;
static struct gd_loop loop;
static struct gd_wait wait_;
static struct gd_future futures[N];
static unsigned n_told;
static size_t n_pending; /* when it was told */

static size_t count_pending(void)
{
    size_t n = 0;
    for (size_t i = 0; i < wait_.n; i++)
        n += gd_wait_is_pending(&wait_, i);
    return n;
}

static void enough(struct gd_wait *w)
{
    ck_assert_ptr_eq(w, &wait_);
    n_told++;
    n_pending = count_pending();
}

static void setup(void)
{
    ck_assert_int_eq(uv_loop_init(&uv), 0);
    ck_assert_int_eq(gd_loop_init(&loop, &uv), 0);
    for (size_t i = 0; i < N; i++)
        gd_future_init(&futures[i]);
    n_told = 0;
}

static void teardown(void)
{
    gd_wait_done(&wait_);
    gd_loop_close(&loop);
    (void)uv_run(&uv, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&uv), 0);
}

static void begin(enum gd_return_when when)
{
    ck_assert_int_eq(gd_wait_init(&wait_, N, when, &loop, enough), 0);
    for (size_t i = 0; i < N; i++)
        gd_wait_add(&wait_, i, &futures[i]);
    ck_assert(!gd_wait_is_enough(&wait_));
}

/* Ends one, and lets the round after it pass. */
static unsigned end(size_t i, enum gd_state state)
{
    gd_future_settle(&futures[i], state);
    (void)uv_run(&uv, UV_RUN_NOWAIT);
    return n_told;
}

START_TEST(all_completed_waits_for_all)
{
    begin(GD_ALL_COMPLETED);
    for (size_t i = 0; i + 1 < N; i++)
        ck_assert_uint_eq(end(i, i == 0 ? GD_FAILED : GD_SUCCEEDED), 0);
    ck_assert_uint_eq(end(N - 1, GD_CANCELLED), 1);
    ck_assert_uint_eq(n_pending, 0);
}

START_TEST(first_completed_is_enough_with_any)
{
    static const enum gd_state states[] = {GD_SUCCEEDED, GD_FAILED, GD_CANCELLED};
    begin(GD_FIRST_COMPLETED);
    ck_assert_uint_eq(end(2, states[_i]), 1);
    ck_assert_uint_eq(n_pending, N - 1);
    ck_assert(!gd_wait_is_pending(&wait_, 2));
}

START_TEST(first_exception_is_a_failure_not_a_cancel)
{
    begin(GD_FIRST_EXCEPTION);
    ck_assert_uint_eq(end(0, GD_SUCCEEDED), 0);
    ck_assert_uint_eq(end(1, GD_CANCELLED), 0);
    ck_assert_uint_eq(end(2, GD_FAILED), 1);
    ck_assert_uint_eq(n_pending, 1);
}

START_TEST(what_ends_in_one_round_is_seen_together)
{
    begin(GD_FIRST_COMPLETED);
    gd_future_settle(&futures[1], GD_SUCCEEDED);
    gd_future_settle(&futures[3], GD_FAILED);
    ck_assert_uint_eq(n_told, 0);
    (void)uv_run(&uv, UV_RUN_NOWAIT);
    ck_assert_uint_eq(n_told, 1);
    ck_assert_uint_eq(n_pending, N - 2);
}

START_TEST(what_was_done_before_counts)
{
    gd_future_settle(&futures[0], GD_SUCCEEDED);
    ck_assert_int_eq(gd_wait_init(&wait_, 3, (enum gd_return_when)_i, &loop, enough), 0);
    gd_wait_add(&wait_, 0, &futures[0]);
    gd_wait_add(&wait_, 1, &futures[1]);
    gd_wait_add_done(&wait_, 2, GD_CANCELLED);
    ck_assert_uint_eq(gd_wait_is_enough(&wait_), _i == GD_FIRST_COMPLETED);
    ck_assert_uint_eq(count_pending(), 1);
    gd_wait_done(&wait_);
    gd_future_settle(&futures[1], GD_SUCCEEDED); /* nobody watches it any more */
    (void)uv_run(&uv, UV_RUN_NOWAIT);
    ck_assert_uint_eq(n_told, 0);
}

START_TEST(leaving_after_it_was_enough_tells_nothing)
{
    begin(GD_FIRST_COMPLETED);
    gd_future_settle(&futures[1], GD_SUCCEEDED);
    gd_wait_done(&wait_);
    (void)uv_run(&uv, UV_RUN_NOWAIT);
    ck_assert_uint_eq(n_told, 0);
}

START_TEST(without_memory_there_is_no_wait)
{
    failalloc_arm(1);
    int rc = gd_wait_init(&wait_, N, GD_ALL_COMPLETED, &loop, enough);
    (void)failalloc_disarm();
    ck_assert_int_eq(rc, -ENOMEM);
}

int main(void)
{
    TCase *tc = tcase_create("core");
    tcase_add_checked_fixture(tc, setup, teardown);
    suite_add(tc, 1, all_completed_waits_for_all, first_exception_is_a_failure_not_a_cancel,
              what_ends_in_one_round_is_seen_together, leaving_after_it_was_enough_tells_nothing,
              without_memory_there_is_no_wait);
    suite_add(tc, 3, first_completed_is_enough_with_any, what_was_done_before_counts);
    return suite_main("core_wait", tc);
}
