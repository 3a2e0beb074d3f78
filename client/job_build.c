/* A job is put together in pieces, because env, labels, headers and what belongs
 * to a fetch are objects of their own that setters add to one by one. */
#include "client/job_build.h"

#include "base/json_out.h"
#include "base/json_scan.h"
#include "base/utf8.h"
#include "client/error.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct gather_job {
    const char *kind;     /* "run", …; NULL: `fields` is the whole job */
    struct gd_buf value;  /* JSON of the kind's own member; of a fetch: of its URL */
    struct gd_buf fields; /* "name":value,… */
    struct gd_buf env;    /* the same, of each object */
    struct gd_buf labels;
    struct gd_buf fetch;
    struct gd_buf headers;
    char fault[128]; /* the first; empty: none */
};

static void blame(struct gather_job *job, const char *what, const char *why)
{
    if (!job->fault[0])
        (void)snprintf(job->fault, sizeof(job->fault), "%.60s %s", what, why);
}

/* A string as JSON, or a fault: replacing bytes would be another file name. */
static void put_text(struct gather_job *job, struct gd_buf *to, const char *what, const char *text,
                     size_t n)
{
    if (!gd_utf8_valid(text, n))
        blame(job, what, "is not UTF-8, which a job's text must be");
    else if (memchr(text, '\0', n))
        blame(job, what, "contains a NUL byte, which no job may carry");
    else
        gd_json_strn(to, text, n);
}

static void put_pair(struct gather_job *job, struct gd_buf *to, const char *what, const char *name,
                     const char *value)
{
    struct gd_buf pair = {0};
    put_text(job, &pair, what, name, strlen(name));
    gd_buf_putc(&pair, ':');
    put_text(job, &pair, what, value, strlen(value));
    gd_json_raw(to, gd_buf_view(&pair));
    if (gd_buf_error(&pair))
        to->err = gd_buf_error(&pair);
    gd_buf_free(&pair);
}

void gather_job_free(struct gather_job *job)
{
    if (!job)
        return;
    gd_buf_free(&job->value);
    gd_buf_free(&job->fields);
    gd_buf_free(&job->env);
    gd_buf_free(&job->labels);
    gd_buf_free(&job->fetch);
    gd_buf_free(&job->headers);
    free(job);
}

static struct gather_job *new_job(const char *kind)
{
    struct gather_job *job = calloc(1, sizeof(*job));
    if (job)
        job->kind = kind;
    return job;
}

struct gather_job *gather_job_run(const char *const *argv)
{
    struct gather_job *job = new_job("run");
    if (!job)
        return NULL;
    gd_json_begin(&job->value, '[');
    for (; *argv; argv++)
        put_text(job, &job->value, "an argument", *argv, strlen(*argv));
    gd_json_finish(&job->value, ']');
    return job;
}

struct gather_job *gather_job_shell(const char *line)
{
    struct gather_job *job = new_job("shell");
    if (job)
        put_text(job, &job->value, "the line for the shell", line, strlen(line));
    return job;
}

struct gather_job *gather_job_fetch(const char *url)
{
    struct gather_job *job = new_job("fetch");
    if (job)
        put_text(job, &job->value, "the URL", url, strlen(url));
    return job;
}

struct gather_job *gather_job_sleep(int64_t sleep_ms)
{
    struct gather_job *job = new_job("sleep");
    if (job)
        gd_json_ms(&job->value, sleep_ms);
    return job;
}

/* Adds one checked JSON value as it is. */
static void put_json(struct gather_job *job, struct gd_buf *to, const char *what, const char *json)
{
    struct gd_json_fault fault = {0};
    struct gd_span text = {json, strlen(json)};
    if (gd_json_check(text, GD_JSON_MAX_DEPTH, &fault))
        gd_json_raw(to, text);
    else
        blame(job, what, fault.what ? fault.what : "is not JSON");
}

struct gather_job *gather_job_json(const char *json)
{
    struct gather_job *job = new_job(NULL);
    if (!job)
        return NULL;
    put_json(job, &job->value, "the job:", json);
    if (json[strspn(json, " \t\r\n")] != '{')
        blame(job, "the job", "is not a JSON object");
    return job;
}

struct gather_job *gather_job_task(uint64_t task)
{
    struct gather_job *job = new_job("task");
    if (job)
        gd_json_u64(&job->value, task);
    return job;
}

static void set_text(struct gather_job *job, struct gd_buf *to, const char *member,
                     const char *text, size_t n)
{
    gd_json_name(to, member);
    put_text(job, to, member, text, n);
}

