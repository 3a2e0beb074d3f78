/* daemon/runner/command_impl.h — between the parts of a command; nobody else's. */
#ifndef GD_DAEMON_RUNNER_COMMAND_IMPL_H
#define GD_DAEMON_RUNNER_COMMAND_IMPL_H

#include "daemon/runner/command.h"
#include "daemon/runner/tree.h"
#include "daemon/worker/sink.h"

#include <sys/resource.h>
#include <sys/wait.h>

struct gd_stream {
    struct gd_watch watch; /* on: it is told when there is something to read */
    int fd;                /* the reading end; -1: closed */
    struct gd_sink sink;
};

struct gd_command {
    struct gd_unit unit; /* first */
    struct gd_commands *cs;
    struct gd_tree tree; /* pid 0: no process */

    /* What START said; freed once it runs. */
    struct gd_span argv; /* owned: strings with their NULs */
    struct gd_span env;
    struct gd_span input;
    char *cwd;
    uint64_t batch;
    int64_t timeout_ms; /* -1: none */
    int64_t grace_ms;

    struct gd_stream out;
    struct gd_stream err;
    struct gd_node young;  /* in gd_commands.young: its pipes are not watched yet */
    int64_t watch_at_ms;   /* when they will be */
    struct gd_watch exit;  /* pidfd */
    struct gd_watch empty; /* cgroup.events, while it lingers */
    int cgroup_fd;
    struct gd_timer limit; /* the run-time limit */
    struct gd_timer force; /* the end of the grace, later of all patience */
    struct gd_timer wait;  /* the next try to start it; the end of draining */
    int64_t retry_ms;      /* how long it will wait before the next try */
    int64_t retry_until_ms;

    siginfo_t info; /* valid when exited */
    struct rusage usage;
    bool exited; /* it has ended (and may not be reaped yet, if dying) */
    bool reaped;
    bool dying;
    bool forced; /* KILL was sent */
    bool timed_out;
};

/* command_start.c: makes pipes and process. Returns 0, or -errno with the stage;
 * on failure nothing is left open. */
GD_MUST_CHECK int gd_command_launch(struct gd_command *c, const char **ret_stage);
/* Frees what is needed only for starting. */
void gd_command_drop_start(struct gd_command *c);

/* command_kill.c: begins or hurries the end of a running command. */
void gd_command_kill(struct gd_command *c, int64_t grace_ms);
/* It exited while it was being ended: waits for the rest of its tree. */
void gd_command_linger(struct gd_command *c);
/* One look at all trees that are being ended. */
void gd_commands_sweep(struct gd_soon *s);
/* Stops watching and counting it. */
void gd_command_kill_done(struct gd_command *c);

/* command_output.c: its pipes will be read, from a little later on or its end. */
void gd_command_keep_pipes(struct gd_command *c, int out_fd, int err_fd);
/* It has exited: reads what is there. True: somebody else holds a pipe; it is watched. */
GD_MUST_CHECK bool gd_command_drain(struct gd_command *c);
/* Closes them; closed is fine. */
void gd_command_close_pipes(struct gd_command *c);
/* Of gd_commands.grow. */
void gd_commands_grow(struct gd_timer *t);

/* command.c: it had exited, and both its pipes have come to their end. */
void gd_command_drained(struct gd_command *c);
/* Nothing of it lives any more. */
void gd_command_tree_gone(struct gd_command *c);

#endif
