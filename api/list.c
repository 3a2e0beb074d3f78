/* GET /v1/tasks and /v1/batches: lists with filters and a cursor. */
#include "api/encode.h"
#include "api/routes.h"
#include "base/json_out.h"
#include "base/json_scan.h"
#include "base/limits.h"
#include "base/parse.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_LIMIT 50
/* Rows looked at for one page: a filter that hardly anything passes gives short pages,
 * with a `next`, instead of a long stop. */
#define ROWS_A_PAGE 5000

#define STATE(s)   (1U << GD_##s)
#define UNFINISHED (STATE(PENDING) | STATE(RUNNING))
#define ENDED      (STATE(SUCCEEDED) | STATE(FAILED) | STATE(CANCELLED))
#define ANY        (UNFINISHED | ENDED)

struct list {
    struct gd_http *h;
    struct gd_core *core;
    struct gd_query q;
    char *label; /* owns key and value of the first label */
    uint64_t batch;
    unsigned states;
    uint64_t limit;
    struct gd_page page;
    uint64_t n;      /* entries in it */
    uint64_t n_rows; /* looked at */
    uint64_t last;   /* id of the last row that was looked at */
    bool more;
};

static bool bad(struct gd_http *h, const char *what)
{
    gd_http_fail(h, GD_PROBLEM_BAD_REQUEST, "%s", what);
    return false;
}

/* "failed,cancelled"; also "unfinished" and "done". */
static bool read_states(struct list *l)
{
    const char *text = gd_params_get(&l->h->params, "state");
    l->states = text ? 0 : ANY;
    while (text && *text) {
        char word[16];
        enum gd_state s;
        size_t n = strcspn(text, ",");
        (void)snprintf(word, sizeof(word), "%.*s", (int)(n < 15 ? n : 15), text);
        text += n + (text[n] == ',');
        if (strcmp(word, "unfinished") == 0)
            l->states |= UNFINISHED;
        else if (strcmp(word, "done") == 0)
            l->states |= ENDED;
        else if (gd_state_parse(word, &s))
            l->states |= 1U << s;
        else
            return bad(l->h, "state must be of pending, running, succeeded, failed, cancelled, "
                             "unfinished, done, separated by commas");
    }
    return l->states != 0 || bad(l->h, "state must not be empty");
}

static bool read_label(struct list *l)
{
    const char *text = gd_params_get(&l->h->params, "label");
    if (!text)
        return true;
    l->label = strdup(text);
    char *equals = l->label ? strchr(l->label, '=') : NULL;
    if (!equals)
        return bad(l->h, "label must be key=value");
    *equals = '\0';
    l->q.label_key = l->label;
    l->q.label_value = equals + 1;
    return true;
}

static bool read_order(struct list *l)
{
    const char *order = gd_params_get(&l->h->params, "order");
    l->q.ascending = order && strcmp(order, "asc") == 0;
    return !order || l->q.ascending || strcmp(order, "desc") == 0 ||
           bad(l->h, "order must be asc or desc");
}

static bool read_filters(struct list *l)
{
    struct gd_err err;
    const struct gd_params *p = &l->h->params;
    l->limit = DEFAULT_LIMIT;
    l->q.final_state = -1;
    l->q.name = gd_params_get(p, "name");
    if (gd_params_u64(p, "limit", GD_MAX_PAGE, &l->limit, &err) < 0 || l->limit == 0)
        return bad(l->h, "limit must be a number between 1 and 1000");
    if (gd_params_u64(p, "after", INT64_MAX, &l->q.after, &err) < 0 ||
        gd_params_u64(p, "batch", INT64_MAX, &l->batch, &err) < 0)
        return bad(l->h, err.text);
    if (gd_params_get(p, "batch"))
        l->q.batch = &l->batch;
    if (l->q.name && strncmp(l->q.name, "Task-", 5) == 0)
        (void)!gd_parse_u64((struct gd_span){l->q.name + 5, strlen(l->q.name + 5)}, INT64_MAX,
                            &l->q.named_by_id);
    return read_states(l) && read_label(l) && read_order(l);
}

