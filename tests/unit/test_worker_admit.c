/* Which of the leased units may run: priority, then arrival, within slots and groups. */
#include "daemon/worker/admit.h"
#include "daemon/worker/worker.h"

#include "tests/support/failalloc.h"
#include "tests/support/suite.h"

#include <errno.h>

static struct gd_admit admit;
static struct gd_unit units[8];

static void setup(void)
{
    gd_admit_init(&admit);
    admit.slots = 100;
    for (unsigned i = 0; i < 8; i++)
        units[i] = (struct gd_unit){.task = i, .phase = GD_PHASE_WAITING};
}

static void teardown(void)
{
    gd_admit_free(&admit);
}

static int wait_in(unsigned i, int64_t priority, const struct gd_msg_group *groups, unsigned n)
{
    struct gd_msg m;
    gd_msg_init(&m, GD_MSG_START, i, 1);
    gd_msg_put(&m, GD_FIELD_GROUP, "short", 5); /* no group */
    for (unsigned k = 0; k < n; k++)
        gd_msg_put(&m, GD_FIELD_GROUP, &groups[k], sizeof(groups[k]));
    const struct gd_msg_view v = {.fields = gd_buf_view(&m.fields)};
    units[i].priority = priority;
    int rc = gd_admit_wait(&admit, &units[i], &v);
    gd_msg_free(&m);
    return rc;
}

static void waits(unsigned i, int64_t priority)
{
    ck_assert_int_eq(wait_in(i, priority, NULL, 0), 0);
}

static void waits_in(unsigned i, uint64_t key, uint64_t limit)
{
    const struct gd_msg_group g = {.key = key, .limit = limit};
    ck_assert_int_eq(wait_in(i, 0, &g, 1), 0);
}

/* The next one must be this; -1: none. */
static void next_is(int i)
{
    struct gd_unit *u = gd_admit_next(&admit);
    ck_assert_int_eq(u ? (int)u->task : -1, i);
    if (u)
        u->phase = GD_PHASE_RUNNING;
}

START_TEST(priority_goes_before_arrival)
{
    waits(0, 5);
    waits(1, 7);
    waits(2, 5);
    waits(3, 7);
    next_is(1);
    next_is(3);
    next_is(0);
    next_is(2);
    next_is(-1);
}

START_TEST(slots_bound_what_runs)
{
    waits(0, 0);
    waits(1, 0);
    admit.slots = 0;
    next_is(-1);
    admit.slots = 1;
    next_is(0);
    next_is(-1);
    gd_admit_leave(&admit, &units[0]);
    next_is(1);
    admit.slots = 0; /* fewer than run already */
    next_is(-1);
    gd_admit_leave(&admit, &units[1]);
    ck_assert_uint_eq(admit.n_running, 0);
}

START_TEST(a_full_group_does_not_hold_others_up)
{
    waits_in(0, 9, 1);
    waits_in(1, 9, 1);
    waits(2, 0);
    next_is(0);
    next_is(2);
    next_is(-1);
    gd_admit_leave(&admit, &units[0]);
    next_is(1);
}

START_TEST(the_latest_limit_of_a_group_counts)
{
    waits_in(0, 9, 1);
    waits_in(1, 9, 1);
    waits_in(2, 9, 2);
    next_is(0);
    next_is(1);
    next_is(-1);
}

START_TEST(one_in_two_groups_needs_room_in_both)
{
    const struct gd_msg_group both[] = {{.key = 1, .limit = 1}, {.key = 2, .limit = 1}};
    ck_assert_int_eq(wait_in(0, 0, both, 2), 0);
    waits_in(1, 2, 1);
    waits_in(2, 1, 1);
    next_is(0);
    next_is(-1);
    gd_admit_leave(&admit, &units[0]);
    next_is(1);
    next_is(2);
}

START_TEST(one_that_leaves_the_line_was_not_counted)
{
    waits_in(0, 9, 1);
    waits_in(1, 9, 1);
    gd_admit_leave(&admit, &units[0]);
    next_is(1);
    ck_assert_uint_eq(admit.n_running, 1);
    gd_admit_leave(&admit, &units[1]);
    ck_assert_uint_eq(admit.n_running, 0);
    ck_assert_uint_eq(admit.groups.n, 0); /* nobody names it any more */
}

START_TEST(without_memory_it_is_not_in_line)
{
    const struct gd_msg_group both[] = {{.key = 1, .limit = 1}, {.key = 2, .limit = 1}};
    struct gd_msg m;
    gd_msg_init(&m, GD_MSG_START, 0, 1);
    gd_msg_put(&m, GD_FIELD_GROUP, &both[0], sizeof(both[0]));
    gd_msg_put(&m, GD_FIELD_GROUP, &both[1], sizeof(both[1]));
    const struct gd_msg_view v = {.fields = gd_buf_view(&m.fields)};
    bool failed = true;
    for (unsigned long nth = 1; failed; nth++) {
        failalloc_arm(nth);
        int rc = gd_admit_wait(&admit, &units[0], &v);
        failed = failalloc_disarm();
        ck_assert_int_eq(rc, failed ? -ENOMEM : 0);
        ck_assert_uint_eq(admit.groups.n, failed ? 0 : 2);
        ck_assert_int_eq(gd_list_empty(&admit.waiting), failed);
        if (rc == 0)
            gd_admit_leave(&admit, &units[0]);
    }
    gd_msg_free(&m);
}

int main(void)
{
    TCase *tc = tcase_create("core");
    tcase_add_checked_fixture(tc, setup, teardown);
    suite_add(tc, 1, priority_goes_before_arrival, slots_bound_what_runs,
              a_full_group_does_not_hold_others_up, the_latest_limit_of_a_group_counts,
              one_in_two_groups_needs_room_in_both, one_that_leaves_the_line_was_not_counted,
              without_memory_it_is_not_in_line);
    return suite_main("worker_admit", tc);
}
