/* daemon/worker/worker.h — what gatherd-runner and gatherd-fetcher have in common.
 *
 * A worker holds units: attempts of tasks that gatherd has leased to it. It
 * starts them as slots and groups allow, keeps each end until gatherd says ACK,
 * and lists everything to a gatherd that comes back. It never decides what an end
 * means, knows no HTTP and no JSON, and lives on when gatherd dies.
 *
 *   START --> waiting --> running --> ended --ACK--> (forgotten)
 *                \----------------------^   cancelled before it started
 *
 * There is one client at a time, the newest: what the one before it had sent is
 * taken in to its end first (a START that arrived is a START), then the socket is
 * closed, then the new one gets HELLO, the list and LIST_END.
 *
 * Files, all in the state directory: <program>.sock, <program>.lock (held while
 * it lives), output/<task>-<attempt>.stdout and .stderr (spilled output).
 *
 * Thread: one, the loop's.
 */
#ifndef GD_DAEMON_WORKER_H
#define GD_DAEMON_WORKER_H

#include "base/attr.h"
#include "base/list.h"
#include "daemon/loop/loop.h"
#include "daemon/proto/msg.h"

#include <stdbool.h>
#include <stdint.h>

struct gd_err;
struct gd_group;
struct gd_worker;

/* One attempt of one task. Embedded at the start of the worker's own struct. */
struct gd_unit {
    uint64_t task;
    uint32_t attempt;
    enum gd_phase phase;
    struct gd_node node; /* in the list of its phase */
    struct gd_worker *worker;
    struct gd_group *groups[GD_MSG_GROUPS];
    struct gd_msg exited;  /* GD_PHASE_ENDED: kept until ACK */
    int64_t started_at_ms; /* wall; 0: not started */
    int64_t started_us;    /* monotonic */
    int64_t pid;           /* GD_PHASE_RUNNING of a command; else 0 */
    int64_t priority;
    uint64_t note; /* gatherd's; goes back with the end */
    bool cancelled;
};

struct gd_worker_ops {
    const char *program;    /* "gatherd-runner" */
    const char *short_name; /* "runner": for the names of socket and lock */
    size_t unit_size;       /* of the struct that starts with a gd_unit */

    /* Copies what the unit needs from its START. Errors: -ENOMEM, -EPROTO; then the
     * unit ends with ERRNO. */
    int (*take)(struct gd_unit *u, const struct gd_msg_view *start);
    /* Begins. gd_unit_end() follows, now or later, whatever happens. */
    void (*start)(struct gd_unit *u);
    /* Ends a running unit early: politely, after `grace_ms` (-1: what its START said)
     * by force. May come again; the shorter time wins. */
    void (*cancel)(struct gd_unit *u, int64_t grace_ms);
    /* Moves the run-time limit of a unit, waiting or running; counted from its
     * start. -1: none. */
    void (*retime)(struct gd_unit *u, int64_t timeout_ms);
    /* Sends a signal to a running unit. NULL: there is no such thing here. */
    void (*signal)(struct gd_unit *u, int signo);
    /* From now on the output of a running unit is in its files. */
    void (*spill)(struct gd_unit *u);
    /* Frees what take() and start() made; nothing of it runs any more. */
    void (*drop)(struct gd_unit *u);
};

/* Opens lock and socket in `state_dir` and serves. `ops` and `arg` are borrowed.
 * Errors go to `err` with words: GD_E_LOCKED, -errno. If
 * $GATHERD_READY_FD names a descriptor, it gets a line when clients may come. */
GD_MUST_CHECK int gd_worker_open(struct gd_loop *l, const char *state_dir,
                                 const struct gd_worker_ops *ops, void *arg, struct gd_worker **ret,
                                 struct gd_err *err);

/* Lets go of socket, lock and units. For tests, and when QUIT has been obeyed. */
void gd_worker_close(struct gd_worker *w);

/* What gd_worker_open() was given, and the directory for output, open. */
void *gd_worker_arg(const struct gd_worker *w);
struct gd_loop *gd_worker_loop(const struct gd_worker *w);
int gd_worker_output_fd(const struct gd_worker *w);

/* --- what an implementation tells */

/* It runs, since `started_us` (monotonic). `pid` 0: not a process. */
void gd_unit_started(struct gd_unit *u, int64_t pid, int64_t started_us);

/* Progress of a running unit; `total` -1: not known. How often is the
 * implementation's to bound. Left out while gatherd does not read. */
void gd_unit_progress(struct gd_unit *u, int64_t bytes, int64_t total);

/* A fresh EXITED message for `u` with the fields that every end has. */
void gd_unit_exited(struct gd_unit *u, struct gd_msg *ret_msg);

/* It has ended. Takes the fields of `m` out, keeps them, frees slot and groups,
 * starts what may start now, and tells gatherd. Calls ops->drop. */
void gd_unit_end(struct gd_unit *u, struct gd_msg *m);

/* Its output is in files. */
void gd_unit_spilled(struct gd_unit *u);

#endif
