/* Invariants
 *  1. A lane that has tasks is in its level's ring, or, if it came to the front while
 *     its batch was full, in lanes->parked; a lane without tasks is in neither.
 *  2. used[] has a bit set exactly for the levels whose ring is not empty.
 *  3. A task is `counted` exactly while it is in n_running of its class, of its
 *     batch and of its host.
 */
#include "daemon/core/schedule.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

struct host_limit {
    size_t n_tasks; /* that wait or run; 0: it goes */
    size_t n_running;
    struct gd_node line; /* tasks that wait for it */
};

enum gd_class gd_class_of(enum gd_kind kind)
{
    switch (kind) {
    case GD_KIND_RUN:
    case GD_KIND_SHELL:
        return GD_CLASS_COMMAND;
    case GD_KIND_FETCH:
        return GD_CLASS_FETCH;
    case GD_KIND_SLEEP:
    case GD_KIND_NONE:
    case GD_N_KINDS:
        break;
    }
    return GD_CLASS_TIMER;
}

/* --- rings */

static unsigned level_of(const struct gd_lane *lane)
{
    return (unsigned)(GD_MAX_PRIORITY - lane->priority);
}

static void ring_add(struct gd_schedule *s, struct gd_lane *lane, bool at_front)
{
    unsigned level = level_of(lane);
    struct gd_node *ring = &s->classes[lane->class].levels[level].ring;
    if (at_front)
        gd_list_unshift(ring, &lane->ring);
    else
        gd_list_push(ring, &lane->ring);
    s->classes[lane->class].used[level / 64] |= 1ULL << level % 64;
}

static void ring_remove(struct gd_schedule *s, struct gd_lane *lane)
{
    unsigned level = level_of(lane);
    gd_node_unlink(&lane->ring);
    if (gd_list_empty(&s->classes[lane->class].levels[level].ring))
        s->classes[lane->class].used[level / 64] &= ~(1ULL << level % 64);
}

static struct gd_lane *first_lane(struct gd_schedule *s, enum gd_class class)
{
    for (unsigned i = 0; i < sizeof(s->classes[class].used) / sizeof(uint64_t); i++) {
        uint64_t bits = s->classes[class].used[i];
        if (bits) {
            unsigned level = i * 64 + (unsigned)__builtin_ctzll(bits);
            struct gd_node *ring = &s->classes[class].levels[level].ring;
            return GD_OWNER(ring->next, struct gd_lane, ring);
        }
    }
    return NULL;
}

/* --- lanes */

void gd_lanes_init(struct gd_lanes *lanes, size_t concurrency)
{
    *lanes = (struct gd_lanes){.concurrency = concurrency};
    gd_list_init(&lanes->parked);
}

void gd_lanes_done(struct gd_lanes *lanes)
{
    size_t pos = 0;
    for (struct gd_lane *lane; (lane = gd_map_next(&lanes->by_key, &pos));)
        free(lane);
    gd_map_free(&lanes->by_key);
    lanes->last = NULL;
}

static bool is_full(const struct gd_lanes *lanes)
{
    size_t ahead = lanes->ahead ? *lanes->ahead : 0;
    return lanes->closed || (lanes->concurrency && lanes->n_running >= lanes->concurrency + ahead);
}

static struct gd_lane *find_lane(struct gd_lanes *lanes, const struct gd_task *t)
{
    enum gd_class class = gd_class_of((enum gd_kind)t->kind);
    uint64_t key = (uint64_t) class << 32 | (uint32_t)(t->priority + GD_MAX_PRIORITY);
    if (lanes->last && lanes->last->key == key)
        return lanes->last;
    struct gd_lane *lane = gd_map_get(&lanes->by_key, key);
    if (!lane) {
        lane = calloc(1, sizeof(*lane));
        if (!lane || gd_map_put(&lanes->by_key, key, lane) < 0) {
            free(lane);
            return NULL;
        }
        gd_list_init(&lane->tasks);
        lane->lanes = lanes;
        lane->key = key;
        lane->priority = t->priority;
        lane->class = (uint8_t) class;
    }
    lanes->last = lane;
    return lane;
}

