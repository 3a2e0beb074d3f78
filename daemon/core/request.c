/* Changes that a client asks for: cancel, uncancel, patch. The answer comes when
 * the change is on disk. */
#include "daemon/core/core_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void answer_now(struct gd_soon *s)
{
    struct gd_change *r = GD_OWNER(s, struct gd_change, answer);
    r->done(r, r->rc);
}

static void answer(struct gd_change *r, int rc)
{
    r->rc = rc;
    r->answer.fn = answer_now;
    gd_soon(r->core->loop, &r->answer);
}

/* --- cancel */

/* cancel() on a task that a worker has: TERM to all of it, then KILL. */
static void cancel_at_worker(struct gd_core *c, struct gd_task *t)
{
    struct gd_executor *ex = c->executors[t->kind];
    ex->ops->cancel(ex, t, t->extra->cancel_grace_ms);
}

/* Notes one more request in the task. */
static int note_cancel(struct gd_task *t, char *own_msg, int64_t grace_ms)
{
    struct gd_task_extra *x = gd_task_extra(t);
    if (!x) {
        free(own_msg);
        return -ENOMEM;
    }
    x->n_cancels++;
    free(x->cancel_msg);
    x->cancel_msg = own_msg;
    if (grace_ms >= 0)
        x->cancel_grace_ms = grace_ms;
    return 0;
}

static bool is_at_worker(const struct gd_core *c, const struct gd_task *t)
{
    return c->executors[t->kind]->is_worker &&
           (t->phase == GD_TASK_LEASED || t->phase == GD_TASK_RUNNING);
}

/* Ends what no worker has; LEASING ends by itself when its lease is on disk. */
static int cancel_here(struct gd_core *c, struct gd_task *t)
{
    return t->phase == GD_TASK_LEASING || t->phase == GD_TASK_SETTLING
               ? 0
               : gd_core_end_cancelled(c, t);
}

int gd_core_cancel_child(struct gd_core *c, struct gd_task *t, const char *msg, int64_t grace_ms)
{
    if (t->phase == GD_TASK_SETTLING)
        return 0;
    char *copy = msg ? strdup(msg) : NULL;
    if (msg && !copy)
        return -ENOMEM;
    int rc = note_cancel(t, copy, grace_ms);
    if (rc < 0)
        return rc;
    gd_core_task_changed(c, t);
    if (is_at_worker(c, t))
        cancel_at_worker(c, t);
    else
        rc = cancel_here(c, t);
    return rc;
}

/* It could not be done, so it was not asked for. */
static void withdraw(struct gd_core *c, struct gd_task *t)
{
    if (!t || t->phase == GD_TASK_SETTLING || t->extra->n_cancels == 0)
        return;
    t->extra->n_cancels--;
    gd_core_task_changed(c, t);
}

static void cancel_is_on_disk(struct gd_op *op)
{
    struct gd_change *r = GD_OWNER(op, struct gd_change, cancel.op);
    struct gd_core *c = r->core;
    if (op->rc == 0 && r->batch) {
        struct gd_batch *b = gd_core_batch(c, r->batch);
        if (b) {
            gd_batch_cancel(b, r->msg, r->cancel.grace_ms);
            r->msg = NULL;
        }
    } else if (op->rc == 0) {
        struct gd_task *t = gd_core_task(c, r->task);
        if (t && is_at_worker(c, t))
            cancel_at_worker(c, t);
    } else if (!r->batch) {
        withdraw(c, gd_core_task(c, r->task));
    }
    r->done(r, op->rc);
}

static void write_cancel(struct gd_core *c, struct gd_change *r, int64_t grace_ms)
{
    r->cancel = (struct gd_op_cancel){
        .op = {.kind = GD_OP_CANCEL, .done = cancel_is_on_disk},
        .task = r->task,
        .batch = r->batch,
        .msg = r->msg,
        .grace_ms = grace_ms,
        .n_cancels = r->n_cancels,
    };
    c->store->ops->write(c->store, &r->cancel.op);
}

static void task_has_ended(struct gd_callback *cb, struct gd_future *f)
{
    (void)f;
    struct gd_change *r = GD_OWNER(cb, struct gd_change, ended);
    r->done(r, 0);
}

