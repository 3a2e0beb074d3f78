/* base/fault.h — everything that is wrong with a request, not only the first thing.
 *
 * A fault is a JSON pointer (RFC 6901) into the body and a sentence. Faults
 * beyond GD_MAX_FAULTS are counted, not kept.
 */
#ifndef GD_BASE_FAULT_H
#define GD_BASE_FAULT_H

#include "base/attr.h"
#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>

struct gd_fault {
    char *pointer; /* "/jobs/3/timeout" */
    char *detail;
};

struct gd_faults {
    struct gd_fault *items;
    size_t n;       /* kept */
    size_t n_all;   /* found */
    bool no_memory; /* some could not be found or kept for want of memory */
};

/* Frees all; NULL is fine. */
void gd_faults_free(struct gd_faults *f);

/* Adds one. `pointer` is where, e.g. "/jobs/3"; `member`, if not NULL, is added to
 * it after '/' with RFC 6901's escapes. */
void gd_faults_add(struct gd_faults *f, const char *pointer, const char *member, const char *fmt,
                   ...) GD_PRINTF(4, 5);

/* Appends `member` to the pointer in `to`: '/', then the name with ~ as ~0 and
 * '/' as ~1. */
void gd_pointer_put(struct gd_buf *to, const char *member);

#endif
