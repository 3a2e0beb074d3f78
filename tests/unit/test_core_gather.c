/* The rules of gather.h and, by their numbers, those of asyncio that they come from. */
#include "daemon/core/gather.h"

#include "tests/support/failalloc.h"
#include "tests/support/rng.h"
#include "tests/support/suite.h"

#include <errno.h>
#include <string.h>

#define N     4
#define N_MAX 64

static struct gd_gather gather;
static struct gd_future children[N_MAX];
static unsigned n_decided;
static unsigned n_settled;
static unsigned n_aborted;
static enum gd_state state;
static enum gd_gather_cause cause;
static bool abort_cancels; /* abort() ends every child that is left as cancelled */

static void on_decided(struct gd_gather *g, enum gd_state s, enum gd_gather_cause c)
{
    ck_assert_ptr_eq(g, &gather);
    ck_assert_uint_eq(n_settled, 0);
    n_decided++;
    state = s;
    cause = c;
}

static void on_settled(struct gd_gather *g)
{
    ck_assert_ptr_eq(g, &gather);
    ck_assert_uint_eq(g->n_left, 0);
    ck_assert_uint_eq(n_decided, 1); /* never after it */
    n_settled++;
}

static void end(size_t i, enum gd_state s)
{
    gd_future_settle(&children[i], s);
}

static void on_abort(struct gd_gather *g)
{
    n_aborted++;
    ck_assert_uint_eq(n_decided, 0);
    for (size_t i = 0; abort_cancels && i < g->n; i++)
        if (!gd_future_done(&children[i]))
            end(i, GD_CANCELLED);
}

static const struct gd_gather_ops ops = {
    .decided = on_decided, .abort = on_abort, .settled = on_settled};

static void setup(void)
{
    n_decided = n_settled = n_aborted = 0;
    abort_cancels = false;
    for (size_t i = 0; i < N_MAX; i++)
        gd_future_init(&children[i]);
}

static void teardown(void)
{
    gd_gather_done(&gather);
}

static void make(size_t n, enum gd_gather_rule rule)
{
    ck_assert_int_eq(gd_gather_init(&gather, n, rule, &ops), 0);
}

static void begin(enum gd_gather_rule rule)
{
    make(N, rule);
    for (size_t i = 0; i < N; i++)
        gd_gather_add(&gather, i, &children[i]);
    gd_gather_begin(&gather);
    ck_assert_uint_eq(n_decided, 0);
    ck_assert_uint_eq(n_settled, 0);
}

static void end_all(enum gd_state s)
{
    for (size_t i = 0; i < N; i++)
        if (!gd_future_done(&children[i]))
            end(i, s);
}

static void is_undecided(void)
{
    ck_assert_uint_eq(n_decided, 0);
    ck_assert_uint_eq(n_settled, 0);
    ck_assert(!gather.decided);
}

static void is_decided(enum gd_state s, enum gd_gather_cause c)
{
    ck_assert_uint_eq(n_decided, 1);
    ck_assert_int_eq(state, s);
    ck_assert_int_eq(cause, c);
    ck_assert(gather.decided);
}

/* Decided like that, and all children have ended. */
static void is_over(enum gd_state s, enum gd_gather_cause c)
{
    is_decided(s, c);
    ck_assert_uint_eq(n_settled, 1);
    ck_assert(!gd_gather_cancel(&gather)); /* G13 */
    ck_assert(!gd_gather_expire(&gather));
}

/* --- all rules */

START_TEST(g01_a_gather_of_nothing_is_done_at_once)
{
    make(0, (enum gd_gather_rule)_i);
    gd_gather_begin(&gather);
    is_over(GD_SUCCEEDED, GD_CAUSE_CHILDREN);
}

