/* client/gather.h — libgather: asyncio's tasks and gather, run by gatherd.
 *
 * A task lives in the daemon, its handle here is its id: it outlives this
 * process, and any other program may go on with it. What asyncio calls
 * create_task(), result(), cancel(), gather() has its name here with the prefix
 * `gather_`. docs/libgather.md is the tutorial.
 *
 * Errors: a function that may fail returns an enum gather_code, 0 being success,
 * and takes a last `struct gather_error *` (NULL: nobody wants the story). That
 * struct starts as all zero bytes, may be used for one call after the other, and
 * ends with gather_error_clear().
 *
 * Units: times that a name ends with `_ms` are milliseconds; points in time are
 * milliseconds since 1970 in UTC, 0 being "not yet". Sizes are bytes. Text is
 * UTF-8 and NUL-terminated; "JSON" is text of exactly one value.
 *
 * Ownership: `const` arguments are borrowed for the call. What a `ret` argument
 * received is the caller's, who ends it with the type's _clear() function, or
 * with free() where it is text. A `ret` is written only on success, except where
 * it says otherwise; a struct may be all zero bytes or a former result, which is
 * then freed. What a callback is given is borrowed until it returns.
 *
 * Trouble on the way: a request that creates something carries a random
 * Idempotency-Key of 128 bits, so that sending it twice creates once. Every
 * request but a cancel is therefore sent again when the connection breaks or the
 * answer is 502, 503 or 504 (a GET also at 429, one with a key at 409 with a
 * Retry-After), after what Retry-After asks for or 0.1 s, doubling up to 2 s, for
 * as long as gather_set_patience() allows. A cancel is sent again only if it cannot
 * have arrived. Nobody listening at all is an error at once if this client never
 * had an answer, so that a wrong address does not look like a slow daemon.
 *
 * Waiting: all waits are made of requests of at most GATHER_SLICE_MS each, which
 * proxies let live, and survive a restart of the daemon. Leaving a wait, whatever
 * the way, leaves the tasks alone.
 *
 * Threads: one client belongs to one thread; as many clients as one likes.
 */
#ifndef GATHER_H
#define GATHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GATHER_VERSION     "0.1.0"
#define GATHER_DEFAULT_URL "http://127.0.0.1:4284"

/* The longest that one request waits, before it is asked again. */
#define GATHER_SLICE_MS 55000
/* How long a daemon may be away before a call gives up, unless set otherwise. */
#define GATHER_PATIENCE_MS 30000
/* Any time without a limit. */
#define GATHER_FOREVER (-1)

#ifdef __GNUC__
#define GATHER_MUST_CHECK __attribute__((warn_unused_result))
#else
#define GATHER_MUST_CHECK
#endif

/* ---- errors */

/* X(identifier, what it means) */
#define GATHER_CODES(X)                                                                 \
    X(OK, "success")                                                                    \
    X(E_NO_MEMORY, "out of memory")                                                     \
    X(E_ARGUMENT, "the call itself is wrong: a bad URL, a job that is not valid text")  \
    X(E_UNREACHABLE, "nobody answers at the daemon's address")                          \
    X(E_LOST, "the daemon answered once, but stayed away longer than patience allowed") \
    X(E_PROTOCOL, "the answer is not what gatherd would say")                           \
    X(E_REFUSED, "the daemon refused: see status, type, detail and faults")             \
    X(E_NOT_FOUND, "there is no such task or batch, or no longer")                      \
    X(E_NOT_DONE, "the task is not done yet: asyncio's InvalidStateError")              \
    X(E_FAILED, "the task failed: see exception")                                       \
    X(E_CANCELLED, "the task was cancelled: see exception")                             \
    X(E_TIMEOUT, "the time to wait is over; the work goes on")                          \
    X(E_INTERRUPTED, "the interrupt descriptor became readable")                        \
    X(E_STOPPED, "a callback said so")

enum gather_code {
#define X(id, text) GATHER_##id,
    GATHER_CODES(X)
#undef X
};

/* How a task failed. Members that its type does not have are NULL, 0 or -1. */
struct gather_exception {
    char *type; /* "ExitError", "SignalError", "TimeoutError", … */
    char *message;
    int64_t exit_code; /* ExitError; else -1 */
    int64_t signal;    /* SignalError: its number */
    char *signal_name; /* "SIGTERM" */
    bool core;         /* it dumped core */
    char *errno_name;  /* SpawnError: "ENOENT" */
    char *stage;       /* SpawnError: what failed, "exec" or another step */
    char *reason;      /* FetchError */
    int64_t status;    /* FetchError: of HTTP */
    char *stderr_tail; /* ExitError: the last of what it said */
    char *msg;         /* CancelledError: what cancel was told */
    char *json;        /* the whole object, verbatim */
};

