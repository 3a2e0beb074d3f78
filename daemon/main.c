/* gatherd — joins the layers; the only place that knows them all.
 *
 *   start: lock, addresses, store, recovery, workers, API --> serve
 *   SIGTERM, SIGINT: no more connections, waiters get 503, the store is finished,
 *   commands go on --> exit 0
 *   the store fails: what clients asked for is "outcome unknown" --> exit 1; whoever
 *   starts it again gets everything that was acknowledged
 */
#include "api/api.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/version.h"
#include "daemon/config.h"
#include "daemon/core/core.h"
#include "daemon/exec/remote.h"
#include "daemon/exec/sleep.h"
#include "daemon/listen.h"
#include "daemon/lock.h"
#include "daemon/store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* Descriptors that are not for connections: store, workers, outputs being read. */
#define RESERVED_FDS ((size_t)256)
/* How long the end waits for answers to get out. */
#define DRAIN_MS 3000

/* An address that is ours. */
struct bound {
    int fd; /* -1: the API has it */
    unsigned port;
};

struct gatherd {
    struct gd_config config;
    uv_loop_t uv;
    struct gd_loop loop;
    struct gd_lock lock;
    struct gd_sqlite *store;
    struct gd_core core;
    struct gd_sleeper sleeper;
    struct gd_remote runner;
    struct gd_remote fetcher;
    struct gd_api *api;
    struct bound *bound; /* in the order of config.listen */
    size_t n_bound;
    uv_signal_t sigterm;
    uv_signal_t sigint;
    struct gd_timer drain_limit;
    const char *runner_args[3];
    char runner_path[PATH_MAX];
    char fetcher_path[PATH_MAX];
    bool ending;
    int status;
};

/* --- the end */

static void drained(struct gd_timer *t)
{
    struct gatherd *g = GD_OWNER(t, struct gatherd, drain_limit);
    uv_stop(&g->uv);
}

/* Are the last answers out, and all files synced? */
static void check_drained(void *arg)
{
    struct gatherd *g = arg;
    if (!gd_api_is_busy(g->api) && !gd_remote_is_busy(&g->runner) &&
        !gd_remote_is_busy(&g->fetcher))
        uv_stop(&g->uv);
}

static void end(struct gatherd *g)
{
    if (g->ending)
        return;
    g->ending = true;
    gd_core_close(&g->core);
    g->runner.idle = g->fetcher.idle = check_drained;
    g->runner.idle_arg = g->fetcher.idle_arg = g;
    g->drain_limit.fn = drained;
    if (gd_timer_at(&g->loop, &g->drain_limit, gd_mono_ms() + DRAIN_MS) < 0)
        uv_stop(&g->uv);
    gd_api_drain(g->api, check_drained, g);
}

static void on_signal(uv_signal_t *h, int signo)
{
    struct gatherd *g = h->data;
    gd_log(GD_LOG_INFO, "ending", "signal", sigabbrev_np(signo), NULL);
    end(g);
}

static void store_failed(void *arg, const char *what)
{
    struct gatherd *g = arg;
    gd_log(GD_LOG_ERROR, "store-failed", "why", what, NULL);
    g->status = EXIT_FAILURE;
    end(g);
}

/* --- the start */

static int make_dir(const char *path, struct gd_err *err)
{
    char part[PATH_MAX];
    struct stat st;
    for (const char *at = path + 1; at; at = *at ? strchr(at, '/') : NULL) {
        if (*at == '/')
            at++;
        const char *slash = strchrnul(at, '/');
        (void)snprintf(part, sizeof(part), "%.*s", (int)(slash - path), path);
        if (mkdir(part, 0700) < 0 && errno != EEXIST)
            return gd_err_set(err, -errno, "%s: %s", part, gd_err_text(-errno));
        at = slash;
    }
    if (stat(path, &st) < 0)
        return gd_err_set(err, -errno, "%s: %s", path, gd_err_text(-errno));
    if (st.st_uid != geteuid() || (st.st_mode & 022))
        return gd_err_set(err, -EPERM,
                          "%s: the state directory must belong to this user and be writable by "
                          "nobody else",
                          path);
    return 0;
}

/* An absolute path, for the workers start elsewhere. */
static int resolve_state_dir(struct gd_config *c, struct gd_err *err)
{
    if (c->state_dir[0] != '/') {
        char cwd[PATH_MAX];
        char *full = NULL;
        if (!getcwd(cwd, sizeof(cwd)) || asprintf(&full, "%s/%s", cwd, c->state_dir) < 0)
            return gd_err_set(err, -errno, "the working directory: %s", gd_err_text(-errno));
        free(c->state_dir);
        c->state_dir = full;
    }
    if (strlen(c->state_dir) > PATH_MAX - 64)
        return gd_err_set(err, -ENAMETOOLONG, "--state-dir: the path is too long");
    return make_dir(c->state_dir, err);
}