START_TEST(it_succeeds_when_all_have_succeeded)
{
    begin((enum gd_gather_rule)_i);
    end(2, GD_SUCCEEDED);
    end(0, GD_SUCCEEDED);
    end(3, GD_SUCCEEDED);
    is_undecided();
    end(1, GD_SUCCEEDED);
    is_over(GD_SUCCEEDED, GD_CAUSE_CHILDREN);
    ck_assert_uint_eq(gather.culprit, GD_NO_CHILD);
    ck_assert_uint_eq(gather.counts[GD_SUCCEEDED], N);
}

START_TEST(a_timeout_is_decided_when_all_have_ended_as_failed)
{
    begin((enum gd_gather_rule)_i);
    end(0, GD_SUCCEEDED);
    ck_assert(gd_gather_expire(&gather));
    is_undecided();
    end(1, GD_CANCELLED);
    end(2, GD_FAILED);
    is_undecided();
    end(3, GD_SUCCEEDED); /* F07: too late for the gather, its result can be read */
    is_over(GD_FAILED, _i == GD_GATHER_GROUP ? GD_CAUSE_GROUP : GD_CAUSE_TIMEOUT);
}

START_TEST(g16_children_that_are_done_already_count_once)
{
    make(N, (enum gd_gather_rule)_i);
    for (size_t i = 0; i < N; i++) {
        if (i != 2)
            end(i, GD_SUCCEEDED);
        gd_gather_add(&gather, i, &children[i]);
    }
    gd_gather_begin(&gather);
    is_undecided();
    end(2, GD_SUCCEEDED);
    is_over(GD_SUCCEEDED, GD_CAUSE_CHILDREN);
}

START_TEST(g16_if_all_are_done_already_it_is_over_at_its_begin)
{
    make(N, (enum gd_gather_rule)_i);
    for (size_t i = 0; i < N; i++) {
        end(i, GD_SUCCEEDED);
        gd_gather_add(&gather, i, &children[i]);
    }
    gd_gather_begin(&gather);
    is_over(GD_SUCCEEDED, GD_CAUSE_CHILDREN);
}

START_TEST(m05_a_cancel_wins_over_a_timeout)
{
    begin((enum gd_gather_rule)(_i / 2));
    if (_i % 2) {
        ck_assert(gd_gather_cancel(&gather));
        ck_assert(gd_gather_expire(&gather));
    } else {
        ck_assert(gd_gather_expire(&gather));
        ck_assert(gd_gather_cancel(&gather));
    }
    end_all(GD_CANCELLED);
    is_over(GD_CANCELLED, GD_CAUSE_CANCEL);
}

START_TEST(it_can_be_freed_while_children_go_on)
{
    begin((enum gd_gather_rule)_i);
    end(0, GD_SUCCEEDED);
    gd_gather_done(&gather);
    end(1, GD_FAILED);
    ck_assert_uint_eq(n_decided, 0);
    gather = (struct gd_gather){0};
}

/* --- FIRST: gather() */

START_TEST(g05_the_first_failure_decides_at_once)
{
    begin(GD_GATHER_FIRST);
    end(3, GD_SUCCEEDED);
    end(2, GD_FAILED);
    is_decided(GD_FAILED, GD_CAUSE_CHILD);
    ck_assert_uint_eq(gather.culprit, 2);
    ck_assert_uint_eq(n_settled, 0); /* G06: the siblings go on */
    end(0, GD_SUCCEEDED);
    end(1, GD_SUCCEEDED); /* G06b */
    is_over(GD_FAILED, GD_CAUSE_CHILD);
}

START_TEST(g07_first_is_first_in_time)
{
    begin(GD_GATHER_FIRST);
    end(3, GD_FAILED);
    end(0, GD_FAILED);
    end(1, GD_CANCELLED);
    end(2, GD_FAILED);
    is_over(GD_FAILED, GD_CAUSE_CHILD);
    ck_assert_uint_eq(gather.culprit, 3); /* G25: the later ones are counted, no more */
    ck_assert_uint_eq(gather.counts[GD_FAILED], 3);
    ck_assert_uint_eq(gather.counts[GD_CANCELLED], 1);
}

