#include "daemon/core/task.h"

#include "tests/support/failalloc.h"
#include "tests/support/rng.h"
#include "tests/support/suite.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MOST_JOBS 1000

static struct gd_task_table table;
static struct gd_job jobs[MOST_JOBS];

static void setup(void)
{
    table = (struct gd_task_table){0};
    for (size_t i = 0; i < MOST_JOBS; i++)
        jobs[i] = (struct gd_job){.kind = GD_KIND_SLEEP, .timeout_ms = GD_NO_TIMEOUT};
}

static void teardown(void)
{
    gd_task_table_free(&table);
}

static struct gd_block *blocks_new(size_t n, uint64_t first)
{
    struct gd_block *chain = gd_blocks_new(jobs, n, NULL, 0);
    ck_assert_ptr_nonnull(chain);
    for (struct gd_block *b = chain; b; b = b->next) {
        b->first = first;
        first += b->n;
    }
    return chain;
}

static size_t count(const struct gd_block *chain)
{
    size_t n = 0;
    for (; chain; chain = chain->next)
        n++;
    return n;
}

/* Adds a chain for which room was made. */
static void add_reserved(struct gd_block *chain)
{
    while (chain) {
        struct gd_block *next = chain->next;
        chain->next = NULL;
        gd_task_table_add(&table, chain);
        chain = next;
    }
}

static void add(size_t n, uint64_t first)
{
    struct gd_block *chain = blocks_new(n, first);
    ck_assert_int_eq(gd_task_table_reserve(&table, count(chain)), 0);
    add_reserved(chain);
}

static void remove_id(uint64_t id)
{
    struct gd_task *t = gd_task_find(&table, id);
    ck_assert_ptr_nonnull(t);
    gd_task_remove(&table, t);
}

/* --- tasks */

START_TEST(only_the_moves_of_the_diagram_are_allowed)
{
    static const bool may[GD_TASK_N_PHASES][GD_TASK_N_PHASES] = {
        [GD_TASK_QUEUED] =
            {[GD_TASK_LEASING] = true, [GD_TASK_RUNNING] = true, [GD_TASK_SETTLING] = true},
        [GD_TASK_LEASING] =
            {[GD_TASK_QUEUED] = true, [GD_TASK_LEASED] = true, [GD_TASK_SETTLING] = true},
        [GD_TASK_LEASED] =
            {[GD_TASK_QUEUED] = true, [GD_TASK_RUNNING] = true, [GD_TASK_SETTLING] = true},
        [GD_TASK_RUNNING] = {[GD_TASK_QUEUED] = true, [GD_TASK_SETTLING] = true},
    };
    for (int from = 0; from < GD_TASK_N_PHASES; from++)
        for (int to = 0; to < GD_TASK_N_PHASES; to++)
            ck_assert_msg(gd_task_phase_may_go((enum gd_task_phase)from, (enum gd_task_phase)to) ==
                              may[from][to],
                          "phase %d to %d", from, to);
}

START_TEST(the_world_sees_three_states_until_the_end)
{
    struct gd_task t = {.kind = GD_KIND_RUN};
    gd_future_init(&t.future);
    static const enum gd_state seen[] = {[GD_TASK_QUEUED] = GD_PENDING,
                                         [GD_TASK_LEASING] = GD_PENDING,
                                         [GD_TASK_LEASED] = GD_PENDING,
                                         [GD_TASK_RUNNING] = GD_RUNNING,
                                         [GD_TASK_SETTLING] = GD_PENDING};
    for (unsigned phase = 0; phase < GD_TASK_N_PHASES; phase++) {
        t.phase = (uint8_t)phase;
        ck_assert_int_eq(gd_task_state(&t), seen[phase]);
    }
    t.phase = GD_TASK_SETTLING;
    t.started_ms = 1;
    ck_assert_int_eq(gd_task_state(&t), GD_RUNNING); /* what it was before */
    gd_future_settle(&t.future, GD_FAILED);
    ck_assert_int_eq(gd_task_state(&t), GD_FAILED);
}

