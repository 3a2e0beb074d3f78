#include "daemon/fetcher/request.h"

#include "base/limits.h"
#include "base/version.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Receive buffer of a transfer: 16 KiB, the default, costs a third more time. */
#define BUFFER_BYTES 65536L

/* --- taking */

static int copy(struct gd_span bytes, char **ret)
{
    char *text = malloc(bytes.len + 1);
    if (!text)
        return -ENOMEM;
    memcpy(text, bytes.ptr, bytes.len);
    text[bytes.len] = '\0';
    *ret = text;
    return 0;
}

/* A string without NUL; absent is fine. */
static int take_string(const struct gd_msg_view *v, enum gd_msg_field field, char **ret)
{
    struct gd_span bytes;
    if (!gd_msg_find(v, field, &bytes))
        return 0;
    return memchr(bytes.ptr, '\0', bytes.len) ? -EPROTO : copy(bytes, ret);
}

static int take_body(struct gd_request *r, const struct gd_msg_view *v)
{
    struct gd_span bytes;
    if (!gd_msg_find(v, GD_FIELD_BODY, &bytes))
        return 0;
    r->body_bytes = bytes.len;
    return copy(bytes, &r->body);
}

static int add_header(struct curl_slist **list, const char *line)
{
    struct curl_slist *longer = curl_slist_append(*list, line);
    if (!longer)
        return -ENOMEM;
    *list = longer;
    return 0;
}

static bool is_header(const char *line, const char *name)
{
    size_t n = strlen(name);
    return strncasecmp(line, name, n) == 0 && line[n] == ':';
}

/* To libcurl "Name:" means none of that name and "Name;" an empty one. */
static int take_header(struct gd_request *r, const char *line)
{
    const char *colon = strchr(line, ':');
    if (!colon || colon == line || strpbrk(line, "\r\n"))
        return -EPROTO;
    if (is_header(line, "Range") || is_header(line, "If-Range"))
        r->resume = false;
    if (colon[1 + strspn(colon + 1, " \t")] != '\0')
        return add_header(&r->headers, line);
    char *empty = strdup(line);
    if (!empty)
        return -ENOMEM;
    memcpy(empty + (colon - line), ";", 2);
    int rc = add_header(&r->headers, empty);
    free(empty);
    return rc;
}

static int take_headers(struct gd_request *r, const struct gd_msg_view *v)
{
    struct gd_span all = {0};
    bool expects = false;
    int rc = 0;
    if (gd_msg_find(v, GD_FIELD_HEADERS, &all) && all.len > 0 && all.ptr[all.len - 1] != '\0')
        return -EPROTO;
    for (size_t at = 0; rc == 0 && at < all.len; at += strlen(all.ptr + at) + 1) {
        rc = take_header(r, all.ptr + at);
        expects = expects || is_header(all.ptr + at, "Expect");
    }
    /* Else libcurl asks before it sends a large body, and waits a second for servers
     * that do not answer that. */
    if (rc == 0 && !expects)
        rc = add_header(&r->headers, "Expect:");
    return rc;
}

static bool is_method(const struct gd_request *r, const char *name)
{
    return r->method && strcmp(r->method, name) == 0;
}

int gd_request_take(struct gd_request *r, const struct gd_msg_view *start)
{
    *r = (struct gd_request){
        .max_bytes = gd_msg_num(start, GD_FIELD_MAX_BYTES, GD_DEFAULT_MAX_BYTES),
        .timeout_ms = (int64_t)gd_msg_num(start, GD_FIELD_TIMEOUT_MS, (uint64_t)-1),
    };
    int rc = take_string(start, GD_FIELD_URL, &r->url);
    if (rc == 0 && !r->url)
        rc = -EPROTO;
    if (rc == 0)
        rc = take_string(start, GD_FIELD_METHOD, &r->method);
    if (rc == 0)
        rc = take_string(start, GD_FIELD_TO, &r->to);
    if (rc == 0 && r->to && !strchr(r->to, '/'))
        rc = -EPROTO;
    if (rc == 0)
        rc = take_string(start, GD_FIELD_SHA256, &r->sha256);
    if (rc == 0)
        rc = take_body(r, start);
    r->resume = r->to && !r->body && (!r->method || is_method(r, "GET")) &&
                gd_msg_num(start, GD_FIELD_RESUME, 0) != 0;
    if (rc == 0)
        rc = take_headers(r, start);
    return rc;
}

void gd_request_free(struct gd_request *r)
{
    free(r->url);
    free(r->method);
    free(r->body);
    free(r->to);
    free(r->sha256);
    curl_slist_free_all(r->headers);
    *r = (struct gd_request){0};
}

/* --- checking */

static bool check_url(CURLU *u, enum gd_failure_kind kind, struct gd_failure *f)
{
    char *scheme = NULL;
    char *host = NULL;
    CURLUcode rc = curl_url_get(u, CURLUPART_SCHEME, &scheme, 0);
    if (rc == CURLUE_OK)
        rc = curl_url_get(u, CURLUPART_HOST, &host, 0);
    if (scheme && strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0)
        gd_failure_set(f, kind, "%.32s: only http and https are fetched", scheme);
    else if (rc == CURLUE_OUT_OF_MEMORY)
        gd_failure_set_errno(f, GD_FAILURE_OTHER, "the URL", -ENOMEM);
    else if (rc != CURLUE_OK)
        gd_failure_set(f, kind, "the URL: %s", curl_url_strerror(rc));
    else if (strlen(host) > GD_HOST_MAX)
        gd_failure_set(f, kind, "the name of the host has %zu bytes, the limit is %d", strlen(host),
                       GD_HOST_MAX);
    curl_free(scheme);
    curl_free(host);
    return f->kind == GD_FAILURE_NONE;
}

