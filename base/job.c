#include "base/job.h"

#include "base/job_fields.h"
#include "base/json_scan.h"
#include "base/limits.h"

#include <cjson/cJSON.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Decodes one item into `name` and `text`, whose memory is used again for the
 * next, and has it looked at. */
static void look_at(struct gd_job_decoding *d, struct gd_job_item *item, struct gd_span json,
                    struct gd_buf *name, struct gd_buf *text, gd_job_item_fn *fn)
{
    gd_buf_putc(name, '\0');
    item->name = name->ptr;
    if (json.ptr[0] == '"')
        gd_json_unquote(json, text);
    item->len = text->len;
    gd_buf_putc(text, '\0');
    item->text = text->ptr;
    if (name->err || text->err)
        d->no_memory = true;
    else if (json.ptr[0] != '"')
        gd_faults_add(d->faults, item->place, item->name, "must be a string");
    else
        fn(d, item);
    gd_buf_reset(name);
    gd_buf_reset(text);
}

static size_t look_at_all(struct gd_job_decoding *d, struct gd_span json, const char *place,
                          gd_job_item_fn *fn)
{
    struct gd_buf name = {0};
    struct gd_buf text = {0};
    struct gd_job_item item = {.place = place};
    struct gd_json_cursor c;
    struct gd_span quoted;
    struct gd_span value;
    bool first = true;
    gd_json_cursor_init(&c, json, GD_MAX_JSON_DEPTH);
    bool object = gd_json_peek(&c) == '{';
    gd_json_open(&c);
    for (;; item.index++) {
        if (object ? !gd_json_next_member(&c, &first, &quoted) : !gd_json_next_element(&c, &first))
            break;
        if (!gd_json_value(&c, &value))
            break;
        if (object)
            gd_json_unquote(quoted, &name);
        else
            gd_buf_u64(&name, item.index);
        look_at(d, &item, value, &name, &text, fn);
    }
    if (c.fault.what)
        d->no_memory = true; /* the text was checked before */
    gd_json_cursor_done(&c);
    gd_buf_free(&name);
    gd_buf_free(&text);
    return item.index;
}

struct cJSON *gd_job_strings(struct gd_job_decoding *d, struct gd_span json, const char *member,
                             size_t max, gd_job_item_fn *fn)
{
    size_t before = d->faults->n_all;
    struct gd_buf place = {0};
    gd_buf_puts(&place, d->pointer);
    gd_pointer_put(&place, member);
    gd_buf_putc(&place, '\0');
    size_t n = place.err ? 0 : look_at_all(d, json, place.ptr, fn);
    d->no_memory = d->no_memory || place.err;
    gd_buf_free(&place);
    if (n > max)
        gd_faults_add(d->faults, d->pointer, member, "has %zu items, the limit is %zu", n, max);
    /* cJSON cannot read all that the grammar allows (no number of more than 63
     * characters), but it can read strings. */
    if (d->no_memory || d->faults->n_all > before)
        return NULL;
    struct cJSON *tree = cJSON_ParseWithLength(json.ptr, json.len);
    if (!tree)
        d->no_memory = true;
    return tree;
}

bool gd_job_string(struct gd_job_decoding *d, struct gd_span json, const char *member, size_t max,
                   char **ret, size_t *ret_len)
{
    if (json.ptr[0] != '"') {
        gd_faults_add(d->faults, d->pointer, member, "must be a string");
        return false;
    }
    struct gd_buf plain = {0};
    gd_json_unquote(json, &plain);
    if (plain.len > max) {
        gd_faults_add(d->faults, d->pointer, member, "has %zu bytes, the limit is %zu", plain.len,
                      max);
        gd_buf_free(&plain);
        return false;
    }
    char *text = gd_buf_take(&plain, ret_len);
    gd_buf_free(&plain);
    if (!text) {
        d->no_memory = true;
        return false;
    }
    free(*ret);
    *ret = text;
    return true;
}

static void decode_name(struct gd_job_decoding *d, struct gd_span json)
{
    if (gd_job_check_name(json, d->pointer, d->faults))
        d->job->name = json;
}

