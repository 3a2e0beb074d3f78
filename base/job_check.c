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
 * matter. */
static size_t unquoted_len(struct gd_span quoted, size_t max)
{
    size_t n = quoted.len - 2;
    if (n <= max)
        return n;
    struct gd_buf plain = {0};
    gd_json_unquote(quoted, &plain);
    n = plain.err ? max + 1 : plain.len;
    gd_buf_free(&plain);
    return n;
}

bool gd_job_check_name(struct gd_span json, const char *pointer, struct gd_faults *faults)
{
    if (!is_string(json)) {
        gd_faults_add(faults, pointer, "name", "must be a string");
        return false;
    }
    size_t n = unquoted_len(json, GD_MAX_NAME_BYTES);
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
    struct gd_buf plain = {0};
    gd_json_unquote(key, &plain);
    gd_buf_putc(&plain, '\0');
    const char *name = plain.err ? "?" : plain.ptr;
    if (plain.len <= 1)
        gd_faults_add(faults, pointer, name, "a label's key must not be empty");
    else if (plain.len - 1 > GD_MAX_LABEL_KEY_BYTES)
        gd_faults_add(faults, pointer, NULL, "a label's key has %zu bytes, the limit is %d",
                      plain.len - 1, (int)GD_MAX_LABEL_KEY_BYTES);
    if (!is_string(value))
        gd_faults_add(faults, pointer, name, "a label's value must be a string");
    else if (unquoted_len(value, GD_MAX_LABEL_BYTES) > GD_MAX_LABEL_BYTES)
        gd_faults_add(faults, pointer, name, "has more than %d bytes", (int)GD_MAX_LABEL_BYTES);
    gd_buf_free(&plain);
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
    const char *place = where.err ? pointer : where.ptr;

    struct gd_json_cursor c;
    gd_json_cursor_init(&c, json, 4);
    (void)gd_json_peek(&c);
    gd_json_open(&c);
    bool first = true;
    struct gd_span key;
    struct gd_span value;
    size_t n = 0;
    while (gd_json_next_member(&c, &first, &key) && gd_json_value(&c, &value)) {
        n++;
        check_label(key, value, place, faults);
    }
    gd_json_cursor_done(&c);
    if (n > GD_MAX_LABELS)
        gd_faults_add(faults, pointer, "labels", "has %zu labels, the limit is %d", n,
                      (int)GD_MAX_LABELS);
    gd_buf_free(&where);
    return faults->n_all == before;
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
    const char *meant = plain.err ? NULL : gd_suggest(gd_buf_view(&plain), known);
    gd_buf_putc(&plain, '\0');
    const char *member = plain.err ? "?" : plain.ptr;
    if (meant)
        gd_faults_add(faults, pointer, member, "unknown field; did you mean \"%s\"?", meant);
    else
        gd_faults_add(faults, pointer, member, "unknown field");
    gd_buf_free(&plain);
}
