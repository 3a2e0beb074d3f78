#include "api/encode.h"

#include "base/json_out.h"

#include <string.h>

enum gd_state gd_shown_state(const struct gd_task_record *r, const struct gd_task *t)
{
    if (t)
        return gd_task_state(t);
    return r->has_outcome ? r->state : GD_PENDING;
}

/* --- results */

/* One output stream as a JSON string; a file leaves a hole. */
static void put_stream(struct gd_page *p, const struct gd_task_record *r, bool is_err,
                       enum gd_hole_form form)
{
    const struct gd_record_output *o = is_err ? &r->err : &r->out;
    const char *bytes = o->bytes.ptr ? o->bytes.ptr : "";
    gd_json_strn(&p->text, "", 0);
    p->text.len -= p->text.err ? 0 : 1; /* what is in it comes before the closing quote */
    if (o->in_file)
        gd_page_hole(p, (struct gd_hole){
                            .task = r->id, .attempt = r->attempt, .is_err = is_err, .form = form});
    else if (form == GD_HOLE_BASE64)
        (void)gd_json_base64(&p->text, bytes, o->bytes.len, true);
    else
        (void)gd_json_escape(&p->text, bytes, o->bytes.len, true);
    gd_buf_putc(&p->text, '"');
}

static bool is_truncated(const struct gd_task_record *r)
{
    return r->out.kept < r->out.total || r->err.kept < r->err.total;
}

static void put_command(struct gd_page *p, const struct gd_task_record *r)
{
    struct gd_buf *b = &p->text;
    gd_json_begin(b, '{');
    gd_json_name(b, "exit_code");
    gd_json_i64(b, r->exit_code);
    gd_json_name(b, "stdout");
    put_stream(p, r, false, GD_HOLE_TEXT);
    gd_json_name(b, "stderr");
    put_stream(p, r, true, GD_HOLE_TEXT);
    gd_json_name(b, "truncated");
    gd_json_bool(b, is_truncated(r));
    if (r->detail.len > 0) {
        gd_buf_putc(b, ',');
        gd_buf_span(b, r->detail);
    }
    gd_json_finish(b, '}');
}

static void put_raw_stream(struct gd_page *p, const struct gd_task_record *r)
{
    if (!r->out.in_file) {
        size_t from = p->text.len;
        gd_json_raw(&p->text, r->out.bytes);
        gd_page_one_line(&p->text, from);
        return;
    }
    gd_json_raw(&p->text, GD_SPAN(" ")); /* for the comma, if one is due */
    gd_page_hole(p, (struct gd_hole){.task = r->id, .attempt = r->attempt, .form = GD_HOLE_JSON});
}

static void put_fetch(struct gd_page *p, const struct gd_task_record *r)
{
    struct gd_buf *b = &p->text;
    gd_json_begin(b, '{');
    gd_buf_span(b, r->detail);
    if (r->result == GD_RK_FETCH_TEXT) {
        gd_json_name(b, "body");
        put_stream(p, r, false, GD_HOLE_TEXT);
    } else if (r->result == GD_RK_FETCH_BYTES) {
        gd_json_name(b, "body_base64");
        put_stream(p, r, false, GD_HOLE_BASE64);
    }
    gd_json_finish(b, '}');
}

void gd_put_result(struct gd_page *p, const struct gd_task_record *r)
{
    switch (r->state == GD_SUCCEEDED ? r->result : GD_RK_NONE) {
    case GD_RK_VALUE:
        gd_json_raw(&p->text, r->value);
        break;
    case GD_RK_COMMAND:
        put_command(p, r);
        break;
    case GD_RK_STDOUT:
        put_stream(p, r, false, GD_HOLE_TEXT);
        break;
    case GD_RK_JSON:
        put_raw_stream(p, r);
        break;
    case GD_RK_FETCH:
    case GD_RK_FETCH_TEXT:
    case GD_RK_FETCH_BYTES:
        put_fetch(p, r);
        break;
    case GD_RK_NONE:
        gd_json_null(&p->text);
        break;
    }
}

/* --- tasks */

static void put_name(struct gd_buf *b, const struct gd_task_record *r)
{
    gd_json_name(b, "name");
    if (r->name.ptr)
        gd_json_strn(b, r->name.ptr, r->name.len);
    else
        gd_buf_printf(b, "\"Task-%llu\"", (unsigned long long)r->id);
}

static void put_labels(struct gd_buf *b, struct gd_span labels)
{
    gd_json_name(b, "labels");
    gd_json_raw(b, labels.ptr ? labels : GD_SPAN("{}"));
}

/* Does it wait for others of its batch or its host? Also if the worker has it already. */
static bool is_limited(const struct gd_task *t)
{
    size_t concurrency = t->batch ? t->batch->lanes.concurrency : 0;
    return gd_schedule_at_limit(t) || (concurrency && t->batch->n_running >= concurrency);
}

