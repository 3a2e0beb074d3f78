#include "daemon/runner/command.h"

#include "base/clock.h"
#include "base/limits.h"
#include "daemon/runner/command_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

/* How long a pipe that somebody else holds may still bring what was on its way. */
#define DRAIN_MS 100
/* No process to be had: again after this long, doubled up to, given up after. */
#define RETRY_FIRST_MS 50
#define RETRY_MOST_MS  5000
#define RETRY_FOR_MS   60000
/* Adopted processes that died unseen are reaped this long after a SIGCHLD. */
#define REAP_MS 30000

static struct gd_command *command(struct gd_unit *u)
{
    return (struct gd_command *)(void *)u;
}

/* --- its end */

static void report(const struct gd_command *c, struct gd_msg *m)
{
    if (c->exited) {
        bool by_exit = c->info.si_code == CLD_EXITED;
        gd_msg_u64(m, by_exit ? GD_FIELD_CODE : GD_FIELD_SIGNALED, (uint64_t)c->info.si_status);
        if (c->info.si_code == CLD_DUMPED)
            gd_msg_u64(m, GD_FIELD_CORE, 1);
        gd_msg_u64(m, GD_FIELD_USER_US,
                   (uint64_t)(c->usage.ru_utime.tv_sec * 1000000 + c->usage.ru_utime.tv_usec));
        gd_msg_u64(m, GD_FIELD_SYSTEM_US,
                   (uint64_t)(c->usage.ru_stime.tv_sec * 1000000 + c->usage.ru_stime.tv_usec));
        gd_msg_u64(m, GD_FIELD_MAX_RSS, (uint64_t)c->usage.ru_maxrss * 1024);
    }
    if (c->timed_out)
        gd_msg_u64(m, GD_FIELD_TIMED_OUT, 1);
    gd_sink_report(&c->out.sink, m, GD_FIELD_STDOUT);
    gd_sink_report(&c->err.sink, m, GD_FIELD_STDERR);
}

static void end(struct gd_command *c)
{
    struct gd_msg m;
    gd_unit_exited(&c->unit, &m);
    report(c, &m);
    gd_unit_end(&c->unit, &m);
}

static void drain_is_over(struct gd_timer *t)
{
    end(GD_OWNER(t, struct gd_command, wait));
}

/* Nothing more will come of it but what is in its pipes. */
static void finish(struct gd_command *c)
{
    gd_timer_stop(c->cs->loop, &c->limit);
    bool held = gd_command_drain(c);
    c->wait.fn = drain_is_over;
    if (!held || c->dying || gd_timer_at(c->cs->loop, &c->wait, gd_mono_ms() + DRAIN_MS) < 0)
        end(c);
}

void gd_command_drained(struct gd_command *c)
{
    if (gd_timer_is_set(&c->wait))
        end(c);
}

/* Learns how it ended; without `keep` the process is gone afterwards. */
static void reap(struct gd_command *c, bool keep)
{
    int options = WEXITED | (keep ? WNOWAIT : 0);
    while (syscall(SYS_waitid, P_PIDFD, c->exit.fd, &c->info, options, &c->usage) < 0 &&
           errno == EINTR)
        continue;
    c->exited = true;
    if (keep)
        return;
    c->reaped = true;
    (void)gd_map_del(&c->cs->by_pid, (uint64_t)c->tree.pid);
    (void)gd_map_del(&c->cs->by_task, c->unit.task);
}

void gd_command_tree_gone(struct gd_command *c)
{
    gd_command_kill_done(c);
    reap(c, false);
    close(c->exit.fd);
    c->exit.fd = -1;
    finish(c);
}

static void has_exited(struct gd_watch *w, uint32_t events)
{
    (void)events;
    struct gd_command *c = GD_OWNER(w, struct gd_command, exit);
    reap(c, c->dying);
    if (c->dying) { /* the descriptor stays for the second reaping */
        gd_watch_stop(c->cs->loop, w);
        gd_command_linger(c);
        return;
    }
    gd_watch_close(c->cs->loop, w);
    finish(c);
}

/* --- its start */

static void time_is_up(struct gd_timer *t)
{
    struct gd_command *c = GD_OWNER(t, struct gd_command, limit);
    c->timed_out = true;
    gd_command_kill(c, c->grace_ms);
}

/* Arms the run-time limit, counted from the start. */
static void set_limit(struct gd_command *c)
{
    c->limit.fn = time_is_up;
    if (c->timeout_ms < 0)
        gd_timer_stop(c->cs->loop, &c->limit);
    else if (gd_timer_at(c->cs->loop, &c->limit, c->unit.started_us / 1000 + c->timeout_ms) < 0)
        time_is_up(&c->limit); /* a limit that we cannot keep is over */
}

static bool may_pass(int rc)
{
    return rc == -EAGAIN || rc == -ENOMEM || rc == -EMFILE || rc == -ENFILE;
}

