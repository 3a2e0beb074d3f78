#include "daemon/exec/remote.h"

#include "base/clock.h"
#include "base/log.h"
#include "daemon/exec/remote_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* Between two tries to get the worker, doubled each time. */
#define WAIT_FIRST_MS 50
#define WAIT_MOST_MS  5000
/* A worker that lived as long as this is worth another immediate try. */
#define LIVED_MS 10000

static struct gd_remote *remote_of(struct gd_executor *ex)
{
    return GD_OWNER(ex, struct gd_remote, ex);
}

static bool is_mine(const struct gd_remote *r, const struct gd_task *t)
{
    return t->kind == r->ops->kinds[0] || t->kind == r->ops->kinds[1];
}

/* --- getting the worker */

static void get_worker(struct gd_remote *r);

static void try_again(struct gd_timer *t)
{
    get_worker(GD_OWNER(t, struct gd_remote, again));
}

static void try_later(struct gd_remote *r)
{
    if (r->closing)
        return;
    r->again.fn = try_again;
    if (gd_timer_at(r->core->loop, &r->again, gd_mono_ms() + r->wait_ms) < 0)
        gd_log(GD_LOG_ERROR, "out-of-memory", "what", "worker", NULL);
    r->wait_ms = r->wait_ms * 2 < WAIT_MOST_MS ? r->wait_ms * 2 : WAIT_MOST_MS;
}

static void away(struct gd_remote *r)
{
    gd_channel_free(r->channel);
    r->channel = NULL;
    r->greeted = false;
    gd_map_free(&r->listed);
    if (r->ex.ready) {
        r->ex.ready = false;
        gd_core_executor_changed(r->core);
    }
}

void gd_remote_start_over(struct gd_remote *r)
{
    away(r);
    try_later(r);
}

static void on_message(struct gd_channel *c, const struct gd_msg_view *v, void *arg);

static void on_gone(struct gd_channel *c, int rc, void *arg)
{
    (void)c;
    struct gd_remote *r = arg;
    gd_log(GD_LOG_WARNING, "worker-gone", "worker", r->ops->program, "error",
           rc < 0 ? gd_err_text(rc) : NULL, NULL);
    away(r);
    if (gd_mono_ms() - r->launched_ms > LIVED_MS)
        r->wait_ms = WAIT_FIRST_MS;
    try_later(r);
}

static const struct gd_channel_ops channel_ops = {.message = on_message, .gone = on_gone};

/* The connected socket, or -errno. */
static int connect_socket(const struct gd_remote *r)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    (void)snprintf(sun.sun_path, sizeof(sun.sun_path), "/proc/self/fd/%d/%s.sock", r->dir_fd,
                   r->ops->name);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0)
        return fd;
    int rc = -errno;
    close(fd);
    return rc;
}

static void send_simple(struct gd_remote *r, enum gd_msg_type type)
{
    struct gd_msg m;
    gd_msg_init(&m, type, 0, 0);
    if (type == GD_MSG_HELLO) {
        gd_msg_u64(&m, GD_FIELD_VERSION, GD_PROTO_VERSION);
        gd_msg_u64(&m, GD_FIELD_PID, (uint64_t)getpid());
        gd_msg_str(&m, GD_FIELD_PROGRAM, "gatherd");
    } else if (type == GD_MSG_LIMITS) {
        gd_msg_u64(&m, GD_FIELD_SLOTS, r->config.slots);
    }
    gd_channel_send(r->channel, &m);
}

static void get_worker(struct gd_remote *r)
{
    int fd = connect_socket(r);
    if (fd >= 0) {
        r->channel = gd_channel_new(r->core->loop, fd, &channel_ops, r);
        if (r->channel)
            send_simple(r, GD_MSG_HELLO);
        else
            try_later(r);
        return;
    }
    int rc = fd;
    if (rc == -ENOENT || rc == -ECONNREFUSED) {
        r->launched_ms = gd_mono_ms();
        rc = gd_remote_launch(r);
        if (rc == 0)
            return; /* gd_remote_launched() follows */
    }
    gd_log(GD_LOG_ERROR, "no-worker", "worker", r->config.program_path, "error", gd_err_text(rc),
           NULL);
    try_later(r);
}

void gd_remote_launched(struct gd_remote *r, bool listens)
{
    if (listens)
        get_worker(r);
    else
        try_later(r); /* it has said why; or another one was quicker */
}

/* --- what it says */

