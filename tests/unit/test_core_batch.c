/* Batches in the core: the three rules, cancel and timeout of a batch, its concurrency,
 * and what is on disk before what is shown. */
#include "daemon/core/core_impl.h"

#include "tests/support/suite.h"
#include "tests/support/world.h"

#define SLOTS 4

enum rule {
    FIRST,
    COLLECT,
    GROUP
};

static void setup(void)
{
    world_start(SLOTS);
}

static void teardown(void)
{
    world_stop();
}

static uint64_t batch_of(size_t n, enum rule rule)
{
    return world_batch_of(n, rule == COLLECT, rule == GROUP);
}

/* ... all of whose commands run. */
static uint64_t running(size_t n, enum rule rule)
{
    uint64_t id = batch_of(n, rule);
    world_rest();
    for (uint64_t t = 1; t <= n; t++)
        world_started(t);
    world_turn();
    world_hush();
    return id;
}

static void end(uint64_t task, enum gd_state state)
{
    ck_assert_int_eq(world_end(task, state), 0);
    world_rest();
}

static void is_over(void)
{
    world_rest();
    world_is_empty();
}

static void expire(uint64_t batch)
{
    struct gd_batch *b = gd_core_batch(&world.core, batch);
    ck_assert(gd_timer_is_set(&b->deadline));
    gd_timer_stop(&world.loop, &b->deadline);
    b->deadline.fn(&b->deadline);
}

/* --- rules */

START_TEST(a_batch_of_nothing_succeeds_at_once)
{
    (void)batch_of(0, (enum rule)_i);
    is_over();
    world_said("w:submit/b1 c:submit/b1 w:end/b1=succeeded,settled accepted:0"
               " c:end/b1=succeeded,settled batch:1=succeeded settled:1");
}

START_TEST(all_that_succeed_make_one_end)
{
    uint64_t b = running(2, (enum rule)_i);
    end(1, GD_SUCCEEDED);
    ck_assert_int_eq(gd_batch_state(gd_core_batch(&world.core, b)), GD_RUNNING);
    end(2, GD_SUCCEEDED);
    world_said("w:settle/1=succeeded c:settle/1=succeeded forget:1 done:1=succeeded"
               " w:settle/2=succeeded c:settle/2=succeeded forget:2"
               " w:end/b1=succeeded,settled done:2=succeeded"
               " c:end/b1=succeeded,settled batch:1=succeeded settled:1");
    is_over();
}

START_TEST(the_first_failure_decides_and_the_others_go_on)
{
    (void)running(3, FIRST);
    end(2, _i ? GD_CANCELLED : GD_FAILED); /* G09 */
    ck_assert(world_has_said("batch:1=failed"));
    ck_assert(!world_has_said("settled:1"));
    ck_assert(!world_has_said("cancel:1/-1"));
    ck_assert_uint_eq(world.batches[1].culprit, 2);
    end(1, GD_FAILED);
    end(3, GD_SUCCEEDED);
    ck_assert(world_has_said("settled:1"));
    ck_assert_uint_eq(world.batches[1].culprit, 2);
    ck_assert_uint_eq(world.batches[1].counts[GD_SUCCEEDED], 1);
    is_over();
}

START_TEST(exceptions_that_are_collected_decide_nothing)
{
    (void)running(3, COLLECT);
    end(1, GD_FAILED);
    end(2, GD_CANCELLED);
    ck_assert(!world_has_said("w:end/b1=failed"));
    end(3, GD_SUCCEEDED);
    ck_assert(world_has_said("batch:1=succeeded"));
    is_over();
}

START_TEST(a_group_cancels_the_rest_and_fails)
{
    (void)batch_of(SLOTS + 6, GROUP); /* some run, some are in stock, some wait */
    world_rest();
    world_started(1);
    world_started(2);
    world_hush();
    end(1, GD_FAILED);
    ck_assert(!world_has_said("cancel:1/-1"));
    for (uint64_t t = 2; t <= SLOTS + 6; t++)
        if (world.tasks[t].held != WORLD_NOT_HELD)
            end(t, t == 2 ? GD_FAILED : GD_CANCELLED);
    ck_assert(world_has_said("cancel:2/-1"));
    ck_assert(!world_has_said("start:10")); /* what had not started never does */
    ck_assert(world_has_said("done:10=cancelled"));
    ck_assert(world_has_said("batch:1=failed"));
    ck_assert_uint_eq(world.batches[1].counts[GD_FAILED], 2);
    is_over();
}

START_TEST(a_cancelled_child_does_not_abort_a_group)
{
    (void)running(2, GROUP);
    end(1, GD_CANCELLED);
    ck_assert(!world_has_said("cancel:2/-1"));
    end(2, GD_SUCCEEDED);
    ck_assert(world_has_said("batch:1=succeeded"));
    is_over();
}

/* --- cancel */

