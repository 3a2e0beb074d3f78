/* api/routes.h — which path and method is whose. */
#ifndef GD_API_ROUTES_H
#define GD_API_ROUTES_H

#include "api/http.h"

/* Finds h->route by h->target, and sets path, query, id, name and params. False: there
 * is none, or the query is not valid, and that was answered. */
GD_MUST_CHECK bool gd_routes_find(struct gd_http *h, const char *method);

/* The handlers; each file says what its own do. */
void gd_create_task(struct gd_http *h); /* intake.c */
void gd_create_batch(struct gd_http *h);
void gd_gather(struct gd_http *h);
void gd_get_task(struct gd_http *h); /* tasks.c */
void gd_get_result(struct gd_http *h);
void gd_get_exception(struct gd_http *h);
void gd_get_job(struct gd_http *h);
void gd_cancel_task(struct gd_http *h); /* change.c */
void gd_uncancel_task(struct gd_http *h);
void gd_patch_task(struct gd_http *h);
void gd_signal_task(struct gd_http *h);
void gd_cancel_batch(struct gd_http *h);
void gd_get_stdout(struct gd_http *h); /* output.c */
void gd_get_stderr(struct gd_http *h);
void gd_wait_many(struct gd_http *h); /* wait_many.c */
void gd_get_batch(struct gd_http *h); /* batches.c */
void gd_get_results(struct gd_http *h);
void gd_list_tasks(struct gd_http *h); /* list.c */
void gd_list_batches(struct gd_http *h);
void gd_get_info(struct gd_http *h); /* info.c */
void gd_get_livez(struct gd_http *h);
void gd_get_readyz(struct gd_http *h);
void gd_get_problem(struct gd_http *h);
void gd_get_root(struct gd_http *h);

#endif