static void decode_labels(struct gd_job_decoding *d, struct gd_span json)
{
    if (gd_job_check_labels(json, d->pointer, d->faults))
        d->job->labels = json;
}

static void decode_value(struct gd_job_decoding *d, struct gd_span json)
{
    d->job->value = json;
}

static void check_argument(struct gd_job_decoding *d, const struct gd_job_item *item)
{
    d->args_bytes += item->len + 1;
    if (item->index == 0 && item->len == 0)
        gd_faults_add(d->faults, item->place, item->name, "the program's name must not be empty");
    if (item->len > GD_MAX_ARG_BYTES)
        gd_faults_add(d->faults, item->place, item->name, "has %zu bytes, the limit is %d",
                      item->len, (int)GD_MAX_ARG_BYTES);
}

static void decode_run(struct gd_job_decoding *d, struct gd_span json)
{
    d->job->kind = GD_KIND_RUN;
    if (json.ptr[0] != '[') {
        gd_faults_add(d->faults, d->pointer, "run",
                      "must be an array of strings; a command line for a shell is \"shell\"");
        return;
    }
    d->detail->run = gd_job_strings(d, json, "run", GD_MAX_ARGV, check_argument);
    if (d->detail->run && !d->detail->run->child)
        gd_faults_add(d->faults, d->pointer, "run", "must name a program");
}

static void decode_shell(struct gd_job_decoding *d, struct gd_span json)
{
    d->job->kind = GD_KIND_SHELL;
    size_t len = 0;
    if (!gd_job_string(d, json, "shell", GD_MAX_ARG_BYTES, &d->detail->shell, &len))
        return;
    d->args_bytes += len + 1;
    if (len == 0)
        gd_faults_add(d->faults, d->pointer, "shell", "must not be empty");
}

static void decode_sleep(struct gd_job_decoding *d, struct gd_span json)
{
    d->job->kind = GD_KIND_SLEEP;
    (void)gd_job_check_seconds(json, d->pointer, "sleep", d->faults, &d->job->sleep_ms);
}

static void decode_timeout(struct gd_job_decoding *d, struct gd_span json)
{
    if (json.ptr[0] != 'n') /* null: no timeout, as asyncio's None */
        (void)gd_job_check_seconds(json, d->pointer, "timeout", d->faults, &d->job->timeout_ms);
}

static void decode_grace(struct gd_job_decoding *d, struct gd_span json)
{
    (void)gd_job_check_seconds(json, d->pointer, "grace", d->faults, &d->detail->grace_ms);
}

static void decode_priority(struct gd_job_decoding *d, struct gd_span json)
{
    int64_t n = 0;
    if (!gd_job_check_int(json, d->pointer, "priority", -GD_MAX_PRIORITY, GD_MAX_PRIORITY,
                          d->faults, &n))
        return;
    d->job->priority = (int16_t)n;
    d->job->has_priority = true;
}

static void decode_max_output(struct gd_job_decoding *d, struct gd_span json)
{
    (void)gd_job_check_int(json, d->pointer, "max_output", 0, GD_MAX_OUTPUT_BYTES, d->faults,
                           &d->detail->max_output);
}

static void decode_check(struct gd_job_decoding *d, struct gd_span json)
{
    (void)gd_job_check_bool(json, d->pointer, "check", d->faults, &d->detail->check);
}

static bool is_word(struct gd_span json, const char *word)
{
    return json.ptr[0] == '"' && gd_json_name_is(json, word);
}

static void decode_result(struct gd_job_decoding *d, struct gd_span json)
{
    if (is_word(json, "full"))
        d->detail->result = GD_RESULT_FULL;
    else if (is_word(json, "stdout"))
        d->detail->result = GD_RESULT_STDOUT;
    else if (is_word(json, "json"))
        d->detail->result = GD_RESULT_JSON;
    else
        gd_faults_add(d->faults, d->pointer, "result", "must be \"full\", \"stdout\" or \"json\"");
}

static void decode_on_lost(struct gd_job_decoding *d, struct gd_span json)
{
    if (is_word(json, "rerun"))
        d->job->rerun_if_lost = true;
    else if (!is_word(json, "fail"))
        gd_faults_add(d->faults, d->pointer, "on_lost", "must be \"fail\" or \"rerun\"");
}

