/* The life of one task in the core: what is written before what, and what a cancel, a
 * loss, a patch mean in each phase. */
#include "daemon/core/core_impl.h"

#include "tests/support/failalloc.h"
#include "tests/support/suite.h"
#include "tests/support/world.h"

#include <errno.h>
#include <string.h>

static void setup(void)
{
    world_start(1);
}

static void teardown(void)
{
    world_stop();
}

/* A command, on disk and in line. */
static uint64_t in_line(void)
{
    uint64_t id = world_submit(job_run());
    ck_assert(world_commit_one());
    return id;
}

/* ... whose lease is being written. */
static uint64_t leasing(void)
{
    uint64_t id = in_line();
    world_turn();
    ck_assert_int_eq(world_task(id)->phase, GD_TASK_LEASING);
    return id;
}

/* ... which its worker has. */
static uint64_t leased(void)
{
    uint64_t id = leasing();
    ck_assert(world_commit_one());
    ck_assert_int_eq(world_task(id)->phase, GD_TASK_LEASED);
    return id;
}

static uint64_t running(void)
{
    uint64_t id = leased();
    world_started(id);
    ck_assert_int_eq(world_task(id)->phase, GD_TASK_RUNNING);
    world_turn();
    world_hush();
    return id;
}

static void is_over(void)
{
    world_rest();
    world_is_empty();
}

/* --- from submission to outcome */

START_TEST(a_command_goes_by_three_writes)
{
    ck_assert_uint_eq(world_submit(job_run()), 1);
    world_turn();
    world_said("w:submit/1");
    ck_assert_ptr_null(gd_core_task(&world.core, 1)); /* not before it is on disk */
    (void)world_commit_one();
    world_said("c:submit/1 accepted:1");
    ck_assert_int_eq(gd_task_state(world_task(1)), GD_PENDING);
    world_turn();
    world_said("w:lease/1");
    (void)world_commit_one();
    world_said("c:lease/1 start:1");
    ck_assert_int_eq(gd_task_state(world_task(1)), GD_PENDING);
    world_started(1);
    ck_assert_int_eq(gd_task_state(world_task(1)), GD_RUNNING);
    ck_assert_int_eq(world_task(1)->started_ms, world.wall_ms);
    ck_assert_int_eq(world_end(1, GD_SUCCEEDED), 0);
    world_turn();
    world_said("w:settle/1=succeeded");
    ck_assert_int_eq(gd_task_state(world_task(1)), GD_RUNNING); /* what it was before */
    (void)world_commit_one();
    world_said("c:settle/1=succeeded forget:1 done:1=succeeded");
    ck_assert_ptr_null(gd_core_task(&world.core, 1));
    is_over();
}

START_TEST(a_command_may_end_before_it_was_seen_to_start)
{
    (void)leased();
    world_hush();
    ck_assert_int_eq(world_end(1, GD_FAILED), 0);
    is_over();
    world_said("w:settle/1=failed c:settle/1=failed forget:1 done:1=failed");
}

START_TEST(a_short_sleep_has_no_lease)
{
    (void)world_submit(job_sleep(0));
    world_rest();
    world_said("w:submit/1 c:submit/1 accepted:1 start:1");
    ck_assert_int_eq(gd_task_state(world_task(1)), GD_RUNNING);
    ck_assert_int_eq(world_end(1, GD_SUCCEEDED), 0);
    is_over();
    world_said("w:settle/1=succeeded c:settle/1=succeeded done:1=succeeded");
}

START_TEST(a_long_sleep_keeps_its_start_on_disk)
{
    (void)world_submit(job_sleep(GD_LONG_SLEEP_MS));
    world_rest();
    world_said("w:submit/1 c:submit/1 accepted:1 start:1 w:lease/1 c:lease/1");
    ck_assert_int_eq(world.tasks[1].lease.started_ms, world.wall_ms);
    ck_assert_int_eq(world_end(1, GD_SUCCEEDED), 0);
    is_over();
}

START_TEST(slots_bound_what_runs_and_a_few_are_leased_ahead)
{
    for (unsigned i = 0; i < 10; i++)
        (void)world_submit(job_run());
    world_rest();
    ck_assert(world_has_said("start:3"));
    ck_assert(!world_has_said("start:4")); /* one slot, two ahead */
    world_started(1);
    ck_assert_int_eq(world_end(1, GD_SUCCEEDED), 0);
    world_rest();
    ck_assert(world_has_said("start:4"));
    for (uint64_t id = 2; id <= 10; id++) {
        ck_assert_int_eq(world_end(id, GD_SUCCEEDED), 0);
        world_rest();
    }
    is_over();
}

START_TEST(nothing_starts_while_the_worker_is_away)
{
    world.runner.ready = false;
    (void)world_submit(job_run());
    (void)world_submit(job_fetch(0));
    world_rest();
    ck_assert(!world_has_said("start:1"));
    ck_assert(world_has_said("start:2")); /* the other worker is there */
    world.runner.ready = true;
    gd_core_executor_changed(&world.core);
    world_rest();
    ck_assert(world_has_said("start:1"));
}

