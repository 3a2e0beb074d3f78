/* Invariants
 *  1. Every unit is in `units` and in exactly one list: admit.waiting, running or
 *     ended, by its phase.
 *  2. A unit's EXITED fields stay until ACK; what is sent is a copy.
 *  3. Nothing is taken from a client before its HELLO, and it gets everything that
 *     is held before it may START (it waits for LIST_END).
 */
#include "daemon/worker/worker.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/map.h"
#include "daemon/proto/channel.h"
#include "daemon/worker/admit.h"
#include "daemon/worker/home.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

/* Units started in one round of the loop: a start may take half a millisecond, and
 * pipes must be drained meanwhile. */
#define STARTS_A_ROUND 8

struct gd_worker {
    struct gd_home home;
    struct gd_loop *loop;
    const struct gd_worker_ops *ops;
    void *arg;
    struct gd_channel *client; /* NULL: none */
    bool greeted;              /* the client said HELLO */
    bool quitting;             /* end once nothing is left */
    bool orphaned;             /* nobody can come for the ends any more */
    struct gd_map units;
    struct gd_node running;
    struct gd_node ended;
    struct gd_admit admit;
    struct gd_soon start_soon;
    uint64_t epoch;
    char boot_id[40];
};

void *gd_worker_arg(const struct gd_worker *w)
{
    return w->arg;
}

struct gd_loop *gd_worker_loop(const struct gd_worker *w)
{
    return w->loop;
}

int gd_worker_output_fd(const struct gd_worker *w)
{
    return w->home.output_fd;
}

/* --- sending */

/* Sends and empties `m`; without a client it is just emptied. */
static void send_msg(struct gd_worker *w, struct gd_msg *m)
{
    if (w->client && w->greeted)
        gd_channel_send(w->client, m);
    else
        gd_msg_free(m);
}

static void send_hello(struct gd_worker *w)
{
    struct gd_msg m;
    gd_msg_init(&m, GD_MSG_HELLO, 0, 0);
    gd_msg_u64(&m, GD_FIELD_VERSION, GD_PROTO_VERSION);
    gd_msg_u64(&m, GD_FIELD_PID, (uint64_t)getpid());
    gd_msg_u64(&m, GD_FIELD_EPOCH, w->epoch);
    gd_msg_str(&m, GD_FIELD_BOOT_ID, w->boot_id);
    gd_msg_str(&m, GD_FIELD_PROGRAM, w->ops->program);
    gd_channel_send(w->client, &m);
}

static void send_exited(struct gd_worker *w, const struct gd_unit *u)
{
    struct gd_msg m;
    gd_msg_init(&m, GD_MSG_EXITED, u->task, u->attempt);
    gd_buf_put(&m.fields, u->exited.fields.ptr, u->exited.fields.len);
    send_msg(w, &m);
}

static void send_listed(struct gd_worker *w, const struct gd_node *list)
{
    gd_list_each (node, list) {
        const struct gd_unit *u = GD_OWNER(node, struct gd_unit, node);
        struct gd_msg m;
        gd_msg_init(&m, GD_MSG_LISTED, u->task, u->attempt);
        gd_msg_u64(&m, GD_FIELD_PHASE, u->phase);
        if (u->started_at_ms)
            gd_msg_u64(&m, GD_FIELD_STARTED_AT, (uint64_t)u->started_at_ms);
        if (u->pid)
            gd_msg_u64(&m, GD_FIELD_PID, (uint64_t)u->pid);
        send_msg(w, &m);
    }
}

static void send_list(struct gd_worker *w)
{
    send_listed(w, &w->admit.waiting);
    send_listed(w, &w->running);
    send_listed(w, &w->ended);
    struct gd_msg m;
    gd_msg_init(&m, GD_MSG_LIST_END, 0, 0);
    send_msg(w, &m);
    gd_list_each (node, &w->ended)
        send_exited(w, GD_OWNER(node, struct gd_unit, node));
}

/* --- units */

static void stop_if_done(struct gd_worker *w)
{
    if ((w->quitting || w->orphaned) && w->units.n == 0)
        uv_stop(w->loop->uv);
}

static void forget(struct gd_worker *w, struct gd_unit *u)
{
    gd_node_unlink(&u->node);
    (void)gd_map_del(&w->units, u->task);
    gd_msg_free(&u->exited);
    free(u);
    stop_if_done(w);
}