static void decode_on(struct gd_job_decoding *d, struct gd_span json)
{
    if (!is_word(json, "local"))
        gd_faults_add(d->faults, d->pointer, "on", "must be \"local\"");
}

static void decode_cwd(struct gd_job_decoding *d, struct gd_span json)
{
    if (gd_job_string(d, json, "cwd", GD_MAX_PATH_BYTES, &d->detail->cwd, NULL) &&
        d->detail->cwd[0] != '/')
        gd_faults_add(d->faults, d->pointer, "cwd", "must be an absolute path");
}

static void decode_stdin(struct gd_job_decoding *d, struct gd_span json)
{
    (void)gd_job_string(d, json, "stdin", GD_MAX_JOB_BYTES, &d->detail->input,
                        &d->detail->input_bytes);
}

static void check_variable(struct gd_job_decoding *d, const struct gd_job_item *item)
{
    size_t len = strlen(item->name) + 1 + item->len;
    d->args_bytes += len + 1;
    if (!*item->name || strchr(item->name, '='))
        gd_faults_add(d->faults, item->place, item->name,
                      "the name of a variable must not be empty or contain '='");
    if (strncmp(item->name, "GATHERD_", 8) == 0)
        gd_faults_add(d->faults, item->place, item->name,
                      "names that start with GATHERD_ are set by gatherd");
    if (len > GD_MAX_ARG_BYTES)
        gd_faults_add(d->faults, item->place, item->name, "has %zu bytes, the limit is %d", len,
                      (int)GD_MAX_ARG_BYTES);
}

static void decode_env(struct gd_job_decoding *d, struct gd_span json)
{
    if (json.ptr[0] == '{')
        d->detail->env = gd_job_strings(d, json, "env", GD_MAX_ENV, check_variable);
    else
        gd_faults_add(d->faults, d->pointer, "env", "must be an object of strings");
}

#define ON(kind)   (1U << GD_KIND_##kind)
#define ON_COMMAND (ON(RUN) | ON(SHELL))
#define ON_EVERY   (ON_COMMAND | ON(SLEEP) | ON(FETCH))

/* X(name, decoder, kinds that have it, is it the kind itself) */
#define FIELDS(X)                                         \
    X("run", decode_run, ON(RUN), true)                   \
    X("shell", decode_shell, ON(SHELL), true)             \
    X("sleep", decode_sleep, ON(SLEEP), true)             \
    X("fetch", gd_job_decode_fetch, ON(FETCH), true)      \
    X("name", decode_name, ON_EVERY, false)               \
    X("value", decode_value, ON(SLEEP), false)            \
    X("timeout", decode_timeout, ON_EVERY, false)         \
    X("grace", decode_grace, ON_COMMAND, false)           \
    X("env", decode_env, ON_COMMAND, false)               \
    X("cwd", decode_cwd, ON_COMMAND, false)               \
    X("stdin", decode_stdin, ON_COMMAND, false)           \
    X("check", decode_check, ON_COMMAND, false)           \
    X("result", decode_result, ON_COMMAND, false)         \
    X("max_output", decode_max_output, ON_COMMAND, false) \
    X("labels", decode_labels, ON_EVERY, false)           \
    X("priority", decode_priority, ON_EVERY, false)       \
    X("on_lost", decode_on_lost, ON_EVERY, false)         \
    X("on", decode_on, ON_EVERY, false)

static const struct field {
    const char *name;
    void (*decode)(struct gd_job_decoding *d, struct gd_span json);
    unsigned kinds;
    bool is_kind;
} fields[] = {
#define X(text, fn, on, kind) {.name = (text), .decode = (fn), .kinds = (on), .is_kind = (kind)},
    FIELDS(X)
#undef X
};

#define N_FIELDS (sizeof(fields) / sizeof(fields[0]))

static const char *const field_names[] = {
#define X(text, fn, on, kind) (text),
    FIELDS(X)
#undef X
        NULL};

