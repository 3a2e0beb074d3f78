#include "api/ndjson.h"

#include "api/answers.h"
#include "api/body.h"
#include "api/http.h"
#include "api/idempotency.h"
#include "api/intake.h"
#include "api/wait.h"
#include "base/limits.h"

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Lines staged in one transaction, and the bytes that do for one, too. */
#define LINES_A_STAGE 2000
#define BYTES_A_STAGE ((size_t)1 << 20)

struct gd_ndjson {
    struct gd_submission sub;
    struct gd_http *http; /* NULL: the request is over */
    struct gd_api *api;
    enum gd_intake_kind kind;
    struct gd_buf line;    /* one that has not ended yet */
    struct gd_buf text;    /* lines of the next STAGE */
    struct gd_jobs jobs;   /* decoded from `text` */
    struct gd_buf staging; /* the texts of the STAGE that is under way */
    struct gd_job *staging_jobs;
    struct gd_op_stage stage;
    struct gd_op_unstage unstage;
    struct gd_buf options;
    size_t n_lines;  /* seen, empty ones too */
    size_t bad_line; /* that is not JSON, from 1 */
    size_t n_jobs;   /* staged, or on the way */
    int rc;          /* why there will be no batch */
    bool staging_now;
    bool staged;   /* something is on disk */
    bool finished; /* the body is complete */
    bool submitting;
    bool made; /* it is a batch */
    int64_t wait_ms;
    void (*on_gone)(struct gd_core *c, uint64_t id);
    char *key;
};

struct gd_ndjson *gd_ndjson_new(struct gd_http *h)
{
    struct gd_ndjson *n = calloc(1, sizeof(*n));
    if (!n)
        return NULL;
    n->http = h;
    n->api = h->api;
    n->line.max = GD_MAX_JOB_BYTES;
    if (gd_http_header(h, "Idempotency-Key"))
        (void)gnutls_hash_init(&h->digest, GNUTLS_DIG_SHA256);
    n->rc = gd_jobs_options(&n->jobs, &h->params, &n->options);
    if (n->rc == 0)
        n->rc = gd_submission_build(&n->sub, NULL, 0, &n->jobs.spec);
    return n;
}

static void destroy(struct gd_ndjson *n)
{
    gd_submission_done(&n->sub);
    gd_jobs_free(&n->jobs);
    gd_buf_free(&n->line);
    gd_buf_free(&n->text);
    gd_buf_free(&n->staging);
    gd_buf_free(&n->options);
    free(n->staging_jobs);
    free(n->key);
    free(n);
}

static void unstaged(struct gd_op *op)
{
    destroy(GD_OWNER(op, struct gd_ndjson, unstage.op));
}

/* Nobody waits for it any more: takes back what is staged, and frees. */
static void leave(struct gd_ndjson *n)
{
    if (n->staging_now || n->submitting)
        return; /* when that is back */
    if (!n->staged || n->made) {
        destroy(n);
        return;
    }
    n->unstage = (struct gd_op_unstage){.op = {.kind = GD_OP_UNSTAGE, .done = unstaged},
                                        .batch = n->sub.batch->id,
                                        .extents = n->sub.extents,
                                        .n = n->sub.n_extents};
    n->api->core->store->ops->write(n->api->core->store, &n->unstage.op);
}

void gd_ndjson_free(struct gd_ndjson *n)
{
    if (!n)
        return;
    n->http = NULL;
    leave(n);
}

/* --- staging */

static void conclude(struct gd_ndjson *n);

static void staged(struct gd_op *op)
{
    struct gd_ndjson *n = GD_OWNER(op, struct gd_ndjson, stage.op);
    n->staging_now = false;
    free(n->staging_jobs);
    n->staging_jobs = NULL;
    gd_buf_free(&n->staging);
    if (op->rc < 0 && n->rc == 0)
        n->rc = op->rc;
    n->staged = n->staged || op->rc == 0;
    if (!n->http)
        leave(n);
    else if (n->finished)
        conclude(n);
    else
        gd_http_go_on(n->http);
}

