#include "daemon/core/batch.h"

#include "base/clock.h"
#include "base/exception.h"
#include "daemon/core/core.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Children cancelled in one round of the loop. */
#define CANCELS_A_ROUND 512
/* Members that an ExceptionGroup shows. */
#define GROUP_MEMBERS 1000
/* No memory for a step of a sweep: again after this long. */
#define AGAIN_MS 50

static const struct gd_gather_ops gather_ops;

static struct gd_batch *batch_of(struct gd_gather *g)
{
    return GD_OWNER(g, struct gd_batch, gather);
}

/* --- life */

static enum gd_gather_rule rule_of(const struct gd_batch_spec *spec)
{
    if (spec->cancel_on_failure)
        return GD_GATHER_GROUP;
    return spec->return_exceptions ? GD_GATHER_COLLECT : GD_GATHER_FIRST;
}

struct gd_batch *gd_batch_new(const struct gd_batch_spec *spec, size_t n)
{
    struct gd_batch *b = calloc(1, sizeof(*b));
    if (!b)
        return NULL;
    if (gd_gather_init(&b->gather, n, rule_of(spec), &gather_ops) < 0) {
        free(b);
        return NULL;
    }
    gd_future_init(&b->settled);
    gd_lanes_init(&b->lanes, spec->concurrency);
    b->timeout_ms = spec->timeout_ms;
    b->return_exceptions = spec->return_exceptions;
    b->cancel_on_failure = spec->cancel_on_failure;
    b->cancel_grace_ms = -1;
    return b;
}

void gd_batch_free(struct gd_batch *b)
{
    if (!b)
        return;
    if (b->core) {
        gd_timer_stop(b->core->loop, &b->deadline);
        gd_soon_cancel(&b->sweep);
    }
    gd_gather_done(&b->gather);
    gd_lanes_done(&b->lanes);
    free(b->extents);
    free(b->failed);
    free(b->cancel_msg);
    free(b->exception);
    free(b);
}

int gd_batch_extend(struct gd_batch *b, uint64_t first, uint64_t n)
{
    struct gd_extent *last = b->n_extents ? &b->extents[b->n_extents - 1] : NULL;
    if (n == 0)
        return 0;
    if (last && last->first + last->n == first) {
        last->n += n;
        return 0;
    }
    struct gd_extent *more = realloc(b->extents, (b->n_extents + 1) * sizeof(*more));
    if (!more)
        return -ENOMEM;
    uint64_t index = last ? more[b->n_extents - 1].index + more[b->n_extents - 1].n : 0;
    more[b->n_extents++] = (struct gd_extent){.index = index, .first = first, .n = n};
    b->extents = more;
    return 0;
}

uint64_t gd_batch_child(const struct gd_batch *b, size_t index)
{
    size_t low = 0;
    size_t high = b->n_extents;
    while (high - low > 1) {
        size_t mid = low + (high - low) / 2;
        if (b->extents[mid].index <= index)
            low = mid;
        else
            high = mid;
    }
    return b->extents[low].first + (index - b->extents[low].index);
}

enum gd_state gd_batch_state(const struct gd_batch *b)
{
    if (gd_future_done(&b->gather.future))
        return (enum gd_state)b->gather.future.state;
    return b->started_ms ? GD_RUNNING : GD_PENDING;
}

static void leave_if_over(struct gd_batch *b)
{
    if (!gd_future_done(&b->settled) || !gd_future_done(&b->gather.future) || b->n_tasks > 0 ||
        b->n_writes > 0)
        return;
    (void)gd_map_del(&b->core->batches, b->id);
    gd_batch_free(b);
}

void gd_batch_task_gone(struct gd_batch *b)
{
    b->n_tasks--;
    leave_if_over(b);
}

static void tell_changed(struct gd_batch *b)
{
    b->core->n_changes++;
    if (b->core->changed)
        b->core->changed(b->core->changed_arg, 0, b->id);
}

/* --- its end, on disk */

