#include "base/json_out.h"
#include "base/json_scan.h"
#include "client/decode.h"
#include "client/error.h"
#include "client/job_build.h"
#include "client/path.h"
#include "client/wait.h"

#include <stdlib.h>
#include <string.h>

static void put_labels(struct gd_buf *to, const char *const *labels)
{
    gd_json_name(to, "labels");
    gd_json_begin(to, '{');
    for (; *labels; labels++) {
        struct gd_buf key = {0};
        size_t n = strcspn(*labels, "=");
        gd_buf_put(&key, *labels, n);
        gd_buf_putc(&key, '\0');
        gd_json_name(to, gd_buf_error(&key) ? "" : key.ptr);
        gd_json_str(to, (*labels)[n] ? *labels + n + 1 : "");
        if (gd_buf_error(&key))
            to->err = gd_buf_error(&key);
        gd_buf_free(&key);
    }
    gd_json_finish(to, '}');
}

/* The members of a batch object, without its jobs. */
static void put_options(struct gd_buf *to, const struct gather_options *o)
{
    if (o->name) {
        gd_json_name(to, "name");
        gd_json_str(to, o->name);
    }
    if (o->return_exceptions) {
        gd_json_name(to, "return_exceptions");
        gd_json_bool(to, true);
    }
    if (o->cancel_on_failure) {
        gd_json_name(to, "on_failure");
        gd_json_str(to, "cancel");
    }
    if (o->concurrency > 0) {
        gd_json_name(to, "concurrency");
        gd_json_i64(to, o->concurrency);
    }
    if (o->timeout_ms > 0) {
        gd_json_name(to, "timeout");
        gd_json_ms(to, o->timeout_ms);
    }
    if (o->priority) {
        gd_json_name(to, "priority");
        gd_json_i64(to, o->priority);
    }
    if (o->labels)
        put_labels(to, o->labels);
}

static void query_options(struct gather_call *call, const struct gather_options *o)
{
    if (o->name)
        gather_call_query(call, "name", o->name);
    if (o->return_exceptions)
        gather_call_query(call, "return_exceptions", "true");
    if (o->cancel_on_failure)
        gather_call_query(call, "on_failure", "cancel");
    if (o->concurrency > 0)
        gather_call_query_int(call, "concurrency", o->concurrency);
    if (o->timeout_ms > 0) {
        struct gd_buf seconds = {0};
        gd_json_ms(&seconds, o->timeout_ms);
        gd_buf_putc(&seconds, '\0');
        gather_call_query(call, "timeout", gd_buf_error(&seconds) ? "" : seconds.ptr);
        if (gd_buf_error(&seconds))
            call->target.err = gd_buf_error(&seconds);
        gd_buf_free(&seconds);
    }
    if (o->priority)
        gather_call_query_int(call, "priority", o->priority);
    for (const char *const *label = o->labels; label && *label; label++)
        gather_call_query(call, "label", *label);
}

static enum gather_code run_submit(struct gather_call *call, struct gather_batch *ret,
                                   struct gather_error *err)
{
    call->repeat = GATHER_REPEAT_KEYED;
    enum gather_code code = gather_call_run(call, GATHER_NEVER, err);
    if (code == GATHER_OK)
        code = gather_decode_batch(gather_call_text(call), ret, err);
    return code;
}

enum gather_code gather_submit(struct gather_client *c, const struct gather_job *const *jobs,
                               size_t n, const struct gather_options *options,
                               struct gather_batch *ret, struct gather_error *err)
{
    struct gather_call call;
    enum gather_code code = GATHER_OK;
    gather_call_init(&call, c, "POST", "/v1/batches");
    gd_json_begin(&call.body, '{');
    gd_json_name(&call.body, "jobs");
    gd_json_begin(&call.body, '[');
    for (size_t i = 0; code == GATHER_OK && i < n; i++)
        code = gather_job_put(&call.body, jobs[i], err);
    gd_json_finish(&call.body, ']');
    if (options)
        put_options(&call.body, options);
    gd_json_finish(&call.body, '}');
    if (code == GATHER_OK)
        code = run_submit(&call, ret, err);
    gather_call_done(&call);
    return code;
}

