/* Who asks and who watches in a world: submissions and changes, from pools, so that a
 * test of failing allocations fails only the core's; and the end of a core, and
 * another one made of what is on disk by the same steps as daemon/store/recover.c. */
#include "tests/support/world_disk.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MOST_REQUESTS 64

struct watcher {
    struct gd_callback callback;
    uint64_t id;
};

struct submission {
    struct gd_submission s;
    struct gd_job jobs[WORLD_JOBS];
    bool used;
};

struct change {
    struct gd_change r;
    bool used;
};

static struct watcher task_watchers[WORLD_TASKS];
static struct watcher done_watchers[WORLD_BATCHES];
static struct watcher settled_watchers[WORLD_BATCHES];
static struct submission submissions[MOST_REQUESTS];
static struct change changes[MOST_REQUESTS];

static unsigned long long ull(uint64_t n)
{
    return n;
}

/* --- watching */

static void task_is_done(struct gd_callback *cb, struct gd_future *f)
{
    uint64_t id = GD_OWNER(cb, struct watcher, callback)->id;
    struct world_task *w = &world.tasks[id];
    world_say("done:%llu=%s", ull(id), gd_state_name((enum gd_state)f->state));
    ck_assert_msg(w->settled && w->state == (enum gd_state)f->state,
                  "task %llu is shown as it is not on disk", ull(id));
    ck_assert(!w->is_shown);
    w->is_shown = true;
}

static void batch_is_done(struct gd_callback *cb, struct gd_future *f)
{
    uint64_t id = GD_OWNER(cb, struct watcher, callback)->id;
    const struct world_batch *w = &world.batches[id];
    world_say("batch:%llu=%s", ull(id), gd_state_name((enum gd_state)f->state));
    ck_assert_msg(w->done && w->state == (enum gd_state)f->state,
                  "batch %llu is shown as it is not on disk", ull(id));
}

static void batch_is_settled(struct gd_callback *cb, struct gd_future *f)
{
    (void)f;
    uint64_t id = GD_OWNER(cb, struct watcher, callback)->id;
    world_say("settled:%llu", ull(id));
    ck_assert(world.batches[id].settled);
}

static void watch(struct watcher *w, uint64_t id, struct gd_future *f,
                  void (*fn)(struct gd_callback *, struct gd_future *))
{
    *w = (struct watcher){.callback.fn = fn, .id = id};
    (void)!gd_future_watch(f, &w->callback);
}

static void watch_task(uint64_t id)
{
    watch(&task_watchers[id], id, &world_task(id)->future, task_is_done);
}

static void watch_batch(uint64_t id)
{
    struct gd_batch *b = gd_core_batch(&world.core, id);
    ck_assert_ptr_nonnull(b);
    watch(&done_watchers[id], id, &b->gather.future, batch_is_done);
    watch(&settled_watchers[id], id, &b->settled, batch_is_settled);
}

/* --- submissions */

static void submitted(struct gd_submission *s, int rc)
{
    struct submission *sub = GD_OWNER(s, struct submission, s);
    unsigned long long first = s->op.first_task;
    if (rc == 0) {
        world_say("accepted:%llu", first);
        for (size_t i = 0; i < s->n_jobs; i++)
            watch_task(first + i);
        if (s->op.batch && gd_core_batch(&world.core, s->op.batch))
            watch_batch(s->op.batch);
    } else {
        world_say("refused:%llu/%d", first, rc);
    }
    gd_submission_done(s);
    sub->used = false;
}

static uint64_t submit(const struct gd_job *jobs, size_t n, const struct gd_batch_spec *spec,
                       uint64_t *ret_batch)
{
    struct submission *sub = submissions;
    while (sub->used && sub < submissions + MOST_REQUESTS)
        sub++;
    ck_assert_ptr_ne(sub, submissions + MOST_REQUESTS);
    ck_assert_uint_le(n, WORLD_JOBS);
    *sub = (struct submission){.used = true, .s = {.done = submitted}};
    if (n > 0)
        memcpy(sub->jobs, jobs, n * sizeof(*jobs));
    if (gd_submission_build(&sub->s, sub->jobs, n, spec) < 0) {
        gd_submission_done(&sub->s);
        sub->used = false;
        world_say("refused:-/%d", -ENOMEM);
        return 0;
    }
    uint64_t id = world.core.next_task;
    *ret_batch = world.core.next_batch;
    gd_core_submit(&world.core, &sub->s);
    return id;
}