/* Decodes one member and notes it in `*seen`. */
static void decode_member(struct gd_job_decoding *d, struct gd_span name, struct gd_span json,
                          unsigned *seen)
{
    for (unsigned i = 0; i < N_FIELDS; i++) {
        if (!gd_json_name_is(name, fields[i].name))
            continue;
        if (!(*seen & 1U << i))
            fields[i].decode(d, json);
        *seen |= 1U << i;
        return;
    }
    gd_job_unknown(name, d->pointer, d->faults, field_names);
}

/* Faults that need the whole job: its size, which kind, and what belongs to it. */
static void check_members(struct gd_job_decoding *d, unsigned seen)
{
    if (d->args_bytes > GD_MAX_ARGS_BYTES)
        gd_faults_add(d->faults, d->pointer, NULL,
                      "the command and its environment have %zu bytes in all, the limit is %d",
                      d->args_bytes, (int)GD_MAX_ARGS_BYTES);
    unsigned n_kinds = 0;
    for (unsigned i = 0; i < N_FIELDS; i++)
        n_kinds += fields[i].is_kind && (seen & 1U << i);
    if (n_kinds != 1) {
        gd_faults_add(d->faults, d->pointer, NULL,
                      "must have exactly one of \"run\", \"shell\", \"sleep\", \"fetch\"; has %u",
                      n_kinds);
        return;
    }
    for (unsigned i = 0; i < N_FIELDS; i++)
        if ((seen & 1U << i) && !(fields[i].kinds & 1U << d->job->kind))
            gd_faults_add(d->faults, d->pointer, fields[i].name, "does not go with \"%s\"",
                          gd_kind_name((enum gd_kind)d->job->kind));
}

static void decode_members(struct gd_job_decoding *d, struct gd_span text)
{
    struct gd_json_cursor c;
    gd_json_cursor_init(&c, text, GD_MAX_JSON_DEPTH);
    if (gd_json_peek(&c) != '{') {
        gd_faults_add(d->faults, d->pointer, NULL, "must be an object that describes a job");
        return;
    }
    gd_json_open(&c);
    bool first = true;
    struct gd_span name;
    struct gd_span json;
    unsigned seen = 0;
    while (gd_json_next_member(&c, &first, &name) && gd_json_value(&c, &json))
        decode_member(d, name, json, &seen);
    if (c.nul_offset != SIZE_MAX)
        gd_faults_add(d->faults, d->pointer, NULL,
                      "has \\u0000 in a string (at byte %zu of the job), which no argument, path "
                      "or name can hold",
                      c.nul_offset);
    if (c.fault.what)
        d->no_memory = true; /* the text was checked before */
    gd_json_cursor_done(&c);
    check_members(d, seen);
}

void gd_job_detail_free(struct gd_job_detail *d)
{
    if (!d)
        return;
    cJSON_Delete(d->run);
    cJSON_Delete(d->env);
    cJSON_Delete(d->headers);
    free(d->shell);
    free(d->cwd);
    free(d->input);
    free(d->url);
    free(d->method);
    free(d->body);
    free(d->to);
    free(d->sha256);
    *d = (struct gd_job_detail){0};
}

int gd_job_decode(struct gd_span text, const char *pointer, struct gd_faults *faults,
                  struct gd_job *ret_job, struct gd_job_detail *ret_detail)
{
    struct gd_job job = {.text = text, .timeout_ms = GD_NO_TIMEOUT};
    struct gd_job_detail detail = {.grace_ms = GD_DEFAULT_GRACE_MS,
                                   .max_output = GD_DEFAULT_MAX_OUTPUT,
                                   .max_bytes = GD_DEFAULT_MAX_BYTES,
                                   .check = true};
    struct gd_job_decoding d = {
        .job = &job, .detail = &detail, .faults = faults, .pointer = pointer};
    size_t before = faults->n_all;
    decode_members(&d, text);
    int rc = faults->n_all > before ? GD_E_BAD_JOB : 0;
    if (d.no_memory || faults->no_memory)
        rc = -ENOMEM;
    *ret_job = job;
    if (rc == 0 && ret_detail) {
        *ret_detail = detail;
        return 0;
    }
    gd_job_detail_free(&detail);
    if (ret_detail)
        *ret_detail = (struct gd_job_detail){0};
    return rc;
}
