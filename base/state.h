/* base/state.h — kinds and states, their names on the wire, the moves allowed.
 *
 *   pending --> running --> succeeded | failed | cancelled
 *      ^  \        |                 ^
 *      |   \-------+-----------------/     (cancelled, expired, not startable)
 *      \-----------/                       (a retry)
 *
 * One table feeds each enum, its names and its checks, so that they cannot
 * drift apart. Names are part of the wire format and numbers of the file
 * format: never rename or renumber one.
 */
#ifndef GD_BASE_STATE_H
#define GD_BASE_STATE_H

#include "base/attr.h"

#include <stdbool.h>

/* X(identifier, number, wire name, bit set of states it may go to) */
#define GD_STATES(X)                                                                               \
    X(PENDING, 0, "pending", GD_TO(RUNNING) | GD_TO(SUCCEEDED) | GD_TO(FAILED) | GD_TO(CANCELLED)) \
    X(RUNNING, 1, "running", GD_TO(PENDING) | GD_TO(SUCCEEDED) | GD_TO(FAILED) | GD_TO(CANCELLED)) \
    X(SUCCEEDED, 2, "succeeded", 0U)                                                               \
    X(FAILED, 3, "failed", 0U)                                                                     \
    X(CANCELLED, 4, "cancelled", 0U)

enum gd_state {
#define X(id, number, name, next) GD_##id = (number),
    GD_STATES(X)
#undef X
    GD_N_STATES
};

/* The wire name, static storage. */
const char *gd_state_name(enum gd_state s);

/* False: no state has this name. */
GD_MUST_CHECK bool gd_state_parse(const char *name, enum gd_state *ret_state);

/* True if a task or a batch in state `from` may move to `to`. */
bool gd_state_may_go(enum gd_state from, enum gd_state to);

/* True if no move leaves `s`: there is an outcome. */
bool gd_state_is_final(enum gd_state s);

/* X(identifier, number, wire name) */
#define GD_KINDS(X)      \
    X(RUN, 1, "run")     \
    X(SHELL, 2, "shell") \
    X(SLEEP, 3, "sleep") \
    X(FETCH, 4, "fetch")

enum gd_kind {
    GD_KIND_NONE = 0,
#define X(id, number, name) GD_KIND_##id = (number),
    GD_KINDS(X)
#undef X
    GD_N_KINDS
};

const char *gd_kind_name(enum gd_kind k);

/* Why a pending task is pending. X(identifier, wire name) */
#define GD_REASONS(X)   \
    X(NONE, "")         \
    X(QUEUED, "queued") \
    X(LIMIT, "limit")   \
    X(LOST, "lost")

enum gd_reason {
#define X(id, name) GD_REASON_##id,
    GD_REASONS(X)
#undef X
};

const char *gd_reason_name(enum gd_reason r);

#endif
