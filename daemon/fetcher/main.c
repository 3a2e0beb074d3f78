/* gatherd-fetcher: arguments, limits of the process, exit status. */
#include "base/log.h"
#include "daemon/fetcher/fetcher.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

/* Fetches to files end in this many threads: their syncs wait together, so that the
 * file system can take them together. */
#define POOL_THREADS "16"

static int usage(FILE *to, int status)
{
    (void)fputs("usage: gatherd-fetcher --state-dir DIR [--log-level error|warning|info|debug]\n"
                "Started by gatherd: runs its fetches, and lives on when it does not.\n",
                to);
    return status;
}

/* A fetch takes up to four descriptors; the usual soft limit is 1,024. */
static void raise_limits(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    (void)setenv("UV_THREADPOOL_SIZE", POOL_THREADS, 0);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"state-dir", required_argument, NULL, 'd'},
        {"log-level", required_argument, NULL, 'l'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    const char *state_dir = NULL;
    enum gd_log_level level = GD_LOG_INFO;
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == 'd')
            state_dir = optarg;
        else if (c == 'h')
            return usage(stdout, EXIT_SUCCESS);
        else if (c != 'l' || !gd_log_level_parse(optarg, &level))
            return usage(stderr, 2);
    }
    if (!state_dir || optind < argc)
        return usage(stderr, 2);
    gd_log_init(level);
    raise_limits();
    struct gd_err err = {0};
    if (gd_fetcher_run(state_dir, &err) < 0) {
        (void)fprintf(stderr, "gatherd-fetcher: %s\n", err.text);
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