static void settled_is_on_disk(struct gd_op *op)
{
    struct gd_batch *b = GD_OWNER(op, struct gd_batch, settled_op.op);
    b->n_writes--;
    if (b->settled_op.is_done)
        gd_future_settle(&b->gather.future, b->outcome);
    gd_future_settle(&b->settled, GD_SUCCEEDED);
    tell_changed(b);
    leave_if_over(b);
}

static void done_is_on_disk(struct gd_op *op)
{
    struct gd_batch *b = GD_OWNER(op, struct gd_batch, done_op.op);
    b->n_writes--;
    gd_future_settle(&b->gather.future, b->outcome);
    tell_changed(b);
    leave_if_over(b);
}

static char *group_exception(struct gd_batch *b)
{
    struct gd_store *store = b->core->store;
    struct gd_buf members = {0};
    char text[64];
    size_t n = b->n_failed < GROUP_MEMBERS ? b->n_failed : GROUP_MEMBERS;
    gd_buf_putc(&members, '[');
    for (size_t i = 0; i < n; i++) {
        size_t before = members.len;
        if (i > 0)
            gd_buf_putc(&members, ',');
        gd_buf_printf(&members, "{\"task\":%llu,", (unsigned long long)b->failed[i]);
        size_t at = members.len; /* the object that comes loses its brace */
        if (store->ops->read_exception(store, b->failed[i], &members) < 0 || members.len < at + 2)
            members.len = before;
        else
            members.ptr[at] = ' ';
    }
    gd_buf_putc(&members, ']');
    (void)snprintf(text, sizeof(text), "%zu task%s failed", b->n_failed,
                   b->n_failed == 1 ? "" : "s");
    char *e = gd_buf_error(&members) < 0 ? NULL : gd_exception_group(text, gd_buf_view(&members));
    gd_buf_free(&members);
    return e;
}

static char *child_exception(struct gd_batch *b)
{
    struct gd_store *store = b->core->store;
    struct gd_buf text = {0};
    char *e = NULL;
    if (store->ops->read_exception(store, gd_batch_child(b, b->gather.culprit), &text) == 0 &&
        text.len > 0)
        e = gd_buf_take(&text, NULL);
    gd_buf_free(&text);
    return e;
}

/* NULL: it succeeded, or there was no memory, which the caller can tell apart. */
static char *make_exception(struct gd_batch *b)
{
    switch (b->cause) {
    case GD_CAUSE_CHILD:
        return child_exception(b);
    case GD_CAUSE_CANCEL:
        return gd_exception_cancelled(b->cancel_msg);
    case GD_CAUSE_TIMEOUT:
        return gd_exception_timeout(b->timeout_ms);
    case GD_CAUSE_GROUP:
        return group_exception(b);
    case GD_CAUSE_CHILDREN:
        break;
    }
    return NULL;
}

static void fill_done(struct gd_batch *b, struct gd_op_batch_end *op)
{
    static const char without_memory[] =
        "{\"type\":\"Exception\",\"message\":\"there was no memory for the details\"}";
    b->exception = make_exception(b);
    op->is_done = true;
    op->state = b->outcome;
    op->exception = b->exception || b->cause == GD_CAUSE_CHILDREN ? b->exception : without_memory;
    op->culprit = b->cause == GD_CAUSE_CHILD ? gd_batch_child(b, b->gather.culprit)
                  : b->cause == GD_CAUSE_GROUP && b->n_failed > 0 ? b->failed[0]
                                                                  : 0;
    op->started_ms = b->started_ms;
    op->finished_ms = b->core->config.wall_ms();
    b->done_written = true;
    gd_timer_stop(b->core->loop, &b->deadline);
}

static void write_op(struct gd_batch *b, struct gd_op_batch_end *op, void (*done)(struct gd_op *))
{
    op->op.kind = GD_OP_BATCH_END;
    op->op.done = done;
    op->batch = b->id;
    b->n_writes++;
    b->core->store->ops->write(b->core->store, &op->op);
}

