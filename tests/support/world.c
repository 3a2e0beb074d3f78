#include "tests/support/world.h"

#include "base/exception.h"
#include "daemon/core/core_impl.h"

#include "tests/support/world_disk.h"

#include <check.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct world world;

/* --- words */

static char words[1 << 20];
static size_t n_words;

void world_say(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    size_t room = sizeof(words) - n_words;
    int n = vsnprintf(words + n_words, room, fmt, ap);
    va_end(ap);
    if (n < 0 || (size_t)n + 1 >= room) { /* a long session: only the latest matters */
        world_hush();
        return;
    }
    n_words += (size_t)n;
    words[n_words++] = ' ';
    words[n_words] = '\0';
}

void world_hush(void)
{
    n_words = 0;
    words[0] = '\0';
}

void world_said(const char *expected)
{
    if (n_words > 0)
        words[n_words - 1] = '\0';
    ck_assert_str_eq(words, expected);
    world_hush();
}

unsigned world_count(const char *word)
{
    unsigned n = 0;
    size_t len = strlen(word);
    for (const char *at = words; (at = strstr(at, word)); at += len)
        n += (at == words || at[-1] == ' ') && (at[len] == ' ' || at[len] == '\0');
    return n;
}

bool world_has_said(const char *word)
{
    return world_count(word) > 0;
}

/* --- executors */

static struct world_task *held_of(const struct gd_task *t)
{
    uint64_t id = gd_task_id(t);
    ck_assert_uint_lt(id, WORLD_TASKS);
    return &world.tasks[id];
}

static void say_about(const char *what, const struct gd_task *t)
{
    unsigned long long id = gd_task_id(t);
    if (t->attempt > 1)
        world_say("%s:%llu.%u", what, id, t->attempt);
    else
        world_say("%s:%llu", what, id);
}

static int op_start(struct gd_executor *ex, struct gd_task *t)
{
    struct world_task *w = held_of(t);
    int rc = world.start_rc;
    world.start_rc = 0;
    say_about("start", t);
    ck_assert(ex->ready);
    if (ex->is_worker) {
        ck_assert_int_eq(t->phase, GD_TASK_LEASED);
        ck_assert_msg(w->leased && w->lease.attempt == t->attempt && w->lease.epoch == ex->epoch,
                      "task %llu starts without its lease", (unsigned long long)gd_task_id(t));
    }
    if (rc < 0)
        return rc;
    if (ex->is_worker) {
        ck_assert_int_eq(w->held, WORLD_NOT_HELD);
        ck_assert_uint_gt(t->attempt, w->started);
        ck_assert_msg(!w->started || w->job.rerun_if_lost, "task %llu runs twice",
                      (unsigned long long)gd_task_id(t));
        w->started = t->attempt;
        w->held = WORLD_WAITS;
    }
    return 0;
}

static void op_cancel(struct gd_executor *ex, struct gd_task *t, int64_t grace_ms)
{
    ck_assert(ex->is_worker);
    world_say("cancel:%llu/%lld", (unsigned long long)gd_task_id(t), (long long)grace_ms);
}

static void op_retime(struct gd_executor *ex, struct gd_task *t)
{
    (void)ex;
    world_say("retime:%llu/%lld", (unsigned long long)gd_task_id(t), (long long)t->timeout_ms);
}

static void op_spill(struct gd_executor *ex, struct gd_task *t)
{
    (void)ex;
    say_about("spill", t);
}

static void op_forget(struct gd_executor *ex, uint64_t task, uint32_t attempt)
{
    (void)attempt;
    struct world_task *w = &world.tasks[task];
    ck_assert_msg(w->settled, "task %llu is forgotten before its outcome is on disk",
                  (unsigned long long)task);
    if (!ex->ready) /* nobody hears it */
        return;
    if (w->held != WORLD_NOT_HELD)
        world_say("forget:%llu", (unsigned long long)task);
    if (w->held == WORLD_ENDED)
        w->held = WORLD_NOT_HELD;
}

static const struct gd_executor_ops sleeper_ops = {.start = op_start, .retime = op_retime};
static const struct gd_executor_ops worker_ops = {.start = op_start,
                                                  .cancel = op_cancel,
                                                  .retime = op_retime,
                                                  .spill = op_spill,
                                                  .forget = op_forget};

/* --- life */

static uv_loop_t uv;
static size_t n_slots;

static int64_t wall_ms(void)
{
    return world.wall_ms;
}

static void make_core(void)
{
    const struct gd_core_config config = {
        .slots = n_slots, .fetches = 8, .fetches_a_host = 2, .wall_ms = wall_ms};
    ck_assert_int_eq(gd_core_init(&world.core, &world.loop, &world.store, &config), 0);
    gd_core_use(&world.core, GD_KIND_SLEEP, &world.sleeper);
    gd_core_use(&world.core, GD_KIND_RUN, &world.runner);
    gd_core_use(&world.core, GD_KIND_SHELL, &world.runner);
    gd_core_use(&world.core, GD_KIND_FETCH, &world.fetcher);
}

void world_start(size_t slots)
{
    memset(&world, 0, sizeof(world));
    world.wall_ms = 1000000;
    n_slots = slots;
    world_hush();
    gd_list_init(&world.ops);
    world_disk_init();
    ck_assert_int_eq(uv_loop_init(&uv), 0);
    ck_assert_int_eq(gd_loop_init(&world.loop, &uv), 0);
    world.sleeper = (struct gd_executor){.ops = &sleeper_ops, .ready = true};
    world.runner =
        (struct gd_executor){.ops = &worker_ops, .epoch = 70, .ready = true, .is_worker = true};
    world.fetcher =
        (struct gd_executor){.ops = &worker_ops, .epoch = 80, .ready = true, .is_worker = true};
    make_core();
}

