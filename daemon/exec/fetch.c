/* `fetch`: what goes to the fetcher, and what an end of its means. */
#include "base/exception.h"
#include "base/json_out.h"
#include "base/json_scan.h"
#include "daemon/exec/remote.h"

#include <cjson/cJSON.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void put_headers(struct gd_msg *m, const struct cJSON *headers)
{
    size_t opened = gd_msg_open(m, GD_FIELD_HEADERS);
    for (const struct cJSON *h = headers->child; h; h = h->next) {
        gd_buf_puts(&m->fields, h->string);
        gd_buf_puts(&m->fields, ": ");
        gd_buf_put(&m->fields, h->valuestring, strlen(h->valuestring) + 1);
    }
    gd_msg_close(m, opened);
}

static void put_start(struct gd_remote *r, const struct gd_task *t, const struct gd_job *job,
                      const struct gd_job_detail *d, struct gd_msg *m)
{
    (void)r;
    (void)t;
    (void)job;
    gd_msg_str(m, GD_FIELD_URL, d->url);
    gd_msg_str(m, GD_FIELD_METHOD, d->method);
    if (d->headers)
        put_headers(m, d->headers);
    if (d->body)
        gd_msg_put(m, GD_FIELD_BODY, d->body, d->body_bytes);
    gd_msg_str(m, GD_FIELD_TO, d->to);
    gd_msg_str(m, GD_FIELD_SHA256, d->sha256);
    gd_msg_u64(m, GD_FIELD_MAX_BYTES, (uint64_t)d->max_bytes);
    if (d->resume)
        gd_msg_u64(m, GD_FIELD_RESUME, 1);
}

/* --- ends */

/* Steps through "name: value" lines, each with its NUL. */
static bool next_header(struct gd_span headers, size_t *at, struct gd_span *ret_name,
                        struct gd_span *ret_value)
{
    while (*at < headers.len) {
        const char *line = headers.ptr + *at;
        size_t n = strnlen(line, headers.len - *at);
        const char *colon = memchr(line, ':', n);
        *at += n + 1;
        if (!colon)
            continue;
        const char *value = colon + 1;
        value += *value == ' ';
        *ret_name = (struct gd_span){line, (size_t)(colon - line)};
        *ret_value = (struct gd_span){value, n - (size_t)(value - line)};
        return true;
    }
    return false;
}

static bool is_cookie(struct gd_span name)
{
    return name.len == 10 && memcmp(name.ptr, "set-cookie", 10) == 0;
}

/* The one field that may come several times and cannot be joined (RFC 9110, 5.3). */
static void put_cookies(struct gd_buf *b, struct gd_span headers)
{
    struct gd_span name;
    struct gd_span value;
    bool any = false;
    for (size_t at = 0; next_header(headers, &at, &name, &value);) {
        if (!is_cookie(name))
            continue;
        if (!any) {
            gd_json_name(b, "set-cookie");
            gd_json_begin(b, '[');
        }
        any = true;
        gd_json_strn(b, value.ptr, value.len);
    }
    if (any)
        gd_json_finish(b, ']');
}

static void put_answer_headers(struct gd_buf *b, struct gd_span headers)
{
    struct gd_span name;
    struct gd_span value;
    gd_json_name(b, "headers");
    gd_json_begin(b, '{');
    for (size_t at = 0; next_header(headers, &at, &name, &value);) {
        if (is_cookie(name))
            continue;
        gd_json_strn(b, name.ptr, name.len);
        gd_buf_putc(b, ':');
        gd_json_strn(b, value.ptr, value.len);
    }
    put_cookies(b, headers);
    gd_json_finish(b, '}');
}

