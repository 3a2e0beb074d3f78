/* client/cli_source.h — a file with jobs on its way to the daemon.
 *
 * A batch file is a JSON array of jobs, a batch object with "jobs", one job, or
 * NDJSON; a look at its start tells which. A pipe is written to a temporary file
 * first, since a request may have to be sent twice. Memory stays constant.
 */
#ifndef GATHER_CLI_SOURCE_H
#define GATHER_CLI_SOURCE_H

#include "base/attr.h"
#include "client/gather.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* --- what kind of file is it? Pure. */

enum cli_shape {
    CLI_SHAPE_EMPTY,
    CLI_SHAPE_ARRAY, /* of jobs; or nothing that JSON knows, which the daemon tells */
    CLI_SHAPE_BATCH, /* an object with "jobs" */
    CLI_SHAPE_JOB,   /* an object without */
    CLI_SHAPE_LINES, /* more than one object */
};

struct cli_looking {
    enum cli_shape shape; /* as far as is known */
    unsigned depth;
    bool in_string;
    bool escaped;
    bool expects_key; /* of the outermost object */
    size_t n_key;     /* bytes of it so far */
    bool is_jobs;     /* it spells "jobs" so far */
    bool ended;       /* the first value is complete */
    bool sure;        /* no further byte changes the shape */
};

/* Looks at the next bytes of the file; all zero bytes is a fresh start. */
void cli_look(struct cli_looking *l, const char *bytes, size_t n);

/* --- the file */

struct cli_source {
    struct gather_source source; /* for gather_submit_source() */
    enum cli_shape shape;
    int fd;
    int64_t start;  /* where in the file the body begins */
    int64_t length; /* of the body in the file */
    int64_t at;     /* next byte of the body as it is sent */
    bool wrapped;   /* one job, sent as an array of one */
    bool own_fd;
};

struct cli;

/* Opens `path` ("-": stdin). 0, or an exit status after a message. */
GD_MUST_CHECK int cli_source_open(struct cli *cli, const char *path, struct cli_source *ret);
void cli_source_close(struct cli_source *s);

#endif
