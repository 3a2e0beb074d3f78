#include "tests/support/peer.h"

#include "base/clock.h"
#include "base/list.h"
#include "daemon/loop/loop.h"
#include "daemon/proto/channel.h"

#include <check.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

struct received {
    struct gd_node node;
    struct gd_msg_view view;
    bool taken;
    char bytes[];
};

struct text {
    struct gd_node node;
    char bytes[];
};

struct peer {
    uv_loop_t uv;
    struct gd_loop loop;
    struct gd_channel *channel;
    int fd; /* the channel's */
    struct gd_timer deadline;
    struct gd_node received;
    struct gd_node texts;
    bool gone;
    bool late;
};

/* --- processes */

pid_t peer_spawn(int (*serve)(const char *state_dir), const char *state_dir)
{
    (void)fflush(NULL);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0)
        exit(serve(state_dir)); /* not _exit: leaks are looked for there */
    return pid;
}

void peer_reap(pid_t pid, int signo, int status)
{
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    ck_assert_int_ge(pidfd, 0);
    if (signo)
        ck_assert_int_eq(kill(pid, signo), 0);
    struct pollfd end = {.fd = pidfd, .events = POLLIN};
    ck_assert_msg(poll(&end, 1, PEER_DEADLINE_MS) == 1, "the worker does not end");
    (void)close(pidfd);
    int how = 0;
    ck_assert_int_eq(waitpid(pid, &how, 0), pid);
    ck_assert_msg(WIFEXITED(how), "the worker was ended by signal %d", WTERMSIG(how));
    ck_assert_int_eq(WEXITSTATUS(how), status);
}

/* --- messages */

static void on_message(struct gd_channel *c, const struct gd_msg_view *v, void *arg)
{
    (void)c;
    struct peer *p = arg;
    struct received *r = malloc(sizeof(*r) + v->fields.len);
    ck_assert_ptr_nonnull(r);
    *r = (struct received){.view = *v};
    if (v->fields.len > 0)
        memcpy(r->bytes, v->fields.ptr, v->fields.len);
    r->view.fields.ptr = r->bytes;
    gd_list_push(&p->received, &r->node);
    uv_stop(&p->uv);
}

static void on_gone(struct gd_channel *c, int rc, void *arg)
{
    (void)c;
    (void)rc;
    struct peer *p = arg;
    p->gone = true;
    uv_stop(&p->uv);
}

static void on_late(struct gd_timer *t)
{
    struct peer *p = GD_OWNER(t, struct peer, deadline);
    p->late = true;
    uv_stop(&p->uv);
}

static bool is_about(const struct received *r, enum gd_msg_type type, uint64_t task)
{
    return r->view.type == type && (task == 0 || r->view.task == task);
}

static struct received *find(struct peer *p, enum gd_msg_type type, uint64_t task)
{
    gd_list_each (node, &p->received) {
        struct received *r = GD_OWNER(node, struct received, node);
        if (!r->taken && is_about(r, type, task))
            return r;
    }
    return NULL;
}

const struct gd_msg_view *peer_try(struct peer *p, enum gd_msg_type type, uint64_t task)
{
    struct received *r = NULL;
    p->late = false;
    ck_assert_int_eq(gd_timer_at(&p->loop, &p->deadline, gd_mono_ms() + PEER_DEADLINE_MS), 0);
    while (!(r = find(p, type, task)) && !p->gone && !p->late)
        (void)uv_run(&p->uv, UV_RUN_DEFAULT); /* one of the three stops it */
    gd_timer_stop(&p->loop, &p->deadline);
    ck_assert_msg(r || p->gone, "said nothing about %s of task %llu", gd_msg_type_name(type),
                  (unsigned long long)task);
    if (!r)
        return NULL;
    r->taken = true;
    return &r->view;
}

const struct gd_msg_view *peer_wait(struct peer *p, enum gd_msg_type type, uint64_t task)
{
    const struct gd_msg_view *v = peer_try(p, type, task);
    ck_assert_msg(v != NULL, "went away before %s of task %llu", gd_msg_type_name(type),
                  (unsigned long long)task);
    return v;
}

size_t peer_count(const struct peer *p, enum gd_msg_type type, uint64_t task)
{
    size_t n = 0;
    gd_list_each (node, &p->received)
        n += is_about(GD_OWNER(node, struct received, node), type, task);
    return n;
}

/* Waits for room, so that it is sent when this returns: a test may wait for what
 * follows from it elsewhere, without this loop. */
void peer_send(struct peer *p, struct gd_msg *m)
{
    struct pollfd room = {.fd = p->fd, .events = POLLOUT};
    ck_assert_msg(poll(&room, 1, PEER_DEADLINE_MS) == 1, "the worker takes no messages");
    gd_channel_send(p->channel, m);
    gd_channel_flush(p->channel); /* a test may wait for something else than the loop */
}

