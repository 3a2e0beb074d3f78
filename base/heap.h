/* base/heap.h — an intrusive binary heap, smallest key first.
 *
 * Equal keys come out in no particular order. The owner embeds a gd_heap_node;
 * `pos` is 0 while it is in no heap. All zero bytes is an empty heap.
 */
#ifndef GD_BASE_HEAP_H
#define GD_BASE_HEAP_H

#include "base/attr.h"

#include <stddef.h>
#include <stdint.h>

struct gd_heap_node {
    int64_t key;
    uint32_t pos; /* 1-based place in the heap; 0: in none */
};

struct gd_heap {
    struct gd_heap_node **nodes;
    uint32_t n;
    uint32_t cap;
};

/* Frees the array; the nodes are their owners'. NULL is fine. */
void gd_heap_free(struct gd_heap *h);

/* Adds `node` (in no heap) under `key`. Errors: -ENOMEM. */
GD_MUST_CHECK int gd_heap_add(struct gd_heap *h, struct gd_heap_node *node, int64_t key);

/* Takes `node` out; in no heap is fine. */
void gd_heap_del(struct gd_heap *h, struct gd_heap_node *node);

/* The node with the smallest key, NULL if empty. */
static inline struct gd_heap_node *gd_heap_min(const struct gd_heap *h)
{
    return h->n ? h->nodes[0] : NULL;
}

#endif
