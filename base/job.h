/* base/job.h — a job: the JSON that describes what a client wants done.
 *
 * Decoding is strict: every member is known, of the right type and within its
 * limit, or it is a fault; all faults of a job are found in one go. The same
 * decoder runs twice in a job's life: when it is submitted (what scheduling
 * needs is kept in a small struct gd_job, its text goes to the store) and when
 * it starts (its text comes back, struct gd_job_detail has what the executor
 * needs).
 */
#ifndef GD_BASE_JOB_H
#define GD_BASE_JOB_H

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/state.h"

#include <stdbool.h>
#include <stdint.h>

struct cJSON;

/* What a `run` or `shell` gives as its result. */
enum gd_result_mode {
    GD_RESULT_FULL,   /* {"exit_code", "stdout", "stderr", "truncated", "usage"} */
    GD_RESULT_STDOUT, /* stdout as one string */
    GD_RESULT_JSON,   /* stdout parsed; not JSON: ResultError */
};

/* No timeout was given. */
#define GD_NO_TIMEOUT (-1)

/* What is known of a job until it starts. All spans lie in `text`. */
struct gd_job {
    struct gd_span text;
    struct gd_span name;   /* in quotes; empty: none given */
    struct gd_span value;  /* JSON; empty: none given */
    struct gd_span labels; /* a JSON object; empty: none given */
    int64_t sleep_ms;      /* GD_KIND_SLEEP */
    int64_t timeout_ms;    /* GD_NO_TIMEOUT: none */
    uint32_t host;         /* GD_KIND_FETCH: hash of host and port, never 0; else 0 */
    int16_t priority;
    bool has_priority;
    bool rerun_if_lost; /* "on_lost": "rerun" */
    uint8_t kind;       /* enum gd_kind */
};

/* What an executor needs. Owned; end with gd_job_detail_free(). */
struct gd_job_detail {
    struct cJSON *run; /* array of strings */
    char *shell;
    struct cJSON *env; /* object of strings; NULL: none */
    char *cwd;
    char *input; /* stdin; may contain any byte but NUL */
    size_t input_bytes;
    int64_t grace_ms;
    int64_t max_output; /* bytes kept of each stream */
    enum gd_result_mode result;
    bool check;
    char *url;
    char *method;          /* NULL: GET, or POST if there is a body */
    struct cJSON *headers; /* object of strings; NULL: none */
    char *body;
    size_t body_bytes;
    char *to;     /* absolute path; NULL: into memory */
    char *sha256; /* 64 lower-case hex digits; NULL: not checked */
    int64_t max_bytes;
    bool resume;
};

/* Decodes `text` (checked JSON of any type). Faults are added under `pointer`,
 * e.g. "/jobs/3". `ret_detail` may be NULL: everything is checked all the same,
 * nothing is kept. Returns 0; GD_E_BAD_JOB (faults were added); -ENOMEM. On
 * failure `*ret_detail` is empty. */
GD_MUST_CHECK int gd_job_decode(struct gd_span text, const char *pointer, struct gd_faults *faults,
                                struct gd_job *ret_job, struct gd_job_detail *ret_detail);

/* Frees what it owns; all zero bytes is fine. */
void gd_job_detail_free(struct gd_job_detail *d);

/* Checks a "labels" or a "name" value (checked JSON), which jobs and batches
 * share. True: good; else faults were added under `pointer` + "/labels". */
bool gd_job_check_labels(struct gd_span json, const char *pointer, struct gd_faults *faults);
bool gd_job_check_name(struct gd_span json, const char *pointer, struct gd_faults *faults);

/* Checks "timeout" and its like: a number of seconds. On a fault `*ret_ms` is
 * left alone and false comes back. */
bool gd_job_check_seconds(struct gd_span json, const char *pointer, const char *member,
                          struct gd_faults *faults, int64_t *ret_ms);
bool gd_job_check_int(struct gd_span json, const char *pointer, const char *member, int64_t min,
                      int64_t max, struct gd_faults *faults, int64_t *ret);
bool gd_job_check_bool(struct gd_span json, const char *pointer, const char *member,
                       struct gd_faults *faults, bool *ret);

/* Adds the fault of a member that nobody knows, with a suggestion from `known`
 * (ends with NULL). `name` is in quotes. */
void gd_job_unknown(struct gd_span name, const char *pointer, struct gd_faults *faults,
                    const char *const *known);

#endif