static void try_start(struct gd_timer *t)
{
    struct gd_command *c = GD_OWNER(t, struct gd_command, wait);
    const char *stage = NULL;
    int64_t before_us = gd_mono_us(); /* its time counts from before its first instruction */
    int rc = gd_command_launch(c, &stage);
    if (rc == 0) {
        gd_command_drop_start(c);
        gd_unit_started(&c->unit, c->tree.pid, before_us);
        set_limit(c);
        return;
    }
    int64_t now_ms = gd_mono_ms();
    c->wait.fn = try_start;
    if (may_pass(rc) && now_ms < c->retry_until_ms &&
        gd_timer_at(c->cs->loop, &c->wait, now_ms + c->retry_ms) == 0) {
        c->retry_ms = c->retry_ms * 2 < RETRY_MOST_MS ? c->retry_ms * 2 : RETRY_MOST_MS;
        return;
    }
    struct gd_msg m;
    gd_unit_exited(&c->unit, &m);
    gd_msg_u64(&m, GD_FIELD_ERRNO, (uint64_t)-rc);
    gd_msg_str(&m, GD_FIELD_STAGE, stage);
    gd_unit_end(&c->unit, &m);
}

static void op_start(struct gd_unit *u)
{
    struct gd_command *c = command(u);
    c->retry_ms = RETRY_FIRST_MS;
    c->retry_until_ms = gd_mono_ms() + RETRY_FOR_MS;
    try_start(&c->wait);
}

/* A copy of a field's bytes; NULL ptr: absent. False: no memory. */
static bool copy(const struct gd_msg_view *v, enum gd_msg_field field, struct gd_span *ret)
{
    struct gd_span bytes;
    if (!gd_msg_find(v, field, &bytes))
        return true;
    char *mine = malloc(bytes.len + 1);
    if (!mine)
        return false;
    memcpy(mine, bytes.ptr, bytes.len);
    mine[bytes.len] = '\0';
    *ret = (struct gd_span){.ptr = mine, .len = bytes.len};
    return true;
}

static bool ends_with_nul(struct gd_span strings)
{
    return strings.len == 0 || strings.ptr[strings.len - 1] == '\0';
}

static int op_take(struct gd_unit *u, const struct gd_msg_view *start)
{
    struct gd_command *c = command(u);
    c->cs = gd_worker_arg(u->worker);
    c->cgroup_fd = c->exit.fd = -1;
    c->tree = (struct gd_tree){.task = u->task, .attempt = u->attempt, .sig = -1};
    c->exit.fn = has_exited;
    c->out.fd = c->err.fd = -1;
    c->batch = gd_msg_num(start, GD_FIELD_BATCH, 0);
    c->timeout_ms = (int64_t)gd_msg_num(start, GD_FIELD_TIMEOUT_MS, (uint64_t)-1);
    c->grace_ms = (int64_t)gd_msg_num(start, GD_FIELD_GRACE_MS, GD_DEFAULT_GRACE_MS);
    uint64_t max = gd_msg_num(start, GD_FIELD_MAX_OUTPUT, GD_DEFAULT_MAX_OUTPUT);
    int dir = gd_worker_output_fd(u->worker);
    gd_sink_init(&c->out.sink, dir, max, u->task, u->attempt, "stdout");
    gd_sink_init(&c->err.sink, dir, max, u->task, u->attempt, "stderr");
    struct gd_span cwd = {0};
    bool good = copy(start, GD_FIELD_CWD, &cwd);
    c->cwd = (char *)(uintptr_t)cwd.ptr;
    if (!good || !copy(start, GD_FIELD_ARGV, &c->argv) || !copy(start, GD_FIELD_ENV, &c->env) ||
        !copy(start, GD_FIELD_STDIN, &c->input))
        return -ENOMEM;
    return c->argv.len > 0 && ends_with_nul(c->argv) && ends_with_nul(c->env) ? 0 : -EPROTO;
}

/* --- what is asked of a running one */

static void op_cancel(struct gd_unit *u, int64_t grace_ms)
{
    struct gd_command *c = command(u);
    if (c->tree.pid)
        gd_command_kill(c, grace_ms < 0 ? c->grace_ms : grace_ms);
    else
        end(c); /* it was still waiting for a process to be had */
}

static void op_retime(struct gd_unit *u, int64_t timeout_ms)
{
    struct gd_command *c = command(u);
    c->timeout_ms = timeout_ms;
    if (c->tree.pid && !c->exited && !c->dying)
        set_limit(c);
}

static void op_signal(struct gd_unit *u, int signo)
{
    struct gd_command *c = command(u);
    if (c->tree.pid && !c->exited)
        (void)kill(-c->tree.pid, signo);
}

static void op_spill(struct gd_unit *u)
{
    struct gd_command *c = command(u);
    (void)!gd_sink_spill(&c->out.sink);
    (void)!gd_sink_spill(&c->err.sink);
    gd_unit_spilled(u);
}

