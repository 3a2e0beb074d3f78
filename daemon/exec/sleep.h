/* daemon/exec/sleep.h — the executor of `sleep`: one heap, one timer on the loop. */
#ifndef GD_DAEMON_EXEC_SLEEP_H
#define GD_DAEMON_EXEC_SLEEP_H

#include "base/heap.h"
#include "daemon/core/core.h"

struct gd_sleeper {
    struct gd_executor ex;
    struct gd_core *core;
    struct gd_heap heap; /* tasks by the time they wake */
    struct gd_timer alarm;
};

/* Takes over GD_KIND_SLEEP of `core`. */
void gd_sleeper_init(struct gd_sleeper *s, struct gd_core *core);

/* Nobody wakes any more. */
void gd_sleeper_done(struct gd_sleeper *s);

#endif
