#include "api/http.h"

#include "api/cache.h"
#include "api/guard.h"
#include "api/ndjson.h"
#include "api/routes.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/parse.h"

#include <gnutls/crypto.h>

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Of a body that is refused for its size, this much more is read and thrown away, so
 * that the client gets to see the answer; then the connection ends. */
#define DISCARD_BYTES ((size_t)64 << 20)

static const char *const json_type = "application/json";

/* --- reading */

const char *gd_http_header(const struct gd_http *h, const char *name)
{
    return MHD_lookup_connection_value(h->conn, MHD_HEADER_KIND, name);
}

/* The wait of a Prefer header (RFC 7240): "wait=5", maybe among others. */
static bool prefer_wait(const char *prefer, int64_t *ret_ms)
{
    for (const char *at = prefer; at && *at;) {
        at += strspn(at, " \t,;");
        size_t n = strcspn(at, " \t,;");
        uint64_t s = 0;
        if (n > 5 && strncasecmp(at, "wait=", 5) == 0 &&
            gd_parse_u64((struct gd_span){at + 5, n - 5}, GD_MAX_WAIT_SECONDS, &s) == 0) {
            *ret_ms = (int64_t)s * 1000;
            return true;
        }
        if (n == 13 && strncasecmp(at, "respond-async", 13) == 0) {
            *ret_ms = 0;
            return true;
        }
        at += n;
    }
    return false;
}

bool gd_http_wait(struct gd_http *h, int64_t *ret_ms, bool *ret_preferred)
{
    struct gd_err err;
    *ret_ms = -1;
    *ret_preferred = prefer_wait(gd_http_header(h, "Prefer"), ret_ms);
    int rc =
        gd_params_duration(&h->params, "wait", (int64_t)GD_MAX_WAIT_SECONDS * 1000, ret_ms, &err);
    if (rc == 0)
        return true;
    gd_http_fail(h, GD_PROBLEM_BAD_REQUEST, "%s", err.text);
    return false;
}

/* --- answering */

static enum MHD_Result queue_answer(struct gd_http *h)
{
    struct MHD_Response *r = h->answer;
    h->answer = NULL;
    enum MHD_Result rc = MHD_queue_response(h->conn, h->status, r);
    if (!h->borrowed)
        MHD_destroy_response(r);
    return rc;
}

static void unwatch_peer(struct gd_http *h)
{
    gd_watch_stop(h->api->loop, &h->peer);
}

static void resume(struct gd_http *h)
{
    unwatch_peer(h);
    h->suspended = false;
    MHD_resume_connection(h->conn);
    gd_api_run_soon(h->api);
}

/* What was done with the request: Idempotency-Key, Prefer (RFC 7240). */
static void add_done(struct gd_http *h, unsigned status, struct MHD_Response *r)
{
    char text[48];
    if (h->replayed)
        gd_http_add(r, "Idempotency-Replayed", "true");
    if (h->preferred_ms < 0 || (status >= 400 && status != MHD_HTTP_FAILED_DEPENDENCY))
        return;
    (void)snprintf(text, sizeof(text), "wait=%lld", (long long)(h->preferred_ms / 1000));
    gd_http_add(r, "Preference-Applied", text);
}

void gd_http_respond(struct gd_http *h, unsigned status, struct MHD_Response *own)
{
    if (!h->borrowed)
        add_done(h, status, own);
    h->waiting = NULL;
    h->abandon = NULL;
    h->status = status;
    h->answer = own;
    if (!own)
        h->gone = true; /* not even an error can be said */
    if (h->suspended)
        resume(h);
}

void gd_http_respond_shared(struct gd_http *h, unsigned status, struct MHD_Response *borrowed)
{
    assert(!h->suspended);
    h->borrowed = true;
    gd_http_respond(h, status, borrowed);
}

