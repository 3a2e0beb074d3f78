#include "client/cli_out.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#define FLUSH_AT ((size_t)65536)

/* Waits for room. False: there is a signal, or a failure. */
static bool await_room(struct cli_out *o)
{
    struct pollfd fds[2] = {{.fd = o->fd, .events = POLLOUT},
                            {.fd = o->signal_fd, .events = POLLIN}};
    while (poll(fds, 2, -1) < 0) {
        if (errno == EINTR)
            continue;
        o->err = -errno;
        return false;
    }
    if (o->signal_fd >= 0 && fds[1].revents) {
        o->err = -EINTR;
        return false;
    }
    return true;
}

size_t cli_out_write(struct cli_out *o, const char *bytes, size_t n)
{
    size_t done = 0;
    while (done < n && !o->err) {
        if (!await_room(o))
            break;
        size_t piece = n - done < PIPE_BUF ? n - done : PIPE_BUF;
        ssize_t wrote = write(o->fd, bytes + done, piece);
        if (wrote >= 0)
            done += (size_t)wrote;
        else if (errno != EINTR && errno != EAGAIN)
            o->err = -errno;
    }
    return done;
}

bool cli_out_flush(struct cli_out *o)
{
    if (!o->err && gd_buf_error(&o->buf))
        o->err = gd_buf_error(&o->buf);
    struct gd_span all = gd_buf_view(&o->buf);
    if (all.len > 0)
        (void)cli_out_write(o, all.ptr, all.len);
    gd_buf_reset(&o->buf);
    return o->err == 0;
}

bool cli_out_put(struct cli_out *o, const char *bytes, size_t n)
{
    gd_buf_put(&o->buf, bytes, n);
    return o->buf.len < FLUSH_AT && !gd_buf_error(&o->buf) ? o->err == 0 : cli_out_flush(o);
}

void cli_out_done(struct cli_out *o)
{
    gd_buf_free(&o->buf);
}
