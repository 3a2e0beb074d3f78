/* client/cli.h — what every command of `gather` works with.
 *
 * A command is a function of type cli_fn. It gets what was given on the command
 * line, talks to the daemon through libgather, writes data to stdout and
 * messages to stderr, and returns the exit status (client/cli_exit.h).
 */
#ifndef GATHER_CLI_H
#define GATHER_CLI_H

#include "base/attr.h"
#include "base/buf.h"
#include "client/cli_live.h"
#include "client/cli_options.h"
#include "client/cli_out.h"
#include "client/gather.h"

#include <stdbool.h>

enum cli_format {
    CLI_FORMAT_DEFAULT, /* the command's own */
    CLI_FORMAT_TABLE,
    CLI_FORMAT_JSON,
    CLI_FORMAT_ID,
};

struct cli {
    const struct cli_command *command;
    struct cli_values values;
    char **args; /* what is left: ids, files, a command; ends with NULL */
    int n_args;
    enum cli_format format;
    bool quiet;         /* no messages but errors */
    bool color_out;     /* stdout may be coloured */
    struct cli_out out; /* stdout */
    struct cli_live live;
    struct gather_client *client; /* NULL before cli_connect() */
    struct gather_error err;      /* of the last call */
    int signal_fd;                /* SIGINT and SIGTERM arrive here; -1: not yet */
};

/* --- messages, on stderr */

/* "gather: …", unless -q. */
void cli_say(struct cli *cli, const char *fmt, ...) GD_PRINTF(2, 3);

/* The same, always. */
void cli_complain(struct cli *cli, const char *fmt, ...) GD_PRINTF(2, 3);

/* A mistake on the command line: complains, names the help, returns CLI_USAGE. */
int cli_usage(struct cli *cli, const char *fmt, ...) GD_PRINTF(2, 3);

/* Says what cli->err holds and returns the exit status for it. An interrupt says
 * nothing. */
int cli_fail(struct cli *cli);

/* --- the daemon */

/* Makes cli->client, and from then on receives SIGINT and SIGTERM through
 * signal_fd. 0, or an exit status after a message. */
GD_MUST_CHECK int cli_connect(struct cli *cli);

/* The signal that arrived last, 0: none. Takes it. */
int cli_take_signal(struct cli *cli);

/* Ends everything. */
void cli_done(struct cli *cli);

/* --- values of options; a bad one is reported and gives CLI_USAGE, else 0 */

GD_MUST_CHECK int cli_duration(struct cli *cli, enum cli_opt id, int64_t *ret_ms);
GD_MUST_CHECK int cli_integer(struct cli *cli, enum cli_opt id, int64_t min, int64_t max,
                              int64_t *ret);

GD_MUST_CHECK int cli_size(struct cli *cli, enum cli_opt id, int64_t max, int64_t *ret_bytes);

/* An option that was given, or NULL. */
static inline const char *cli_get(const struct cli *cli, enum cli_opt id)
{
    return cli_values_last(&cli->values, id);
}

/* All values of an option, ending with NULL. free() the array; NULL: out of memory. */
const char **cli_all_of(const struct cli *cli, enum cli_opt id) GD_MUST_CHECK;

/* A path as the daemon must have it: made absolute by our working directory.
 * NULL: there is none, after a message. free() it. */
char *cli_absolute(struct cli *cli, const char *path) GD_MUST_CHECK;

#endif