struct MHD_Response *gd_http_response(struct gd_buf *own_body, const char *type)
{
    size_t n = 0;
    char *bytes = gd_buf_take(own_body, &n);
    gd_buf_free(own_body);
    if (!bytes)
        return NULL;
    struct MHD_Response *r = MHD_create_response_from_buffer(n, bytes, MHD_RESPMEM_MUST_FREE);
    if (!r) {
        free(bytes);
        return NULL;
    }
    gd_http_add(r, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    gd_http_add(r, "X-Content-Type-Options", "nosniff");
    return r;
}

void gd_http_add(struct MHD_Response *r, const char *name, const char *value)
{
    if (r && value)
        (void)MHD_add_response_header(r, name, value);
}

void gd_http_json(struct gd_http *h, unsigned status, struct gd_buf *own_body)
{
    struct MHD_Response *r = gd_http_response(own_body, json_type);
    if (r)
        gd_http_respond(h, status, r);
    else
        gd_http_error(h, -ENOMEM);
}

void gd_http_problem(struct gd_http *h, const struct gd_problem_info *info)
{
    struct gd_buf b = {0};
    char seconds[16];
    gd_problem_put(&b, info);
    struct MHD_Response *r = gd_http_response(&b, "application/problem+json");
    if (info->retry_after_s) {
        (void)snprintf(seconds, sizeof(seconds), "%u", info->retry_after_s);
        gd_http_add(r, MHD_HTTP_HEADER_RETRY_AFTER, seconds);
    }
    if (info->location)
        gd_http_add(r, MHD_HTTP_HEADER_LOCATION, info->location);
    if (h->route == NULL && info->problem == GD_PROBLEM_METHOD)
        gd_http_add(r, MHD_HTTP_HEADER_ALLOW, h->name.ptr); /* api/routes.c left it there */
    gd_http_respond(h, gd_problem_status(info->problem), r);
}

void gd_http_fail(struct gd_http *h, enum gd_problem p, const char *fmt, ...)
{
    char detail[512];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(detail, sizeof(detail), fmt, ap);
    va_end(ap);
    gd_http_problem(h, &(struct gd_problem_info){.problem = p, .detail = detail});
}

void gd_http_error(struct gd_http *h, int rc)
{
    enum gd_problem p = gd_problem_of(rc);
    bool passing = gd_problem_status(p) >= 500 || p == GD_PROBLEM_QUEUE_FULL;
    gd_http_problem(h, &(struct gd_problem_info){.problem = p,
                                                 .detail = gd_err_text(rc),
                                                 .retry_after_s = passing ? 1 : 0});
}

void gd_http_bad_json(struct gd_http *h, struct gd_span text, const struct gd_json_fault *fault,
                      const char *nothing)
{
    if (text.len == 0)
        gd_http_fail(h, GD_PROBLEM_BAD_JSON, "the body is empty; %s", nothing);
    else
        gd_http_fail(h, GD_PROBLEM_BAD_JSON, "%s, at byte %zu", fault->what, fault->offset);
}

/* --- keeping a request */

static void peer_is_gone(struct gd_watch *w, uint32_t events)
{
    (void)events;
    struct gd_http *h = GD_OWNER(w, struct gd_http, peer);
    h->gone = true;
    void (*abandon)(struct gd_http *) = h->abandon;
    h->abandon = NULL;
    if (abandon)
        abandon(h);
    h->waiting = NULL;
    resume(h); /* libmicrohttpd closes it when asked next */
}

void gd_http_keep(struct gd_http *h, void *waiting, void (*abandon)(struct gd_http *h))
{
    h->waiting = waiting;
    h->abandon = abandon;
}

static void watch_peer_now(struct gd_http *h)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(h->conn, MHD_CONNECTION_INFO_CONNECTION_FD);
    h->peer.fn = peer_is_gone;
    if (info && !h->peer.on)
        (void)!gd_watch_start(h->api->loop, &h->peer, info->connect_fd, EPOLLRDHUP);
}

void gd_http_keep_watched(struct gd_http *h, void *waiting, void (*abandon)(struct gd_http *h))
{
    gd_http_keep(h, waiting, abandon);
    h->watched = true;
    if (h->suspended)
        watch_peer_now(h);
}

void gd_http_suspend(struct gd_http *h, bool watch_peer)
{
    h->suspended = true;
    MHD_suspend_connection(h->conn);
    if (watch_peer)
        watch_peer_now(h);
}

void gd_http_go_on(struct gd_http *h)
{
    if (h->suspended)
        resume(h);
}

/* --- what libmicrohttpd calls */

void *gd_http_begin(void *cls, const char *uri, struct MHD_Connection *conn)
{
    struct gd_api *a = cls;
    size_t n = strlen(uri) + 1;
    struct gd_http *h = calloc(1, sizeof(*h) + n);
    if (!h)
        return NULL;
    h->target = (char *)(h + 1);
    memcpy(h->target, uri, n);
    h->api = a;
    h->conn = conn;
    h->body.max = a->config.max_body;
    h->preferred_ms = -1;
    gd_list_push(&a->requests, &h->node);
    a->n_requests++;
    return h;
}

void gd_http_end(void *cls, struct MHD_Connection *conn, void **con_cls,
                 enum MHD_RequestTerminationCode why)
{
    (void)cls;
    (void)conn;
    (void)why;
    struct gd_http *h = *con_cls;
    if (!h)
        return;
    *con_cls = NULL;
    unwatch_peer(h);
    if (h->abandon)
        h->abandon(h);
    if (h->stream_end)
        h->stream_end(h);
    if (h->answer && !h->borrowed)
        MHD_destroy_response(h->answer);
    if (h->digest)
        gnutls_hash_deinit(h->digest, NULL);
    gd_ndjson_free(h->ndjson);
    gd_params_free(&h->params);
    gd_buf_free(&h->body);
    gd_node_unlink(&h->node);
    struct gd_api *a = h->api;
    free(h);
    if (--a->n_requests == 0 && a->draining && a->idle)
        a->idle(a->idle_arg);
}

