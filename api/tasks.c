/* GET /v1/tasks/{id}, …/result, …/exception, …/job: done(), result(), exception(),
 * get_coro(). */
#include "api/answers.h"
#include "api/cache.h"
#include "api/routes.h"
#include "api/wait.h"
#include "base/json_out.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* A task as it is read: what is shown of it, into a page. */
struct reading {
    struct gd_http *h;
    const struct gd_task *t;
    struct gd_page page;
    enum gd_state state;
    int exit_code;
    bool has_exit_code;
    struct gd_buf exception; /* a copy */
};

static void reading_done(struct reading *rd)
{
    gd_page_free(&rd->page);
    gd_buf_free(&rd->exception);
}

void gd_add_location(struct MHD_Response *r, const char *what, uint64_t id)
{
    char path[64];
    (void)snprintf(path, sizeof(path), "/v1/%s/%llu", what, (unsigned long long)id);
    gd_http_add(r, MHD_HTTP_HEADER_LOCATION, path);
}

static void note_state(struct reading *rd, const struct gd_task_record *r)
{
    rd->state = gd_shown_state(r, rd->t);
    rd->has_exit_code =
        gd_state_is_final(rd->state) && r->result >= GD_RK_COMMAND && r->result <= GD_RK_JSON;
    rd->exit_code = r->exit_code;
    if (gd_state_is_final(rd->state))
        gd_buf_span(&rd->exception, r->exception);
}

/* Reads the task into rd->page by `put`. False: it was answered. */
static bool read_task(struct reading *rd, uint64_t id, gd_task_record_fn *put)
{
    struct gd_core *c = rd->h->api->core;
    rd->t = gd_core_task(c, id);
    int rc = gd_core_is_staged(c, id) ? GD_E_NO_TASK
                                      : c->store->ops->read_task(c->store, id, !rd->t, put, rd);
    if (rc == 0)
        return true;
    if (rc == GD_E_NO_TASK)
        gd_http_fail(rd->h, GD_PROBLEM_NO_TASK, "task %llu", (unsigned long long)id);
    else
        gd_http_fail(rd->h, GD_PROBLEM_INTERNAL, "the store cannot be read");
    return false;
}

/* --- snapshots */

static bool put_snapshot(const struct gd_task_record *r, void *arg)
{
    struct reading *rd = arg;
    note_state(rd, r);
    gd_put_task(&rd->page, r, rd->t, !rd->h->no_result);
    gd_buf_putc(&rd->page.text, '\n');
    return true;
}

static void add_state(struct MHD_Response *r, const struct reading *rd)
{
    char code[16];
    gd_http_add(r, "Gatherd-State", gd_state_name(rd->state));
    if (!rd->has_exit_code)
        return;
    (void)snprintf(code, sizeof(code), "%d", rd->exit_code);
    gd_http_add(r, "Gatherd-Exit-Code", code);
}

bool gd_answer_not_modified(struct gd_http *h, const char *etag)
{
    const char *have = gd_http_header(h, MHD_HTTP_HEADER_IF_NONE_MATCH);
    if (h->route->method != GD_GET || !have || (strcmp(have, "*") != 0 && !strstr(have, etag)))
        return false;
    struct MHD_Response *r = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    gd_http_add(r, MHD_HTTP_HEADER_ETAG, etag);
    gd_http_respond(h, MHD_HTTP_NOT_MODIFIED, r);
    return true;
}

