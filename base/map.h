/* base/map.h — a hash map from 64-bit numbers to pointers.
 *
 * Open addressing with linear probing and backward-shift deletion: no
 * tombstones, so a long-lived map does not slow down. The pointers are borrowed.
 * All zero bytes is an empty map. Cost of 1,000,000 entries: 32 MB, at most half
 * full. Not for more than one thread.
 */
#ifndef GD_BASE_MAP_H
#define GD_BASE_MAP_H

#include "base/attr.h"

#include <stddef.h>
#include <stdint.h>

struct gd_map {
    struct gd_map_slot *slots; /* n_slots, a power of two */
    size_t n_slots;
    size_t n;
};

/* Frees the table, not what the pointers lead to. NULL is fine. */
void gd_map_free(struct gd_map *m);

/* The pointer under `key`, NULL if there is none. */
void *gd_map_get(const struct gd_map *m, uint64_t key);

/* Puts `value` (not NULL) under `key`, replacing what was there.
 * Errors: -ENOMEM (nothing changed). */
GD_MUST_CHECK int gd_map_put(struct gd_map *m, uint64_t key, void *value);

/* Makes room for `n` entries in all, so that putting them cannot fail (until some
 * are deleted). Errors: -ENOMEM. */
GD_MUST_CHECK int gd_map_reserve(struct gd_map *m, size_t n);

/* Removes `key` and returns its pointer; NULL if there was none. */
void *gd_map_del(struct gd_map *m, uint64_t key);

/* Walks all entries in no order: start with *pos = 0; NULL at the end. Nothing
 * may be put or deleted during the walk. */
void *gd_map_next(const struct gd_map *m, size_t *pos);

#endif
