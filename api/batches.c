/* GET /v1/batches/{id} and …/results: the outer future of a gather. */
#include "api/answers.h"
#include "api/cache.h"
#include "api/routes.h"
#include "api/wait.h"
#include "base/json_out.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct reading {
    struct gd_http *h;
    const struct gd_batch *b;
    struct gd_page page;
    enum gd_state state;
    uint64_t culprit;
    struct gd_buf exception;
    bool with_tasks;
};

static void reading_done(struct reading *rd)
{
    gd_page_free(&rd->page);
    gd_buf_free(&rd->exception);
}

static bool read_batch(struct reading *rd, uint64_t id, gd_batch_record_fn *put)
{
    struct gd_core *c = rd->h->api->core;
    rd->b = gd_core_batch(c, id);
    int rc = c->store->ops->read_batch(c->store, id, put, rd);
    if (rc == 0)
        return true;
    if (rc == GD_E_NO_BATCH)
        gd_http_fail(rd->h, GD_PROBLEM_NO_BATCH, "batch %llu", (unsigned long long)id);
    else
        gd_http_fail(rd->h, GD_PROBLEM_INTERNAL, "the store cannot be read");
    return false;
}

static bool note_state(const struct gd_batch_record *r, void *arg)
{
    struct reading *rd = arg;
    rd->state = rd->b ? gd_batch_state(rd->b) : r->is_done ? r->state : GD_PENDING;
    rd->culprit = r->culprit;
    if (gd_state_is_final(rd->state))
        gd_buf_span(&rd->exception, r->exception);
    return true;
}

/* --- snapshots */

/* The ids of all children in order, in place of the closing brace. */
static void put_tasks(struct reading *rd, uint64_t id)
{
    struct gd_core *c = rd->h->api->core;
    struct gd_buf *b = &rd->page.text;
    struct gd_buf extents = {0};
    int rc = c->store->ops->read_extents(c->store, id, &extents);
    if (b->err == 0)
        b->len--;
    gd_json_name(b, "tasks");
    gd_json_begin(b, '[');
    for (size_t at = 0; rc == 0 && at < extents.len; at += sizeof(struct gd_extent)) {
        struct gd_extent e;
        memcpy(&e, extents.ptr + at, sizeof(e));
        for (uint64_t i = 0; i < e.n; i++)
            gd_json_u64(b, e.first + i);
    }
    gd_json_finish(b, ']');
    gd_json_finish(b, '}');
    gd_buf_free(&extents);
}

static bool put_snapshot(const struct gd_batch_record *r, void *arg)
{
    struct reading *rd = arg;
    (void)note_state(r, arg);
    gd_put_batch(&rd->page, r, rd->b);
    return true;
}

static void answer_snapshot(struct gd_http *h, uint64_t id, unsigned status, bool with_tasks)
{
    struct reading rd = {.h = h};
    char etag[GD_ETAG_BYTES];
    if (!read_batch(&rd, id, put_snapshot)) {
        reading_done(&rd);
        return;
    }
    if (with_tasks)
        put_tasks(&rd, id);
    struct gd_buf *text = &rd.page.text;
    gd_buf_putc(text, '\n');
    gd_etag_of(text->ptr ? text->ptr : "", text->len, etag);
    bool small = text->len <= GD_CACHE_BODY;
    struct MHD_Response *r = gd_http_response(text, "application/json");
    bool poll = r && status == MHD_HTTP_OK && !h->suspended && h->preferred_ms < 0 && !with_tasks &&
                !h->replayed;
    if (!with_tasks) {
        gd_http_add(r, MHD_HTTP_HEADER_ETAG, etag);
        gd_http_add(r, "Gatherd-State", gd_state_name(rd.state));
    }
    if (!r) {
        gd_http_error(h, -ENOMEM);
    } else if (poll && gd_answer_not_modified(h, etag)) {
        MHD_destroy_response(r);
    } else if (poll && small && gd_cache_put_batch(h->api->cache, id, r, etag)) {
        gd_http_respond_shared(h, status, r);
    } else {
        if (status != MHD_HTTP_OK || with_tasks)
            gd_add_location(r, "batches", id);
        gd_http_respond(h, status, r);
    }
    reading_done(&rd);
}

