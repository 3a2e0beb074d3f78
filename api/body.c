#include "api/body.h"

#include "base/json_out.h"
#include "base/limits.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void gd_jobs_free(struct gd_jobs *j)
{
    free(j->items);
    gd_faults_free(&j->faults);
    *j = (struct gd_jobs){0};
}

static int add(struct gd_jobs *j, struct gd_span text, const char *pointer)
{
    if (j->n == j->cap) {
        size_t cap = j->cap ? j->cap + j->cap / 2 : 16;
        struct gd_job *items = realloc(j->items, cap * sizeof(*items));
        if (!items)
            return -ENOMEM;
        j->items = items;
        j->cap = cap;
    }
    int rc = gd_job_decode(text, pointer, &j->faults, &j->items[j->n], NULL);
    j->n += rc == 0;
    return rc;
}

/* What a scan or the decoding of its parts came to. */
static int verdict(struct gd_jobs *j, const struct gd_json_cursor *c, int rc)
{
    if (c->fault.no_memory)
        return -ENOMEM;
    if (c->fault.what) {
        j->json_fault = c->fault;
        return GD_E_BAD_JSON;
    }
    if (rc == -ENOMEM || j->faults.no_memory)
        return -ENOMEM;
    return j->faults.n_all > 0 ? GD_E_BAD_JOB : 0;
}

int gd_jobs_decode_one(struct gd_jobs *j, struct gd_span text)
{
    struct gd_json_cursor c;
    struct gd_span value;
    int rc = 0;
    gd_json_cursor_init(&c, text, GD_MAX_JSON_DEPTH);
    if (gd_json_value(&c, &value) && gd_json_end(&c)) {
        if (value.ptr[0] == '[')
            gd_faults_add(&j->faults, "", NULL,
                          "must be one job; a list of jobs goes to /v1/batches or /v1/gather");
        else
            rc = add(j, value, "");
    }
    gd_json_cursor_done(&c);
    return verdict(j, &c, rc);
}

int gd_jobs_decode_line(struct gd_jobs *j, struct gd_span text, size_t line)
{
    struct gd_json_cursor c;
    struct gd_span value;
    char pointer[32];
    int rc = 0;
    (void)snprintf(pointer, sizeof(pointer), "/%zu", line);
    gd_json_cursor_init(&c, text, GD_MAX_JSON_DEPTH);
    if (gd_json_value(&c, &value) && gd_json_end(&c))
        rc = add(j, value, pointer);
    gd_json_cursor_done(&c);
    return verdict(j, &c, rc);
}

/* --- options */

static void set_name(struct gd_jobs *j, struct gd_span json, const char *at)
{
    if (gd_job_check_name(json, at, &j->faults))
        j->spec.name = json;
}

static void set_labels(struct gd_jobs *j, struct gd_span json, const char *at)
{
    if (gd_job_check_labels(json, at, &j->faults))
        j->spec.labels = json;
}

static void set_return_exceptions(struct gd_jobs *j, struct gd_span json, const char *at)
{
    (void)gd_job_check_bool(json, at, "return_exceptions", &j->faults, &j->spec.return_exceptions);
}

static void set_concurrency(struct gd_jobs *j, struct gd_span json, const char *at)
{
    int64_t n = 0;
    if (json.ptr[0] == 'n') /* null: not bounded */
        j->spec.concurrency = 0;
    else if (gd_job_check_int(json, at, "concurrency", 1, GD_MAX_CONCURRENCY, &j->faults, &n))
        j->spec.concurrency = (uint32_t)n;
}

static void set_on_failure(struct gd_jobs *j, struct gd_span json, const char *at)
{
    bool cancel = json.ptr[0] == '"' && gd_json_name_is(json, "cancel");
    if (cancel || (json.ptr[0] == '"' && gd_json_name_is(json, "continue")))
        j->spec.cancel_on_failure = cancel;
    else
        gd_faults_add(&j->faults, at, "on_failure", "must be \"continue\" or \"cancel\"");
}

