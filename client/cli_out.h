/* client/cli_out.h — writing that may block, and be interrupted while it does.
 *
 * SIGINT is blocked and read from a descriptor (cli.h), so no signal breaks off a
 * write() to a full pipe. Therefore each write is preceded by a poll() for room
 * and for a signal, and no larger than what a pipe with room takes at once.
 */
#ifndef GATHER_CLI_OUT_H
#define GATHER_CLI_OUT_H

#include "base/attr.h"
#include "base/buf.h"

#include <stdbool.h>

struct cli_out {
    int fd;
    int signal_fd;     /* -1: none */
    struct gd_buf buf; /* data on its way; append here, then cli_out_flush() */
    int err;           /* the first: -EPIPE nobody reads, -EINTR a signal, …; sticks */
};

/* Writes `n` bytes now, past the buffer; how many went out. */
size_t cli_out_write(struct cli_out *o, const char *bytes, size_t n);

/* Writes out the buffer. False: o->err, or out of memory before. */
bool cli_out_flush(struct cli_out *o);

/* Appends text; flushes when much has gathered. False as above. */
bool cli_out_put(struct cli_out *o, const char *bytes, size_t n);

void cli_out_done(struct cli_out *o);

#endif
