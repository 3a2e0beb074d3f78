/* Whole sessions at random: submissions, commits, starts, ends, cancels, full disks,
 * workers that go away or die, crashes of the daemon, and memory that runs out. Whatever
 * came, in the end everything accepted has one outcome on disk, was shown, and nothing is
 * left anywhere. What must hold on the way is checked by the world itself. */
#include "daemon/core/core_impl.h"

#include "tests/support/failalloc.h"
#include "tests/support/rng.h"
#include "tests/support/suite.h"
#include "tests/support/world.h"

#include <errno.h>

#ifdef __SANITIZE_ADDRESS__
#define SESSIONS 12
#else
#define SESSIONS 40
#endif
#define STEPS    250
#define MOST_END 5000 /* rounds until all is over */

static uint64_t seed;

static bool one_in(unsigned n)
{
    return rng_below(&seed, n) == 0;
}

static struct gd_job any_job(void)
{
    struct gd_job job = one_in(4)   ? job_sleep(one_in(2) ? 0 : GD_LONG_SLEEP_MS)
                        : one_in(3) ? job_fetch(1 + rng_below(&seed, 2))
                                    : job_run();
    job.rerun_if_lost = one_in(3);
    job.priority = (int16_t)rng_below(&seed, 3);
    return job;
}

static void submit_batch(void)
{
    struct gd_job jobs[6];
    size_t n = rng_below(&seed, 7);
    const struct gd_batch_spec spec = {.timeout_ms = one_in(3) ? 3600000 : GD_NO_TIMEOUT,
                                       .concurrency = rng_below(&seed, 3),
                                       .return_exceptions = one_in(3),
                                       .cancel_on_failure = one_in(3)};
    for (size_t i = 0; i < n; i++)
        jobs[i] = any_job();
    (void)world_submit_batch(jobs, n, &spec);
}

/* --- what workers do */

static enum gd_state any_end(uint64_t id)
{
    const struct gd_task *t = gd_core_task(&world.core, id);
    if (t && t->kind == GD_KIND_SLEEP)
        return GD_SUCCEEDED;
    if (world.tasks[id].n_cancels > 0 && !one_in(4))
        return GD_CANCELLED;
    return one_in(3) ? GD_FAILED : GD_SUCCEEDED;
}

static bool may_end(uint64_t id)
{
    const struct gd_task *t = gd_core_task(&world.core, id);
    bool sleeps = t && t->kind == GD_KIND_SLEEP && t->phase == GD_TASK_RUNNING;
    return sleeps || world.tasks[id].held == WORLD_WAITS || world.tasks[id].held == WORLD_RUNS;
}

/* The first from a random one on that workers can do something with. */
static uint64_t any_held(bool (*fits)(uint64_t))
{
    uint64_t n = world.core.next_task;
    uint64_t from = rng_below(&seed, (unsigned)n);
    for (uint64_t i = 0; i < n; i++)
        if (fits((from + i) % n))
            return (from + i) % n;
    return 0;
}

static bool may_start(uint64_t id)
{
    return world.tasks[id].held == WORLD_WAITS;
}

static void start_one(void)
{
    uint64_t id = any_held(may_start);
    if (id)
        world_started(id);
}

static void end_one(void)
{
    uint64_t id = any_held(may_end);
    if (id)
        (void)!world_end(id, any_end(id)); /* no memory: the next list has it */
}

/* The connection breaks: what was sent last may not have come. */
static void disconnect(void)
{
    world.runner.ready = world.fetcher.ready = false;
    gd_core_executor_changed(&world.core);
    for (uint64_t id = 1; id < world.core.next_task; id++)
        if (world.tasks[id].held == WORLD_WAITS && one_in(3)) {
            world.tasks[id].held = WORLD_NOT_HELD;
            world.tasks[id].started--;
        }
}

static void reconnect(void)
{
    world_list(!world.runner.ready && one_in(4));
}

/* --- what clients do */

static void cancel_one(void)
{
    uint64_t id = rng_below(&seed, (unsigned)world.core.next_task);
    struct gd_task *t = gd_core_task(&world.core, id);
    if (t && one_in(4))
        (void)gd_core_uncancel(&world.core, t);
    else
        world_cancel(id);
}

static void patch_one(void)
{
    int16_t priority = (int16_t)rng_below(&seed, 3);
    int64_t timeout_ms = 1000;
    world_patch(rng_below(&seed, (unsigned)world.core.next_task), &priority,
                one_in(2) ? &timeout_ms : NULL);
}

static void fire(struct gd_timer *t)
{
    if (!gd_timer_is_set(t))
        return;
    gd_timer_stop(&world.loop, t);
    t->fn(t);
}

static void expire_one(void)
{
    struct gd_batch *b =
        gd_core_batch(&world.core, rng_below(&seed, (unsigned)world.core.next_batch));
    if (b)
        fire(&b->deadline);
}

static void cancel_batch(void)
{
    world_cancel_batch(rng_below(&seed, (unsigned)world.core.next_batch), one_in(2));
}

/* --- a session */

static void play(void)
{
    static void (*const plays[])(void) = {start_one,  start_one,  end_one,      end_one,
                                          end_one,    disconnect, cancel_one,   patch_one,
                                          expire_one, reconnect,  submit_batch, cancel_batch};
    unsigned n = rng_below(&seed, 24);
    if (n < sizeof(plays) / sizeof(plays[0]))
        plays[n]();
    else if (n == 12)
        (void)world_submit(any_job());
    else if (n == 13)
        world_refuse(GD_E_STORE_FULL);
    else if (n < 18)
        world_turn();
    else
        (void)world_commit_one();
}

static void fire_all(void)
{
    fire(&world.core.pump_later);
    size_t pos = 0;
    struct gd_batch *due[WORLD_BATCHES];
    size_t n = 0;
    for (struct gd_batch *b; (b = gd_map_next(&world.core.batches, &pos));)
        due[n++] = b;
    for (size_t i = 0; i < n; i++)
        fire(&due[i]->deadline);
}

static bool is_going(void)
{
    return world.core.tasks.n_tasks > 0 || world.core.batches.n > 0 || world_n_ops() > 0;
}

static void finish(void)
{
    for (unsigned i = 0; is_going(); i++) {
        ck_assert_msg(i < MOST_END, "never comes to an end");
        world_list(false);
        fire_all();
        world_rest();
        start_one();
        end_one();
    }
    world_rest();
    world_list(false);
    world_rest();
    world_is_empty();
    for (uint64_t id = 1; id < world.core.next_task; id++)
        ck_assert(!world.tasks[id].exists || world.tasks[id].is_shown);
}

START_TEST(whatever_comes_everything_ends_once)
{
    seed = (uint64_t)_i;
    world_start(1 + rng_below(&seed, 4));
    for (unsigned i = 0; i < STEPS; i++) {
        play();
        if (one_in(60))
            world_crash();
    }
    finish();
    world_stop();
}

START_TEST(without_memory_everything_ends_once_too)
{
    seed = 1000 + (uint64_t)_i;
    world_start(1 + rng_below(&seed, 4));
    for (unsigned i = 0; i < STEPS; i++) {
        failalloc_arm(1 + rng_below(&seed, 8));
        play();
        (void)failalloc_disarm();
        if (one_in(60))
            world_crash();
    }
    finish();
    world_stop();
}

int main(void)
{
    TCase *tc = tcase_create("core");
    tcase_set_timeout(tc, 60);
    suite_add(tc, SESSIONS, whatever_comes_everything_ends_once,
              without_memory_everything_ends_once_too);
    return suite_main("core_random", tc);
}