/* Is the content type one that this route takes? Also makes the reader of NDJSON. */
static bool check_type(struct gd_http *h)
{
    const char *type = gd_http_header(h, MHD_HTTP_HEADER_CONTENT_TYPE);
    size_t n = type ? strcspn(type, "; \t") : 0;
    if (!type || n == 0)
        return true;
    if (n == strlen(json_type) && strncasecmp(type, json_type, n) == 0)
        return true;
    if (n == 33 && strncasecmp(type, "application/x-www-form-urlencoded", n) == 0)
        return true; /* curl -d */
    bool lines = (n == 20 && strncasecmp(type, "application/x-ndjson", n) == 0) ||
                 (n == 18 && strncasecmp(type, "application/ndjson", n) == 0);
    if (lines && h->route->body == GD_BODY_JOBS) {
        h->ndjson = gd_ndjson_new(h);
        if (!h->ndjson)
            gd_http_error(h, -ENOMEM);
        return h->ndjson != NULL;
    }
    gd_http_fail(h, GD_PROBLEM_MEDIA_TYPE, "Content-Type \"%.64s\"", type);
    return false;
}

/* Sets what the body may have, and looks at what it says it has. */
static bool check_length(struct gd_http *h)
{
    const char *text = gd_http_header(h, MHD_HTTP_HEADER_CONTENT_LENGTH);
    uint64_t n = 0;
    if (h->route->body == GD_BODY_ONE && h->body.max > GD_MAX_JOB_BYTES)
        h->body.max = GD_MAX_JOB_BYTES;
    if (h->ndjson || !text)
        return true;
    if (gd_parse_u64((struct gd_span){text, strlen(text)}, UINT64_MAX, &n) == 0 && n <= h->body.max)
        return true;
    gd_http_fail(h, GD_PROBLEM_TOO_LARGE, "the body has %s bytes, the limit is %zu", text,
                 h->body.max);
    return false;
}

/* The head is complete. False: it was answered. */
static bool look_at_head(struct gd_http *h, const char *method)
{
    struct gd_problem_info info;
    struct gd_err text = {0};
    if (h->api->draining) {
        gd_http_problem(
            h, &(struct gd_problem_info){.problem = GD_PROBLEM_CLOSING, .retry_after_s = 2});
        return false;
    }
    if (gd_guard_check(h, &info, &text) < 0) {
        gd_http_problem(h, &info);
        return false;
    }
    if (!gd_routes_find(h, method))
        return false;
    return h->route->body == GD_BODY_NONE || (check_type(h) && check_length(h));
}

static void take_body(struct gd_http *h, const char *data, size_t *n)
{
    if (h->ndjson) {
        gd_ndjson_take(h->ndjson, data, n);
        return;
    }
    if (h->route->body == GD_BODY_NONE) { /* nobody will look at it */
        *n = 0;
        return;
    }
    if (!h->too_large) {
        gd_buf_put(&h->body, data, *n);
        if (h->body.err) {
            gd_buf_free(&h->body);
            h->too_large = true;
        }
    }
    if (h->too_large) {
        h->body.cap += *n; /* counts what was thrown away; there is no memory behind it */
        h->gone = h->body.cap > DISCARD_BYTES;
    }
    *n = 0;
}

static void handle(struct gd_http *h)
{
    h->handled = true;
    if (h->too_large) {
        h->body.cap = 0;
        gd_http_fail(h, GD_PROBLEM_TOO_LARGE, "the body has more than %zu bytes", h->body.max);
    } else {
        h->route->handle(h);
    }
}

/* NOLINTNEXTLINE(readability-function-size): libmicrohttpd's parameters */
enum MHD_Result gd_http_access(void *cls, struct MHD_Connection *conn, const char *url,
                               const char *method, const char *version, const char *data,
                               size_t *n_data, void **con_cls)
{
    (void)cls;
    (void)conn;
    (void)url;
    (void)version;
    struct gd_http *h = *con_cls;
    if (!h || h->gone)
        return MHD_NO;
    if (h->answer)
        return queue_answer(h);
    if (!h->seen) {
        h->seen = true;
        if (!look_at_head(h, method))
            return h->gone ? MHD_NO : queue_answer(h);
        return MHD_YES; /* answered now, the connection would end with it */
    }
    if (*n_data > 0) {
        if (!h->handled)
            take_body(h, data, n_data);
        else
            *n_data = 0; /* a body where none belongs */
        return h->gone ? MHD_NO : MHD_YES;
    }
    if (!h->handled)
        handle(h);
    if (h->gone)
        return MHD_NO;
    if (h->answer)
        return queue_answer(h);
    gd_http_suspend(h, h->watched);
    return MHD_YES;
}
