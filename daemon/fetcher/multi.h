/* daemon/fetcher/multi.h — libcurl's transfers on our loop.
 *
 * One multi handle, driven by what happens: libcurl says which sockets and which
 * time it waits for, the loop calls curl_multi_socket_action() for those and for
 * nothing else. Connections are reused; those that nobody has used for
 * GD_MULTI_IDLE_MS go (libcurl itself never looks at an idle connection).
 *
 * Thread: the loop's.
 */
#ifndef GD_DAEMON_FETCHER_MULTI_H
#define GD_DAEMON_FETCHER_MULTI_H

#include "base/attr.h"
#include "base/list.h"
#include "daemon/loop/loop.h"

#include <curl/curl.h>

/* Idle connections kept for reuse. */
#define GD_MULTI_CONNECTIONS 64L
#define GD_MULTI_IDLE_MS     60000

struct gd_multi {
    struct gd_loop *loop;
    CURLM *curl;
    struct gd_node transfers; /* struct gd_easy, those that are added */
    struct gd_timer timer;    /* libcurl's */
    struct gd_soon kick;      /* in its place when there is no memory for it */
    struct gd_timer idle;
    int64_t idle_ms; /* GD_MULTI_IDLE_MS; tests have less time */
};

/* One transfer. Embedded; all zero bytes is none. */
struct gd_easy {
    CURL *curl; /* the owner's, made by gd_easy_open() */
    struct gd_node node;
    struct gd_soon broken;
    struct gd_multi *multi; /* while it is added */
    /* Set by the owner. It has ended and is no longer added: once, never from inside
     * a call into this module. May free everything. */
    void (*done)(struct gd_easy *e, CURLcode code);
};

/* Errors: -ENOMEM. curl_global_init() came before. */
GD_MUST_CHECK int gd_multi_init(struct gd_multi *m, struct gd_loop *l);

/* After the last transfer was removed. */
void gd_multi_done(struct gd_multi *m);

/* A fresh easy handle whose sockets are close-on-exec. Errors: -ENOMEM. */
GD_MUST_CHECK int gd_easy_open(struct gd_easy *e);

/* Frees the handle; takes it out if it is added. None is fine. */
void gd_easy_close(struct gd_easy *e);

/* Begins the transfer. Errors: -ENOMEM; then `done` does not follow. */
GD_MUST_CHECK int gd_multi_add(struct gd_multi *m, struct gd_easy *e);

/* Breaks it off, without `done`. Not from inside a callback of libcurl's. Not added
 * is fine. */
void gd_multi_remove(struct gd_easy *e);

#endif
