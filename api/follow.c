#include "api/follow.h"

#include "api/page.h"
#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK_BYTES 32768U
/* A file that the kernel would not watch (it has few instances of inotify for a user) is
 * looked at this often. */
#define LOOK_MS 100

struct follower {
    struct gd_node node; /* among those of its task */
    struct gd_callback done;
    struct gd_callback spilled;
    struct gd_watch grows; /* inotify */
    struct gd_timer look;  /* in place of it */
    struct gd_api *api;
    struct gd_http *h; /* NULL: the client is gone */
    uint64_t task;
    uint32_t attempt;
    int64_t tail;
    bool is_err;
    bool is_done; /* the task is; what is in the file is all */
    bool asked;   /* for the file */
    int fd;       /* -1: not open yet */
    off_t at;
    char *rest; /* of a task that ended without a file; owned */
    size_t n_rest;
};

/* Followers of one task hang on one list, found by its id. */
struct crowd {
    struct gd_node followers;
};

static void leave_crowd(struct follower *f)
{
    struct crowd *c = gd_map_get(&f->api->followed, f->task);
    gd_node_unlink(&f->node);
    if (c && gd_list_empty(&c->followers))
        free(gd_map_del(&f->api->followed, f->task));
}

static int join_crowd(struct follower *f)
{
    struct crowd *c = gd_map_get(&f->api->followed, f->task);
    if (!c) {
        c = calloc(1, sizeof(*c));
        if (!c || gd_map_put(&f->api->followed, f->task, c) < 0) {
            free(c);
            return -ENOMEM;
        }
        gd_list_init(&c->followers);
    }
    gd_list_push(&c->followers, &f->node);
    return 0;
}

static void stop_inotify(struct follower *f)
{
    if (!f->grows.on)
        return;
    int fd = f->grows.fd;
    gd_watch_stop(f->api->loop, &f->grows);
    close(fd);
}

static void follower_free(void *cls)
{
    struct follower *f = cls;
    gd_future_unwatch(&f->done);
    gd_future_unwatch(&f->spilled);
    stop_inotify(f);
    gd_timer_stop(f->api->loop, &f->look);
    leave_crowd(f);
    if (f->fd >= 0)
        close(f->fd);
    if (f->h)
        f->h->stream_end = NULL;
    free(f->rest);
    free(f);
}

/* Something happened: asks to be read again. */
static void wake(struct follower *f)
{
    if (f->h)
        gd_http_go_on(f->h);
}

static void task_done(struct gd_callback *cb, struct gd_future *future)
{
    (void)future;
    struct follower *f = GD_OWNER(cb, struct follower, done);
    f->is_done = true;
    wake(f);
}

static void is_spilled(struct gd_callback *cb, struct gd_future *future)
{
    (void)future;
    wake(GD_OWNER(cb, struct follower, spilled));
}

static void has_grown(struct gd_watch *w, uint32_t events)
{
    (void)events;
    struct follower *f = GD_OWNER(w, struct follower, grows);
    char buf[1024];
    while (read(w->fd, buf, sizeof(buf)) > 0)
        continue;
    wake(f);
}

static void look_again(struct gd_timer *t)
{
    wake(GD_OWNER(t, struct follower, look));
}

void gd_follow_changed(struct gd_api *a, uint64_t task)
{
    struct crowd *c = gd_map_get(&a->followed, task);
    if (!c)
        return;
    gd_list_each (node, &c->followers) {
        struct follower *f = GD_OWNER(node, struct follower, node);
        if (f->fd < 0)
            wake(f);
    }
}

/* --- reading */

/* Watches the file before looking at its end, so that nothing is missed. */
static int start_inotify(struct follower *f)
{
    char path[64];
    int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (fd < 0)
        return -errno;
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", f->fd);
    f->grows.fn = has_grown;
    int rc = inotify_add_watch(fd, path, IN_MODIFY) < 0 ? -errno : 0;
    if (rc == 0)
        rc = gd_watch_start(f->api->loop, &f->grows, fd, EPOLLIN);
    if (rc < 0)
        close(fd);
    return rc;
}

static int open_file(struct follower *f)
{
    struct stat st;
    int fd = gd_api_open_output(f->api, f->task, f->attempt, f->is_err);
    if (fd < 0)
        return fd;
    f->fd = fd;
    if (f->tail >= 0 && fstat(fd, &st) == 0)
        f->at = gd_output_tail_start(fd, st.st_size, (uint64_t)f->tail);
    if (!f->is_done)
        (void)!start_inotify(f); /* else it is looked at now and then */
    return 0;
}

