/* daemon/fetcher/failure.h — why a fetch failed: one word for programs, one
 * sentence for people.
 *
 * The first failure of a fetch is its failure: what follows from it (libcurl
 * reports a write error when a callback of ours refused a body) changes nothing.
 * The words are part of the wire format; docs/fetch.md explains them.
 */
#ifndef GD_DAEMON_FETCHER_FAILURE_H
#define GD_DAEMON_FETCHER_FAILURE_H

#include "base/attr.h"

#include <curl/curl.h>

/* X(identifier, word) */
#define GD_FAILURES(X)        \
    X(DNS, "dns")             \
    X(REFUSED, "refused")     \
    X(CONNECT, "connect")     \
    X(TLS, "tls")             \
    X(STATUS, "status")       \
    X(TOO_LARGE, "too-large") \
    X(CHECKSUM, "checksum")   \
    X(REDIRECT, "redirect")   \
    X(CLOSED, "closed")       \
    X(PROTOCOL, "protocol")   \
    X(FILE, "file")           \
    X(URL, "url")             \
    X(OTHER, "other")

enum gd_failure_kind {
    GD_FAILURE_NONE,
#define X(id, word) GD_FAILURE_##id,
    GD_FAILURES(X)
#undef X
};

/* All zero bytes: nothing has failed. */
struct gd_failure {
    enum gd_failure_kind kind;
    char text[320];
};

/* "dns", "refused" …; NULL for GD_FAILURE_NONE. */
const char *gd_failure_word(enum gd_failure_kind kind);

/* Notes a failure, unless there is one. */
void gd_failure_set(struct gd_failure *f, enum gd_failure_kind kind, const char *fmt, ...)
    GD_PRINTF(3, 4);

/* The same for a system call: "what: Permission denied (EACCES)". -ENOMEM becomes
 * GD_FAILURE_OTHER, whatever `kind` says. */
void gd_failure_set_errno(struct gd_failure *f, enum gd_failure_kind kind, const char *what,
                          int rc);

/* The same for a transfer that ended with `code` (not CURLE_OK). `text` is what
 * libcurl left in CURLOPT_ERRORBUFFER, or "". */
void gd_failure_set_curl(struct gd_failure *f, CURL *easy, CURLcode code, const char *text);

#endif
