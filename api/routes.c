#include "api/routes.h"

#include "base/parse.h"

#include <string.h>

#define PARAMS(...) ((const char *const[]){__VA_ARGS__, NULL})
static const char *const no_params[] = {NULL};

#define SUBMIT_PARAMS "wait", "on_disconnect"
#define BATCH_PARAMS                                                                    \
    SUBMIT_PARAMS, "name", "return_exceptions", "concurrency", "on_failure", "timeout", \
        "priority", "label"

static const struct gd_route routes[] = {
    {"/", GD_GET, gd_get_root, no_params, GD_BODY_NONE},
    {"/v1/tasks", GD_GET, gd_list_tasks,
     PARAMS("state", "batch", "label", "name", "after", "limit", "order"), GD_BODY_NONE},
    {"/v1/tasks", GD_POST, gd_create_task, PARAMS(SUBMIT_PARAMS), GD_BODY_ONE},
    {"/v1/tasks/{id}", GD_GET, gd_get_task, PARAMS("wait", "on_disconnect", "result"),
     GD_BODY_NONE},
    {"/v1/tasks/{id}", GD_PATCH, gd_patch_task, no_params, GD_BODY_ONE},
    {"/v1/tasks/{id}/result", GD_GET, gd_get_result, PARAMS("wait"), GD_BODY_NONE},
    {"/v1/tasks/{id}/job", GD_GET, gd_get_job, no_params, GD_BODY_NONE},
    {"/v1/tasks/{id}/exception", GD_GET, gd_get_exception, PARAMS("wait"), GD_BODY_NONE},
    {"/v1/tasks/{id}/stdout", GD_GET, gd_get_stdout, PARAMS("tail", "follow"), GD_BODY_NONE},
    {"/v1/tasks/{id}/stderr", GD_GET, gd_get_stderr, PARAMS("tail", "follow"), GD_BODY_NONE},
    {"/v1/tasks/{id}/cancel", GD_POST, gd_cancel_task, no_params, GD_BODY_ONE},
    {"/v1/tasks/{id}/uncancel", GD_POST, gd_uncancel_task, no_params, GD_BODY_ONE},
    {"/v1/tasks/{id}/signal", GD_POST, gd_signal_task, no_params, GD_BODY_ONE},
    {"/v1/wait", GD_POST, gd_wait_many, no_params, GD_BODY_ONE},
    {"/v1/gather", GD_POST, gd_gather, PARAMS(BATCH_PARAMS), GD_BODY_JOBS},
    {"/v1/batches", GD_GET, gd_list_batches,
     PARAMS("state", "label", "name", "after", "limit", "order"), GD_BODY_NONE},
    {"/v1/batches", GD_POST, gd_create_batch, PARAMS(BATCH_PARAMS), GD_BODY_JOBS},
    {"/v1/batches/{id}", GD_GET, gd_get_batch, PARAMS("wait", "until", "on_disconnect"),
     GD_BODY_NONE},
    {"/v1/batches/{id}/results", GD_GET, gd_get_results, PARAMS("wait", "partial"), GD_BODY_NONE},
    {"/v1/batches/{id}/cancel", GD_POST, gd_cancel_batch, no_params, GD_BODY_ONE},
    {"/v1/info", GD_GET, gd_get_info, no_params, GD_BODY_NONE},
    {"/livez", GD_GET, gd_get_livez, no_params, GD_BODY_NONE},
    {"/readyz", GD_GET, gd_get_readyz, no_params, GD_BODY_NONE},
    {"/problems/{name}", GD_GET, gd_get_problem, no_params, GD_BODY_NONE},
};

#define N_ROUTES (sizeof(routes) / sizeof(routes[0]))

static const struct {
    const char *name;
    enum gd_method method;
} methods[] = {{"GET", GD_GET},     {"POST", GD_POST},     {"HEAD", GD_GET},
               {"PATCH", GD_PATCH}, {"DELETE", GD_DELETE}, {"OPTIONS", GD_OPTIONS}};

