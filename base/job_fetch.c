/* The decoder of "fetch": a URL, or an object with a URL and more. */
#include "base/job_fields.h"
#include "base/json_scan.h"
#include "base/limits.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

/* RFC 9110, section 5.6.2. */
static bool is_token(const char *s)
{
    if (!*s)
        return false;
    for (; *s; s++)
        if (!isalnum((unsigned char)*s) && !strchr("!#$%&'*+-.^_`|~", *s))
            return false;
    return true;
}

/* Host and port of an http(s) URL, after any user name; empty: it has none. */
static struct gd_span authority(const char *url)
{
    const char *from = strstr(url, "://");
    if (!from)
        return GD_SPAN("");
    from += 3;
    size_t n = strcspn(from, "/?#");
    for (size_t i = n; i > 0; i--)
        if (from[i - 1] == '@')
            return (struct gd_span){from + i, n - i};
    return (struct gd_span){from, n};
}

static size_t host_bytes(struct gd_span host)
{
    if (host.len > 0 && host.ptr[0] == '[')
        return host.len;
    const char *colon = memchr(host.ptr, ':', host.len);
    return colon ? (size_t)(colon - host.ptr) : host.len;
}

static uint32_t host_hash(struct gd_span host)
{
    uint32_t h = 2166136261U; /* FNV-1a */
    for (size_t i = 0; i < host.len; i++)
        h = (h ^ (uint32_t)tolower((unsigned char)host.ptr[i])) * 16777619U;
    return h ? h : 1;
}

static void decode_url(struct gd_job_decoding *d, struct gd_span json)
{
    if (!gd_job_string(d, json, "url", GD_MAX_URL_BYTES, &d->detail->url, NULL))
        return;
    const char *url = d->detail->url;
    if (strncasecmp(url, "http://", 7) != 0 && strncasecmp(url, "https://", 8) != 0) {
        gd_faults_add(d->faults, d->pointer, "url", "must start with http:// or https://");
        return;
    }
    for (const char *p = url; *p; p++)
        if ((unsigned char)*p <= ' ' || *p == 0x7f) {
            gd_faults_add(d->faults, d->pointer, "url",
                          "must not contain blanks or control characters");
            return;
        }
    struct gd_span host = authority(url);
    size_t n = host_bytes(host);
    if (n == 0)
        gd_faults_add(d->faults, d->pointer, "url", "must name a host");
    else if (n > 253) /* RFC 1035, section 2.3.4 */
        gd_faults_add(d->faults, d->pointer, "url", "the host has %zu bytes, the limit is 253", n);
    d->job->host = host_hash(host);
}

static void decode_method(struct gd_job_decoding *d, struct gd_span json)
{
    if (gd_job_string(d, json, "method", 32, &d->detail->method, NULL) &&
        !is_token(d->detail->method))
        gd_faults_add(d->faults, d->pointer, "method", "must be a method's name, such as \"POST\"");
}

static void check_header(struct gd_job_decoding *d, const struct gd_job_item *item)
{
    if (!is_token(item->name))
        gd_faults_add(d->faults, item->place, item->name, "this is no valid name of a header");
    if (strpbrk(item->text, "\r\n"))
        gd_faults_add(d->faults, item->place, item->name, "must be one line");
    if (strlen(item->name) + item->len > GD_MAX_FETCH_HEADER_BYTES)
        gd_faults_add(d->faults, item->place, item->name, "has more than %d bytes",
                      (int)GD_MAX_FETCH_HEADER_BYTES);
}

static void decode_headers(struct gd_job_decoding *d, struct gd_span json)
{
    if (json.ptr[0] == '{')
        d->detail->headers = gd_job_strings(d, json, "headers", GD_MAX_FETCH_HEADERS, check_header);
    else
        gd_faults_add(d->faults, d->pointer, "headers", "must be an object of strings");
}

static void decode_body(struct gd_job_decoding *d, struct gd_span json)
{
    (void)gd_job_string(d, json, "body", GD_MAX_JOB_BYTES, &d->detail->body,
                        &d->detail->body_bytes);
}

