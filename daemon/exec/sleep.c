#include "daemon/exec/sleep.h"

#include "base/clock.h"
#include "base/exception.h"

#include <errno.h>
#include <stdlib.h>

/* Sleeps that end in one round of the loop. */
#define ENDS_A_ROUND 512
/* No memory to end a sleep: again after this long. */
#define AGAIN_MS 20

static struct gd_sleeper *sleeper_of(struct gd_executor *ex)
{
    return GD_OWNER(ex, struct gd_sleeper, ex);
}

static bool is_too_long(const struct gd_task *t)
{
    return t->timeout_ms != GD_NO_TIMEOUT && t->timeout_ms < t->sleep_ms;
}

static int end(struct gd_core *c, struct gd_task *t)
{
    if (!is_too_long(t))
        return gd_core_succeeded(c, t, GD_RK_VALUE);
    struct gd_outcome *o = calloc(1, sizeof(*o));
    if (!o)
        return -ENOMEM;
    o->state = GD_FAILED;
    o->finished_ms = c->config.wall_ms();
    o->exception = gd_exception_timeout(t->timeout_ms);
    if (!o->exception) {
        free(o);
        return -ENOMEM;
    }
    return gd_core_ended(c, t, o);
}

/* Sets the alarm to the earliest; too early is no harm. */
static void set_alarm(struct gd_sleeper *s)
{
    const struct gd_heap_node *first = gd_heap_min(&s->heap);
    if (!first || (gd_timer_is_set(&s->alarm) && s->alarm.node.key <= first->key))
        return;
    /* One timer more or less: if there is no memory for it, nothing goes on anyway. */
    if (gd_timer_at(s->core->loop, &s->alarm, first->key) < 0)
        abort();
}

static void ring(struct gd_timer *alarm)
{
    struct gd_sleeper *s = GD_OWNER(alarm, struct gd_sleeper, alarm);
    int64_t now_ms = gd_mono_ms();
    struct gd_heap_node *first = gd_heap_min(&s->heap);
    for (unsigned i = 0; i < ENDS_A_ROUND && first && first->key <= now_ms; i++) {
        struct gd_task *t = GD_OWNER(first, struct gd_task, due);
        gd_heap_del(&s->heap, first);
        if (end(s->core, t) < 0)
            (void)!gd_heap_add(&s->heap, &t->due, now_ms + AGAIN_MS); /* it has just left */
        first = gd_heap_min(&s->heap);
    }
    set_alarm(s);
}

/* Counted from the wall time of the start, so that a restart changes nothing; but a
 * wall clock that was set back does not make it longer than it was meant. */
static int arm(struct gd_sleeper *s, struct gd_task *t)
{
    int64_t whole_ms = is_too_long(t) ? t->timeout_ms : t->sleep_ms;
    int64_t left_ms = t->started_ms + whole_ms - s->core->config.wall_ms();
    if (left_ms > whole_ms)
        left_ms = whole_ms;
    /* Both clocks are cut to whole milliseconds: one more, or it would end early. */
    int64_t due_ms = gd_mono_ms() + (left_ms > 0 ? left_ms + 1 : 0);
    gd_heap_del(&s->heap, &t->due);
    int rc = gd_heap_add(&s->heap, &t->due, due_ms);
    if (rc == 0)
        set_alarm(s);
    return rc;
}

static int op_start(struct gd_executor *ex, struct gd_task *t)
{
    return arm(sleeper_of(ex), t);
}

static void op_drop(struct gd_executor *ex, struct gd_task *t)
{
    gd_heap_del(&sleeper_of(ex)->heap, &t->due);
}

static void op_retime(struct gd_executor *ex, struct gd_task *t)
{
    (void)!arm(sleeper_of(ex), t); /* it has just left the heap: there is room */
}

static const struct gd_executor_ops ops = {.start = op_start, .drop = op_drop, .retime = op_retime};

void gd_sleeper_init(struct gd_sleeper *s, struct gd_core *core)
{
    *s = (struct gd_sleeper){.ex = {.ops = &ops, .ready = true}, .core = core};
    s->alarm.fn = ring;
    gd_core_use(core, GD_KIND_SLEEP, &s->ex);
}

void gd_sleeper_done(struct gd_sleeper *s)
{
    gd_timer_stop(s->core->loop, &s->alarm);
    gd_heap_free(&s->heap);
}