static enum gd_method method_of(const char *name)
{
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
        if (strcmp(methods[i].name, name) == 0)
            return methods[i].method;
    return GD_N_METHODS;
}

/* Matches a path against a pattern. A segment "{id}" or "{name}" takes one segment. */
static bool matches(const char *pattern, struct gd_span path, uint64_t *ret_id,
                    struct gd_span *ret_name)
{
    const char *at = path.ptr;
    const char *end = path.ptr + path.len;
    while (*pattern) {
        if (*pattern != '{') {
            if (at == end || *at++ != *pattern++)
                return false;
            continue;
        }
        const char *slash = memchr(at, '/', (size_t)(end - at));
        struct gd_span part = {at, (size_t)((slash ? slash : end) - at)};
        bool is_id = pattern[1] == 'i';
        if (part.len == 0 ||
            (is_id && (gd_parse_u64(part, INT64_MAX, ret_id) < 0 || part.ptr[0] == '0')))
            return false;
        if (!is_id)
            *ret_name = part;
        at += part.len;
        pattern = strchr(pattern, '}') + 1;
    }
    return at == end;
}

/* The methods that a path knows, as an Allow header; static for each set. */
static const char *allowed(unsigned set)
{
    static const char *const names[] = {
        [1U << GD_GET] = "GET, HEAD, OPTIONS",
        [1U << GD_POST] = "POST, OPTIONS",
        [1U << GD_GET | 1U << GD_POST] = "GET, HEAD, POST, OPTIONS",
        [1U << GD_GET | 1U << GD_PATCH] = "GET, HEAD, PATCH, OPTIONS",
    };
    return set < sizeof(names) / sizeof(names[0]) && names[set] ? names[set] : "OPTIONS";
}

/* Sets the route; returns the methods that the path knows. */
static unsigned search(struct gd_http *h, enum gd_method method)
{
    unsigned set = 0;
    for (size_t i = 0; i < N_ROUTES; i++) {
        uint64_t id = 0;
        struct gd_span name = {0};
        if (!matches(routes[i].path, h->path, &id, &name))
            continue;
        set |= 1U << routes[i].method;
        if (routes[i].method == method) {
            h->route = &routes[i];
            h->id = id;
            h->name = name;
        }
    }
    return set;
}

static void answer_options(struct gd_http *h, unsigned set)
{
    struct MHD_Response *r = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    gd_http_add(r, MHD_HTTP_HEADER_ALLOW, allowed(set));
    gd_http_respond(h, MHD_HTTP_NO_CONTENT, r);
}

bool gd_routes_find(struct gd_http *h, const char *method)
{
    struct gd_err err;
    enum gd_method m = method_of(method);
    size_t n_path = strcspn(h->target, "?");
    h->path = (struct gd_span){h->target, n_path};
    h->query = (struct gd_span){h->target + n_path, strlen(h->target + n_path)};
    if (h->query.len > 0) { /* without the '?' */
        h->query.ptr++;
        h->query.len--;
    }
    if (m == GD_N_METHODS) {
        gd_http_fail(h, GD_PROBLEM_METHOD_UNKNOWN, "\"%.32s\"", method);
        return false;
    }
    unsigned set = search(h, m);
    if (set == 0) {
        gd_http_fail(h, GD_PROBLEM_NO_ROUTE, "nothing at \"%.*s\"",
                     (int)(n_path < 200 ? n_path : 200), h->target);
        return false;
    }
    if (m == GD_OPTIONS) {
        answer_options(h, set);
        return false;
    }
    if (!h->route) {
        h->name.ptr = allowed(set);
        gd_http_fail(h, GD_PROBLEM_METHOD, "allowed here: %s", h->name.ptr);
        return false;
    }
    int rc = gd_params_parse(&h->params, h->query, h->route->params, &err);
    if (rc < 0)
        gd_http_fail(h, rc == GD_E_BAD_JOB ? GD_PROBLEM_BAD_REQUEST : GD_PROBLEM_NO_MEMORY, "%s",
                     err.text);
    return rc == 0;
}