START_TEST(g07b_of_those_done_already_the_lowest_index_wins)
{
    make(N, GD_GATHER_FIRST);
    end(3, GD_FAILED);
    end(1, GD_FAILED);
    end(2, GD_CANCELLED);
    for (size_t i = 0; i < N; i++)
        gd_gather_add(&gather, i, &children[i]);
    gd_gather_begin(&gather);
    is_decided(GD_FAILED, GD_CAUSE_CHILD); /* G17 */
    ck_assert_uint_eq(gather.culprit, 1);
    end(0, GD_SUCCEEDED);
    is_over(GD_FAILED, GD_CAUSE_CHILD);
}

START_TEST(g09_a_cancelled_child_fails_it)
{
    begin(GD_GATHER_FIRST);
    end(1, GD_CANCELLED);
    is_decided(GD_FAILED, GD_CAUSE_CHILD); /* G09b: not cancelled itself */
    ck_assert_uint_eq(gather.culprit, 1);
    ck_assert_uint_eq(n_aborted, 0); /* G09c */
    end_all(GD_SUCCEEDED);
    is_over(GD_FAILED, GD_CAUSE_CHILD);
}

START_TEST(g11_a_cancel_is_decided_by_the_first_cancelled_child)
{
    begin(GD_GATHER_FIRST);
    end(0, GD_SUCCEEDED); /* G12 */
    ck_assert(gd_gather_cancel(&gather));
    is_undecided();
    end(2, GD_CANCELLED);
    is_decided(GD_CANCELLED, GD_CAUSE_CANCEL); /* G23: others are still running */
    ck_assert_uint_eq(n_settled, 0);
    end(1, GD_CANCELLED);
    end(3, GD_FAILED);
    is_over(GD_CANCELLED, GD_CAUSE_CANCEL);
}

START_TEST(a_child_that_fails_while_it_is_cancelled_fails_it)
{
    begin(GD_GATHER_FIRST);
    ck_assert(gd_gather_cancel(&gather));
    end(2, GD_FAILED);
    is_decided(GD_FAILED, GD_CAUSE_CHILD);
    end_all(GD_CANCELLED);
    is_over(GD_FAILED, GD_CAUSE_CHILD);
}

START_TEST(g15_children_that_swallow_the_cancel_change_nothing)
{
    begin((enum gd_gather_rule)_i);
    ck_assert(gd_gather_cancel(&gather));
    end_all(GD_SUCCEEDED);
    is_over(GD_CANCELLED, GD_CAUSE_CANCEL);
}

START_TEST(g14_after_an_early_failure_cancel_and_timeout_do_nothing)
{
    begin(GD_GATHER_FIRST);
    end(0, GD_FAILED);
    ck_assert(!gd_gather_cancel(&gather));
    ck_assert(!gd_gather_expire(&gather));
    end_all(GD_SUCCEEDED);
    is_over(GD_FAILED, GD_CAUSE_CHILD);
}

/* --- COLLECT: return_exceptions=True */

START_TEST(g08_g10_g26_failures_and_cancels_are_results)
{
    begin(GD_GATHER_COLLECT);
    end(0, GD_FAILED);
    end(1, GD_CANCELLED);
    end(2, GD_FAILED);
    is_undecided();
    end(3, GD_FAILED);
    is_over(GD_SUCCEEDED, GD_CAUSE_CHILDREN);
    ck_assert_uint_eq(gather.counts[GD_FAILED], 3);
    ck_assert_uint_eq(gather.counts[GD_CANCELLED], 1);
}

START_TEST(g23_a_cancel_waits_for_all_children)
{
    begin(GD_GATHER_COLLECT);
    ck_assert(gd_gather_cancel(&gather));
    end(0, GD_CANCELLED);
    end(1, GD_FAILED);
    end(2, GD_SUCCEEDED);
    is_undecided();
    end(3, GD_CANCELLED);
    is_over(GD_CANCELLED, GD_CAUSE_CANCEL);
}

/* --- GROUP: TaskGroup */