void peer_simple(struct peer *p, enum gd_msg_type type, uint64_t task)
{
    struct gd_msg m;
    gd_msg_init(&m, type, task, task ? 1 : 0);
    peer_send(p, &m);
}

void peer_limits(struct peer *p, uint64_t slots)
{
    struct gd_msg m;
    gd_msg_init(&m, GD_MSG_LIMITS, 0, 0);
    gd_msg_u64(&m, GD_FIELD_SLOTS, slots);
    peer_send(p, &m);
}

void peer_cancel(struct peer *p, uint64_t task)
{
    peer_simple(p, GD_MSG_CANCEL, task);
}

void peer_retime(struct peer *p, uint64_t task, int64_t timeout_ms)
{
    struct gd_msg m;
    gd_msg_init(&m, GD_MSG_RETIME, task, 1);
    gd_msg_u64(&m, GD_FIELD_TIMEOUT_MS, (uint64_t)timeout_ms);
    peer_send(p, &m);
}

const struct gd_msg_view *peer_end(struct peer *p, uint64_t task)
{
    const struct gd_msg_view *v = peer_wait(p, GD_MSG_EXITED, task);
    struct gd_msg ack;
    gd_msg_init(&ack, GD_MSG_ACK, v->task, v->attempt);
    peer_send(p, &ack);
    return v;
}

const char *peer_text(struct peer *p, const struct gd_msg_view *v, enum gd_msg_field field)
{
    struct gd_span bytes;
    if (!gd_msg_find(v, field, &bytes))
        return NULL;
    struct text *t = calloc(1, sizeof(*t) + bytes.len + 1);
    ck_assert_ptr_nonnull(t);
    if (bytes.len > 0)
        memcpy(t->bytes, bytes.ptr, bytes.len);
    gd_list_push(&p->texts, &t->node);
    return t->bytes;
}

/* --- connecting */

/* The worker makes the socket file, then listens: between the two it refuses. Whoever
 * waits for it is woken by what happens in the directory. */
static int connect_when_there(const char *state_dir, const char *short_name)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    int n = snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/%s.sock", state_dir, short_name);
    ck_assert_int_lt(n, (int)sizeof(sun.sun_path));
    int changes = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    ck_assert_int_ge(inotify_add_watch(changes, state_dir, IN_CREATE | IN_ATTRIB), 0);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(fd, 0);
    int64_t until_ms = gd_mono_ms() + PEER_DEADLINE_MS;
    while (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0) {
        ck_assert_msg((errno == ENOENT || errno == ECONNREFUSED) && gd_mono_ms() < until_ms,
                      "%s: %s", sun.sun_path, strerror(errno));
        struct pollfd change = {.fd = changes, .events = POLLIN};
        char events[4096];
        (void)poll(&change, 1, 10); /* listen() itself is no event */
        while (read(changes, events, sizeof(events)) > 0)
            continue;
    }
    (void)close(changes);
    return fd;
}

struct peer *peer_connect(const char *state_dir, const char *short_name)
{
    static const struct gd_channel_ops ops = {.message = on_message, .gone = on_gone};
    struct peer *p = calloc(1, sizeof(*p));
    ck_assert_ptr_nonnull(p);
    gd_list_init(&p->received);
    gd_list_init(&p->texts);
    p->deadline.fn = on_late;
    ck_assert_int_eq(uv_loop_init(&p->uv), 0);
    ck_assert_int_eq(gd_loop_init(&p->loop, &p->uv), 0);
    p->fd = connect_when_there(state_dir, short_name);
    p->channel = gd_channel_new(&p->loop, p->fd, &ops, p);
    ck_assert_ptr_nonnull(p->channel);
    struct gd_msg hello;
    gd_msg_init(&hello, GD_MSG_HELLO, 0, 0);
    gd_msg_u64(&hello, GD_FIELD_VERSION, GD_PROTO_VERSION);
    peer_send(p, &hello);
    const struct gd_msg_view *v = peer_wait(p, GD_MSG_HELLO, 0);
    ck_assert_uint_eq(gd_msg_num(v, GD_FIELD_VERSION, 0), GD_PROTO_VERSION);
    (void)peer_wait(p, GD_MSG_LIST_END, 0);
    return p;
}

void peer_close(struct peer *p)
{
    if (!p)
        return;
    gd_channel_free(p->channel);
    gd_loop_close(&p->loop);
    (void)uv_run(&p->uv, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&p->uv), 0);
    struct gd_node *node;
    while ((node = gd_list_shift(&p->received)))
        free(GD_OWNER(node, struct received, node));
    while ((node = gd_list_shift(&p->texts)))
        free(GD_OWNER(node, struct text, node));
    free(p);
}
