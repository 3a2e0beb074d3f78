/* daemon/core/executor.h — what the core asks of whatever carries tasks out.
 *
 * One executor per kind (daemon/exec). It begins what it is given and reports
 * with the gd_core_… functions of core.h: started, progress, ended, lost.
 *
 * Thread: loop thread only.
 */
#ifndef GD_DAEMON_CORE_EXECUTOR_H
#define GD_DAEMON_CORE_EXECUTOR_H

#include "base/attr.h"

#include <stdbool.h>
#include <stdint.h>

struct gd_executor;
struct gd_task;

struct gd_executor_ops {
    /* Begins an attempt, whose lease is on disk. 0: an end will be reported. Errors
     * (-ENOMEM, GD_E_STORE …): it cannot begin, and nothing will be reported. */
    int (*start)(struct gd_executor *ex, struct gd_task *t);
    /* Ends a task that a worker has; an end is reported as ever. NULL: not a worker. */
    void (*cancel)(struct gd_executor *ex, struct gd_task *t, int64_t grace_ms);
    /* It ends by other means; what is held of it goes. NULL: nothing ever is. */
    void (*drop)(struct gd_executor *ex, struct gd_task *t);
    /* t->timeout_ms was changed. */
    void (*retime)(struct gd_executor *ex, struct gd_task *t);
    /* Sends a signal; NULL: there is no such thing here. */
    void (*signal)(struct gd_executor *ex, struct gd_task *t, int signo);
    /* Asks for the output in files; gd_core_spilled() follows. NULL: no output. */
    void (*spill)(struct gd_executor *ex, struct gd_task *t);
    /* The outcome of this attempt is on disk. NULL: not a worker. */
    void (*forget)(struct gd_executor *ex, uint64_t task, uint32_t attempt);
};

/* An executor starts with this. */
struct gd_executor {
    const struct gd_executor_ops *ops;
    uint64_t epoch; /* of the worker behind it; 0: there is none, nothing is leased */
    bool ready;     /* it takes tasks now */
    bool is_worker; /* tasks are leased before they start */
};

#endif
