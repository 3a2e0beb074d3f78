/* `run` and `shell`: what goes to the runner, and what an end of its means. */
#include "base/exception.h"
#include "base/json_out.h"
#include "daemon/exec/remote.h"

#include <cjson/cJSON.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

static void put_strings(struct gd_msg *m, enum gd_msg_field field, const struct cJSON *list)
{
    size_t opened = gd_msg_open(m, field);
    for (const struct cJSON *s = list->child; s; s = s->next) {
        if (s->string) { /* a member of an object: NAME=value */
            gd_buf_puts(&m->fields, s->string);
            gd_buf_putc(&m->fields, '=');
        }
        gd_buf_put(&m->fields, s->valuestring, strlen(s->valuestring) + 1);
    }
    gd_msg_close(m, opened);
}

static void put_argv(struct gd_msg *m, const struct gd_job_detail *d)
{
    static const char shell[] = "/bin/sh\0-c";
    if (d->run) {
        put_strings(m, GD_FIELD_ARGV, d->run);
        return;
    }
    size_t opened = gd_msg_open(m, GD_FIELD_ARGV);
    gd_buf_put(&m->fields, shell, sizeof(shell));
    gd_buf_put(&m->fields, d->shell, strlen(d->shell) + 1);
    gd_msg_close(m, opened);
}

static uint64_t note_of(const struct gd_job_detail *d)
{
    return (d->check ? GD_NOTE_CHECK : 0) | (d->result == GD_RESULT_STDOUT ? GD_NOTE_STDOUT : 0) |
           (d->result == GD_RESULT_JSON ? GD_NOTE_JSON : 0);
}

static void put_start(struct gd_remote *r, const struct gd_task *t, const struct gd_job *job,
                      const struct gd_job_detail *d, struct gd_msg *m)
{
    (void)r;
    (void)t;
    (void)job;
    put_argv(m, d);
    if (d->env)
        put_strings(m, GD_FIELD_ENV, d->env);
    gd_msg_str(m, GD_FIELD_CWD, d->cwd);
    if (d->input)
        gd_msg_put(m, GD_FIELD_STDIN, d->input, d->input_bytes);
    gd_msg_u64(m, GD_FIELD_MAX_OUTPUT, (uint64_t)d->max_output);
    gd_msg_u64(m, GD_FIELD_GRACE_MS, (uint64_t)d->grace_ms);
    gd_msg_u64(m, GD_FIELD_NOTE, note_of(d));
}

/* --- ends */

/* Was it our TERM or KILL that ended it? A shell reports its child's as 128 + n. */
static bool by_our_signal(const struct gd_msg_view *v)
{
    uint64_t sig = gd_msg_num(v, GD_FIELD_SIGNALED, 0);
    uint64_t code = gd_msg_num(v, GD_FIELD_CODE, 0);
    return sig == SIGTERM || sig == SIGKILL || code == 128 + SIGTERM || code == 128 + SIGKILL;
}

static bool has(const struct gd_msg_view *v, enum gd_msg_field field)
{
    struct gd_span ignored;
    return gd_msg_find(v, field, &ignored);
}

static int fail(struct gd_outcome *o, enum gd_state state, char *own_exception)
{
    o->state = state;
    o->exception = own_exception;
    return own_exception ? 0 : -ENOMEM;
}

/* What could not be found, run or entered, by its name. */
static void name_culprit(struct gd_remote *r, const struct gd_task *t, const char *stage,
                         struct gd_buf *to)
{
    struct gd_store *store = r->core->store;
    struct gd_buf text = {0};
    struct gd_faults faults = {0};
    struct gd_job job;
    struct gd_job_detail d = {0};
    const char *what = NULL;
    if (store->ops->read_job(store, gd_task_id(t), &text) == 0 &&
        gd_job_decode(gd_buf_view(&text), "", &faults, &job, &d) == 0) {
        if (strcmp(stage, "chdir") == 0)
            what = d.cwd;
        else if (strcmp(stage, "exec") == 0)
            what = d.run ? d.run->child->valuestring : "/bin/sh";
    }
    gd_buf_printf(to, what ? "\"%.200s\"" : "%s", what ? what : stage);
    gd_buf_putc(to, '\0');
    gd_job_detail_free(&d);
    gd_faults_free(&faults);
    gd_buf_free(&text);
}

