/* Invariants
 *  1. In OPENING, PUBLISHING and DISCARDING a job of the part runs; only then.
 *  2. In RECEIVING the transfer is added to the multi handle; only then.
 *  3. `stop` is set only while it still changes the end: a fetch whose file is in
 *     place, or that has failed, is neither cancelled nor timed out.
 *  4. end() is the last thing that happens to a transfer: gd_unit_end() may free it.
 */
#include "daemon/fetcher/transfer.h"

#include "base/clock.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct gd_transfer *of(struct gd_unit *u)
{
    return (struct gd_transfer *)(void *)u;
}

#define GD_TO(id) (1U << GD_STAGE_##id)
static const unsigned allowed[] = {
#define X(id, next) [GD_STAGE_##id] = (next),
    GD_STAGES(X)
#undef X
};

bool gd_stage_may_go(enum gd_stage from, enum gd_stage to)
{
    return allowed[from] & 1U << to;
}

static void move(struct gd_transfer *t, enum gd_stage to)
{
    assert(gd_stage_may_go(t->stage, to));
    t->stage = to;
}

/* --- the end */

static void end(struct gd_transfer *t)
{
    gd_receive_stop(t);
    move(t, GD_STAGE_ENDED);
    struct gd_msg m;
    gd_unit_exited(&t->unit, &m);
    if (t->failure.kind != GD_FAILURE_NONE) {
        gd_msg_str(&m, GD_FIELD_FAILURE, gd_failure_word(t->failure.kind));
        gd_msg_str(&m, GD_FIELD_MESSAGE, t->failure.text);
    } else if (t->stop == GD_STOP_NONE) {
        gd_msg_u64(&m, GD_FIELD_CODE, 0);
    } else if (t->stop == GD_STOP_TIMEOUT) {
        gd_msg_u64(&m, GD_FIELD_TIMED_OUT, 1);
    }
    if (t->status >= 200) {
        gd_msg_u64(&m, GD_FIELD_STATUS, (uint64_t)t->status);
        gd_answer_report(&t->answer, &m);
    }
    gd_msg_u64(&m, GD_FIELD_BYTES, t->bytes);
    if (t->digest[0])
        gd_msg_str(&m, GD_FIELD_DIGEST, t->digest);
    gd_sink_report(&t->sink, &m, GD_FIELD_STDOUT);
    gd_unit_end(&t->unit, &m);
}

static void publish(struct gd_transfer *t)
{
    move(t, GD_STAGE_PUBLISHING);
    gd_part_publish(t->part);
}

/* A part that has turned out to be wrong is no good to a later attempt. */
static void discard(struct gd_transfer *t)
{
    move(t, GD_STAGE_DISCARDING);
    gd_part_discard(t->part, t->failure.kind != GD_FAILURE_CHECKSUM);
}

/* Nothing is received any more. Not Modified leaves the target as it is. */
static void settle(struct gd_transfer *t)
{
    gd_receive_stop(t);
    if (!t->part)
        end(t);
    else if (t->failure.kind == GD_FAILURE_NONE && t->stop == GD_STOP_NONE && t->status != 304)
        publish(t);
    else
        discard(t);
}

/* --- receiving */

static void receive(struct gd_transfer *t)
{
    move(t, GD_STAGE_RECEIVING);
    if (!gd_receive_start(t))
        settle(t);
}

static void receive_again(struct gd_transfer *t)
{
    gd_receive_stop(t);
    t->offset = 0;
    int rc = gd_part_restart(t->part);
    if (rc == 0) {
        receive(t);
        return;
    }
    gd_failure_set_errno(&t->failure, GD_FAILURE_FILE, gd_part_step(t->part), rc);
    settle(t);
}

static void received(struct gd_easy *e, CURLcode code)
{
    struct gd_transfer *t = GD_OWNER(e, struct gd_transfer, easy);
    gd_receive_finish(t, code);
    if (t->again)
        receive_again(t);
    else
        settle(t);
}

/* --- the part file */

static void opened(struct gd_transfer *t, int rc)
{
    if (rc < 0 && t->stop == GD_STOP_NONE)
        gd_failure_set_errno(&t->failure, GD_FAILURE_FILE, gd_part_step(t->part), rc);
    t->offset = gd_part_size(t->part);
    if (rc == 0 && t->stop == GD_STOP_NONE)
        receive(t);
    else
        discard(t);
}

static void published(struct gd_transfer *t, int rc)
{
    if (rc == 0) {
        end(t);
        return;
    }
    if (t->stop == GD_STOP_NONE)
        gd_failure_set_errno(&t->failure, GD_FAILURE_FILE, gd_part_step(t->part), rc);
    discard(t);
}

