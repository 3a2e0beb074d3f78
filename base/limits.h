/* base/limits.h — every maximum that a client can run into, in one place.
 *
 * `/v1/info` prints this table, problems name its entries, tests try each at the
 * limit and one above. Sizes in bytes. The ones that an administrator may want to
 * change are settings (docs/configuration.md) with these as defaults.
 */
#ifndef GD_BASE_LIMITS_H
#define GD_BASE_LIMITS_H

/* X(identifier, wire name, value, what it bounds) */
#define GD_SMALL_LIMITS(X)                                                                         \
    X(BODY_BYTES, "body_bytes", 268435456, "a request body that is one JSON document")             \
    X(JOB_BYTES, "job_bytes", 8388608, "one job, and one line of NDJSON")                          \
    X(JSON_DEPTH, "json_depth", 64, "nested brackets in a body")                                   \
    X(JOBS, "jobs_per_batch", 1000000, "jobs in one batch")                                        \
    X(ARGV, "argv_items", 16384, "arguments of a command")                                         \
    X(ARG_BYTES, "arg_bytes", 131071, "one argument or environment entry (Linux: MAX_ARG_STRLEN)") \
    X(ARGS_BYTES, "args_bytes", 1048576, "all arguments and environment entries together")         \
    X(ENV, "env_items", 4096, "environment entries of a job")                                      \
    X(NAME_BYTES, "name_bytes", 512, "the name of a task or of a batch")                           \
    X(LABELS, "labels", 64, "labels of a task or of a batch")                                      \
    X(LABEL_KEY_BYTES, "label_key_bytes", 128, "the key of a label")                               \
    X(LABEL_BYTES, "label_value_bytes", 1024, "the value of a label")                              \
    X(PATH_BYTES, "path_bytes", 4095, "a path (Linux: PATH_MAX)")                                  \
    X(URL_BYTES, "url_bytes", 8192, "the URL of a fetch")                                          \
    X(FETCH_HEADERS, "fetch_headers", 64, "headers of a fetch")                                    \
    X(FETCH_HEADER_BYTES, "fetch_header_bytes", 8192, "one header of a fetch")                     \
    X(SECONDS, "seconds", 1000000000, "any duration, in seconds")                                  \
    X(PRIORITY, "priority", 1000, "a priority, and its negative")                                  \
    X(CONCURRENCY, "concurrency", 1000000, "tasks of one batch that run at once")                  \
    X(MSG_BYTES, "msg_bytes", 1024, "the message of a cancel")                                     \
    X(KEY_BYTES, "idempotency_key_bytes", 255, "an Idempotency-Key")                               \
    X(HEADERS, "request_headers", 64, "header fields of a request")                                \
    X(HEAD_BYTES, "request_head_bytes", 8192, "the head of a request")                             \
    X(PAGE, "page", 1000, "entries in one page of a list")                                         \
    X(FAULTS, "faults", 100, "faults named in one answer")                                         \
    X(WAIT_SECONDS, "wait", 86400, "seconds that one request may wait")                            \
    X(WAIT_TASKS, "wait_tasks", 5000, "tasks of one POST /v1/wait")                                \
    X(TAIL_LINES, "tail", 1000000, "lines of a tail")

/* The ones that no int holds. */
#define GD_MAX_OUTPUT_BYTES 17179869184LL
#define GD_MAX_FETCH_BYTES  17592186044416LL

#define GD_LIMITS(X)                                                                      \
    GD_SMALL_LIMITS(X)                                                                    \
    X(OUTPUT_BYTES, "max_output", GD_MAX_OUTPUT_BYTES, "kept bytes of one output stream") \
    X(FETCH_BYTES, "max_bytes", GD_MAX_FETCH_BYTES, "the body of a fetch")

enum gd_limit_value {
#define X(id, name, value, text) GD_MAX_##id = (value),
    GD_SMALL_LIMITS(X)
#undef X
};

/* Defaults of what a job may choose. */
#define GD_DEFAULT_MAX_OUTPUT 16777216LL   /* bytes kept of each output stream */
#define GD_DEFAULT_MAX_BYTES  1073741824LL /* of a fetch into memory or a file */
#define GD_DEFAULT_GRACE_MS   5000         /* between TERM and KILL */

/* An output stream up to this size lives in memory and in SQLite, a larger one in
 * a file. */
#define GD_INLINE_OUTPUT 65536

#endif
