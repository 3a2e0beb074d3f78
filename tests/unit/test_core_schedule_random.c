/* The schedule at random against a model that looks at every task each time: no bound
 * is ever exceeded, nothing stands idle while somebody may run, nobody is forgotten. */
#include "daemon/core/schedule.h"

#include "tests/support/rng.h"
#include "tests/support/suite.h"

#include <stdlib.h>

#define MOST      400
#define N_BATCHES 6 /* the first one: none */
#define N_HOSTS   4 /* likewise */
#define BUDGET    100000

struct item {
    struct gd_task task;
    enum {
        NONE,
        WAITS,
        RUNS
    } state;
    unsigned batch;
    unsigned long since; /* when it got in line */
};

static struct gd_schedule schedule;
static struct gd_lanes batches[N_BATCHES];
static size_t ahead;
static struct item items[MOST];
static unsigned long now;
static unsigned long n_started;
static size_t slots[GD_N_CLASSES];
static size_t per_host;

static struct gd_lanes *lanes_of(const struct item *it)
{
    return it->batch ? &batches[it->batch] : NULL;
}

static enum gd_class class_of(const struct item *it)
{
    return gd_class_of((enum gd_kind)it->task.kind);
}

static void begin(uint64_t *seed)
{
    slots[GD_CLASS_TIMER] = SIZE_MAX;
    slots[GD_CLASS_COMMAND] = 1 + rng_below(seed, 8);
    slots[GD_CLASS_FETCH] = 1 + rng_below(seed, 12);
    per_host = 1 + rng_below(seed, 3);
    ck_assert_int_eq(
        gd_schedule_init(&schedule, slots[GD_CLASS_COMMAND], slots[GD_CLASS_FETCH], per_host), 0);
    for (unsigned i = 0; i < N_BATCHES; i++)
        gd_lanes_init(&batches[i], i > 2 ? 1 + rng_below(seed, 4) : 0);
    ahead = rng_below(seed, 4);
    batches[3].ahead = &ahead;
    for (unsigned i = 0; i < MOST; i++)
        items[i] = (struct item){.state = NONE};
}

static void finish(void)
{
    for (unsigned i = 0; i < N_BATCHES; i++)
        gd_lanes_done(&batches[i]);
    ck_assert_uint_eq(schedule.hosts.n, 0);
    ck_assert_uint_eq(schedule.n_waiting, 0);
    gd_schedule_done(&schedule);
}

/* --- the model */

static size_t n_running(enum gd_class class)
{
    size_t n = 0;
    for (unsigned i = 0; i < MOST; i++)
        n += items[i].state == RUNS && class_of(&items[i]) == class;
    return n;
}

static size_t n_of_batch(unsigned batch)
{
    size_t n = 0;
    for (unsigned i = 0; i < MOST; i++)
        n += items[i].state == RUNS && items[i].batch == batch;
    return n;
}

static size_t n_at_host(uint32_t host)
{
    size_t n = 0;
    for (unsigned i = 0; i < MOST; i++)
        n += items[i].state == RUNS && items[i].task.host == host;
    return n;
}

static size_t room_of_batch(unsigned batch)
{
    size_t most = batches[batch].concurrency + (batches[batch].ahead ? ahead : 0);
    size_t n = n_of_batch(batch);
    if (batch == 0 || batches[batch].concurrency == 0)
        return SIZE_MAX;
    return most > n ? most - n : 0;
}

/* Whose turn it is at a host, but not in its batch, holds the host's place. */
static bool is_held(uint32_t host)
{
    for (unsigned i = 0; i < MOST; i++)
        if (items[i].state == WAITS && items[i].task.host == host && items[i].task.was_called &&
            !items[i].task.at_limit && room_of_batch(items[i].batch) == 0)
            return true;
    return false;
}

static bool may_run(const struct item *it)
{
    return it->state == WAITS && n_running(class_of(it)) < slots[class_of(it)] &&
           room_of_batch(it->batch) > 0 &&
           (it->task.host == 0 || (n_at_host(it->task.host) < per_host && !is_held(it->task.host)));
}

/* It was started: was it allowed to, and its turn? */
static void check_start(const struct item *started)
{
    ck_assert(may_run(started) || (started->task.host && is_held(started->task.host)));
    for (unsigned i = 0; i < MOST; i++) {
        const struct item *it = &items[i];
        if (it == started || it->state != WAITS || class_of(it) != class_of(started) ||
            it->task.host || !may_run(it))
            continue;
        ck_assert_int_le(it->task.priority, started->task.priority);
        if (it->batch == started->batch && it->task.priority == started->task.priority)
            ck_assert(started->task.host || it->since > started->since);
    }
}

/* --- steps */