/* What a pending task waits for. */
enum {
    WHY_NOT_PENDING,
    WHY_QUEUED,
    WHY_HOST,
    WHY_BATCH
};

unsigned gd_pending_why(const struct gd_task *t)
{
    if (!t || gd_task_state(t) != GD_PENDING)
        return WHY_NOT_PENDING;
    return !is_limited(t) ? WHY_QUEUED : t->at_limit ? WHY_HOST : WHY_BATCH;
}

/* Why a pending task waits, as a word and a sentence. */
static void put_reason(struct gd_buf *b, const struct gd_task *t, enum gd_state state)
{
    gd_json_name(b, "reason");
    if (state != GD_PENDING) {
        gd_json_null(b);
        return;
    }
    unsigned why = gd_pending_why(t);
    bool limited = why == WHY_HOST || why == WHY_BATCH;
    gd_json_str(b, gd_reason_name(limited ? GD_REASON_LIMIT : GD_REASON_QUEUED));
    gd_json_name(b, "detail");
    if (!limited)
        gd_json_str(b, t && t->kind == GD_KIND_SLEEP   ? "is about to begin"
                       : t && t->kind == GD_KIND_FETCH ? "waits for its turn among the fetches"
                                                       : "waits for a free slot");
    else if (why == WHY_HOST)
        gd_json_str(b, "as many fetches from its host run as may run at once");
    else
        gd_buf_printf(b, "\"%zu tasks of batch %llu run, its concurrency allows no more\"",
                      t->batch->lanes.concurrency, (unsigned long long)t->batch->id);
}

static void put_progress(struct gd_buf *b, const struct gd_task *t)
{
    gd_json_name(b, "progress");
    if (!t || !t->extra || t->extra->bytes < 0) {
        gd_json_null(b);
        return;
    }
    gd_json_begin(b, '{');
    gd_json_name(b, "bytes");
    gd_json_i64(b, t->extra->bytes);
    gd_json_name(b, "total");
    if (t->extra->total >= 0)
        gd_json_i64(b, t->extra->total);
    else
        gd_json_null(b);
    gd_json_finish(b, '}');
}

static void put_task_links(struct gd_buf *b, const struct gd_task_record *r)
{
    unsigned long long id = r->id;
    gd_json_name(b, "links");
    gd_buf_printf(b, "{\"self\":\"/v1/tasks/%llu\"", id);
    if (r->kind != GD_KIND_SLEEP)
        gd_buf_printf(b, ",\"stdout\":\"/v1/tasks/%llu/stdout\"", id);
    if (r->kind == GD_KIND_RUN || r->kind == GD_KIND_SHELL)
        gd_buf_printf(b, ",\"stderr\":\"/v1/tasks/%llu/stderr\"", id);
    if (r->batch)
        gd_buf_printf(b, ",\"batch\":\"/v1/batches/%llu\"", (unsigned long long)r->batch);
    gd_buf_putc(b, '}');
}

static void put_whose(struct gd_buf *b, const struct gd_task_record *r)
{
    gd_json_name(b, "batch");
    if (!r->batch) {
        gd_json_null(b);
        gd_json_name(b, "index");
        gd_json_null(b);
        return;
    }
    gd_json_u64(b, r->batch);
    gd_json_name(b, "index");
    gd_json_u64(b, r->index);
}

static void put_times(struct gd_buf *b, const struct gd_task_record *r, const struct gd_task *t)
{
    bool done = !t && r->has_outcome;
    gd_json_name(b, "created_at");
    gd_json_time(b, r->created_ms);
    gd_json_name(b, "started_at");
    gd_json_time(b, t ? t->started_ms : done ? r->started_ms : 0);
    gd_json_name(b, "finished_at");
    gd_json_time(b, done ? r->finished_ms : 0);
}

void gd_put_task(struct gd_page *p, const struct gd_task_record *r, const struct gd_task *t,
                 bool result)
{
    struct gd_buf *b = &p->text;
    enum gd_state state = gd_shown_state(r, t);
    bool done = gd_state_is_final(state);
    unsigned n_cancels = t ? (t->extra ? t->extra->n_cancels : 0) : r->n_cancels;
    gd_json_begin(b, '{');
    gd_json_name(b, "id");
    gd_json_u64(b, r->id);
    put_name(b, r);
    put_whose(b, r);
    gd_json_name(b, "kind");
    gd_json_str(b, gd_kind_name(r->kind));
    gd_json_name(b, "on");
    gd_json_str(b, "local");
    gd_json_name(b, "state");
    gd_json_str(b, gd_state_name(state));
    put_reason(b, t, state);
    gd_json_name(b, "done");
    gd_json_bool(b, done);
    gd_json_name(b, "cancelled");
    gd_json_bool(b, state == GD_CANCELLED);
    gd_json_name(b, "cancelling");
    gd_json_u64(b, n_cancels);
    gd_json_name(b, "attempt");
    gd_json_u64(b, t ? t->attempt : done ? r->attempt : 1);
    put_progress(b, t);
    if (result) {
        gd_json_name(b, "result");
        if (done)
            gd_put_result(p, r);
        else
            gd_json_null(b);
    }
    gd_json_name(b, "exception");
    gd_json_raw(b, done ? r->exception : (struct gd_span){0});
    put_times(b, r, t);
    put_labels(b, r->labels);
    put_task_links(b, r);
    gd_json_finish(b, '}');
}