uint64_t world_submit(struct gd_job job)
{
    uint64_t ignored = 0;
    return submit(&job, 1, NULL, &ignored);
}

uint64_t world_submit_batch(const struct gd_job *jobs, size_t n, const struct gd_batch_spec *spec)
{
    uint64_t batch = 0;
    (void)submit(jobs, n, spec, &batch);
    return batch;
}

uint64_t world_batch_of(size_t n, bool return_exceptions, bool cancel_on_failure)
{
    struct gd_job jobs[WORLD_JOBS];
    const struct gd_batch_spec spec = {.timeout_ms = GD_NO_TIMEOUT,
                                       .return_exceptions = return_exceptions,
                                       .cancel_on_failure = cancel_on_failure};
    for (size_t i = 0; i < n; i++)
        jobs[i] = job_run();
    uint64_t batch = world_submit_batch(jobs, n, &spec);
    ck_assert(world_commit_one());
    return batch;
}

struct gd_job job_run(void)
{
    return (struct gd_job){.kind = GD_KIND_RUN, .timeout_ms = GD_NO_TIMEOUT};
}

struct gd_job job_fetch(uint32_t host)
{
    return (struct gd_job){.kind = GD_KIND_FETCH, .timeout_ms = GD_NO_TIMEOUT, .host = host};
}

struct gd_job job_sleep(int64_t ms)
{
    return (struct gd_job){.kind = GD_KIND_SLEEP, .timeout_ms = GD_NO_TIMEOUT, .sleep_ms = ms};
}

/* --- changes */

static void changed(struct gd_change *r, int rc)
{
    struct change *c = GD_OWNER(r, struct change, r);
    const char *b = r->batch ? "b" : "";
    unsigned long long id = r->batch ? r->batch : r->task;
    if (rc < 0)
        world_say("asked:%s%llu/%d", b, id, rc);
    else
        world_say("asked:%s%llu=%d", b, id, r->had_effect);
    free(r->msg);
    c->used = false;
}

static struct gd_change *change_new(void)
{
    struct change *c = changes;
    while (c->used && c < changes + MOST_REQUESTS)
        c++;
    ck_assert_ptr_ne(c, changes + MOST_REQUESTS);
    *c = (struct change){.used = true, .r.done = changed};
    return &c->r;
}

void world_cancel(uint64_t task)
{
    gd_core_cancel_task(&world.core, change_new(), task, strdup("enough"), -1);
}

void world_cancel_batch(uint64_t batch, bool all)
{
    gd_core_cancel_batch(&world.core, change_new(), batch, strdup("enough"), -1, all);
}

void world_patch(uint64_t task, const int16_t *priority, const int64_t *timeout_ms)
{
    struct gd_change *r = change_new();
    r->task = task;
    r->patch.set_priority = priority != NULL;
    r->patch.priority = priority ? *priority : 0;
    r->patch.set_timeout = timeout_ms != NULL;
    r->patch.timeout_ms = timeout_ms ? *timeout_ms : 0;
    gd_core_patch(&world.core, r);
}

/* --- the end of a core */

static void drop_op(struct gd_op *op)
{
    gd_node_unlink(&op->node);
    if (op->kind == GD_OP_SETTLE) {
        struct gd_op_settle *settle = GD_OWNER(op, struct gd_op_settle, op);
        gd_outcome_done(settle->outcome);
        free(settle->outcome);
        free(settle); /* what was allocated starts with it */
    } else if (op->kind == GD_OP_LEASE) {
        free(GD_OWNER(op, struct gd_op_lease, op));
    }
}

void world_ask_drop(void)
{
    while (!gd_list_empty(&world.ops))
        drop_op(GD_OWNER(world.ops.next, struct gd_op, node));
    for (unsigned i = 0; i < MOST_REQUESTS; i++) {
        if (submissions[i].used) {
            gd_soon_cancel(&submissions[i].s.later);
            gd_submission_done(&submissions[i].s);
        }
        submissions[i].used = false;
        if (changes[i].used) {
            gd_future_unwatch(&changes[i].r.ended);
            gd_soon_cancel(&changes[i].r.answer);
            free(changes[i].r.msg);
        }
        changes[i].used = false;
    }
    for (uint64_t id = 0; id < WORLD_TASKS; id++)
        gd_future_unwatch(&task_watchers[id].callback);
    for (uint64_t id = 0; id < WORLD_BATCHES; id++) {
        gd_future_unwatch(&done_watchers[id].callback);
        gd_future_unwatch(&settled_watchers[id].callback);
    }
}