START_TEST(tasks_have_what_their_jobs_say)
{
    for (size_t i = 0; i < 130; i++) {
        jobs[i].kind = (uint8_t)(GD_KIND_RUN + i % 4);
        jobs[i].priority = (int16_t)i;
        jobs[i].timeout_ms = (int64_t)i * 3;
        jobs[i].sleep_ms = (int64_t)i * 5;
        jobs[i].host = (uint32_t)i + 9;
        jobs[i].rerun_if_lost = i % 2;
    }
    struct gd_block *chain = gd_blocks_new(jobs, 130, NULL, 1000);
    ck_assert_ptr_nonnull(chain);
    ck_assert_uint_eq(count(chain), 3);
    size_t i = 0;
    for (struct gd_block *b = chain; b; b = b->next) {
        b->first = 500 + i;
        for (unsigned k = 0; k < b->n; k++, i++) {
            const struct gd_task *t = &b->tasks[k];
            ck_assert_ptr_eq(gd_task_block(t), b);
            ck_assert_uint_eq(gd_task_id(t), 500 + i);
            ck_assert_uint_eq(t->index, 1000 + i);
            ck_assert_int_eq(t->kind, jobs[i].kind);
            ck_assert_int_eq(t->priority, jobs[i].priority);
            ck_assert_int_eq(t->timeout_ms, jobs[i].timeout_ms);
            ck_assert_int_eq(t->sleep_ms, jobs[i].sleep_ms);
            ck_assert_uint_eq(t->host, jobs[i].host);
            ck_assert_int_eq(t->rerun_if_lost, i % 2);
            ck_assert_int_eq(t->attempt, 1);
            ck_assert_int_eq(gd_task_state(t), GD_PENDING);
        }
    }
    ck_assert_uint_eq(i, 130);
    gd_blocks_free(chain);
}

START_TEST(a_waiting_task_takes_less_than_300_bytes)
{
    ck_assert_uint_le(sizeof(struct gd_task), 192);
    ck_assert_uint_le(sizeof(struct gd_block) / GD_BLOCK_TASKS + sizeof(struct gd_task), 200);
}

START_TEST(extras_are_made_once_and_start_empty)
{
    add(1, 7);
    struct gd_task *t = gd_task_find(&table, 7);
    failalloc_arm(1);
    struct gd_task_extra *x = gd_task_extra(t);
    ck_assert(failalloc_disarm());
    ck_assert_ptr_null(x);
    ck_assert_ptr_null(t->extra);
    x = gd_task_extra(t);
    ck_assert_ptr_nonnull(x);
    ck_assert_ptr_eq(gd_task_extra(t), x);
    ck_assert_uint_eq(x->n_cancels, 0);
    ck_assert_int_eq(x->cancel_grace_ms, -1);
    ck_assert_int_eq(x->bytes, -1);
    ck_assert_int_eq(x->total, -1);
    ck_assert(gd_list_empty(&x->spills));
    x->cancel_msg = strdup("freed with the task");
}

/* --- the table */

START_TEST(an_empty_table_has_nothing)
{
    ck_assert_ptr_null(gd_task_find(&table, 0));
    ck_assert_ptr_null(gd_task_find(&table, 1));
    ck_assert_ptr_null(gd_task_from(&table, 0));
    ck_assert_ptr_null(gd_task_up_to(&table, UINT64_MAX));
}

START_TEST(found_by_exactly_their_ids)
{
    add(100, 10);
    add(5, 500);
    ck_assert_uint_eq(table.n_tasks, 105);
    for (uint64_t id = 0; id < 600; id++) {
        const struct gd_task *t = gd_task_find(&table, id);
        bool there = (id >= 10 && id < 110) || (id >= 500 && id < 505);
        ck_assert_msg((t != NULL) == there, "%llu", (unsigned long long)id);
        ck_assert(!t || gd_task_id(t) == id);
    }
}

