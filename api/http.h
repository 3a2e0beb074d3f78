/* api/http.h — one request, from its head to its answer.
 *
 *   head --guard, route--> body --complete--> handled --answer--> sent
 *     \------- refused (answered at once, the connection ends) ------^
 *                                  handled --wait--> suspended --answer, resumed--^
 *                                                       \--client gone--> freed
 *
 * A handler either answers before it returns or keeps the request and answers
 * later; until then the connection is suspended. If the client goes away first,
 * `abandon` is called, once, and there is nothing to be answered any more.
 *
 * Thread: loop thread.
 */
#ifndef GD_API_HTTP_H
#define GD_API_HTTP_H

#include "api/api.h"
#include "api/problem.h"
#include "api/query.h"
#include "base/attr.h"
#include "base/buf.h"
#include "base/json_scan.h"
#include "base/list.h"
#include "base/map.h"

#include <microhttpd.h>
#include <stdbool.h>

enum gd_method {
    GD_GET,
    GD_POST,
    GD_PATCH,
    GD_DELETE,
    GD_OPTIONS,
    GD_N_METHODS
};

struct gd_http;
struct hash_hd_st; /* gnutls_hash_hd_t */
struct gd_ndjson;
struct gd_cache;

struct gd_api {
    struct gd_loop *loop;
    struct gd_core *core;
    struct gd_api_config config;
    struct MHD_Daemon *mhd;
    struct gd_watch mhd_watch;
    struct gd_timer mhd_timer;
    struct gd_soon mhd_soon;
    struct gd_node listeners;
    struct gd_node requests; /* all that are not finished */
    struct gd_cache *cache;
    struct gd_map followed; /* tasks whose output is followed: api/follow.c */
    int output_fd;          /* directory of output files; -1: none yet */
    size_t n_requests;
    size_t n_connections;
    size_t n_working; /* bodies in the pool */
    bool draining;
    void (*idle)(void *arg); /* draining: no request is left */
    void *idle_arg;
    bool exhausted; /* no descriptors: listening pauses until a connection ends */
};

/* A way to answer: which requests, and what is known of them. */
struct gd_route {
    const char *path; /* "/v1/tasks/{id}"; {id} is a positive integer, {name} a word */
    enum gd_method method;
    void (*handle)(struct gd_http *h);
    const char *const *params; /* known query parameters; ends with NULL */
    enum {
        GD_BODY_NONE,
        GD_BODY_ONE,
        GD_BODY_JOBS
    } body;
};

struct gd_http {
    struct gd_node node;
    struct gd_api *api;
    struct MHD_Connection *conn;
    const struct gd_route *route;
    char *target; /* as it came, NUL-terminated; owned */
    struct gd_span path;
    struct gd_span query;
    uint64_t id;         /* {id} */
    struct gd_span name; /* {name} */
    struct gd_params params;
    struct gd_buf body;
    struct gd_ndjson *ndjson; /* a body that is taken in line by line */
    bool too_large;           /* the rest of the body is thrown away */
    bool seen;                /* the head has been looked at */
    bool handled;
    bool watched; /* the client's going away matters while it is kept */
    bool suspended;
    bool streaming;       /* the answer has begun; it has nothing to say at the moment */
    bool leaving;         /* the daemon ends */
    bool gone;            /* the client is, or the answer is hopeless */
    struct gd_watch peer; /* while suspended */
    struct MHD_Response *answer;
    bool borrowed; /* `answer` belongs to the cache */
    unsigned status;
    int64_t preferred_ms;                  /* a wait that came by Prefer; -1: none */
    uint64_t awaited;                      /* id of the task or batch it waits for; 0: none */
    bool no_result;                        /* ?result=0: a snapshot without it */
    bool replayed;                         /* an Idempotency-Key had made it before */
    struct hash_hd_st *digest;             /* of a body that comes line by line */
    void *streamer;                        /* what makes the answer piece by piece … */
    void (*stream_end)(struct gd_http *h); /* … and is told that the request ends */
    void *waiting;                         /* the handler's own */
    void (*abandon)(struct gd_http *h);
};

/* --- reading */

/* A header's value, NULL if it is not there. */
const char *gd_http_header(const struct gd_http *h, const char *name);

/* `?wait=` and `Prefer: wait=`, in milliseconds; -1: neither. False: answered. */
GD_MUST_CHECK bool gd_http_wait(struct gd_http *h, int64_t *ret_ms, bool *ret_preferred);

/* --- answering. Each ends the handling; exactly one. */

/* Takes the bytes of `own_body` (its error leads to a 503) as JSON. */
void gd_http_json(struct gd_http *h, unsigned status, struct gd_buf *own_body);

/* A response made by the caller, who still may add headers before; takes it over.
 * NULL: out of memory. */
void gd_http_respond(struct gd_http *h, unsigned status, struct MHD_Response *own);

/* The same with a response that the cache owns: only from inside a handler. */
void gd_http_respond_shared(struct gd_http *h, unsigned status, struct MHD_Response *borrowed);

/* Problems: by code, and with words. */
void gd_http_problem(struct gd_http *h, const struct gd_problem_info *info);
void gd_http_fail(struct gd_http *h, enum gd_problem p, const char *fmt, ...) GD_PRINTF(3, 4);
void gd_http_error(struct gd_http *h, int rc);
/* The body `text` is no JSON, for that fault; `nothing` says what was not done. */
void gd_http_bad_json(struct gd_http *h, struct gd_span text, const struct gd_json_fault *fault,
                      const char *nothing);

/* A JSON response with a body but not sent yet, for adding headers. Takes the bytes;
 * NULL: out of memory. */
struct MHD_Response *gd_http_response(struct gd_buf *own_body, const char *type);

/* Adds a header; failure (no memory) leaves it out. */
void gd_http_add(struct MHD_Response *r, const char *name, const char *value);

/* Keeps the request beyond the handler; `abandon` runs when it ends without an answer.
 * For what takes as long as a commit: the client is not watched. */
void gd_http_keep(struct gd_http *h, void *waiting, void (*abandon)(struct gd_http *h));

/* The same for as long as it takes: if the client goes, `abandon` runs at once. */
void gd_http_keep_watched(struct gd_http *h, void *waiting, void (*abandon)(struct gd_http *h));

/* Stops reading from and writing to the client, and goes on. For bodies that come too
 * fast and answers that have nothing to say yet (then the client is watched); a kept
 * request does it by itself. */
void gd_http_suspend(struct gd_http *h, bool watch_peer);
void gd_http_go_on(struct gd_http *h);

/* --- the daemon below: api/server.c */

/* MHD has something to do: resumed connections, say. */
void gd_api_run_soon(struct gd_api *a);

/* What libmicrohttpd calls: api/http.c. */
enum MHD_Result gd_http_access(void *cls, struct MHD_Connection *conn, const char *url,
                               const char *method, const char *version, const char *data,
                               size_t *n_data, void **con_cls);
void *gd_http_begin(void *cls, const char *uri, struct MHD_Connection *conn);
void gd_http_end(void *cls, struct MHD_Connection *conn, void **con_cls,
                 enum MHD_RequestTerminationCode why);

#endif
