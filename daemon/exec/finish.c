/* From an EXITED to an outcome. Output that is in files must be on disk before the
 * outcome is (D3), so a thread of the pool syncs it first, and looks up in the files
 * what the outcome needs. */
#include "base/exception.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/utf8.h"
#include "daemon/exec/remote_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct finish {
    uv_work_t work;
    struct gd_remote *remote;
    struct gd_msg msg; /* the fields, kept */
    struct gd_msg_view view;
    struct gd_outcome *outcome;
    struct gd_exit exit;
    char *tail; /* owned */
    int output_fd;
    int rc;
};

/* --- in any thread */

static bool copy_output(const struct gd_msg_view *v, enum gd_msg_field first, struct gd_output *o)
{
    struct gd_span bytes;
    o->in_file = gd_msg_num(v, first + (GD_FIELD_STDOUT_FILE - GD_FIELD_STDOUT), 0) != 0;
    o->total = gd_msg_num(v, first + (GD_FIELD_STDOUT_BYTES - GD_FIELD_STDOUT), 0);
    o->kept = gd_msg_num(v, first + (GD_FIELD_STDOUT_KEPT - GD_FIELD_STDOUT), 0);
    if (o->in_file || !gd_msg_find(v, first, &bytes) || bytes.len == 0)
        return true;
    o->bytes = malloc(bytes.len);
    if (!o->bytes)
        return false;
    memcpy(o->bytes, bytes.ptr, bytes.len);
    o->len = bytes.len;
    return true;
}

static int open_output(const struct finish *f, const char *stream)
{
    char name[64];
    (void)snprintf(name, sizeof(name), "%llu-%u.%s", (unsigned long long)f->view.task,
                   f->view.attempt, stream);
    int fd = openat(f->output_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    return fd < 0 ? -errno : fd;
}

/* The last bytes of a file, into f->tail. */
static int read_tail(struct finish *f, int fd)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    size_t n = st.st_size < GD_STDERR_TAIL ? (size_t)st.st_size : GD_STDERR_TAIL;
    f->tail = malloc(n + 1);
    if (!f->tail)
        return -ENOMEM;
    ssize_t got = pread(fd, f->tail, n, st.st_size - (off_t)n);
    f->exit.err_tail = (struct gd_span){.ptr = f->tail, .len = got > 0 ? (size_t)got : 0};
    return 0;
}

static void check_json(struct gd_exit *x, struct gd_span text)
{
    if (!gd_json_check(text, GD_MAX_JSON_DEPTH, &x->json_fault) && !x->json_fault.what)
        x->json_fault.what = "not JSON";
}

static bool wants_json(const struct finish *f)
{
    return (gd_msg_num(&f->view, GD_FIELD_NOTE, 0) & GD_NOTE_JSON) != 0;
}

static bool is_fetch(const struct finish *f)
{
    return f->remote->ops->kinds[0] == GD_KIND_FETCH;
}

/* What the outcome needs to know of stdout. */
static void look_at_stdout(struct finish *f, struct gd_span text)
{
    if (is_fetch(f))
        f->exit.is_text = gd_utf8_valid(text.ptr, text.len);
    else if (wants_json(f))
        check_json(&f->exit, text);
}

static int look_at_file(struct finish *f, int fd)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    size_t n = (size_t)st.st_size;
    void *p = n ? mmap(NULL, n, PROT_READ, MAP_PRIVATE, fd, 0) : NULL;
    if (p == MAP_FAILED)
        return -errno;
    look_at_stdout(f, (struct gd_span){.ptr = n ? p : "", .len = n});
    if (n)
        (void)munmap(p, n);
    return 0;
}

/* A file that cannot be read or synced is said so; the end itself must not be lost. */
static void complain(const struct finish *f, const char *stream, int rc)
{
    char task[21];
    gd_log(GD_LOG_ERROR, "output-file", "task", gd_log_num(task, (int64_t)f->view.task), "stream",
           stream, "error", gd_err_text(rc), NULL);
}

static void sync_stream(struct finish *f, const char *stream, bool is_err)
{
    int fd = open_output(f, stream);
    int rc = fd < 0 ? fd : 0;
    if (rc == 0 && fdatasync(fd) < 0)
        rc = -errno;
    if (rc == 0 && is_err)
        rc = read_tail(f, fd);
    if (rc == 0 && !is_err && (is_fetch(f) || wants_json(f)))
        rc = look_at_file(f, fd);
    if (fd >= 0)
        close(fd);
    if (rc < 0)
        complain(f, stream, rc);
    if (rc == -ENOMEM)
        f->rc = rc;
}

