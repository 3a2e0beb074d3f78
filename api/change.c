/* Changes to tasks and batches: cancel, uncancel, signal, PATCH. The answer comes when
 * the change is on disk; if the client goes before, the change is made all the same. */
#include "api/answers.h"
#include "api/cache.h"
#include "api/members.h"
#include "api/routes.h"
#include "base/job.h"
#include "base/json_out.h"
#include "base/json_scan.h"
#include "base/limits.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

struct change {
    struct gd_change c;
    struct gd_http *http; /* NULL: the client is gone */
    struct gd_buf body;   /* what c.patch points into */
    struct gd_faults faults;
    char *msg;
    int64_t grace_ms; /* -1: not given */
    bool all;
    int signo;
    bool only_name; /* a PATCH of nothing but the name */
};

static void change_free(struct change *ch)
{
    gd_buf_free(&ch->body);
    gd_faults_free(&ch->faults);
    free(ch->msg);
    free(ch->c.msg);
    free(ch);
}

static void abandon(struct gd_http *h)
{
    struct change *ch = h->waiting;
    ch->http = NULL;
}

/* --- bodies */

static void set_msg(void *arg, struct gd_span json)
{
    struct change *ch = arg;
    struct gd_buf plain = {0};
    if (json.ptr[0] == 'n')
        return;
    if (json.ptr[0] != '"') {
        gd_faults_add(&ch->faults, "", "msg", "must be a string");
        return;
    }
    gd_json_unquote(json, &plain);
    if (plain.len > GD_MAX_MSG_BYTES)
        gd_faults_add(&ch->faults, "", "msg", "has %zu bytes, the limit is %d", plain.len,
                      (int)GD_MAX_MSG_BYTES);
    free(ch->msg);
    ch->msg = gd_buf_take(&plain, NULL);
    gd_buf_free(&plain);
    ch->faults.no_memory = ch->faults.no_memory || !ch->msg;
}

static void set_grace(void *arg, struct gd_span json)
{
    struct change *ch = arg;
    (void)gd_job_check_seconds(json, "", "grace", &ch->faults, &ch->grace_ms);
}

static void set_all(void *arg, struct gd_span json)
{
    struct change *ch = arg;
    (void)gd_job_check_bool(json, "", "all", &ch->faults, &ch->all);
}

static void set_name(void *arg, struct gd_span json)
{
    struct change *ch = arg;
    if (gd_job_check_name(json, "", &ch->faults))
        ch->c.patch.name = json;
}

static void set_labels(void *arg, struct gd_span json)
{
    struct change *ch = arg;
    ch->only_name = false;
    if (gd_job_check_labels(json, "", &ch->faults))
        ch->c.patch.labels = json;
}

static void set_priority(void *arg, struct gd_span json)
{
    struct change *ch = arg;
    int64_t n = 0;
    ch->only_name = false;
    if (!gd_job_check_int(json, "", "priority", -GD_MAX_PRIORITY, GD_MAX_PRIORITY, &ch->faults, &n))
        return;
    ch->c.patch.set_priority = true;
    ch->c.patch.priority = (int16_t)n;
}

static void set_timeout(void *arg, struct gd_span json)
{
    struct change *ch = arg;
    ch->only_name = false;
    ch->c.patch.timeout_ms = GD_NO_TIMEOUT;
    ch->c.patch.set_timeout =
        json.ptr[0] == 'n' ||
        gd_job_check_seconds(json, "", "timeout", &ch->faults, &ch->c.patch.timeout_ms);
}

/* "TERM", "SIGTERM" or 15. */
static void set_signal(void *arg, struct gd_span json)
{
    struct change *ch = arg;
    int64_t n = 0;
    struct gd_buf name = {0};
    if (json.ptr[0] != '"') {
        if (gd_job_check_int(json, "", "signal", 1, SIGRTMAX, &ch->faults, &n))
            ch->signo = (int)n;
        return;
    }
    gd_json_unquote(json, &name);
    gd_buf_putc(&name, '\0');
    const char *word = name.err ? "" : name.ptr;
    word += strncmp(word, "SIG", 3) == 0 ? 3 : 0;
    for (int sig = 1; sig < NSIG && ch->signo == 0; sig++)
        if (sigabbrev_np(sig) && strcmp(sigabbrev_np(sig), word) == 0)
            ch->signo = sig;
    if (ch->signo == 0)
        gd_faults_add(&ch->faults, "", "signal", "\"%.32s\" is not a signal", word);
    gd_buf_free(&name);
}