START_TEST(a_lease_whose_worker_went_away_waits_again)
{
    (void)leasing();
    world.runner.ready = false;
    world_rest();
    ck_assert_int_eq(world_task(1)->phase, GD_TASK_QUEUED);
    ck_assert(!world_has_said("start:1"));
    world.runner.ready = true;
    world.runner.epoch++;
    gd_core_executor_changed(&world.core);
    world_rest();
    ck_assert(world_has_said("start:1"));
    ck_assert_uint_eq(world.tasks[1].lease.epoch, world.runner.epoch);
}

/* --- submissions that fail */

START_TEST(a_refused_submission_leaves_nothing)
{
    (void)world_submit(job_run());
    (void)world_submit_batch((struct gd_job[]){job_run(), job_run()}, 2,
                             &(struct gd_batch_spec){.timeout_ms = GD_NO_TIMEOUT});
    world_turn();
    world_hush();
    world_refuse(GD_E_STORE_FULL);
    world_turn();
    world_said("r:submit/1 refused:1/-5009 r:submit/b1 refused:2/-5009");
    world_is_empty();
    ck_assert_uint_eq(world_submit(job_run()), 4); /* ids are not used again */
    world_rest();
    ck_assert(world_has_said("start:4"));
}

START_TEST(nothing_is_taken_or_started_at_the_end)
{
    (void)in_line();
    (void)world_submit(job_sleep(0));
    gd_core_close(&world.core);
    (void)world_submit(job_run());
    world_hush();
    world_rest();
    world_said("refused:0/-5013 c:submit/2 accepted:2");
}

/* --- starts that fail */

START_TEST(what_cannot_start_has_failed)
{
    world.start_rc = GD_E_STORE;
    (void)in_line();
    is_over();
    ck_assert(world_has_said("done:1=failed"));
    ck_assert_uint_eq(world_count("start:1"), 1);
}

START_TEST(without_memory_a_start_is_tried_again)
{
    world.start_rc = -ENOMEM;
    (void)in_line();
    world_rest();
    ck_assert_uint_eq(world_count("start:1"), 2);
    ck_assert_int_eq(world_end(1, GD_SUCCEEDED), 0);
    is_over();
}

START_TEST(a_sleep_that_cannot_start_has_failed_and_leaves_no_lease)
{
    world.start_rc = GD_E_STORE;
    (void)world_submit(job_sleep(5000));
    is_over();
    ck_assert(world_has_said("done:1=failed"));
}

/* --- cancel */

START_TEST(a_task_that_waits_is_cancelled_at_once)
{
    uint64_t id = in_line();
    world_hush();
    world_cancel(id); /* not even in line */
    is_over();
    world_said("w:settle/1=cancelled c:settle/1=cancelled done:1=cancelled asked:1=1");
}

START_TEST(a_task_in_line_is_cancelled_and_never_starts)
{
    world.runner.ready = false;
    uint64_t id = in_line();
    world_turn();
    world_hush();
    world_cancel(id);
    world_rest();
    world_said("w:settle/1=cancelled c:settle/1=cancelled done:1=cancelled asked:1=1");
    world.runner.ready = true;
    gd_core_executor_changed(&world.core);
    is_over();
    world_said("");
}

START_TEST(a_cancel_while_the_lease_is_written_never_starts_it)
{
    uint64_t id = leasing();
    world_hush();
    world_cancel(id);
    is_over();
    world_said("c:lease/1 w:settle/1=cancelled c:settle/1=cancelled done:1=cancelled asked:1=1");
}

START_TEST(a_cancel_at_the_worker_is_written_before_it_is_sent)
{
    uint64_t id = _i ? running() : leased();
    world_turn();
    world_hush();
    world_cancel(id);
    world_turn();
    world_said("w:cancel/1");
    (void)world_commit_one();
    world_said("c:cancel/1 cancel:1/-1 asked:1=1");
    ck_assert_int_eq(world_end(id, GD_CANCELLED), 0);
    is_over();
    world_said("w:settle/1=cancelled c:settle/1=cancelled forget:1 done:1=cancelled");
}

START_TEST(a_cancel_may_be_refused_by_the_task)
{
    uint64_t id = running();
    world_cancel(id);
    world_rest();
    ck_assert_int_eq(world_end(id, GD_SUCCEEDED), 0); /* T11 */
    is_over();
    ck_assert(world_has_said("done:1=succeeded"));
}

START_TEST(every_cancel_counts_and_is_sent)
{
    uint64_t id = running();
    world_cancel(id);
    world_cancel(id); /* T14 */
    ck_assert_uint_eq(world_task(id)->extra->n_cancels, 2);
    world_rest();
    ck_assert_uint_eq(world_count("cancel:1/-1"), 2);
    ck_assert_uint_eq(world.tasks[id].n_cancels, 2);
    ck_assert_uint_eq(gd_core_uncancel(&world.core, world_task(id)), 1); /* T16 */
    ck_assert_uint_eq(gd_core_uncancel(&world.core, world_task(id)), 0);
    ck_assert_uint_eq(gd_core_uncancel(&world.core, world_task(id)), 0);
}

