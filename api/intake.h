/* api/intake.h — what the two ways of taking jobs in have in common. */
#ifndef GD_API_INTAKE_H
#define GD_API_INTAKE_H

#include "api/http.h"
#include "api/ndjson.h"

/* Answers for a task or batch that exists now: at once, or after a wait (-1: none was
 * asked for; a gather then waits for ever). */
void gd_intake_answer_task(struct gd_http *h, uint64_t id, int64_t wait_ms,
                           void (*on_gone)(struct gd_core *, uint64_t));
void gd_intake_answer_batch(struct gd_http *h, enum gd_intake_kind kind, uint64_t id,
                            int64_t wait_ms, void (*on_gone)(struct gd_core *, uint64_t));

#endif