static const struct gd_member cancel_members[] = {
    {"msg", set_msg}, {"grace", set_grace}, {NULL, NULL}};
static const struct gd_member cancel_batch_members[] = {
    {"msg", set_msg}, {"grace", set_grace}, {"all", set_all}, {NULL, NULL}};
static const struct gd_member uncancel_members[] = {{NULL, NULL}};
static const struct gd_member signal_members[] = {{"signal", set_signal}, {NULL, NULL}};
static const struct gd_member patch_members[] = {{"name", set_name},
                                                 {"labels", set_labels},
                                                 {"priority", set_priority},
                                                 {"timeout", set_timeout},
                                                 {NULL, NULL}};

/* Reads the body by `members`; an empty one is fine if `optional`. NULL: answered. */
static struct change *change_new(struct gd_http *h, const struct gd_member *members, bool optional)
{
    struct change *ch = calloc(1, sizeof(*ch));
    if (!ch) {
        gd_http_error(h, -ENOMEM);
        return NULL;
    }
    ch->http = h;
    ch->grace_ms = -1;
    ch->only_name = true;
    ch->body = h->body;
    h->body = (struct gd_buf){0};
    ch->c.task = h->id;
    struct gd_span text = gd_buf_view(&ch->body);
    if (text.len == 0 && optional)
        return ch;
    if (gd_members_read(h, text, members, &ch->faults, ch, "nothing was changed"))
        return ch;
    change_free(ch);
    return NULL;
}

/* --- what is there */

static bool note_kind(const struct gd_task_record *r, void *arg)
{
    *(enum gd_kind *)arg = r->kind;
    return true;
}

/* True: the task exists, and `*ret_t` is it if it is not done. False: answered. */
static bool find_task(struct gd_http *h, struct gd_task **ret_t)
{
    struct gd_core *c = h->api->core;
    enum gd_kind kind = GD_KIND_NONE;
    *ret_t = gd_core_task(c, h->id);
    if (*ret_t)
        return true;
    int rc = gd_core_is_staged(c, h->id)
                 ? GD_E_NO_TASK
                 : c->store->ops->read_task(c->store, h->id, false, note_kind, &kind);
    if (rc == 0)
        return true;
    if (rc == GD_E_NO_TASK)
        gd_http_fail(h, GD_PROBLEM_NO_TASK, "task %llu", (unsigned long long)h->id);
    else
        gd_http_fail(h, GD_PROBLEM_INTERNAL, "the store cannot be read");
    return false;
}

static bool ignore_batch(const struct gd_batch_record *r, void *arg)
{
    (void)r;
    (void)arg;
    return true;
}

static bool find_batch(struct gd_http *h)
{
    struct gd_core *c = h->api->core;
    int rc = gd_core_batch(c, h->id)
                 ? 0
                 : c->store->ops->read_batch(c->store, h->id, ignore_batch, NULL);
    if (rc < 0)
        gd_http_fail(h, rc == GD_E_NO_BATCH ? GD_PROBLEM_NO_BATCH : GD_PROBLEM_INTERNAL,
                     "batch %llu", (unsigned long long)h->id);
    return rc == 0;
}

/* --- cancel */

static void answer_requested(struct gd_http *h, bool requested)
{
    struct gd_buf b = {0};
    gd_buf_printf(&b, "{\"requested\":%s}\n", requested ? "true" : "false");
    gd_http_json(h, requested ? MHD_HTTP_ACCEPTED : MHD_HTTP_OK, &b);
}

static void cancel_is_made(struct gd_change *c, int rc)
{
    struct change *ch = GD_OWNER(c, struct change, c);
    if (ch->http && rc < 0)
        gd_http_error(ch->http, rc);
    else if (ch->http)
        answer_requested(ch->http, c->had_effect);
    change_free(ch);
}

