/* daemon/fetcher/request.h — what a START asks for, and how libcurl is told.
 *
 * The body is not copied again: the request must outlive the transfer.
 */
#ifndef GD_DAEMON_FETCHER_REQUEST_H
#define GD_DAEMON_FETCHER_REQUEST_H

#include "base/attr.h"
#include "daemon/fetcher/failure.h"
#include "daemon/proto/msg.h"

#include <curl/curl.h>

#include <stdbool.h>
#include <stdint.h>

/* The longest name of a host (RFC 1035, section 2.3.4). */
#define GD_HOST_MAX 253

#define GD_REDIRECTS_MAX 10

/* Milliseconds until a connection must stand: name, TCP and TLS. */
#define GD_CONNECT_TIMEOUT_MS 30000L

/* All zero bytes is no request. */
struct gd_request {
    char *url;
    char *method; /* NULL: GET, or POST if there is a body */
    char *body;   /* NULL: none */
    size_t body_bytes;
    struct curl_slist *headers; /* as libcurl takes them */
    char *to;                   /* NULL: into memory */
    char *sha256;               /* NULL: not checked */
    uint64_t max_bytes;
    int64_t timeout_ms; /* -1: none */
    bool resume;        /* only for a plain GET to a file, without a Range of its own */
};

/* Copies it from a START. Errors: -ENOMEM; -EPROTO: what no gatherd sends. What was
 * copied then is freed by gd_request_free() all the same. */
GD_MUST_CHECK int gd_request_take(struct gd_request *r, const struct gd_msg_view *start);

void gd_request_free(struct gd_request *r);

/* Looks for what cannot be fetched at all. False: `f` says what. */
GD_MUST_CHECK bool gd_request_check(const struct gd_request *r, struct gd_failure *f);

/* Looks at where a redirect from `from` leads. False: `f` says why not there. */
GD_MUST_CHECK bool gd_request_check_redirect(const char *from, const char *location,
                                             struct gd_failure *f);

/* Sets every option that the request decides, but for the headers. */
GD_MUST_CHECK CURLcode gd_request_apply(const struct gd_request *r, CURL *easy);

/* The headers to send: those of the request, and for `offset` > 0 a Range, with
 * If-Range if `validator` is not NULL. NULL: out of memory. */
struct curl_slist *gd_request_headers(const struct gd_request *r, uint64_t offset,
                                      const char *validator) GD_MUST_CHECK;

#endif