static void op_drop(struct gd_unit *u)
{
    struct gd_command *c = command(u);
    struct gd_loop *l = c->cs ? c->cs->loop : NULL;
    if (!l)
        return;
    gd_timer_stop(l, &c->limit);
    gd_timer_stop(l, &c->force);
    gd_timer_stop(l, &c->wait);
    gd_command_close_pipes(c);
    gd_watch_close(l, &c->exit);
    gd_watch_close(l, &c->empty);
    gd_sink_free(&c->out.sink);
    gd_sink_free(&c->err.sink);
    gd_command_drop_start(c);
    if (c->tree.pid && !c->reaped) {
        (void)gd_map_del(&c->cs->by_pid, (uint64_t)c->tree.pid);
        (void)gd_map_del(&c->cs->by_task, u->task);
    }
    if (c->cgroup_fd >= 0) {
        close(c->cgroup_fd);
        gd_cgroup_remove(&c->cs->cgroups, u->task, u->attempt);
    }
}

const struct gd_worker_ops gd_command_ops = {
    .program = "gatherd-runner",
    .short_name = "runner",
    .unit_size = sizeof(struct gd_command),
    .take = op_take,
    .start = op_start,
    .cancel = op_cancel,
    .retime = op_retime,
    .signal = op_signal,
    .spill = op_spill,
    .drop = op_drop,
};

/* --- what all share */

static void reap_unseen(struct gd_timer *t)
{
    struct gd_commands *cs = GD_OWNER(t, struct gd_commands, reap);
    gd_commands_sweep(&cs->sweep);
}

/* A child has died: one of the commands (its pidfd tells) or an adopted one. */
static void child_died(struct gd_watch *w, uint32_t events)
{
    (void)events;
    struct gd_commands *cs = GD_OWNER(w, struct gd_commands, child);
    struct signalfd_siginfo info;
    while (read(w->fd, &info, sizeof(info)) == sizeof(info)) {
        if (!gd_map_get(&cs->by_pid, info.ssi_pid))
            (void)waitpid((pid_t)info.ssi_pid, NULL, WNOHANG);
        /* Signals merge, so others may have died unseen. */
        if (!gd_timer_is_set(&cs->reap))
            (void)!gd_timer_at(cs->loop, &cs->reap, gd_mono_ms() + REAP_MS);
    }
    if (cs->n_lingering > 0) {
        cs->sweep.fn = gd_commands_sweep;
        gd_soon(cs->loop, &cs->sweep);
    }
}

static int make_base_env(struct gd_commands *cs)
{
    const struct passwd *pw = getpwuid(geteuid());
    const char *user = pw ? pw->pw_name : "nobody";
    const char *home = pw ? pw->pw_dir : "/";
    const struct {
        const char *name;
        const char *value;
    } vars[] = {{"PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
                {"HOME", home},
                {"USER", user},
                {"LOGNAME", user},
                {"SHELL", "/bin/sh"},
                {"LANG", "C.UTF-8"}};
    size_t n = sizeof(vars) / sizeof(vars[0]);
    cs->base_env = calloc(n + 1, sizeof(*cs->base_env));
    if (!cs->base_env)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        if (asprintf(&cs->base_env[i], "%s=%s", vars[i].name, vars[i].value) < 0) {
            cs->base_env[i] = NULL;
            return -ENOMEM;
        }
    return 0;
}

static int watch_children(struct gd_commands *cs)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return -errno;
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0)
        return -errno;
    cs->child.fn = child_died;
    int rc = gd_watch_start(cs->loop, &cs->child, fd, EPOLLIN);
    if (rc < 0)
        close(fd);
    return rc;
}

int gd_commands_open(struct gd_commands *cs, struct gd_loop *l, const char *cgroup,
                     struct rlimit nofile, struct gd_err *err)
{
    *cs = (struct gd_commands){.loop = l, .cgroups = {.root_fd = -1}};
    cs->reap.fn = reap_unseen;
    cs->grow.fn = gd_commands_grow;
    gd_list_init(&cs->young);
    int rc = prctl(PR_SET_CHILD_SUBREAPER, 1) < 0 ? -errno : 0;
    if (rc == 0 && !(cs->chunk = malloc(GD_CHUNK_BYTES)))
        rc = -ENOMEM;
    if (rc == 0)
        rc = make_base_env(cs);
    if (rc == 0)
        rc = watch_children(cs);
    if (rc == 0)
        rc = gd_spawner_init(&cs->spawner, nofile);
    if (rc < 0)
        (void)gd_err_set(err, rc, "cannot set up: %s", gd_err_text(rc));
    else
        rc = gd_cgroups_open(&cs->cgroups, cgroup, err);
    if (rc < 0)
        gd_commands_close(cs);
    return rc;
}

void gd_commands_close(struct gd_commands *cs)
{
    gd_soon_cancel(&cs->sweep);
    gd_timer_stop(cs->loop, &cs->reap);
    gd_timer_stop(cs->loop, &cs->grow);
    gd_watch_close(cs->loop, &cs->child);
    gd_cgroups_close(&cs->cgroups);
    gd_spawner_done(&cs->spawner);
    gd_map_free(&cs->by_pid);
    gd_map_free(&cs->by_task);
    for (char **var = cs->base_env; var && *var; var++)
        free(*var);
    free(cs->base_env);
    free(cs->chunk);
    *cs = (struct gd_commands){.cgroups = {.root_fd = -1}};
}