static void set_timeout(struct gd_jobs *j, struct gd_span json, const char *at)
{
    if (json.ptr[0] != 'n')
        (void)gd_job_check_seconds(json, at, "timeout", &j->faults, &j->spec.timeout_ms);
}

static void set_priority(struct gd_jobs *j, struct gd_span json, const char *at)
{
    int64_t n = 0;
    if (gd_job_check_int(json, at, "priority", -GD_MAX_PRIORITY, GD_MAX_PRIORITY, &j->faults, &n))
        j->spec.priority = (int16_t)n;
}

static const struct option {
    const char *name;
    void (*set)(struct gd_jobs *j, struct gd_span json, const char *at);
} options[] = {
    {"name", set_name},
    {"labels", set_labels},
    {"return_exceptions", set_return_exceptions},
    {"concurrency", set_concurrency},
    {"on_failure", set_on_failure},
    {"timeout", set_timeout},
    {"priority", set_priority},
};

#define N_OPTIONS (sizeof(options) / sizeof(options[0]))

static const char *const member_names[] = {
    "jobs",    "name",     "labels", "return_exceptions", "concurrency", "on_failure",
    "timeout", "priority", NULL};

static bool is_kind(struct gd_span name)
{
    return gd_json_name_is(name, "run") || gd_json_name_is(name, "shell") ||
           gd_json_name_is(name, "sleep") || gd_json_name_is(name, "fetch");
}

/* Decodes one option and notes it in `*seen`. */
static void set_option(struct gd_jobs *j, struct gd_span name, struct gd_span json, unsigned *seen)
{
    for (unsigned i = 0; i < N_OPTIONS; i++) {
        if (!gd_json_name_is(name, options[i].name))
            continue;
        if (*seen & 1U << i)
            gd_faults_add(&j->faults, "", options[i].name, "is there twice");
        *seen |= 1U << i;
        options[i].set(j, json, "");
        return;
    }
    if (is_kind(name))
        gd_faults_add(&j->faults, "", NULL,
                      "this is a job; a batch is {\"jobs\": [...]} or an array of jobs, and one "
                      "job goes to /v1/tasks");
    else
        gd_job_unknown(name, "", &j->faults, member_names);
}

/* --- batches */

/* The array of jobs, at its bracket. `prefix` is its pointer. */
static int decode_array(struct gd_jobs *j, struct gd_json_cursor *c, const char *prefix)
{
    char pointer[48];
    struct gd_span value;
    bool first = true;
    int rc = 0;
    size_t n = 0;
    gd_json_open(c);
    while (rc != -ENOMEM && gd_json_next_element(c, &first) && gd_json_value(c, &value)) {
        if (n++ >= GD_MAX_JOBS)
            continue;
        (void)snprintf(pointer, sizeof(pointer), "%s/%zu", prefix, n - 1);
        if (value.len > GD_MAX_JOB_BYTES)
            gd_faults_add(&j->faults, pointer, NULL, "has %zu bytes, the limit is %d", value.len,
                          (int)GD_MAX_JOB_BYTES);
        else
            rc = add(j, value, pointer);
    }
    if (n > GD_MAX_JOBS)
        gd_faults_add(&j->faults, prefix, NULL, "has %zu jobs, the limit is %d", n,
                      (int)GD_MAX_JOBS);
    return rc == -ENOMEM ? rc : 0;
}

static int decode_object(struct gd_jobs *j, struct gd_json_cursor *c)
{
    struct gd_span name;
    struct gd_span value;
    bool first = true;
    bool has_jobs = false;
    unsigned seen = 0;
    int rc = 0;
    gd_json_open(c);
    while (rc == 0 && gd_json_next_member(c, &first, &name)) {
        bool jobs = gd_json_name_is(name, "jobs");
        if (jobs && has_jobs)
            gd_faults_add(&j->faults, "/jobs", NULL, "is there twice");
        if (jobs && !has_jobs && gd_json_peek(c) == '[') {
            has_jobs = true;
            rc = decode_array(j, c, "/jobs");
            continue;
        }
        if (!gd_json_value(c, &value))
            break;
        if (jobs)
            gd_faults_add(&j->faults, "/jobs", NULL, "must be an array of jobs");
        else
            set_option(j, name, value, &seen);
        has_jobs = has_jobs || jobs;
    }
    if (!has_jobs && j->faults.n_all == 0 && !c->fault.what)
        gd_faults_add(&j->faults, "/jobs", NULL, "is missing");
    return rc;
}

