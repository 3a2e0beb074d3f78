/* api/body.h — from the body of a request to jobs.
 *
 * The text is scanned once (strict RFC 8259), which cuts it into single jobs; each is
 * decoded by base/job. Every fault of every job is found. No state, any thread: large
 * bodies are decoded in the pool.
 */
#ifndef GD_API_BODY_H
#define GD_API_BODY_H

#include "api/query.h"
#include "base/attr.h"
#include "base/fault.h"
#include "base/job.h"
#include "base/json_scan.h"
#include "daemon/core/store.h"

#include <stddef.h>

/* What a body holds. Spans lie in its text. */
struct gd_jobs {
    struct gd_job *items;
    size_t n;
    size_t cap;
    struct gd_batch_spec spec;
    struct gd_faults faults;
    struct gd_json_fault json_fault;
};

void gd_jobs_free(struct gd_jobs *j);

/* One job. Errors: GD_E_BAD_JSON (json_fault), GD_E_BAD_JOB (faults), -ENOMEM. */
GD_MUST_CHECK int gd_jobs_decode_one(struct gd_jobs *j, struct gd_span text);

/* A batch: {"jobs": […], options} or a bare array. j->spec has the options of the query
 * already. Errors as above. */
GD_MUST_CHECK int gd_jobs_decode_batch(struct gd_jobs *j, struct gd_span text);

/* One line of NDJSON, number `line` from 0. Errors as above; they add up in `j`. */
GD_MUST_CHECK int gd_jobs_decode_line(struct gd_jobs *j, struct gd_span text, size_t line);

/* The options of a batch as a query has them; `text` keeps what j->spec points to.
 * Errors as above. */
GD_MUST_CHECK int gd_jobs_options(struct gd_jobs *j, const struct gd_params *params,
                                  struct gd_buf *text);

#endif
