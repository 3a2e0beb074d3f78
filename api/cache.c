#include "api/cache.h"

#include "base/list.h"
#include "base/map.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct entry {
    struct gd_node node; /* by use, the latest last */
    uint64_t key;
    unsigned tag;
    struct MHD_Response *response;
    char etag[GD_ETAG_BYTES];
};

struct gd_cache {
    struct gd_map map;
    struct gd_node by_use;
};

/* Tasks and batches are numbered apart; one bit tells them apart here. */
static uint64_t task_key(uint64_t id)
{
    return id << 1;
}

static uint64_t batch_key(uint64_t id)
{
    return id << 1 | 1;
}

struct gd_cache *gd_cache_new(void)
{
    struct gd_cache *c = calloc(1, sizeof(*c));
    if (c)
        gd_list_init(&c->by_use);
    return c;
}

static void drop(struct gd_cache *c, struct entry *e)
{
    (void)gd_map_del(&c->map, e->key);
    gd_node_unlink(&e->node);
    MHD_destroy_response(e->response);
    free(e);
}

void gd_cache_free(struct gd_cache *c)
{
    if (!c)
        return;
    while (!gd_list_empty(&c->by_use))
        drop(c, GD_OWNER(c->by_use.next, struct entry, node));
    gd_map_free(&c->map);
    free(c);
}

static struct MHD_Response *get(struct gd_cache *c, uint64_t key, unsigned tag,
                                const char **ret_etag)
{
    struct entry *e = gd_map_get(&c->map, key);
    if (!e || e->tag != tag)
        return NULL;
    gd_node_unlink(&e->node);
    gd_list_push(&c->by_use, &e->node);
    *ret_etag = e->etag;
    return e->response;
}

static void drop_key(struct gd_cache *c, uint64_t key)
{
    struct entry *e = gd_map_get(&c->map, key);
    if (e)
        drop(c, e);
}

static bool put(struct gd_cache *c, uint64_t key, unsigned tag, struct MHD_Response *own,
                const char *etag)
{
    drop_key(c, key);
    struct entry *e = calloc(1, sizeof(*e));
    if (!e || gd_map_put(&c->map, key, e) < 0) {
        free(e);
        return false;
    }
    e->key = key;
    e->tag = tag;
    e->response = own;
    (void)snprintf(e->etag, sizeof(e->etag), "%s", etag);
    gd_list_push(&c->by_use, &e->node);
    if (c->map.n > GD_CACHE_ENTRIES)
        drop(c, GD_OWNER(c->by_use.next, struct entry, node));
    return true;
}

struct MHD_Response *gd_cache_task(struct gd_cache *c, uint64_t id, unsigned tag,
                                   const char **ret_etag)
{
    return get(c, task_key(id), tag, ret_etag);
}

struct MHD_Response *gd_cache_batch(struct gd_cache *c, uint64_t id, const char **ret_etag)
{
    return get(c, batch_key(id), 0, ret_etag);
}

bool gd_cache_put_task(struct gd_cache *c, uint64_t id, unsigned tag, struct MHD_Response *own,
                       const char *etag)
{
    return put(c, task_key(id), tag, own, etag);
}

bool gd_cache_put_batch(struct gd_cache *c, uint64_t id, struct MHD_Response *own, const char *etag)
{
    return put(c, batch_key(id), 0, own, etag);
}

void gd_cache_drop_task(struct gd_cache *c, uint64_t id)
{
    drop_key(c, task_key(id));
}

void gd_cache_drop_batch(struct gd_cache *c, uint64_t id)
{
    drop_key(c, batch_key(id));
}

void gd_etag_of(const char *body, size_t n, char ret[GD_ETAG_BYTES])
{
    uint64_t h = 14695981039346656037U; /* FNV-1a */
    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)body[i]) * 1099511628211U;
    (void)snprintf(ret, GD_ETAG_BYTES, "\"%016llx\"", (unsigned long long)h);
}