void gd_put_entry(struct gd_page *p, const struct gd_task_record *r, const struct gd_task *t)
{
    struct gd_buf *b = &p->text;
    enum gd_state state = gd_shown_state(r, t);
    gd_json_begin(b, '{');
    gd_json_name(b, "task");
    gd_json_u64(b, r->id);
    put_name(b, r);
    if (!gd_state_is_final(state)) {
        gd_json_name(b, "state");
        gd_json_str(b, gd_state_name(state));
    } else if (state == GD_SUCCEEDED) {
        gd_json_name(b, "result");
        gd_put_result(p, r);
    } else {
        gd_json_name(b, "exception");
        gd_json_raw(b, r->exception);
    }
    gd_json_finish(b, '}');
}

/* --- batches */

static void put_counts(struct gd_buf *b, const struct gd_batch_record *r,
                       const struct gd_batch *live)
{
    uint64_t counts[GD_N_STATES];
    memcpy(counts, r->counts, sizeof(counts));
    if (live) {
        for (unsigned s = 0; s < GD_N_STATES; s++)
            counts[s] = live->gather.counts[s];
        counts[GD_RUNNING] = live->n_running;
        counts[GD_PENDING] = live->gather.n_left - live->n_running;
    } else if (!r->settled_ms) {
        counts[GD_PENDING] = r->n;
    }
    gd_json_name(b, "counts");
    gd_json_begin(b, '{');
    for (unsigned s = 0; s < GD_N_STATES; s++) {
        gd_json_name(b, gd_state_name((enum gd_state)s));
        gd_json_u64(b, counts[s]);
    }
    gd_json_finish(b, '}');
}

static void put_rules(struct gd_buf *b, const struct gd_batch_record *r)
{
    gd_json_name(b, "return_exceptions");
    gd_json_bool(b, r->return_exceptions);
    gd_json_name(b, "on_failure");
    gd_json_str(b, r->cancel_on_failure ? "cancel" : "continue");
    gd_json_name(b, "concurrency");
    if (r->concurrency)
        gd_json_u64(b, r->concurrency);
    else
        gd_json_null(b);
    gd_json_name(b, "timeout");
    if (r->timeout_ms >= 0)
        gd_json_ms(b, r->timeout_ms);
    else
        gd_json_null(b);
}

void gd_put_batch(struct gd_page *p, const struct gd_batch_record *r, const struct gd_batch *live)
{
    struct gd_buf *b = &p->text;
    enum gd_state state = live ? gd_batch_state(live) : r->is_done ? r->state : GD_PENDING;
    bool done = gd_state_is_final(state);
    unsigned long long id = r->id;
    gd_json_begin(b, '{');
    gd_json_name(b, "id");
    gd_json_u64(b, r->id);
    gd_json_name(b, "name");
    if (r->name.ptr)
        gd_json_strn(b, r->name.ptr, r->name.len);
    else
        gd_json_null(b);
    gd_json_name(b, "state");
    gd_json_str(b, gd_state_name(state));
    gd_json_name(b, "done");
    gd_json_bool(b, done);
    gd_json_name(b, "settled");
    gd_json_bool(b, done && r->settled_ms);
    gd_json_name(b, "total");
    gd_json_u64(b, r->n);
    put_counts(b, r, live);
    gd_json_name(b, "exception");
    gd_json_raw(b, done ? r->exception : (struct gd_span){0});
    gd_json_name(b, "first_failed");
    if (done && r->culprit)
        gd_json_u64(b, r->culprit);
    else
        gd_json_null(b);
    put_rules(b, r);
    gd_json_name(b, "created_at");
    gd_json_time(b, r->created_ms);
    gd_json_name(b, "started_at");
    gd_json_time(b, live ? live->started_ms : r->started_ms);
    gd_json_name(b, "finished_at");
    gd_json_time(b, done ? r->finished_ms : 0);
    put_labels(b, r->labels);
    gd_buf_printf(
        b,
        ",\"links\":{\"self\":\"/v1/batches/%llu\",\"results\":\"/v1/batches/%llu/results\","
        "\"tasks\":\"/v1/tasks?batch=%llu\"}",
        id, id, id);
    gd_json_finish(b, '}');
}

void gd_put_exception_members(struct gd_buf *b, uint64_t batch, uint64_t task,
                              struct gd_span exception)
{
    if (batch) {
        gd_json_name(b, "batch");
        gd_json_u64(b, batch);
    }
    if (task) {
        gd_json_name(b, "task");
        gd_json_u64(b, task);
    }
    gd_json_name(b, "exception");
    gd_json_raw(b, exception);
}