START_TEST(commits_may_come_out_of_the_order_of_ids)
{
    add(70, 1000);
    add(70, 100);
    add(1, 999);
    add(70, 500);
    uint64_t last = 0;
    unsigned n = 0;
    for (const struct gd_task *t = gd_task_from(&table, 0); t; n++) {
        ck_assert_uint_gt(gd_task_id(t), last);
        last = gd_task_id(t);
        t = gd_task_from(&table, last + 1);
    }
    ck_assert_uint_eq(n, 211);
    ck_assert_ptr_nonnull(gd_task_find(&table, 999));
}

START_TEST(walks_go_on_from_an_id_that_is_gone)
{
    add(10, 1);
    add(10, 101);
    for (uint64_t id = 3; id < 11; id++)
        remove_id(id);
    ck_assert_uint_eq(gd_task_id(gd_task_from(&table, 3)), 101);
    ck_assert_uint_eq(gd_task_id(gd_task_up_to(&table, 100)), 2);
    ck_assert_uint_eq(gd_task_id(gd_task_up_to(&table, UINT64_MAX)), 110);
    ck_assert_ptr_null(gd_task_from(&table, 111));
    ck_assert_ptr_null(gd_task_up_to(&table, 0));
    remove_id(1);
    remove_id(2);
    ck_assert_ptr_null(gd_task_up_to(&table, 100));
}

/* --- random operations against a bit for each id */

enum {
    N_IDS = 20000
};

static bool there[N_IDS];
static size_t n_there;
static uint64_t next_id;

static void check_around(uint64_t id)
{
    uint64_t up = id;
    uint64_t down = id;
    while (up < N_IDS && !there[up])
        up++;
    while (down > 0 && !there[down])
        down--;
    const struct gd_task *t = gd_task_find(&table, id);
    const struct gd_task *from = gd_task_from(&table, id);
    const struct gd_task *up_to = gd_task_up_to(&table, id);
    ck_assert_int_eq(t != NULL, there[id]);
    ck_assert_int_eq(from != NULL, up < N_IDS);
    ck_assert_int_eq(up_to != NULL, there[down]);
    ck_assert(!from || gd_task_id(from) == up);
    ck_assert(!up_to || gd_task_id(up_to) == down);
}

static struct gd_block *late[8]; /* submitted, not committed yet */
static unsigned n_late;

static void submit(uint64_t *seed)
{
    unsigned n = 1 + rng_below(seed, rng_below(seed, 4) ? 8 : 300);
    if (n_late == 8 || next_id + n > N_IDS)
        return;
    next_id += rng_below(seed, 3); /* ids of a submission that failed */
    if (next_id + n > N_IDS)
        return;
    late[n_late] = blocks_new(n, next_id);
    ck_assert_int_eq(gd_task_table_reserve(&table, count(late[n_late++])), 0);
    next_id += n;
}

/* A commit comes, not always the oldest; or it fails. */
static void commit(uint64_t *seed)
{
    if (n_late == 0)
        return;
    unsigned i = rng_below(seed, n_late);
    struct gd_block *chain = late[i];
    late[i] = late[--n_late];
    if (rng_below(seed, 5) == 0) {
        gd_task_table_unreserve(&table, count(chain));
        gd_blocks_free(chain);
        return;
    }
    for (const struct gd_block *b = chain; b; b = b->next) {
        memset(there + b->first, true, b->n);
        n_there += b->n;
    }
    add_reserved(chain);
}

static void end_some(uint64_t *seed, unsigned most)
{
    for (unsigned i = rng_below(seed, most); i > 0; i--) {
        struct gd_task *t = gd_task_from(&table, rng_below(seed, N_IDS));
        if (!t)
            continue;
        there[gd_task_id(t)] = false;
        n_there--;
        gd_task_remove(&table, t);
    }
}