static void lane_add(struct gd_schedule *s, struct gd_lane *lane, struct gd_task *t, bool at_front)
{
    t->lane = lane;
    t->at_limit = false;
    if (at_front)
        gd_list_unshift(&lane->tasks, &t->queue);
    else
        gd_list_push(&lane->tasks, &t->queue);
    if (!gd_node_linked(&lane->ring))
        ring_add(s, lane, at_front);
}

static void lane_remove(struct gd_schedule *s, struct gd_lane *lane, struct gd_task *t)
{
    gd_node_unlink(&t->queue);
    if (gd_list_empty(&lane->tasks))
        ring_remove(s, lane);
}

/* The batch is full: a lane of it that has come to the front waits aside. */
static void park(struct gd_schedule *s, struct gd_lane *lane)
{
    ring_remove(s, lane);
    gd_list_push(&lane->lanes->parked, &lane->ring);
}

static void unpark(struct gd_schedule *s, struct gd_lanes *lanes)
{
    struct gd_node *node;
    while (!is_full(lanes) && (node = gd_list_shift(&lanes->parked)))
        ring_add(s, GD_OWNER(node, struct gd_lane, ring), false);
}

/* --- hosts */

static struct host_limit *find_host(struct gd_schedule *s, uint32_t hash)
{
    struct host_limit *h = gd_map_get(&s->hosts, hash);
    if (h)
        return h;
    h = calloc(1, sizeof(*h));
    if (!h || gd_map_put(&s->hosts, hash, h) < 0) {
        free(h);
        return NULL;
    }
    gd_list_init(&h->line);
    return h;
}

/* One task less that names the host of `t`. */
static void drop_host(struct gd_schedule *s, const struct gd_task *t)
{
    struct host_limit *h = t->host ? gd_map_get(&s->hosts, t->host) : NULL;
    if (h && --h->n_tasks == 0)
        free(gd_map_del(&s->hosts, t->host));
}

/* Gives a place at the host; false: it is full, and the task waits in its line. */
static bool enter_host(struct gd_schedule *s, struct gd_task *t)
{
    if (!t->host)
        return true;
    struct host_limit *h = gd_map_get(&s->hosts, t->host); /* made by gd_schedule_add() */
    if (h->n_running < s->per_host) {
        h->n_running++;
        return true;
    }
    t->at_limit = true;
    if (t->was_called) /* somebody else was quicker; it keeps its place in the line */
        gd_list_unshift(&h->line, &t->queue);
    else
        gd_list_push(&h->line, &t->queue);
    return false;
}

/* The host may have a place: who has waited longest goes to the front of its lane, and
 * that lane to the front of its ring, so that nobody is quicker who came later. */
static void call_next(struct gd_schedule *s, struct host_limit *h)
{
    struct gd_node *node = h->n_running < s->per_host ? gd_list_shift(&h->line) : NULL;
    if (!node)
        return;
    struct gd_task *t = GD_OWNER(node, struct gd_task, queue);
    bool in_ring = gd_node_linked(&t->lane->ring) && !is_full(t->lane->lanes);
    t->was_called = true;
    if (in_ring)
        ring_remove(s, t->lane);
    lane_add(s, t->lane, t, true);
}

static void leave_host(struct gd_schedule *s, struct gd_task *t)
{
    if (!t->host)
        return;
    struct host_limit *h = gd_map_get(&s->hosts, t->host);
    h->n_running--;
    call_next(s, h);
}

/* --- all */