static void decode_to(struct gd_job_decoding *d, struct gd_span json)
{
    if (!gd_job_string(d, json, "to", GD_MAX_PATH_BYTES, &d->detail->to, NULL))
        return;
    size_t n = strlen(d->detail->to);
    if (d->detail->to[0] != '/' || d->detail->to[n - 1] == '/')
        gd_faults_add(d->faults, d->pointer, "to", "must be the absolute path of a file");
}

static void decode_sha256(struct gd_job_decoding *d, struct gd_span json)
{
    if (!gd_job_string(d, json, "sha256", 128, &d->detail->sha256, NULL))
        return;
    char *digest = d->detail->sha256;
    size_t n = strspn(digest, "0123456789abcdefABCDEF");
    if (n != 64 || digest[n] != '\0')
        gd_faults_add(d->faults, d->pointer, "sha256", "must be 64 hexadecimal digits");
    for (; *digest; digest++)
        *digest = (char)tolower((unsigned char)*digest);
}

static void decode_max_bytes(struct gd_job_decoding *d, struct gd_span json)
{
    (void)gd_job_check_int(json, d->pointer, "max_bytes", 0, GD_MAX_FETCH_BYTES, d->faults,
                           &d->detail->max_bytes);
}

static void decode_resume(struct gd_job_decoding *d, struct gd_span json)
{
    (void)gd_job_check_bool(json, d->pointer, "resume", d->faults, &d->detail->resume);
}

/* X(name, decoder) */
#define FIELDS(X)                    \
    X("url", decode_url)             \
    X("method", decode_method)       \
    X("headers", decode_headers)     \
    X("body", decode_body)           \
    X("to", decode_to)               \
    X("sha256", decode_sha256)       \
    X("max_bytes", decode_max_bytes) \
    X("resume", decode_resume)

static const struct {
    const char *name;
    void (*decode)(struct gd_job_decoding *d, struct gd_span json);
} fields[] = {
#define X(text, fn) {.name = (text), .decode = (fn)},
    FIELDS(X)
#undef X
};

#define N_FIELDS (sizeof(fields) / sizeof(fields[0]))

static const char *const field_names[] = {
#define X(text, fn) (text),
    FIELDS(X)
#undef X
        NULL};

static void decode_member(struct gd_job_decoding *d, struct gd_span name, struct gd_span json)
{
    for (size_t i = 0; i < N_FIELDS; i++)
        if (gd_json_name_is(name, fields[i].name)) {
            fields[i].decode(d, json);
            return;
        }
    gd_job_unknown(name, d->pointer, d->faults, field_names);
}

static void decode_object(struct gd_job_decoding *d, struct gd_span json)
{
    struct gd_json_cursor c;
    gd_json_cursor_init(&c, json, GD_MAX_JSON_DEPTH);
    (void)gd_json_peek(&c);
    gd_json_open(&c);
    bool first = true;
    struct gd_span name;
    struct gd_span value;
    while (gd_json_next_member(&c, &first, &name) && gd_json_value(&c, &value))
        decode_member(d, name, value);
    if (c.fault.what)
        d->no_memory = true; /* the text was checked before */
    gd_json_cursor_done(&c);
    const struct gd_job_detail *f = d->detail;
    if (!f->url && !d->no_memory)
        gd_faults_add(d->faults, d->pointer, "url", "is missing");
    if (f->resume && (!f->to || (f->method && strcmp(f->method, "GET") != 0) || f->body))
        gd_faults_add(d->faults, d->pointer, "resume", "needs \"to\", and a GET without a body");
}

void gd_job_decode_fetch(struct gd_job_decoding *d, struct gd_span json)
{
    d->job->kind = GD_KIND_FETCH;
    if (json.ptr[0] != '"' && json.ptr[0] != '{') {
        gd_faults_add(d->faults, d->pointer, "fetch", "must be a URL, or an object with \"url\"");
        return;
    }
    struct gd_buf where = {0};
    gd_buf_puts(&where, d->pointer);
    gd_pointer_put(&where, "fetch");
    gd_buf_putc(&where, '\0');
    struct gd_job_decoding inner = *d;
    inner.pointer = where.ptr;
    if (where.err)
        inner.no_memory = true;
    else if (json.ptr[0] == '"')
        decode_url(&inner, json);
    else
        decode_object(&inner, json);
    d->no_memory = inner.no_memory;
    gd_buf_free(&where);
}
