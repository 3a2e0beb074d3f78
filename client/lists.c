#include "base/limits.h"
#include "client/decode.h"
#include "client/error.h"
#include "client/path.h"

#include <stdlib.h>
#include <string.h>

struct walk {
    gather_task_fn *on_task; /* one of the two */
    gather_batch_fn *on_batch;
    void *arg;
    uint64_t left; /* entries that are wanted still; 0: all */
    size_t n;      /* entries of this page */
};

static enum gather_code give(struct walk *w, struct gd_span element, struct gather_error *err)
{
    struct gather_task task = {0};
    struct gather_batch batch = {0};
    bool more = false;
    enum gather_code code = w->on_task ? gather_decode_task(element, &task, err)
                                       : gather_decode_batch(element, &batch, err);
    if (code == GATHER_OK)
        more = w->on_task ? w->on_task(w->arg, &task) : w->on_batch(w->arg, &batch);
    gather_task_clear(&task);
    gather_batch_clear(&batch);
    return code != GATHER_OK ? code : more ? GATHER_OK : GATHER_E_STOPPED;
}

static enum gather_code on_element(void *arg, struct gd_span element, struct gather_error *err)
{
    struct walk *w = arg;
    enum gather_code code = give(w, element, err);
    w->n++;
    if (code == GATHER_OK && w->left > 0 && --w->left == 0)
        code = GATHER_E_STOPPED;
    return code;
}

static void query_filter(struct gather_call *call, const struct gather_filter *f)
{
    if (f->states)
        gather_call_query(call, "state", f->states);
    if (f->name)
        gather_call_query(call, "name", f->name);
    for (const char *const *label = f->labels; label && *label; label++)
        gather_call_query(call, "label", *label);
    if (f->batch)
        gather_call_query_int(call, "batch", (int64_t)f->batch);
    if (f->oldest_first)
        gather_call_query(call, "order", "asc");
    uint64_t page = f->limit > 0 && f->limit < GD_MAX_PAGE ? f->limit : GD_MAX_PAGE;
    gather_call_query_int(call, "limit", (int64_t)page);
}

/* Reads one page and sets up `call` for the next one. `*ret_end`: there is none. */
static enum gather_code read_page(struct gather_call *call, const char *member, struct walk *w,
                                  bool *ret_end, struct gather_error *err)
{
    char *next = NULL;
    w->n = 0;
    enum gather_code code = gather_call_run(call, GATHER_NEVER, err);
    if (code == GATHER_OK)
        code = gather_decode_page(gather_call_text(call), member, on_element, w, &next, err);
    struct gather_client *c = call->client;
    gather_call_done(call);
    gather_call_init(call, c, "GET", next ? next : "");
    *ret_end = !next || w->n == 0 || code != GATHER_OK;
    free(next);
    return code == GATHER_E_STOPPED ? GATHER_OK : code;
}

static enum gather_code walk_list(struct gather_client *c, const char *member,
                                  const struct gather_filter *filter, struct walk *w,
                                  struct gather_error *err)
{
    struct gather_call call;
    bool end = false;
    enum gather_code code = GATHER_OK;
    gather_call_init(&call, c, "GET", "/v1/");
    gd_buf_puts(&call.target, member);
    w->left = filter->limit;
    query_filter(&call, filter);
    while (code == GATHER_OK && !end)
        code = read_page(&call, member, w, &end, err);
    gather_call_done(&call);
    return code;
}

enum gather_code gather_list_tasks(struct gather_client *c, const struct gather_filter *filter,
                                   gather_task_fn *fn, void *arg, struct gather_error *err)
{
    struct walk w = {.on_task = fn, .arg = arg};
    return walk_list(c, "tasks", filter, &w, err);
}

enum gather_code gather_list_batches(struct gather_client *c, const struct gather_filter *filter,
                                     gather_batch_fn *fn, void *arg, struct gather_error *err)
{
    struct walk w = {.on_batch = fn, .arg = arg};
    return walk_list(c, "batches", filter, &w, err);
}

struct search {
    int64_t index;
    uint64_t first; /* the first task of the batch */
    uint64_t found;
};

static bool match_index(void *arg, const struct gather_task *task)
{
    struct search *s = arg;
    if (s->first == 0)
        s->first = task->id;
    if (task->index == s->index)
        s->found = task->id;
    return s->found == 0;
}

/* Ids of a batch that was submitted as one are mostly in a row: a good guess. */
static enum gather_code guess(struct gather_client *c, uint64_t batch, struct search *s,
                              struct gather_error *err)
{
    struct gather_task task = {0};
    struct gather_filter filter = {.batch = batch, .limit = 1, .oldest_first = true};
    enum gather_code code = gather_list_tasks(c, &filter, match_index, s, err);
    if (code != GATHER_OK || s->found || s->first == 0)
        return code;
    code = gather_task_get(c, s->first + (uint64_t)s->index, &task, err);
    if (code == GATHER_OK && task.batch == batch && task.index == s->index)
        s->found = task.id;
    gather_task_clear(&task);
    return code == GATHER_E_NOT_FOUND ? GATHER_OK : code;
}

enum gather_code gather_batch_task(struct gather_client *c, uint64_t batch, uint64_t index,
                                   uint64_t *ret_task, struct gather_error *err)
{
    struct search s = {.index = (int64_t)index};
    struct gather_batch snapshot = {0};
    enum gather_code code = gather_batch_get(c, batch, &snapshot, err);
    if (code == GATHER_OK && s.index >= snapshot.total)
        code = gather_fail(err, GATHER_E_NOT_FOUND, "batch %llu has no task %llu, it has %lld",
                           (unsigned long long)batch, (unsigned long long)index,
                           (long long)snapshot.total);
    gather_batch_clear(&snapshot);
    if (code == GATHER_OK)
        code = guess(c, batch, &s, err);
    struct gather_filter filter = {.batch = batch, .oldest_first = true};
    if (code == GATHER_OK && s.found == 0)
        code = gather_list_tasks(c, &filter, match_index, &s, err);
    if (code == GATHER_OK && s.found == 0)
        code = gather_fail(err, GATHER_E_NOT_FOUND, "task %llu of batch %llu is not known any more",
                           (unsigned long long)index, (unsigned long long)batch);
    if (code == GATHER_OK)
        *ret_task = s.found;
    return code;
}