static void stage(struct gd_ndjson *n)
{
    struct gd_core *c = n->api->core;
    if (n->jobs.n == 0 || n->rc < 0)
        return;
    if (c->tasks.n_tasks + n->n_jobs + n->jobs.n > n->api->config.max_tasks) {
        n->rc = GD_E_FULL;
        return;
    }
    n->rc = gd_core_stage(c, &n->sub, n->jobs.items, n->jobs.n, &n->stage);
    if (n->rc < 0)
        return;
    n->n_jobs += n->jobs.n;
    n->staging_jobs = n->jobs.items;
    n->staging = n->text;
    n->text = (struct gd_buf){0};
    n->jobs.items = NULL;
    n->jobs.n = n->jobs.cap = 0;
    n->staging_now = true;
    n->stage.op.done = staged;
    c->store->ops->write(c->store, &n->stage.op);
}

/* --- lines */

static bool is_blank(struct gd_span line)
{
    for (size_t i = 0; i < line.len; i++)
        if (!strchr(" \t\r", line.ptr[i]))
            return false;
    return true;
}

/* The spans of jobs point into `text`, which must not move: room for a whole STAGE is
 * made beforehand, and one that is full is staged before the next line. */
static void take_line(struct gd_ndjson *n, struct gd_span line)
{
    size_t number = n->n_lines++;
    if (is_blank(line) || (n->rc < 0 && n->rc != GD_E_BAD_JOB))
        return;
    if (n->n_jobs + n->jobs.n >= GD_MAX_JOBS) {
        gd_faults_add(&n->jobs.faults, "", NULL, "has more than %d jobs", (int)GD_MAX_JOBS);
        n->rc = GD_E_BAD_JOB;
        return;
    }
    char *at = gd_buf_reserve(&n->text, n->text.cap ? line.len : BYTES_A_STAGE + line.len);
    if (!at) {
        n->rc = -ENOMEM;
        return;
    }
    memcpy(at, line.ptr, line.len);
    n->text.len += line.len;
    int rc = gd_jobs_decode_line(&n->jobs, (struct gd_span){at, line.len}, number);
    if (rc == 0 && !n->jobs.items[n->jobs.n - 1].has_priority)
        n->jobs.items[n->jobs.n - 1].priority = n->jobs.spec.priority;
    if (rc < 0)
        n->rc = rc;
    if (rc == GD_E_BAD_JSON)
        n->bad_line = number + 1;
    if (n->rc < 0)
        gd_buf_reset(&n->text); /* only faults are looked for from here on */
    if (n->rc < 0)
        n->jobs.n = 0;
}

static bool is_full(const struct gd_ndjson *n, size_t more)
{
    return n->jobs.n >= LINES_A_STAGE || (n->jobs.n > 0 && n->text.len + more > n->text.cap);
}

/* Adds to a line that has not ended yet. */
static void add_to_line(struct gd_ndjson *n, const char *data, size_t len)
{
    gd_buf_put(&n->line, data, len);
    if (n->line.err == 0)
        return;
    if (n->rc == 0 || n->rc == GD_E_BAD_JOB) {
        char pointer[32];
        (void)snprintf(pointer, sizeof(pointer), "/%zu", n->n_lines);
        gd_faults_add(&n->jobs.faults, pointer, NULL, "has more than %d bytes",
                      (int)GD_MAX_JOB_BYTES);
        n->rc = n->line.err == -ENOMEM ? -ENOMEM : GD_E_BAD_JOB;
    }
    gd_buf_free(&n->line);
    n->line.max = GD_MAX_JOB_BYTES;
}

/* One line is complete: what was kept of it, and `rest`. False: it must wait. */
static bool end_line(struct gd_ndjson *n, const char *rest, size_t len)
{
    if (n->rc == 0 && is_full(n, n->line.len + len)) {
        if (n->staging_now)
            return false;
        stage(n);
    }
    if (n->line.len == 0) {
        take_line(n, (struct gd_span){rest, len});
        return true;
    }
    add_to_line(n, rest, len);
    take_line(n, gd_buf_view(&n->line));
    gd_buf_reset(&n->line);
    return true;
}

