/* GET /v1/info, /livez, /readyz, /problems/{name}, /. */
#include "api/routes.h"
#include "base/json_out.h"
#include "base/limits.h"

#include <errno.h>
#include <string.h>

static void put_limits(struct gd_buf *b)
{
    static const struct {
        const char *name;
        long long value;
    } limits[] = {
#define X(id, wire, max, text) {.name = (wire), .value = (max)},
        GD_LIMITS(X)
#undef X
    };
    gd_json_name(b, "limits");
    gd_json_begin(b, '{');
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        gd_json_name(b, limits[i].name);
        gd_json_i64(b, limits[i].value);
    }
}

static void put_number(struct gd_buf *b, const char *name, size_t n)
{
    gd_json_name(b, name);
    gd_json_u64(b, n);
}

static void put_executor(struct gd_buf *b, const struct gd_core *c, const char *name,
                         enum gd_kind kind, size_t slots)
{
    const struct gd_executor *ex = c->executors[kind];
    gd_json_name(b, name);
    gd_json_begin(b, '{');
    gd_json_name(b, "ready");
    gd_json_bool(b, ex && ex->ready);
    if (slots)
        put_number(b, "slots", slots);
    gd_json_finish(b, '}');
}

void gd_get_info(struct gd_http *h)
{
    const struct gd_api *a = h->api;
    const struct gd_core *c = a->core;
    struct gd_buf b = {0};
    gd_json_begin(&b, '{');
    gd_json_name(&b, "name");
    gd_json_str(&b, "gatherd");
    gd_json_name(&b, "version");
    gd_json_str(&b, a->config.version);
    gd_json_name(&b, "kinds");
    gd_json_begin(&b, '[');
#define X(id, number, name) gd_json_str(&b, name);
    GD_KINDS(X)
#undef X
    gd_json_finish(&b, ']');
    gd_json_name(&b, "executors");
    gd_json_begin(&b, '{');
    put_executor(&b, c, "commands", GD_KIND_RUN, c->config.slots);
    put_executor(&b, c, "fetches", GD_KIND_FETCH, c->config.fetches);
    put_executor(&b, c, "sleeps", GD_KIND_SLEEP, 0);
    gd_json_finish(&b, '}');
    put_number(&b, "tasks", c->tasks.n_tasks);
    put_number(&b, "batches", c->batches.n);
    put_number(&b, "connections", a->n_connections);
    put_limits(&b);
    put_number(&b, "tasks", a->config.max_tasks);
    put_number(&b, "connections", a->config.max_connections);
    put_number(&b, "fetches_a_host", c->config.fetches_a_host);
    gd_json_finish(&b, '}');
    gd_json_finish(&b, '}');
    gd_buf_putc(&b, '\n');
    gd_http_json(h, MHD_HTTP_OK, &b);
}

static void answer_text(struct gd_http *h, unsigned status, const char *text, const char *type)
{
    struct gd_buf b = {0};
    gd_buf_puts(&b, text);
    struct MHD_Response *r = gd_http_response(&b, type);
    if (r)
        gd_http_respond(h, status, r);
    else
        gd_http_error(h, -ENOMEM);
}

/* The loop turns, or this would not be answered. */
void gd_get_livez(struct gd_http *h)
{
    answer_text(h, MHD_HTTP_OK, "ok\n", "text/plain");
}

void gd_get_readyz(struct gd_http *h)
{
    const struct gd_core *c = h->api->core;
    const struct gd_executor *runner = c->executors[GD_KIND_RUN];
    const struct gd_executor *fetcher = c->executors[GD_KIND_FETCH];
    if (c->closing)
        answer_text(h, MHD_HTTP_SERVICE_UNAVAILABLE, "shutting down\n", "text/plain");
    else if (!runner || !runner->ready)
        answer_text(h, MHD_HTTP_SERVICE_UNAVAILABLE, "the runner is not there\n", "text/plain");
    else if (!fetcher || !fetcher->ready)
        answer_text(h, MHD_HTTP_SERVICE_UNAVAILABLE, "the fetcher is not there\n", "text/plain");
    else
        answer_text(h, MHD_HTTP_OK, "ok\n", "text/plain");
}

void gd_get_problem(struct gd_http *h)
{
    enum gd_problem p = gd_problem_find(h->name);
    struct gd_buf b = {0};
    if (p == GD_N_PROBLEMS) {
        gd_http_fail(h, GD_PROBLEM_NO_ROUTE, "there is no problem type of this name");
        return;
    }
    gd_problem_page(&b, p);
    struct MHD_Response *r = gd_http_response(&b, "text/html; charset=utf-8");
    if (r)
        gd_http_respond(h, MHD_HTTP_OK, r);
    else
        gd_http_error(h, -ENOMEM);
}

void gd_get_root(struct gd_http *h)
{
    struct gd_buf b = {0};
    gd_buf_printf(&b,
                  "gatherd %s: batches of jobs over HTTP, gathered in order.\n\n"
                  "  curl -d '{\"jobs\": [{\"run\": [\"date\"]}, {\"sleep\": 1}]}' %s/v1/gather\n\n"
                  "  POST /v1/gather            submit a batch, wait for all, results in order\n"
                  "  POST /v1/batches           submit a batch, do not wait\n"
                  "  GET  /v1/batches/{id}      how far it is; /results, /cancel\n"
                  "  POST /v1/tasks             submit one job\n"
                  "  GET  /v1/tasks/{id}        its handle; /result, /exception, /stdout, /cancel\n"
                  "  GET  /v1/tasks             all of them, with filters\n"
                  "  GET  /v1/info              version, limits, executors\n",
                  h->api->config.version, gd_http_header(h, MHD_HTTP_HEADER_HOST));
    struct MHD_Response *r = gd_http_response(&b, "text/plain; charset=utf-8");
    if (r)
        gd_http_respond(h, MHD_HTTP_OK, r);
    else
        gd_http_error(h, -ENOMEM);
}