START_TEST(p02_a_failure_aborts_the_others_and_waits_for_them)
{
    begin(GD_GATHER_GROUP);
    end(1, GD_FAILED);
    ck_assert_uint_eq(n_aborted, 1);
    is_undecided();
    end(0, GD_CANCELLED);
    end(2, GD_FAILED); /* P11, and no second abort */
    end(3, GD_CANCELLED);
    ck_assert_uint_eq(n_aborted, 1);
    is_over(GD_FAILED, GD_CAUSE_GROUP);
}

START_TEST(p02_an_abort_that_ends_all_at_once_is_fine)
{
    abort_cancels = true;
    begin(GD_GATHER_GROUP);
    end(1, GD_FAILED);
    ck_assert_uint_eq(n_aborted, 1);
    is_over(GD_FAILED, GD_CAUSE_GROUP);
}

START_TEST(the_last_child_that_fails_aborts_nobody)
{
    begin(GD_GATHER_GROUP);
    for (size_t i = 0; i + 1 < N; i++)
        end(i, GD_SUCCEEDED);
    end(N - 1, GD_FAILED);
    ck_assert_uint_eq(n_aborted, 0);
    is_over(GD_FAILED, GD_CAUSE_GROUP);
}

START_TEST(p05_a_cancelled_child_does_not_abort)
{
    begin(GD_GATHER_GROUP);
    end(1, GD_CANCELLED);
    ck_assert_uint_eq(n_aborted, 0);
    is_undecided();
    end_all(GD_SUCCEEDED);
    is_over(GD_SUCCEEDED, GD_CAUSE_CHILDREN);
}

START_TEST(p08_a_cancel_of_the_group_is_a_plain_cancel)
{
    begin(GD_GATHER_GROUP);
    ck_assert(gd_gather_cancel(&gather));
    end_all(GD_CANCELLED);
    is_over(GD_CANCELLED, GD_CAUSE_CANCEL);
}

START_TEST(p03_real_failures_win_over_a_cancel)
{
    begin(GD_GATHER_GROUP);
    ck_assert(gd_gather_cancel(&gather));
    end(2, GD_FAILED);
    end_all(GD_CANCELLED);
    is_over(GD_FAILED, GD_CAUSE_GROUP);
}

/* --- recovery */

START_TEST(what_ended_before_a_restart_decides_at_the_begin)
{
    make(N, GD_GATHER_FIRST);
    gd_gather_add_ended(&gather, 0, GD_SUCCEEDED);
    gd_gather_add_ended(&gather, 2, GD_FAILED);
    gd_gather_add(&gather, 1, &children[1]);
    gd_gather_add(&gather, 3, &children[3]);
    is_undecided();
    gd_gather_begin(&gather);
    is_decided(GD_FAILED, GD_CAUSE_CHILD);
    ck_assert_uint_eq(gather.culprit, 2);
    end(1, GD_SUCCEEDED);
    end(3, GD_SUCCEEDED);
    is_over(GD_FAILED, GD_CAUSE_CHILD);
}

START_TEST(all_ended_before_a_restart_is_over_at_the_begin)
{
    make(N, (enum gd_gather_rule)_i);
    for (size_t i = 0; i < N; i++)
        gd_gather_add_ended(&gather, i, GD_SUCCEEDED);
    gd_gather_begin(&gather);
    is_over(GD_SUCCEEDED, GD_CAUSE_CHILDREN);
}

START_TEST(what_was_decided_before_a_restart_is_only_settled)
{
    make(N, (enum gd_gather_rule)(_i / 2));
    gather.decided = true;
    n_decided = 1; /* long ago */
    for (size_t i = 0; i < N; i++)
        if (_i % 2 || i == 0)
            gd_gather_add_ended(&gather, i, GD_FAILED);
        else
            gd_gather_add(&gather, i, &children[i]);
    gd_gather_begin(&gather);
    ck_assert_uint_eq(n_settled, _i % 2);
    for (size_t i = 1; _i % 2 == 0 && i < N; i++)
        end(i, GD_SUCCEEDED);
    ck_assert_uint_eq(n_decided, 1);
    ck_assert_uint_eq(n_settled, 1);
}

