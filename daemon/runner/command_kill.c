/* Ending a command with everything that came of it.
 *
 * TERM goes to the process group at once (nobody in it can be missed) and to the
 * rest of the tree with the next sweep; after the grace KILL goes to all, again
 * at every sweep, until a sweep finds nothing alive. Sweeps happen when something
 * changed: a command is to be ended, it exited, an adopted process died, the
 * grace is over. Where the command has a cgroup, that is asked instead.
 */
#include "base/clock.h"
#include "base/log.h"
#include "daemon/runner/command_impl.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

/* After KILL nothing should live; what the kernel keeps (state D) is given up. */
#define PATIENCE_MS 10000

static struct gd_command *command_of(struct gd_tree *t)
{
    return GD_OWNER(t, struct gd_command, tree);
}

static void look_soon(struct gd_commands *cs)
{
    cs->sweep.fn = gd_commands_sweep;
    gd_soon(cs->loop, &cs->sweep);
}

/* Looks whether the tree of a command that has exited is empty, and if so lets it
 * end. */
static void check_cgroup(struct gd_watch *w, uint32_t events)
{
    (void)events;
    struct gd_command *c = GD_OWNER(w, struct gd_command, empty);
    char text[256];
    if (pread(w->fd, text, sizeof(text), 0) < 0 || !gd_cgroup_is_populated(c->cgroup_fd))
        gd_command_tree_gone(c);
    else if (c->forced)
        (void)!gd_cgroup_signal(c->cgroup_fd, SIGKILL);
}

static void signal_tree(struct gd_command *c, int sig)
{
    if (!c->exited) {
        (void)kill(-c->tree.pid, sig);
        if (sig != SIGKILL)
            (void)kill(-c->tree.pid, SIGCONT); /* a stopped one would not hear it */
    }
    if (c->cgroup_fd >= 0 && gd_cgroup_signal(c->cgroup_fd, sig) == 0)
        return;
    c->tree.sig = sig;
    look_soon(c->cs);
}

static void patience_is_over(struct gd_timer *t)
{
    struct gd_command *c = GD_OWNER(t, struct gd_command, force);
    if (!c->exited) {
        (void)!gd_timer_at(c->cs->loop, t, gd_mono_ms() + PATIENCE_MS);
        return;
    }
    char task[21];
    gd_log(GD_LOG_WARNING, "process-survived-kill", "task", gd_log_num(task, (int64_t)c->unit.task),
           NULL);
    gd_command_tree_gone(c);
}

static void use_force(struct gd_timer *t)
{
    struct gd_command *c = GD_OWNER(t, struct gd_command, force);
    c->forced = true;
    c->force.fn = patience_is_over;
    /* Without memory for a timer there is no patience to be had; KILL was sent. */
    (void)!gd_timer_at(c->cs->loop, t, gd_mono_ms() + PATIENCE_MS);
    signal_tree(c, SIGKILL);
}

void gd_command_kill(struct gd_command *c, int64_t grace_ms)
{
    int64_t due_ms = gd_mono_ms() + grace_ms;
    if (c->forced)
        return;
    if (c->dying && gd_timer_is_set(&c->force) && c->force.node.key <= due_ms)
        return;
    if (!c->dying) {
        c->dying = true;
        signal_tree(c, SIGTERM);
    }
    c->force.fn = use_force;
    if (grace_ms == 0 || gd_timer_at(c->cs->loop, &c->force, due_ms) < 0)
        use_force(&c->force);
}

void gd_command_linger(struct gd_command *c)
{
    c->cs->n_lingering++;
    if (c->cgroup_fd < 0) {
        if (c->tree.sig < 0)
            c->tree.sig = 0;
        look_soon(c->cs);
        return;
    }
    int fd = gd_cgroup_open_events(c->cgroup_fd);
    c->empty.fn = check_cgroup;
    if (fd < 0 || gd_watch_start(c->cs->loop, &c->empty, fd, EPOLLPRI) < 0) {
        if (fd >= 0)
            close(fd);
        gd_command_tree_gone(c);
        return;
    }
    check_cgroup(&c->empty, EPOLLPRI); /* watch first, then look */
}

void gd_commands_sweep(struct gd_soon *s)
{
    struct gd_commands *cs = GD_OWNER(s, struct gd_commands, sweep);
    int rc = gd_tree_sweep(&cs->by_pid, &cs->by_task);
    if (rc < 0) {
        /* Nothing to see by: KILL has gone to the groups, or goes after the grace. */
        gd_log(GD_LOG_ERROR, "sweep-failed", "error", gd_err_text(rc), NULL);
        return;
    }
    /* Ending one changes the map, so look for the next from the start each time. */
    for (bool found = true; found;) {
        size_t pos = 0;
        found = false;
        for (struct gd_tree *t; !found && (t = gd_map_next(&cs->by_pid, &pos));) {
            struct gd_command *c = command_of(t);
            if (t->sig >= 0 && t->sig != SIGKILL)
                t->sig = 0;
            found = t->sig >= 0 && t->n_alive == 0 && c->exited;
            if (found)
                gd_command_tree_gone(c);
        }
    }
}

void gd_command_kill_done(struct gd_command *c)
{
    gd_timer_stop(c->cs->loop, &c->force);
    gd_watch_close(c->cs->loop, &c->empty);
    if (c->dying && c->exited)
        c->cs->n_lingering--;
}