static void start_some(struct gd_soon *s)
{
    struct gd_worker *w = GD_OWNER(s, struct gd_worker, start_soon);
    struct gd_unit *u = NULL;
    for (unsigned i = 0; i < STARTS_A_ROUND && (u = gd_admit_next(&w->admit)); i++) {
        u->phase = GD_PHASE_RUNNING;
        gd_list_push(&w->running, &u->node);
        w->ops->start(u);
    }
    if (u)
        gd_soon(w->loop, &w->start_soon);
}

void gd_unit_started(struct gd_unit *u, int64_t pid, int64_t started_us)
{
    u->started_at_ms = gd_wall_ms() - (gd_mono_us() - started_us) / 1000;
    u->started_us = started_us;
    u->pid = pid;
    struct gd_msg m;
    gd_msg_init(&m, GD_MSG_STARTED, u->task, u->attempt);
    gd_msg_u64(&m, GD_FIELD_STARTED_AT, (uint64_t)u->started_at_ms);
    gd_msg_u64(&m, GD_FIELD_PID, (uint64_t)pid);
    send_msg(u->worker, &m);
}

void gd_unit_progress(struct gd_unit *u, int64_t bytes, int64_t total)
{
    struct gd_worker *w = u->worker;
    if (w->client && gd_channel_is_behind(w->client))
        return;
    struct gd_msg m;
    gd_msg_init(&m, GD_MSG_PROGRESS, u->task, u->attempt);
    gd_msg_u64(&m, GD_FIELD_BYTES, (uint64_t)bytes);
    if (total >= 0)
        gd_msg_u64(&m, GD_FIELD_TOTAL, (uint64_t)total);
    send_msg(w, &m);
}

void gd_unit_spilled(struct gd_unit *u)
{
    struct gd_msg m;
    gd_msg_init(&m, GD_MSG_SPILLED, u->task, u->attempt);
    send_msg(u->worker, &m);
}

void gd_unit_exited(struct gd_unit *u, struct gd_msg *ret_msg)
{
    gd_msg_init(ret_msg, GD_MSG_EXITED, u->task, u->attempt);
    if (u->started_at_ms) {
        gd_msg_u64(ret_msg, GD_FIELD_STARTED_AT, (uint64_t)u->started_at_ms);
        gd_msg_u64(ret_msg, GD_FIELD_WALL_US, (uint64_t)(gd_mono_us() - u->started_us));
    }
    gd_msg_u64(ret_msg, GD_FIELD_ENDED_AT, (uint64_t)gd_wall_ms());
    if (u->note)
        gd_msg_u64(ret_msg, GD_FIELD_NOTE, u->note);
    if (u->cancelled)
        gd_msg_u64(ret_msg, GD_FIELD_CANCELLED, 1);
}

void gd_unit_end(struct gd_unit *u, struct gd_msg *m)
{
    struct gd_worker *w = u->worker;
    if (gd_buf_error(&m->fields) < 0) {
        /* No memory for what it put out: its end matters more. */
        gd_msg_free(m);
        gd_unit_exited(u, m);
        gd_msg_u64(m, GD_FIELD_ERRNO, ENOMEM);
        gd_msg_str(m, GD_FIELD_STAGE, "output");
    }
    w->ops->drop(u);
    gd_admit_leave(&w->admit, u);
    u->phase = GD_PHASE_ENDED;
    u->exited = *m;
    *m = (struct gd_msg){0};
    gd_list_push(&w->ended, &u->node);
    gd_soon(w->loop, &w->start_soon);
    if (w->orphaned)
        forget(w, u);
    else
        send_exited(w, u);
}

/* Ends a unit that never began. */
static void end_early(struct gd_unit *u, int errnum, const char *stage)
{
    struct gd_msg m;
    gd_unit_exited(u, &m);
    if (errnum) {
        gd_msg_u64(&m, GD_FIELD_ERRNO, (uint64_t)errnum);
        gd_msg_str(&m, GD_FIELD_STAGE, stage);
    }
    gd_unit_end(u, &m);
}

/* --- messages */

static void drop_client(struct gd_worker *w)
{
    gd_channel_free(w->client);
    w->client = NULL;
    w->greeted = false;
}

/* True if this attempt is held already. An older one that has ended makes room:
 * gatherd would not start a new attempt without having its end on disk. */