static void apply_priority(struct gd_jobs *j)
{
    for (size_t i = 0; j->spec.priority && i < j->n; i++)
        if (!j->items[i].has_priority)
            j->items[i].priority = j->spec.priority;
}

int gd_jobs_decode_batch(struct gd_jobs *j, struct gd_span text)
{
    struct gd_json_cursor c;
    int rc = 0;
    gd_json_cursor_init(&c, text, GD_MAX_JSON_DEPTH);
    char bracket = gd_json_peek(&c);
    if (bracket == '[') {
        rc = decode_array(j, &c, "");
    } else if (bracket == '{') {
        rc = decode_object(j, &c);
    } else {
        struct gd_span value;
        if (gd_json_value(&c, &value))
            gd_faults_add(&j->faults, "", NULL,
                          "must be an object with \"jobs\", or an array of jobs");
    }
    if (!c.fault.what)
        (void)!gd_json_end(&c);
    gd_json_cursor_done(&c);
    apply_priority(j);
    return verdict(j, &c, rc);
}

/* --- options in the query */

/* A query value as JSON: words and numbers stay, everything else is a string. */
static void put_value(struct gd_buf *b, const char *name, const char *value)
{
    struct gd_json_fault ignored;
    struct gd_span text = {value, strlen(value)};
    bool is_text = strcmp(name, "name") == 0 || strcmp(name, "on_failure") == 0;
    if (strcmp(name, "return_exceptions") == 0 && (!*value || strcmp(value, "1") == 0))
        gd_json_bool(b, true);
    else if (strcmp(name, "return_exceptions") == 0 && strcmp(value, "0") == 0)
        gd_json_bool(b, false);
    else if (!is_text && gd_json_check(text, 1, &ignored))
        gd_json_raw(b, text);
    else
        gd_json_str(b, value);
}

static void put_labels(struct gd_buf *b, const struct gd_params *params, struct gd_faults *faults)
{
    bool any = false;
    for (size_t i = 0; i < params->n; i++) {
        const char *value = params->items[i].value;
        const char *equals = strchr(value, '=');
        if (strcmp(params->items[i].name, "label") != 0)
            continue;
        if (!equals) {
            gd_faults_add(faults, "?label", NULL, "must be key=value");
            continue;
        }
        if (!any) {
            gd_json_name(b, "labels");
            gd_json_begin(b, '{');
        }
        any = true;
        gd_json_strn(b, value, (size_t)(equals - value));
        gd_buf_putc(b, ':');
        gd_json_str(b, equals + 1);
    }
    if (any)
        gd_json_finish(b, '}');
}

int gd_jobs_options(struct gd_jobs *j, const struct gd_params *params, struct gd_buf *text)
{
    j->spec = (struct gd_batch_spec){.timeout_ms = GD_NO_TIMEOUT};
    gd_json_begin(text, '{');
    for (unsigned i = 0; i < N_OPTIONS; i++) {
        const char *value = gd_params_get(params, options[i].name);
        if (!value)
            continue;
        gd_json_name(text, options[i].name);
        put_value(text, options[i].name, value);
    }
    put_labels(text, params, &j->faults);
    gd_json_finish(text, '}');
    if (gd_buf_error(text) < 0)
        return -ENOMEM;

    struct gd_json_cursor c;
    struct gd_span name;
    struct gd_span value;
    bool first = true;
    unsigned seen = 0;
    gd_json_cursor_init(&c, gd_buf_view(text), GD_MAX_JSON_DEPTH);
    (void)gd_json_peek(&c);
    gd_json_open(&c);
    while (gd_json_next_member(&c, &first, &name) && gd_json_value(&c, &value))
        set_option(j, name, value, &seen);
    gd_json_cursor_done(&c);
    return verdict(j, &c, 0);
}
