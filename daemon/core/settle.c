/* The ends of tasks: from what an executor reports, or a cancel does, to the
 * outcome on disk and everybody told. */
#include "base/exception.h"
#include "daemon/core/core_impl.h"

#include <errno.h>
#include <stdlib.h>

/* Ends between two marks. */
#define MARK_EVERY 4096

struct settle_write {
    struct gd_op_settle op;
    struct gd_core *core;
    struct gd_task *task;
};

void gd_outcome_done(struct gd_outcome *o)
{
    if (!o)
        return;
    free(o->detail);
    free(o->exception);
    free(o->out.bytes);
    free(o->err.bytes);
    *o = (struct gd_outcome){0};
}

static void run_spill_callbacks(struct gd_task *t)
{
    struct gd_node *node;
    while (t->extra && (node = gd_list_shift(&t->extra->spills))) {
        struct gd_callback *cb = GD_OWNER(node, struct gd_callback, node);
        cb->fn(cb, &t->future);
    }
}

/* A TaskGroup shows its failures in the order in which they came. */
static void note_failure(struct gd_batch *b, uint64_t id)
{
    if (!b->cancel_on_failure)
        return;
    uint64_t *more = realloc(b->failed, (b->n_failed + 1) * sizeof(*more));
    if (!more)
        return; /* one exception less in the group; the task itself shows it */
    b->failed = more;
    b->failed[b->n_failed++] = id;
}

static void mark_is_on_disk(struct gd_op *op)
{
    struct gd_core *c = GD_OWNER(op, struct gd_core, mark.op);
    c->marking = false;
}

/* Every now and then: from where on a restart has to look. */
static void mark_some(struct gd_core *c)
{
    if (++c->n_settled % MARK_EVERY != 0 || c->marking)
        return;
    const struct gd_task *first = gd_task_from(&c->tasks, 0);
    uint64_t low_batch = c->next_batch;
    size_t pos = 0;
    for (const struct gd_batch *b; (b = gd_map_next(&c->batches, &pos));)
        low_batch = b->id < low_batch ? b->id : low_batch;
    /* What is being submitted or staged has ids, but is not in the tables yet. */
    if (c->n_submitting > 0 || !gd_list_empty(&c->staged))
        return;
    c->marking = true;
    c->mark = (struct gd_op_mark){.op = {.kind = GD_OP_MARK, .done = mark_is_on_disk},
                                  .low_task = first ? gd_task_id(first) : c->next_task,
                                  .low_batch = low_batch};
    c->store->ops->write(c->store, &c->mark.op);
}

static void is_on_disk(struct gd_op *op)
{
    struct settle_write *w = GD_OWNER(op, struct settle_write, op.op);
    struct gd_core *c = w->core;
    struct gd_task *t = w->task;
    struct gd_batch *b = t->batch;
    struct gd_executor *ex = c->executors[t->kind];
    enum gd_state state = w->op.outcome ? w->op.outcome->state : w->op.plain.state;
    if (ex && ex->is_worker)
        ex->ops->forget(ex, gd_task_id(t), t->attempt);
    if (b && state == GD_FAILED)
        note_failure(b, gd_task_id(t));
    if (b) {
        b->n_running -= gd_task_state(t) == GD_RUNNING;
        b->n_settling--;
    }
    gd_core_task_changed(c, t);
    gd_future_settle(&t->future, state);
    run_spill_callbacks(t);
    gd_task_remove(&c->tasks, t);
    if (b)
        gd_batch_task_gone(b);
    gd_outcome_done(w->op.outcome);
    free(w->op.outcome);
    free(w);
    mark_some(c);
}

/* Does anybody wait for this end, so that it should not wait for others to be written
 * with it? Who waits for a batch waits for its last end, or the one that decides it. */
static bool is_awaited(const struct gd_task *t, enum gd_state state)
{
    const struct gd_node *callbacks = &t->future.callbacks;
    if (!t->batch)
        return !gd_list_empty(callbacks);
    const struct gd_gather *g = &t->batch->gather;
    bool by_others = !gd_list_empty(callbacks) && callbacks->next->next != callbacks;
    bool decides = state != GD_SUCCEEDED && !g->decided && g->rule != GD_GATHER_COLLECT;
    return by_others || decides || g->n_left == t->batch->n_settling;
}