static void on_part(struct gd_part *p, int rc, void *arg)
{
    (void)p;
    struct gd_transfer *t = arg;
    if (t->stage == GD_STAGE_OPENING)
        opened(t, rc);
    else if (t->stage == GD_STAGE_PUBLISHING)
        published(t, rc);
    else
        end(t);
}

static void open_part(struct gd_transfer *t)
{
    struct gd_part_plan plan = {
        .to = t->request.to,
        .url = t->request.url,
        .task = t->unit.task,
        .max_bytes = t->request.max_bytes,
        .resume = t->request.resume,
        .has_digest = t->request.sha256 != NULL,
    };
    t->part = gd_part_new(gd_worker_loop(t->unit.worker)->uv, &plan, on_part, t);
    if (!t->part) {
        gd_failure_set_errno(&t->failure, GD_FAILURE_OTHER, "the part file", -ENOMEM);
        end(t);
        return;
    }
    move(t, GD_STAGE_OPENING);
    gd_part_open(t->part);
}

/* --- stopping */

static void stop(struct gd_transfer *t, enum gd_stop why)
{
    if (t->stop != GD_STOP_NONE)
        return;
    switch (t->stage) {
    case GD_STAGE_OPENING:
        t->stop = why;
        (void)gd_part_stop(t->part);
        break;
    case GD_STAGE_RECEIVING:
        t->stop = why;
        settle(t);
        break;
    case GD_STAGE_PUBLISHING:
        if (gd_part_stop(t->part))
            t->stop = why;
        break;
    default:
        break;
    }
}

static void on_limit(struct gd_timer *timer)
{
    stop(GD_OWNER(timer, struct gd_transfer, limit), GD_STOP_TIMEOUT);
}

static int set_limit(struct gd_transfer *t)
{
    struct gd_loop *l = gd_worker_loop(t->unit.worker);
    if (t->request.timeout_ms < 0) {
        gd_timer_stop(l, &t->limit);
        return 0;
    }
    t->limit.fn = on_limit;
    return gd_timer_at(l, &t->limit, t->unit.started_us / 1000 + t->request.timeout_ms);
}

/* --- what a worker does */

static int op_take(struct gd_unit *u, const struct gd_msg_view *start)
{
    struct gd_transfer *t = of(u);
    gd_sink_init(&t->sink, gd_worker_output_fd(u->worker), UINT64_MAX, u->task, u->attempt,
                 "stdout");
    t->easy.done = received;
    t->total = -1;
    int rc = gd_request_take(&t->request, start);
    return rc == 0 ? gd_digest_init(&t->own_digest) : rc;
}

static void op_start(struct gd_unit *u)
{
    struct gd_transfer *t = of(u);
    gd_unit_started(u, 0, gd_mono_us());
    int rc = set_limit(t);
    if (rc < 0)
        gd_failure_set_errno(&t->failure, GD_FAILURE_OTHER, "the time limit", rc);
    if (rc < 0 || !gd_request_check(&t->request, &t->failure))
        end(t);
    else if (t->request.to)
        open_part(t);
    else
        receive(t);
}

/* There is nothing to be polite to: `grace_ms` has no meaning here. */
static void op_cancel(struct gd_unit *u, int64_t grace_ms)
{
    (void)grace_ms;
    stop(of(u), GD_STOP_CANCEL);
}

static void op_retime(struct gd_unit *u, int64_t timeout_ms)
{
    struct gd_transfer *t = of(u);
    t->request.timeout_ms = timeout_ms;
    if (u->phase != GD_PHASE_RUNNING || set_limit(t) == 0)
        return;
    gd_failure_set_errno(&t->failure, GD_FAILURE_OTHER, "the time limit", -ENOMEM);
    stop(t, GD_STOP_TIMEOUT);
}

static void op_spill(struct gd_unit *u)
{
    (void)!gd_sink_spill(&of(u)->sink); /* without a file there is nothing to be waited for */
    gd_unit_spilled(u);
}

static void op_drop(struct gd_unit *u)
{
    struct gd_transfer *t = of(u);
    gd_timer_stop(gd_worker_loop(u->worker), &t->limit);
    gd_receive_stop(t);
    gd_part_free(t->part);
    gd_digest_done(&t->own_digest);
    gd_sink_free(&t->sink);
    gd_answer_free(&t->answer);
    gd_request_free(&t->request);
}

const struct gd_worker_ops gd_transfer_ops = {
    .program = "gatherd-fetcher",
    .short_name = "fetcher",
    .unit_size = sizeof(struct gd_transfer),
    .take = op_take,
    .start = op_start,
    .cancel = op_cancel,
    .retime = op_retime,
    .spill = op_spill,
    .drop = op_drop,
};