/* What a task that has ended without a file has put out. */
static bool copy_output(const struct gd_task_record *r, void *arg)
{
    struct follower *f = arg;
    const struct gd_record_output *o = f->is_err ? &r->err : &r->out;
    f->attempt = r->attempt;
    if (o->in_file || o->bytes.len == 0)
        return true;
    f->rest = malloc(o->bytes.len);
    if (f->rest) {
        memcpy(f->rest, o->bytes.ptr, o->bytes.len);
        f->n_rest = o->bytes.len;
    }
    return true;
}

/* Gets to the file, or to what there is instead. 0: read on; 1: wait; negative: over. */
static int prepare(struct follower *f)
{
    struct gd_core *c = f->api->core;
    if (f->fd >= 0 || f->rest)
        return 0;
    struct gd_task *t = gd_core_task(c, f->task);
    if (f->is_done || !t) {
        f->is_done = true;
        int rc = c->store->ops->read_task(c->store, f->task, true, copy_output, f);
        if (rc < 0 || f->rest)
            return rc;
        rc = open_file(f);
        return rc == -ENOENT ? -ENODATA : rc; /* it has put out nothing */
    }
    f->attempt = t->attempt;
    if (t->phase != GD_TASK_RUNNING)
        return 1; /* gd_follow_changed() wakes */
    if (!f->asked) {
        f->asked = true;
        f->spilled.fn = is_spilled;
        return gd_core_spill(c, t, &f->spilled) ? 1 : -EIO;
    }
    if (gd_node_linked(&f->spilled.node))
        return 1;
    return open_file(f);
}

static ssize_t send_rest(struct follower *f, char *to, size_t max)
{
    size_t left = f->n_rest - (size_t)f->at;
    size_t n = left < max ? left : max;
    if (n == 0)
        return MHD_CONTENT_READER_END_OF_STREAM;
    memcpy(to, f->rest + f->at, n);
    f->at += (off_t)n;
    return (ssize_t)n;
}

static ssize_t wait_for_more(struct follower *f)
{
    if (f->fd >= 0 && !f->grows.on &&
        gd_timer_at(f->api->loop, &f->look, gd_mono_ms() + LOOK_MS) < 0)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    f->h->streaming = true;
    gd_http_suspend(f->h, true);
    return 0;
}

static ssize_t read_on(void *cls, uint64_t pos, char *to, size_t max)
{
    (void)pos;
    struct follower *f = cls;
    if (!f->h || f->h->gone || f->h->leaving)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    bool was_done = f->is_done; /* looked at before the file: all of it is there then */
    int rc = prepare(f);
    if (rc > 0)
        return wait_for_more(f);
    if (rc < 0)
        return rc == -ENODATA ? MHD_CONTENT_READER_END_OF_STREAM
                              : MHD_CONTENT_READER_END_WITH_ERROR;
    if (f->rest)
        return send_rest(f, to, max);
    ssize_t n = pread(f->fd, to, max, f->at);
    if (n < 0)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    f->at += n;
    if (n > 0)
        return n;
    return was_done ? MHD_CONTENT_READER_END_OF_STREAM : wait_for_more(f);
}

static void request_ends(struct gd_http *h)
{
    struct follower *f = h->streamer;
    f->h = NULL;
}

struct MHD_Response *gd_follow_new(struct gd_http *h, uint64_t task, bool is_err, int64_t tail)
{
    struct gd_task *t = gd_core_task(h->api->core, task);
    struct follower *f = calloc(1, sizeof(*f));
    if (!f || !t) {
        free(f);
        return NULL;
    }
    *f = (struct follower){
        .api = h->api, .h = h, .task = task, .is_err = is_err, .tail = tail, .fd = -1};
    f->done.fn = task_done;
    f->look.fn = look_again;
    struct MHD_Response *r = join_crowd(f) == 0
                                 ? MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES,
                                                                     read_on, f, follower_free)
                                 : NULL;
    if (!r) {
        leave_crowd(f);
        free(f);
        return NULL;
    }
    (void)!gd_future_watch(&t->future, &f->done);
    h->streamer = f;
    h->stream_end = request_ends;
    return r;
}