START_TEST(a_batch_is_cancelled_on_disk_before_its_children_are)
{
    uint64_t b = running(2, (enum rule)_i);
    world_cancel_batch(b, false);
    world_turn();
    world_said("w:cancel/b1");
    (void)world_commit_one();
    world_turn();
    world_said("c:cancel/b1 asked:b1=1 cancel:1/-1 cancel:2/-1");
    end(1, GD_CANCELLED);
    end(2, GD_CANCELLED);
    ck_assert(world_has_said("batch:1=cancelled"));
    is_over();
}

START_TEST(children_that_wait_are_cancelled_without_a_start)
{
    world.runner.ready = false;
    uint64_t b = batch_of(100, COLLECT);
    world_turn();
    world_cancel_batch(b, false);
    is_over();
    ck_assert_uint_eq(world_count("start:1"), 0);
    ck_assert_uint_eq(world.batches[b].counts[GD_CANCELLED], 100);
    ck_assert_int_eq(world.batches[b].state, GD_CANCELLED);
}

START_TEST(real_failures_of_a_group_win_over_its_cancel)
{
    uint64_t b = running(2, GROUP);
    world_cancel_batch(b, false);
    world_rest();
    end(1, GD_FAILED); /* P03 */
    end(2, GD_CANCELLED);
    ck_assert(world_has_said("batch:1=failed"));
    is_over();
}

START_TEST(a_batch_whose_children_refuse_to_be_cancelled)
{
    uint64_t b = running(1, (enum rule)_i);
    world_cancel_batch(b, false);
    world_rest();
    end(1, GD_SUCCEEDED);
    ck_assert(world_has_said("batch:1=cancelled"));
    is_over();
}

START_TEST(a_cancel_of_a_batch_that_cannot_be_written_did_not_happen)
{
    uint64_t b = running(1, FIRST);
    world_cancel_batch(b, false);
    world_refuse(GD_E_STORE_FULL);
    world_turn();
    world_said("w:cancel/b1 r:cancel/b1 asked:b1/-5009");
    end(1, GD_SUCCEEDED);
    ck_assert(world_has_said("batch:1=succeeded"));
    is_over();
}

START_TEST(a_decided_batch_is_left_alone_unless_all_is_meant)
{
    uint64_t b = running(3, FIRST);
    end(1, GD_FAILED);
    world_hush();
    world_cancel_batch(b, false);
    world_rest();
    world_said("asked:b1=0");
    world_cancel_batch(b, true);
    world_rest();
    world_said("w:cancel/b1 c:cancel/b1 asked:b1=1 cancel:2/-1 cancel:3/-1");
    end(2, GD_CANCELLED);
    end(3, GD_CANCELLED);
    ck_assert_int_eq(world.batches[b].state, GD_FAILED);
    is_over();
    world_hush();
    world_cancel_batch(b, true);
    world_rest();
    world_said("asked:b1=0");
}

/* --- timeout */

static uint64_t limited(size_t n, const struct gd_batch_spec *rules)
{
    struct gd_job jobs[8] = {0};
    for (size_t i = 0; i < n; i++)
        jobs[i] = job_run();
    uint64_t id = world_submit_batch(jobs, n, rules);
    world_rest();
    for (uint64_t t = 1; t <= n; t++)
        world_started(t);
    world_hush();
    return id;
}

START_TEST(a_timeout_cancels_all_and_fails)
{
    struct gd_batch_spec spec = {.timeout_ms = 3600000,
                                 .return_exceptions = _i == COLLECT,
                                 .cancel_on_failure = _i == GROUP};
    uint64_t b = limited(2, &spec);
    expire(b);
    world_rest();
    world_said("cancel:1/-1 cancel:2/-1");
    end(1, GD_CANCELLED);
    ck_assert(!world_has_said("batch:1=failed"));
    end(2, GD_SUCCEEDED);
    ck_assert(world_has_said("batch:1=failed"));
    is_over();
}

START_TEST(a_cancel_wins_over_a_timeout)
{
    struct gd_batch_spec spec = {.timeout_ms = 3600000};
    uint64_t b = limited(1, &spec);
    expire(b);
    world_cancel_batch(b, false);
    world_rest();
    end(1, GD_CANCELLED); /* M05 */
    ck_assert(world_has_said("batch:1=cancelled"));
    is_over();
}

START_TEST(a_batch_that_is_done_has_no_deadline)
{
    struct gd_batch_spec spec = {.timeout_ms = 3600000};
    uint64_t b = limited(2, &spec);
    end(1, GD_FAILED);
    ck_assert(!gd_timer_is_set(&gd_core_batch(&world.core, b)->deadline));
    end(2, GD_SUCCEEDED);
    is_over();
}

START_TEST(the_time_of_a_batch_counts_from_its_submission)
{
    const struct gd_job job = job_run();
    struct gd_batch_spec spec = {.timeout_ms = 1000};
    (void)world_submit_batch(&job, 1, &spec);
    world.wall_ms += 1000; /* its commit took that long */
    world_rest();
    is_over();
    ck_assert(world_has_said("batch:1=failed"));
    ck_assert(!world_has_said("start:1"));
}