START_TEST(a_cancel_without_effect_says_so)
{
    uint64_t id = running();
    ck_assert_int_eq(world_end(id, GD_SUCCEEDED), 0);
    world_hush();
    world_cancel(id); /* its end is certain */
    world_cancel(99);
    world_turn();
    world_said("asked:1=0 asked:99=0");
    is_over();
    world_hush();
    world_cancel(id); /* T04, T09 */
    world_turn();
    world_said("asked:1=0");
}

START_TEST(a_cancel_that_cannot_be_written_did_not_happen)
{
    uint64_t id = running();
    world_cancel(id);
    world_hush();
    world_refuse(GD_E_STORE_FULL);
    world_turn();
    world_said("r:cancel/1 asked:1/-5009");
    ck_assert(!world_task(id)->extra || world_task(id)->extra->n_cancels == 0);
}

START_TEST(a_cancel_without_memory_did_not_happen)
{
    world.runner.ready = false;
    bool failed = true;
    for (unsigned long nth = 2; failed; nth++) { /* the first is the test's own */
        uint64_t id = in_line();
        world_turn();
        world_hush();
        failalloc_arm(nth);
        world_cancel(id);
        failed = failalloc_disarm();
        world_turn();
        const struct gd_task *t = world_task(id);
        ck_assert_int_eq(t->phase, failed ? GD_TASK_QUEUED : GD_TASK_SETTLING);
        ck_assert_uint_eq(t->extra ? t->extra->n_cancels : 0, !failed);
        world_rest();
        ck_assert(failed || gd_core_task(&world.core, id) == NULL);
    }
}

START_TEST(a_task_that_ended_meanwhile_is_not_cancelled)
{
    uint64_t id = running();
    world_cancel(id);
    ck_assert_int_eq(world_end(id, GD_SUCCEEDED), 0);
    is_over();
    ck_assert(!world_has_said("cancel:1/-1"));
    ck_assert(world_has_said("asked:1=1"));
    ck_assert(world_has_said("done:1=succeeded"));
}

/* The CANCEL is written, but the attempt never came to the worker. */
START_TEST(a_cancelled_task_that_waits_again_never_starts)
{
    uint64_t id = leased();
    world_cancel(id);
    world.tasks[id].held = WORLD_NOT_HELD;
    world.tasks[id].started = 0;
    ck_assert_int_eq(gd_core_missing(&world.core, world_task(id), world.runner.epoch, "runner"), 0);
    world_hush();
    is_over();
    ck_assert(!world_has_said("start:1"));
    ck_assert(world_has_said("done:1=cancelled"));
}

START_TEST(a_cancelled_task_that_waits_again_needs_no_slot)
{
    uint64_t id = leased();
    world_cancel(id);
    world_rest();
    world.runner.ready = false; /* and it stays away */
    world.tasks[id].held = WORLD_NOT_HELD;
    ck_assert_int_eq(gd_core_missing(&world.core, world_task(id), world.runner.epoch, "runner"), 0);
    is_over();
    ck_assert(world_has_said("done:1=cancelled"));
}

START_TEST(a_task_that_waits_again_and_is_cancelled_leaves_no_lease)
{
    uint64_t id = leasing();
    world.runner.ready = false;
    world_rest();
    ck_assert(world.tasks[id].leased);
    world_cancel(id);
    is_over();
}

int main(void)
{
    TCase *tc = tcase_create("core");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    suite_add(tc, 1, a_command_goes_by_three_writes, a_command_may_end_before_it_was_seen_to_start,
              a_short_sleep_has_no_lease, a_long_sleep_keeps_its_start_on_disk,
              slots_bound_what_runs_and_a_few_are_leased_ahead,
              nothing_starts_while_the_worker_is_away, a_lease_whose_worker_went_away_waits_again,
              a_refused_submission_leaves_nothing, nothing_is_taken_or_started_at_the_end,
              what_cannot_start_has_failed, without_memory_a_start_is_tried_again,
              a_sleep_that_cannot_start_has_failed_and_leaves_no_lease,
              a_task_that_waits_is_cancelled_at_once, a_task_in_line_is_cancelled_and_never_starts,
              a_cancel_while_the_lease_is_written_never_starts_it,
              a_cancel_may_be_refused_by_the_task, every_cancel_counts_and_is_sent,
              a_cancel_without_effect_says_so, a_cancel_that_cannot_be_written_did_not_happen,
              a_cancel_without_memory_did_not_happen, a_task_that_ended_meanwhile_is_not_cancelled,
              a_cancelled_task_that_waits_again_never_starts,
              a_cancelled_task_that_waits_again_needs_no_slot,
              a_task_that_waits_again_and_is_cancelled_leaves_no_lease);
    suite_add(tc, 2, a_cancel_at_the_worker_is_written_before_it_is_sent);
    return suite_main("core_task_life", tc);
}