static void list_done(struct list *l)
{
    gd_page_free(&l->page);
    free(l->label);
}

/* --- rows */

static bool name_is(struct gd_span quoted, struct gd_span plain)
{
    struct gd_buf text = {0};
    gd_json_unquote(quoted, &text);
    bool same =
        text.len == plain.len && (plain.len == 0 || memcmp(text.ptr, plain.ptr, plain.len) == 0);
    gd_buf_free(&text);
    return same;
}

static bool has_label(struct gd_span labels, struct gd_span key, const char *value)
{
    struct gd_json_cursor c;
    struct gd_span name;
    struct gd_span json;
    bool first = true;
    bool found = false;
    if (!labels.ptr)
        return false;
    gd_json_cursor_init(&c, labels, 4);
    (void)gd_json_peek(&c);
    gd_json_open(&c);
    while (!found && gd_json_next_member(&c, &first, &name) && gd_json_value(&c, &json))
        found = name_is(name, key) && gd_json_name_is(json, value);
    gd_json_cursor_done(&c);
    return found;
}

/* Several ?label= must all be there. */
static bool has_labels(const struct list *l, struct gd_span labels)
{
    for (size_t i = 0; i < l->h->params.n; i++) {
        const struct gd_param *p = &l->h->params.items[i];
        const char *equals = strchr(p->value, '=');
        if (strcmp(p->name, "label") == 0 &&
            !(equals && has_label(labels, (struct gd_span){p->value, (size_t)(equals - p->value)},
                                  equals + 1)))
            return false;
    }
    return true;
}

/* Notes that a row was looked at. False: the page is full. */
static bool look(struct list *l, uint64_t id)
{
    if (l->n == l->limit || l->n_rows == ROWS_A_PAGE) {
        l->more = true;
        return false;
    }
    l->n_rows++;
    l->last = id;
    return true;
}

static bool put_task(const struct gd_task_record *r, void *arg)
{
    struct list *l = arg;
    if (!look(l, r->id))
        return false;
    const struct gd_task *t = gd_core_task(l->core, r->id);
    if (!(l->states & 1U << gd_shown_state(r, t)) || gd_core_is_staged(l->core, r->id) ||
        !has_labels(l, r->labels))
        return true;
    gd_put_task(&l->page, r, t, false);
    l->n++;
    return true;
}

static bool put_batch(const struct gd_batch_record *r, void *arg)
{
    struct list *l = arg;
    if (!look(l, r->id))
        return false;
    const struct gd_batch *b = gd_core_batch(l->core, r->id);
    enum gd_state state = b ? gd_batch_state(b) : r->is_done ? r->state : GD_PENDING;
    if (!(l->states & 1U << state) || !has_labels(l, r->labels))
        return true;
    gd_put_batch(&l->page, r, b);
    l->n++;
    return true;
}

/* --- unfinished tasks: the core knows them all */

static bool has_name(const struct gd_task_record *r, const struct gd_query *q)
{
    if (!r->name.ptr)
        return r->id == q->named_by_id;
    return r->name.len == strlen(q->name) && memcmp(r->name.ptr, q->name, r->name.len) == 0;
}

static bool put_if_wanted(const struct gd_task_record *r, void *arg)
{
    struct list *l = arg;
    if ((l->q.name && !has_name(r, &l->q)) || !has_labels(l, r->labels))
        return true;
    gd_put_task(&l->page, r, gd_core_task(l->core, r->id), false);
    l->n++;
    return true;
}

static struct gd_task *next_unfinished(const struct list *l, uint64_t after)
{
    const struct gd_task_table *tt = &l->core->tasks;
    if (l->q.ascending)
        return gd_task_from(tt, after + 1);
    return after == 0 ? gd_task_up_to(tt, UINT64_MAX) : gd_task_up_to(tt, after - 1);
}

static int list_unfinished(struct list *l)
{
    struct gd_store *s = l->core->store;
    int rc = 0;
    struct gd_task *t = next_unfinished(l, l->q.after);
    for (; rc == 0 && t && look(l, gd_task_id(t)); t = next_unfinished(l, gd_task_id(t))) {
        uint64_t batch = t->batch ? t->batch->id : 0;
        if ((l->states & 1U << gd_task_state(t)) && (!l->q.batch || batch == l->batch))
            rc = s->ops->read_task(s, gd_task_id(t), false, put_if_wanted, l);
        if (!l->q.ascending && gd_task_id(t) == 1)
            break;
    }
    return rc;
}

