#include "daemon/core/schedule.h"

#include "tests/support/failalloc.h"
#include "tests/support/suite.h"

#include <errno.h>
#include <stdlib.h>

#define SLOTS    4
#define FETCHES  6
#define PER_HOST 2
#define MOST     64
#define BUDGET   1000

enum {
    HOST_A = 7,
    HOST_B = 8
};

static struct gd_schedule schedule;
static struct gd_task tasks[MOST]; /* numbered from 0 */
static unsigned n_tasks;
static struct gd_lanes batches[3];

static void setup(void)
{
    ck_assert_int_eq(gd_schedule_init(&schedule, SLOTS, FETCHES, PER_HOST), 0);
    for (unsigned i = 0; i < 3; i++)
        gd_lanes_init(&batches[i], 0);
    n_tasks = 0;
}

static void teardown(void)
{
    for (unsigned i = 0; i < 3; i++)
        gd_lanes_done(&batches[i]);
    gd_schedule_done(&schedule);
}

static struct gd_task *task_new(enum gd_kind kind)
{
    ck_assert_uint_lt(n_tasks, MOST);
    tasks[n_tasks] = (struct gd_task){.kind = (uint8_t)kind, .phase = GD_TASK_QUEUED};
    return &tasks[n_tasks++];
}

static struct gd_task *add(struct gd_task *t, struct gd_lanes *lanes)
{
    ck_assert_int_eq(gd_schedule_add(&schedule, t, lanes), 0);
    return t;
}

static struct gd_task *command(struct gd_lanes *lanes)
{
    return add(task_new(GD_KIND_RUN), lanes);
}

static struct gd_task *urgent(struct gd_lanes *lanes, int priority)
{
    struct gd_task *t = task_new(GD_KIND_SHELL);
    t->priority = (int16_t)priority;
    return add(t, lanes);
}

static struct gd_task *fetch(struct gd_lanes *lanes, uint32_t host)
{
    struct gd_task *t = task_new(GD_KIND_FETCH);
    t->host = host;
    return add(t, lanes);
}

static int next(enum gd_class class)
{
    unsigned budget = BUDGET;
    const struct gd_task *t = gd_schedule_next(&schedule, class, &budget);
    ck_assert(t || budget > 0);
    return t ? (int)(t - tasks) : -1;
}

/* The numbers of the next tasks, ending with -1. */
static void next_are(enum gd_class class, const int *numbers)
{
    for (;; numbers++) {
        ck_assert_int_eq(next(class), *numbers);
        if (*numbers < 0)
            return;
    }
}

#define commands_are(...) next_are(GD_CLASS_COMMAND, (const int[]){__VA_ARGS__, -1})
#define fetches_are(...)  next_are(GD_CLASS_FETCH, (const int[]){__VA_ARGS__, -1})

static void release(unsigned number, struct gd_lanes *lanes)
{
    ck_assert(tasks[number].counted);
    gd_schedule_release(&schedule, &tasks[number], lanes);
    ck_assert(!tasks[number].counted);
}

/* --- order */

START_TEST(kinds_have_their_class)
{
    ck_assert_int_eq(gd_class_of(GD_KIND_RUN), GD_CLASS_COMMAND);
    ck_assert_int_eq(gd_class_of(GD_KIND_SHELL), GD_CLASS_COMMAND);
    ck_assert_int_eq(gd_class_of(GD_KIND_FETCH), GD_CLASS_FETCH);
    ck_assert_int_eq(gd_class_of(GD_KIND_SLEEP), GD_CLASS_TIMER);
}

START_TEST(first_in_is_first_out)
{
    for (unsigned i = 0; i < 6; i++)
        (void)command(NULL);
    ck_assert_uint_eq(schedule.n_waiting, 6);
    commands_are(0, 1, 2, 3);
    ck_assert_uint_eq(schedule.n_waiting, 2);
    release(2, NULL);
    commands_are(4);
}

START_TEST(a_higher_priority_goes_first)
{
    (void)urgent(NULL, 0);
    (void)urgent(NULL, -1000);
    (void)urgent(NULL, 5);
    (void)urgent(NULL, 1000);
    (void)urgent(NULL, 5);
    schedule.classes[GD_CLASS_COMMAND].slots = 10;
    commands_are(3, 2, 4, 0, 1);
}