START_TEST(a_cancel_before_a_restart_is_decided_as_one_after_it)
{
    make(N, GD_GATHER_FIRST);
    ck_assert(gd_gather_cancel(&gather)); /* it is on disk */
    gd_gather_add_ended(&gather, 1, GD_CANCELLED);
    gd_gather_add(&gather, 0, &children[0]);
    gd_gather_add(&gather, 2, &children[2]);
    gd_gather_add(&gather, 3, &children[3]);
    gd_gather_begin(&gather);
    is_decided(GD_CANCELLED, GD_CAUSE_CANCEL);
    end_all(GD_CANCELLED);
    is_over(GD_CANCELLED, GD_CAUSE_CANCEL);
}

START_TEST(a_group_that_failed_before_a_restart_aborts_after_it)
{
    make(N, GD_GATHER_GROUP);
    gd_gather_add_ended(&gather, 0, GD_SUCCEEDED);
    gd_gather_add_ended(&gather, 1, GD_FAILED);
    gd_gather_add(&gather, 2, &children[2]);
    gd_gather_add(&gather, 3, &children[3]);
    gd_gather_begin(&gather);
    ck_assert_uint_eq(n_aborted, 1);
    end(2, GD_CANCELLED);
    end(3, GD_CANCELLED);
    ck_assert_uint_eq(n_aborted, 1);
    is_over(GD_FAILED, GD_CAUSE_GROUP);
}

/* --- memory */

START_TEST(without_memory_there_is_no_gather)
{
    failalloc_arm(1);
    int rc = gd_gather_init(&gather, N, GD_GATHER_FIRST, &ops);
    ck_assert(failalloc_disarm());
    ck_assert_int_eq(rc, -ENOMEM);
}

START_TEST(an_empty_gather_grows_or_stays_as_it_is)
{
    make(0, GD_GATHER_COLLECT);
    failalloc_arm(1);
    int rc = gd_gather_resize(&gather, N);
    ck_assert(failalloc_disarm());
    ck_assert_int_eq(rc, -ENOMEM);
    ck_assert_uint_eq(gather.n, 0);
    ck_assert_int_eq(gd_gather_resize(&gather, N), 0);
    for (size_t i = 0; i < N; i++)
        gd_gather_add(&gather, i, &children[i]);
    gd_gather_begin(&gather);
    end_all(GD_FAILED);
    is_over(GD_SUCCEEDED, GD_CAUSE_CHILDREN);
}

/* --- everything at random against what the table says */

struct model {
    enum gd_gather_rule rule;
    size_t n;
    size_t n_left;
    size_t n_failed;
    bool cancelled;
    bool expired;
    bool decided;
    enum gd_state state;
    enum gd_gather_cause cause;
};

static void model_decide(struct model *m, enum gd_state s, enum gd_gather_cause c)
{
    m->decided = true;
    m->state = s;
    m->cause = c;
}

static void model_end(struct model *m, enum gd_state s)
{
    m->n_left--;
    m->n_failed += s == GD_FAILED;
    if (m->decided)
        return;
    bool first = m->rule == GD_GATHER_FIRST && s != GD_SUCCEEDED;
    if (first && m->cancelled && s == GD_CANCELLED)
        model_decide(m, GD_CANCELLED, GD_CAUSE_CANCEL);
    else if (first && !m->expired)
        model_decide(m, GD_FAILED, GD_CAUSE_CHILD);
    else if (m->n_left == 0 && m->rule == GD_GATHER_GROUP && m->n_failed > 0)
        model_decide(m, GD_FAILED, GD_CAUSE_GROUP);
    else if (m->n_left == 0 && m->cancelled)
        model_decide(m, GD_CANCELLED, GD_CAUSE_CANCEL);
    else if (m->n_left == 0 && m->expired)
        model_decide(m, GD_FAILED, GD_CAUSE_TIMEOUT);
    else if (m->n_left == 0)
        model_decide(m, GD_SUCCEEDED, GD_CAUSE_CHILDREN);
}