/* One thing that is wrong with a request. */
struct gather_fault {
    char *pointer; /* where in the body, as a JSON pointer: "/jobs/3/timeout" */
    char *detail;
};

struct gather_error {
    enum gather_code code;
    int status;   /* of HTTP; 0: there was no answer */
    char *type;   /* "bad-job": the last part of the problem's type; NULL: none */
    char *title;  /* one line; never NULL after an error, memory permitting */
    char *detail; /* NULL: none */
    struct gather_fault *faults;
    size_t n_faults;
    int64_t faults_left_out;           /* how many more there are */
    uint64_t batch;                    /* whose problem it is; 0: unknown */
    uint64_t task;                     /* whose exception it is; 0: unknown */
    struct gather_exception exception; /* type NULL: none */
};

/* Frees what it holds; NULL is fine. */
void gather_error_clear(struct gather_error *err);
void gather_exception_clear(struct gather_exception *x);

/* What the code means, static. */
const char *gather_code_text(enum gather_code code);

/* Title, detail and every fault, a line each, without a last newline; free() it.
 * NULL: out of memory. */
char *gather_error_text(const struct gather_error *err) GATHER_MUST_CHECK;

/* ---- the client */

struct gather_client;

/* Makes a client for `url`: "http://host:port", https likewise, with a path if a
 * proxy wants one, or "unix:/path/of/socket". NULL: $GATHER_URL, and if that is
 * unset or empty, GATHER_DEFAULT_URL. Nothing is sent yet. Proxies from the
 * environment are not used for addresses of this machine.
 * NULL on error: E_ARGUMENT (not such a URL), E_NO_MEMORY. */
struct gather_client *gather_connect(const char *url, struct gather_error *err) GATHER_MUST_CHECK;

/* Ends it; tasks go on. NULL is fine. */
void gather_close(struct gather_client *c);

/* The address in use, borrowed. */
const char *gather_url(const struct gather_client *c);

/* How long in a row the daemon may be away during any call; 0: try once. */
void gather_set_patience(struct gather_client *c, int64_t patience_ms);

/* While a call waits it also watches `fd`, and returns E_INTERRUPTED when that is
 * readable. Nothing is read from it: a signalfd or a self-pipe, which the caller
 * empties. Borrowed; -1: none. */
void gather_set_interrupt_fd(struct gather_client *c, int fd);

/* Runs once per outage, when the first new attempt is put off, and once more when
 * it is over. `text` is a sentence for people. */
typedef void gather_notice_fn(void *arg, const char *text);
void gather_set_notice(struct gather_client *c, gather_notice_fn *fn, void *arg);

/* ---- jobs: what a task is to do */

/* A job under construction. Setters copy what they are given. A fault in what
 * they are given (text that is not UTF-8, JSON that is not JSON) or want of
 * memory sticks and comes out of the call that submits the job. */
struct gather_job;

void gather_job_free(struct gather_job *job);

/* A command; `argv` ends with NULL. All constructors: NULL is out of memory. */
struct gather_job *gather_job_run(const char *const *argv) GATHER_MUST_CHECK;
/* A line for /bin/sh -c. */
struct gather_job *gather_job_shell(const char *line) GATHER_MUST_CHECK;
struct gather_job *gather_job_fetch(const char *url) GATHER_MUST_CHECK;
struct gather_job *gather_job_sleep(int64_t sleep_ms) GATHER_MUST_CHECK;
/* A job that is JSON already, one object; the setters below do not apply. */
struct gather_job *gather_job_json(const char *json) GATHER_MUST_CHECK;
/* Wraps an existing task, as gather() takes one. */
struct gather_job *gather_job_task(uint64_t task) GATHER_MUST_CHECK;

void gather_job_set_name(struct gather_job *job, const char *name);
void gather_job_set_timeout(struct gather_job *job, int64_t timeout_ms);
void gather_job_set_grace(struct gather_job *job, int64_t grace_ms);
void gather_job_set_cwd(struct gather_job *job, const char *path); /* absolute */
void gather_job_set_stdin(struct gather_job *job, const char *text, size_t n);
void gather_job_set_priority(struct gather_job *job, int64_t priority);
void gather_job_add_env(struct gather_job *job, const char *name, const char *value);
void gather_job_add_label(struct gather_job *job, const char *name, const char *value);

