/* daemon/worker/sink.h — where one output stream of a unit goes.
 *
 * Up to GD_INLINE_OUTPUT bytes stay in memory and travel with the end; more (or a
 * wish to follow the live stream) spills to a file. Beyond `max` bytes are
 * counted and dropped. If the file cannot be written (disk full), what was kept
 * stays and the rest is dropped: a command never blocks or fails for it.
 */
#ifndef GD_DAEMON_WORKER_SINK_H
#define GD_DAEMON_WORKER_SINK_H

#include "base/attr.h"
#include "base/buf.h"
#include "daemon/proto/msg.h"

#include <stdbool.h>
#include <stdint.h>

struct gd_sink {
    struct gd_buf memory;
    uint64_t max;   /* bytes kept */
    uint64_t total; /* bytes that came */
    uint64_t kept;  /* in memory or in the file */
    int dir_fd;     /* borrowed: where the file is made */
    int fd;         /* -1: no file */
    int err;        /* why a file could not be written; sticks */
    char name[64];
};

/* `name` is "<task>-<attempt>.stdout". */
void gd_sink_init(struct gd_sink *s, int dir_fd, uint64_t max, uint64_t task, uint32_t attempt,
                  const char *stream);

/* Closes the file (it stays) and frees the memory. */
void gd_sink_free(struct gd_sink *s);

/* Takes `n` more bytes. Cannot fail; see above. */
void gd_sink_put(struct gd_sink *s, const char *bytes, size_t n);

/* Moves what is in memory to the file, now. Errors: -errno (s->err). */
int gd_sink_spill(struct gd_sink *s);

/* Adds the four fields of the stream, `first` being GD_FIELD_STDOUT or _STDERR. */
void gd_sink_report(const struct gd_sink *s, struct gd_msg *m, enum gd_msg_field first);

#endif