/* --- concurrency */

START_TEST(the_concurrency_of_a_batch_bounds_what_runs)
{
    struct gd_job jobs[4] = {job_fetch(1), job_fetch(2), job_fetch(3), job_fetch(4)};
    struct gd_batch_spec spec = {.timeout_ms = GD_NO_TIMEOUT, .concurrency = 2};
    (void)world_submit_batch(jobs, 4, &spec);
    world_rest();
    ck_assert(world_has_said("start:2") && !world_has_said("start:3"));
    (void)world_submit(job_fetch(5)); /* others are not held up */
    world_rest();
    ck_assert(world_has_said("start:5"));
    end(1, GD_SUCCEEDED);
    ck_assert(world_has_said("start:3") && !world_has_said("start:4"));
    world_cancel(2);
    world_rest();
    end(2, GD_CANCELLED);
    ck_assert(world_has_said("start:4"));
    end(3, GD_SUCCEEDED);
    end(4, GD_SUCCEEDED);
    end(5, GD_SUCCEEDED);
    is_over();
}

/* The runner keeps the bound itself, so that a few lie there in stock. */
START_TEST(commands_of_a_bounded_batch_are_leased_ahead)
{
    struct gd_job jobs[8];
    struct gd_batch_spec spec = {.timeout_ms = GD_NO_TIMEOUT, .concurrency = 1};
    for (unsigned i = 0; i < 8; i++)
        jobs[i] = job_run();
    (void)world_submit_batch(jobs, 8, &spec);
    world_rest();
    ck_assert(world_has_said("start:3") && !world_has_said("start:4")); /* one, two ahead */
    for (uint64_t t = 1; t <= 8; t++)
        end(t, GD_SUCCEEDED);
    is_over();
}

/* --- after a crash */

START_TEST(a_decision_that_nobody_has_seen_is_made_again)
{
    (void)running(3, FIRST);
    ck_assert_int_eq(world_end(2, GD_FAILED), 0);
    (void)world_commit_one(); /* the outcome is on disk, the batch's end is not */
    ck_assert(!world.batches[1].done);
    world_crash();
    world_list(false);
    world_rest();
    ck_assert(world.batches[1].done);
    ck_assert_uint_eq(world.batches[1].culprit, 2);
    end(1, GD_FAILED);
    end(3, GD_SUCCEEDED);
    is_over();
    ck_assert_uint_eq(world.batches[1].culprit, 2);
}

START_TEST(a_group_that_failed_before_a_crash_still_cancels_the_rest)
{
    (void)running(3, GROUP);
    ck_assert_int_eq(world_end(2, GD_FAILED), 0);
    (void)world_commit_one();
    world_crash();
    world_hush();
    world_list(false);
    world_rest();
    ck_assert(world_has_said("cancel:1/-1") && world_has_said("cancel:3/-1"));
    end(1, GD_CANCELLED);
    end(3, GD_CANCELLED);
    is_over();
    ck_assert_int_eq(world.batches[1].state, GD_FAILED);
}

START_TEST(a_cancel_on_disk_is_repeated_after_a_crash)
{
    uint64_t b = running(2, COLLECT);
    world_cancel_batch(b, false);
    (void)world_commit_one();
    world_crash();
    world_hush();
    world_list(false);
    world_rest();
    ck_assert(world_has_said("cancel:1/-1") && world_has_said("cancel:2/-1"));
    end(1, GD_CANCELLED);
    end(2, GD_SUCCEEDED);
    is_over();
    ck_assert_int_eq(world.batches[1].state, GD_CANCELLED);
}

int main(void)
{
    TCase *tc = tcase_create("core");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    suite_add(tc, 3, a_batch_of_nothing_succeeds_at_once, all_that_succeed_make_one_end,
              a_batch_is_cancelled_on_disk_before_its_children_are,
              a_batch_whose_children_refuse_to_be_cancelled, a_timeout_cancels_all_and_fails);
    suite_add(tc, 2, the_first_failure_decides_and_the_others_go_on);
    suite_add(
        tc, 1, exceptions_that_are_collected_decide_nothing, a_group_cancels_the_rest_and_fails,
        a_cancelled_child_does_not_abort_a_group, children_that_wait_are_cancelled_without_a_start,
        real_failures_of_a_group_win_over_its_cancel,
        a_cancel_of_a_batch_that_cannot_be_written_did_not_happen,
        a_decided_batch_is_left_alone_unless_all_is_meant, a_cancel_wins_over_a_timeout,
        a_batch_that_is_done_has_no_deadline, the_time_of_a_batch_counts_from_its_submission,
        the_concurrency_of_a_batch_bounds_what_runs, commands_of_a_bounded_batch_are_leased_ahead,
        a_decision_that_nobody_has_seen_is_made_again,
        a_group_that_failed_before_a_crash_still_cancels_the_rest,
        a_cancel_on_disk_is_repeated_after_a_crash);
    return suite_main("core_batch", tc);
}
