#include "base/map.h"

#include <errno.h>
#include <stdlib.h>

#define FIRST_SLOTS 16U

struct gd_map_slot {
    uint64_t key;
    void *value; /* NULL: free */
};

/* The finishing step of SplitMix64: consecutive ids land far apart. */
static size_t hash(uint64_t key)
{
    key ^= key >> 30;
    key *= 0xbf58476d1ce4e5b9U;
    key ^= key >> 27;
    key *= 0x94d049bb133111ebU;
    return key ^ (key >> 31);
}

static size_t find(const struct gd_map *m, uint64_t key)
{
    size_t at = hash(key) & (m->n_slots - 1);
    while (m->slots[at].value && m->slots[at].key != key)
        at = (at + 1) & (m->n_slots - 1);
    return at;
}

void gd_map_free(struct gd_map *m)
{
    if (!m)
        return;
    free(m->slots);
    *m = (struct gd_map){0};
}

void *gd_map_get(const struct gd_map *m, uint64_t key)
{
    return m->n ? m->slots[find(m, key)].value : NULL;
}

static int resize(struct gd_map *m, size_t n_slots)
{
    struct gd_map other = {.slots = calloc(n_slots, sizeof(*other.slots)), .n_slots = n_slots};
    if (!other.slots)
        return -ENOMEM;
    for (size_t i = 0; i < m->n_slots; i++)
        if (m->slots[i].value)
            other.slots[find(&other, m->slots[i].key)] = m->slots[i];
    other.n = m->n;
    free(m->slots);
    *m = other;
    return 0;
}

int gd_map_reserve(struct gd_map *m, size_t n)
{
    size_t n_slots = m->n_slots ? m->n_slots : FIRST_SLOTS;
    while (n * 2 >= n_slots)
        n_slots *= 2;
    return n_slots > m->n_slots ? resize(m, n_slots) : 0;
}

int gd_map_put(struct gd_map *m, uint64_t key, void *value)
{
    if (m->n * 2 >= m->n_slots) {
        int rc = resize(m, m->n_slots ? m->n_slots * 2 : FIRST_SLOTS);
        if (rc < 0)
            return rc;
    }
    size_t at = find(m, key);
    m->n += !m->slots[at].value;
    m->slots[at] = (struct gd_map_slot){.key = key, .value = value};
    return 0;
}

void *gd_map_del(struct gd_map *m, uint64_t key)
{
    if (m->n == 0)
        return NULL;
    size_t mask = m->n_slots - 1;
    size_t hole = find(m, key);
    void *value = m->slots[hole].value;
    if (!value)
        return NULL;
    /* Shift back every follower that the hole would cut off from its place. */
    for (size_t at = (hole + 1) & mask; m->slots[at].value; at = (at + 1) & mask) {
        size_t home = hash(m->slots[at].key) & mask;
        if (((at - home) & mask) >= ((at - hole) & mask)) {
            m->slots[hole] = m->slots[at];
            hole = at;
        }
    }
    m->slots[hole].value = NULL;
    m->n--;
    /* Give memory back after a crowd has left; failing to is no fault. */
    if (m->n_slots > FIRST_SLOTS && m->n < m->n_slots / 16)
        (void)resize(m, m->n_slots / 4);
    return value;
}

void *gd_map_next(const struct gd_map *m, size_t *pos)
{
    while (*pos < m->n_slots) {
        void *value = m->slots[(*pos)++].value;
        if (value)
            return value;
    }
    return NULL;
}