static char *take_msg(struct change *ch)
{
    char *msg = ch->msg;
    ch->msg = NULL;
    return msg;
}

void gd_cancel_task(struct gd_http *h)
{
    struct gd_task *t = NULL;
    if (!find_task(h, &t))
        return;
    struct change *ch = change_new(h, cancel_members, true);
    if (!ch)
        return;
    ch->c.done = cancel_is_made;
    gd_http_keep(h, ch, abandon);
    gd_core_cancel_task(h->api->core, &ch->c, h->id, take_msg(ch), ch->grace_ms);
}

void gd_cancel_batch(struct gd_http *h)
{
    if (!find_batch(h))
        return;
    struct change *ch = change_new(h, cancel_batch_members, true);
    if (!ch)
        return;
    ch->c.done = cancel_is_made;
    gd_http_keep(h, ch, abandon);
    gd_core_cancel_batch(h->api->core, &ch->c, h->id, take_msg(ch), ch->grace_ms, ch->all);
}

static void uncancel_is_made(struct gd_change *c, int rc)
{
    struct change *ch = GD_OWNER(c, struct change, c);
    struct gd_buf b = {0};
    if (ch->http && rc < 0) {
        gd_http_error(ch->http, rc);
    } else if (ch->http) {
        gd_buf_printf(&b, "{\"cancelling\":%u}\n", c->n_cancels);
        gd_http_json(ch->http, MHD_HTTP_OK, &b);
    }
    change_free(ch);
}

void gd_uncancel_task(struct gd_http *h)
{
    struct gd_task *t = NULL;
    if (!find_task(h, &t))
        return;
    struct change *ch = change_new(h, uncancel_members, true);
    if (!ch)
        return;
    ch->c.done = uncancel_is_made;
    gd_http_keep(h, ch, abandon);
    gd_core_uncancel_task(h->api->core, &ch->c, h->id);
}

/* --- signal */

void gd_signal_task(struct gd_http *h)
{
    struct gd_task *t = NULL;
    if (!find_task(h, &t))
        return;
    struct change *ch = change_new(h, signal_members, false);
    if (!ch)
        return;
    struct gd_executor *ex = t ? h->api->core->executors[t->kind] : NULL;
    if (!ch->signo) {
        gd_faults_add(&ch->faults, "/signal", NULL, "is missing");
        gd_members_refuse(h, &ch->faults, "nothing was changed");
    } else if (!t || t->phase != GD_TASK_RUNNING || !ex->ops->signal || !ex->ready) {
        gd_http_fail(h, GD_PROBLEM_INVALID_STATE, "task %llu is not a running command",
                     (unsigned long long)h->id);
    } else {
        struct gd_buf b = {0};
        ex->ops->signal(ex, t, ch->signo);
        gd_buf_puts(&b, "{\"sent\":true}\n");
        gd_http_json(h, MHD_HTTP_ACCEPTED, &b);
    }
    change_free(ch);
}

/* --- PATCH */

static void patch_is_made(struct gd_change *c, int rc)
{
    struct change *ch = GD_OWNER(c, struct change, c);
    struct gd_http *h = ch->http;
    if (h)
        gd_cache_drop_task(h->api->cache, c->task);
    if (h && rc < 0)
        gd_http_error(h, rc);
    else if (h)
        gd_answer_task(h, c->task, MHD_HTTP_OK);
    change_free(ch);
}

void gd_patch_task(struct gd_http *h)
{
    struct gd_task *t = NULL;
    if (!find_task(h, &t))
        return;
    struct change *ch = change_new(h, patch_members, false);
    if (!ch)
        return;
    if (!t && !ch->only_name) {
        gd_http_fail(h, GD_PROBLEM_INVALID_STATE,
                     "task %llu is done; only its name can still be changed",
                     (unsigned long long)h->id);
        change_free(ch);
        return;
    }
    ch->c.done = patch_is_made;
    gd_http_keep(h, ch, abandon);
    gd_core_patch(h->api->core, &ch->c);
}
