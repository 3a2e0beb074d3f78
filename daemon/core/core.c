#include "daemon/core/core.h"

#include "base/clock.h"
#include "daemon/core/core_impl.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

/* --- small things that all parts use */

void gd_task_go(struct gd_task *t, enum gd_task_phase phase)
{
    assert(gd_task_phase_may_go((enum gd_task_phase)t->phase, phase));
    t->phase = (uint8_t)phase;
}

void gd_core_task_changed(struct gd_core *c, const struct gd_task *t)
{
    c->n_changes++;
    if (c->changed)
        c->changed(c->changed_arg, gd_task_id(t), t->batch ? t->batch->id : 0);
}

struct gd_lanes *gd_core_lanes(const struct gd_task *t)
{
    return t->batch ? &t->batch->lanes : NULL;
}

struct gd_batch *gd_core_batch(const struct gd_core *c, uint64_t id)
{
    return gd_map_get(&c->batches, id);
}

/* --- life */

int gd_core_init(struct gd_core *c, struct gd_loop *loop, struct gd_store *store,
                 const struct gd_core_config *config)
{
    *c = (struct gd_core){
        .loop = loop, .store = store, .config = *config, .next_task = 1, .next_batch = 1};
    gd_list_init(&c->feeds);
    gd_list_init(&c->staged);
    gd_core_pump_init(c);
    return gd_schedule_init(&c->schedule, config->slots, config->fetches, config->fetches_a_host);
}

void gd_core_use(struct gd_core *c, enum gd_kind kind, struct gd_executor *ex)
{
    c->executors[kind] = ex;
}

void gd_core_close(struct gd_core *c)
{
    c->closing = true;
}

void gd_core_done(struct gd_core *c)
{
    gd_soon_cancel(&c->pump);
    gd_timer_stop(c->loop, &c->pump_later);
    for (struct gd_node *node; (node = gd_list_shift(&c->feeds));)
        free(GD_OWNER(node, struct gd_feed, node));
    size_t pos = 0;
    for (struct gd_batch *b; (b = gd_map_next(&c->batches, &pos));)
        gd_batch_free(b);
    gd_map_free(&c->batches);
    gd_task_table_free(&c->tasks);
    gd_schedule_done(&c->schedule);
}

/* --- submitting */

static bool are_commands(const struct gd_job *jobs, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (gd_class_of((enum gd_kind)jobs[i].kind) != GD_CLASS_COMMAND)
            return false;
    return true;
}

/* Adds blocks for more jobs to the chain. */
static int add_blocks(struct gd_submission *s, const struct gd_job *jobs, size_t n)
{
    if (n == 0)
        return 0;
    struct gd_block *chain = gd_blocks_new(jobs, n, s->batch, s->n_jobs);
    if (!chain)
        return -ENOMEM;
    if (s->last)
        s->last->next = chain;
    else
        s->blocks = chain;
    for (s->last = chain; s->last->next;)
        s->last = s->last->next;
    s->n_jobs += n;
    if (s->batch)
        s->batch->only_commands =
            (s->batch->only_commands || s->n_jobs == n) && are_commands(jobs, n);
    return 0;
}

int gd_submission_build(struct gd_submission *s, const struct gd_job *jobs, size_t n,
                        const struct gd_batch_spec *spec)
{
    if (spec) {
        s->spec = *spec;
        s->batch = gd_batch_new(spec, n);
        if (!s->batch)
            return -ENOMEM;
    }
    s->op.jobs = jobs;
    s->op.n = n;
    return add_blocks(s, jobs, n);
}

void gd_submission_done(struct gd_submission *s)
{
    gd_node_unlink(&s->node);
    for (struct gd_node *node; s->feeds.next && (node = gd_list_shift(&s->feeds));)
        free(GD_OWNER(node, struct gd_feed, node));
    gd_blocks_free(s->blocks);
    gd_batch_free(s->batch);
    free(s->extents);
    s->blocks = s->last = NULL;
    s->batch = NULL;
    s->extents = NULL;
}

static size_t count_blocks(const struct gd_submission *s)
{
    size_t n = 0;
    for (const struct gd_block *b = s->blocks; b; b = b->next)
        n++;
    return n;
}

static void link_all(struct gd_core *c, struct gd_submission *s)
{
    struct gd_batch *batch = s->batch;
    struct gd_block *b = s->blocks;
    s->blocks = s->last = NULL;
    s->batch = NULL;
    while (b) {
        struct gd_block *next = b->next;
        b->next = NULL;
        gd_task_table_add(&c->tasks, b);
        if (batch) {
            batch->n_tasks += b->n;
            for (uint16_t i = 0; i < b->n; i++)
                gd_gather_add(&batch->gather, b->tasks[i].index, &b->tasks[i].future);
        }
        b = next;
    }
    if (!batch)
        return;
    (void)!gd_map_put(&c->batches, batch->id, batch); /* room was made */
    gd_batch_begin(batch, c);
}

