/* daemon/fetcher/part.h — the file that a body is written to until it is complete.
 *
 * It lies beside its target: `<to>.gatherd-<task>.part`, or, when it may be resumed,
 * `<to>.part`, so that a later attempt or another task finds it. Only a complete
 * file ever has the target's name.
 *
 *   new --open--> [opening] --> open --publish--> [publishing] --> published
 *                     \          ^  \                 |
 *                      \---------|---\----discard-----+--> [discarding] --> gone
 *
 * What is in brackets happens in the thread pool and ends with a call of `fn`;
 * meanwhile nothing but gd_part_stop() and gd_part_free() may be called. Writing is
 * done by the caller's thread: it goes to the page cache.
 *
 * A stop and the rename that publishes decide between themselves who is first: after
 * a stop that took effect nothing is renamed any more.
 */
#ifndef GD_DAEMON_FETCHER_PART_H
#define GD_DAEMON_FETCHER_PART_H

#include "base/attr.h"
#include "daemon/fetcher/digest.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct gd_part;

struct gd_part_plan {
    const char *to; /* absolute */
    const char *url;
    uint64_t task;
    uint64_t max_bytes; /* a longer part cannot be gone on with */
    bool resume;
    bool has_digest; /* the whole will be checked: no validator is needed to resume */
};

/* `rc`: 0; -errno; -ECANCELED: stopped. gd_part_step() says what failed. */
typedef void gd_part_fn(struct gd_part *p, int rc, void *arg);

/* Frees it; what runs in the pool is waited for by the loop, not here, and without a
 * further call of `fn`. A file that nobody could resume is removed. NULL is fine. */
void gd_part_free(struct gd_part *p);

/* Copies the plan. NULL: out of memory. */
struct gd_part *gd_part_new(uv_loop_t *uv, const struct gd_part_plan *plan, gd_part_fn *fn,
                            void *arg) GD_MUST_CHECK;

/* Opens the file, locks it against other fetches, and reads through what is there
 * already. Errors: -EISDIR the target is a directory; -EBUSY another fetch writes to
 * the same part; others of open(2). */
void gd_part_open(struct gd_part *p);

/* How many bytes there are to go on with, what they are checked by (NULL: nothing),
 * and the digest over them. */
uint64_t gd_part_size(const struct gd_part *p);
const char *gd_part_validator(const struct gd_part *p);
struct gd_digest *gd_part_digest(struct gd_part *p);

/* Throws away what is there and its validator; the digest begins anew. */
GD_MUST_CHECK int gd_part_restart(struct gd_part *p);

/* Notes what a later attempt may resume by; before the first byte. NULL: nothing. */
void gd_part_remember(struct gd_part *p, const char *validator);

/* Appends, and adds to the digest. Errors: -errno of write(2). */
GD_MUST_CHECK int gd_part_write(struct gd_part *p, const char *bytes, size_t n);

/* fsync, rename, fsync of the directory. On failure the part is there still. */
void gd_part_publish(struct gd_part *p);

/* Closes the file; removes it, unless it may be resumed, has bytes and `keep`. */
void gd_part_discard(struct gd_part *p, bool keep);

/* Asks what runs in the pool to end. True: it took effect, -ECANCELED will follow;
 * false: nothing runs, or it is too late. */
bool gd_part_stop(struct gd_part *p);

/* What the last failure was about: "cannot rename \"/dir/name\"". Valid as long as `p`. */
const char *gd_part_step(struct gd_part *p);

#endif
