#include "daemon/fetcher/fetcher.h"

#include "daemon/fetcher/multi.h"
#include "daemon/fetcher/transfer.h"
#include "daemon/loop/loop.h"
#include "daemon/worker/worker.h"

#include <curl/curl.h>

#include <assert.h>
#include <errno.h>
#include <signal.h>

#define N_SIGNALS 2

struct fetcher {
    uv_loop_t uv;
    uv_signal_t signals[N_SIGNALS];
    struct gd_loop loop;
    struct gd_multi multi;
    struct gd_worker *worker;
};

static void on_signal(uv_signal_t *signal, int signo)
{
    (void)signo;
    uv_stop(signal->loop);
}

static int watch_signals(struct fetcher *f)
{
    static const int signos[N_SIGNALS] = {SIGTERM, SIGINT};
    int rc = 0;
    for (unsigned i = 0; i < N_SIGNALS && rc == 0; i++) {
        (void)uv_signal_init(&f->uv, &f->signals[i]); /* its pipe is the loop's own */
        rc = uv_signal_start(&f->signals[i], on_signal, signos[i]);
    }
    return rc;
}

/* Runs what is left of jobs in the pool, and the close callbacks. */
static void close_all(struct fetcher *f)
{
    for (unsigned i = 0; i < N_SIGNALS; i++)
        if (f->signals[i].loop)
            uv_close((uv_handle_t *)&f->signals[i], NULL);
    gd_loop_close(&f->loop);
    (void)uv_run(&f->uv, UV_RUN_DEFAULT);
}

static int serve(struct fetcher *f, const char *state_dir, struct gd_err *err)
{
    int rc = gd_multi_init(&f->multi, &f->loop);
    if (rc == 0)
        rc = watch_signals(f);
    if (rc < 0)
        return gd_err_set(err, rc, "starting: %s", gd_err_text(rc));
    rc = gd_worker_open(&f->loop, state_dir, &gd_transfer_ops, &f->multi, &f->worker, err);
    if (rc < 0)
        return rc;
    (void)uv_run(&f->uv, UV_RUN_DEFAULT);
    gd_worker_close(f->worker);
    return 0;
}

static int run(struct fetcher *f, const char *state_dir, struct gd_err *err)
{
    int rc = uv_loop_init(&f->uv);
    if (rc < 0)
        return gd_err_set(err, rc, "event loop: %s", gd_err_text(rc));
    rc = gd_loop_init(&f->loop, &f->uv);
    if (rc < 0) {
        (void)gd_err_set(err, rc, "event loop: %s", gd_err_text(rc));
        (void)uv_run(&f->uv, UV_RUN_DEFAULT);
    } else {
        rc = serve(f, state_dir, err);
        gd_multi_done(&f->multi);
        close_all(f);
    }
    int closed = uv_loop_close(&f->uv);
    assert(closed == 0);
    (void)closed;
    return rc;
}

int gd_fetcher_run(const char *state_dir, struct gd_err *err)
{
    struct fetcher f = {0};
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN); /* a limit on file sizes is an error like a full disk */
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return gd_err_set(err, -ENOMEM, "libcurl cannot be set up");
    int rc = run(&f, state_dir, err);
    curl_global_cleanup();
    return rc;
}
