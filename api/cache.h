/* api/cache.h — answers to polls, kept until what they show changes.
 *
 * Pollers ask for the same snapshot again and again; the answer is one refcounted
 * response until the task or batch changes. The least recently used go first.
 */
#ifndef GD_API_CACHE_H
#define GD_API_CACHE_H

#include "base/attr.h"

#include <microhttpd.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Entries, and the largest body that is worth one. */
#define GD_CACHE_ENTRIES 1024
#define GD_CACHE_BODY    4096

#define GD_ETAG_BYTES 24

struct gd_cache;

struct gd_cache *gd_cache_new(void) GD_MUST_CHECK;
void gd_cache_free(struct gd_cache *c);

/* The response for a task or batch, borrowed, and its ETag; NULL: not there. `tag` is for
 * what a task's answer shows beyond what belongs to it: another one than when it was put
 * means that it is not there. */
struct MHD_Response *gd_cache_task(struct gd_cache *c, uint64_t id, unsigned tag,
                                   const char **ret_etag);
struct MHD_Response *gd_cache_batch(struct gd_cache *c, uint64_t id, const char **ret_etag);

/* Keeps a response: true, and the caller's reference is the cache's; until the next call
 * into the cache it may still be used. False: no memory, and nothing happened. */
GD_MUST_CHECK bool gd_cache_put_task(struct gd_cache *c, uint64_t id, unsigned tag,
                                     struct MHD_Response *own, const char *etag);
GD_MUST_CHECK bool gd_cache_put_batch(struct gd_cache *c, uint64_t id, struct MHD_Response *own,
                                      const char *etag);

void gd_cache_drop_task(struct gd_cache *c, uint64_t id);
void gd_cache_drop_batch(struct gd_cache *c, uint64_t id);

/* The entity tag of a body: its hash in quotes. */
void gd_etag_of(const char *body, size_t n, char ret[GD_ETAG_BYTES]);

#endif
