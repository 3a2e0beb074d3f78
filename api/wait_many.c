/* POST /v1/wait: asyncio.wait() on tasks. */
#include "api/answers.h"
#include "api/members.h"
#include "api/routes.h"
#include "api/wait.h"
#include "base/clock.h"
#include "base/job.h"
#include "base/json_out.h"
#include "base/json_scan.h"
#include "base/limits.h"
#include "base/map.h"
#include "base/parse.h"
#include "daemon/core/core.h"
#include "daemon/core/wait.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct many {
    struct gd_wait wait;
    struct gd_timer timer;
    struct gd_http *http;
    struct gd_faults faults;
    uint64_t *ids; /* n of them, in the order of the body, each once */
    size_t n;
    size_t cap;
    enum gd_return_when when;
    int64_t timeout_ms; /* -1: none */
};

static void many_free(struct many *m)
{
    gd_timer_stop(m->http->api->loop, &m->timer);
    gd_wait_done(&m->wait);
    gd_faults_free(&m->faults);
    free(m->ids);
    free(m);
}

/* --- the body */

static void add_id(struct many *m, uint64_t id)
{
    if (m->n == m->cap) {
        size_t cap = m->cap ? m->cap * 2 : 16;
        uint64_t *ids = reallocarray(m->ids, cap, sizeof(*ids));
        if (!ids) {
            m->faults.no_memory = true;
            return;
        }
        m->ids = ids;
        m->cap = cap;
    }
    m->ids[m->n++] = id;
}

/* Takes one element; `seen` has those that came before. */
static void take_id(struct many *m, struct gd_span json, size_t at, struct gd_map *seen)
{
    char pointer[40];
    uint64_t id = 0;
    (void)snprintf(pointer, sizeof(pointer), "/tasks/%zu", at);
    if (gd_parse_u64(json, INT64_MAX, &id) < 0 || id == 0) {
        gd_faults_add(&m->faults, pointer, NULL, "must be the id of a task");
        return;
    }
    if (gd_map_get(seen, id))
        return;
    if (gd_map_put(seen, id, m) < 0)
        m->faults.no_memory = true;
    else
        add_id(m, id);
}

static void set_tasks(void *arg, struct gd_span json)
{
    struct many *m = arg;
    struct gd_json_cursor c;
    struct gd_span element;
    struct gd_map seen = {0};
    bool first = true;
    size_t at = 0;
    if (json.ptr[0] != '[') {
        gd_faults_add(&m->faults, "", "tasks", "must be a list of ids");
        return;
    }
    m->n = 0;
    gd_json_cursor_init(&c, json, GD_MAX_JSON_DEPTH);
    gd_json_open(&c);
    while (gd_json_next_element(&c, &first) && gd_json_value(&c, &element)) {
        if (m->n <= GD_MAX_WAIT_TASKS)
            take_id(m, element, at, &seen);
        at++;
    }
    gd_json_cursor_done(&c);
    gd_map_free(&seen);
    if (at == 0)
        gd_faults_add(&m->faults, "", "tasks", "is empty: there is nothing to wait for");
    if (m->n > GD_MAX_WAIT_TASKS)
        gd_faults_add(&m->faults, "", "tasks", "has %zu ids, the limit is %d", at,
                      (int)GD_MAX_WAIT_TASKS);
}

static void set_return_when(void *arg, struct gd_span json)
{
    static const char *const names[] = {[GD_ALL_COMPLETED] = "ALL_COMPLETED",
                                        [GD_FIRST_COMPLETED] = "FIRST_COMPLETED",
                                        [GD_FIRST_EXCEPTION] = "FIRST_EXCEPTION"};
    struct many *m = arg;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (json.ptr[0] == '"' && gd_json_name_is(json, names[i])) {
            m->when = (enum gd_return_when)i;
            return;
        }
    gd_faults_add(&m->faults, "", "return_when",
                  "must be \"ALL_COMPLETED\", \"FIRST_COMPLETED\" or \"FIRST_EXCEPTION\"");
}

static void set_timeout(void *arg, struct gd_span json)
{
    struct many *m = arg;
    if (json.ptr[0] == 'n')
        return;
    if (gd_job_check_seconds(json, "", "timeout", &m->faults, &m->timeout_ms) &&
        m->timeout_ms > (int64_t)GD_MAX_WAIT_SECONDS * 1000)
        gd_faults_add(&m->faults, "", "timeout",
                      "is longer than the %d seconds that one "
                      "request may wait",
                      (int)GD_MAX_WAIT_SECONDS);
}

