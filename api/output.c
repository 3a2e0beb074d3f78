/* GET /v1/tasks/{id}/stdout and /stderr: bytes as the command wrote them.
 *
 * An ended task's output is in the store or in a file; a running one's is asked into
 * its file first (the runner spills it). ?follow=1 is api/follow.c's.
 */
#include "api/follow.h"
#include "api/page.h"
#include "api/range.h"
#include "api/routes.h"
#include "base/limits.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* How far back from the end the lines of a tail are looked for. */
#define TAIL_BYTES ((off_t)8 << 20)

struct output {
    struct gd_callback spilled;
    struct gd_http *h; /* NULL: the client is gone */
    struct gd_api *api;
    uint64_t task;
    bool is_err;
    uint64_t tail; /* lines; UINT64_MAX: all */
    bool follow;
    enum gd_kind kind;
    bool ended; /* what follows is known */
    uint32_t attempt;
    struct gd_record_output stream;
    char *bytes; /* a copy of stream.bytes; owned */
};

static void output_free(struct output *o)
{
    gd_future_unwatch(&o->spilled);
    free(o->bytes);
    free(o);
}

static bool read_record(const struct gd_task_record *r, void *arg)
{
    struct output *o = arg;
    o->kind = r->kind;
    o->ended = r->has_outcome;
    o->attempt = r->attempt;
    o->stream = o->is_err ? r->err : r->out;
    size_t n = o->stream.bytes.len;
    o->bytes = malloc(n + 1);
    if (o->bytes && n > 0)
        memcpy(o->bytes, o->stream.bytes.ptr, n);
    o->stream.bytes.ptr = o->bytes;
    return true;
}

/* --- answers */

/* Where the last `lines` lines of `n` bytes begin. */
static size_t tail_start(const char *bytes, size_t n, uint64_t lines)
{
    size_t at = n;
    if (lines == 0)
        return n;
    if (at > 0 && bytes[at - 1] == '\n')
        at--;
    while (at > 0) {
        const char *newline = memrchr(bytes, '\n', at);
        if (!newline)
            return 0;
        if (--lines == 0)
            return (size_t)(newline - bytes) + 1;
        at = (size_t)(newline - bytes);
    }
    return 0;
}

/* The same for a file, at most TAIL_BYTES back. */
static off_t file_tail_start(int fd, off_t size, uint64_t lines)
{
    off_t page = sysconf(_SC_PAGESIZE);
    off_t from = size > TAIL_BYTES ? (size - TAIL_BYTES) / page * page : 0;
    size_t n = (size_t)(size - from);
    void *p = n ? mmap(NULL, n, PROT_READ, MAP_PRIVATE, fd, from) : MAP_FAILED;
    if (p == MAP_FAILED)
        return size;
    off_t start = from + (off_t)tail_start(p, n, lines);
    (void)munmap(p, n);
    return start;
}

static void add_headers(struct MHD_Response *r, const struct output *o)
{
    gd_http_add(r, MHD_HTTP_HEADER_CONTENT_TYPE,
                o->kind == GD_KIND_FETCH ? "application/octet-stream" : "text/plain");
    gd_http_add(r, "X-Content-Type-Options", "nosniff");
    gd_http_add(r, MHD_HTTP_HEADER_ACCEPT_RANGES, "bytes");
    if (o->ended && o->stream.kept < o->stream.total)
        gd_http_add(r, "Gatherd-Truncated", "true");
}

static void refuse_range(struct gd_http *h, off_t size)
{
    char text[64];
    struct gd_buf b = {0};
    gd_problem_put(&b, &(struct gd_problem_info){.problem = GD_PROBLEM_RANGE});
    struct MHD_Response *r = gd_http_response(&b, "application/problem+json");
    (void)snprintf(text, sizeof(text), "bytes */%lld", (long long)size);
    gd_http_add(r, MHD_HTTP_HEADER_CONTENT_RANGE, text);
    gd_http_respond(h, MHD_HTTP_RANGE_NOT_SATISFIABLE, r);
}

/* Answers with `size` bytes from memory, or from `own_fd` if that is not -1. */
static void answer_bytes(const struct output *o, const char *bytes, int own_fd, off_t size)
{
    struct gd_http *h = o->h;
    struct gd_range range = {.first = 0, .n = size};
    char text[96];
    enum gd_range_kind kind =
        gd_range_parse(gd_http_header(h, MHD_HTTP_HEADER_RANGE), size, &range);
    if (kind == GD_RANGE_NONE && o->tail != UINT64_MAX) {
        range.first = own_fd >= 0 ? file_tail_start(own_fd, size, o->tail)
                                  : (off_t)tail_start(bytes, (size_t)size, o->tail);
        range.n = size - range.first;
    }
    if (kind == GD_RANGE_BEYOND) {
        refuse_range(h, size);
        if (own_fd >= 0)
            close(own_fd);
        return;
    }
    struct MHD_Response *r =
        own_fd >= 0 ? MHD_create_response_from_fd_at_offset64((uint64_t)range.n, own_fd,
                                                              (uint64_t)range.first)
                    : MHD_create_response_from_buffer((size_t)range.n,
                                                      (void *)(uintptr_t)(bytes + range.first),
                                                      MHD_RESPMEM_MUST_COPY);
    if (!r && own_fd >= 0)
        close(own_fd);
    if (!r) {
        gd_http_error(h, -ENOMEM);
        return;
    }
    add_headers(r, o);
    if (kind == GD_RANGE_PART) {
        /* While the task runs nobody knows how long it will be (RFC 9110, 14.4). */
        char whole[24] = "*";
        if (o->ended)
            (void)snprintf(whole, sizeof(whole), "%lld", (long long)size);
        (void)snprintf(text, sizeof(text), "bytes %lld-%lld/%s", (long long)range.first,
                       (long long)(range.first + range.n - 1), whole);
        gd_http_add(r, MHD_HTTP_HEADER_CONTENT_RANGE, text);
    }
    gd_http_respond(h, kind == GD_RANGE_PART ? MHD_HTTP_PARTIAL_CONTENT : MHD_HTTP_OK, r);
}

