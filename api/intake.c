/* POST /v1/tasks, /v1/batches, /v1/gather: from a complete body to the answer.
 *
 *   body --decode (pool, if large)--> jobs --SUBMIT on disk--> exist --wait--> answered
 *      \--faults: 400--^                 \--the store's word: 4xx, 5xx--^
 *
 * The client may go at any time; what was submitted is made all the same.
 */
#include "api/intake.h"

#include "api/answers.h"
#include "api/body.h"
#include "api/idempotency.h"
#include "api/routes.h"
#include "api/wait.h"
#include "base/json_scan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Bodies from this size on are decoded in the pool: pollers must not wait for them. */
#define POOL_FROM_BYTES 32768U

struct intake {
    struct gd_submission sub;
    struct gd_http *http; /* NULL: the client is gone */
    struct gd_api *api;
    enum gd_intake_kind kind;
    struct gd_buf body;
    struct gd_buf options; /* of the query, as JSON */
    struct gd_jobs jobs;
    uv_work_t work;
    int rc;
    int64_t wait_ms; /* -1: no wait (gather: for ever) */
    bool preferred;
    void (*on_gone)(struct gd_core *c, uint64_t id);
    char *key; /* Idempotency-Key; NULL: none */
};

static void intake_free(struct intake *in)
{
    gd_submission_done(&in->sub);
    gd_jobs_free(&in->jobs);
    gd_buf_free(&in->body);
    gd_buf_free(&in->options);
    free(in->key);
    free(in);
}

static void abandon(struct gd_http *h)
{
    struct intake *in = h->waiting;
    in->http = NULL;
}

/* --- answers */

static void answer_done_task(struct gd_http *h, uint64_t id, bool in_time)
{
    gd_answer_task(h, id, in_time ? MHD_HTTP_OK : MHD_HTTP_ACCEPTED);
}

static void answer_done_batch(struct gd_http *h, uint64_t id, bool in_time)
{
    gd_answer_batch(h, id, in_time ? MHD_HTTP_OK : MHD_HTTP_ACCEPTED);
}

static void answer_gathered(struct gd_http *h, uint64_t id, bool in_time)
{
    if (in_time)
        gd_answer_results(h, id, false);
    else
        gd_answer_new_batch(h, id, MHD_HTTP_ACCEPTED);
}

void gd_intake_answer_task(struct gd_http *h, uint64_t id, int64_t wait_ms,
                           void (*on_gone)(struct gd_core *, uint64_t))
{
    struct gd_task *t = gd_core_task(h->api->core, id);
    if (wait_ms < 0)
        gd_answer_task(h, id, MHD_HTTP_CREATED);
    else if (t && wait_ms > 0)
        gd_wait_for(h, &t->future, wait_ms, id, answer_done_task, on_gone);
    else
        answer_done_task(h, id, !t);
}

void gd_intake_answer_batch(struct gd_http *h, enum gd_intake_kind kind, uint64_t id,
                            int64_t wait_ms, void (*on_gone)(struct gd_core *, uint64_t))
{
    struct gd_batch *b = gd_core_batch(h->api->core, id);
    bool open = b && !gd_future_done(&b->gather.future);
    gd_wait_fn *fn = kind == GD_INTAKE_GATHER ? answer_gathered : answer_done_batch;
    if (kind == GD_INTAKE_BATCH && wait_ms < 0)
        gd_answer_new_batch(h, id, MHD_HTTP_ACCEPTED);
    else if (open && wait_ms != 0)
        gd_wait_for(h, &b->gather.future, wait_ms, id, fn, on_gone);
    else
        fn(h, id, !open);
}

/* Tasks and batch exist, or did before. */
static void answer_created(struct intake *in, uint64_t task, uint64_t batch)
{
    struct gd_http *h = in->http;
    if (!h) {
        if (in->on_gone)
            in->on_gone(in->api->core, batch ? batch : task);
        return;
    }
    h->waiting = NULL;
    h->abandon = NULL;
    if (batch)
        gd_intake_answer_batch(h, in->kind, batch, in->wait_ms, in->on_gone);
    else
        gd_intake_answer_task(h, task, in->wait_ms, in->on_gone);
}

/* The most frequent answer, from what is at hand. */
static bool answer_at_once(struct intake *in, uint64_t task)
{
    const struct gd_job *job = in->jobs.items;
    struct gd_buf name = {0};
    if (!in->http || in->kind != GD_INTAKE_TASK || in->wait_ms >= 0 ||
        !gd_core_task(in->api->core, task))
        return false;
    if (job->name.len > 0)
        gd_json_unquote(job->name, &name);
    struct gd_task_record r = {.id = task,
                               .kind = (enum gd_kind)job->kind,
                               .created_ms = in->sub.op.created_ms,
                               .name = {name.ptr, name.len},
                               .labels = job->labels};
    if (gd_buf_error(&name) == 0)
        gd_answer_made_task(in->http, &r);
    else
        gd_http_error(in->http, -ENOMEM);
    gd_buf_free(&name);
    return true;
}