START_TEST(batches_of_one_priority_take_turns)
{
    for (unsigned i = 0; i < 5; i++)
        (void)command(&batches[0]); /* 0-4 */
    (void)command(&batches[1]);     /* 5, 6 */
    (void)command(&batches[1]);
    (void)command(NULL); /* 7, 8 */
    (void)command(NULL);
    schedule.classes[GD_CLASS_COMMAND].slots = 20;
    commands_are(0, 5, 7, 1, 6, 8, 2, 3, 4);
}

START_TEST(a_batch_that_comes_later_waits_one_turn_at_most)
{
    for (unsigned i = 0; i < 10; i++)
        (void)command(&batches[0]);
    commands_are(0, 1, 2, 3);
    (void)command(&batches[1]); /* 10 */
    release(0, &batches[0]);
    release(1, &batches[0]);
    commands_are(4, 10);
}

START_TEST(classes_have_slots_of_their_own)
{
    for (unsigned i = 0; i < 6; i++)
        (void)command(NULL);
    (void)fetch(NULL, 0);                     /* 6 */
    (void)add(task_new(GD_KIND_SLEEP), NULL); /* 7 */
    ck_assert_int_eq(next(GD_CLASS_COMMAND), 0);
    ck_assert_int_eq(next(GD_CLASS_FETCH), 6);
    ck_assert_int_eq(next(GD_CLASS_TIMER), 7);
    ck_assert_int_eq(next(GD_CLASS_TIMER), -1);
    commands_are(1, 2, 3);
}

START_TEST(the_budget_bounds_what_is_looked_at)
{
    gd_lanes_init(&batches[0], 1);
    unsigned budget = 1;
    (void)command(&batches[0]);
    (void)command(&batches[0]);
    ck_assert_ptr_eq(gd_schedule_next(&schedule, GD_CLASS_COMMAND, &budget), &tasks[0]);
    ck_assert_uint_eq(budget, 0);
    ck_assert_ptr_null(gd_schedule_next(&schedule, GD_CLASS_COMMAND, &budget));
    budget = 1;
    ck_assert_ptr_null(gd_schedule_next(&schedule, GD_CLASS_COMMAND, &budget));
    ck_assert_uint_eq(budget, 0); /* it was spent on a batch that is full */
    budget = 1;
    ck_assert_ptr_null(gd_schedule_next(&schedule, GD_CLASS_COMMAND, &budget));
    ck_assert_uint_eq(budget, 1);
}

/* --- concurrency of a batch */

START_TEST(a_batch_keeps_its_concurrency)
{
    gd_lanes_init(&batches[0], 2);
    for (unsigned i = 0; i < 4; i++)
        (void)command(&batches[0]);
    (void)command(&batches[1]); /* 4 */
    commands_are(0, 4, 1);
    ck_assert(gd_schedule_at_limit(&tasks[2]));
    ck_assert(!gd_schedule_at_limit(&tasks[4]));
    release(4, &batches[1]);
    commands_are(-1);
    release(1, &batches[0]);
    commands_are(2);
    release(0, &batches[0]);
    release(2, &batches[0]);
    commands_are(3);
}

START_TEST(a_batch_may_be_leased_ahead)
{
    size_t ahead = 1;
    gd_lanes_init(&batches[0], 2);
    batches[0].ahead = &ahead;
    for (unsigned i = 0; i < 4; i++)
        (void)command(&batches[0]);
    commands_are(0, 1, 2);
    ahead = 0;
    release(0, &batches[0]);
    commands_are(-1);
    release(1, &batches[0]);
    commands_are(3);
}

START_TEST(concurrency_counts_all_lanes_of_a_batch)
{
    gd_lanes_init(&batches[0], 2);
    (void)urgent(&batches[0], 0);
    (void)urgent(&batches[0], 9);
    (void)fetch(&batches[0], 0); /* 2 */
    (void)urgent(&batches[0], -9);
    commands_are(1, 0);
    ck_assert_int_eq(next(GD_CLASS_FETCH), -1);
    release(1, &batches[0]);
    ck_assert_int_eq(next(GD_CLASS_FETCH), 2);
    release(2, &batches[0]);
    commands_are(3);
}