static void answer_file(const struct output *o)
{
    struct stat st;
    int fd = gd_api_open_output(o->api, o->task, o->attempt, o->is_err);
    if (fd < 0 || fstat(fd, &st) < 0) {
        int rc = fd < 0 ? fd : -errno;
        if (fd >= 0)
            close(fd);
        if (rc == -ENOENT && !o->ended)
            answer_bytes(o, "", -1, 0);
        else
            gd_http_fail(o->h, GD_PROBLEM_INTERNAL, "the output cannot be read: %s",
                         gd_err_text(rc));
        return;
    }
    answer_bytes(o, NULL, fd, st.st_size);
}

/* Reads what is known now. False: answered. */
static bool look_up(struct output *o)
{
    struct gd_core *c = o->api->core;
    free(o->bytes);
    o->bytes = NULL;
    int rc = gd_core_is_staged(c, o->task)
                 ? GD_E_NO_TASK
                 : c->store->ops->read_task(c->store, o->task, true, read_record, o);
    const struct gd_task *t = gd_core_task(c, o->task);
    if (t) {
        o->ended = false;
        o->attempt = t->attempt;
    }
    if (rc == GD_E_NO_TASK)
        gd_http_fail(o->h, GD_PROBLEM_NO_TASK, "task %llu", (unsigned long long)o->task);
    else if (rc < 0)
        gd_http_fail(o->h, GD_PROBLEM_INTERNAL, "the store cannot be read");
    else if (!o->bytes)
        gd_http_error(o->h, -ENOMEM);
    else if (o->kind == GD_KIND_SLEEP || (o->kind == GD_KIND_FETCH && o->is_err))
        gd_http_fail(o->h, GD_PROBLEM_NO_ROUTE, "a %s has no such output", gd_kind_name(o->kind));
    else
        return true;
    return false;
}

static void answer_known(const struct output *o)
{
    if (o->stream.in_file || !o->ended)
        answer_file(o);
    else
        answer_bytes(o, o->bytes, -1, (off_t)o->stream.bytes.len);
}

/* --- a running task */

static void is_spilled(struct gd_callback *cb, struct gd_future *f)
{
    (void)f;
    struct output *o = GD_OWNER(cb, struct output, spilled);
    if (o->h) {
        o->h->waiting = NULL;
        o->h->abandon = NULL;
        if (look_up(o))
            answer_known(o);
    }
    output_free(o);
}

static void abandon(struct gd_http *h)
{
    output_free(h->waiting);
}

static void answer_running(struct output *o)
{
    struct gd_task *t = gd_core_task(o->api->core, o->task);
    o->spilled.fn = is_spilled;
    if (t && gd_core_spill(o->api->core, t, &o->spilled)) {
        gd_http_keep_watched(o->h, o, abandon);
        return;
    }
    answer_bytes(o, "", -1, 0); /* it has not started yet */
    output_free(o);
}

static void answer_follow(struct output *o)
{
    struct MHD_Response *r =
        gd_follow_new(o->h, o->task, o->is_err, o->tail == UINT64_MAX ? -1 : (int64_t)o->tail);
    if (r)
        add_headers(r, o);
    if (r)
        gd_http_respond(o->h, MHD_HTTP_OK, r);
    else
        gd_http_error(o->h, -ENOMEM);
    output_free(o);
}

static void answer_output(struct gd_http *h, bool is_err)
{
    struct gd_err err;
    struct output *o = calloc(1, sizeof(*o));
    if (!o) {
        gd_http_error(h, -ENOMEM);
        return;
    }
    *o =
        (struct output){.h = h, .api = h->api, .task = h->id, .is_err = is_err, .tail = UINT64_MAX};
    if (gd_params_u64(&h->params, "tail", GD_MAX_TAIL_LINES, &o->tail, &err) < 0 ||
        gd_params_bool(&h->params, "follow", &o->follow, &err) < 0) {
        gd_http_fail(h, GD_PROBLEM_BAD_REQUEST, "%s", err.text);
        output_free(o);
    } else if (!look_up(o)) {
        output_free(o);
    } else if (o->follow && !o->ended) {
        answer_follow(o);
    } else if (!o->ended) {
        answer_running(o);
    } else {
        answer_known(o);
        output_free(o);
    }
}

void gd_get_stdout(struct gd_http *h)
{
    answer_output(h, false);
}

void gd_get_stderr(struct gd_http *h)
{
    answer_output(h, true);
}

off_t gd_output_tail_start(int fd, off_t size, uint64_t lines)
{
    return file_tail_start(fd, size, lines);
}