/* Only for a fetch. */
void gather_job_set_to(struct gather_job *job, const char *path); /* absolute */
void gather_job_set_sha256(struct gather_job *job, const char *hex);
void gather_job_set_max_bytes(struct gather_job *job, int64_t bytes);
void gather_job_set_resume(struct gather_job *job);
void gather_job_add_header(struct gather_job *job, const char *name, const char *value);

/* Any other member of a job, its value as JSON: ("check", "false"). Once each. */
void gather_job_set(struct gather_job *job, const char *member, const char *json);

/* ---- tasks */

enum gather_state {
    GATHER_PENDING,
    GATHER_RUNNING,
    GATHER_SUCCEEDED,
    GATHER_FAILED,
    GATHER_CANCELLED,
};

/* "pending", …; static. */
const char *gather_state_name(enum gather_state s);

/* What was known of a task at one moment. */
struct gather_task {
    uint64_t id;
    uint64_t batch; /* 0: none */
    int64_t index;  /* in the batch; -1: none */
    char *name;
    char *kind; /* "run", "shell", "fetch", "sleep" */
    enum gather_state state;
    char *reason; /* why it is pending; NULL: it is not */
    char *detail; /* the same in words; NULL: none */
    bool done;
    bool cancelled;
    int64_t cancelling; /* requests to cancel */
    int64_t attempt;
    int64_t progress_bytes;            /* of a fetch; -1: unknown */
    int64_t progress_total;            /* -1: unknown */
    char *result;                      /* JSON; NULL: none yet, none at all, or null */
    struct gather_exception exception; /* type NULL: none */
    int64_t created_at;
    int64_t started_at;
    int64_t finished_at;
    char *labels; /* a JSON object; NULL: none */
    char *json;   /* the whole object, verbatim */
};

void gather_task_clear(struct gather_task *task);

struct gather_batch;

/* What a wait may be told. All zero bytes but timeout_ms is the plain one. */
struct gather_wait {
    int64_t timeout_ms; /* GATHER_FOREVER, or when to return E_TIMEOUT */
    int64_t every_ms;   /* > 0: ask at least so often, for the callbacks' sake */
    bool settled;       /* a batch: until every child ended, not only the outcome is known */
    /* Run with each snapshot that comes while waiting, the last one included. */
    void (*on_task)(void *arg, const struct gather_task *task);
    void (*on_batch)(void *arg, const struct gather_batch *batch);
    void *arg;
};

/* Submits `job`: asyncio.create_task(). When it returns 0, the task is on disk. */
GATHER_MUST_CHECK enum gather_code gather_create_task(struct gather_client *c,
                                                      const struct gather_job *job,
                                                      struct gather_task *ret,
                                                      struct gather_error *err);

/* How it is now. */
GATHER_MUST_CHECK enum gather_code gather_task_get(struct gather_client *c, uint64_t id,
                                                   struct gather_task *ret,
                                                   struct gather_error *err);

/* Waits until it is done: `await shield(task)`. How it ended is in `*ret`; that it
 * failed is not an error of the wait. `w` may be NULL: for ever.
 * Errors: E_TIMEOUT (`*ret` then has the last snapshot, if there was one). */
GATHER_MUST_CHECK enum gather_code gather_task_wait(struct gather_client *c, uint64_t id,
                                                    const struct gather_wait *w,
                                                    struct gather_task *ret,
                                                    struct gather_error *err);

/* Task.done(). */
GATHER_MUST_CHECK enum gather_code gather_task_done(struct gather_client *c, uint64_t id, bool *ret,
                                                    struct gather_error *err);

/* Task.result(): the value alone, as JSON ("null" too).
 * Errors: E_NOT_DONE, E_FAILED, E_CANCELLED. */
GATHER_MUST_CHECK enum gather_code gather_task_result(struct gather_client *c, uint64_t id,
                                                      char **ret_json, struct gather_error *err);

/* Task.exception(): `ret->type` is NULL if it succeeded.
 * Errors: E_NOT_DONE, E_CANCELLED. */
GATHER_MUST_CHECK enum gather_code gather_task_exception(struct gather_client *c, uint64_t id,
                                                         struct gather_exception *ret,
                                                         struct gather_error *err);

/* Task.cancel(): asks. `msg` may be NULL; `grace_ms` < 0: the job's own.
 * `*ret_requested` (may be NULL) is false if it was done already. */
