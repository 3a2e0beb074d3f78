/* daemon/lock.h — one daemon for one state directory. */
#ifndef GD_DAEMON_LOCK_H
#define GD_DAEMON_LOCK_H

#include "base/attr.h"
#include "base/err.h"

struct gd_lock {
    int fd; /* -1: not held */
};

/* Takes the lock of `state_dir`, whose file then says who has it. Errors, with words
 * (who has it): GD_E_LOCKED, -errno. */
GD_MUST_CHECK int gd_lock_take(struct gd_lock *l, const char *state_dir, struct gd_err *err);
void gd_lock_drop(struct gd_lock *l);

#endif
