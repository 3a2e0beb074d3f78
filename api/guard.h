/* api/guard.h — the first look at a request: framing, host, origin.
 *
 * libmicrohttpd 0.9.75 lets things through that move the boundaries of requests
 * (two Content-Lengths, Content-Length beside Transfer-Encoding). They are refused
 * here, before the body, which also ends the connection. And no web page may speak
 * for the user at whose machine it is shown: only known Host names are answered
 * (against DNS rebinding), and what a browser marks as coming from another origin
 * is refused (against forged requests).
 */
#ifndef GD_API_GUARD_H
#define GD_API_GUARD_H

#include "api/http.h"

/* 0: go on. Else -1, and `info`, with `text` for its detail, says what is wrong. */
GD_MUST_CHECK int gd_guard_check(const struct gd_http *h, struct gd_problem_info *info,
                                 struct gd_err *text);

/* True if `host` (a Host header) names this daemon: 127.0.0.1, [::1] or localhost with
 * or without a port, or one of `more` (ends with NULL; may be NULL). */
bool gd_guard_host_is_ours(const char *host, const char *const *more);

#endif