/* --- recovery */

static int by_time(const void *a, const void *b)
{
    const struct world_task *x = *(const struct world_task *const *)a;
    const struct world_task *y = *(const struct world_task *const *)b;
    int bad = (x->state != GD_SUCCEEDED) - (y->state != GD_SUCCEEDED);
    return bad ? bad : x->order < y->order ? -1 : 1;
}

static void recover_ended(struct gd_batch *b, const struct world_batch *w)
{
    static const struct world_task *ended[WORLD_TASKS];
    size_t n = 0;
    for (uint64_t id = w->first; id < w->first + w->n; id++)
        if (world.tasks[id].settled)
            ended[n++] = &world.tasks[id];
    qsort(ended, n, sizeof(const struct world_task *), by_time);
    for (size_t i = 0; i < n; i++) {
        struct gd_recovered_end end = {.task = (uint64_t)(ended[i] - world.tasks),
                                       .index = ended[i]->index,
                                       .state = ended[i]->state};
        gd_core_recover_ended(&world.core, b, &end);
    }
}

static int recover_batch(uint64_t id)
{
    const struct world_batch *w = &world.batches[id];
    struct gd_batch *b = gd_batch_new(&w->spec, w->n);
    if (!b)
        return -ENOMEM;
    b->id = id;
    b->created_ms = world.wall_ms;
    int rc = gd_batch_extend(b, w->first, w->n);
    if (rc < 0) {
        gd_batch_free(b);
        return rc;
    }
    if (w->cancelled) {
        b->sweep_first = true;
        (void)!gd_gather_cancel(&b->gather);
    }
    if (w->done) {
        b->gather.decided = b->done_written = true;
        b->gather.future.state = (uint8_t)w->state;
        b->started_ms = 1;
    }
    rc = gd_core_recover_batch(&world.core, b);
    if (rc == 0)
        recover_ended(b, w);
    return rc;
}

static struct gd_recovered_task recovered(uint64_t id)
{
    const struct world_task *w = &world.tasks[id];
    return (struct gd_recovered_task){.id = id,
                                      .batch = w->batch,
                                      .index = w->index,
                                      .job = w->job,
                                      .leased = w->leased,
                                      .lease = w->lease,
                                      .n_cancels = w->cancelled ? w->n_cancels : 0,
                                      .cancel_msg = w->cancelled ? "enough" : NULL,
                                      .cancel_grace_ms = -1};
}

static int recover_tasks(void)
{
    struct gd_recovered_task run[GD_BLOCK_TASKS];
    size_t n = 0;
    int rc = 0;
    for (uint64_t id = 1; rc == 0 && id <= world.core.next_task; id++) {
        const struct world_task *w = &world.tasks[id];
        bool wanted = w->exists && !w->settled;
        bool follows =
            n > 0 && n < GD_BLOCK_TASKS && run[n - 1].id + 1 == id && run[n - 1].batch == w->batch;
        if (n > 0 && (!wanted || !follows)) {
            rc = gd_core_recover_tasks(&world.core, run, n);
            n = 0;
        }
        if (wanted)
            run[n++] = recovered(id);
    }
    return rc;
}

static void watch_all(void)
{
    for (uint64_t id = 1; id < world.core.next_task; id++)
        if (gd_core_task(&world.core, id))
            watch_task(id);
    for (uint64_t id = 1; id < WORLD_BATCHES; id++)
        if (gd_core_batch(&world.core, id))
            watch_batch(id);
}

int world_ask_recover(void)
{
    int rc = 0;
    for (uint64_t id = 1; id < WORLD_TASKS; id++) {
        struct world_task *w = &world.tasks[id];
        if (w->staged)
            *w = (struct world_task){.exists = false};
        if (w->exists)
            world.core.next_task = id + 1;
    }
    for (uint64_t id = 1; rc == 0 && id < WORLD_BATCHES; id++) {
        if (world.batches[id].exists)
            world.core.next_batch = id + 1;
        if (world.batches[id].exists && !world.batches[id].settled)
            rc = recover_batch(id);
    }
    if (rc == 0)
        rc = recover_tasks();
    if (rc == 0)
        watch_all();
    return rc == 0 ? gd_core_recovered(&world.core) : rc;
}
