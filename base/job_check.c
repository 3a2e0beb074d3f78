/* The checks that jobs, batches and queries share. */
#include "base/job.h"
#include "base/json_scan.h"
#include "base/limits.h"
#include "base/parse.h"
#include "base/suggest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool is_string(struct gd_span json)
{
    return json.len > 0 && json.ptr[0] == '"';
}

/* Bytes that a quoted string stands for; escapes are only counted if it could
 * matter. Without memory 1, which is fine everywhere. */
static size_t unquoted_len(struct gd_span quoted, size_t max, struct gd_faults *faults)
{
    size_t n = quoted.len - 2;
    if (n <= max)
        return n;
    struct gd_buf plain = {0};
    gd_json_unquote(quoted, &plain);
    n = plain.err ? 1 : plain.len;
    faults->no_memory = faults->no_memory || plain.err;
    gd_buf_free(&plain);
    return n;
}

bool gd_job_check_name(struct gd_span json, const char *pointer, struct gd_faults *faults)
{
    if (!is_string(json)) {
        gd_faults_add(faults, pointer, "name", "must be a string");
        return false;
    }
    size_t n = unquoted_len(json, GD_MAX_NAME_BYTES, faults);
    if (n == 0) {
        gd_faults_add(faults, pointer, "name", "must not be empty");
        return false;
    }
    if (n > GD_MAX_NAME_BYTES) {
        gd_faults_add(faults, pointer, "name", "has %zu bytes, the limit is %d", n,
                      (int)GD_MAX_NAME_BYTES);
        return false;
    }
    return true;
}

static void check_label(struct gd_span key, struct gd_span value, const char *pointer,
                        struct gd_faults *faults)
{
    struct gd_buf name = {0};
    gd_json_unquote(key, &name);
    size_t n = name.len;
    gd_buf_putc(&name, '\0');
    if (name.err) {
        faults->no_memory = true;
        gd_buf_free(&name);
        return;
    }
    if (n == 0)
        gd_faults_add(faults, pointer, name.ptr, "a label's key must not be empty");
    if (n > GD_MAX_LABEL_KEY_BYTES)
        gd_faults_add(faults, pointer, NULL, "a label's key has %zu bytes, the limit is %d", n,
                      (int)GD_MAX_LABEL_KEY_BYTES);
    if (!is_string(value))
        gd_faults_add(faults, pointer, name.ptr, "a label's value must be a string");
    else if (unquoted_len(value, GD_MAX_LABEL_BYTES, faults) > GD_MAX_LABEL_BYTES)
        gd_faults_add(faults, pointer, name.ptr, "has more than %d bytes", (int)GD_MAX_LABEL_BYTES);
    gd_buf_free(&name);
}

static size_t check_each_label(struct gd_span json, const char *pointer, struct gd_faults *faults)
{
    struct gd_json_cursor c;
    gd_json_cursor_init(&c, json, GD_MAX_JSON_DEPTH);
    (void)gd_json_peek(&c);
    gd_json_open(&c);
    bool first = true;
    struct gd_span key;
    struct gd_span value;
    size_t n = 0;
    while (gd_json_next_member(&c, &first, &key) && gd_json_value(&c, &value)) {
        n++;
        check_label(key, value, pointer, faults);
    }
    if (c.fault.what)
        faults->no_memory = true; /* the text was checked before */
    gd_json_cursor_done(&c);
    return n;
}

bool gd_job_check_labels(struct gd_span json, const char *pointer, struct gd_faults *faults)
{
    size_t before = faults->n_all;
    if (json.len == 0 || json.ptr[0] != '{') {
        gd_faults_add(faults, pointer, "labels", "must be an object of strings");
        return false;
    }
    struct gd_buf where = {0};
    gd_buf_puts(&where, pointer);
    gd_buf_puts(&where, "/labels");
    gd_buf_putc(&where, '\0');
    size_t n = where.err ? 0 : check_each_label(json, where.ptr, faults);
    faults->no_memory = faults->no_memory || where.err;
    gd_buf_free(&where);
    if (n > GD_MAX_LABELS)
        gd_faults_add(faults, pointer, "labels", "has %zu labels, the limit is %d", n,
                      (int)GD_MAX_LABELS);
    return faults->n_all == before && !faults->no_memory;
}

bool gd_job_check_seconds(struct gd_span json, const char *pointer, const char *member,
                          struct gd_faults *faults, int64_t *ret_ms)
{
    int64_t ms = 0;
    int rc = gd_parse_seconds(json, &ms);
    if (rc == 0)
        *ret_ms = ms;
    else if (rc == -ERANGE)
        gd_faults_add(faults, pointer, member, "must be between 0 and %lld seconds",
                      (long long)GD_MAX_SECONDS);
    else
        gd_faults_add(faults, pointer, member, "must be a number of seconds");
    return rc == 0;
}

bool gd_job_check_int(struct gd_span json, const char *pointer, const char *member, int64_t min,
                      int64_t max, struct gd_faults *faults, int64_t *ret)
{
    int64_t n = 0;
    int rc = gd_parse_json_int(json, min, max, &n);
    if (rc == 0)
        *ret = n;
    else
        gd_faults_add(faults, pointer, member, "must be an integer between %lld and %lld",
                      (long long)min, (long long)max);
    return rc == 0;
}

bool gd_job_check_bool(struct gd_span json, const char *pointer, const char *member,
                       struct gd_faults *faults, bool *ret)
{
    bool is_true = json.len == 4 && memcmp(json.ptr, "true", 4) == 0;
    bool is_false = json.len == 5 && memcmp(json.ptr, "false", 5) == 0;
    if (is_true || is_false)
        *ret = is_true;
    else
        gd_faults_add(faults, pointer, member, "must be true or false");
    return is_true || is_false;
}

void gd_job_unknown(struct gd_span name, const char *pointer, struct gd_faults *faults,
                    const char *const *known)
{
    struct gd_buf plain = {0};
    gd_json_unquote(name, &plain);
    const char *meant = gd_suggest(gd_buf_view(&plain), known);
    gd_buf_putc(&plain, '\0');
    if (plain.err)
        faults->no_memory = true;
    else if (meant)
        gd_faults_add(faults, pointer, plain.ptr, "unknown field; did you mean \"%s\"?", meant);
    else
        gd_faults_add(faults, pointer, plain.ptr, "unknown field");
    gd_buf_free(&plain);
}
