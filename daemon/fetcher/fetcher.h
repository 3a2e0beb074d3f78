/* daemon/fetcher/fetcher.h — gatherd-fetcher: a worker whose units are fetches.
 *
 * The only process of gatherd's that opens connections: it reads what strange
 * servers send, and executes nothing.
 */
#ifndef GD_DAEMON_FETCHER_H
#define GD_DAEMON_FETCHER_H

#include "base/attr.h"
#include "base/err.h"

/* Serves in `state_dir` until SIGTERM, SIGINT, or QUIT with nothing left. What runs
 * then is lost; parts that may be resumed stay. Ignores SIGPIPE from then on.
 * Errors, with words in `err`: GD_E_LOCKED (another one lives there), -errno. */
GD_MUST_CHECK int gd_fetcher_run(const char *state_dir, struct gd_err *err);

#endif