static void add_one(uint64_t *seed)
{
    static const enum gd_kind kinds[] = {GD_KIND_RUN, GD_KIND_SHELL, GD_KIND_FETCH, GD_KIND_FETCH,
                                         GD_KIND_SLEEP};
    struct item *it = &items[rng_below(seed, MOST)];
    if (it->state != NONE)
        return;
    enum gd_kind kind = kinds[rng_below(seed, 5)];
    *it = (struct item){.task = {.kind = (uint8_t)kind, .phase = GD_TASK_QUEUED},
                        .state = WAITS,
                        .batch = rng_below(seed, N_BATCHES),
                        .since = ++now};
    it->task.priority = (int16_t)(rng_below(seed, 4) ? 0 : (int)rng_below(seed, 2001) - 1000);
    it->task.host = kind == GD_KIND_FETCH ? rng_below(seed, N_HOSTS) : 0;
    ck_assert_int_eq(gd_schedule_add(&schedule, &it->task, lanes_of(it)), 0);
}

/* Most often one whose turn it is at a host. */
static void remove_one(uint64_t *seed)
{
    struct item *it = NULL;
    for (unsigned i = 0; i < 100; i++) {
        it = &items[rng_below(seed, MOST)];
        if (it->state == WAITS && it->task.host && !it->task.at_limit)
            break;
    }
    if (it->state != WAITS)
        return;
    gd_schedule_remove(&schedule, &it->task);
    it->state = NONE;
}

/* An end; sometimes it waits again at once. */
static void release_one(uint64_t *seed)
{
    struct item *it = &items[rng_below(seed, MOST)];
    if (it->state != RUNS)
        return;
    gd_schedule_release(&schedule, &it->task, lanes_of(it));
    it->state = NONE;
    if (rng_below(seed, 10) > 0)
        return;
    ck_assert_int_eq(gd_schedule_add(&schedule, &it->task, lanes_of(it)), 0);
    it->state = WAITS;
    it->since = ++now;
}

static void start_all(enum gd_class class)
{
    unsigned budget = BUDGET;
    struct gd_task *t;
    while ((t = gd_schedule_next(&schedule, class, &budget))) {
        struct item *it = GD_OWNER(t, struct item, task);
        ck_assert_int_eq(it->state, WAITS);
        check_start(it);
        it->state = RUNS;
        n_started++;
        ck_assert_uint_le(n_running(class), slots[class]);
        ck_assert(!it->task.host || n_at_host(it->task.host) <= per_host);
    }
    ck_assert_uint_gt(budget, 0);
    for (unsigned i = 0; i < MOST; i++)
        if (class_of(&items[i]) == class && may_run(&items[i]))
            ck_abort_msg("task %u could run and does not", i);
}

static void check_counts(void)
{
    size_t n_waiting = 0;
    for (unsigned i = 0; i < MOST; i++) {
        n_waiting += items[i].state == WAITS;
        ck_assert_int_eq(items[i].task.counted, items[i].state == RUNS);
    }
    ck_assert_uint_eq(schedule.n_waiting, n_waiting);
    for (unsigned c = 0; c < GD_N_CLASSES; c++)
        ck_assert_uint_eq(schedule.classes[c].n_running, n_running((enum gd_class)c));
}

static void one_round(uint64_t *seed, unsigned adds, unsigned ends)
{
    for (unsigned i = rng_below(seed, adds); i > 0; i--)
        add_one(seed);
    for (unsigned i = rng_below(seed, ends); i > 0; i--)
        release_one(seed);
    for (unsigned i = rng_below(seed, 6); i > 0; i--)
        remove_one(seed);
    /* Growing would show when the next one of that batch ends. */
    if (ahead > 0 && rng_below(seed, 40) == 0)
        ahead--;
    for (unsigned c = 0; c < GD_N_CLASSES; c++)
        start_all((enum gd_class)c);
    check_counts();
}

/* Nothing new comes; everything that waits must run some time. */
static void drain(uint64_t *seed)
{
    while (schedule.n_waiting > 0) {
        unsigned at = rng_below(seed, MOST);
        unsigned n = 0;
        for (; n < MOST && items[at].state != RUNS; n++)
            at = (at + 1) % MOST;
        ck_assert_msg(n < MOST, "%zu wait for ever", schedule.n_waiting);
        struct item *it = &items[at];
        gd_schedule_release(&schedule, &it->task, lanes_of(it));
        it->state = NONE;
        for (unsigned c = 0; c < GD_N_CLASSES; c++)
            start_all((enum gd_class)c);
    }
    for (unsigned i = 0; i < MOST; i++)
        if (items[i].state == RUNS)
            gd_schedule_release(&schedule, &items[i].task, lanes_of(&items[i]));
}

START_TEST(nobody_starves_and_no_bound_is_exceeded)
{
    uint64_t seed = 100 + (uint64_t)_i;
    begin(&seed);
    for (unsigned i = 0; i < 150; i++)
        one_round(&seed, i % 50 < 25 ? 30 : 5, i % 50 < 25 ? 10 : 60);
    drain(&seed);
    finish();
    ck_assert_uint_gt(n_started, 100);
}

int main(void)
{
    TCase *tc = tcase_create("core");
    tcase_set_timeout(tc, 60);
    suite_add(tc, 40, nobody_starves_and_no_bound_is_exceeded);
    return suite_main("core_schedule_random", tc);
}