void gather_job_set_name(struct gather_job *job, const char *name)
{
    set_text(job, &job->fields, "name", name, strlen(name));
}

void gather_job_set_timeout(struct gather_job *job, int64_t timeout_ms)
{
    gd_json_name(&job->fields, "timeout");
    gd_json_ms(&job->fields, timeout_ms);
}

void gather_job_set_grace(struct gather_job *job, int64_t grace_ms)
{
    gd_json_name(&job->fields, "grace");
    gd_json_ms(&job->fields, grace_ms);
}

void gather_job_set_cwd(struct gather_job *job, const char *path)
{
    set_text(job, &job->fields, "cwd", path, strlen(path));
}

void gather_job_set_stdin(struct gather_job *job, const char *text, size_t n)
{
    set_text(job, &job->fields, "stdin", text, n);
}

void gather_job_set_priority(struct gather_job *job, int64_t priority)
{
    gd_json_name(&job->fields, "priority");
    gd_json_i64(&job->fields, priority);
}

void gather_job_add_env(struct gather_job *job, const char *name, const char *value)
{
    put_pair(job, &job->env, "a variable of the environment", name, value);
}

void gather_job_add_label(struct gather_job *job, const char *name, const char *value)
{
    put_pair(job, &job->labels, "a label", name, value);
}

void gather_job_set_to(struct gather_job *job, const char *path)
{
    set_text(job, &job->fetch, "to", path, strlen(path));
}

void gather_job_set_sha256(struct gather_job *job, const char *hex)
{
    set_text(job, &job->fetch, "sha256", hex, strlen(hex));
}

void gather_job_set_max_bytes(struct gather_job *job, int64_t bytes)
{
    gd_json_name(&job->fetch, "max_bytes");
    gd_json_i64(&job->fetch, bytes);
}

void gather_job_set_resume(struct gather_job *job)
{
    gd_json_name(&job->fetch, "resume");
    gd_json_bool(&job->fetch, true);
}

void gather_job_add_header(struct gather_job *job, const char *name, const char *value)
{
    put_pair(job, &job->headers, "a header", name, value);
}

void gather_job_set(struct gather_job *job, const char *member, const char *json)
{
    gd_json_name(&job->fields, member);
    put_json(job, &job->fields, member, json);
}

/* {pairs} as the member `name`, if there are any. */
static void put_object(struct gd_buf *to, const char *name, const struct gd_buf *pairs)
{
    if (pairs->len == 0)
        return;
    gd_json_name(to, name);
    gd_json_begin(to, '{');
    gd_buf_span(to, gd_buf_view(pairs));
    gd_json_finish(to, '}');
}

static void put_fetch(struct gd_buf *to, const struct gather_job *job)
{
    if (job->fetch.len == 0 && job->headers.len == 0) {
        gd_json_raw(to, gd_buf_view(&job->value));
        return;
    }
    gd_json_begin(to, '{');
    gd_json_name(to, "url");
    gd_json_raw(to, gd_buf_view(&job->value));
    if (job->fetch.len > 0)
        gd_json_raw(to, gd_buf_view(&job->fetch));
    put_object(to, "headers", &job->headers);
    gd_json_finish(to, '}');
}

static int first_error(const struct gather_job *job)
{
    const struct gd_buf *parts[] = {&job->value,  &job->fields, &job->env,
                                    &job->labels, &job->fetch,  &job->headers};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        if (gd_buf_error(parts[i]))
            return gd_buf_error(parts[i]);
    return 0;
}

enum gather_code gather_job_put(struct gd_buf *to, const struct gather_job *job,
                                struct gather_error *err)
{
    if (job->fault[0])
        return gather_fail(err, GATHER_E_ARGUMENT, "%s", job->fault);
    int rc = first_error(job);
    if (rc == -E2BIG)
        return gather_fail(err, GATHER_E_ARGUMENT, "the job is too large");
    if (rc < 0)
        return gather_fail_memory(err);
    if (!job->kind) {
        gd_json_raw(to, gd_buf_view(&job->value));
        return GATHER_OK;
    }
    gd_json_begin(to, '{');
    gd_json_name(to, job->kind);
    if (strcmp(job->kind, "fetch") == 0)
        put_fetch(to, job);
    else
        gd_json_raw(to, gd_buf_view(&job->value));
    if (job->fields.len > 0)
        gd_json_raw(to, gd_buf_view(&job->fields));
    put_object(to, "env", &job->env);
    put_object(to, "labels", &job->labels);
    gd_json_finish(to, '}');
    return gd_buf_error(to) ? gather_fail_memory(err) : GATHER_OK;
}