static void look_at_memory(struct finish *f)
{
    const struct gd_outcome *o = f->outcome;
    if (!o->err.in_file)
        f->exit.err_tail = (struct gd_span){.ptr = o->err.bytes, .len = o->err.len};
    if (!o->out.in_file)
        look_at_stdout(
            f, (struct gd_span){.ptr = o->out.bytes ? o->out.bytes : "", .len = o->out.len});
}

static void sync_files(uv_work_t *work)
{
    struct finish *f = work->data;
    if (f->outcome->out.in_file)
        sync_stream(f, "stdout", false);
    if (f->outcome->err.in_file)
        sync_stream(f, "stderr", true);
    if (fsync(f->output_fd) < 0)
        complain(f, "directory", -errno);
}

/* --- in the loop's */

static void finish_free(struct finish *f)
{
    if (f->outcome) {
        gd_outcome_done(f->outcome);
        free(f->outcome);
    }
    gd_msg_free(&f->msg);
    free(f->tail);
    free(f);
}

/* Reports the end. Errors: -ENOMEM. */
static int report(struct finish *f, struct gd_task *t)
{
    struct gd_remote *r = f->remote;
    look_at_memory(f);
    f->exit.v = &f->view;
    f->exit.o = f->outcome;
    int rc = f->rc < 0 ? f->rc : r->ops->read_exited(r, t, &f->exit);
    if (rc < 0)
        return rc;
    struct gd_outcome *own = f->outcome;
    f->outcome = NULL;
    return gd_core_ended(r->core, t, own);
}

static void files_are_synced(uv_work_t *work, int status)
{
    (void)status;
    struct finish *f = work->data;
    struct gd_remote *r = f->remote;
    (void)gd_map_del(&r->finishing, f->view.task);
    struct gd_task *t = gd_core_task(r->core, f->view.task);
    bool expected = t && t->attempt == f->view.attempt &&
                    (t->phase == GD_TASK_LEASED || t->phase == GD_TASK_RUNNING);
    if (expected && report(f, t) < 0 && !r->closing)
        gd_remote_start_over(r);
    finish_free(f);
    if (r->finishing.n == 0 && r->idle)
        r->idle(r->idle_arg);
}

static struct finish *finish_new(struct gd_remote *r, const struct gd_msg_view *v)
{
    struct finish *f = calloc(1, sizeof(*f));
    if (!f)
        return NULL;
    f->remote = r;
    f->work.data = f;
    f->output_fd = r->output_fd;
    f->view = *v;
    f->outcome = calloc(1, sizeof(*f->outcome));
    if (!f->outcome || !copy_output(v, GD_FIELD_STDOUT, &f->outcome->out) ||
        !copy_output(v, GD_FIELD_STDERR, &f->outcome->err)) {
        finish_free(f);
        return NULL;
    }
    f->outcome->started_ms = (int64_t)gd_msg_num(v, GD_FIELD_STARTED_AT, 0);
    f->outcome->finished_ms = (int64_t)gd_msg_num(v, GD_FIELD_ENDED_AT, 0);
    return f;
}

/* Keeps the fields beyond the call that brought them, and has the files synced. */
static int finish_later(struct finish *f)
{
    struct gd_remote *r = f->remote;
    gd_msg_init(&f->msg, GD_MSG_EXITED, f->view.task, f->view.attempt);
    gd_buf_put(&f->msg.fields, f->view.fields.ptr, f->view.fields.len);
    if (gd_buf_error(&f->msg.fields) < 0)
        return -ENOMEM;
    f->view.fields = gd_buf_view(&f->msg.fields);
    int rc = gd_map_put(&r->finishing, f->view.task, f);
    if (rc == 0)
        rc = uv_queue_work(r->core->loop->uv, &f->work, sync_files, files_are_synced);
    if (rc < 0)
        (void)gd_map_del(&r->finishing, f->view.task);
    return rc;
}

int gd_remote_finish(struct gd_remote *r, struct gd_task *t, const struct gd_msg_view *v)
{
    if (gd_map_get(&r->finishing, v->task))
        return 0; /* it came again after a reconnect, while the files are being synced */
    struct finish *f = finish_new(r, v);
    if (!f)
        return -ENOMEM;
    if (f->outcome->out.in_file || f->outcome->err.in_file) {
        int rc = finish_later(f);
        if (rc < 0)
            finish_free(f);
        return rc;
    }
    int rc = report(f, t);
    finish_free(f);
    return rc;
}