/* The job's "to", which the result names. */
static int put_path(struct gd_remote *r, const struct gd_task *t, struct gd_buf *b, bool *ret_path)
{
    struct gd_store *store = r->core->store;
    struct gd_buf text = {0};
    struct gd_faults faults = {0};
    struct gd_job job;
    struct gd_job_detail d = {0};
    int rc = store->ops->read_job(store, gd_task_id(t), &text);
    if (rc == 0)
        rc = gd_job_decode(gd_buf_view(&text), "", &faults, &job, &d);
    *ret_path = rc == 0 && d.to;
    if (*ret_path) {
        gd_json_name(b, "path");
        gd_json_str(b, d.to);
    }
    gd_job_detail_free(&d);
    gd_faults_free(&faults);
    gd_buf_free(&text);
    return rc;
}

static int put_detail(struct gd_remote *r, const struct gd_task *t, const struct gd_exit *x)
{
    const struct gd_msg_view *v = x->v;
    struct gd_span bytes;
    struct gd_buf b = {0};
    gd_json_name(&b, "status");
    gd_json_u64(&b, gd_msg_num(v, GD_FIELD_STATUS, 0));
    if (gd_msg_find(v, GD_FIELD_ANSWER_HEADERS, &bytes))
        put_answer_headers(&b, bytes);
    gd_json_name(&b, "bytes");
    gd_json_u64(&b, gd_msg_num(v, GD_FIELD_BYTES, 0));
    if (gd_msg_find(v, GD_FIELD_DIGEST, &bytes)) {
        gd_json_name(&b, "sha256");
        gd_json_strn(&b, bytes.ptr, bytes.len);
    }
    bool in_path = false;
    int rc = put_path(r, t, &b, &in_path);
    x->o->result = in_path ? GD_RK_FETCH : x->is_text ? GD_RK_FETCH_TEXT : GD_RK_FETCH_BYTES;
    x->o->detail = rc == 0 ? gd_buf_take(&b, NULL) : NULL;
    gd_buf_free(&b);
    return x->o->detail ? 0 : -ENOMEM;
}

static int fail(struct gd_outcome *o, enum gd_state state, char *own_exception)
{
    o->state = state;
    o->exception = own_exception;
    return own_exception ? 0 : -ENOMEM;
}

static int read_failure(const struct gd_exit *x)
{
    char *reason = gd_msg_dup(x->v, GD_FIELD_FAILURE);
    char *message = gd_msg_dup(x->v, GD_FIELD_MESSAGE);
    int status = (int)gd_msg_num(x->v, GD_FIELD_STATUS, 0);
    int rc = reason ? fail(x->o, GD_FAILED,
                           gd_exception_fetch(reason, message ? message : reason, status))
                    : -ENOMEM;
    free(reason);
    free(message);
    return rc;
}

static int read_exited(struct gd_remote *r, const struct gd_task *t, const struct gd_exit *x)
{
    const struct gd_msg_view *v = x->v;
    struct gd_span ignored;
    bool done = gd_msg_find(v, GD_FIELD_CODE, &ignored);
    if (gd_msg_find(v, GD_FIELD_STATUS, &ignored) && put_detail(r, t, x) < 0)
        return -ENOMEM;
    if (done) {
        x->o->state = GD_SUCCEEDED;
        return 0;
    }
    if (gd_msg_find(v, GD_FIELD_FAILURE, &ignored))
        return read_failure(x); /* even if it was being cancelled: as asyncio has it */
    if (gd_msg_find(v, GD_FIELD_CANCELLED, &ignored))
        return fail(x->o, GD_CANCELLED,
                    gd_exception_cancelled(t->extra ? t->extra->cancel_msg : NULL));
    if (gd_msg_find(v, GD_FIELD_TIMED_OUT, &ignored))
        return fail(x->o, GD_FAILED, gd_exception_timeout(t->timeout_ms));
    return fail(x->o, GD_FAILED,
                gd_exception_spawn(-(int)gd_msg_num(v, GD_FIELD_ERRNO, EIO), "start", "the fetch"));
}

const struct gd_remote_ops gd_fetch_remote_ops = {
    .program = "gatherd-fetcher",
    .name = "fetcher",
    .kinds = {GD_KIND_FETCH, GD_KIND_FETCH},
    .put_start = put_start,
    .read_exited = read_exited,
};
