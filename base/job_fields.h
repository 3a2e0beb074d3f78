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
    size_t args_bytes; /* of all arguments and variables, as execve(2) counts them */
    bool no_memory;
};

/* A string in the value of a field. */
struct gd_job_item {
    const char *place; /* of the field: "/jobs/3/env" */
    const char *name;  /* in an object; its index in an array */
    size_t index;
    const char *text;
    size_t len;
};

typedef void gd_job_item_fn(struct gd_job_decoding *d, const struct gd_job_item *item);

/* Decodes an array or an object of at most `max` strings and calls `fn` for each.
 * NULL: a fault was added, by `fn` too, or no memory, which is noted. */
struct cJSON *gd_job_strings(struct gd_job_decoding *d, struct gd_span json, const char *member,
                             size_t max, gd_job_item_fn *fn);

/* Copies a string value, NUL-terminated. False: not a string, or longer than
 * `max` (a fault is added), or no memory. */
bool gd_job_string(struct gd_job_decoding *d, struct gd_span json, const char *member, size_t max,
                   char **ret, size_t *ret_len);

/* Decodes the value of "fetch" into d->job and d->detail. */
void gd_job_decode_fetch(struct gd_job_decoding *d, struct gd_span json);

#endif
