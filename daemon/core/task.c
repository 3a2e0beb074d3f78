#include "daemon/core/task.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define GD_PTO(id) (1U << GD_TASK_##id)

bool gd_task_phase_may_go(enum gd_task_phase from, enum gd_task_phase to)
{
    static const unsigned next[GD_TASK_N_PHASES] = {
#define X(id, to_set) [GD_TASK_##id] = (to_set),
        GD_PHASES(X)
#undef X
    };
    return (next[from] & 1U << to) != 0;
}

/* --- blocks */

static void task_init(struct gd_task *t, const struct gd_job *job, struct gd_batch *batch)
{
    gd_future_init(&t->future);
    t->batch = batch;
    t->sleep_ms = job->sleep_ms;
    t->timeout_ms = job->timeout_ms;
    t->host = job->host;
    t->priority = job->priority;
    t->attempt = 1;
    t->kind = job->kind;
    t->phase = GD_TASK_QUEUED;
    t->rerun_if_lost = job->rerun_if_lost;
}

struct gd_block *gd_blocks_new(const struct gd_job *jobs, size_t n, struct gd_batch *batch,
                               size_t first_index)
{
    struct gd_block *chain = NULL;
    struct gd_block **end = &chain;
    for (size_t done = 0; done < n;) {
        size_t some = n - done < GD_BLOCK_TASKS ? n - done : GD_BLOCK_TASKS;
        struct gd_block *b = calloc(1, sizeof(*b) + some * sizeof(b->tasks[0]));
        if (!b) {
            gd_blocks_free(chain);
            return NULL;
        }
        b->n = b->n_live = (uint16_t)some;
        for (size_t i = 0; i < some; i++) {
            struct gd_task *t = &b->tasks[i];
            task_init(t, &jobs[done + i], batch);
            t->slot = (uint8_t)i;
            t->index = (uint32_t)(first_index + done + i);
        }
        *end = b;
        end = &b->next;
        done += some;
    }
    return chain;
}

void gd_blocks_free(struct gd_block *chain)
{
    while (chain) {
        struct gd_block *next = chain->next;
        free(chain);
        chain = next;
    }
}

/* --- the table */

void gd_task_table_free(struct gd_task_table *tt)
{
    for (size_t i = 0; i < tt->n; i++) {
        struct gd_block *b = tt->blocks[i];
        for (uint16_t k = 0; b && k < b->n; k++)
            if (b->tasks[k].extra) {
                free(b->tasks[k].extra->cancel_msg);
                free(b->tasks[k].extra);
            }
        free(b);
    }
    free(tt->blocks);
    free(tt->firsts);
    *tt = (struct gd_task_table){0};
}

/* Closes the gaps that gone blocks have left. */
static void compact(struct gd_task_table *tt)
{
    size_t to = 0;
    for (size_t from = 0; from < tt->n; from++)
        if (tt->blocks[from]) {
            tt->blocks[to] = tt->blocks[from];
            tt->firsts[to++] = tt->firsts[from];
        }
    tt->n = to;
    tt->n_gone = 0;
}

static int set_cap(struct gd_task_table *tt, size_t cap)
{
    struct gd_block **blocks = realloc(tt->blocks, cap * sizeof(struct gd_block *));
    if (blocks)
        tt->blocks = blocks;
    uint64_t *firsts = realloc(tt->firsts, cap * sizeof(*firsts));
    if (firsts)
        tt->firsts = firsts;
    bool failed = !blocks || !firsts;
    if (!failed || cap < tt->cap) /* one of the two may have shrunk */
        tt->cap = cap;
    return failed ? -ENOMEM : 0;
}

int gd_task_table_reserve(struct gd_task_table *tt, size_t n)
{
    size_t need = tt->n + tt->n_reserved + n;
    size_t cap = tt->cap ? tt->cap : 64;
    while (cap < need)
        cap *= 2;
    int rc = cap > tt->cap ? set_cap(tt, cap) : 0;
    if (rc == 0)
        tt->n_reserved += n;
    return rc;
}

