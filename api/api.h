/* api/api.h — the HTTP side of the daemon: what main makes and ends.
 *
 * libmicrohttpd runs on the loop: its epoll descriptor is watched, MHD_run() is
 * called when it is ready or its timeout is due. Requests that wait are suspended
 * connections; that a client went away meanwhile is seen on its descriptor.
 *
 * Thread: loop thread.
 */
#ifndef GD_API_H
#define GD_API_H

#include "base/attr.h"
#include "base/err.h"
#include "daemon/core/core.h"

#include <stddef.h>
#include <stdint.h>

struct gd_api;

struct gd_api_config {
    const char *const *hosts; /* further Host names that are answered; ends with NULL */
    const char *state_dir;    /* its output/ has the files of large outputs */
    const char *version;
    size_t max_tasks;       /* unfinished, in all */
    size_t max_connections; /* at once */
    size_t max_body;        /* bytes of a body that is one document */
};

/* `core`, `loop` and everything in `config` are borrowed. Errors: -errno. */
GD_MUST_CHECK int gd_api_open(struct gd_loop *loop, struct gd_core *core,
                              const struct gd_api_config *config, struct gd_api **ret);

/* Serves on `own_fd`, a listening socket. Errors: -errno, and it is closed. */
GD_MUST_CHECK int gd_api_listen(struct gd_api *a, int own_fd);

/* Takes no more connections; whoever waits gets 503 with Retry-After. `idle` is called
 * when the last request has been answered, maybe at once. */
void gd_api_drain(struct gd_api *a, void (*idle)(void *arg), void *arg);

/* True while a request is being answered. */
bool gd_api_is_busy(const struct gd_api *a);

/* Ends all connections and frees all. */
void gd_api_close(struct gd_api *a);

#endif