/* A snapshot that fits into memory: with ETag, and kept for the next poll. */
static void answer_plain(struct gd_http *h, struct reading *rd, uint64_t id, unsigned status)
{
    char etag[GD_ETAG_BYTES];
    bool tagged = status != MHD_HTTP_CREATED;
    bool poll = status == MHD_HTTP_OK && !h->suspended && h->preferred_ms < 0 && !h->replayed;
    if (tagged)
        gd_etag_of(rd->page.text.ptr ? rd->page.text.ptr : "", rd->page.text.len, etag);
    bool keeps = rd->page.text.len <= GD_CACHE_BODY && !h->no_result;
    unsigned why = gd_pending_why(rd->t); /* changes with other tasks */
    struct MHD_Response *r = gd_http_response(&rd->page.text, "application/json");
    if (!r) {
        gd_http_error(h, -ENOMEM);
        return;
    }
    if (tagged)
        gd_http_add(r, MHD_HTTP_HEADER_ETAG, etag);
    add_state(r, rd);
    if (poll && gd_answer_not_modified(h, etag)) {
        MHD_destroy_response(r);
    } else if (poll && keeps && gd_cache_put_task(h->api->cache, id, why, r, etag)) {
        gd_http_respond_shared(h, status, r);
    } else {
        if (status != MHD_HTTP_OK)
            gd_add_location(r, "tasks", id);
        gd_http_respond(h, status, r);
    }
}

/* One with parts in files: these do not change, so what is in memory tells the version. */
static void answer_large(struct gd_http *h, struct reading *rd, uint64_t id, unsigned status)
{
    char etag[GD_ETAG_BYTES];
    const struct gd_buf *text = &rd->page.text;
    gd_etag_of(text->ptr ? text->ptr : "", text->len, etag);
    if (status == MHD_HTTP_OK && !h->suspended && gd_answer_not_modified(h, etag))
        return;
    struct MHD_Response *r =
        gd_http_pages_response(h, "application/json", &rd->page, NULL, NULL, NULL);
    if (!r) {
        gd_http_error(h, -ENOMEM);
        return;
    }
    gd_http_add(r, MHD_HTTP_HEADER_ETAG, etag);
    add_state(r, rd);
    if (status != MHD_HTTP_OK)
        gd_add_location(r, "tasks", id);
    gd_http_respond(h, status, r);
}

void gd_answer_task(struct gd_http *h, uint64_t id, unsigned status)
{
    struct reading rd = {.h = h};
    if (!read_task(&rd, id, put_snapshot)) {
        reading_done(&rd);
        return;
    }
    if (gd_page_is_plain(&rd.page) && gd_buf_error(&rd.page.text) == 0)
        answer_plain(h, &rd, id, status);
    else
        answer_large(h, &rd, id, status);
    reading_done(&rd);
}

void gd_answer_made_task(struct gd_http *h, const struct gd_task_record *r)
{
    struct reading rd = {.h = h, .t = gd_core_task(h->api->core, r->id)};
    (void)put_snapshot(r, &rd);
    answer_plain(h, &rd, r->id, MHD_HTTP_CREATED);
    reading_done(&rd);
}

static void answer_waited(struct gd_http *h, uint64_t id, bool in_time)
{
    gd_answer_task(h, id, in_time ? MHD_HTTP_OK : MHD_HTTP_ACCEPTED);
}

void gd_get_task(struct gd_http *h)
{
    int64_t wait_ms = -1;
    bool preferred = false;
    bool result = true;
    struct gd_err err;
    const char *etag = NULL;
    void (*on_gone)(struct gd_core *, uint64_t) = NULL;
    if (h->query.len == 0 && !gd_http_header(h, "Prefer")) {
        unsigned why = gd_pending_why(gd_core_task(h->api->core, h->id));
        struct MHD_Response *r = gd_cache_task(h->api->cache, h->id, why, &etag);
        if (r && !gd_answer_not_modified(h, etag))
            gd_http_respond_shared(h, MHD_HTTP_OK, r);
        else if (!r)
            gd_answer_task(h, h->id, MHD_HTTP_OK);
        return;
    }
    if (!gd_http_wait(h, &wait_ms, &preferred) ||
        !gd_wait_on_gone(h, gd_wait_cancel_task, &on_gone))
        return;
    if (gd_params_bool(&h->params, "result", &result, &err) < 0) {
        gd_http_fail(h, GD_PROBLEM_BAD_REQUEST, "%s", err.text);
        return;
    }
    h->no_result = !result;
    h->preferred_ms = preferred ? wait_ms : -1;
    struct gd_task *t = gd_core_task(h->api->core, h->id);
    if (t && wait_ms > 0)
        gd_wait_for(h, &t->future, wait_ms, h->id, answer_waited, on_gone);
    else
        gd_answer_task(h, h->id, t && wait_ms == 0 ? MHD_HTTP_ACCEPTED : MHD_HTTP_OK);
}