/* From here on its end is certain; it frees its slots at once. */
static void begin_settling(struct gd_core *c, struct gd_task *t, struct settle_write *w,
                           enum gd_state state)
{
    if (t->batch)
        t->batch->n_settling++;
    w->op.op.urgent = is_awaited(t, state);
    if (t->phase == GD_TASK_QUEUED)
        gd_core_leave_line(c, t);
    gd_schedule_release(&c->schedule, t, gd_core_lanes(t));
    w->op.leased = t->has_lease;
    w->op.cancelled = t->extra != NULL;
    if (t->due.pos)
        c->executors[t->kind]->ops->drop(c->executors[t->kind], t);
    c->n_in_stock -= gd_core_is_in_stock(t);
    gd_task_go(t, GD_TASK_SETTLING);
    c->n_ended += gd_class_of((enum gd_kind)t->kind) == GD_CLASS_COMMAND;
    gd_core_pump(c);
}

static struct settle_write *write_new(struct gd_core *c, struct gd_task *t)
{
    struct settle_write *w = calloc(1, sizeof(*w));
    if (w) {
        w->core = c;
        w->task = t;
        w->op.op.kind = GD_OP_SETTLE;
        w->op.op.done = is_on_disk;
        w->op.task = gd_task_id(t);
    }
    return w;
}

int gd_core_ended(struct gd_core *c, struct gd_task *t, struct gd_outcome *own)
{
    struct settle_write *w = write_new(c, t);
    if (!w) {
        gd_outcome_done(own);
        free(own);
        return -ENOMEM;
    }
    own->attempt = t->attempt;
    own->n_cancels = t->extra ? t->extra->n_cancels : 0;
    if (!own->started_ms)
        own->started_ms = t->started_ms;
    w->op.outcome = own;
    if (t->batch && t->batch->cancel_on_failure && own->state == GD_FAILED)
        t->batch->lanes.closed = true;
    begin_settling(c, t, w, own->state);
    c->store->ops->write(c->store, &w->op.op);
    return 0;
}

int gd_core_succeeded(struct gd_core *c, struct gd_task *t, enum gd_result_kind result)
{
    struct settle_write *w = write_new(c, t);
    if (!w)
        return -ENOMEM;
    w->op.plain.state = GD_SUCCEEDED;
    w->op.plain.result = result;
    w->op.plain.started_ms = t->started_ms;
    w->op.plain.finished_ms = c->config.wall_ms();
    begin_settling(c, t, w, GD_SUCCEEDED);
    c->store->ops->write(c->store, &w->op.op);
    return 0;
}

int gd_core_end_with(struct gd_core *c, struct gd_task *t, enum gd_state state, char *own_exception)
{
    struct gd_outcome *o = own_exception ? calloc(1, sizeof(*o)) : NULL;
    if (!o) {
        free(own_exception);
        return -ENOMEM;
    }
    o->state = state;
    o->exception = own_exception;
    o->finished_ms = c->config.wall_ms();
    return gd_core_ended(c, t, o);
}

int gd_core_end_cancelled(struct gd_core *c, struct gd_task *t)
{
    return gd_core_end_with(c, t, GD_CANCELLED,
                            gd_exception_cancelled(t->extra ? t->extra->cancel_msg : NULL));
}

int gd_core_lost(struct gd_core *c, struct gd_task *t, const char *reason)
{
    if (t->phase != GD_TASK_LEASED && t->phase != GD_TASK_RUNNING)
        return 0;
    if (t->extra && t->extra->n_cancels > 0)
        return gd_core_end_cancelled(c, t);
    if (!t->rerun_if_lost)
        return gd_core_end_with(c, t, GD_FAILED, gd_exception_lost(reason));
    t->attempt++;
    gd_core_requeue(c, t);
    return 0;
}

void gd_core_progress(struct gd_core *c, struct gd_task *t, int64_t bytes, int64_t total)
{
    struct gd_task_extra *x = gd_task_extra(t);
    if (!x)
        return; /* the next report will do */
    x->bytes = bytes;
    x->total = total;
    gd_core_task_changed(c, t);
}

void gd_core_spilled(struct gd_core *c, struct gd_task *t)
{
    (void)c;
    run_spill_callbacks(t);
}

bool gd_core_spill(struct gd_core *c, struct gd_task *t, struct gd_callback *cb)
{
    struct gd_executor *ex = c->executors[t->kind];
    struct gd_task_extra *x = t->phase == GD_TASK_RUNNING ? gd_task_extra(t) : NULL;
    if (!x || !ex->ready || !ex->ops->spill)
        return false;
    bool asked = !gd_list_empty(&x->spills);
    gd_list_push(&x->spills, &cb->node);
    if (!asked)
        ex->ops->spill(ex, t);
    return true;
}

void gd_core_spill_again(struct gd_core *c, struct gd_task *t)
{
    struct gd_executor *ex = c->executors[t->kind];
    if (t->phase == GD_TASK_RUNNING && t->extra && !gd_list_empty(&t->extra->spills))
        ex->ops->spill(ex, t);
}
