/* base/job_fields.h — between the parts of the job decoder; nobody else's. */
#ifndef GD_BASE_JOB_FIELDS_H
#define GD_BASE_JOB_FIELDS_H

#include "base/job.h"

/* One decoding: where the results go and where the faults. */
struct gd_job_decoding {
    struct gd_job *job;
    struct gd_job_detail *detail; /* always there; thrown away if nobody wants it */
    struct gd_faults *faults;
    const char *pointer;
    bool no_memory;
};

/* Parses a checked value with cJSON; NULL: out of memory, which is noted. */
struct cJSON *gd_job_parse(struct gd_job_decoding *d, struct gd_span json);

/* Copies a string value, NUL-terminated. False: not a string, or longer than
 * `max` (a fault is added), or no memory. */
bool gd_job_string(struct gd_job_decoding *d, struct gd_span json, const char *member, size_t max,
                   char **ret, size_t *ret_len);

/* Decodes the value of "fetch" into d->job and d->detail. */
void gd_job_decode_fetch(struct gd_job_decoding *d, struct gd_span json);

#endif
