/* daemon/worker/admit.h — which of the leased units may run now.
 *
 * gatherd leases a little more than there are slots, so that the next unit starts
 * the moment one ends, without a round trip or a disk sync in between. So the
 * worker itself must know the bounds: its slots, and the groups of a unit (its
 * batch's concurrency, the connections to one host). The waiting list is in
 * order of priority, then of arrival, and short.
 */
#ifndef GD_DAEMON_WORKER_ADMIT_H
#define GD_DAEMON_WORKER_ADMIT_H

#include "base/attr.h"
#include "base/list.h"
#include "base/map.h"
#include "daemon/proto/msg.h"

#include <stdint.h>

struct gd_unit;

struct gd_group {
    uint64_t key;
    uint64_t limit;
    uint64_t n_running;
    uint64_t n_units; /* that name it; 0: it goes */
};

struct gd_admit {
    struct gd_node waiting; /* struct gd_unit */
    struct gd_map groups;
    uint64_t slots; /* 0: none may start */
    uint64_t n_running;
};

void gd_admit_init(struct gd_admit *a);
void gd_admit_free(struct gd_admit *a);

/* Puts a unit in line. Its groups come from the GROUP fields of `start`; a later
 * limit of the same group counts. Errors: -ENOMEM (it is not in line). */
GD_MUST_CHECK int gd_admit_wait(struct gd_admit *a, struct gd_unit *u,
                                const struct gd_msg_view *start);

/* The first unit that may run: out of the line, counted as running. NULL: none. */
struct gd_unit *gd_admit_next(struct gd_admit *a);

/* Takes a unit out of the count, or out of the line. Its groups are let go. */
void gd_admit_leave(struct gd_admit *a, struct gd_unit *u);

#endif
