/* daemon/exec/remote.h — an executor whose work is done by a worker process.
 *
 *   away --connect, or launch and connect--> greeting --LIST_END--> ready
 *     ^                                          |                    |
 *     \------------- connection lost ------------+--------------------/
 *
 * While it is away nothing is leased to it. When it is back, its list is compared
 * with what the core believes: what it has is found again, what never arrived
 * waits again, what a worker that died had is lost.
 *
 * The worker program lies beside gatherd and is started by it when none lives for
 * the state directory; it stays when gatherd goes.
 */
#ifndef GD_DAEMON_EXEC_REMOTE_H
#define GD_DAEMON_EXEC_REMOTE_H

#include "base/attr.h"
#include "base/job.h"
#include "base/json_scan.h"
#include "base/map.h"
#include "daemon/core/core.h"
#include "daemon/proto/channel.h"

#include <stdbool.h>
#include <stdint.h>

struct gd_remote;

/* What NOTE carries from a START to its EXITED. */
#define GD_NOTE_CHECK  1U /* a non-zero exit code is a failure */
#define GD_NOTE_STDOUT 2U /* "result": "stdout" */
#define GD_NOTE_JSON   4U /* "result": "json" */

/* An end, with what had to be looked up in output files. */
struct gd_exit {
    const struct gd_msg_view *v;
    struct gd_outcome *o;            /* times and outputs are set */
    struct gd_span err_tail;         /* the end of stderr */
    struct gd_json_fault json_fault; /* GD_NOTE_JSON: what is wrong with stdout */
    bool is_text;                    /* of a fetch: stdout is UTF-8 */
};

/* What differs between commands and fetches. */
struct gd_remote_ops {
    const char *program; /* "gatherd-runner" */
    const char *name;    /* "runner": socket, lock, and what a LostError says */
    enum gd_kind kinds[2];
    /* Adds the fields of START that are this worker's own. */
    void (*put_start)(struct gd_remote *r, const struct gd_task *t, const struct gd_job *job,
                      const struct gd_job_detail *d, struct gd_msg *m);
    /* Decides state, result and exception of x->o. Errors: -ENOMEM. */
    int (*read_exited)(struct gd_remote *r, const struct gd_task *t, const struct gd_exit *x);
};

struct gd_remote_config {
    const char *state_dir;
    const char *program_path; /* of the worker */
    const char *log_level;
    const char *const *extra_args; /* for the worker; ends with NULL */
    size_t slots;
    bool rebooted; /* since the last daemon */
};

struct gd_remote {
    struct gd_executor ex;
    const struct gd_remote_ops *ops;
    struct gd_core *core;
    struct gd_remote_config config;
    struct gd_channel *channel;
    uint64_t epoch;          /* of the worker that said HELLO; ex.epoch once it has listed */
    struct gd_map listed;    /* tasks that the worker has named since HELLO */
    struct gd_map finishing; /* struct finish: ends whose files are being synced */
    struct gd_timer again;   /* the next try to get it back */
    int64_t wait_ms;
    int64_t launched_ms;
    struct gd_watch child;   /* pidfd of a worker that we started */
    struct gd_watch ready;   /* pipe that it writes to when it listens */
    int dir_fd;              /* the state directory */
    int output_fd;           /* its output directory; -1 until there is one */
    void (*idle)(void *arg); /* no file is being synced any more; NULL: nobody asks */
    void *idle_arg;
    bool greeted;
    bool closing;
};

/* Starts getting its worker. Takes over ops->kinds of `core`. Everything in `config`
 * is borrowed. Errors: -errno. */
GD_MUST_CHECK int gd_remote_open(struct gd_remote *r, const struct gd_remote_ops *ops,
                                 struct gd_core *core, const struct gd_remote_config *config);

/* Lets go of the worker: it goes on with what it has, and ends if that is nothing.
 * Files that are being synced are finished first by the caller running the loop. */
void gd_remote_close(struct gd_remote *r);

/* True while files of ended tasks are being synced. */
static inline bool gd_remote_is_busy(const struct gd_remote *r)
{
    return r->finishing.n > 0;
}

extern const struct gd_remote_ops gd_command_remote_ops;
extern const struct gd_remote_ops gd_fetch_remote_ops;

#endif