int gd_schedule_init(struct gd_schedule *s, size_t command_slots, size_t fetch_slots,
                     size_t per_host)
{
    *s = (struct gd_schedule){.per_host = per_host};
    gd_lanes_init(&s->singles, 0);
    s->classes[GD_CLASS_TIMER].slots = SIZE_MAX;
    s->classes[GD_CLASS_COMMAND].slots = command_slots;
    s->classes[GD_CLASS_FETCH].slots = fetch_slots;
    for (unsigned c = 0; c < GD_N_CLASSES; c++) {
        s->classes[c].levels = calloc(GD_N_LEVELS, sizeof(struct gd_level));
        if (!s->classes[c].levels) {
            gd_schedule_done(s);
            return -ENOMEM;
        }
        for (unsigned i = 0; i < GD_N_LEVELS; i++)
            gd_list_init(&s->classes[c].levels[i].ring);
    }
    return 0;
}

void gd_schedule_done(struct gd_schedule *s)
{
    for (unsigned c = 0; c < GD_N_CLASSES; c++) {
        free(s->classes[c].levels);
        s->classes[c].levels = NULL;
    }
    gd_lanes_done(&s->singles);
    size_t pos = 0;
    for (struct host_limit *h; (h = gd_map_next(&s->hosts, &pos));)
        free(h);
    gd_map_free(&s->hosts);
}

int gd_schedule_add(struct gd_schedule *s, struct gd_task *t, struct gd_lanes *lanes)
{
    assert(t->phase == GD_TASK_QUEUED && !gd_node_linked(&t->queue) && !t->counted);
    struct gd_lane *lane = find_lane(lanes ? lanes : &s->singles, t);
    struct host_limit *h = lane && t->host ? find_host(s, t->host) : NULL;
    if (!lane || (t->host && !h))
        return -ENOMEM;
    if (h)
        h->n_tasks++;
    t->was_called = false;
    lane_add(s, lane, t, false);
    s->n_waiting++;
    return 0;
}

void gd_schedule_remove(struct gd_schedule *s, struct gd_task *t)
{
    if (t->at_limit)
        gd_node_unlink(&t->queue);
    else
        lane_remove(s, t->lane, t);
    if (t->was_called && !t->at_limit) /* its turn was not used */
        call_next(s, gd_map_get(&s->hosts, t->host));
    t->at_limit = false;
    t->lane = NULL;
    s->n_waiting--;
    drop_host(s, t);
}

struct gd_task *gd_schedule_next(struct gd_schedule *s, enum gd_class class, unsigned *budget)
{
    struct gd_lane *lane;
    while (*budget > 0 && s->classes[class].n_running < s->classes[class].slots &&
           (lane = first_lane(s, class))) {
        --*budget;
        if (is_full(lane->lanes)) {
            park(s, lane);
            continue;
        }
        struct gd_task *t = GD_OWNER(lane->tasks.next, struct gd_task, queue);
        lane_remove(s, lane, t);
        if (gd_node_linked(&lane->ring)) { /* next time it is another lane's turn */
            ring_remove(s, lane);
            ring_add(s, lane, false);
        }
        if (!enter_host(s, t))
            continue;
        t->lane = NULL;
        t->counted = true;
        s->n_waiting--;
        s->classes[class].n_running++;
        lane->lanes->n_running++;
        return t;
    }
    return NULL;
}

void gd_schedule_release(struct gd_schedule *s, struct gd_task *t, struct gd_lanes *lanes)
{
    if (!t->counted)
        return;
    if (!lanes)
        lanes = &s->singles;
    t->counted = false;
    s->classes[gd_class_of((enum gd_kind)t->kind)].n_running--;
    lanes->n_running--;
    unpark(s, lanes);
    leave_host(s, t);
    drop_host(s, t);
}

int gd_schedule_count(struct gd_schedule *s, struct gd_task *t, struct gd_lanes *lanes)
{
    if (t->host) {
        struct host_limit *h = find_host(s, t->host);
        if (!h)
            return -ENOMEM;
        h->n_tasks++;
        h->n_running++;
    }
    if (!lanes)
        lanes = &s->singles;
    t->counted = true;
    s->classes[gd_class_of((enum gd_kind)t->kind)].n_running++;
    lanes->n_running++;
    return 0;
}

bool gd_schedule_at_limit(const struct gd_task *t)
{
    return t->at_limit || (t->lane && is_full(t->lane->lanes));
}