static void submit_is_on_disk(struct gd_op *op)
{
    struct gd_submission *s = GD_OWNER(op, struct gd_submission, op.op);
    struct gd_core *c = s->core;
    int rc = op->rc;
    c->n_submitting--;
    if (rc == 0) {
        gd_node_unlink(&s->node); /* else they stay unseen until they are taken back */
        link_all(c, s);
        gd_list_splice(&c->feeds, &s->feeds);
        gd_core_pump(c);
    } else {
        gd_task_table_unreserve(&c->tasks, count_blocks(s));
    }
    s->done(s, rc);
}

/* Gives ids to the newest `n` jobs and notes them as a run. */
static int assign_ids(struct gd_core *c, struct gd_submission *s, struct gd_block *from, size_t n)
{
    struct gd_extent *last = s->n_extents ? &s->extents[s->n_extents - 1] : NULL;
    uint64_t first = c->next_task;
    if (last && last->first + last->n == first) {
        last->n += n;
    } else {
        struct gd_extent *more = realloc(s->extents, (s->n_extents + 1) * sizeof(*more));
        if (!more)
            return -ENOMEM;
        uint64_t index = s->n_jobs - n;
        more[s->n_extents++] = (struct gd_extent){.index = index, .first = first, .n = n};
        s->extents = more;
    }
    c->next_task += n;
    for (struct gd_block *b = from; b; b = b->next) {
        b->first = first;
        first += b->n;
    }
    return 0;
}

static void fail_later(struct gd_soon *soon)
{
    struct gd_submission *s = GD_OWNER(soon, struct gd_submission, later);
    s->done(s, s->op.op.rc);
}

/* One feed for each run of ids. */
static int make_feeds(struct gd_submission *s)
{
    for (size_t i = 0; i < s->n_extents; i++) {
        struct gd_feed *f = calloc(1, sizeof(*f));
        if (!f)
            return -ENOMEM;
        f->next = s->extents[i].first;
        f->end = s->extents[i].first + s->extents[i].n;
        gd_list_push(&s->feeds, &f->node);
    }
    return 0;
}

static int prepare_batch(struct gd_core *c, struct gd_submission *s)
{
    struct gd_batch *b = s->batch;
    int rc = gd_map_reserve(&c->batches, c->batches.n + c->n_submitting + 1);
    if (rc == 0 && b->gather.n != s->n_jobs) /* streamed: only now is it known how many */
        rc = gd_gather_resize(&b->gather, s->n_jobs);
    for (size_t i = 0; rc == 0 && i < s->n_extents; i++)
        rc = gd_batch_extend(b, s->extents[i].first, s->extents[i].n);
    if (!b->id)
        b->id = c->next_batch++;
    b->created_ms = s->op.created_ms;
    s->op.batch = b->id;
    s->op.spec = &s->spec;
    return rc;
}

/* Everything that could still fail after the commit is done before it. */
static int prepare(struct gd_core *c, struct gd_submission *s)
{
    int rc = s->op.n > 0 ? assign_ids(c, s, s->blocks, s->op.n) : 0;
    if (rc == 0)
        rc = make_feeds(s);
    if (rc == 0 && s->batch)
        rc = prepare_batch(c, s);
    if (rc == 0)
        rc = gd_task_table_reserve(&c->tasks, count_blocks(s));
    return rc;
}

void gd_core_submit(struct gd_core *c, struct gd_submission *s)
{
    s->core = c;
    s->op.op.kind = GD_OP_SUBMIT;
    s->op.op.done = submit_is_on_disk;
    s->op.created_ms = c->config.wall_ms();
    s->later.fn = fail_later;
    gd_list_init(&s->feeds);
    int rc = c->closing ? GD_E_CLOSING : prepare(c, s);
    if (rc < 0) {
        s->op.op.rc = rc;
        gd_soon(c->loop, &s->later);
        return;
    }
    s->op.first_task = s->n_extents ? s->extents[0].first : 0;
    s->op.extents = s->extents;
    s->op.n_extents = s->n_extents;
    c->n_submitting++;
    c->store->ops->write(c->store, &s->op.op);
}

int gd_core_stage(struct gd_core *c, struct gd_submission *s, const struct gd_job *jobs, size_t n,
                  struct gd_op_stage *ret_op)
{
    struct gd_block *before = s->last;
    size_t first_index = s->n_jobs;
    int rc = add_blocks(s, jobs, n);
    if (rc < 0)
        return rc;
    uint64_t first = c->next_task;
    rc = assign_ids(c, s, before ? before->next : s->blocks, n);
    if (rc < 0)
        return rc;
    if (!s->batch->id)
        s->batch->id = c->next_batch++;
    if (!gd_node_linked(&s->node))
        gd_list_push(&c->staged, &s->node);
    *ret_op = (struct gd_op_stage){.op.kind = GD_OP_STAGE,
                                   .jobs = jobs,
                                   .n = n,
                                   .first_task = first,
                                   .batch = s->batch->id,
                                   .first_index = first_index,
                                   .created_ms = c->config.wall_ms()};
    return 0;
}

bool gd_core_is_staged(const struct gd_core *c, uint64_t task)
{
    gd_list_each (node, &c->staged) {
        const struct gd_submission *s = GD_OWNER(node, struct gd_submission, node);
        for (size_t i = 0; i < s->n_extents; i++)
            if (task - s->extents[i].first < s->extents[i].n)
                return true;
    }
    return false;
}
