#include "daemon/proto/channel.h"

#include "base/clock.h"
#include "base/list.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* Packets are this far apart, unless the socket was full. */
#define PACE_MS 2
/* Messages in one packet, and packets taken in one round. */
#define MESSAGES_A_PACKET 32
#define PACKETS_A_ROUND   16
/* So many that wait to be sent together are enough, what may be left out should be. */
#define UNSENT_MANY 64
#define SEALS       (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL)

struct gd_channel {
    struct gd_watch watch;
    struct gd_soon tell;        /* reports `gone` */
    struct gd_soon push;        /* sends what has come together in this round … */
    struct gd_timer push_later; /* … or in PACE_MS */
    int64_t pushed_ms;
    struct gd_loop *loop;
    const struct gd_channel_ops *ops;
    void *arg;
    struct gd_node unsent; /* struct parcel */
    size_t n_unsent;
    int fd;
    int rc; /* why it is gone */
    bool gone;
    bool writing;
    bool busy;   /* a call of ours into `ops` is on the stack */
    bool doomed; /* freed meanwhile: memory goes when that call is back */
    char packet[GD_MSG_PACKET_MAX];
};

/* A message that waits for room in the socket. */
struct parcel {
    struct gd_node node;
    struct gd_msg msg;
};

static void break_off(struct gd_channel *c, int rc)
{
    if (c->gone)
        return;
    c->gone = true;
    c->rc = rc;
    gd_watch_stop(c->loop, &c->watch);
    gd_soon(c->loop, &c->tell);
}

static void tell_gone(struct gd_soon *s)
{
    struct gd_channel *c = GD_OWNER(s, struct gd_channel, tell);
    c->ops->gone(c, c->rc, c->arg);
}

/* --- sending */