GATHER_MUST_CHECK enum gather_code gather_task_cancel(struct gather_client *c, uint64_t id,
                                                      const char *msg, int64_t grace_ms,
                                                      bool *ret_requested,
                                                      struct gather_error *err);

/* Sends a signal, from 1, to the command that the task runs: to its process group.
 * Sent again only if it cannot have arrived, as a cancel. Errors: E_NOT_DONE if it
 * is no running command (also when it is done). */
GATHER_MUST_CHECK enum gather_code gather_task_signal(struct gather_client *c, uint64_t id,
                                                      int signo, struct gather_error *err);

/* Task.uncancel(): takes one request back; how many are left. */
GATHER_MUST_CHECK enum gather_code gather_task_uncancel(struct gather_client *c, uint64_t id,
                                                        int64_t *ret_cancelling,
                                                        struct gather_error *err);

/* ---- output */

enum gather_stream {
    GATHER_STDOUT,
    GATHER_STDERR,
    GATHER_N_STREAMS
};

struct gather_follow {
    bool want[GATHER_N_STREAMS];
    bool until_done;  /* false: what there is now; true: also what comes, to the end */
    int64_t tail;     /* only the last so many lines; < 0: all */
    int64_t every_ms; /* as in struct gather_wait; on_task may change it */
    /* In and out: bytes of each stream that were delivered. After an error a
     * second call goes on where the first stopped (not with `tail`). */
    int64_t delivered[GATHER_N_STREAMS];
    /* Takes output as it comes and returns how many bytes it took; fewer than
     * `n`: stop, E_STOPPED. */
    size_t (*on_output)(void *arg, enum gather_stream which, const char *bytes, size_t n);
    void (*on_task)(void *arg, const struct gather_task *task); /* may be NULL */
    void *arg;
};

/* Reads the output of a task, both streams at once. With until_done it returns
 * when the task is done and all its output was delivered, and `*ret` (may be
 * NULL) is how it ended; otherwise `*ret` is left alone. */
GATHER_MUST_CHECK enum gather_code gather_task_follow(struct gather_client *c, uint64_t id,
                                                      struct gather_follow *f,
                                                      struct gather_task *ret,
                                                      struct gather_error *err);

/* Whether more came of the stream than the task's max_output kept. Known only once
 * the task is done: false before. */
GATHER_MUST_CHECK enum gather_code gather_task_truncated(struct gather_client *c, uint64_t id,
                                                         enum gather_stream which, bool *ret,
                                                         struct gather_error *err);

/* ---- gather: batches */

struct gather_ids {
    uint64_t *items;
    size_t n;
};

struct gather_batch {
    uint64_t id;
    char *name;              /* NULL: none */
    enum gather_state state; /* the outer future's */
    bool done;               /* the outcome is known */
    bool settled;            /* every child ended */
    int64_t total;
    int64_t counts[GATHER_CANCELLED + 1]; /* by enum gather_state */
    struct gather_exception exception;
    int64_t created_at;
    int64_t started_at;
    int64_t finished_at;
    char *labels;            /* a JSON object; NULL: none */
    struct gather_ids tasks; /* in input order; only from the call that submitted */
    char *json;              /* the whole object, verbatim */
};

void gather_batch_clear(struct gather_batch *batch);

/* How the tasks of a batch belong together. All zero bytes is gather()'s default. */
struct gather_options {
    const char *name;
    bool return_exceptions;
    bool cancel_on_failure; /* TaskGroup's way */
    int64_t concurrency;    /* tasks at once; 0: no limit of its own */
    int64_t timeout_ms;     /* 0: none */
    int64_t priority;
    const char *const *labels; /* "key=value" each, ends with NULL; NULL: none */
};

/* gather(*aws), not awaited: submits all jobs or none. */
GATHER_MUST_CHECK enum gather_code gather_submit(struct gather_client *c,
                                                 const struct gather_job *const *jobs, size_t n,
                                                 const struct gather_options *options,
                                                 struct gather_batch *ret,
                                                 struct gather_error *err);

/* A body that is read in pieces, and again from its start if the connection
 * broke. */
struct gather_source {
    const char *content_type; /* "application/json" or "application/x-ndjson" */
    int64_t bytes;            /* all of it; -1: not known */
    /* Puts up to `n` bytes; 0: the end; -1: failed. */
    int64_t (*read)(void *arg, char *to, size_t n);
    bool (*rewind)(void *arg);
    void *arg;
};