static int cannot_start(struct gd_remote *r, const struct gd_task *t, const struct gd_exit *x)
{
    char *stage = gd_msg_dup(x->v, GD_FIELD_STAGE);
    int rc = -(int)gd_msg_num(x->v, GD_FIELD_ERRNO, 0);
    struct gd_buf what = {0};
    name_culprit(r, t, stage ? stage : "start", &what);
    int ret =
        gd_buf_error(&what) < 0
            ? -ENOMEM
            : fail(x->o, GD_FAILED, gd_exception_spawn(rc, stage ? stage : "start", what.ptr));
    gd_buf_free(&what);
    free(stage);
    return ret;
}

static int put_usage(const struct gd_exit *x)
{
    struct gd_buf b = {0};
    gd_json_name(&b, "usage");
    gd_json_begin(&b, '{');
    gd_json_name(&b, "user");
    gd_json_us(&b, (int64_t)gd_msg_num(x->v, GD_FIELD_USER_US, 0));
    gd_json_name(&b, "system");
    gd_json_us(&b, (int64_t)gd_msg_num(x->v, GD_FIELD_SYSTEM_US, 0));
    gd_json_name(&b, "max_rss");
    gd_json_u64(&b, gd_msg_num(x->v, GD_FIELD_MAX_RSS, 0));
    gd_json_name(&b, "wall");
    gd_json_us(&b, (int64_t)gd_msg_num(x->v, GD_FIELD_WALL_US, 0));
    gd_json_finish(&b, '}');
    x->o->detail = gd_buf_take(&b, NULL);
    gd_buf_free(&b);
    return x->o->detail ? 0 : -ENOMEM;
}

static int succeed(const struct gd_exit *x, uint64_t note)
{
    struct gd_outcome *o = x->o;
    o->state = GD_SUCCEEDED;
    o->result = note & GD_NOTE_STDOUT ? GD_RK_STDOUT
                : note & GD_NOTE_JSON ? GD_RK_JSON
                                      : GD_RK_COMMAND;
    if (!(note & GD_NOTE_JSON))
        return 0;
    if (o->out.kept < o->out.total)
        return fail(o, GD_FAILED,
                    gd_exception_result("it was cut at max_output bytes", o->out.kept));
    if (x->json_fault.what)
        return fail(o, GD_FAILED, gd_exception_result(x->json_fault.what, x->json_fault.offset));
    return 0;
}

static int read_exited(struct gd_remote *r, const struct gd_task *t, const struct gd_exit *x)
{
    const struct gd_msg_view *v = x->v;
    uint64_t note = gd_msg_num(v, GD_FIELD_NOTE, 0);
    bool ran = has(v, GD_FIELD_CODE) || has(v, GD_FIELD_SIGNALED);
    bool cancelled = has(v, GD_FIELD_CANCELLED);
    if (has(v, GD_FIELD_ERRNO))
        return cannot_start(r, t, x);
    if (ran && put_usage(x) < 0)
        return -ENOMEM;
    x->o->exit_code = (int)gd_msg_num(v, GD_FIELD_CODE, 0);
    /* Even if it failed, its output and usage can be read. */
    x->o->result = ran ? GD_RK_COMMAND : GD_RK_NONE;
    if (!ran || (cancelled && by_our_signal(v)))
        return fail(x->o, GD_CANCELLED,
                    gd_exception_cancelled(t->extra ? t->extra->cancel_msg : NULL));
    if (has(v, GD_FIELD_TIMED_OUT) && by_our_signal(v))
        return fail(x->o, GD_FAILED, gd_exception_timeout(t->timeout_ms));
    if (has(v, GD_FIELD_SIGNALED))
        return fail(x->o, GD_FAILED,
                    gd_exception_signal((int)gd_msg_num(v, GD_FIELD_SIGNALED, 0),
                                        has(v, GD_FIELD_CORE), x->err_tail));
    if (x->o->exit_code != 0 && note & GD_NOTE_CHECK)
        return fail(x->o, GD_FAILED, gd_exception_exit(x->o->exit_code, x->err_tail));
    return succeed(x, note);
}

const struct gd_remote_ops gd_command_remote_ops = {
    .program = "gatherd-runner",
    .name = "runner",
    .kinds = {GD_KIND_RUN, GD_KIND_SHELL},
    .put_start = put_start,
    .read_exited = read_exited,
};