static void answer_faults(struct gd_http *h, const struct gd_jobs *jobs, int rc)
{
    char detail[160];
    struct gd_problem_info info = {.problem = gd_problem_of(rc), .detail = detail};
    if (rc == GD_E_BAD_JSON)
        (void)snprintf(detail, sizeof(detail), "%s, at byte %zu", jobs->json_fault.what,
                       jobs->json_fault.offset);
    else
        (void)snprintf(detail, sizeof(detail), "%zu fault%s; nothing was created",
                       jobs->faults.n_all, jobs->faults.n_all == 1 ? "" : "s");
    info.faults = &jobs->faults;
    gd_http_problem(h, &info);
}

static void submitted(struct gd_submission *s, int rc)
{
    struct intake *in = GD_OWNER(s, struct intake, sub);
    struct gd_http *h = in->http;
    uint64_t task = s->op.first_task;
    uint64_t batch = s->op.batch;
    if (rc == GD_E_REPLAYED) {
        task = s->op.idempotency.replay_task;
        batch = s->op.idempotency.replay_batch;
        if (h)
            h->replayed = true;
        rc = 0;
    }
    if (rc == 0 && ((h && h->replayed) || !answer_at_once(in, task)))
        answer_created(in, task, batch);
    else if (rc < 0 && h)
        gd_http_error(h, rc);
    intake_free(in);
}

/* --- decoding */

static int decode(struct intake *in)
{
    struct gd_span text = gd_buf_view(&in->body);
    if (in->kind == GD_INTAKE_TASK)
        return gd_jobs_decode_one(&in->jobs, text);
    return gd_jobs_decode_batch(&in->jobs, text);
}

/* Decodes and builds. Touches nothing but the intake: any thread. */
static void prepare(struct intake *in)
{
    in->rc = decode(in);
    if (in->rc == 0)
        in->rc = gd_submission_build(&in->sub, in->jobs.items, in->jobs.n,
                                     in->kind == GD_INTAKE_TASK ? NULL : &in->jobs.spec);
}

static bool has_room(const struct gd_api *a, size_t n)
{
    return a->core->tasks.n_tasks + n <= a->config.max_tasks;
}

/* A key that was used before makes nothing now, whatever the answer. */
static bool is_replay(const struct intake *in)
{
    struct gd_store *store = in->api->core->store;
    struct gd_idempotency key = in->sub.op.idempotency;
    int rc = key.key.len > 0 ? store->ops->read_key(store, &key) : GD_E_NO_TASK;
    return rc == 0 || rc == GD_E_KEY_REUSED;
}

static void go_on(struct intake *in)
{
    if (in->rc == 0 && !has_room(in->api, in->jobs.n) && !is_replay(in))
        in->rc = GD_E_FULL;
    if (in->rc == 0) {
        in->sub.done = submitted;
        gd_core_submit(in->api->core, &in->sub);
        return;
    }
    if (in->http && in->rc == GD_E_BAD_JSON)
        gd_http_bad_json(in->http, gd_buf_view(&in->body), &in->jobs.json_fault,
                         "nothing was created");
    else if (in->http && in->rc == GD_E_BAD_JOB)
        answer_faults(in->http, &in->jobs, in->rc);
    else if (in->http)
        gd_http_error(in->http, in->rc);
    intake_free(in);
}

static void decode_in_pool(uv_work_t *work)
{
    prepare(work->data);
}

static void decoded(uv_work_t *work, int status)
{
    (void)status;
    struct intake *in = work->data;
    in->api->n_working--;
    go_on(in);
}

static bool read_request(struct intake *in)
{
    struct gd_http *h = in->http;
    if (!gd_http_wait(h, &in->wait_ms, &in->preferred))
        return false;
    h->preferred_ms = in->preferred ? in->wait_ms : -1;
    if (!gd_wait_on_gone(h, in->kind == GD_INTAKE_TASK ? gd_wait_cancel_task : gd_wait_cancel_batch,
                         &in->on_gone))
        return false;
    if (!gd_idempotency_read(h, &in->key, &in->sub.op.idempotency))
        return false;
    int rc = in->kind == GD_INTAKE_TASK ? 0 : gd_jobs_options(&in->jobs, &h->params, &in->options);
    if (rc < 0)
        answer_faults(h, &in->jobs, rc);
    return rc == 0;
}

static void start(struct gd_http *h, enum gd_intake_kind kind)
{
    struct intake *in = calloc(1, sizeof(*in));
    if (!in) {
        gd_http_error(h, -ENOMEM);
        return;
    }
    in->http = h;
    in->api = h->api;
    in->kind = kind;
    in->work.data = in;
    if (!read_request(in)) {
        intake_free(in);
        return;
    }
    in->body = h->body;
    h->body = (struct gd_buf){0};
    gd_http_keep(h, in, abandon);
    if (in->body.len >= POOL_FROM_BYTES &&
        uv_queue_work(h->api->loop->uv, &in->work, decode_in_pool, decoded) == 0) {
        h->api->n_working++;
        return;
    }
    prepare(in);
    go_on(in);
}

static void start_batch(struct gd_http *h, enum gd_intake_kind kind)
{
    if (h->ndjson)
        gd_ndjson_finish(h->ndjson, kind);
    else
        start(h, kind);
}

void gd_create_task(struct gd_http *h)
{
    start(h, GD_INTAKE_TASK);
}

void gd_create_batch(struct gd_http *h)
{
    start_batch(h, GD_INTAKE_BATCH);
}

void gd_gather(struct gd_http *h)
{
    start_batch(h, GD_INTAKE_GATHER);
}