static const struct gd_member members[] = {
    {"tasks", set_tasks}, {"return_when", set_return_when}, {"timeout", set_timeout}, {NULL, NULL}};

/* --- what is there already */

static bool note_state(const struct gd_task_record *r, void *arg)
{
    *(enum gd_state *)arg = gd_shown_state(r, NULL);
    return true;
}

/* Watches task i, or notes that it was done. */
static void add_task(struct many *m, size_t i)
{
    struct gd_core *c = m->http->api->core;
    struct gd_task *t = gd_core_task(c, m->ids[i]);
    enum gd_state state = GD_PENDING;
    if (t) {
        gd_wait_add(&m->wait, i, &t->future);
        return;
    }
    int rc = gd_core_is_staged(c, m->ids[i])
                 ? GD_E_NO_TASK
                 : c->store->ops->read_task(c->store, m->ids[i], true, note_state, &state);
    if (rc == 0) {
        gd_wait_add_done(&m->wait, i, state);
        return;
    }
    if (rc == GD_E_NO_TASK)
        gd_faults_add(&m->faults, "", "tasks", "there is no task %llu",
                      (unsigned long long)m->ids[i]);
    else
        m->faults.no_memory = true;
}

/* --- the answer */

static void put_ids(struct gd_buf *b, const struct many *m, const char *name, bool pending)
{
    const char *comma = "";
    gd_json_name(b, name);
    gd_buf_putc(b, '[');
    for (size_t i = 0; i < m->n; i++)
        if (gd_wait_is_pending(&m->wait, i) == pending) {
            gd_buf_printf(b, "%s%llu", comma, (unsigned long long)m->ids[i]);
            comma = ",";
        }
    gd_buf_putc(b, ']');
}

static void answer(struct many *m)
{
    struct gd_http *h = m->http;
    struct gd_buf b = {0};
    gd_buf_putc(&b, '{');
    put_ids(&b, m, "done", false);
    gd_buf_putc(&b, ',');
    put_ids(&b, m, "pending", true);
    gd_buf_puts(&b, "}\n");
    many_free(m);
    gd_http_json(h, MHD_HTTP_OK, &b);
}

static void answer_kept(struct many *m)
{
    m->http->waiting = NULL;
    m->http->abandon = NULL;
    answer(m);
}

static void is_enough(struct gd_wait *w)
{
    answer_kept(GD_OWNER(w, struct many, wait));
}

static void time_is_up(struct gd_timer *t)
{
    answer_kept(GD_OWNER(t, struct many, timer));
}

static void abandon(struct gd_http *h)
{
    many_free(h->waiting); /* the tasks go on */
}

/* Subscribes to all, then looks. */
static void wait_for(struct many *m)
{
    struct gd_http *h = m->http;
    struct gd_loop *l = h->api->loop;
    if (gd_wait_init(&m->wait, m->n, m->when, l, is_enough) < 0)
        m->faults.no_memory = true;
    for (size_t i = 0; i < m->n && !m->faults.no_memory; i++)
        add_task(m, i);
    if (m->faults.n_all > 0 || m->faults.no_memory) {
        gd_members_refuse(h, &m->faults, "nothing is waited for");
        many_free(m);
        return;
    }
    if (gd_wait_is_enough(&m->wait) || m->timeout_ms == 0) {
        answer(m);
        return;
    }
    if (h->api->draining) {
        gd_wait_leave(h);
        many_free(m);
        return;
    }
    m->timer.fn = time_is_up;
    if (m->timeout_ms > 0 && gd_timer_at(l, &m->timer, gd_mono_ms() + m->timeout_ms) < 0) {
        gd_http_error(h, -ENOMEM);
        many_free(m);
        return;
    }
    gd_http_keep_watched(h, m, abandon);
}

void gd_wait_many(struct gd_http *h)
{
    struct many *m = calloc(1, sizeof(*m));
    if (!m) {
        gd_http_error(h, -ENOMEM);
        return;
    }
    m->http = h;
    m->timeout_ms = -1;
    if (!gd_members_read(h, gd_buf_view(&h->body), members, &m->faults, m,
                         "nothing is waited for")) {
        many_free(m);
    } else if (m->n == 0) {
        gd_faults_add(&m->faults, "", "tasks", "is missing");
        gd_members_refuse(h, &m->faults, "nothing is waited for");
        many_free(m);
    } else {
        wait_for(m);
    }
}