void world_stop(void)
{
    world_ask_drop();
    gd_core_done(&world.core);
    gd_loop_close(&world.loop);
    (void)uv_run(&uv, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&uv), 0);
}

void world_turn(void)
{
    for (unsigned i = 0; !gd_list_empty(&world.loop.soon); i++) {
        ck_assert_msg(i < 100000, "never comes to rest");
        (void)uv_run(&uv, UV_RUN_NOWAIT);
    }
}

void world_crash(void)
{
    world_say("crash");
    world_ask_drop();
    gd_core_done(&world.core);
    world.runner.ready = world.fetcher.ready = false;
    make_core();
    ck_assert_int_eq(world_ask_recover(), 0);
}

void world_rest(void)
{
    do
        world_turn();
    while (world_commit_one());
}

/* --- what workers report */

struct gd_task *world_task(uint64_t id)
{
    struct gd_task *t = gd_core_task(&world.core, id);
    ck_assert_ptr_nonnull(t);
    return t;
}

static bool is_begun(const struct gd_task *t)
{
    return t && (t->phase == GD_TASK_LEASED || t->phase == GD_TASK_RUNNING);
}

static bool hears_of(const struct gd_task *t)
{
    return is_begun(t) && world.core.executors[t->kind]->ready;
}

void world_started(uint64_t id)
{
    struct gd_task *t = gd_core_task(&world.core, id);
    ck_assert_int_eq(world.tasks[id].held, WORLD_WAITS);
    world.tasks[id].held = WORLD_RUNS;
    if (hears_of(t))
        gd_core_started(&world.core, t, world.wall_ms);
}

static int report_end(uint64_t id)
{
    struct gd_task *t = gd_core_task(&world.core, id);
    struct gd_outcome *o = calloc(1, sizeof(*o));
    if (!o)
        return -ENOMEM;
    o->state = world.tasks[id].end;
    o->finished_ms = world.wall_ms;
    o->result = o->state == GD_SUCCEEDED ? GD_RK_COMMAND : GD_RK_NONE;
    o->exception = o->state == GD_FAILED      ? gd_exception_exit(1, GD_SPAN(""))
                   : o->state == GD_CANCELLED ? gd_exception_cancelled(NULL)
                                              : NULL;
    if (o->state != GD_SUCCEEDED && !o->exception) {
        free(o);
        return -ENOMEM;
    }
    return gd_core_ended(&world.core, t, o);
}

int world_end(uint64_t id, enum gd_state state)
{
    struct world_task *w = &world.tasks[id];
    struct gd_task *t = gd_core_task(&world.core, id);
    if (t && t->kind == GD_KIND_SLEEP) {
        ck_assert_int_eq(state, GD_SUCCEEDED);
        return gd_core_succeeded(&world.core, t, GD_RK_VALUE);
    }
    ck_assert(w->held == WORLD_WAITS || w->held == WORLD_RUNS);
    w->held = WORLD_ENDED;
    w->end = state;
    return hears_of(t) ? report_end(id) : 0;
}

/* As daemon/exec/remote.c compares lists. */
static int list_one(uint64_t id)
{
    int rc = 0;
    struct world_task *w = &world.tasks[id];
    struct gd_task *t = gd_core_task(&world.core, id);
    bool mine = is_begun(t) && world.core.executors[t->kind]->is_worker;
    if (mine && w->held != WORLD_NOT_HELD)
        gd_core_reattached(&world.core, t, w->held == WORLD_RUNS ? world.wall_ms : 0);
    else if (mine)
        rc = gd_core_missing(&world.core, t, world.core.executors[t->kind]->epoch + world.n_died,
                             "runner");
    if (mine && w->held == WORLD_ENDED && is_begun(gd_core_task(&world.core, id)))
        rc = report_end(id);
    if (!t && w->held != WORLD_NOT_HELD) { /* ended there by its CANCEL, then acknowledged */
        ck_assert(w->settled || !w->exists);
        w->held = WORLD_NOT_HELD;
    }
    return rc;
}

void world_list(bool died)
{
    world.n_died += died;
    world.runner.ready = world.fetcher.ready = false;
    for (uint64_t id = 1; died && id < world.core.next_task; id++)
        world.tasks[id].held = WORLD_NOT_HELD;
    for (uint64_t id = 1; id < world.core.next_task; id++)
        if (list_one(id) < 0) {
            world_say("list-again");
            return;
        }
    world.runner.epoch += world.n_died; /* what is leased from here on is leased to it */
    world.fetcher.epoch += world.n_died;
    world.n_died = 0;
    world.runner.ready = world.fetcher.ready = true;
    gd_core_executor_changed(&world.core);
}

void world_is_empty(void)
{
    ck_assert_uint_eq(world.core.tasks.n_tasks, 0);
    ck_assert_uint_eq(world.core.batches.n, 0);
    ck_assert_uint_eq(world.core.schedule.n_waiting, 0);
    ck_assert_uint_eq(world.core.n_in_stock, 0);
    ck_assert_uint_eq(world_n_ops(), 0);
    for (unsigned c = 0; c < GD_N_CLASSES; c++)
        ck_assert_uint_eq(world.core.schedule.classes[c].n_running, 0);
    for (uint64_t id = 1; id < WORLD_TASKS; id++) {
        const struct world_task *w = &world.tasks[id];
        ck_assert_msg(!w->exists || (w->settled && !w->leased && !w->cancelled),
                      "task %llu is not over", (unsigned long long)id);
        ck_assert_msg(w->held == WORLD_NOT_HELD, "task %llu is still held", (unsigned long long)id);
    }
    for (uint64_t id = 1; id < WORLD_BATCHES; id++)
        ck_assert(!world.batches[id].exists || world.batches[id].settled);
}