static bool is_held(struct gd_worker *w, const struct gd_msg_view *v)
{
    struct gd_unit *u = gd_map_get(&w->units, v->task);
    if (u && u->phase == GD_PHASE_ENDED && u->attempt < v->attempt) {
        forget(w, u);
        u = NULL;
    }
    return u != NULL;
}

static void on_start(struct gd_worker *w, const struct gd_msg_view *v)
{
    if (is_held(w, v))
        return;
    struct gd_unit *u = calloc(1, w->ops->unit_size);
    if (!u || gd_map_put(&w->units, v->task, u) < 0) {
        /* Without a unit there is no end to report: drop the connection, and
         * gatherd will list, miss it and send it again. */
        free(u);
        gd_log(GD_LOG_ERROR, "out-of-memory", "what", "start", NULL);
        drop_client(w);
        return;
    }
    u->task = v->task;
    u->attempt = v->attempt;
    u->phase = GD_PHASE_WAITING;
    u->worker = w;
    u->note = gd_msg_num(v, GD_FIELD_NOTE, 0);
    u->priority = (int64_t)gd_msg_num(v, GD_FIELD_PRIORITY, GD_MSG_PRIORITY_BIAS);
    int rc = w->ops->take(u, v);
    if (rc == 0)
        rc = gd_admit_wait(&w->admit, u, v);
    if (rc < 0)
        end_early(u, -rc, "start");
    else
        gd_soon(w->loop, &w->start_soon);
}

static void on_cancel(struct gd_worker *w, struct gd_unit *u, const struct gd_msg_view *v)
{
    if (u->phase == GD_PHASE_ENDED)
        return;
    u->cancelled = true;
    if (u->phase == GD_PHASE_WAITING)
        end_early(u, 0, NULL);
    else
        w->ops->cancel(u, (int64_t)gd_msg_num(v, GD_FIELD_GRACE_MS, (uint64_t)-1));
}

static void on_limits(struct gd_worker *w, const struct gd_msg_view *v)
{
    w->admit.slots = gd_msg_num(v, GD_FIELD_SLOTS, w->admit.slots);
    gd_soon(w->loop, &w->start_soon);
}

static void on_hello(struct gd_worker *w, const struct gd_msg_view *v)
{
    uint64_t version = gd_msg_num(v, GD_FIELD_VERSION, 0);
    if (version != GD_PROTO_VERSION) {
        char mine[21];
        char theirs[21];
        gd_log(GD_LOG_ERROR, "protocol-version", "mine", gd_log_num(mine, GD_PROTO_VERSION),
               "gatherd", gd_log_num(theirs, (int64_t)version), NULL);
        drop_client(w);
        return;
    }
    w->greeted = true;
    w->quitting = false;
    send_list(w);
}

static void on_running(struct gd_worker *w, struct gd_unit *u, const struct gd_msg_view *v)
{
    switch (v->type) {
    case GD_MSG_SIGNAL:
        if (w->ops->signal)
            w->ops->signal(u, (int)gd_msg_num(v, GD_FIELD_SIGNO, 0));
        break;
    case GD_MSG_SPILL:
        w->ops->spill(u);
        break;
    default:
        break;
    }
}

static void on_unit(struct gd_worker *w, struct gd_unit *u, const struct gd_msg_view *v)
{
    switch (v->type) {
    case GD_MSG_CANCEL:
        on_cancel(w, u, v);
        break;
    case GD_MSG_RETIME:
        if (u->phase != GD_PHASE_ENDED)
            w->ops->retime(u, (int64_t)gd_msg_num(v, GD_FIELD_TIMEOUT_MS, (uint64_t)-1));
        break;
    case GD_MSG_ACK:
        if (u->phase == GD_PHASE_ENDED)
            forget(w, u);
        break;
    default:
        if (u->phase == GD_PHASE_RUNNING)
            on_running(w, u, v);
        break;
    }
}

static void on_message(struct gd_channel *c, const struct gd_msg_view *v, void *arg)
{
    (void)c;
    struct gd_worker *w = arg;
    if (v->type == GD_MSG_HELLO) {
        on_hello(w, v);
    } else if (!w->greeted) {
        drop_client(w);
    } else if (v->type == GD_MSG_START) {
        on_start(w, v);
    } else if (v->type == GD_MSG_LIMITS) {
        on_limits(w, v);
    } else if (v->type == GD_MSG_QUIT) {
        w->quitting = true;
        stop_if_done(w);
    } else {
        struct gd_unit *u = gd_map_get(&w->units, v->task);
        if (u && u->attempt == v->attempt)
            on_unit(w, u, v);
    }
}

