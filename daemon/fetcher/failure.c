#include "daemon/fetcher/failure.h"

#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *gd_failure_word(enum gd_failure_kind kind)
{
    switch (kind) {
#define X(id, word)       \
    case GD_FAILURE_##id: \
        return word;
        GD_FAILURES(X)
#undef X
    case GD_FAILURE_NONE:
        break;
    }
    return NULL;
}

void gd_failure_set(struct gd_failure *f, enum gd_failure_kind kind, const char *fmt, ...)
{
    if (f->kind != GD_FAILURE_NONE)
        return;
    f->kind = kind;
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(f->text, sizeof(f->text), fmt, args);
    va_end(args);
}

void gd_failure_set_errno(struct gd_failure *f, enum gd_failure_kind kind, const char *what, int rc)
{
    gd_failure_set(f, rc == -ENOMEM ? GD_FAILURE_OTHER : kind, "%s: %s (%s)", what, gd_err_text(rc),
                   gd_err_errno_name(rc));
}

/* --- libcurl's codes */

/* X(code of libcurl, failure). Codes that say too little by themselves are told
 * apart in kind_of(); the rest is "other". */
#define CURL_CODES(X)                 \
    X(COULDNT_RESOLVE_HOST, DNS)      \
    X(SSL_CONNECT_ERROR, TLS)         \
    X(SSL_ENGINE_NOTFOUND, TLS)       \
    X(SSL_ENGINE_SETFAILED, TLS)      \
    X(SSL_ENGINE_INITFAILED, TLS)     \
    X(SSL_CERTPROBLEM, TLS)           \
    X(SSL_CIPHER, TLS)                \
    X(PEER_FAILED_VERIFICATION, TLS)  \
    X(USE_SSL_FAILED, TLS)            \
    X(SSL_CACERT_BADFILE, TLS)        \
    X(SSL_SHUTDOWN_FAILED, TLS)       \
    X(SSL_CRL_BADFILE, TLS)           \
    X(SSL_ISSUER_ERROR, TLS)          \
    X(SSL_PINNEDPUBKEYNOTMATCH, TLS)  \
    X(SSL_INVALIDCERTSTATUS, TLS)     \
    X(SSL_CLIENTCERT, TLS)            \
    X(TOO_MANY_REDIRECTS, REDIRECT)   \
    X(FILESIZE_EXCEEDED, TOO_LARGE)   \
    X(PARTIAL_FILE, CLOSED)           \
    X(GOT_NOTHING, CLOSED)            \
    X(SEND_ERROR, CLOSED)             \
    X(HTTP2_STREAM, CLOSED)           \
    X(HTTP2, PROTOCOL)                \
    X(WEIRD_SERVER_REPLY, PROTOCOL)   \
    X(BAD_CONTENT_ENCODING, PROTOCOL) \
    X(UNSUPPORTED_PROTOCOL, PROTOCOL)

/* "Connection refused" is worth a word of its own; the rest is "connect". */
static enum gd_failure_kind connect_kind(CURL *easy)
{
    long errnum = 0;
    (void)curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &errnum);
    return errnum == ECONNREFUSED ? GD_FAILURE_REFUSED : GD_FAILURE_CONNECT;
}

/* The only time limit that libcurl is given is the one for connecting, which
 * begins with the name. */
static enum gd_failure_kind timeout_kind(CURL *easy)
{
    curl_off_t resolved_us = 0;
    (void)curl_easy_getinfo(easy, CURLINFO_NAMELOOKUP_TIME_T, &resolved_us);
    return resolved_us == 0 ? GD_FAILURE_DNS : GD_FAILURE_CONNECT;
}

static enum gd_failure_kind url_kind(CURL *easy)
{
    long n = 0;
    (void)curl_easy_getinfo(easy, CURLINFO_REDIRECT_COUNT, &n);
    return n > 0 ? GD_FAILURE_REDIRECT : GD_FAILURE_URL;
}

static enum gd_failure_kind kind_of(CURL *easy, CURLcode code, const char *text)
{
    switch (code) {
#define X(id, kind)  \
    case CURLE_##id: \
        return GD_FAILURE_##kind;
        CURL_CODES(X)
#undef X
    case CURLE_COULDNT_CONNECT:
        return connect_kind(easy);
    case CURLE_OPERATION_TIMEDOUT:
        return timeout_kind(easy);
    case CURLE_URL_MALFORMAT:
        return url_kind(easy);
    case CURLE_RECV_ERROR:
        /* libcurl 7.88 reports broken chunks with the code of a broken connection. */
        return strstr(text, "chunked-encoding") ? GD_FAILURE_PROTOCOL : GD_FAILURE_CLOSED;
    default:
        return GD_FAILURE_OTHER;
    }
}

void gd_failure_set_curl(struct gd_failure *f, CURL *easy, CURLcode code, const char *text)
{
    if (f->kind != GD_FAILURE_NONE)
        return;
    gd_failure_set(f, kind_of(easy, code, text), "%s", *text ? text : curl_easy_strerror(code));
    /* It may quote what a server sent. */
    for (char *p = f->text; *p; p++)
        if ((unsigned char)*p < ' ' || (unsigned char)*p > '~')
            *p = '?';
}