START_TEST(what_waits_for_its_batch_can_be_removed)
{
    gd_lanes_init(&batches[0], 1);
    for (unsigned i = 0; i < 3; i++)
        (void)command(&batches[0]);
    commands_are(0);
    gd_schedule_remove(&schedule, &tasks[1]);
    gd_schedule_remove(&schedule, &tasks[2]);
    ck_assert_uint_eq(schedule.n_waiting, 0);
    (void)command(&batches[0]); /* 3 */
    commands_are(-1);
    release(0, &batches[0]);
    commands_are(3);
}

/* --- removal */

START_TEST(removed_tasks_never_start)
{
    for (unsigned i = 0; i < 5; i++)
        (void)command(&batches[i % 2]);
    gd_schedule_remove(&schedule, &tasks[0]);
    gd_schedule_remove(&schedule, &tasks[3]);
    ck_assert_uint_eq(schedule.n_waiting, 3);
    commands_are(2, 1, 4);
    (void)add(&tasks[0], NULL); /* another time, elsewhere */
    commands_are(0);
}

START_TEST(a_task_that_goes_back_waits_at_the_end)
{
    for (unsigned i = 0; i < 6; i++)
        (void)command(NULL);
    commands_are(0, 1, 2, 3);
    release(1, NULL);
    (void)add(&tasks[1], NULL);
    release(2, NULL);
    release(3, NULL);
    commands_are(4, 5, 1);
}

START_TEST(releasing_what_is_not_counted_does_nothing)
{
    (void)command(NULL);
    gd_schedule_release(&schedule, &tasks[0], NULL);
    ck_assert_uint_eq(schedule.classes[GD_CLASS_COMMAND].n_running, 0);
    commands_are(0);
}

/* --- hosts */

START_TEST(a_host_has_its_limit_and_others_pass)
{
    for (unsigned i = 0; i < 4; i++)
        (void)fetch(NULL, HOST_A);
    (void)fetch(NULL, HOST_B); /* 4 */
    (void)fetch(NULL, 0);
    fetches_are(0, 1, 4, 5);
    ck_assert(gd_schedule_at_limit(&tasks[2]));
    release(4, NULL);
    fetches_are(-1);
    release(1, NULL);
    ck_assert(!gd_schedule_at_limit(&tasks[2]));
    fetches_are(2);
    release(0, NULL);
    release(2, NULL);
    fetches_are(3);
    release(3, NULL);
    release(5, NULL);
    ck_assert_uint_eq(schedule.hosts.n, 0);
}

START_TEST(what_waits_for_a_host_can_be_removed)
{
    for (unsigned i = 0; i < 5; i++)
        (void)fetch(NULL, HOST_A);
    fetches_are(0, 1);
    gd_schedule_remove(&schedule, &tasks[2]);
    gd_schedule_remove(&schedule, &tasks[4]);
    release(0, NULL);
    fetches_are(3);
    release(1, NULL);
    release(3, NULL);
    ck_assert_uint_eq(schedule.hosts.n, 0);
    ck_assert_uint_eq(schedule.n_waiting, 0);
}

/* The one whose turn it was is cancelled before it starts: the next one's turn. */
START_TEST(a_place_at_a_host_is_not_lost_with_who_got_it)
{
    for (unsigned i = 0; i < 5; i++)
        (void)fetch(NULL, HOST_A);
    fetches_are(0, 1);
    release(0, NULL);
    release(1, NULL);
    gd_schedule_remove(&schedule, &tasks[2]);
    gd_schedule_remove(&schedule, &tasks[3]);
    fetches_are(4);
}

START_TEST(nobody_is_overtaken_at_a_host_by_who_came_later)
{
    (void)fetch(NULL, HOST_A); /* 0, 1 */
    (void)fetch(NULL, HOST_A);
    fetches_are(0, 1);
    (void)fetch(&batches[0], HOST_A); /* 2 has waited longest */
    fetches_are(-1);
    schedule.classes[GD_CLASS_FETCH].slots = 2;
    (void)fetch(&batches[1], HOST_A); /* 3, and it is this batch's turn */
    (void)fetch(&batches[0], HOST_B);
    release(0, NULL);
    fetches_are(2);
    release(1, NULL);
    fetches_are(3);
}