/* --- answers */

static void put_next(struct list *l, const char *what, struct gd_buf *to)
{
    gd_buf_printf(to, "/v1/%s?after=%llu", what, (unsigned long long)l->last);
    for (size_t i = 0; i < l->h->params.n; i++) {
        const struct gd_param *p = &l->h->params.items[i];
        if (strcmp(p->name, "after") == 0)
            continue;
        gd_buf_printf(to, "&%s=", p->name);
        for (const char *c = p->value; *c; c++)
            if (strchr("-._~,", *c) || (*c >= '0' && *c <= '9') || (*c >= 'a' && *c <= 'z') ||
                (*c >= 'A' && *c <= 'Z'))
                gd_buf_putc(to, *c);
            else
                gd_buf_printf(to, "%%%02X", (unsigned char)*c);
    }
}

static void answer(struct list *l, const char *what, int rc)
{
    struct gd_http *h = l->h;
    struct gd_buf *b = &l->page.text;
    struct gd_buf next = {0};
    struct gd_buf link = {0};
    if (rc < 0) {
        gd_http_fail(h, GD_PROBLEM_INTERNAL, "the store cannot be read");
        return;
    }
    gd_json_finish(b, ']');
    gd_json_name(b, "next");
    if (l->more) {
        put_next(l, what, &next);
        gd_json_strn(b, next.ptr ? next.ptr : "", next.len);
        gd_buf_printf(&link, "<%.*s>; rel=\"next\"", (int)next.len, next.ptr ? next.ptr : "");
        gd_buf_putc(&link, '\0');
    } else {
        gd_json_null(b);
    }
    gd_json_finish(b, '}');
    gd_buf_putc(b, '\n');
    struct MHD_Response *r = gd_http_response(b, "application/json");
    if (r && l->more && gd_buf_error(&link) == 0)
        gd_http_add(r, MHD_HTTP_HEADER_LINK, link.ptr);
    if (r)
        gd_http_respond(h, MHD_HTTP_OK, r);
    else
        gd_http_error(h, -ENOMEM);
    gd_buf_free(&next);
    gd_buf_free(&link);
}

static void begin(struct list *l, const char *what)
{
    gd_json_begin(&l->page.text, '{');
    gd_json_name(&l->page.text, what);
    gd_json_begin(&l->page.text, '[');
}

/* One final state by which the store has an index; -1: put_task() looks. */
static int single_final(unsigned states)
{
    return states == STATE(FAILED) ? GD_FAILED : states == STATE(CANCELLED) ? GD_CANCELLED : -1;
}

/* Leaves to the store what it finds by one index. The other filters are for put_task() and
 * put_batch(), which count the rows that they look at. */
static void choose_index(struct list *l)
{
    if (l->q.name || l->q.batch)
        l->q.label_key = NULL;
    if (!l->q.name && !l->q.batch && !l->q.label_key)
        l->q.final_state = single_final(l->states);
}

void gd_list_tasks(struct gd_http *h)
{
    struct list l = {.h = h, .core = h->api->core};
    struct gd_store *s = l.core->store;
    if (read_filters(&l)) {
        begin(&l, "tasks");
        choose_index(&l);
        int rc = (l.states & ENDED) == 0 ? list_unfinished(&l)
                                         : s->ops->list_tasks(s, &l.q, put_task, &l);
        answer(&l, "tasks", rc);
    }
    list_done(&l);
}

void gd_list_batches(struct gd_http *h)
{
    struct list l = {.h = h, .core = h->api->core};
    struct gd_store *s = l.core->store;
    if (read_filters(&l)) {
        begin(&l, "batches");
        if (l.q.name)
            l.q.label_key = NULL;
        answer(&l, "batches", s->ops->list_batches(s, &l.q, put_batch, &l));
    }
    list_done(&l);
}
