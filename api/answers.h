/* api/answers.h — the answers that several handlers share. Each ends the handling. */
#ifndef GD_API_ANSWERS_H
#define GD_API_ANSWERS_H

#include "api/encode.h"
#include "api/http.h"

/* The snapshot of a task or batch, with ETag; 304 if the client has it. `created` adds
 * Location. The status is 200, 201 or 202. */
void gd_answer_task(struct gd_http *h, uint64_t id, unsigned status);
void gd_answer_batch(struct gd_http *h, uint64_t id, unsigned status);

/* 201 with the snapshot of a task just made, which need not be read again. */
void gd_answer_made_task(struct gd_http *h, const struct gd_task_record *r);

/* The snapshot of a batch just made, with "tasks". */
void gd_answer_new_batch(struct gd_http *h, uint64_t id, unsigned status);

/* What POST /v1/gather and GET …/results answer: results in order, or the problem that
 * the batch came to. The batch must be done unless `partial`. */
void gd_answer_results(struct gd_http *h, uint64_t id, bool partial);

/* Adds Location. */
void gd_add_location(struct MHD_Response *r, const char *what, uint64_t id);

/* Answers 304 if the client has this version. */
GD_MUST_CHECK bool gd_answer_not_modified(struct gd_http *h, const char *etag);

#endif
