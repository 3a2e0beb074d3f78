#include "api/page.h"

#include "base/json_out.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Bytes read from an output file in one go. */
#define READ_BYTES 16384U
/* What libmicrohttpd asks us for at once. */
#define BLOCK_BYTES 32768U

void gd_page_free(struct gd_page *p)
{
    gd_buf_free(&p->text);
    gd_buf_free(&p->holes);
}

void gd_page_reset(struct gd_page *p)
{
    gd_buf_reset(&p->text);
    gd_buf_reset(&p->holes);
}

void gd_page_one_line(struct gd_buf *text, size_t from)
{
    for (size_t i = from; i < text->len; i++)
        if (text->ptr[i] == '\n' || text->ptr[i] == '\r')
            text->ptr[i] = ' ';
}

void gd_page_hole(struct gd_page *p, struct gd_hole hole)
{
    hole.at = p->text.len;
    gd_buf_put(&p->holes, &hole, sizeof(hole));
}

int gd_api_open_output(struct gd_api *a, uint64_t task, uint32_t attempt, bool is_err)
{
    char name[96];
    if (a->output_fd < 0) {
        char path[4200];
        (void)snprintf(path, sizeof(path), "%s/output", a->config.state_dir);
        a->output_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (a->output_fd < 0)
            return -errno;
    }
    (void)snprintf(name, sizeof(name), "%llu-%u.%s", (unsigned long long)task, attempt,
                   is_err ? "stderr" : "stdout");
    int fd = openat(a->output_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    return fd < 0 ? -errno : fd;
}

/* --- sending pages */

struct sender {
    struct gd_api *api;
    struct gd_page page;
    size_t at;          /* sent of the page's text */
    size_t hole;        /* the next one */
    int fd;             /* the file of the hole that is being sent; -1: none */
    struct gd_buf file; /* read and in its form, not sent yet */
    char *tail;         /* READ_BYTES; what was cut before comes first */
    size_t n_tail;
    bool more; /* there are more pages */
    gd_page_fn *next;
    void (*done)(void *arg);
    void *arg;
};

static void sender_free(void *cls)
{
    struct sender *s = cls;
    if (s->fd >= 0)
        close(s->fd);
    if (s->done)
        s->done(s->arg);
    gd_page_free(&s->page);
    gd_buf_free(&s->file);
    free(s->tail);
    free(s);
}

static const struct gd_hole *next_hole(const struct sender *s)
{
    if (s->hole * sizeof(struct gd_hole) >= s->page.holes.len)
        return NULL;
    return (const struct gd_hole *)(const void *)s->page.holes.ptr + s->hole;
}

/* Reads a little more of the file into s->file. False: its end. */
static bool read_more(struct sender *s, const struct gd_hole *hole)
{
    ssize_t n = read(s->fd, s->tail + s->n_tail, READ_BYTES - s->n_tail);
    size_t have = s->n_tail + (n > 0 ? (size_t)n : 0);
    gd_buf_reset(&s->file);
    size_t used = have;
    if (hole->form == GD_HOLE_TEXT)
        used = gd_json_escape(&s->file, s->tail, have, n <= 0);
    else if (hole->form == GD_HOLE_BASE64)
        used = gd_json_base64(&s->file, s->tail, have, n <= 0);
    else
        gd_buf_put(&s->file, s->tail, have);
    if (hole->form == GD_HOLE_JSON)
        gd_page_one_line(&s->file, 0);
    memmove(s->tail, s->tail + used, have - used);
    s->n_tail = have - used;
    return n > 0 || s->file.len > 0;
}

/* Sends from a hole's file. 0: it is over. */
static ssize_t send_file(struct sender *s, const struct gd_hole *hole, char *to, size_t max)
{
    if (s->fd < 0) {
        s->fd = gd_api_open_output(s->api, hole->task, hole->attempt, hole->is_err);
        if (s->fd < 0)
            return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    while (s->file.len == 0 && read_more(s, hole))
        continue;
    if (s->file.err)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    size_t n = s->file.len < max ? s->file.len : max;
    if (n == 0) {
        close(s->fd);
        s->fd = -1;
        s->hole++;
        return 0;
    }
    memcpy(to, s->file.ptr, n);
    gd_buf_drop(&s->file, n);
    return (ssize_t)n;
}

static bool turn_page(struct sender *s)
{
    if (!s->more)
        return false;
    gd_page_reset(&s->page);
    s->at = s->hole = 0;
    int rc = s->next(s->arg, &s->page);
    s->more = rc > 0;
    return rc >= 0 && gd_buf_error(&s->page.text) == 0 && gd_buf_error(&s->page.holes) == 0;
}

static ssize_t read_pages(void *cls, uint64_t pos, char *to, size_t max)
{
    (void)pos;
    struct sender *s = cls;
    for (;;) {
        const struct gd_hole *hole = next_hole(s);
        size_t end = hole ? hole->at : s->page.text.len;
        if (s->at < end) {
            size_t n = end - s->at < max ? end - s->at : max;
            memcpy(to, s->page.text.ptr + s->at, n);
            s->at += n;
            return (ssize_t)n;
        }
        if (hole) {
            ssize_t n = send_file(s, hole, to, max);
            if (n != 0)
                return n;
        } else if (!s->more) {
            return MHD_CONTENT_READER_END_OF_STREAM;
        } else if (!turn_page(s)) {
            return MHD_CONTENT_READER_END_WITH_ERROR;
        }
    }
}

static struct MHD_Response *stream(struct gd_http *h, struct gd_page *first, gd_page_fn *next,
                                   void (*done)(void *arg), void *arg)
{
    struct sender *s = calloc(1, sizeof(*s));
    char *tail = s ? malloc(READ_BYTES) : NULL;
    struct MHD_Response *r = tail ? MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES,
                                                                      read_pages, s, sender_free)
                                  : NULL;
    if (!r) {
        free(tail);
        free(s);
        return NULL;
    }
    *s = (struct sender){.api = h->api,
                         .page = *first,
                         .fd = -1,
                         .tail = tail,
                         .more = next != NULL,
                         .next = next,
                         .done = done,
                         .arg = arg};
    *first = (struct gd_page){0};
    return r;
}

struct MHD_Response *gd_http_pages_response(struct gd_http *h, const char *type,
                                            struct gd_page *first, gd_page_fn *next,
                                            void (*done)(void *arg), void *arg)
{
    struct MHD_Response *r = NULL;
    bool plain = !next && gd_page_is_plain(first);
    if (gd_buf_error(&first->text) == 0 && gd_buf_error(&first->holes) == 0)
        r = plain ? gd_http_response(&first->text, type) : stream(h, first, next, done, arg);
    gd_page_free(first);
    if ((plain || !r) && done)
        done(arg);
    if (r && !plain) {
        gd_http_add(r, MHD_HTTP_HEADER_CONTENT_TYPE, type);
        gd_http_add(r, "X-Content-Type-Options", "nosniff");
    }
    return r;
}

void gd_http_pages(struct gd_http *h, unsigned status, const char *type, struct gd_page *first,
                   gd_page_fn *next, void (*done)(void *arg), void *arg)
{
    struct MHD_Response *r = gd_http_pages_response(h, type, first, next, done, arg);
    if (r)
        gd_http_respond(h, status, r);
    else
        gd_http_error(h, -ENOMEM);
}