START_TEST(a_higher_priority_may_overtake_at_a_host)
{
    (void)fetch(NULL, HOST_A);
    (void)fetch(NULL, HOST_A);
    (void)fetch(NULL, HOST_A); /* 2, 3 wait for it */
    (void)fetch(NULL, HOST_A);
    fetches_are(0, 1);
    struct gd_task *t = task_new(GD_KIND_FETCH); /* 4 */
    t->host = HOST_A;
    t->priority = 10;
    (void)add(t, NULL);
    release(0, NULL);
    fetches_are(4);
    release(4, NULL);
    fetches_are(2); /* still before 3 */
}

/* --- recovery */

START_TEST(what_runs_already_is_counted_even_beyond_the_bounds)
{
    gd_lanes_init(&batches[0], 1);
    for (unsigned i = 0; i < 3; i++) {
        struct gd_task *t = task_new(GD_KIND_FETCH); /* 0-2 */
        t->host = HOST_A;
        ck_assert_int_eq(gd_schedule_count(&schedule, t, &batches[0]), 0);
    }
    (void)fetch(NULL, HOST_A);        /* 3 */
    (void)fetch(&batches[0], HOST_B); /* 4 */
    fetches_are(-1);
    release(0, &batches[0]);
    fetches_are(-1);
    release(1, &batches[0]);
    fetches_are(3);
    release(2, &batches[0]);
    fetches_are(4);
    release(3, NULL);
    release(4, &batches[0]);
    ck_assert_uint_eq(schedule.hosts.n, 0);
    ck_assert_uint_eq(schedule.classes[GD_CLASS_FETCH].n_running, 0);
}

/* --- memory */

START_TEST(without_memory_nothing_is_in_line)
{
    unsigned long nth = 1;
    struct gd_task *t = task_new(GD_KIND_FETCH);
    t->host = HOST_A;
    for (bool failed = true; failed; nth++) {
        failalloc_arm(nth);
        int rc = gd_schedule_add(&schedule, t, &batches[0]);
        failed = failalloc_disarm();
        ck_assert_int_eq(rc, failed ? -ENOMEM : 0);
        ck_assert_int_eq(gd_node_linked(&t->queue), !failed);
        ck_assert_uint_eq(schedule.n_waiting, !failed);
    }
    ck_assert_uint_gt(nth, 3);
    fetches_are(0);
    release(0, &batches[0]);
    ck_assert_uint_eq(schedule.hosts.n, 0);
}

START_TEST(without_memory_there_is_no_schedule)
{
    struct gd_schedule other;
    for (unsigned long nth = 1; nth <= GD_N_CLASSES; nth++) {
        failalloc_arm(nth);
        int rc = gd_schedule_init(&other, 1, 1, 1);
        ck_assert(failalloc_disarm());
        ck_assert_int_eq(rc, -ENOMEM);
    }
}

int main(void)
{
    TCase *tc = tcase_create("core");
    tcase_add_checked_fixture(tc, setup, teardown);
    suite_add(tc, 1, kinds_have_their_class, first_in_is_first_out, a_higher_priority_goes_first,
              batches_of_one_priority_take_turns, a_batch_that_comes_later_waits_one_turn_at_most,
              classes_have_slots_of_their_own, the_budget_bounds_what_is_looked_at,
              a_batch_keeps_its_concurrency, a_batch_may_be_leased_ahead,
              concurrency_counts_all_lanes_of_a_batch, what_waits_for_its_batch_can_be_removed,
              removed_tasks_never_start, a_task_that_goes_back_waits_at_the_end,
              releasing_what_is_not_counted_does_nothing, a_host_has_its_limit_and_others_pass,
              what_waits_for_a_host_can_be_removed, a_place_at_a_host_is_not_lost_with_who_got_it,
              nobody_is_overtaken_at_a_host_by_who_came_later,
              a_higher_priority_may_overtake_at_a_host,
              what_runs_already_is_counted_even_beyond_the_bounds,
              without_memory_nothing_is_in_line, without_memory_there_is_no_schedule);
    return suite_main("core_schedule", tc);
}