void gd_ndjson_take(struct gd_ndjson *n, const char *data, size_t *n_data)
{
    const char *at = data;
    size_t left = *n_data;
    while (left > 0) {
        const char *newline = memchr(at, '\n', left);
        if (!newline) {
            add_to_line(n, at, left);
            left = 0;
            break;
        }
        if (!end_line(n, at, (size_t)(newline - at))) {
            gd_http_suspend(n->http, false); /* staged() lets it go on */
            break;
        }
        left -= (size_t)(newline - at) + 1;
        at = newline + 1;
    }
    if (n->http->digest)
        (void)gnutls_hash(n->http->digest, data, *n_data - left);
    *n_data = left;
}

/* --- the end */

static void abandon(struct gd_http *h)
{
    (void)h; /* gd_ndjson_free() comes when the request ends */
}

static void refuse(struct gd_ndjson *n)
{
    struct gd_http *h = n->http;
    char detail[160];
    h->abandon = NULL;
    if (n->rc == GD_E_BAD_JSON)
        (void)snprintf(detail, sizeof(detail), "line %zu: %s, at byte %zu of the line", n->bad_line,
                       n->jobs.json_fault.what, n->jobs.json_fault.offset);
    else if (n->rc == GD_E_BAD_JOB)
        (void)snprintf(detail, sizeof(detail),
                       "%zu fault%s; nothing was created. Pointers count lines from 0",
                       n->jobs.faults.n_all, n->jobs.faults.n_all == 1 ? "" : "s");
    if (n->rc == GD_E_BAD_JSON || n->rc == GD_E_BAD_JOB)
        gd_http_problem(h, &(struct gd_problem_info){.problem = gd_problem_of(n->rc),
                                                     .detail = detail,
                                                     .faults = &n->jobs.faults});
    else
        gd_http_error(h, n->rc);
}

static void submitted(struct gd_submission *s, int rc)
{
    struct gd_ndjson *n = GD_OWNER(s, struct gd_ndjson, sub);
    uint64_t batch = s->op.batch;
    n->submitting = false;
    n->made = rc == 0;
    n->rc = rc;
    struct gd_http *h = n->http;
    if (rc == GD_E_REPLAYED && h) {
        h->replayed = true;
        batch = s->op.idempotency.replay_batch;
        rc = n->rc = 0;
    }
    if (!h) {
        if (rc == 0 && n->on_gone)
            n->on_gone(n->api->core, batch);
        leave(n);
    } else if (rc < 0) {
        refuse(n);
    } else {
        h->abandon = NULL;
        gd_intake_answer_batch(h, n->kind, batch, n->wait_ms, n->on_gone);
    }
}

static void submit(struct gd_ndjson *n)
{
    n->submitting = true;
    n->sub.done = submitted;
    gd_core_submit(n->api->core, &n->sub);
}

/* The body is complete and no STAGE is under way. */
static void conclude(struct gd_ndjson *n)
{
    stage(n);
    if (n->staging_now)
        return;
    if (n->rc < 0)
        refuse(n);
    else
        submit(n);
}

static bool read_request(struct gd_ndjson *n)
{
    struct gd_http *h = n->http;
    bool preferred = false;
    if (!gd_http_wait(h, &n->wait_ms, &preferred))
        return false;
    h->preferred_ms = preferred ? n->wait_ms : -1;
    return gd_wait_on_gone(h, gd_wait_cancel_batch, &n->on_gone) &&
           gd_idempotency_read(h, &n->key, &n->sub.op.idempotency);
}

void gd_ndjson_finish(struct gd_ndjson *n, enum gd_intake_kind kind)
{
    struct gd_http *h = n->http;
    n->kind = kind;
    n->finished = true;
    if (n->line.len > 0) {
        take_line(n, gd_buf_view(&n->line));
        gd_buf_reset(&n->line);
    }
    if (!read_request(n))
        return;
    gd_http_keep(h, n, abandon);
    if (!n->staging_now)
        conclude(n); /* else when that is back */
}
