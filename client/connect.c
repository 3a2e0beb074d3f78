#include "base/buf.h"
#include "base/parse.h"
#include "client/error.h"
#include "client/http.h"

#include <curl/curl.h>

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/un.h>

static bool is_local(const char *host)
{
    return strcmp(host, "localhost") == 0 || strncmp(host, "127.", 4) == 0 ||
           strcmp(host, "[::1]") == 0;
}

static enum gather_code bad_url(struct gather_error *err, const char *url, const char *why)
{
    return gather_fail(err, GATHER_E_ARGUMENT,
                       "\"%s\" %s; an address is http://HOST:PORT or unix:/PATH", url, why);
}

static enum gather_code use_socket(struct gather_client *c, const char *url,
                                   struct gather_error *err)
{
    const char *path = url + strlen("unix:");
    path += strspn(path, "/") > 1 ? strspn(path, "/") - 1 : 0; /* unix:///path */
    if (path[0] != '/')
        return bad_url(err, url, "has no absolute path");
    if (strlen(path) >= sizeof(((struct sockaddr_un *)0)->sun_path))
        return bad_url(err, url, "has a path longer than a socket's may be");
    c->direct = true;
    c->socket_path = strdup(path);
    c->base = strdup("http://localhost");
    return c->socket_path && c->base ? GATHER_OK : gather_fail_memory(err);
}

/* What of a URL makes no sense here; NULL: nothing. */
static const char *forbidden_part(CURLU *u)
{
    static const struct {
        CURLUPart part;
        const char *why;
    } parts[] = {{CURLUPART_USER, "carries a user, which gatherd does not know"},
                 {CURLUPART_QUERY, "carries a query"},
                 {CURLUPART_FRAGMENT, "carries a fragment"}};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        char *value = NULL;
        if (curl_url_get(u, parts[i].part, &value, 0) != CURLUE_OK)
            continue;
        curl_free(value);
        return parts[i].why;
    }
    return NULL;
}

/* Keeps what the URL says; its parts are there. */
static enum gather_code keep(struct gather_client *c, const char *host, const char *whole,
                             struct gather_error *err)
{
    size_t n = strlen(whole);
    while (n > 0 && whole[n - 1] == '/')
        n--;
    c->base = strndup(whole, n);
    c->direct = is_local(host);
    return c->base ? GATHER_OK : gather_fail_memory(err);
}

static enum gather_code use_parsed(struct gather_client *c, CURLU *u, const char *url,
                                   struct gather_error *err)
{
    char *scheme = NULL;
    char *host = NULL;
    char *whole = NULL;
    enum gather_code code = GATHER_OK;
    const char *forbidden = forbidden_part(u);
    (void)curl_url_get(u, CURLUPART_SCHEME, &scheme, 0);
    (void)curl_url_get(u, CURLUPART_HOST, &host, 0);
    (void)curl_url_get(u, CURLUPART_URL, &whole, 0);
    if (!scheme || !host || !whole)
        code = bad_url(err, url, "has no host");
    else if (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0)
        code = bad_url(err, url, "is neither http nor https");
    else if (forbidden)
        code = bad_url(err, url, forbidden);
    else
        code = keep(c, host, whole, err);
    curl_free(scheme);
    curl_free(host);
    curl_free(whole);
    return code;
}

static enum gather_code use_url(struct gather_client *c, const char *url, struct gather_error *err)
{
    if (strncmp(url, "unix:", 5) == 0)
        return use_socket(c, url, err);
    CURLU *u = curl_url();
    if (!u)
        return gather_fail_memory(err);
    CURLUcode rc = curl_url_set(u, CURLUPART_URL, url, 0);
    enum gather_code code = rc == CURLUE_OK              ? use_parsed(c, u, url, err)
                            : rc == CURLUE_OUT_OF_MEMORY ? gather_fail_memory(err)
                                                         : bad_url(err, url, "is not a URL");
    curl_url_cleanup(u);
    return code;
}

static enum gather_code set_up(struct gather_client *c, const char *url, struct gather_error *err)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return gather_fail_memory(err);
    c->multi = curl_multi_init();
    c->url = strdup(url);
    if (!c->multi || !c->url)
        return gather_fail_memory(err);
    if (getrandom(&c->random, sizeof(c->random), 0) != (ssize_t)sizeof(c->random))
        c->random = 1; /* only jitter is made of it */
    return use_url(c, url, err);
}

struct gather_client *gather_connect(const char *url, struct gather_error *err)
{
    if (!url)
        url = getenv("GATHER_URL");
    if (!url || !*url)
        url = GATHER_DEFAULT_URL;
    struct gather_client *c = calloc(1, sizeof(*c));
    if (!c) {
        (void)gather_fail_memory(err);
        return NULL;
    }
    c->interrupt_fd = -1;
    c->patience_ms = GATHER_PATIENCE_MS;
    gd_list_init(&c->calls);
    if (set_up(c, url, err) != GATHER_OK) {
        gather_close(c);
        return NULL;
    }
    return c;
}

void gather_close(struct gather_client *c)
{
    if (!c)
        return;
    if (c->multi)
        (void)curl_multi_cleanup(c->multi);
    free(c->url);
    free(c->base);
    free(c->socket_path);
    free(c);
    curl_global_cleanup(); /* counts; a second client keeps curl alive */
}

const char *gather_url(const struct gather_client *c)
{
    return c->url;
}

void gather_set_patience(struct gather_client *c, int64_t patience_ms)
{
    c->patience_ms = patience_ms;
}

void gather_set_interrupt_fd(struct gather_client *c, int fd)
{
    c->interrupt_fd = fd;
}

void gather_set_notice(struct gather_client *c, gather_notice_fn *fn, void *arg)
{
    c->notice = fn;
    c->notice_arg = arg;
}
