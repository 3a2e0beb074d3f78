/* client/path.h — the addresses of tasks and batches; inside libgather only. */
#ifndef GATHER_PATH_H
#define GATHER_PATH_H

#include "client/http.h"

#define GATHER_TASKS   "/v1/tasks/"
#define GATHER_BATCHES "/v1/batches/"

/* Starts a request for `collection` + `id` + `rest`. */
void gather_call_path(struct gather_call *call, struct gather_client *c, const char *method,
                      const char *collection, uint64_t id, const char *rest);

struct gather_cancel {
    const char *collection;
    uint64_t id;
    const char *msg;  /* NULL: none */
    int64_t grace_ms; /* < 0: the job's own */
};

/* POST …/cancel. */
GD_MUST_CHECK enum gather_code gather_cancel(struct gather_client *c,
                                             const struct gather_cancel *what, bool *ret_requested,
                                             struct gather_error *err);

#endif