/* The workers lie beside this program. */
static int find_workers(struct gatherd *g, struct gd_err *err)
{
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    self[n > 0 ? n : 0] = '\0';
    char *slash = strrchr(self, '/');
    if (!slash)
        return gd_err_set(err, -ENOENT, "/proc/self/exe: %s", gd_err_text(-errno));
    *slash = '\0';
    (void)snprintf(g->runner_path, sizeof(g->runner_path), "%.4000s/gatherd-runner", self);
    (void)snprintf(g->fetcher_path, sizeof(g->fetcher_path), "%.4000s/gatherd-fetcher", self);
    return 0;
}

static size_t raise_nofile(void)
{
    struct rlimit limit = {.rlim_cur = 1024, .rlim_max = 1024};
    (void)getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_cur;
}

static int open_store(struct gatherd *g, bool *ret_rebooted, struct gd_err *err)
{
    char path[PATH_MAX];
    (void)snprintf(path, sizeof(path), "%.4000s/gatherd.db", g->config.state_dir);
    struct gd_sqlite_config config = {
        .path = path, .relaxed = g->config.relaxed, .failed = store_failed, .arg = g};
    int rc = gd_sqlite_open(&g->loop, &config, &g->store, err);
    if (rc < 0)
        return rc;
    struct gd_core_config core = {.slots = g->config.slots,
                                  .fetches = g->config.fetches,
                                  .fetches_a_host = g->config.fetches_a_host,
                                  .wall_ms = gd_wall_ms};
    rc = gd_core_init(&g->core, &g->loop, gd_sqlite_store(g->store), &core);
    if (rc < 0)
        return gd_err_set(err, rc, "out of memory");
    gd_sleeper_init(&g->sleeper, &g->core);
    return gd_sqlite_recover(g->store, &g->core, ret_rebooted, err);
}

static int open_workers(struct gatherd *g, bool rebooted, struct gd_err *err)
{
    g->runner_args[0] = "--cgroup";
    g->runner_args[1] = g->config.cgroup;
    struct gd_remote_config config = {.state_dir = g->config.state_dir,
                                      .program_path = g->runner_path,
                                      .log_level = g->config.level_name,
                                      .extra_args = g->runner_args,
                                      .slots = g->config.slots,
                                      .rebooted = rebooted};
    int rc = gd_remote_open(&g->runner, &gd_command_remote_ops, &g->core, &config);
    config.program_path = g->fetcher_path;
    config.extra_args = NULL;
    config.slots = g->config.fetches;
    if (rc == 0)
        rc = gd_remote_open(&g->fetcher, &gd_fetch_remote_ops, &g->core, &config);
    if (rc < 0)
        return gd_err_set(err, rc, "workers: %s", gd_err_text(rc));
    rc = gd_sqlite_start(g->store);
    if (rc < 0)
        return gd_err_set(err, rc, "writer thread: %s", gd_err_text(rc));
    rc = gd_core_recovered(&g->core);
    return rc < 0 ? gd_err_set(err, rc, "recovery: %s", gd_err_text(rc)) : 0;
}

static int open_api(struct gatherd *g, struct gd_err *err)
{
    size_t fds = raise_nofile();
    size_t most = fds > 2 * RESERVED_FDS ? fds - RESERVED_FDS : fds / 2;
    struct gd_api_config config = {
        .hosts = (const char *const *)(uintptr_t)g->config.hosts,
        .state_dir = g->config.state_dir,
        .version = GD_VERSION,
        .max_tasks = g->config.max_tasks,
        .max_connections = g->config.max_connections && g->config.max_connections < most
                               ? g->config.max_connections
                               : most,
        .max_body = g->config.max_body,
    };
    int rc = gd_api_open(&g->loop, &g->core, &config, &g->api);
    return rc < 0 ? gd_err_set(err, rc, "HTTP: %s", gd_err_text(rc)) : 0;
}

/* Written beside and renamed, so that who waits for it never sees half of it. */
static int write_ports(const char *path, const char *ports, struct gd_err *err)
{
    char beside[PATH_MAX];
    (void)snprintf(beside, sizeof(beside), "%.4000s.new", path);
    FILE *f = fopen(beside, "we");
    bool good = f && fputs(ports, f) >= 0;
    good = f && fclose(f) == 0 && good;
    if (good && rename(beside, path) == 0)
        return 0;
    return gd_err_set(err, -errno, "--port-file %s: %s", path, gd_err_text(-errno));
}