void gd_core_cancel_task(struct gd_core *c, struct gd_change *r, uint64_t task, char *own_msg,
                         int64_t grace_ms)
{
    struct gd_task *t = gd_core_task(c, task);
    r->core = c;
    r->task = task;
    r->batch = 0;
    r->had_effect = t && t->phase != GD_TASK_SETTLING;
    if (!r->had_effect) { /* its end is certain, and cannot be changed any more */
        free(own_msg);
        answer(r, 0);
        return;
    }
    char *copy = own_msg ? strdup(own_msg) : NULL;
    r->msg = copy;
    int rc = own_msg && !copy ? -ENOMEM : 0;
    if (rc < 0)
        free(own_msg);
    else
        rc = note_cancel(t, own_msg, grace_ms);
    if (rc == 0)
        gd_core_task_changed(c, t);
    if (rc == 0 && is_at_worker(c, t)) {
        r->n_cancels = t->extra->n_cancels;
        write_cancel(c, r, t->extra->cancel_grace_ms);
        return;
    }
    if (rc == 0) {
        r->ended.fn = task_has_ended;
        rc = cancel_here(c, t);
        if (rc < 0)
            withdraw(c, t);
    }
    if (rc < 0 || !gd_future_watch(&t->future, &r->ended))
        answer(r, rc);
}

void gd_core_cancel_batch(struct gd_core *c, struct gd_change *r, uint64_t batch, char *own_msg,
                          int64_t grace_ms, bool all)
{
    struct gd_batch *b = gd_core_batch(c, batch);
    r->core = c;
    r->task = 0;
    r->batch = batch;
    r->msg = own_msg;
    r->n_cancels = 1;
    r->had_effect = b && (!b->gather.decided || (all && b->gather.n_left > 0));
    if (r->had_effect)
        write_cancel(c, r, grace_ms);
    else
        answer(r, 0);
}

unsigned gd_core_uncancel(struct gd_core *c, struct gd_task *t)
{
    if (!t->extra || t->extra->n_cancels == 0)
        return 0;
    t->extra->n_cancels--;
    gd_core_task_changed(c, t);
    return t->extra->n_cancels;
}

static void uncancel_is_on_disk(struct gd_op *op)
{
    struct gd_change *r = GD_OWNER(op, struct gd_change, cancel.op);
    struct gd_task *t = gd_core_task(r->core, r->task);
    if (op->rc < 0 && t && t->extra && t->phase != GD_TASK_SETTLING) {
        t->extra->n_cancels++; /* it could not be written, so it was not taken back */
        gd_core_task_changed(r->core, t);
    }
    r->done(r, op->rc);
}

void gd_core_uncancel_task(struct gd_core *c, struct gd_change *r, uint64_t task)
{
    struct gd_task *t = gd_core_task(c, task);
    r->core = c;
    r->task = task;
    r->batch = 0;
    r->had_effect = t && t->phase != GD_TASK_SETTLING && t->extra && t->extra->n_cancels > 0;
    bool has_msg = r->had_effect && t->extra->cancel_msg;
    r->msg = has_msg ? strdup(t->extra->cancel_msg) : NULL;
    if (has_msg && !r->msg) {
        answer(r, -ENOMEM);
        return;
    }
    r->n_cancels = r->had_effect ? gd_core_uncancel(c, t) : 0;
    if (!r->had_effect || !is_at_worker(c, t)) {
        answer(r, 0);
        return;
    }
    write_cancel(c, r, t->extra->cancel_grace_ms);
    r->cancel.op.done = uncancel_is_on_disk;
}

/* --- patch */

/* A task that waits moves to the end of the line of its new priority. */
static void set_priority(struct gd_core *c, struct gd_task *t, int16_t priority)
{
    bool waits = t->phase == GD_TASK_QUEUED && t->lane;
    if (waits)
        gd_schedule_remove(&c->schedule, t);
    t->priority = priority;
    if (waits && gd_schedule_add(&c->schedule, t, gd_core_lanes(t)) < 0)
        gd_core_requeue_later(c, t);
    gd_core_pump(c);
}

static void patch_is_on_disk(struct gd_op *op)
{
    struct gd_change *r = GD_OWNER(op, struct gd_change, patch.op);
    struct gd_core *c = r->core;
    struct gd_task *t = gd_core_task(c, r->task);
    if (t && op->rc == 0) {
        if (r->patch.set_priority && r->patch.priority != t->priority)
            set_priority(c, t, r->patch.priority);
        if (r->patch.set_timeout) {
            struct gd_executor *ex = c->executors[t->kind];
            t->timeout_ms = r->patch.timeout_ms;
            if (t->phase == GD_TASK_LEASED || t->phase == GD_TASK_RUNNING)
                ex->ops->retime(ex, t);
        }
        gd_core_task_changed(c, t);
    }
    r->done(r, op->rc);
}

void gd_core_patch(struct gd_core *c, struct gd_change *r)
{
    r->core = c;
    r->patch.task = r->task;
    r->patch.op.kind = GD_OP_PATCH;
    r->patch.op.done = patch_is_on_disk;
    c->store->ops->write(c->store, &r->patch.op);
}
