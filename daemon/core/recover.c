/* Taking over what an earlier daemon has left on disk. */
#include "base/clock.h"
#include "daemon/core/core_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int gd_core_recover_batch(struct gd_core *c, struct gd_batch *own)
{
    int rc = gd_map_put(&c->batches, own->id, own);
    if (rc < 0) {
        gd_batch_free(own);
        return rc;
    }
    own->core = c;
    if (own->id >= c->next_batch)
        c->next_batch = own->id + 1;
    return 0;
}

/* Was its time up when that child ended? Both clocks are cut to whole milliseconds, so an
 * alarm may come one early. */
static bool is_late(const struct gd_batch *b, const struct gd_recovered_end *end)
{
    return b->timeout_ms != GD_NO_TIMEOUT && end->finished_ms >= b->created_ms + b->timeout_ms - 1;
}

static void note_start(struct gd_batch *b, int64_t started_ms)
{
    if (!b->started_ms || started_ms < b->started_ms)
        b->started_ms = started_ms;
}

void gd_core_recover_ended(struct gd_core *c, struct gd_batch *b,
                           const struct gd_recovered_end *end)
{
    (void)c;
    struct gd_gather *g = &b->gather;
    if (end->started_ms && !b->done_written)
        note_start(b, end->started_ms);
    /* What a child of a FIRST gather did before decides it all the same. */
    if (is_late(b, end) && (g->rule != GD_GATHER_FIRST || g->culprit == GD_NO_CHILD))
        (void)!gd_gather_expire(g);
    gd_gather_add_ended(g, end->index, end->state);
    if (end->state != GD_FAILED || !b->cancel_on_failure)
        return;
    uint64_t *more = realloc(b->failed, (b->n_failed + 1) * sizeof(*more));
    if (more) {
        b->failed = more;
        b->failed[b->n_failed++] = end->task;
    }
}

static void note_started(struct gd_task *t)
{
    struct gd_batch *b = t->batch;
    b->n_running++;
    note_start(b, t->started_ms);
}

/* What the store knows beyond the job. */
static int restore(struct gd_core *c, struct gd_task *t, const struct gd_recovered_task *r)
{
    if (!r->leased && r->n_cancels == 0)
        return 0;
    struct gd_task_extra *x = gd_task_extra(t);
    if (!x)
        return -ENOMEM;
    x->n_cancels = r->n_cancels;
    x->cancel_grace_ms = r->cancel_grace_ms;
    if (r->cancel_msg && !(x->cancel_msg = strdup(r->cancel_msg)))
        return -ENOMEM;
    if (!r->leased)
        return 0;
    t->has_lease = true;
    x->lease_epoch = r->lease.epoch;
    t->attempt = (uint16_t)r->lease.attempt;
    t->started_ms = r->lease.started_ms;
    if (t->kind == GD_KIND_SLEEP) {
        gd_task_go(t, GD_TASK_RUNNING);
        if (t->batch)
            note_started(t);
    } else {
        gd_task_go(t, GD_TASK_LEASING);
        gd_task_go(t, GD_TASK_LEASED);
    }
    c->n_in_stock += gd_core_is_in_stock(t);
    return gd_schedule_count(&c->schedule, t, gd_core_lanes(t));
}

int gd_core_recover_tasks(struct gd_core *c, const struct gd_recovered_task *tasks, size_t n)
{
    struct gd_job jobs[GD_BLOCK_TASKS];
    for (size_t i = 0; i < n; i++)
        jobs[i] = tasks[i].job;
    struct gd_batch *batch = tasks[0].batch ? gd_core_batch(c, tasks[0].batch) : NULL;
    struct gd_feed *f = calloc(1, sizeof(*f));
    struct gd_block *b = f ? gd_blocks_new(jobs, n, batch, tasks[0].index) : NULL;
    int rc = b ? gd_task_table_reserve(&c->tasks, 1) : -ENOMEM;
    if (rc < 0) {
        gd_blocks_free(b);
        free(f);
        return rc;
    }
    b->first = tasks[0].id;
    gd_task_table_add(&c->tasks, b);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        rc = restore(c, &b->tasks[i], &tasks[i]);
        if (batch) {
            batch->n_tasks++;
            gd_gather_add(&batch->gather, b->tasks[i].index, &b->tasks[i].future);
        }
    }
    f->next = b->first;
    f->end = b->first + n;
    gd_list_push(&c->feeds, &f->node);
    if (f->end > c->next_task)
        c->next_task = f->end;
    return rc;
}

static int resume(struct gd_core *c, struct gd_task *t)
{
    if (t->phase == GD_TASK_RUNNING) /* a sleep: what is left of it */
        return c->executors[t->kind]->ops->start(c->executors[t->kind], t);
    if (t->phase == GD_TASK_QUEUED && t->extra && t->extra->n_cancels > 0)
        return gd_core_end_cancelled(c, t);
    return 0;
}

int gd_core_recovered(struct gd_core *c)
{
    size_t pos = 0;
    for (struct gd_batch *b; (b = gd_map_next(&c->batches, &pos));)
        gd_batch_begin(b, c);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < c->tasks.n; i++) {
        struct gd_block *b = c->tasks.blocks[i];
        for (uint16_t k = 0; rc == 0 && k < b->n; k++)
            rc = resume(c, &b->tasks[k]);
    }
    gd_core_pump(c);
    return rc;
}

void gd_core_reattached(struct gd_core *c, struct gd_task *t, int64_t started_ms)
{
    struct gd_executor *ex = c->executors[t->kind];
    if (t->phase != GD_TASK_LEASED && t->phase != GD_TASK_RUNNING)
        return;
    if (t->phase == GD_TASK_LEASED && started_ms)
        gd_core_started(c, t, started_ms);
    if (t->extra)
        t->extra->lease_epoch = 0;
    if (t->extra && t->extra->n_cancels > 0)
        ex->ops->cancel(ex, t, t->extra->cancel_grace_ms);
    /* What was asked meanwhile may not have come there. */
    ex->ops->retime(ex, t);
    gd_core_spill_again(c, t);
}

int gd_core_missing(struct gd_core *c, struct gd_task *t, uint64_t epoch, const char *reason)
{
    uint64_t leased_to =
        t->extra && t->extra->lease_epoch ? t->extra->lease_epoch : c->executors[t->kind]->epoch;
    if (t->phase != GD_TASK_LEASED || leased_to != epoch)
        return gd_core_lost(c, t, reason);
    if (t->extra)
        t->extra->lease_epoch = 0;
    gd_core_requeue(c, t);
    return 0;
}
