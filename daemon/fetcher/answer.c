#include "daemon/fetcher/answer.h"

#include "base/parse.h"

#include <curl/curl.h>

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

void gd_answer_free(struct gd_answer *a)
{
    gd_buf_free(&a->fields);
    *a = (struct gd_answer){0};
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static struct gd_span trim(struct gd_span s)
{
    while (s.len > 0 && is_blank(s.ptr[0])) {
        s.ptr++;
        s.len--;
    }
    while (s.len > 0 && (is_blank(s.ptr[s.len - 1]) || strchr("\r\n", s.ptr[s.len - 1])))
        s.len--;
    return s;
}

/* A line that goes on with the field before it (RFC 9112, section 5.2). */
static void put_folded(struct gd_answer *a, struct gd_span line)
{
    if (a->fields.len == 0)
        return;
    a->fields.len--; /* its NUL */
    gd_buf_putc(&a->fields, ' ');
    gd_buf_span(&a->fields, trim(line));
    gd_buf_putc(&a->fields, '\0');
}

static void put_field(struct gd_answer *a, struct gd_span line)
{
    const char *colon = memchr(line.ptr, ':', line.len);
    if (!colon || colon == line.ptr)
        return;
    struct gd_span name = trim((struct gd_span){line.ptr, (size_t)(colon - line.ptr)});
    struct gd_span value =
        trim((struct gd_span){colon + 1, line.len - (size_t)(colon + 1 - line.ptr)});
    for (size_t i = 0; i < name.len; i++)
        gd_buf_putc(&a->fields, (char)tolower((unsigned char)name.ptr[i]));
    gd_buf_puts(&a->fields, ": ");
    gd_buf_span(&a->fields, value);
    gd_buf_putc(&a->fields, '\0');
    a->n_fields++;
}

int gd_answer_line(struct gd_answer *a, const char *line, size_t n)
{
    bool is_status = n >= 5 && memcmp(line, "HTTP/", 5) == 0;
    if (a->complete && !is_status)
        return 0;
    if (a->complete) {
        gd_buf_reset(&a->fields);
        a->n_fields = 0;
        a->complete = false;
    }
    if (is_status)
        return 0;
    a->fields.max = GD_ANSWER_BYTES;
    struct gd_span text = {line, n};
    if (trim(text).len == 0)
        a->complete = true;
    else if (is_blank(line[0]))
        put_folded(a, text);
    else
        put_field(a, text);
    return a->n_fields > GD_ANSWER_FIELDS ? -E2BIG : gd_buf_error(&a->fields);
}

/* --- reading */

/* Steps through the fields; NULL: there are no more. Start with NULL. After an error
 * the last one may lack its NUL: there are none then. */
static const char *next_field(const struct gd_answer *a, const char *field)
{
    if (a->fields.err < 0)
        return NULL;
    const char *next = field ? field + strlen(field) + 1 : a->fields.ptr;
    return next && next < a->fields.ptr + a->fields.len ? next : NULL;
}

/* Where the value of a field is; before it lie ": " and before those its name. */
static const char *value_of(const char *field)
{
    return strchr(field, ':') + 2;
}

static bool has_name(const char *field, const char *name, size_t n)
{
    return strncmp(field, name, n) == 0 && field[n] == ':';
}

const char *gd_answer_get(const struct gd_answer *a, const char *name)
{
    size_t n = strlen(name);
    for (const char *f = NULL; (f = next_field(a, f));)
        if (has_name(f, name, n))
            return value_of(f);
    return NULL;
}

static bool came_before(const struct gd_answer *a, const char *field, size_t name_len)
{
    for (const char *f = NULL; (f = next_field(a, f)) && f != field;)
        if (has_name(f, field, name_len))
            return true;
    return false;
}

void gd_answer_report(const struct gd_answer *a, struct gd_msg *m)
{
    if (!next_field(a, NULL))
        return;
    size_t opened = gd_msg_open(m, GD_FIELD_ANSWER_HEADERS);
    for (const char *f = NULL; (f = next_field(a, f));) {
        size_t n = (size_t)(value_of(f) - f) - 2;
        bool joins = !has_name(f, "set-cookie", 10);
        if (joins && came_before(a, f, n))
            continue;
        gd_buf_puts(&m->fields, f);
        for (const char *g = f; joins && (g = next_field(a, g));)
            if (has_name(g, f, n)) {
                gd_buf_puts(&m->fields, ", ");
                gd_buf_puts(&m->fields, value_of(g));
            }
        gd_buf_putc(&m->fields, '\0');
    }
    gd_msg_close(m, opened);
}

int64_t gd_answer_length(const struct gd_answer *a)
{
    const char *text = gd_answer_get(a, "content-length");
    uint64_t n = 0;
    if (!text || gd_answer_get(a, "transfer-encoding") ||
        gd_parse_u64((struct gd_span){text, strlen(text)}, INT64_MAX, &n) < 0)
        return -1;
    return (int64_t)n;
}

const char *gd_answer_validator(const struct gd_answer *a)
{
    const char *etag = gd_answer_get(a, "etag");
    if (etag && etag[0] == '"' && strlen(etag) >= 2)
        return etag;
    const char *modified = gd_answer_get(a, "last-modified");
    const char *date = gd_answer_get(a, "date");
    if (!modified || !date)
        return NULL;
    time_t modified_s = curl_getdate(modified, NULL);
    time_t date_s = curl_getdate(date, NULL);
    return modified_s >= 0 && date_s > modified_s ? modified : NULL;
}

bool gd_answer_range(const struct gd_answer *a, struct gd_content_range *ret)
{
    const char *text = gd_answer_get(a, "content-range");
    if (!text || strncasecmp(text, "bytes ", 6) != 0)
        return false;
    text += 6;
    const char *slash = strchr(text, '/');
    if (!slash)
        return false;
    struct gd_content_range r = {.total = -1};
    struct gd_span total = {slash + 1, strlen(slash + 1)};
    uint64_t n = 0;
    if (gd_parse_u64(total, INT64_MAX, &n) == 0)
        r.total = (int64_t)n;
    else if (strcmp(total.ptr, "*") != 0)
        return false;
    r.unsatisfied = slash == text + 1 && text[0] == '*';
    const char *dash = memchr(text, '-', (size_t)(slash - text));
    if (!r.unsatisfied &&
        (!dash ||
         gd_parse_u64((struct gd_span){text, (size_t)(dash - text)}, INT64_MAX, &r.first) < 0 ||
         gd_parse_u64((struct gd_span){dash + 1, (size_t)(slash - dash - 1)}, INT64_MAX, &r.last) <
             0 ||
         r.last < r.first || (r.total >= 0 && r.last >= (uint64_t)r.total)))
        return false;
    *ret = r;
    return true;
}