/* `base` NULL: `url` must be absolute. */
static bool parse_and_check(const char *base, const char *url, enum gd_failure_kind kind,
                            struct gd_failure *f)
{
    CURLU *u = curl_url();
    CURLUcode rc = u ? CURLUE_OK : CURLUE_OUT_OF_MEMORY;
    if (rc == CURLUE_OK && base)
        rc = curl_url_set(u, CURLUPART_URL, base, 0);
    if (rc == CURLUE_OK)
        rc = curl_url_set(u, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME | CURLU_URLENCODE);
    bool good = false;
    if (rc == CURLUE_OK)
        good = check_url(u, kind, f);
    else if (rc == CURLUE_OUT_OF_MEMORY)
        gd_failure_set_errno(f, GD_FAILURE_OTHER, "the URL", -ENOMEM);
    else
        gd_failure_set(f, kind, "the URL: %s", curl_url_strerror(rc));
    curl_url_cleanup(u);
    return good;
}

bool gd_request_check(const struct gd_request *r, struct gd_failure *f)
{
    if (is_method(r, "HEAD") && (r->body || r->to)) {
        gd_failure_set(f, GD_FAILURE_OTHER, "HEAD sends no body and gets none to put in a file");
        return false;
    }
    return parse_and_check(NULL, r->url, GD_FAILURE_URL, f);
}

bool gd_request_check_redirect(const char *from, const char *location, struct gd_failure *f)
{
    return parse_and_check(from, location, GD_FAILURE_REDIRECT, f);
}

/* --- telling libcurl */

/* Stops at the first option that fails. */
#define SET(option, value)                                        \
    do {                                                          \
        if (rc == CURLE_OK)                                       \
            rc = curl_easy_setopt(easy, CURLOPT_##option, value); \
    } while (0)

static CURLcode apply_method(const struct gd_request *r, CURL *easy)
{
    CURLcode rc = CURLE_OK;
    bool has_body = r->body || is_method(r, "POST") || is_method(r, "PUT") || is_method(r, "PATCH");
    if (is_method(r, "HEAD")) {
        SET(NOBODY, 1L);
        return rc;
    }
    if (has_body) {
        SET(POST, 1L);
        SET(POSTFIELDS, r->body ? r->body : "");
        SET(POSTFIELDSIZE_LARGE, (curl_off_t)r->body_bytes);
    }
    if (!r->method || is_method(r, "POST") || (is_method(r, "GET") && !has_body))
        return rc;
    /* Only a POST becomes a GET by 301 and 302 (RFC 9110, section 15.4); without this
     * libcurl would repeat any other method without its body. */
    SET(CUSTOMREQUEST, r->method);
    SET(POSTREDIR, (long)(CURL_REDIR_POST_301 | CURL_REDIR_POST_302));
    return rc;
}

/* Nothing from outside decides: no proxy, netrc or cookies of the environment. */
static CURLcode apply_rules(CURL *easy)
{
    CURLcode rc = CURLE_OK;
    SET(PROTOCOLS_STR, "http,https");
    SET(REDIR_PROTOCOLS_STR, "http,https");
    SET(FOLLOWLOCATION, 1L);
    SET(MAXREDIRS, (long)GD_REDIRECTS_MAX);
    SET(PROXY, "");
    SET(NETRC, (long)CURL_NETRC_IGNORED);
    SET(SSL_VERIFYPEER, 1L);
    SET(SSL_VERIFYHOST, 2L);
    SET(HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    SET(HTTP09_ALLOWED, 0L);
    SET(NOSIGNAL, 1L);
    SET(QUICK_EXIT, 1L); /* else ending a transfer waits for its name to be resolved */
    SET(CONNECTTIMEOUT_MS, GD_CONNECT_TIMEOUT_MS);
    SET(TCP_KEEPALIVE, 1L); /* a host that is gone is noticed, a slow one is waited for */
    SET(BUFFERSIZE, BUFFER_BYTES);
    SET(USERAGENT, "gatherd/" GD_VERSION);
    return rc;
}

CURLcode gd_request_apply(const struct gd_request *r, CURL *easy)
{
    CURLcode rc = apply_rules(easy);
    SET(URL, r->url);
    if (rc == CURLE_OK)
        rc = apply_method(r, easy);
    return rc;
}

struct curl_slist *gd_request_headers(const struct gd_request *r, uint64_t offset,
                                      const char *validator)
{
    struct curl_slist *list = NULL;
    int rc = 0;
    for (const struct curl_slist *h = r->headers; rc == 0 && h; h = h->next)
        rc = add_header(&list, h->data);
    char line[512];
    if (rc == 0 && offset > 0) {
        (void)snprintf(line, sizeof(line), "Range: bytes=%llu-", (unsigned long long)offset);
        rc = add_header(&list, line);
    }
    if (rc == 0 && offset > 0 && validator) {
        (void)snprintf(line, sizeof(line), "If-Range: %s", validator);
        rc = add_header(&list, line);
    }
    if (rc < 0) {
        curl_slist_free_all(list);
        return NULL;
    }
    return list;
}
