/* Starting what may start: tasks get in line, the schedule picks, leases are
 * written, executors begin.
 *
 * Commands are leased ahead: a few more than there are slots lie at the runner, so
 * that it starts the next one without waiting for us or the disk. How many is learned:
 * twice what ends in the time that a lease takes to be written.
 */
#include "base/clock.h"
#include "base/exception.h"
#include "daemon/core/core_impl.h"

#include <errno.h>
#include <stdlib.h>

/* Work done in one round of the loop. */
#define FEEDS_A_ROUND  2048
#define STARTS_A_ROUND 1024
#define LEASES_A_ROUND 256
/* Commands leased beyond the slots, at least and at most. */
#define AHEAD_MIN 2
#define AHEAD_MAX 256
/* How long news of an end and the next start may be on their way, between the processes and
 * while others have the processors. */
#define ON_THE_WAY_US 20000
/* No memory: again after this long. */
#define AGAIN_MS 50

struct lease_write {
    struct gd_op_lease op;
    struct gd_core *core;
    int64_t queued_us;
    bool is_commands;
    size_t cap;
    struct gd_lease leases[];
};

static void pump_again(struct gd_core *c)
{
    if (gd_timer_at(c->loop, &c->pump_later, gd_mono_ms() + AGAIN_MS) < 0)
        gd_core_pump(c);
}

void gd_core_leave_line(struct gd_core *c, struct gd_task *t)
{
    if (t->lane)
        gd_schedule_remove(&c->schedule, t);
}

/* --- getting in line */

/* False: no memory; the rest gets in line later. */
static bool feed_some(struct gd_core *c, unsigned *budget)
{
    while (!gd_list_empty(&c->feeds) && *budget > 0) {
        struct gd_feed *f = GD_OWNER(c->feeds.next, struct gd_feed, node);
        for (; f->next<f->end && * budget> 0; f->next++, --*budget) {
            struct gd_task *t = gd_core_task(c, f->next);
            if (!t || t->phase != GD_TASK_QUEUED || t->lane)
                continue;
            if (gd_schedule_add(&c->schedule, t, gd_core_lanes(t)) < 0)
                return false;
        }
        if (f->next == f->end) {
            gd_node_unlink(&f->node);
            free(f);
        }
    }
    return true;
}

/* --- leases */

static struct lease_write *lease_new(struct gd_core *c, size_t cap)
{
    struct lease_write *w = calloc(1, sizeof(*w) + cap * sizeof(w->leases[0]));
    if (w) {
        w->core = c;
        w->cap = cap;
        w->queued_us = gd_mono_us();
        w->op.op.kind = GD_OP_LEASE;
        w->op.leases = w->leases;
    }
    return w;
}

static void note_started(struct gd_core *c, struct gd_task *t, int64_t wall_ms)
{
    t->started_ms = wall_ms;
    if (t->batch) {
        t->batch->n_running++;
        if (!t->batch->started_ms)
            t->batch->started_ms = wall_ms;
    }
    gd_core_task_changed(c, t);
}

void gd_core_started(struct gd_core *c, struct gd_task *t, int64_t wall_ms)
{
    if (t->phase != GD_TASK_LEASED)
        return;
    c->n_in_stock -= gd_core_is_in_stock(t);
    gd_task_go(t, GD_TASK_RUNNING);
    note_started(c, t, wall_ms);
    gd_core_spill_again(c, t);
}

/* It cannot begin: that is its end, unless there was only no memory. */
static void cannot_start(struct gd_core *c, struct gd_task *t, int rc)
{
    char *e = rc == -ENOMEM ? NULL : gd_exception_spawn(rc, "start", "the job");
    if (gd_core_end_with(c, t, GD_FAILED, e) < 0) {
        gd_core_requeue(c, t);
        pump_again(c);
    }
}

/* The lease to the worker of that epoch is on disk: over to the executor. */
static void begin_leased(struct gd_core *c, struct gd_task *t, uint64_t epoch)
{
    struct gd_executor *ex = c->executors[t->kind];
    if (t->extra && t->extra->n_cancels > 0) {
        if (gd_core_end_cancelled(c, t) < 0)
            gd_core_requeue(c, t);
        return;
    }
    if (!ex->ready || ex->epoch != epoch) {
        gd_core_requeue(c, t);
        return;
    }
    gd_task_go(t, GD_TASK_LEASED);
    c->n_in_stock += gd_core_is_in_stock(t);
    int rc = ex->ops->start(ex, t);
    if (rc < 0)
        cannot_start(c, t, rc);
}

/* Quickly up, slowly back. If the runner ran dry the rate is too low for the time
 * being; twice of it is more than there was, so it grows until that is over. */
static void learn_ahead(struct gd_core *c, int64_t queued_us)
{
    int64_t now_us = gd_mono_us();
    int64_t since_us = now_us - c->learned_us > 0 ? now_us - c->learned_us : 1;
    int64_t took_us = now_us - queued_us + ON_THE_WAY_US;
    size_t n_ended = c->n_ended - c->learned_ended;
    size_t want = AHEAD_MIN + (size_t)(2 * (int64_t)n_ended * took_us / since_us);
    c->learned_us = now_us;
    c->learned_ended = c->n_ended;
    c->ahead = want > c->ahead ? want : c->ahead - (c->ahead - want + 7) / 8;
    if (c->ahead > AHEAD_MAX)
        c->ahead = AHEAD_MAX;
}