/* --- result() and exception() */

static bool put_result(const struct gd_task_record *r, void *arg)
{
    struct reading *rd = arg;
    note_state(rd, r);
    if (rd->state == GD_SUCCEEDED)
        gd_put_result(&rd->page, r);
    gd_buf_putc(&rd->page.text, '\n');
    return true;
}

/* 409 or 424: there is no result to be had. */
static void answer_no_result(struct gd_http *h, const struct reading *rd, uint64_t id)
{
    struct gd_buf members = {0};
    char detail[96];
    const char *what = rd->state == GD_FAILED      ? "failed"
                       : rd->state == GD_CANCELLED ? "was cancelled"
                                                   : "is not done yet";
    (void)snprintf(detail, sizeof(detail), "task %llu %s", (unsigned long long)id, what);
    struct gd_problem_info info = {.problem = rd->state == GD_FAILED ? GD_PROBLEM_TASK_FAILED
                                              : rd->state == GD_CANCELLED
                                                  ? GD_PROBLEM_TASK_CANCELLED
                                                  : GD_PROBLEM_INVALID_STATE,
                                   .detail = detail};
    if (gd_state_is_final(rd->state))
        gd_put_exception_members(&members, 0, id, gd_buf_view(&rd->exception));
    else
        info.retry_after_s = 1;
    info.members = gd_buf_view(&members);
    gd_http_problem(h, &info);
    gd_buf_free(&members);
}

static void answer_result(struct gd_http *h, uint64_t id, bool in_time)
{
    (void)in_time;
    struct reading rd = {.h = h};
    if (read_task(&rd, id, put_result)) {
        if (rd.state == GD_SUCCEEDED)
            gd_http_pages(h, MHD_HTTP_OK, "application/json", &rd.page, NULL, NULL, NULL);
        else
            answer_no_result(h, &rd, id);
    }
    reading_done(&rd);
}

static void answer_exception(struct gd_http *h, uint64_t id, bool in_time)
{
    (void)in_time;
    struct reading rd = {.h = h};
    if (read_task(&rd, id, put_result)) {
        if (rd.state == GD_SUCCEEDED || rd.state == GD_FAILED) {
            struct gd_buf b = {0};
            gd_json_raw(&b, gd_buf_view(&rd.exception));
            gd_buf_putc(&b, '\n');
            gd_http_json(h, MHD_HTTP_OK, &b);
        } else {
            answer_no_result(h, &rd, id);
        }
    }
    reading_done(&rd);
}

/* With ?wait= it is the await before: at the end of the time it is asked all the same. */
static void wait_then(struct gd_http *h, gd_wait_fn *fn)
{
    int64_t wait_ms = -1;
    bool preferred = false;
    if (!gd_http_wait(h, &wait_ms, &preferred))
        return;
    h->preferred_ms = preferred ? wait_ms : -1;
    struct gd_task *t = gd_core_task(h->api->core, h->id);
    if (t && wait_ms > 0)
        gd_wait_for(h, &t->future, wait_ms, h->id, fn, NULL);
    else
        fn(h, h->id, !t);
}

void gd_get_result(struct gd_http *h)
{
    wait_then(h, answer_result);
}

void gd_get_exception(struct gd_http *h)
{
    wait_then(h, answer_exception);
}

/* --- get_coro(): what it was asked to do */

void gd_get_job(struct gd_http *h)
{
    struct gd_core *c = h->api->core;
    struct gd_buf text = {0};
    int rc = gd_core_is_staged(c, h->id) ? GD_E_NO_TASK
                                         : c->store->ops->read_job(c->store, h->id, &text);
    if (rc == 0) {
        gd_buf_putc(&text, '\n');
        gd_http_json(h, MHD_HTTP_OK, &text);
        return;
    }
    gd_buf_free(&text);
    if (rc == GD_E_NO_TASK)
        gd_http_fail(h, GD_PROBLEM_NO_TASK, "task %llu", (unsigned long long)h->id);
    else
        gd_http_error(h, rc);
}