/* The same with a body from elsewhere: a JSON array of jobs, NDJSON with one job
 * a line, or a whole batch object (then `options` must be NULL). Memory does not
 * grow with the body. */
GATHER_MUST_CHECK enum gather_code gather_submit_source(struct gather_client *c,
                                                        const struct gather_source *source,
                                                        const struct gather_options *options,
                                                        struct gather_batch *ret,
                                                        struct gather_error *err);

GATHER_MUST_CHECK enum gather_code gather_batch_get(struct gather_client *c, uint64_t id,
                                                    struct gather_batch *ret,
                                                    struct gather_error *err);

/* As gather_task_wait(). Without w->settled it returns at the first failure of a
 * batch without return_exceptions, as gather() does. */
GATHER_MUST_CHECK enum gather_code gather_batch_wait(struct gather_client *c, uint64_t id,
                                                     const struct gather_wait *w,
                                                     struct gather_batch *ret,
                                                     struct gather_error *err);

/* outer.cancel(): asks every unfinished child. */
GATHER_MUST_CHECK enum gather_code gather_batch_cancel(struct gather_client *c, uint64_t id,
                                                       const char *msg, int64_t grace_ms,
                                                       bool *ret_requested,
                                                       struct gather_error *err);

/* What became of one job. */
struct gather_result {
    uint64_t task;
    char *name;
    char *result;                      /* JSON, "null" too; NULL: there is none (yet) */
    struct gather_exception exception; /* type NULL: none */
    char *json;                        /* the whole entry, verbatim */
};

/* Reads the results in input order, one by one; memory does not grow with their
 * number. `partial`: what there is, whatever became of the batch. Otherwise as
 * `await` of the batch: E_NOT_DONE, E_FAILED with the exception that ended it,
 * E_CANCELLED. `fn` returns false to stop: E_STOPPED. */
typedef bool gather_result_fn(void *arg, size_t index, const struct gather_result *result);
GATHER_MUST_CHECK enum gather_code gather_batch_results(struct gather_client *c, uint64_t id,
                                                        bool partial, gather_result_fn *fn,
                                                        void *arg, struct gather_error *err);

struct gather_results {
    uint64_t batch;
    struct gather_result *items; /* in the order of the jobs */
    size_t n;
};

void gather_results_clear(struct gather_results *results);

/* `await gather(*aws)`: submits, waits, reads the results.
 * Errors: E_FAILED, E_CANCELLED (without return_exceptions); `ret->batch` is set
 * as soon as there is a batch, also when the call fails later. */
GATHER_MUST_CHECK enum gather_code gather_gather(struct gather_client *c,
                                                 const struct gather_job *const *jobs, size_t n,
                                                 const struct gather_options *options,
                                                 struct gather_results *ret,
                                                 struct gather_error *err);

/* ---- lists */

struct gather_filter {
    const char *states;        /* "failed,cancelled", "unfinished"; NULL: any */
    const char *name;          /* NULL: any */
    const char *const *labels; /* "key=value" each, ends with NULL; NULL: any */
    uint64_t batch;            /* 0: any */
    uint64_t limit;            /* entries at most; 0: all */
    bool oldest_first;
};

/* Runs `fn` for each that matches, newest first, without `result`. all_tasks() is
 * states = "unfinished". `fn` returns false to stop, which is not an error. */
typedef bool gather_task_fn(void *arg, const struct gather_task *task);
GATHER_MUST_CHECK enum gather_code gather_list_tasks(struct gather_client *c,
                                                     const struct gather_filter *filter,
                                                     gather_task_fn *fn, void *arg,
                                                     struct gather_error *err);
typedef bool gather_batch_fn(void *arg, const struct gather_batch *batch);
GATHER_MUST_CHECK enum gather_code gather_list_batches(struct gather_client *c,
                                                       const struct gather_filter *filter,
                                                       gather_batch_fn *fn, void *arg,
                                                       struct gather_error *err);

/* The id of the task at `index` of a batch. Errors: E_NOT_FOUND. */
GATHER_MUST_CHECK enum gather_code gather_batch_task(struct gather_client *c, uint64_t batch,
                                                     uint64_t index, uint64_t *ret_task,
                                                     struct gather_error *err);

/* The daemon's version, limits and executors, as JSON. */
GATHER_MUST_CHECK enum gather_code gather_info(struct gather_client *c, char **ret_json,
                                               struct gather_error *err);

#endif
