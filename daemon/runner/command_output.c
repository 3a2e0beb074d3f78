/* The pipes of a command.
 *
 *   young --YOUNG_MS--> watched --end of the pipe--> closed
 *     \--its exit: what is there is read--> closed, or watched if somebody holds it
 *
 * Most commands are short and say little: to learn of the end of each pipe as well as
 * of the exit would wake the runner twice more for each of them. So pipes are not
 * watched in a command's first moments; a pipe holds 64 KiB meanwhile.
 */
#include "base/clock.h"
#include "daemon/runner/command_impl.h"

#include <errno.h>
#include <unistd.h>

#define YOUNG_MS 4
/* A pipe that the kernel would not watch: again after this long. */
#define AGAIN_MS 100

static void close_stream(struct gd_command *c, struct gd_stream *s)
{
    if (s->watch.on)
        gd_watch_close(c->cs->loop, &s->watch);
    else if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
}

void gd_command_close_pipes(struct gd_command *c)
{
    gd_node_unlink(&c->young);
    close_stream(c, &c->out);
    close_stream(c, &c->err);
}

/* Reads what is there. False: the pipe's end, and it is closed. */
static bool read_some(struct gd_command *c, struct gd_stream *s)
{
    for (;;) {
        ssize_t n = read(s->fd, c->cs->chunk, GD_CHUNK_BYTES);
        if (n > 0) {
            gd_sink_put(&s->sink, c->cs->chunk, (size_t)n);
            if (c->exited && n == (ssize_t)GD_CHUNK_BYTES)
                continue;
            return true;
        }
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return true;
        close_stream(c, s);
        return false;
    }
}

/* --- watching */

static void pipe_ready(struct gd_command *c, struct gd_stream *s)
{
    if (!read_some(c, s) && c->out.fd < 0 && c->err.fd < 0)
        gd_command_drained(c);
}

static void out_ready(struct gd_watch *w, uint32_t events)
{
    (void)events;
    struct gd_command *c = GD_OWNER(w, struct gd_command, out.watch);
    pipe_ready(c, &c->out);
}

static void err_ready(struct gd_watch *w, uint32_t events)
{
    (void)events;
    struct gd_command *c = GD_OWNER(w, struct gd_command, err.watch);
    pipe_ready(c, &c->err);
}

static int watch(struct gd_command *c, struct gd_stream *s)
{
    if (s->fd < 0 || s->watch.on)
        return 0;
    return gd_watch_start(c->cs->loop, &s->watch, s->fd, EPOLLIN);
}

/* False: not both of those that are open. */
static bool watch_pipes(struct gd_command *c)
{
    gd_node_unlink(&c->young);
    int rc = watch(c, &c->out);
    return watch(c, &c->err) == 0 && rc == 0;
}

/* Makes it one of those that are watched after `ms`. */
static void watch_in(struct gd_command *c, int64_t ms)
{
    struct gd_commands *cs = c->cs;
    c->watch_at_ms = gd_mono_ms() + ms;
    gd_list_push(&cs->young, &c->young);
    if (!gd_timer_is_set(&cs->grow) && gd_timer_at(cs->loop, &cs->grow, c->watch_at_ms) < 0)
        (void)!watch_pipes(c); /* no memory for a timer: then now, as well as can be */
}

void gd_commands_grow(struct gd_timer *t)
{
    struct gd_commands *cs = GD_OWNER(t, struct gd_commands, grow);
    int64_t now_ms = gd_mono_ms();
    gd_list_each_safe (node, &cs->young) {
        struct gd_command *c = GD_OWNER(node, struct gd_command, young);
        if (c->watch_at_ms > now_ms) {
            (void)!gd_timer_at(cs->loop, t, c->watch_at_ms); /* it has just left room */
            return;
        }
        if (!watch_pipes(c))
            watch_in(c, AGAIN_MS);
    }
}

void gd_command_keep_pipes(struct gd_command *c, int out_fd, int err_fd)
{
    c->out.fd = out_fd;
    c->out.watch.fn = out_ready;
    c->err.fd = err_fd;
    c->err.watch.fn = err_ready;
    watch_in(c, YOUNG_MS);
}

/* --- the end */

bool gd_command_drain(struct gd_command *c)
{
    bool held = c->out.fd >= 0 && read_some(c, &c->out) && read_some(c, &c->out);
    held = (c->err.fd >= 0 && read_some(c, &c->err) && read_some(c, &c->err)) || held;
    if (held)
        (void)!watch_pipes(c); /* else the end of draining comes by itself */
    return held;
}
