/* api/encode.h — tasks and batches as JSON.
 *
 * What is shown is what the store has and, while a task is not done, what the core
 * knows: a row that ended a moment ago counts as ended only once the core says so, or
 * two clients could see it in different states.
 */
#ifndef GD_API_ENCODE_H
#define GD_API_ENCODE_H

#include "api/page.h"
#include "daemon/core/core.h"

/* The snapshot of a task: docs/api.md. `t` is NULL once it is done. With `result` the
 * result comes along, else it is left out (lists). */
void gd_put_task(struct gd_page *p, const struct gd_task_record *r, const struct gd_task *t,
                 bool result);

/* The snapshot of a batch; `live` is NULL once it is settled. */
void gd_put_batch(struct gd_page *p, const struct gd_batch_record *r, const struct gd_batch *live);

/* A task's result alone. */
void gd_put_result(struct gd_page *p, const struct gd_task_record *r);

/* An entry of a gather's results: {"task", "name", "result" or "exception"}; "state" if
 * it has neither yet. */
void gd_put_entry(struct gd_page *p, const struct gd_task_record *r, const struct gd_task *t);

/* The state that the world sees. */
enum gd_state gd_shown_state(const struct gd_task_record *r, const struct gd_task *t);

/* A number for why `t` (NULL: it is done) is pending: the same as long as its snapshot says
 * the same. 0: it is not. */
unsigned gd_pending_why(const struct gd_task *t);

/* Members of a problem about a task or batch that did not succeed. */
void gd_put_exception_members(struct gd_buf *b, uint64_t batch, uint64_t task,
                              struct gd_span exception);

#endif