static void leases_are_on_disk(struct gd_op *op)
{
    struct lease_write *w = GD_OWNER(op, struct lease_write, op.op);
    struct gd_core *c = w->core;
    if (w->is_commands)
        learn_ahead(c, w->queued_us);
    for (size_t i = 0; i < w->op.n && !c->closing; i++) {
        struct gd_task *t = gd_core_task(c, w->leases[i].task);
        if (t && t->phase == GD_TASK_LEASING)
            begin_leased(c, t, w->leases[i].epoch);
    }
    free(w);
    gd_core_pump(c);
}

static void write_leases(struct gd_core *c, struct lease_write *w)
{
    if (w->op.n == 0) {
        free(w);
        return;
    }
    w->op.op.done = leases_are_on_disk;
    c->store->ops->write(c->store, &w->op.op);
}

/* False: there may be more to start. */
static bool lease_some(struct gd_core *c, enum gd_class class, struct gd_executor *ex)
{
    unsigned budget = LEASES_A_ROUND;
    struct lease_write *w = lease_new(c, LEASES_A_ROUND);
    if (!w) {
        pump_again(c);
        return true;
    }
    struct gd_task *t = NULL;
    w->is_commands = class == GD_CLASS_COMMAND;
    /* With nothing in stock at the runner, slots wait for this lease. */
    w->op.op.urgent = !w->is_commands || c->n_in_stock == 0;
    while (w->op.n < w->cap && (t = gd_schedule_next(&c->schedule, class, &budget))) {
        gd_task_go(t, GD_TASK_LEASING);
        t->has_lease = true;
        w->leases[w->op.n++] =
            (struct gd_lease){.task = gd_task_id(t), .attempt = t->attempt, .epoch = ex->epoch};
    }
    bool more = w->op.n == w->cap || budget == 0;
    write_leases(c, w);
    return !more;
}

/* --- sleeps */

static void begin_sleep(struct gd_core *c, struct gd_task *t, struct lease_write *w)
{
    struct gd_executor *ex = c->executors[t->kind];
    gd_task_go(t, GD_TASK_RUNNING);
    note_started(c, t, c->config.wall_ms());
    int rc = ex->ops->start(ex, t);
    if (rc < 0) {
        cannot_start(c, t, rc);
    } else if (w && gd_core_is_long(t)) {
        /* Nobody waits for this lease: it only keeps the start over a restart. */
        t->has_lease = true;
        w->leases[w->op.n++] = (struct gd_lease){
            .task = gd_task_id(t), .attempt = t->attempt, .started_ms = t->started_ms};
    }
}

static bool start_sleeps(struct gd_core *c)
{
    unsigned budget = STARTS_A_ROUND;
    struct gd_task *t = gd_schedule_next(&c->schedule, GD_CLASS_TIMER, &budget);
    if (!t)
        return true;
    struct lease_write *w = lease_new(c, STARTS_A_ROUND);
    while (t) {
        begin_sleep(c, t, w);
        t = gd_schedule_next(&c->schedule, GD_CLASS_TIMER, &budget);
    }
    if (w)
        write_leases(c, w);
    return budget > 0;
}

/* --- all */

static void pump(struct gd_soon *s)
{
    struct gd_core *c = GD_OWNER(s, struct gd_core, pump);
    if (c->closing)
        return;
    unsigned budget = FEEDS_A_ROUND;
    bool fed = feed_some(c, &budget);
    bool idle = gd_list_empty(&c->feeds);
    c->schedule.classes[GD_CLASS_COMMAND].slots = c->config.slots + c->ahead;
    if (c->executors[GD_KIND_SLEEP])
        idle = start_sleeps(c) && idle;
    struct gd_executor *runner = c->executors[GD_KIND_RUN];
    if (runner && runner->ready)
        idle = lease_some(c, GD_CLASS_COMMAND, runner) && idle;
    struct gd_executor *fetcher = c->executors[GD_KIND_FETCH];
    if (fetcher && fetcher->ready)
        idle = lease_some(c, GD_CLASS_FETCH, fetcher) && idle;
    if (!fed)
        pump_again(c);
    else if (!idle)
        gd_core_pump(c);
}

static void pump_is_due(struct gd_timer *t)
{
    gd_core_pump(GD_OWNER(t, struct gd_core, pump_later));
}

void gd_core_pump_init(struct gd_core *c)
{
    c->ahead = AHEAD_MIN;
    c->pump.fn = pump;
    c->pump_later.fn = pump_is_due;
}

void gd_core_pump(struct gd_core *c)
{
    gd_soon(c->loop, &c->pump);
}

void gd_core_executor_changed(struct gd_core *c)
{
    gd_core_pump(c);
}

void gd_core_requeue_later(struct gd_core *c, struct gd_task *t)
{
    struct gd_feed *f = calloc(1, sizeof(*f));
    if (!f) { /* in line at once, then */
        if (gd_schedule_add(&c->schedule, t, gd_core_lanes(t)) == 0)
            gd_core_pump(c);
        return;
    }
    f->next = gd_task_id(t);
    f->end = f->next + 1;
    gd_list_push(&c->feeds, &f->node);
    gd_core_pump(c);
}

void gd_core_requeue(struct gd_core *c, struct gd_task *t)
{
    gd_schedule_release(&c->schedule, t, gd_core_lanes(t));
    if (t->batch && gd_task_state(t) == GD_RUNNING)
        t->batch->n_running--;
    c->n_in_stock -= gd_core_is_in_stock(t);
    gd_task_go(t, GD_TASK_QUEUED);
    t->started_ms = 0;
    gd_core_task_changed(c, t);
    /* One that is to be cancelled need not wait; without memory it ends when its turn
     * comes. */
    bool cancelled = t->extra && t->extra->n_cancels > 0 && gd_core_end_cancelled(c, t) == 0;
    if (!cancelled)
        gd_core_requeue_later(c, t);
}