static void on_gone(struct gd_channel *c, int rc, void *arg)
{
    (void)c;
    struct gd_worker *w = arg;
    if (rc < 0)
        gd_log(GD_LOG_WARNING, "connection-failed", "error", gd_err_text(rc), NULL);
    drop_client(w);
}

static const struct gd_channel_ops channel_ops = {.message = on_message, .gone = on_gone};

static void on_client(struct gd_home *h, int own_fd)
{
    struct gd_worker *w = GD_OWNER(h, struct gd_worker, home);
    if (w->client) {
        gd_channel_drain(w->client);
        if (w->client) /* a message of its own may have ended it */
            drop_client(w);
    }
    w->greeted = false;
    w->client = gd_channel_new(w->loop, own_fd, &channel_ops, w);
    if (w->client)
        send_hello(w);
    else
        gd_log(GD_LOG_ERROR, "accept-failed", "error", gd_err_text(-errno), NULL);
}

/* The socket file is gone: what waits is not started, what runs goes on, and
 * nobody is left to tell. */
static void on_orphaned(struct gd_home *h)
{
    struct gd_worker *w = GD_OWNER(h, struct gd_worker, home);
    gd_log(GD_LOG_WARNING, "state-directory-removed", NULL);
    w->orphaned = true;
    while (!gd_list_empty(&w->admit.waiting))
        end_early(GD_OWNER(w->admit.waiting.next, struct gd_unit, node), 0, NULL);
    while (!gd_list_empty(&w->ended))
        forget(w, GD_OWNER(w->ended.next, struct gd_unit, node));
    stop_if_done(w);
}

/* --- life */

static void read_boot_id(struct gd_worker *w)
{
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, w->boot_id, sizeof(w->boot_id) - 1);
    if (fd >= 0)
        close(fd);
    w->boot_id[n > 0 ? n : 0] = '\0';
    w->boot_id[strcspn(w->boot_id, "\n")] = '\0';
}

/* Tells whoever started us that we listen. */
static void tell_ready(void)
{
    const char *text = getenv("GATHERD_READY_FD");
    char *end = NULL;
    long fd = text ? strtol(text, &end, 10) : -1;
    if (fd < 3 || *end)
        return;
    ssize_t ignored = write((int)fd, "ready\n", 6);
    (void)ignored;
    close((int)fd);
    (void)unsetenv("GATHERD_READY_FD");
}

int gd_worker_open(struct gd_loop *l, const char *state_dir, const struct gd_worker_ops *ops,
                   void *arg, struct gd_worker **ret, struct gd_err *err)
{
    struct gd_worker *w = calloc(1, sizeof(*w));
    if (!w)
        return gd_err_set(err, -ENOMEM, "out of memory");
    w->loop = l;
    w->ops = ops;
    w->arg = arg;
    w->start_soon.fn = start_some;
    w->home.on_client = on_client;
    w->home.on_orphaned = on_orphaned;
    gd_list_init(&w->running);
    gd_list_init(&w->ended);
    gd_admit_init(&w->admit);
    read_boot_id(w);
    int rc = 0;
    if (getrandom(&w->epoch, sizeof(w->epoch), 0) != sizeof(w->epoch))
        rc = gd_err_set(err, -errno, "getrandom: %s", gd_err_text(-errno));
    w->epoch >>= 1; /* SQLite's integers have 63 bits for it */
    if (rc == 0)
        rc = gd_home_open(&w->home, l, state_dir, ops->short_name, err);
    if (rc < 0) {
        free(w);
        return rc;
    }
    tell_ready();
    *ret = w;
    return 0;
}

void gd_worker_close(struct gd_worker *w)
{
    if (!w)
        return;
    gd_soon_cancel(&w->start_soon);
    drop_client(w);
    gd_home_close(&w->home);
    size_t pos = 0;
    for (struct gd_unit *u; (u = gd_map_next(&w->units, &pos));) {
        if (u->phase != GD_PHASE_ENDED)
            w->ops->drop(u);
        gd_msg_free(&u->exited);
        free(u);
    }
    gd_map_free(&w->units);
    gd_admit_free(&w->admit);
    free(w);
}
