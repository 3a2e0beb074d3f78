/* gatherd-runner — the parent of all commands.
 *
 * It lives on when gatherd dies, keeps what ended meanwhile, and speaks to
 * nobody but gatherd. No HTTP, no JSON, no database in here, on purpose.
 */
#include "base/log.h"
#include "daemon/runner/command.h"
#include "daemon/worker/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct options {
    const char *state_dir;
    const char *cgroup;
    enum gd_log_level level;
};

static void stop(uv_signal_t *h, int signo)
{
    (void)signo;
    uv_stop(h->loop);
}

/* 0, 1 and 2 must be taken, or a pipe of a command would land there. */
static void fill_standard_fds(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd < 3);
    if (fd >= 3)
        close(fd);
}

/* Three descriptors a command: take what the hard limit gives. Commands get the
 * limit that we were started with. */
static struct rlimit raise_nofile(void)
{
    struct rlimit before = {0};
    (void)getrlimit(RLIMIT_NOFILE, &before);
    struct rlimit most = {.rlim_cur = before.rlim_max, .rlim_max = before.rlim_max};
    (void)setrlimit(RLIMIT_NOFILE, &most);
    return before;
}

static int usage(const char *complaint)
{
    if (complaint)
        (void)fprintf(stderr, "gatherd-runner: %s\n", complaint);
    (void)fprintf(complaint ? stderr : stdout,
                  "usage: gatherd-runner --state-dir DIR [--cgroup auto|off|DIR] [--log-level L]\n"
                  "Runs commands for gatherd, which starts it by itself.\n");
    return complaint ? 2 : 0;
}

/* -1: go on; else the exit status. */
static int read_options(int argc, char **argv, struct options *o)
{
    static const struct option longs[] = {{"state-dir", required_argument, NULL, 's'},
                                          {"cgroup", required_argument, NULL, 'c'},
                                          {"log-level", required_argument, NULL, 'l'},
                                          {"help", no_argument, NULL, 'h'},
                                          {0}};
    *o = (struct options){.cgroup = "auto", .level = GD_LOG_INFO};
    for (int c; (c = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        switch (c) {
        case 's':
            o->state_dir = optarg;
            break;
        case 'c':
            o->cgroup = optarg;
            break;
        case 'l':
            if (!gd_log_level_parse(optarg, &o->level))
                return usage("--log-level must be error, warning, info or debug");
            break;
        case 'h':
            return usage(NULL);
        default:
            return usage("see the usage");
        }
    }
    if (!o->state_dir || optind < argc)
        return usage("--state-dir is missing");
    return -1;
}

static int serve(uv_loop_t *uv, const struct options *o, struct gd_err *err)
{
    struct gd_loop loop;
    struct gd_commands commands;
    struct gd_worker *worker = NULL;
    uv_signal_t term;
    int rc = gd_loop_init(&loop, uv);
    if (rc < 0)
        return gd_err_set(err, rc, "event loop: %s", gd_err_text(rc));
    (void)uv_signal_init(uv, &term);
    (void)uv_signal_start(&term, stop, SIGTERM);
    rc = gd_commands_open(&commands, &loop, o->cgroup, raise_nofile(), err);
    if (rc == 0)
        rc = gd_worker_open(&loop, o->state_dir, &gd_command_ops, &commands, &worker, err);
    if (rc == 0) {
        (void)uv_run(uv, UV_RUN_DEFAULT);
        gd_worker_close(worker);
    }
    if (commands.loop)
        gd_commands_close(&commands);
    uv_close((uv_handle_t *)&term, NULL);
    gd_loop_close(&loop);
    (void)uv_run(uv, UV_RUN_DEFAULT);
    return rc;
}

int main(int argc, char **argv)
{
    struct options o;
    int status = read_options(argc, argv, &o);
    if (status >= 0)
        return status;
    fill_standard_fds();
    gd_log_init(o.level);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);
    (void)signal(SIGINT, SIG_IGN); /* a terminal's ^C is for gatherd */
    uv_loop_t uv;
    struct gd_err err = {0};
    int rc = uv_loop_init(&uv);
    if (rc == 0) {
        rc = serve(&uv, &o, &err);
        (void)uv_loop_close(&uv);
    }
    if (rc < 0)
        gd_log(GD_LOG_ERROR, "cannot-serve", "why", err.text, NULL);
    return rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
