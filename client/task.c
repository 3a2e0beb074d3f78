#include "base/json_out.h"
#include "client/decode.h"
#include "client/error.h"
#include "client/job_build.h"
#include "client/path.h"
#include "client/wait.h"

void gather_call_path(struct gather_call *call, struct gather_client *c, const char *method,
                      const char *collection, uint64_t id, const char *rest)
{
    gather_call_init(call, c, method, collection);
    gd_buf_u64(&call->target, id);
    gd_buf_puts(&call->target, rest);
}

enum gather_code gather_create_task(struct gather_client *c, const struct gather_job *job,
                                    struct gather_task *ret, struct gather_error *err)
{
    struct gather_call call;
    gather_call_init(&call, c, "POST", "/v1/tasks");
    call.repeat = GATHER_REPEAT_KEYED;
    enum gather_code code = gather_job_put(&call.body, job, err);
    if (code == GATHER_OK)
        code = gather_call_run(&call, GATHER_NEVER, err);
    if (code == GATHER_OK)
        code = gather_decode_task(gather_call_text(&call), ret, err);
    gather_call_done(&call);
    return code;
}

enum gather_code gather_task_get(struct gather_client *c, uint64_t id, struct gather_task *ret,
                                 struct gather_error *err)
{
    struct gather_call call;
    gather_call_path(&call, c, "GET", GATHER_TASKS, id, "");
    enum gather_code code = gather_call_run(&call, GATHER_NEVER, err);
    if (code == GATHER_OK)
        code = gather_decode_task(gather_call_text(&call), ret, err);
    gather_call_done(&call);
    return code;
}

enum gather_code gather_task_wait(struct gather_client *c, uint64_t id, const struct gather_wait *w,
                                  struct gather_task *ret, struct gather_error *err)
{
    struct gather_clock clock;
    gather_clock_init(&clock, w);
    for (;;) {
        struct gather_call call;
        gather_call_path(&call, c, "GET", GATHER_TASKS, id, "");
        int64_t until = gather_clock_ask(&clock, &call);
        enum gather_code code = gather_call_run(&call, until, err);
        if (code == GATHER_OK)
            code = gather_decode_task(gather_call_text(&call), ret, err);
        gather_call_done(&call);
        if (code != GATHER_OK)
            return code;
        if (w && w->on_task)
            w->on_task(w->arg, ret);
        if (ret->done)
            return GATHER_OK;
        code = gather_clock_next(&clock, c, err);
        if (code != GATHER_OK)
            return code;
    }
}

enum gather_code gather_task_done(struct gather_client *c, uint64_t id, bool *ret,
                                  struct gather_error *err)
{
    struct gather_task task = {0};
    enum gather_code code = gather_task_get(c, id, &task, err);
    if (code == GATHER_OK)
        *ret = task.done;
    gather_task_clear(&task);
    return code;
}

enum gather_code gather_task_result(struct gather_client *c, uint64_t id, char **ret_json,
                                    struct gather_error *err)
{
    struct gather_call call;
    gather_call_path(&call, c, "GET", GATHER_TASKS, id, "/result");
    enum gather_code code = gather_call_run(&call, GATHER_NEVER, err);
    if (code == GATHER_OK)
        code = gather_decode_any(gather_call_text(&call), ret_json, err);
    gather_call_done(&call);
    return code;
}

enum gather_code gather_task_exception(struct gather_client *c, uint64_t id,
                                       struct gather_exception *ret, struct gather_error *err)
{
    struct gather_call call;
    gather_call_path(&call, c, "GET", GATHER_TASKS, id, "/exception");
    enum gather_code code = gather_call_run(&call, GATHER_NEVER, err);
    if (code == GATHER_OK)
        code = gather_decode_exception(gather_call_text(&call), ret, err);
    gather_call_done(&call);
    return code;
}

enum gather_code gather_task_truncated(struct gather_client *c, uint64_t id,
                                       enum gather_stream which, bool *ret,
                                       struct gather_error *err)
{
    struct gather_call call;
    gather_call_path(&call, c, "GET", GATHER_TASKS, id,
                     which == GATHER_STDOUT ? "/stdout" : "/stderr");
    gather_call_query_int(&call, "tail", 0); /* the head of the answer is all that counts */
    call.accept = "*/*";
    enum gather_code code = gather_call_run(&call, GATHER_NEVER, err);
    if (code == GATHER_OK)
        *ret = call.truncated;
    gather_call_done(&call);
    return code;
}

enum gather_code gather_cancel(struct gather_client *c, const struct gather_cancel *what,
                               bool *ret_requested, struct gather_error *err)
{
    struct gather_call call;
    bool requested = true; /* unless it says otherwise */
    gather_call_path(&call, c, "POST", what->collection, what->id, "/cancel");
    gd_json_begin(&call.body, '{');
    if (what->msg) {
        gd_json_name(&call.body, "msg");
        gd_json_str(&call.body, what->msg);
    }
    if (what->grace_ms >= 0) {
        gd_json_name(&call.body, "grace");
        gd_json_ms(&call.body, what->grace_ms);
    }
    gd_json_finish(&call.body, '}');
    enum gather_code code = gather_call_run(&call, GATHER_NEVER, err);
    if (code == GATHER_OK)
        code = gather_decode_bool(gather_call_text(&call), "requested", &requested, err);
    gather_call_done(&call);
    if (code == GATHER_OK && ret_requested)
        *ret_requested = requested;
    return code;
}

enum gather_code gather_task_cancel(struct gather_client *c, uint64_t id, const char *msg,
                                    int64_t grace_ms, bool *ret_requested, struct gather_error *err)
{
    struct gather_cancel what = {
        .collection = GATHER_TASKS, .id = id, .msg = msg, .grace_ms = grace_ms};
    return gather_cancel(c, &what, ret_requested, err);
}

enum gather_code gather_task_signal(struct gather_client *c, uint64_t id, int signo,
                                    struct gather_error *err)
{
    struct gather_call call;
    gather_call_path(&call, c, "POST", GATHER_TASKS, id, "/signal");
    gd_json_begin(&call.body, '{');
    gd_json_name(&call.body, "signal");
    gd_json_i64(&call.body, signo);
    gd_json_finish(&call.body, '}');
    enum gather_code code = gather_call_run(&call, GATHER_NEVER, err);
    gather_call_done(&call);
    return code;
}

enum gather_code gather_task_uncancel(struct gather_client *c, uint64_t id, int64_t *ret_cancelling,
                                      struct gather_error *err)
{
    struct gather_call call;
    gather_call_path(&call, c, "POST", GATHER_TASKS, id, "/uncancel");
    gd_buf_puts(&call.body, "{}");
    enum gather_code code = gather_call_run(&call, GATHER_NEVER, err);
    if (code == GATHER_OK)
        code = gather_decode_int(gather_call_text(&call), "cancelling", ret_cancelling, err);
    gather_call_done(&call);
    return code;
}

enum gather_code gather_info(struct gather_client *c, char **ret_json, struct gather_error *err)
{
    struct gather_call call;
    gather_call_init(&call, c, "GET", "/v1/info");
    enum gather_code code = gather_call_run(&call, GATHER_NEVER, err);
    if (code == GATHER_OK)
        code = gather_decode_any(gather_call_text(&call), ret_json, err);
    gather_call_done(&call);
    return code;
}