START_TEST(random_operations_agree_with_a_bitmap)
{
    uint64_t seed = 5;
    next_id = 1;
    for (unsigned i = 0; i < 3000; i++) {
        if (rng_below(&seed, 3) == 0)
            submit(&seed);
        if (rng_below(&seed, 3) == 0)
            commit(&seed);
        end_some(&seed, i / 500 % 2 ? 40 : 12); /* ebb and flow */
        ck_assert_uint_eq(table.n_tasks, n_there);
        for (unsigned k = 0; k < 20; k++)
            check_around(rng_below(&seed, N_IDS));
    }
    while (n_late > 0)
        commit(&seed);
    for (uint64_t id = 0; id < N_IDS; id += 7)
        check_around(id);
    ck_assert_uint_gt(next_id, N_IDS - 400);
}

/* --- memory */

START_TEST(after_reserving_adding_needs_no_memory)
{
    struct gd_block *chain = blocks_new(MOST_JOBS, 1);
    ck_assert_int_eq(gd_task_table_reserve(&table, count(chain)), 0);
    failalloc_arm(1);
    add_reserved(chain);
    ck_assert(!failalloc_disarm());
}

START_TEST(reserving_without_memory_changes_nothing)
{
    add(10, 1);
    for (unsigned long nth = 1; nth <= 2; nth++) {
        size_t reserved = table.n_reserved;
        failalloc_arm(nth);
        int rc = gd_task_table_reserve(&table, 10000);
        ck_assert(failalloc_disarm());
        ck_assert_int_eq(rc, -ENOMEM);
        ck_assert_uint_eq(table.n_reserved, reserved);
        ck_assert_ptr_nonnull(gd_task_find(&table, 10));
    }
}

START_TEST(without_memory_there_are_no_blocks)
{
    unsigned long nth = 1;
    for (bool failed = true; failed; nth++) {
        failalloc_arm(nth);
        struct gd_block *chain = gd_blocks_new(jobs, 200, NULL, 0);
        failed = failalloc_disarm();
        ck_assert_int_eq(chain == NULL, failed);
        gd_blocks_free(chain);
    }
    ck_assert_uint_eq(nth, 6); /* four blocks */
}

/* The table gives memory back when a crowd has left; that, too, may fail. */
START_TEST(shrinking_without_memory_loses_nothing)
{
    for (unsigned long nth = 1; nth <= 3; nth++) {
        const uint64_t n = (uint64_t)3000 * GD_BLOCK_TASKS;
        for (uint64_t id = 1; id <= n; id += GD_BLOCK_TASKS)
            add(GD_BLOCK_TASKS, id);
        for (uint64_t id = 1; id <= n; id++) {
            failalloc_arm(nth);
            gd_task_remove(&table, gd_task_find(&table, id));
            (void)failalloc_disarm();
        }
        ck_assert_uint_eq(table.n_tasks, 0);
        for (uint64_t id = n + 1; id <= 2 * n; id += GD_BLOCK_TASKS)
            add(1, id);
        for (uint64_t id = n + 1; id <= 2 * n; id += GD_BLOCK_TASKS)
            remove_id(id);
    }
}

START_TEST(a_crowd_that_left_gives_its_memory_back)
{
    for (uint64_t id = 1; id <= 3000; id++)
        add(1, id);
    size_t most = table.cap;
    for (uint64_t id = 1; id <= 3000; id++)
        remove_id(id);
    ck_assert_uint_lt(table.cap, most / 8);
    add(64, 5000);
    ck_assert_ptr_nonnull(gd_task_find(&table, 5063));
}

int main(void)
{
    TCase *tc = tcase_create("core");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    suite_add(tc, 1, only_the_moves_of_the_diagram_are_allowed,
              the_world_sees_three_states_until_the_end, tasks_have_what_their_jobs_say,
              a_waiting_task_takes_less_than_300_bytes, extras_are_made_once_and_start_empty,
              an_empty_table_has_nothing, found_by_exactly_their_ids,
              commits_may_come_out_of_the_order_of_ids, walks_go_on_from_an_id_that_is_gone,
              random_operations_agree_with_a_bitmap, after_reserving_adding_needs_no_memory,
              reserving_without_memory_changes_nothing, without_memory_there_are_no_blocks,
              shrinking_without_memory_loses_nothing, a_crowd_that_left_gives_its_memory_back);
    return suite_main("core_task", tc);
}
