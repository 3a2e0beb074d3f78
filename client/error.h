/* client/error.h — filling a struct gather_error; inside libgather only. */
#ifndef GATHER_ERROR_H
#define GATHER_ERROR_H

#include "base/attr.h"
#include "base/buf.h"
#include "client/gather.h"

/* Empties `err` (NULL is fine), fills code and title, and returns the code:
 * return gather_fail(err, GATHER_E_…, "…"). */
enum gather_code gather_fail(struct gather_error *err, enum gather_code code, const char *fmt, ...)
    GD_PRINTF(3, 4);

/* The same for want of memory. */
enum gather_code gather_fail_memory(struct gather_error *err);

/* The start of a text that may be anything, as one line; free() it. NULL: there is
 * nothing to show, or no memory. */
char *gather_snippet(struct gd_span text) GD_MUST_CHECK;

#endif
