#include "base/heap.h"

#include <errno.h>
#include <stdlib.h>

#define FIRST_CAP 64U

static void set(struct gd_heap *h, uint32_t at, struct gd_heap_node *node)
{
    h->nodes[at] = node;
    node->pos = at + 1;
}

static void sift_up(struct gd_heap *h, uint32_t at, struct gd_heap_node *node)
{
    while (at > 0) {
        uint32_t parent = (at - 1) / 2;
        if (h->nodes[parent]->key <= node->key)
            break;
        set(h, at, h->nodes[parent]);
        at = parent;
    }
    set(h, at, node);
}

static void sift_down(struct gd_heap *h, uint32_t at, struct gd_heap_node *node)
{
    for (;;) {
        uint32_t child = at * 2 + 1;
        if (child >= h->n)
            break;
        if (child + 1 < h->n && h->nodes[child + 1]->key < h->nodes[child]->key)
            child++;
        if (node->key <= h->nodes[child]->key)
            break;
        set(h, at, h->nodes[child]);
        at = child;
    }
    set(h, at, node);
}

void gd_heap_free(struct gd_heap *h)
{
    if (!h)
        return;
    free(h->nodes);
    *h = (struct gd_heap){0};
}

/* Gives memory back after a crowd has left; failing to is no fault. */
static void shrink(struct gd_heap *h)
{
    struct gd_heap_node **nodes = realloc(h->nodes, (h->cap / 4) * sizeof(struct gd_heap_node *));
    if (!nodes)
        return;
    h->nodes = nodes;
    h->cap /= 4;
}

int gd_heap_add(struct gd_heap *h, struct gd_heap_node *node, int64_t key)
{
    if (h->n == h->cap) {
        uint32_t cap = h->cap ? h->cap * 2 : FIRST_CAP;
        struct gd_heap_node **nodes = realloc(h->nodes, cap * sizeof(struct gd_heap_node *));
        if (!nodes)
            return -ENOMEM;
        h->nodes = nodes;
        h->cap = cap;
    }
    node->key = key;
    h->n++;
    sift_up(h, h->n - 1, node);
    return 0;
}

void gd_heap_del(struct gd_heap *h, struct gd_heap_node *node)
{
    if (node->pos == 0)
        return;
    uint32_t at = node->pos - 1;
    node->pos = 0;
    struct gd_heap_node *last = h->nodes[--h->n];
    if (h->cap > FIRST_CAP && h->n < h->cap / 8)
        shrink(h);
    if (last == node)
        return;
    if (at > 0 && h->nodes[(at - 1) / 2]->key > last->key)
        sift_up(h, at, last);
    else
        sift_down(h, at, last);
}