static void one_random_gather(uint64_t *seed)
{
    static const enum gd_state ends[] = {GD_SUCCEEDED, GD_SUCCEEDED, GD_FAILED, GD_CANCELLED};
    struct model m = {.rule = (enum gd_gather_rule)rng_below(seed, 3),
                      .n = 1 + rng_below(seed, N_MAX - 1)};
    m.n_left = m.n;
    setup();
    make(m.n, m.rule);
    for (size_t i = 0; i < m.n; i++)
        gd_gather_add(&gather, i, &children[i]);
    gd_gather_begin(&gather);
    bool noise = rng_below(seed, 2);
    while (m.n_left > 0) {
        unsigned what = noise ? rng_below(seed, 40) : 9;
        size_t i = rng_below(seed, (unsigned)m.n);
        if (what == 0) {
            ck_assert_int_eq(gd_gather_cancel(&gather), !m.decided);
            m.cancelled = m.cancelled || !m.decided;
        } else if (what == 1) {
            ck_assert_int_eq(gd_gather_expire(&gather), !m.decided);
            m.expired = m.expired || !m.decided;
        } else if (!gd_future_done(&children[i])) {
            enum gd_state s = ends[rng_below(seed, noise ? 4 : 2)];
            model_end(&m, s);
            end(i, s);
        }
        ck_assert_uint_eq(n_decided, m.decided);
        ck_assert_uint_eq(n_settled, m.n_left == 0);
        ck_assert_uint_eq(n_aborted, gather.aborting);
    }
    is_over(m.state, m.cause);
    gd_gather_done(&gather);
}

START_TEST(random_gathers_agree_with_the_table)
{
    uint64_t seed = 11;
    for (unsigned i = 0; i < 5000; i++)
        one_random_gather(&seed);
}

int main(void)
{
    TCase *tc = tcase_create("core");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    suite_add(tc, 3, g01_a_gather_of_nothing_is_done_at_once, it_succeeds_when_all_have_succeeded,
              a_timeout_is_decided_when_all_have_ended_as_failed,
              g16_children_that_are_done_already_count_once,
              g16_if_all_are_done_already_it_is_over_at_its_begin,
              it_can_be_freed_while_children_go_on,
              g15_children_that_swallow_the_cancel_change_nothing,
              all_ended_before_a_restart_is_over_at_the_begin);
    suite_add(tc, 6, m05_a_cancel_wins_over_a_timeout,
              what_was_decided_before_a_restart_is_only_settled);
    suite_add(tc, 1, g05_the_first_failure_decides_at_once, g07_first_is_first_in_time,
              g07b_of_those_done_already_the_lowest_index_wins, g09_a_cancelled_child_fails_it,
              g11_a_cancel_is_decided_by_the_first_cancelled_child,
              a_child_that_fails_while_it_is_cancelled_fails_it,
              g14_after_an_early_failure_cancel_and_timeout_do_nothing,
              g08_g10_g26_failures_and_cancels_are_results, g23_a_cancel_waits_for_all_children,
              p02_a_failure_aborts_the_others_and_waits_for_them,
              p02_an_abort_that_ends_all_at_once_is_fine, the_last_child_that_fails_aborts_nobody,
              p05_a_cancelled_child_does_not_abort, p08_a_cancel_of_the_group_is_a_plain_cancel,
              p03_real_failures_win_over_a_cancel, what_ended_before_a_restart_decides_at_the_begin,
              a_cancel_before_a_restart_is_decided_as_one_after_it,
              a_group_that_failed_before_a_restart_aborts_after_it,
              without_memory_there_is_no_gather, an_empty_gather_grows_or_stays_as_it_is,
              random_gathers_agree_with_the_table);
    return suite_main("core_gather", tc);
}
