/* daemon/config.h — the daemon's settings: built-in, then the file, then the command line.
 *
 * The file has lines `name = value`; '#' starts a comment; values may be in double
 * quotes. The names are those of the long options, with '_' or '-'. A name that nobody
 * knows is an error that says which line and what was probably meant.
 */
#ifndef GD_DAEMON_CONFIG_H
#define GD_DAEMON_CONFIG_H

#include "base/attr.h"
#include "base/err.h"
#include "base/log.h"

#include <stdbool.h>
#include <stddef.h>

/* Default address: GATH on a telephone's keys. */
#define GD_DEFAULT_LISTEN "127.0.0.1:4284"

struct gd_config {
    char **listen; /* addresses, NULL at the end; owned, as all strings here */
    char **hosts;  /* further Host names that are answered, NULL at the end */
    char *state_dir;
    char *port_file; /* NULL: none */
    char *cgroup;    /* for the runner: auto, off or a directory */
    size_t slots;    /* commands at once */
    size_t fetches;
    size_t fetches_a_host;
    size_t max_tasks;
    size_t max_connections; /* 0: as many as descriptors allow */
    size_t max_body;
    bool relaxed; /* durability = relaxed */
    enum gd_log_level level;
    const char *level_name;
};

enum gd_config_verdict {
    GD_CONFIG_RUN,
    GD_CONFIG_HELP,
    GD_CONFIG_VERSION,
    GD_CONFIG_BAD
};

/* Reads the command line, and the file that it names. GD_CONFIG_BAD: `err` has words. */
GD_MUST_CHECK enum gd_config_verdict gd_config_read(struct gd_config *c, int argc, char **argv,
                                                    struct gd_err *err);
void gd_config_free(struct gd_config *c);

/* Reads `text` of the file `name` into `c`. Errors, with words: -EINVAL, -ENOMEM. */
GD_MUST_CHECK int gd_config_parse(struct gd_config *c, const char *name, const char *text, size_t n,
                                  struct gd_err *err);

/* Built-in values. Errors: -ENOMEM. */
GD_MUST_CHECK int gd_config_defaults(struct gd_config *c);

/* The help that --help prints. */
extern const char gd_config_help[];

#endif
