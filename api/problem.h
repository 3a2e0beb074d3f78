/* api/problem.h — errors as application/problem+json (RFC 9457), in one table.
 *
 * The only place that knows HTTP statuses of errors. Each type is a page that the
 * daemon serves under /problems/<name>.
 */
#ifndef GD_API_PROBLEM_H
#define GD_API_PROBLEM_H

#include "base/attr.h"
#include "base/buf.h"
#include "base/fault.h"

/* X(identifier, name, HTTP status, title, explanation for the page) */
#define GD_PROBLEMS(X)                                                                             \
    X(BAD_JSON, "bad-json", 400, "The body is not JSON",                                           \
      "The body is not JSON as RFC 8259 defines it. `detail` names the fault and the byte where "  \
      "it is. gatherd is strict: no duplicate names, no raw control characters, no numbers "       \
      "beyond a double, no text after the document.")                                              \
    X(BAD_JOB, "bad-job", 400, "The body is not as the contract asks",                             \
      "`errors` lists every fault, each with a JSON pointer into the body (at most 100). "         \
      "Nothing was created.")                                                                      \
    X(BAD_REQUEST, "bad-request", 400, "The request is not valid",                                 \
      "A parameter, a header or the path is not as the contract asks. `detail` says which.")       \
    X(FORBIDDEN, "forbidden", 403, "A web page of another origin may not call gatherd",            \
      "The request carries an Origin or Sec-Fetch-Site header that shows that a page of another "  \
      "origin made the browser send it.")                                                          \
    X(NO_ROUTE, "no-such-resource", 404, "There is nothing at this path",                          \
      "See docs/api.md for the paths that exist.")                                                 \
    X(NO_TASK, "no-such-task", 404, "There is no task with this id",                               \
      "Ids are positive integers and never used again.")                                           \
    X(NO_BATCH, "no-such-batch", 404, "There is no batch with this id",                            \
      "Ids are positive integers and never used again.")                                           \
    X(METHOD, "method-not-allowed", 405, "This method is not possible here",                       \
      "The Allow header lists the methods that are.")                                              \
    X(INVALID_STATE, "invalid-state", 409, "This is not possible in the present state",            \
      "asyncio's InvalidStateError: the result of a task that is not done, or a change to one "    \
      "that is. Wait with ?wait=SECONDS.")                                                         \
    X(KEY_REUSED, "idempotency-key-reused", 409,                                                   \
      "This Idempotency-Key belongs to another request",                                           \
      "The same key came with another body, path or query before.")                                \
    X(TOO_LARGE, "too-large", 413, "The body is too large",                                        \
      "The limits are named in /v1/info. A batch as NDJSON has no limit of its own but the "       \
      "number of jobs.")                                                                           \
    X(MEDIA_TYPE, "unsupported-media-type", 415, "This content type is not understood",            \
      "Send application/json or application/x-ndjson; curl's default type is taken as JSON.")      \
    X(RANGE, "range-not-satisfiable", 416, "The output does not have these bytes",                 \
      "Content-Range says how many bytes there are.")                                              \
    X(MISDIRECTED, "misdirected-request", 421, "gatherd does not answer for this host name",       \
      "The Host header must be 127.0.0.1, [::1], localhost or a configured name; otherwise a web " \
      "page could reach gatherd through a name that it controls.")                                 \
    X(TASK_FAILED, "task-failed", 424, "The task failed",                                          \
      "asyncio raises the task's exception here; `exception` has it.")                             \
    X(TASK_CANCELLED, "task-cancelled", 424, "The task was cancelled",                             \
      "asyncio raises CancelledError here; `exception` has it.")                                   \
    X(QUEUE_FULL, "queue-full", 429, "The queue is full",                                          \
      "So many tasks are unfinished that no more are taken. Retry after some have ended.")         \
    X(HEADERS, "too-many-headers", 431, "The head of the request is too large",                    \
      "The limits are named in /v1/info.")                                                         \
    X(INTERNAL, "internal", 500, "gatherd failed", "The daemon's log says more.")                  \
    X(METHOD_UNKNOWN, "method-unknown", 501, "This method is not known",                           \
      "gatherd knows GET, HEAD, POST, PATCH, DELETE and OPTIONS.")                                 \
    X(NO_MEMORY, "out-of-memory", 503, "There is no memory for this request",                      \
      "Nothing was changed. Retry later, or with less.")                                           \
    X(OUTCOME_UNKNOWN, "outcome-unknown", 503, "The store failed",                                 \
      "Whether the change was made is not known: the disk reported an error. gatherd starts "      \
      "anew. Retry with the same Idempotency-Key to be sure.")                                     \
    X(CLOSING, "shutting-down", 503, "gatherd is shutting down",                                   \
      "Commands go on. Retry when it is back; ids stay valid.")                                    \
    X(TOO_BUSY, "too-busy", 503, "Too many requests wait", "Retry later.")                         \
    X(STORE_FULL, "store-full", 507, "The disk is full",                                           \
      "Nothing was created. gatherd goes on by itself when there is room.")

enum gd_problem {
#define X(id, name, status, title, text) GD_PROBLEM_##id,
    GD_PROBLEMS(X)
#undef X
    GD_N_PROBLEMS
};

/* What a problem says beyond its type. All may be empty. */
struct gd_problem_info {
    enum gd_problem problem;
    const char *detail;             /* a sentence; NULL: none */
    const struct gd_faults *faults; /* `errors` */
    struct gd_span members;         /* further JSON members, without braces */
    unsigned retry_after_s;         /* 0: no Retry-After */
    const char *location;           /* NULL: none */
};

/* The status of a problem. */
unsigned gd_problem_status(enum gd_problem p);

/* The problem that an error code of base/err.h stands for. */
enum gd_problem gd_problem_of(int rc);

/* Appends the JSON text, with a newline at its end. */
void gd_problem_put(struct gd_buf *b, const struct gd_problem_info *info);

/* The problem with this name; GD_N_PROBLEMS: there is none. */
enum gd_problem gd_problem_find(struct gd_span name);

/* Appends the page about a problem, as HTML. */
void gd_problem_page(struct gd_buf *b, enum gd_problem p);

#endif
