/* api/ndjson.h — a batch that comes line by line, in constant memory.
 *
 *   lines --STAGE, some at a time--> staged --end of body: SUBMIT--> the batch exists
 *     \--a fault, the client gone: UNSTAGE--> nothing was there
 *
 * Each line is decoded as it comes and written to the store as a staged task, which
 * nobody sees. What stays in memory is what an unfinished task takes anyway. While a
 * STAGE is on its way to the disk, no more is read from the client. Restarting removes
 * what was staged.
 */
#ifndef GD_API_NDJSON_H
#define GD_API_NDJSON_H

#include "base/attr.h"

#include <stddef.h>

struct gd_http;
struct gd_ndjson;

enum gd_intake_kind {
    GD_INTAKE_TASK,
    GD_INTAKE_BATCH,
    GD_INTAKE_GATHER
};

/* For the body of `h`. NULL: out of memory. */
struct gd_ndjson *gd_ndjson_new(struct gd_http *h) GD_MUST_CHECK;

/* Takes some of the `*n` bytes; the rest comes again when the request goes on. */
void gd_ndjson_take(struct gd_ndjson *n, const char *data, size_t *n_data);

/* The body is complete: makes the batch and answers. */
void gd_ndjson_finish(struct gd_ndjson *n, enum gd_intake_kind kind);

/* The request ends; what was staged and did not become a batch goes. NULL is fine. */
void gd_ndjson_free(struct gd_ndjson *n);

#endif
