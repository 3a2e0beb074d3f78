#include "daemon/worker/sink.h"

#include "base/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void gd_sink_init(struct gd_sink *s, int dir_fd, uint64_t max, uint64_t task, uint32_t attempt,
                  const char *stream)
{
    *s = (struct gd_sink){.max = max, .dir_fd = dir_fd, .fd = -1};
    (void)snprintf(s->name, sizeof(s->name), "%llu-%u.%s", (unsigned long long)task, attempt,
                   stream);
}

void gd_sink_free(struct gd_sink *s)
{
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
    gd_buf_free(&s->memory);
}

/* Writes all or gives the stream up: what is in the file then still counts. */
static void write_out(struct gd_sink *s, const char *bytes, size_t n)
{
    while (n > 0 && s->err == 0) {
        ssize_t done = write(s->fd, bytes, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0) {
            s->err = -errno;
            break;
        }
        bytes += done;
        n -= (size_t)done;
        s->kept += (uint64_t)done;
    }
}

int gd_sink_spill(struct gd_sink *s)
{
    if (s->fd >= 0 || s->err < 0)
        return s->err;
    /* A file of that name is from a run that was never reported: ours to replace. */
    (void)unlinkat(s->dir_fd, s->name, 0);
    s->fd = openat(s->dir_fd, s->name,
                   O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (s->fd < 0) {
        s->err = -errno;
        return s->err;
    }
    s->kept = 0;
    write_out(s, s->memory.ptr, s->memory.len);
    gd_buf_free(&s->memory);
    return s->err;
}

void gd_sink_put(struct gd_sink *s, const char *bytes, size_t n)
{
    s->total += n;
    uint64_t room = s->max > s->kept ? s->max - s->kept : 0;
    if (n > room)
        n = (size_t)room;
    if (n == 0)
        return;
    if (s->fd < 0 && s->err == 0 && s->memory.len + n > GD_INLINE_OUTPUT)
        (void)gd_sink_spill(s);
    if (s->fd >= 0) {
        write_out(s, bytes, n);
        return;
    }
    /* No file could be made: keep as much as memory may hold. */
    if (n > GD_INLINE_OUTPUT - s->memory.len)
        n = GD_INLINE_OUTPUT - s->memory.len;
    gd_buf_put(&s->memory, bytes, n);
    if (gd_buf_error(&s->memory) == 0)
        s->kept += n;
}

void gd_sink_report(const struct gd_sink *s, struct gd_msg *m, enum gd_msg_field first)
{
    if (s->fd >= 0)
        gd_msg_u64(m, first + (GD_FIELD_STDOUT_FILE - GD_FIELD_STDOUT), 1);
    else if (s->memory.len > 0)
        gd_msg_put(m, first, s->memory.ptr, s->memory.len);
    gd_msg_u64(m, first + (GD_FIELD_STDOUT_BYTES - GD_FIELD_STDOUT), s->total);
    gd_msg_u64(m, first + (GD_FIELD_STDOUT_KEPT - GD_FIELD_STDOUT), s->kept);
}