void gd_answer_batch(struct gd_http *h, uint64_t id, unsigned status)
{
    answer_snapshot(h, id, status, false);
}

void gd_answer_new_batch(struct gd_http *h, uint64_t id, unsigned status)
{
    answer_snapshot(h, id, status, true);
}

static void answer_waited(struct gd_http *h, uint64_t id, bool in_time)
{
    gd_answer_batch(h, id, in_time ? MHD_HTTP_OK : MHD_HTTP_ACCEPTED);
}

void gd_get_batch(struct gd_http *h)
{
    int64_t wait_ms = -1;
    bool preferred = false;
    const char *etag = NULL;
    void (*on_gone)(struct gd_core *, uint64_t) = NULL;
    if (h->query.len == 0 && !gd_http_header(h, "Prefer")) {
        struct MHD_Response *r = gd_cache_batch(h->api->cache, h->id, &etag);
        if (r && !gd_answer_not_modified(h, etag))
            gd_http_respond_shared(h, MHD_HTTP_OK, r);
        else if (!r)
            gd_answer_batch(h, h->id, MHD_HTTP_OK);
        return;
    }
    if (!gd_http_wait(h, &wait_ms, &preferred) ||
        !gd_wait_on_gone(h, gd_wait_cancel_batch, &on_gone))
        return;
    h->preferred_ms = preferred ? wait_ms : -1;
    const char *until = gd_params_get(&h->params, "until");
    bool settled = until && strcmp(until, "settled") == 0;
    if (until && !settled && strcmp(until, "done") != 0) {
        gd_http_fail(h, GD_PROBLEM_BAD_REQUEST, "until must be \"done\" or \"settled\"");
        return;
    }
    struct gd_batch *b = gd_core_batch(h->api->core, h->id);
    struct gd_future *f = !b ? NULL : settled ? &b->settled : &b->gather.future;
    bool open = f && !gd_future_done(f);
    if (open && wait_ms > 0)
        gd_wait_for(h, f, wait_ms, h->id, answer_waited, on_gone);
    else
        gd_answer_batch(h, h->id, open && wait_ms == 0 ? MHD_HTTP_ACCEPTED : MHD_HTTP_OK);
}

/* --- results */

/* Entries in one page: about a millisecond's work. */
#define ENTRIES_A_PAGE 256
/* A page ends early when it has this many bytes. */
#define PAGE_BYTES ((size_t)256 << 10)

struct results {
    struct gd_core *core;
    uint64_t batch;
    uint64_t next; /* index of the next entry */
    unsigned n;    /* entries in this page */
    bool lines;    /* NDJSON */
    bool only_ended;
    struct gd_page *page;
    bool more;
};

static bool put_one(const struct gd_task_record *r, void *arg)
{
    struct results *rs = arg;
    if (rs->n == ENTRIES_A_PAGE || rs->page->text.len > PAGE_BYTES) {
        rs->more = true;
        return false;
    }
    const struct gd_task *t = gd_core_task(rs->core, r->id);
    struct gd_buf *b = &rs->page->text;
    rs->next = (uint64_t)r->index + 1;
    if (rs->only_ended && !gd_state_is_final(gd_shown_state(r, t)))
        return true;
    rs->n++;
    if (!rs->lines && r->index > 0 && (b->len == 0 || b->ptr[b->len - 1] == '\n'))
        gd_buf_putc(b, ',');
    size_t from = b->len;
    gd_put_entry(rs->page, r, t);
    if (rs->lines) {
        gd_page_one_line(b, from); /* a value is as the client wrote it */
        gd_buf_putc(b, '\n');
    }
    return true;
}

static int put_page(void *arg, struct gd_page *p)
{
    struct results *rs = arg;
    rs->page = p;
    rs->n = 0;
    rs->more = false;
    int rc = rs->core->store->ops->read_children(rs->core->store, rs->batch, rs->next, put_one, rs);
    if (rc < 0)
        return rc;
    if (!rs->more && !rs->lines)
        gd_buf_puts(&p->text, "]}\n");
    return rs->more;
}

