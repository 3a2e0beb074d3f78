/* client/cli_options.h — one table of options, one of commands.
 *
 * getopt_long, --help and what an unknown word is compared with all come from
 * these tables.
 */
#ifndef GATHER_CLI_OPTIONS_H
#define GATHER_CLI_OPTIONS_H

#include "base/attr.h"
#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>

/* X(identifier, letter or 0, name, value's name or NULL, help) */
#define CLI_OPTIONS(X)                                                                         \
    X(HELP, 'h', "help", NULL, "this help")                                                    \
    X(OUTPUT, 'o', "output", "FORMAT", "table, json or id")                                    \
    X(QUIET, 'q', "quiet", NULL, "no messages but errors; in lists ids only")                  \
    X(URL, 0, "url", "URL", "the daemon: http://HOST:PORT or unix:/PATH")                      \
    X(COLOR, 0, "color", "WHEN", "auto, always or never")                                      \
    X(SHELL, 'c', "shell", "LINE", "run LINE with /bin/sh -c instead of a command")            \
    X(NAME, 0, "name", "NAME", "a name to show")                                               \
    X(RUN_TIMEOUT, 0, "timeout", "TIME", "stop it after TIME: TERM, then KILL")                \
    X(FETCH_TIMEOUT, 0, "timeout", "TIME", "break it off after TIME, exit 124")                \
    X(RUN_GRACE, 0, "grace", "TIME", "between TERM and KILL (5s)")                             \
    X(ENV, 0, "env", "K=V", "set a variable; K alone copies yours (repeat)")                   \
    X(CWD, 0, "cwd", "DIR", "where it runs (here)")                                            \
    X(STDIN, 0, "stdin", "FILE", "what it reads; - is our stdin (nothing)")                    \
    X(MAX_OUTPUT, 0, "max-output", "SIZE", "keep so much of each stream: 64K, 1G (16M)")       \
    X(NO_CHECK, 0, "no-check", NULL, "any exit code is a success")                             \
    X(RESULT, 0, "result", "WHAT", "what it returns: full (default), stdout or json")          \
    X(ON_LOST, 0, "on-lost", "WHAT", "if the machine goes down: fail (default) or rerun")      \
    X(LABEL, 0, "label", "K=V", "a label to find it by (repeat)")                              \
    X(PRIORITY, 0, "priority", "N", "higher runs first (0)")                                   \
    X(DETACH, 0, "detach", NULL, "print the id and leave it running")                          \
    X(WAIT, 0, "wait", NULL, "wait until every task has ended")                                \
    X(RESULTS, 0, "results", NULL, "the same, then print the results in order")                \
    X(CONCURRENCY, 'j', "concurrency", "N", "at most N of the tasks at once")                  \
    X(BATCH_TIMEOUT, 0, "timeout", "TIME", "cancel what is left after TIME")                   \
    X(ON_FAILURE, 0, "on-failure", "WHAT", "continue (default) or cancel the others")          \
    X(RETURN_EXCEPTIONS, 0, "return-exceptions", NULL, "a failure is a result like any other") \
    X(WAIT_TIMEOUT, 0, "timeout", "TIME", "leave after TIME, exit 124; tasks go on")           \
    X(TASKS, 0, "tasks", NULL, "list tasks (default)")                                         \
    X(BATCHES, 0, "batches", NULL, "list batches")                                             \
    X(STATE, 's', "state", "S,…", "only these states, or unfinished")                          \
    X(FILTER_LABEL, 0, "label", "K=V", "only what has this label (repeat)")                    \
    X(BATCH, 'b', "batch", "ID", "only the tasks of this batch")                               \
    X(FILTER_NAME, 0, "name", "NAME", "only what has this name")                               \
    X(LIMIT, 'n', "limit", "N", "at most N, newest first; 0 is all (50)")                      \
    X(RAW, 'r', "raw", NULL, "a string without quotes and escapes")                            \
    X(PARTIAL, 0, "partial", NULL, "of a batch that is not done: what there is")               \
    X(FOLLOW, 'f', "follow", NULL, "go on until the task ends")                                \
    X(STDOUT, 0, "stdout", NULL, "only its stdout")                                            \
    X(STDERR, 0, "stderr", NULL, "only its stderr")                                            \
    X(TAIL, 0, "tail", "N", "only the last N lines")                                           \
    X(MSG, 0, "msg", "TEXT", "why, for whoever looks at the task")                             \
    X(CANCEL_GRACE, 0, "grace", "TIME", "between TERM and KILL (the task's own)")              \
    X(TO, 'O', "to", "FILE", "save it there (default: print it)")                              \
    X(SHA256, 0, "sha256", "HEX", "fail unless this is its checksum")                          \
    X(RESUME, 0, "resume", NULL, "go on with a part that is there already")                    \
    X(MAX_BYTES, 0, "max-bytes", "SIZE", "fail if it is larger: 4096, 64K, 2G")                \
    X(HEADER, 'H', "header", "'K: V'", "a header of the request (repeat)")

enum cli_opt {
    CLI_END,
#define X(id, letter, name, arg, help) CLI_##id,
    CLI_OPTIONS(X)
#undef X
    CLI_N_OPTIONS
};

struct cli_option {
    char letter; /* 0: none */
    const char *name;
    const char *arg; /* NULL: it takes no value */
    const char *help;
};

/* The entry of `id`, static. */
const struct cli_option *cli_option(enum cli_opt id);

struct cli;
typedef int cli_fn(struct cli *cli);

struct cli_command {
    const char *name;
    const char *args;            /* "ID…"; "" if none */
    const char *summary;         /* one line */
    const char *examples[4];     /* ends with NULL */
    const enum cli_opt *options; /* ends with CLI_END; the global ones come on top */
    int min_args;
    int max_args;      /* -1: any number */
    bool one_form;     /* what it prints has one form: no --output */
    bool stop_at_args; /* what follows the first argument belongs to it */
    cli_fn *run;
};

/* All commands, in the order of the help; ends with a NULL name. */
extern const struct cli_command cli_commands[];

/* The options that every command has; ends with CLI_END. */
extern const enum cli_opt cli_global_options[];

/* The command of this name; NULL: none. */
const struct cli_command *cli_command_find(const char *name);

/* Names for suggestions, ending with NULL: of all commands, or of the options of
 * `command` (NULL: only the global ones) with their dashes. free() the array. */
const char **cli_command_names(void) GD_MUST_CHECK;

/* --- what was given */

struct cli_values {
    struct cli_value {
        enum cli_opt id;
        const char *text; /* "" for an option without a value; borrowed from argv */
    } * items;
    size_t n;
};

void cli_values_free(struct cli_values *v);

/* The last value given for `id`; NULL: none. */
const char *cli_values_last(const struct cli_values *v, enum cli_opt id);

/* The next one from `*pos` on (0 at first); NULL: no more. */
const char *cli_values_next(const struct cli_values *v, enum cli_opt id, size_t *pos);

/* Reads options of `command` (NULL: only the global ones, and stops at the first
 * other word). argv[0] is skipped; argv may be put in another order. `*ret_first`
 * is the index of the first argument. False: `problem` has a sentence for people;
 * an empty one is out of memory. */
GD_MUST_CHECK bool cli_parse(const struct cli_command *command, int argc, char **argv,
                             struct cli_values *values, int *ret_first, struct gd_buf *problem);

#endif