enum gather_code gather_submit_source(struct gather_client *c, const struct gather_source *source,
                                      const struct gather_options *options,
                                      struct gather_batch *ret, struct gather_error *err)
{
    struct gather_call call;
    gather_call_init(&call, c, "POST", "/v1/batches");
    call.source = source;
    if (options)
        query_options(&call, options);
    enum gather_code code = run_submit(&call, ret, err);
    gather_call_done(&call);
    return code;
}

enum gather_code gather_batch_get(struct gather_client *c, uint64_t id, struct gather_batch *ret,
                                  struct gather_error *err)
{
    struct gather_call call;
    gather_call_path(&call, c, "GET", GATHER_BATCHES, id, "");
    enum gather_code code = gather_call_run(&call, GATHER_NEVER, err);
    if (code == GATHER_OK)
        code = gather_decode_batch(gather_call_text(&call), ret, err);
    gather_call_done(&call);
    return code;
}

static bool take_first(void *arg, const struct gather_task *task)
{
    uint64_t *id = arg;
    *id = task->id;
    return false;
}

/* The outcome is known, but children still run: waits for one of them. */
static enum gather_code wait_for_child(struct gather_client *c, uint64_t batch,
                                       struct gather_clock *clock, struct gather_error *err)
{
    struct gather_filter filter = {.states = "unfinished", .batch = batch, .limit = 1};
    uint64_t child = 0;
    enum gather_code code = gather_list_tasks(c, &filter, take_first, &child, err);
    if (code != GATHER_OK || child == 0)
        return code;
    struct gather_call call;
    gather_call_path(&call, c, "GET", GATHER_TASKS, child, "");
    int64_t until = gather_clock_ask(clock, &call);
    code = gather_call_run(&call, until, err);
    gather_call_done(&call);
    return code;
}

/* One question, with a wait as long as the outcome is not known. */
static enum gather_code ask_batch(struct gather_client *c, uint64_t id, struct gather_clock *clock,
                                  struct gather_batch *ret, struct gather_error *err)
{
    struct gather_call call;
    gather_call_path(&call, c, "GET", GATHER_BATCHES, id, "");
    int64_t until = ret->done ? GATHER_NEVER : gather_clock_ask(clock, &call);
    enum gather_code code = gather_call_run(&call, until, err);
    if (code == GATHER_OK)
        code = gather_decode_batch(gather_call_text(&call), ret, err);
    gather_call_done(&call);
    return code;
}

enum gather_code gather_batch_wait(struct gather_client *c, uint64_t id,
                                   const struct gather_wait *w, struct gather_batch *ret,
                                   struct gather_error *err)
{
    struct gather_clock clock;
    bool settled = w && w->settled;
    gather_clock_init(&clock, w);
    gather_batch_clear(ret);
    for (;;) {
        enum gather_code code = ask_batch(c, id, &clock, ret, err);
        if (code != GATHER_OK)
            return code;
        if (w && w->on_batch)
            w->on_batch(w->arg, ret);
        if (settled ? ret->settled : ret->done)
            return GATHER_OK;
        if (ret->done)
            code = wait_for_child(c, id, &clock, err);
        if (code == GATHER_OK)
            code = gather_clock_next(&clock, c, err);
        if (code != GATHER_OK)
            return code;
    }
}

enum gather_code gather_batch_cancel(struct gather_client *c, uint64_t id, const char *msg,
                                     int64_t grace_ms, bool *ret_requested,
                                     struct gather_error *err)
{
    struct gather_cancel what = {
        .collection = GATHER_BATCHES, .id = id, .msg = msg, .grace_ms = grace_ms};
    return gather_cancel(c, &what, ret_requested, err);
}
