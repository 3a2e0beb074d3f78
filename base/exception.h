/* base/exception.h — what a client gets to see when a task has not succeeded.
 *
 * An exception is a JSON object with "type", "message" and members of its type
 * (docs/api.md lists them). It is made once, as text, where the failure is known,
 * and from then on only carried and stored. All makers return NULL when out of
 * memory; the caller frees the text.
 */
#ifndef GD_BASE_EXCEPTION_H
#define GD_BASE_EXCEPTION_H

#include "base/attr.h"
#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>

/* The bytes of stderr that an ExitError shows. */
#define GD_STDERR_TAIL 4096

/* The exit code was not 0. `err` is the end of stderr, any bytes. */
GD_MUST_CHECK char *gd_exception_exit(int exit_code, struct gd_span err);
/* A signal ended it. */
GD_MUST_CHECK char *gd_exception_signal(int signo, bool core, struct gd_span err);
/* It was running longer than `timeout_ms`. */
GD_MUST_CHECK char *gd_exception_timeout(int64_t timeout_ms);
/* `msg` as the cancel gave it; NULL: none. */
GD_MUST_CHECK char *gd_exception_cancelled(const char *msg);
/* The program could not be started: negated errno, and which step failed. */
GD_MUST_CHECK char *gd_exception_spawn(int rc, const char *stage, const char *what);
/* `reason` is a word such as "dns"; `status` 0: there was no answer. */
GD_MUST_CHECK char *gd_exception_fetch(const char *reason, const char *message, int status);
/* What became of it cannot be known; `reason` is "runner", "fetcher" or "reboot". */
GD_MUST_CHECK char *gd_exception_lost(const char *reason);
/* stdout was not the JSON that "result": "json" promises. */
GD_MUST_CHECK char *gd_exception_result(const char *what, uint64_t offset);
/* Several: `members` is a JSON array of exceptions. */
GD_MUST_CHECK char *gd_exception_group(const char *message, struct gd_span members);

#endif
