/* tests/support/jobs.h — decodes a job from a literal and looks at what came out. */
#ifndef GD_TESTS_JOBS_H
#define GD_TESTS_JOBS_H

#include "base/job.h"

#include <stdbool.h>

struct decoded {
    int rc;
    struct gd_job job;
    struct gd_job_detail detail;
    struct gd_faults faults;
    char *text; /* a copy of exactly its size */
};

/* Decodes `json` (checked first: it must be JSON) as the job "/jobs/3". End with
 * decoded_done(). */
struct decoded decode_job(const char *json);
void decoded_done(struct decoded *d);

/* Asserts that `json` is a good job. */
void assert_good_job(const char *json);

/* Asserts that `json` has this one fault and no other: below "/jobs/3" at
 * `pointer`, with `part` in its sentence. */
void assert_one_fault(const char *json, const char *pointer, const char *part);

/* True if this is among its faults. */
bool has_fault(const struct decoded *d, const char *pointer, const char *part);

/* Lets the failures of failalloc reach cJSON too. */
void jobs_hook_cjson(void);

#endif