void gd_task_table_unreserve(struct gd_task_table *tt, size_t n)
{
    tt->n_reserved -= n;
}

void gd_task_table_add(struct gd_task_table *tt, struct gd_block *b)
{
    assert(tt->n_reserved > 0 && tt->n < tt->cap);
    tt->n_reserved--;
    size_t at = tt->n++;
    for (; at > 0 && tt->firsts[at - 1] > b->first; at--) {
        tt->firsts[at] = tt->firsts[at - 1];
        tt->blocks[at] = tt->blocks[at - 1];
    }
    tt->blocks[at] = b;
    tt->firsts[at] = b->first;
    tt->n_tasks += b->n_live;
}

/* Place of the last block whose first id is at most `id`; SIZE_MAX: none. */
static size_t place(const struct gd_task_table *tt, uint64_t id)
{
    size_t low = 0;
    size_t high = tt->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (tt->firsts[mid] <= id)
            low = mid + 1;
        else
            high = mid;
    }
    return low - 1; /* SIZE_MAX if low is 0 */
}

/* A task that was removed keeps its place in the block, marked by its kind. */
static bool is_there(const struct gd_task *t)
{
    return t->kind != GD_KIND_NONE;
}

struct gd_task *gd_task_find(const struct gd_task_table *tt, uint64_t id)
{
    size_t at = place(tt, id);
    struct gd_block *b = at == SIZE_MAX ? NULL : tt->blocks[at];
    if (!b || id - b->first >= b->n)
        return NULL;
    struct gd_task *t = &b->tasks[id - b->first];
    return is_there(t) ? t : NULL;
}

struct gd_task *gd_task_from(const struct gd_task_table *tt, uint64_t id)
{
    size_t at = place(tt, id);
    for (at = at == SIZE_MAX ? 0 : at; at < tt->n; at++) {
        struct gd_block *b = tt->blocks[at];
        if (!b)
            continue;
        for (uint64_t i = id > b->first ? id - b->first : 0; i < b->n; i++)
            if (is_there(&b->tasks[i]))
                return &b->tasks[i];
    }
    return NULL;
}

struct gd_task *gd_task_up_to(const struct gd_task_table *tt, uint64_t id)
{
    for (size_t at = place(tt, id); at != SIZE_MAX; at--) {
        struct gd_block *b = tt->blocks[at];
        if (!b)
            continue;
        uint64_t i = id - b->first < b->n ? id - b->first + 1 : b->n;
        while (i-- > 0)
            if (is_there(&b->tasks[i]))
                return &b->tasks[i];
    }
    return NULL;
}

void gd_task_remove(struct gd_task_table *tt, struct gd_task *t)
{
    struct gd_block *b = gd_task_block(t);
    if (t->extra) {
        free(t->extra->cancel_msg);
        free(t->extra);
        t->extra = NULL;
    }
    t->kind = GD_KIND_NONE;
    tt->n_tasks--;
    if (--b->n_live > 0)
        return;
    tt->blocks[place(tt, b->first)] = NULL;
    free(b);
    if (++tt->n_gone <= tt->n / 2)
        return;
    compact(tt);
    if (tt->cap > 64 && tt->n + tt->n_reserved < tt->cap / 8)
        (void)!set_cap(tt, tt->cap / 4); /* keeping too much is no fault */
}

struct gd_task_extra *gd_task_extra(struct gd_task *t)
{
    if (t->extra)
        return t->extra;
    t->extra = calloc(1, sizeof(*t->extra));
    if (t->extra) {
        gd_list_init(&t->extra->spills);
        t->extra->cancel_grace_ms = -1;
        t->extra->bytes = t->extra->total = -1;
    }
    return t->extra;
}

enum gd_state gd_task_state(const struct gd_task *t)
{
    if (gd_future_done(&t->future))
        return (enum gd_state)t->future.state;
    bool started = t->phase == GD_TASK_RUNNING || (t->phase == GD_TASK_SETTLING && t->started_ms);
    return started ? GD_RUNNING : GD_PENDING;
}