static void on_decided(struct gd_gather *g, enum gd_state state, enum gd_gather_cause cause)
{
    struct gd_batch *b = batch_of(g);
    b->outcome = state;
    b->cause = cause;
    if (g->n_left == 0)
        return; /* on_settled() follows at once and writes both */
    fill_done(b, &b->done_op);
    write_op(b, &b->done_op, done_is_on_disk);
}

static void on_settled(struct gd_gather *g)
{
    struct gd_batch *b = batch_of(g);
    if (!b->done_written)
        fill_done(b, &b->settled_op);
    b->settled_op.is_settled = true;
    b->settled_op.settled_ms = b->core->config.wall_ms();
    for (unsigned s = 0; s < GD_N_STATES; s++)
        b->settled_op.counts[s] = g->counts[s];
    write_op(b, &b->settled_op, settled_is_on_disk);
}

/* --- cancelling its children */

static void sweep_again(struct gd_timer *t)
{
    gd_batch_sweep(GD_OWNER(t, struct gd_batch, deadline));
}

static void sweep_some(struct gd_soon *s)
{
    struct gd_batch *b = GD_OWNER(s, struct gd_batch, sweep);
    struct gd_core *c = b->core;
    for (unsigned i = 0; i < CANCELS_A_ROUND && b->sweep_at < b->gather.n; i++) {
        struct gd_task *t = gd_core_task(c, gd_batch_child(b, b->sweep_at));
        if (t && gd_core_cancel_child(c, t, b->cancel_msg, b->cancel_grace_ms) < 0) {
            b->deadline.fn = sweep_again; /* its time is up or does not matter any more */
            if (gd_timer_at(c->loop, &b->deadline, gd_mono_ms() + AGAIN_MS) < 0)
                gd_soon(c->loop, &b->sweep);
            return;
        }
        b->sweep_at++;
    }
    if (b->sweep_at < b->gather.n)
        gd_soon(c->loop, &b->sweep);
}

void gd_batch_sweep(struct gd_batch *b)
{
    b->sweep.fn = sweep_some;
    gd_soon(b->core->loop, &b->sweep);
}

static void on_abort(struct gd_gather *g)
{
    gd_batch_sweep(batch_of(g));
}

static const struct gd_gather_ops gather_ops = {
    .decided = on_decided, .abort = on_abort, .settled = on_settled};

static void time_is_up(struct gd_timer *t)
{
    struct gd_batch *b = GD_OWNER(t, struct gd_batch, deadline);
    if (gd_gather_expire(&b->gather))
        gd_batch_sweep(b);
}

void gd_batch_cancel(struct gd_batch *b, char *own_msg, int64_t grace_ms)
{
    free(b->cancel_msg);
    b->cancel_msg = own_msg;
    b->cancel_grace_ms = grace_ms;
    (void)!gd_gather_cancel(&b->gather);
    b->sweep_at = 0;
    gd_batch_sweep(b);
}

void gd_batch_begin(struct gd_batch *b, struct gd_core *core)
{
    b->core = core;
    /* What is leased may start: of a group nothing is to start once one has failed. */
    if (b->only_commands && b->lanes.concurrency && !b->cancel_on_failure)
        b->lanes.ahead = &core->ahead;
    b->lanes.closed = b->cancel_on_failure && b->gather.counts[GD_FAILED] > 0;
    if (b->timeout_ms != GD_NO_TIMEOUT && !b->gather.decided) {
        int64_t left_ms = b->created_ms + b->timeout_ms - core->config.wall_ms();
        b->deadline.fn = time_is_up;
        if (left_ms > b->timeout_ms)
            left_ms = b->timeout_ms; /* the wall clock went back */
        if (gd_timer_at(core->loop, &b->deadline, gd_mono_ms() + (left_ms > 0 ? left_ms : 0)) < 0)
            time_is_up(&b->deadline); /* a limit that cannot be kept is over */
    }
    if (b->sweep_first)
        gd_batch_sweep(b);
    gd_gather_begin(&b->gather);
}