/* The fields as a sealed memory file. Returns its descriptor or -errno. */
static int seal(const struct gd_buf *fields)
{
    int fd = memfd_create("gatherd-message", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return -errno;
    size_t done = 0;
    while (done < fields->len) {
        ssize_t n = write(fd, fields->ptr + done, fields->len - done);
        if (n < 0 && errno != EINTR)
            break;
        done += n > 0 ? (size_t)n : 0;
    }
    if (done < fields->len || fcntl(fd, F_ADD_SEALS, SEALS) < 0) {
        int rc = -errno;
        close(fd);
        return rc;
    }
    return fd;
}

/* Sends what lies in `parts` as one packet; a descriptor with it if >= 0. */
static int send_packet(const struct gd_channel *c, struct iovec *parts, size_t n_parts, int memfd)
{
    struct msghdr hdr = {.msg_iov = parts, .msg_iovlen = n_parts};
    char control[CMSG_SPACE(sizeof(int))] = {0};
    if (memfd >= 0) {
        hdr.msg_control = control;
        hdr.msg_controllen = sizeof(control);
        struct cmsghdr *cm = CMSG_FIRSTHDR(&hdr);
        cm->cmsg_level = SOL_SOCKET;
        cm->cmsg_type = SCM_RIGHTS;
        cm->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(cm), &memfd, sizeof(int));
    }
    ssize_t n;
    do
        n = sendmsg(c->fd, &hdr, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == ENOBUFS ? -EAGAIN : -errno;
    return 0;
}

static int send_large(const struct gd_channel *c, struct gd_msg *m)
{
    int memfd = seal(&m->fields);
    if (memfd < 0)
        return memfd;
    m->head.flags = GD_MSG_IN_MEMFD;
    m->head.n = 0;
    struct iovec part = {.iov_base = &m->head, .iov_len = sizeof(m->head)};
    int rc = send_packet(c, &part, 1, memfd);
    close(memfd);
    return rc;
}

/* Sends the first of those that wait, and with it as many as the packet holds. Returns
 * how many; -EAGAIN: no room now; other: broken. */
static int send_some(struct gd_channel *c)
{
    struct iovec parts[2 * MESSAGES_A_PACKET];
    size_t bytes = 0;
    size_t n = 0;
    gd_list_each (node, &c->unsent) {
        struct gd_msg *m = &GD_OWNER(node, struct parcel, node)->msg;
        size_t size = sizeof(m->head) + m->fields.len;
        if (n == 0 && size > GD_MSG_PACKET_MAX) {
            int rc = send_large(c, m);
            return rc < 0 ? rc : 1;
        }
        if (n == MESSAGES_A_PACKET || bytes + size > GD_MSG_PACKET_MAX)
            break;
        m->head.flags = 0;
        m->head.n = (uint32_t)m->fields.len;
        parts[2 * n] = (struct iovec){.iov_base = &m->head, .iov_len = sizeof(m->head)};
        parts[2 * n + 1] = (struct iovec){.iov_base = m->fields.ptr, .iov_len = m->fields.len};
        bytes += size;
        n++;
    }
    int rc = send_packet(c, parts, 2 * n, -1);
    return rc < 0 ? rc : (int)n;
}

static void want_write(struct gd_channel *c, bool on)
{
    if (c->writing == on)
        return;
    c->writing = on;
    int rc = gd_watch_change(c->loop, &c->watch, on ? EPOLLIN | EPOLLOUT : EPOLLIN);
    if (rc < 0)
        break_off(c, rc);
}

void gd_channel_flush(struct gd_channel *c)
{
    while (!c->gone && !gd_list_empty(&c->unsent)) {
        int n = send_some(c);
        if (n == -EAGAIN) {
            want_write(c, true);
            return;
        }
        if (n < 0) {
            break_off(c, n);
            return;
        }
        c->n_unsent -= (size_t)n;
        for (; n > 0; n--) {
            struct parcel *p = GD_OWNER(gd_list_shift(&c->unsent), struct parcel, node);
            gd_msg_free(&p->msg);
            free(p);
        }
    }
    if (!c->gone)
        want_write(c, false);
}

static void push_now(struct gd_soon *s)
{
    struct gd_channel *c = GD_OWNER(s, struct gd_channel, push);
    c->pushed_ms = gd_mono_ms();
    gd_channel_flush(c);
}

static void push_is_due(struct gd_timer *t)
{
    push_now(&GD_OWNER(t, struct gd_channel, push_later)->push);
}

/* Each packet that finds the other side asleep costs it a wake-up, which is dearer than
 * the packet. So what comes in one round goes out together at its end, when what is
 * more urgent is done; and under load what comes in PACE_MS. */
static void push(struct gd_channel *c)
{
    int64_t now_ms = gd_mono_ms();
    if (c->writing || gd_node_linked(&c->push.node) || gd_timer_is_set(&c->push_later))
        return;
    int64_t due_ms = c->pushed_ms + PACE_MS;
    if (now_ms >= due_ms || gd_timer_at(c->loop, &c->push_later, due_ms) < 0)
        gd_soon(c->loop, &c->push);
}

void gd_channel_send(struct gd_channel *c, struct gd_msg *m)
{
    int rc = c->gone ? -EPIPE : gd_buf_error(&m->fields);
    struct parcel *p = rc == 0 ? calloc(1, sizeof(*p)) : NULL;
    if (p) {
        p->msg = *m;
        gd_list_push(&c->unsent, &p->node);
        c->n_unsent++;
        *m = (struct gd_msg){0};
        push(c);
        return;
    }
    gd_msg_free(m);
    break_off(c, rc < 0 ? rc : -ENOMEM);
}

bool gd_channel_is_behind(const struct gd_channel *c)
{
    return c->writing || c->n_unsent > UNSENT_MANY;
}

/* --- receiving */

/* The descriptor that came along, or -1. Of several, for which the space of one may be
 * enough, none is kept: no message has them. */
static int passed_fd(struct msghdr *hdr)
{
    int fd = -1;
    unsigned n = 0;
    for (struct cmsghdr *cm = CMSG_FIRSTHDR(hdr); cm; cm = CMSG_NXTHDR(hdr, cm)) {
        if (cm->cmsg_level != SOL_SOCKET || cm->cmsg_type != SCM_RIGHTS)
            continue;
        for (size_t at = CMSG_LEN(0); at + sizeof(fd) <= cm->cmsg_len; at += sizeof(fd)) {
            if (n++ > 0)
                close(fd);
            memcpy(&fd, (char *)cm + at, sizeof(fd));
        }
    }
    if (n > 1) {
        close(fd);
        fd = -1;
    }
    return fd;
}

/* Maps the fields of a sealed memfd. Only a sealed one cannot change or shrink
 * under our eyes. */
static int map_fields(int fd, struct gd_span *ret)
{
    struct stat st;
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || (seals & SEALS) != SEALS || fstat(fd, &st) < 0 || st.st_size <= 0 ||
        (uint64_t)st.st_size > GD_MSG_MAX)
        return -EPROTO;
    void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (p == MAP_FAILED)
        return -errno;
    *ret = (struct gd_span){.ptr = p, .len = (size_t)st.st_size};
    return 0;
}

static void hand_out(struct gd_channel *c, const struct gd_msg_head *head, struct gd_span fields,
                     int *rc)
{
    struct gd_msg_view v = {.type = (enum gd_msg_type)head->type,
                            .task = head->task,
                            .attempt = head->attempt,
                            .fields = fields};
    if (gd_msg_is_whole(&v))
        c->ops->message(c, &v, c->arg);
    else
        *rc = -EPROTO;
}

static int deliver_large(struct gd_channel *c, const struct gd_msg_head *head, int memfd)
{
    struct gd_span fields;
    int rc = map_fields(memfd, &fields);
    if (rc < 0)
        return rc;
    hand_out(c, head, fields, &rc);
    (void)munmap((void *)(uintptr_t)fields.ptr, fields.len);
    return rc;
}

