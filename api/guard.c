#include "api/guard.h"

#include "base/limits.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

/* What one walk over the headers finds. */
struct findings {
    unsigned n;
    size_t bytes; /* names, values and what stands between them */
    unsigned n_host;
    unsigned n_length;
    unsigned n_coding;
    const char *host;
    const char *coding;
    const char *length;
    const char *origin;
    const char *site;
    const char *bad; /* a name that is none, or nearly one that matters */
};

static bool is_token(const char *s)
{
    if (!*s)
        return false;
    for (; *s; s++)
        if (!isalnum((unsigned char)*s) && !strchr("!#$%&'*+-.^_`|~", *s))
            return false;
    return true;
}

static bool has_control(const char *s)
{
    for (; *s; s++)
        if (((unsigned char)*s < ' ' && *s != '\t') || *s == 0x7f)
            return true;
    return false;
}

/* A folded "Transfer-Encoding:\r\n chunked" arrives as a name that starts so. */
static bool nearly_matters(const char *name)
{
    static const char *const starts[] = {"transfer-encoding", "content-length", "host"};
    for (unsigned i = 0; i < 3; i++) {
        size_t n = strlen(starts[i]);
        if (strncasecmp(name, starts[i], n) == 0 && name[n] != '\0')
            return true;
    }
    return false;
}

static enum MHD_Result look(void *cls, enum MHD_ValueKind kind, const char *name, const char *value)
{
    (void)kind;
    struct findings *f = cls;
    f->n++;
    value = value ? value : "";
    f->bytes += strlen(name) + strlen(value) + strlen(": \r\n");
    if (!is_token(name) || has_control(value) || nearly_matters(name))
        f->bad = name;
    switch (tolower((unsigned char)name[0])) {
    case 'h':
        if (strcasecmp(name, "host") == 0) {
            f->n_host++;
            f->host = value;
        }
        break;
    case 'c':
        if (strcasecmp(name, "content-length") == 0) {
            f->n_length++;
            f->length = value;
        }
        break;
    case 't':
        if (strcasecmp(name, "transfer-encoding") == 0) {
            f->n_coding++;
            f->coding = value;
        }
        break;
    case 'o':
        if (strcasecmp(name, "origin") == 0)
            f->origin = value;
        break;
    case 's':
        if (strcasecmp(name, "sec-fetch-site") == 0)
            f->site = value;
        break;
    default:
        break;
    }
    return MHD_YES;
}

/* Cuts ":port" off; -1: what follows the host is no port. */
static int host_len(const char *host)
{
    size_t n = host[0] == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":");
    if (host[0] == '[' && host[n - 1] != ']')
        return -1;
    if (host[n] == '\0')
        return (int)n;
    size_t digits = strspn(host + n + 1, "0123456789");
    return host[n] == ':' && digits > 0 && digits <= 5 && host[n + 1 + digits] == '\0' ? (int)n
                                                                                       : -1;
}

bool gd_guard_host_is_ours(const char *host, const char *const *more)
{
    static const char *const ours[] = {"127.0.0.1", "[::1]", "localhost", NULL};
    int n = host_len(host);
    if (n <= 0)
        return false;
    for (const char *const *name = ours; *name; name++)
        if (strlen(*name) == (size_t)n && strncasecmp(host, *name, (size_t)n) == 0)
            return true;
    for (const char *const *name = more; name && *name; name++)
        if (strlen(*name) == (size_t)n && strncasecmp(host, *name, (size_t)n) == 0)
            return true;
    return false;
}

static int refuse(struct gd_problem_info *info, struct gd_err *text, enum gd_problem p,
                  const char *why)
{
    (void)gd_err_set(text, -1, "%s", why);
    *info = (struct gd_problem_info){.problem = p, .detail = text->text};
    return -1;
}

static const char *framing_fault(const struct findings *f)
{
    if (f->bad)
        return "a header's name or value is not valid";
    if (f->n_host != 1)
        return "there must be exactly one Host header";
    if (f->n_length > 1)
        return "there must be at most one Content-Length header";
    if (f->length && (!*f->length || f->length[strspn(f->length, "0123456789")] != '\0'))
        return "Content-Length must be digits";
    if (f->n_coding > 1 || (f->coding && strcasecmp(f->coding, "chunked") != 0))
        return "Transfer-Encoding may only be \"chunked\"";
    if (f->n_coding && f->n_length)
        return "Content-Length and Transfer-Encoding do not go together";
    return NULL;
}

/* Section 3.2 of the Fetch Metadata specification; browsers without it send Origin. */
static bool is_foreign(const struct findings *f)
{
    if (f->site)
        return strcasecmp(f->site, "same-origin") != 0 && strcasecmp(f->site, "none") != 0;
    if (!f->origin)
        return false;
    const char *at = strncasecmp(f->origin, "http://", 7) == 0    ? f->origin + 7
                     : strncasecmp(f->origin, "https://", 8) == 0 ? f->origin + 8
                                                                  : NULL;
    return !at || strcasecmp(at, f->host) != 0;
}

int gd_guard_check(const struct gd_http *h, struct gd_problem_info *info, struct gd_err *text)
{
    struct findings f = {0};
    (void)MHD_get_connection_values(h->conn, MHD_HEADER_KIND, look, &f);
    if (f.n > GD_MAX_HEADERS)
        return refuse(info, text, GD_PROBLEM_HEADERS, "more than 64 header fields");
    if (f.bytes + strlen(h->target) > GD_MAX_HEAD_BYTES)
        return refuse(info, text, GD_PROBLEM_HEADERS, "the head has more than 8192 bytes");
    const char *fault = framing_fault(&f);
    if (fault)
        return refuse(info, text, GD_PROBLEM_BAD_REQUEST, fault);
    if (!gd_guard_host_is_ours(f.host, h->api->config.hosts))
        return refuse(info, text, GD_PROBLEM_MISDIRECTED,
                      "the Host header names none of this daemon's names");
    if (is_foreign(&f))
        return refuse(info, text, GD_PROBLEM_FORBIDDEN, "the request comes from another origin");
    if (h->target[0] != '/')
        return refuse(info, text, GD_PROBLEM_BAD_REQUEST, "the request target must be a path");
    return 0;
}