static void open_output(struct gd_remote *r)
{
    if (r->output_fd < 0)
        r->output_fd = openat(r->dir_fd, "output", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

static void on_hello(struct gd_remote *r, const struct gd_msg_view *v)
{
    uint64_t version = gd_msg_num(v, GD_FIELD_VERSION, 0);
    if (version != GD_PROTO_VERSION) {
        char mine[21];
        char theirs[21];
        gd_log(GD_LOG_ERROR, "protocol-version", "worker", r->ops->program, "mine",
               gd_log_num(mine, GD_PROTO_VERSION), "its", gd_log_num(theirs, (int64_t)version),
               NULL);
        gd_remote_start_over(r);
        return;
    }
    r->epoch = gd_msg_num(v, GD_FIELD_EPOCH, 0);
    r->greeted = true;
    open_output(r);
}

static void send_about(struct gd_remote *r, enum gd_msg_type type, uint64_t task, uint32_t attempt,
                       enum gd_msg_field field, uint64_t n)
{
    struct gd_msg m;
    if (!r->channel || !r->greeted)
        return;
    gd_msg_init(&m, type, task, attempt);
    if (field)
        gd_msg_u64(&m, field, n);
    gd_channel_send(r->channel, &m);
}

/* The task that a message is about, if the core knows this attempt as begun. */
static struct gd_task *task_of(const struct gd_remote *r, const struct gd_msg_view *v)
{
    struct gd_task *t = gd_core_task(r->core, v->task);
    return t && is_mine(r, t) && t->attempt == v->attempt &&
                   (t->phase == GD_TASK_LEASED || t->phase == GD_TASK_RUNNING)
               ? t
               : NULL;
}

static void on_listed(struct gd_remote *r, const struct gd_msg_view *v)
{
    struct gd_task *t = task_of(r, v);
    if (t) {
        if (gd_map_put(&r->listed, v->task, t) < 0) {
            gd_remote_start_over(r);
            return;
        }
        gd_core_reattached(r->core, t, (int64_t)gd_msg_num(v, GD_FIELD_STARTED_AT, 0));
        return;
    }
    t = gd_core_task(r->core, v->task);
    if (t && t->attempt == v->attempt)
        return; /* its outcome is on its way to the disk; ACK follows */
    /* We do not know it (any more): end it; its end will be acknowledged. */
    send_about(r, GD_MSG_CANCEL, v->task, v->attempt, GD_FIELD_GRACE_MS, 0);
}

static void on_list_end(struct gd_remote *r)
{
    const char *reason = r->config.rebooted ? "reboot" : r->ops->name;
    struct gd_task *t = gd_task_from(&r->core->tasks, 0);
    while (t) {
        uint64_t next = gd_task_id(t) + 1;
        if (is_mine(r, t) && (t->phase == GD_TASK_LEASED || t->phase == GD_TASK_RUNNING) &&
            !gd_map_get(&r->listed, gd_task_id(t)) &&
            gd_core_missing(r->core, t, r->epoch, reason) < 0) {
            gd_remote_start_over(r);
            return;
        }
        t = gd_task_from(&r->core->tasks, next);
    }
    gd_map_free(&r->listed);
    r->ex.epoch = r->epoch; /* what is leased from here on is leased to it */
    r->config.rebooted = false;
    r->wait_ms = WAIT_FIRST_MS;
    send_simple(r, GD_MSG_LIMITS);
    r->ex.ready = true;
    gd_core_executor_changed(r->core);
}

static void on_exited(struct gd_remote *r, const struct gd_msg_view *v)
{
    struct gd_task *t = task_of(r, v);
    if (t) {
        if (gd_remote_finish(r, t, v) < 0)
            gd_remote_start_over(r);
        return;
    }
    t = gd_core_task(r->core, v->task);
    if (!t || t->attempt != v->attempt)
        send_about(r, GD_MSG_ACK, v->task, v->attempt, (enum gd_msg_field)0, 0);
}

static void on_task(struct gd_remote *r, struct gd_task *t, const struct gd_msg_view *v)
{
    switch (v->type) {
    case GD_MSG_STARTED:
        gd_core_started(r->core, t, (int64_t)gd_msg_num(v, GD_FIELD_STARTED_AT, 0));
        break;
    case GD_MSG_PROGRESS:
        gd_core_progress(r->core, t, (int64_t)gd_msg_num(v, GD_FIELD_BYTES, 0),
                         (int64_t)gd_msg_num(v, GD_FIELD_TOTAL, (uint64_t)-1));
        break;
    case GD_MSG_SPILLED:
        gd_core_spilled(r->core, t);
        break;
    default:
        break;
    }
}

static void on_message(struct gd_channel *c, const struct gd_msg_view *v, void *arg)
{
    (void)c;
    struct gd_remote *r = arg;
    if (v->type == GD_MSG_HELLO) {
        on_hello(r, v);
        return;
    }
    if (!r->greeted) {
        gd_remote_start_over(r);
        return;
    }
    if (v->type == GD_MSG_LISTED) {
        on_listed(r, v);
    } else if (v->type == GD_MSG_LIST_END) {
        on_list_end(r);
    } else if (v->type == GD_MSG_EXITED) {
        on_exited(r, v);
    } else {
        struct gd_task *t = task_of(r, v);
        if (t)
            on_task(r, t, v);
    }
}

/* --- what the core asks */

static void put_groups(const struct gd_task *t, size_t per_host, struct gd_msg *m)
{
    if (t->batch && t->batch->lanes.concurrency) {
        struct gd_msg_group g = {.key = t->batch->id << 1, .limit = t->batch->lanes.concurrency};
        gd_msg_put(m, GD_FIELD_GROUP, &g, sizeof(g));
    }
    if (t->host) {
        struct gd_msg_group g = {.key = (uint64_t)t->host << 1 | 1, .limit = per_host};
        gd_msg_put(m, GD_FIELD_GROUP, &g, sizeof(g));
    }
}

static int op_start(struct gd_executor *ex, struct gd_task *t)
{
    struct gd_remote *r = remote_of(ex);
    struct gd_store *store = r->core->store;
    struct gd_buf text = {0};
    struct gd_faults faults = {0};
    struct gd_job job;
    struct gd_job_detail d = {0};
    int rc = store->ops->read_job(store, gd_task_id(t), &text);
    if (rc == 0)
        rc = gd_job_decode(gd_buf_view(&text), "", &faults, &job, &d);
    if (rc == 0) {
        struct gd_msg m;
        gd_msg_init(&m, GD_MSG_START, gd_task_id(t), t->attempt);
        gd_msg_u64(&m, GD_FIELD_PRIORITY, (uint64_t)(t->priority + GD_MSG_PRIORITY_BIAS));
        put_groups(t, r->core->config.fetches_a_host, &m);
        if (t->timeout_ms != GD_NO_TIMEOUT)
            gd_msg_u64(&m, GD_FIELD_TIMEOUT_MS, (uint64_t)t->timeout_ms);
        if (t->batch)
            gd_msg_u64(&m, GD_FIELD_BATCH, t->batch->id);
        r->ops->put_start(r, t, &job, &d, &m);
        rc = gd_buf_error(&m.fields);
        if (rc == 0)
            gd_channel_send(r->channel, &m);
        gd_msg_free(&m);
    }
    gd_job_detail_free(&d);
    gd_faults_free(&faults);
    gd_buf_free(&text);
    return rc;
}

static void op_cancel(struct gd_executor *ex, struct gd_task *t, int64_t grace_ms)
{
    send_about(remote_of(ex), GD_MSG_CANCEL, gd_task_id(t), t->attempt,
               grace_ms < 0 ? (enum gd_msg_field)0 : GD_FIELD_GRACE_MS, (uint64_t)grace_ms);
}

static void op_retime(struct gd_executor *ex, struct gd_task *t)
{
    send_about(remote_of(ex), GD_MSG_RETIME, gd_task_id(t), t->attempt,
               t->timeout_ms < 0 ? (enum gd_msg_field)0 : GD_FIELD_TIMEOUT_MS,
               (uint64_t)t->timeout_ms);
}

static void op_signal(struct gd_executor *ex, struct gd_task *t, int signo)
{
    send_about(remote_of(ex), GD_MSG_SIGNAL, gd_task_id(t), t->attempt, GD_FIELD_SIGNO,
               (uint64_t)signo);
}

static void op_spill(struct gd_executor *ex, struct gd_task *t)
{
    send_about(remote_of(ex), GD_MSG_SPILL, gd_task_id(t), t->attempt, (enum gd_msg_field)0, 0);
}

static void op_forget(struct gd_executor *ex, uint64_t task, uint32_t attempt)
{
    send_about(remote_of(ex), GD_MSG_ACK, task, attempt, (enum gd_msg_field)0, 0);
}

static const struct gd_executor_ops executor_ops = {
    .start = op_start,
    .cancel = op_cancel,
    .retime = op_retime,
    .signal = op_signal,
    .spill = op_spill,
    .forget = op_forget,
};

/* --- life */

int gd_remote_open(struct gd_remote *r, const struct gd_remote_ops *ops, struct gd_core *core,
                   const struct gd_remote_config *config)
{
    *r = (struct gd_remote){.ex = {.ops = &executor_ops, .is_worker = true},
                            .ops = ops,
                            .core = core,
                            .config = *config,
                            .wait_ms = WAIT_FIRST_MS,
                            .output_fd = -1};
    r->dir_fd = open(config->state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (r->dir_fd < 0)
        return -errno;
    gd_core_use(core, ops->kinds[0], &r->ex);
    gd_core_use(core, ops->kinds[1], &r->ex);
    get_worker(r);
    return 0;
}

/* True if the worker has, or may have, something that is not on disk yet. */
static bool holds_tasks(const struct gd_remote *r)
{
    for (const struct gd_task *t = gd_task_from(&r->core->tasks, 0); t;
         t = gd_task_from(&r->core->tasks, gd_task_id(t) + 1))
        if (is_mine(r, t) && t->phase != GD_TASK_QUEUED)
            return true;
    return false;
}

void gd_remote_close(struct gd_remote *r)
{
    if (!r->core)
        return;
    r->closing = true;
    if (r->channel && r->ex.ready && !holds_tasks(r))
        send_simple(r, GD_MSG_QUIT);
    gd_timer_stop(r->core->loop, &r->again);
    away(r);
    gd_remote_launch_done(r);
    gd_map_free(&r->finishing);
    if (r->output_fd >= 0)
        close(r->output_fd);
    if (r->dir_fd >= 0)
        close(r->dir_fd);
    r->output_fd = r->dir_fd = -1;
}