static void begin_results(struct gd_buf *b, uint64_t id, enum gd_state state)
{
    gd_json_begin(b, '{');
    gd_json_name(b, "batch");
    gd_json_u64(b, id);
    gd_json_name(b, "state");
    gd_json_str(b, gd_state_name(state));
    gd_json_name(b, "results");
    gd_json_begin(b, '[');
}

static void send_results(struct gd_http *h, uint64_t id, enum gd_state state, bool lines,
                         bool only_ended)
{
    struct gd_page page = {0};
    struct results *rs = calloc(1, sizeof(*rs));
    if (!rs) {
        gd_http_error(h, -ENOMEM);
        return;
    }
    *rs = (struct results){
        .core = h->api->core, .batch = id, .lines = lines, .only_ended = only_ended};
    if (!lines)
        begin_results(&page.text, id, state);
    int rc = put_page(rs, &page);
    if (rc < 0) {
        free(rs);
        gd_page_free(&page);
        gd_http_fail(h, GD_PROBLEM_INTERNAL, "the store cannot be read");
        return;
    }
    gd_http_pages(h, MHD_HTTP_OK, lines ? "application/x-ndjson" : "application/json", &page,
                  rc > 0 ? put_page : NULL, free, rs);
}

static void answer_failed(struct gd_http *h, const struct reading *rd, uint64_t id)
{
    struct gd_buf members = {0};
    char detail[128];
    bool cancelled = rd->state == GD_CANCELLED;
    if (rd->culprit)
        (void)snprintf(detail, sizeof(detail), "task %llu of batch %llu did not succeed",
                       (unsigned long long)rd->culprit, (unsigned long long)id);
    else
        (void)snprintf(detail, sizeof(detail), "batch %llu %s", (unsigned long long)id,
                       cancelled ? "was cancelled" : "failed");
    gd_put_exception_members(&members, id, rd->culprit, gd_buf_view(&rd->exception));
    gd_http_problem(h, &(struct gd_problem_info){.problem = cancelled ? GD_PROBLEM_TASK_CANCELLED
                                                                      : GD_PROBLEM_TASK_FAILED,
                                                 .detail = detail,
                                                 .members = gd_buf_view(&members)});
    gd_buf_free(&members);
}

static bool wants_lines(const struct gd_http *h)
{
    const char *accept = gd_http_header(h, MHD_HTTP_HEADER_ACCEPT);
    return accept && strcasestr(accept, "ndjson") != NULL;
}

void gd_answer_results(struct gd_http *h, uint64_t id, bool partial)
{
    struct reading rd = {.h = h};
    bool lines = wants_lines(h);
    if (!read_batch(&rd, id, note_state)) {
        reading_done(&rd);
        return;
    }
    bool done = gd_state_is_final(rd.state);
    if (!done && !partial)
        gd_http_problem(h, &(struct gd_problem_info){
                               .problem = GD_PROBLEM_INVALID_STATE,
                               .detail = "the batch is not done yet; ?partial=1 shows what is, "
                                         "?wait=SECONDS waits",
                               .retry_after_s = 1});
    else if (rd.state == GD_SUCCEEDED || partial || lines)
        send_results(h, id, rd.state, lines, lines && partial);
    else
        answer_failed(h, &rd, id);
    reading_done(&rd);
}

static void answer_results_waited(struct gd_http *h, uint64_t id, bool in_time)
{
    if (in_time)
        gd_answer_results(h, id, false);
    else
        gd_answer_batch(h, id, MHD_HTTP_ACCEPTED);
}

void gd_get_results(struct gd_http *h)
{
    struct gd_err err;
    int64_t wait_ms = -1;
    bool preferred = false;
    bool partial = false;
    if (!gd_http_wait(h, &wait_ms, &preferred))
        return;
    if (gd_params_bool(&h->params, "partial", &partial, &err) < 0) {
        gd_http_fail(h, GD_PROBLEM_BAD_REQUEST, "%s", err.text);
        return;
    }
    h->preferred_ms = preferred ? wait_ms : -1;
    struct gd_batch *b = gd_core_batch(h->api->core, h->id);
    if (b && !gd_future_done(&b->gather.future) && wait_ms > 0)
        gd_wait_for(h, &b->gather.future, wait_ms, h->id, answer_results_waited, NULL);
    else
        gd_answer_results(h, h->id, partial);
}