/* Before the store and the workers: whoever cannot listen leaves nothing behind. */
static int bind_addresses(struct gatherd *g, struct gd_err *err)
{
    size_t n = 0;
    while (g->config.listen[n])
        n++;
    g->bound = calloc(n + 1, sizeof(*g->bound));
    if (!g->bound)
        return gd_err_set(err, -ENOMEM, "out of memory");
    for (; g->n_bound < n; g->n_bound++) {
        struct bound *b = &g->bound[g->n_bound];
        int rc = gd_listen_open(g->config.listen[g->n_bound], &b->fd, &b->port, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int start_listening(struct gatherd *g, struct gd_err *err)
{
    struct gd_buf ports = {0};
    int rc = 0;
    for (size_t i = 0; i < g->n_bound; i++) {
        const char *address = g->config.listen[i];
        unsigned port = g->bound[i].port;
        int fd = g->bound[i].fd;
        g->bound[i].fd = -1;
        rc = gd_api_listen(g->api, fd);
        if (rc < 0) {
            (void)gd_err_set(err, rc, "--listen %s: %s", address, gd_err_text(rc));
            break;
        }
        char digits[21];
        if (port)
            gd_buf_printf(&ports, "%u\n", port);
        gd_log(GD_LOG_INFO, "listening", "address", address, "port",
               port ? gd_log_num(digits, port) : NULL, NULL);
    }
    gd_buf_putc(&ports, '\0');
    if (rc == 0 && g->config.port_file)
        rc = ports.err ? gd_err_set(err, ports.err, "out of memory")
                       : write_ports(g->config.port_file, ports.ptr, err);
    gd_buf_free(&ports);
    return rc;
}

static int start(struct gatherd *g, struct gd_err *err)
{
    bool rebooted = false;
    int rc = resolve_state_dir(&g->config, err);
    if (rc == 0)
        rc = find_workers(g, err);
    if (rc == 0)
        rc = gd_lock_take(&g->lock, g->config.state_dir, err);
    if (rc == 0)
        rc = bind_addresses(g, err);
    if (rc == 0)
        rc = open_store(g, &rebooted, err);
    if (rc == 0)
        rc = open_api(g, err);
    if (rc == 0)
        rc = open_workers(g, rebooted, err);
    if (rc == 0)
        rc = start_listening(g, err);
    if (rc < 0)
        return rc;
    char tasks[21];
    gd_log(GD_LOG_INFO, "started", "version", GD_VERSION, "state", g->config.state_dir,
           "unfinished", gd_log_num(tasks, (int64_t)g->core.tasks.n_tasks), NULL);
    (void)malloc_trim(0); /* what recovery needed */
    return 0;
}

static void close_all(struct gatherd *g)
{
    gd_timer_stop(&g->loop, &g->drain_limit);
    gd_api_close(g->api);
    gd_remote_close(&g->runner);
    gd_remote_close(&g->fetcher);
    if (g->store) {
        gd_sqlite_stop(g->store);
        gd_sleeper_done(&g->sleeper);
        gd_core_done(&g->core);
        gd_sqlite_close(g->store);
    }
    for (size_t i = 0; i < g->n_bound; i++) {
        if (g->bound[i].fd >= 0)
            close(g->bound[i].fd);
        gd_listen_unlink(g->config.listen[i]);
    }
    free(g->bound);
    gd_lock_drop(&g->lock);
}

static void serve(struct gatherd *g)
{
    struct gd_err err = {0};
    g->uv.data = g;
    (void)uv_signal_init(&g->uv, &g->sigterm);
    (void)uv_signal_init(&g->uv, &g->sigint);
    g->sigterm.data = g->sigint.data = g;
    g->lock.fd = -1;
    if (start(g, &err) < 0) {
        (void)fprintf(stderr, "gatherd: %s\n", err.text);
        g->status = EXIT_FAILURE;
    } else {
        (void)uv_signal_start(&g->sigterm, on_signal, SIGTERM);
        (void)uv_signal_start(&g->sigint, on_signal, SIGINT);
        (void)uv_run(&g->uv, UV_RUN_DEFAULT);
        gd_log(GD_LOG_INFO, "ended", NULL);
    }
    close_all(g);
    uv_close((uv_handle_t *)&g->sigterm, NULL);
    uv_close((uv_handle_t *)&g->sigint, NULL);
    gd_loop_close(&g->loop);
    (void)uv_run(&g->uv, UV_RUN_DEFAULT);
}

int main(int argc, char **argv)
{
    static struct gatherd g;
    struct gd_err err = {0};
    switch (gd_config_read(&g.config, argc, argv, &err)) {
    case GD_CONFIG_HELP:
        (void)fputs(gd_config_help, stdout);
        gd_config_free(&g.config);
        return EXIT_SUCCESS;
    case GD_CONFIG_VERSION:
        (void)puts("gatherd " GD_VERSION);
        gd_config_free(&g.config);
        return EXIT_SUCCESS;
    case GD_CONFIG_BAD:
        (void)fprintf(stderr, "gatherd: %s\n", err.text);
        gd_config_free(&g.config);
        return 2;
    case GD_CONFIG_RUN:
        break;
    }
    gd_log_init(g.config.level);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)umask(077);
    int rc = uv_loop_init(&g.uv);
    if (rc == 0 && (rc = gd_loop_init(&g.loop, &g.uv)) < 0)
        (void)uv_loop_close(&g.uv);
    if (rc < 0) {
        (void)fprintf(stderr, "gatherd: event loop: %s\n", gd_err_text(rc));
        return EXIT_FAILURE;
    }
    serve(&g);
    (void)uv_loop_close(&g.uv);
    gd_config_free(&g.config);
    return g.status;
}