/* Hands out the messages of a packet of n bytes. */
static int deliver(struct gd_channel *c, size_t n, int memfd)
{
    int rc = 0;
    for (size_t at = 0; rc == 0 && at < n && !c->doomed;) {
        struct gd_msg_head head;
        if (n - at < sizeof(head))
            return -EPROTO;
        memcpy(&head, c->packet + at, sizeof(head));
        at += sizeof(head);
        if (head.n > n - at)
            return -EPROTO;
        if (head.flags & GD_MSG_IN_MEMFD)
            return n == sizeof(head) ? deliver_large(c, &head, memfd) : -EPROTO;
        hand_out(c, &head, (struct gd_span){.ptr = c->packet + at, .len = head.n}, &rc);
        at += head.n;
    }
    return rc;
}

/* Takes one packet. 1: it was handed out; 0: the peer's end; -EAGAIN: nothing there;
 * other: broken. */
static int receive(struct gd_channel *c)
{
    struct iovec part = {.iov_base = c->packet, .iov_len = sizeof(c->packet)};
    char control[CMSG_SPACE(sizeof(int))];
    struct msghdr hdr = {.msg_iov = &part,
                         .msg_iovlen = 1,
                         .msg_control = control,
                         .msg_controllen = sizeof(control)};
    ssize_t n;
    do
        n = recvmsg(c->fd, &hdr, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n <= 0)
        return n < 0 ? -errno : 0;
    int memfd = passed_fd(&hdr);
    int rc = hdr.msg_flags & (MSG_TRUNC | MSG_CTRUNC) ? -EPROTO : deliver(c, (size_t)n, memfd);
    if (memfd >= 0)
        close(memfd);
    return rc < 0 ? rc : 1;
}

/* Receives until `max` packets were handed out, nothing is there, or the end. */
static int receive_some(struct gd_channel *c, unsigned max)
{
    int rc = 1;
    c->busy = true;
    for (unsigned i = 0; i < max && rc > 0 && !c->doomed; i++)
        rc = receive(c);
    c->busy = false;
    return rc;
}

static void ready(struct gd_watch *w, uint32_t events)
{
    struct gd_channel *c = GD_OWNER(w, struct gd_channel, watch);
    if (events & EPOLLOUT)
        gd_channel_flush(c);
    if (c->gone)
        return;
    int rc = receive_some(c, PACKETS_A_ROUND);
    if (c->doomed)
        free(c);
    else if (rc <= 0 && rc != -EAGAIN)
        break_off(c, rc == -ECONNRESET ? 0 : rc);
}

void gd_channel_drain(struct gd_channel *c)
{
    while (!c->gone && !c->doomed && receive_some(c, PACKETS_A_ROUND) > 0)
        continue;
    if (c->doomed) {
        free(c);
        return;
    }
    c->gone = true;
    gd_watch_stop(c->loop, &c->watch);
    gd_soon_cancel(&c->tell);
}

/* --- life */

struct gd_channel *gd_channel_new(struct gd_loop *l, int own_fd, const struct gd_channel_ops *ops,
                                  void *arg)
{
    struct gd_channel *c = calloc(1, sizeof(*c));
    if (!c) {
        close(own_fd);
        return NULL;
    }
    c->loop = l;
    c->ops = ops;
    c->arg = arg;
    c->fd = own_fd;
    c->watch.fn = ready;
    c->tell.fn = tell_gone;
    c->push.fn = push_now;
    c->push_later.fn = push_is_due;
    gd_list_init(&c->unsent);
    int rc = fcntl(own_fd, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
    if (rc == 0)
        rc = gd_watch_start(l, &c->watch, own_fd, EPOLLIN);
    if (rc < 0) {
        gd_channel_free(c);
        errno = -rc;
        return NULL;
    }
    return c;
}

void gd_channel_free(struct gd_channel *c)
{
    if (!c)
        return;
    gd_channel_flush(c);
    c->gone = true;
    gd_watch_stop(c->loop, &c->watch);
    gd_soon_cancel(&c->tell);
    gd_soon_cancel(&c->push);
    gd_timer_stop(c->loop, &c->push_later);
    close(c->fd);
    struct gd_node *node;
    while ((node = gd_list_shift(&c->unsent))) {
        struct parcel *p = GD_OWNER(node, struct parcel, node);
        gd_msg_free(&p->msg);
        free(p);
    }
    if (c->busy)
        c->doomed = true;
    else
        free(c);
}

uid_t gd_channel_peer_uid(const struct gd_channel *c)
{
    struct ucred cred;
    socklen_t n = sizeof(cred);
    if (getsockopt(c->fd, SOL_SOCKET, SO_PEERCRED, &cred, &n) < 0)
        return (uid_t)-1;
    return cred.uid;
}
