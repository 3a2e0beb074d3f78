#include "client/http_call.h"

#include "base/clock.h"
#include "base/parse.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* An answer that is no success is read up to this size. */
#define PROBLEM_BYTES ((size_t)1 << 20)
#define CONNECT_MS    5000L
#define STEADY_MS     1000

static_assert(sizeof(((struct gather_call *)0)->curl_text) >= CURL_ERROR_SIZE,
              "room for curl's own words");

/* Where the body of a 206 starts; -1: it does not say. */
static int64_t content_from(CURL *easy)
{
    struct curl_header *h = NULL;
    uint64_t from = 0;
    if (curl_easy_header(easy, "Content-Range", 0, CURLH_HEADER, -1, &h) != CURLHE_OK ||
        strncmp(h->value, "bytes ", 6) != 0)
        return -1;
    const char *digits = h->value + 6;
    struct gd_span number = {digits, strspn(digits, "0123456789")};
    return gd_parse_u64(number, INT64_MAX, &from) < 0 ? -1 : (int64_t)from;
}

/* Does it say that more output came than was kept? */
static bool says_truncated(CURL *easy)
{
    struct curl_header *h = NULL;
    return curl_easy_header(easy, "Gatherd-Truncated", 0, CURLH_HEADER, -1, &h) == CURLHE_OK &&
           strcmp(h->value, "true") == 0;
}

/* A good answer ends the outage that was told. */
static void is_back(struct gather_client *c)
{
    if (!c->noticed)
        return;
    c->noticed = false;
    c->notice(c->notice_arg, "gatherd is back");
}

/* The head of the answer is here: how much of the body was there before? */
static bool head_arrived(struct gather_call *call)
{
    long status = 0;
    if (curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status) != CURLE_OK)
        return false;
    call->headers_seen = true;
    call->status = (int)status;
    call->client->reached = true;
    if (status < 300)
        is_back(call->client);
    call->head_ms = gd_mono_ms();
    call->truncated = says_truncated(call->easy);
    if (call->range_from == 0 || !call->on_data || status >= 300)
        return true;
    int64_t from = status == 206 ? content_from(call->easy) : 0;
    call->skip = call->range_from - from;
    return from >= 0 && call->skip >= 0;
}

static size_t deliver(struct gather_call *call, const char *bytes, size_t n)
{
    size_t drop = (int64_t)n < call->skip ? n : (size_t)call->skip;
    call->skip -= (int64_t)drop;
    if (drop == n)
        return n;
    call->delivered = true;
    size_t taken = call->on_data(call, bytes + drop, n - drop);
    call->at_ms = gd_mono_ms(); /* it may have taken its time */
    call->stopped = taken < n - drop;
    return drop + taken;
}

static size_t on_body(char *bytes, size_t size, size_t n, void *arg)
{
    struct gather_call *call = arg;
    n *= size;
    call->at_ms = gd_mono_ms();
    if (!call->headers_seen && !head_arrived(call))
        return 0;
    if (call->status < 300 && call->on_data)
        return deliver(call, bytes, n);
    if (call->status >= 300 && call->answer.len + n > PROBLEM_BYTES)
        return n;
    gd_buf_put(&call->answer, bytes, n);
    return gd_buf_error(&call->answer) ? 0 : n;
}

static size_t on_upload(char *to, size_t size, size_t n, void *arg)
{
    struct gather_call *call = arg;
    call->at_ms = gd_mono_ms();
    int64_t got = call->source->read(call->source->arg, to, size * n);
    return got < 0 ? CURL_READFUNC_ABORT : (size_t)got;
}

/* curl itself starts a body again when a kept-alive connection was stale. */
static int on_seek(void *arg, curl_off_t offset, int origin)
{
    struct gather_call *call = arg;
    if (offset != 0 || origin != SEEK_SET)
        return CURL_SEEKFUNC_CANTSEEK;
    return call->source->rewind(call->source->arg) ? CURL_SEEKFUNC_OK : CURL_SEEKFUNC_FAIL;
}

static bool add_header(struct gather_call *call, const char *name, const char *value)
{
    struct gd_buf line = {0};
    gd_buf_printf(&line, "%s: %s", name, value);
    struct curl_slist *more =
        gd_buf_error(&line) ? NULL : curl_slist_append(call->headers, line.ptr);
    gd_buf_free(&line);
    if (more)
        call->headers = more;
    return more != NULL;
}

static bool set_headers(struct gather_call *call)
{
    bool ok = add_header(call, "Accept", call->accept ? call->accept : "application/json");
    if (strcmp(call->method, "POST") == 0) {
        const char *type = call->source ? call->source->content_type : call->content_type;
        ok = ok && add_header(call, "Content-Type", type ? type : "application/json");
    }
    if (call->key[0])
        ok = ok && add_header(call, "Idempotency-Key", call->key);
    return ok && curl_easy_setopt(call->easy, CURLOPT_HTTPHEADER, call->headers) == CURLE_OK;
}

static bool set_body(struct gather_call *call)
{
    CURL *e = call->easy;
    if (strcmp(call->method, "POST") != 0)
        return true;
    if (!call->source) {
        struct gd_span body = gd_buf_view(&call->body);
        return curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.len) == CURLE_OK &&
               curl_easy_setopt(e, CURLOPT_POSTFIELDS, body.ptr) == CURLE_OK;
    }
    return call->source->rewind(call->source->arg) &&
           curl_easy_setopt(e, CURLOPT_POST, 1L) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->source->bytes) ==
               CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_READFUNCTION, on_upload) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_READDATA, call) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_SEEKFUNCTION, on_seek) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_SEEKDATA, call) == CURLE_OK;
}

static bool set_url(struct gather_call *call)
{
    const struct gather_client *c = call->client;
    struct gd_buf url = {0};
    gd_buf_puts(&url, c->base);
    gd_buf_puts(&url, call->target.ptr);
    gd_buf_putc(&url, '\0');
    bool ok = !gd_buf_error(&url) &&
              curl_easy_setopt(call->easy, CURLOPT_URL, url.ptr) == CURLE_OK; /* copies */
    gd_buf_free(&url);
    if (c->socket_path)
        ok = ok &&
             curl_easy_setopt(call->easy, CURLOPT_UNIX_SOCKET_PATH, c->socket_path) == CURLE_OK;
    if (c->direct)
        ok = ok && curl_easy_setopt(call->easy, CURLOPT_PROXY, "") == CURLE_OK;
    if (call->range_from > 0 && !call->no_range) {
        char range[24];
        (void)snprintf(range, sizeof(range), "%lld-", (long long)call->range_from);
        ok = ok && curl_easy_setopt(call->easy, CURLOPT_RANGE, range) == CURLE_OK;
    }
    return ok;
}

static bool set_common(struct gather_call *call)
{
    CURL *e = call->easy;
    return curl_easy_setopt(e, CURLOPT_PRIVATE, call) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           /* else leaving waits for a name server */
           curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_TCP_KEEPALIVE, 1L) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_USERAGENT, "gather/" GATHER_VERSION) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_ERRORBUFFER, call->curl_text) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_WRITEDATA, call) == CURLE_OK;
}

bool gather_attempt_start(struct gather_call *call)
{
    if (call->on_again)
        call->on_again(call);
    gd_buf_reset(&call->answer);
    call->status = 0;
    call->skip = 0;
    call->headers_seen = false;
    call->curl_text[0] = '\0';
    call->at_ms = gd_mono_ms();
    call->easy = curl_easy_init();
    if (call->easy && set_common(call) && set_url(call) && set_headers(call) && set_body(call) &&
        curl_multi_add_handle(call->client->multi, call->easy) == CURLM_OK)
        return true;
    gather_attempt_end(call);
    return false;
}

void gather_attempt_end(struct gather_call *call)
{
    if (call->easy) {
        (void)curl_multi_remove_handle(call->client->multi, call->easy);
        curl_easy_cleanup(call->easy);
    }
    curl_slist_free_all(call->headers);
    call->easy = NULL;
    call->headers = NULL;
}

/* Was the request under way when the connection broke? */
static bool was_sent(struct gather_call *call, CURLcode rc)
{
    curl_off_t connected = 0;
    switch (rc) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
    case CURLE_SSL_CONNECT_ERROR:
        return false;
    case CURLE_OPERATION_TIMEDOUT:
        return curl_easy_getinfo(call->easy, CURLINFO_CONNECT_TIME_T, &connected) == CURLE_OK &&
               connected > 0;
    default:
        return true;
    }
}

static bool is_broken_connection(CURLcode rc)
{
    switch (rc) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
        return true;
    default:
        return false;
    }
}

/* Was there a connection that then ended before the answer did? */
static bool broke_off(CURLcode rc)
{
    return rc == CURLE_PARTIAL_FILE || rc == CURLE_GOT_NOTHING || rc == CURLE_RECV_ERROR ||
           rc == CURLE_SEND_ERROR;
}

static void explain(struct gather_call *call, CURLcode rc, bool idle)
{
    long os = 0;
    const char *text = call->curl_text[0] ? call->curl_text : curl_easy_strerror(rc);
    if (idle)
        text = "it gives no sign of life";
    else if (broke_off(rc))
        text = "the connection broke off";
    else if (call->easy && curl_easy_getinfo(call->easy, CURLINFO_OS_ERRNO, &os) == CURLE_OK &&
             os > 0 && os < 4096 && !call->headers_seen)
        text = strerrordesc_np((int)os) ? strerrordesc_np((int)os) : text;
    (void)snprintf(call->why, sizeof(call->why), "%s", text);
}

/* Puts `call->why` into a sentence about the daemon. */
static void finish(struct gather_call *call, enum gather_code code)
{
    char why[sizeof(call->why)];
    const char *url = call->client->url;
    memcpy(why, call->why, sizeof(why));
    if (code == GATHER_E_UNREACHABLE)
        (void)snprintf(call->why, sizeof(call->why), "gatherd is not reachable at %.100s: %.120s",
                       url, why);
    else if (code == GATHER_E_LOST)
        (void)snprintf(call->why, sizeof(call->why),
                       "the connection to gatherd at %.90s is lost: %.110s", url, why);
    else if (code == GATHER_E_PROTOCOL)
        (void)snprintf(call->why, sizeof(call->why), "what answers at %.90s is not gatherd: %.110s",
                       url, why);
    call->code = code;
    call->state = GATHER_CALL_DONE;
}

static uint32_t next_random(struct gather_client *c)
{
    c->random = c->random * 6364136223846793005U + 1442695040888963407U;
    return (uint32_t)(c->random >> 33);
}

static void pause_call(struct gather_call *call, int64_t wait_ms)
{
    struct gather_client *c = call->client;
    call->state = GATHER_CALL_PAUSED;
    call->at_ms = gd_mono_ms() + wait_ms;
    if (c->noticed || !c->notice)
        return;
    c->noticed = true;
    char text[sizeof(call->why) + 80];
    if (call->status)
        (void)snprintf(text, sizeof(text), "gatherd answers %d; trying again for up to %lld s",
                       call->status, (long long)(c->patience_ms / 1000));
    else
        (void)snprintf(text, sizeof(text), "gatherd is away (%s); trying again for up to %lld s",
                       call->why, (long long)(c->patience_ms / 1000));
    c->notice(c->notice_arg, text);
}

/* No good answer. Again, or is this the end? */
static void give_up_or_pause(struct gather_call *call, bool broken, bool sent,
                             int64_t retry_after_ms)
{
    struct gather_client *c = call->client;
    int64_t now = gd_mono_ms();
    /* An answer that held for a while ends an outage; one that breaks at once
     * does not, so that a server that only ever does that is given up. */
    if (call->headers_seen && call->status < 300 && now - call->head_ms >= STEADY_MS)
        call->n_failures = 0;
    if (call->n_failures == 0)
        call->away_since = now;
    if (broken)
        call->status = 0;
    call->n_failures++;
    struct gather_attempt a = {
        .repeat = call->repeat,
        .reached = c->reached,
        .sent = sent,
        .status = call->status,
        .retry_after_ms = retry_after_ms,
        .away_ms = now - call->away_since,
        .patience_ms = c->patience_ms,
        .n = call->n_failures,
    };
    bool repeatable = !call->delivered || call->on_again;
    int64_t wait = repeatable ? gather_retry_ms(&a, next_random(c)) : -1;
    if (wait >= 0)
        pause_call(call, wait);
    else if (call->status)
        finish(call, GATHER_OK); /* the answer says what is wrong */
    else
        finish(call, c->reached ? GATHER_E_LOST : GATHER_E_UNREACHABLE);
}

static void answered(struct gather_call *call)
{
    curl_off_t retry_after = 0;
    if (!call->headers_seen && !head_arrived(call)) {
        finish(call, GATHER_E_PROTOCOL);
        return;
    }
    bool says = curl_easy_getinfo(call->easy, CURLINFO_RETRY_AFTER, &retry_after) == CURLE_OK &&
                retry_after > 0;
    gather_attempt_end(call);
    if (call->status < 300)
        finish(call, GATHER_OK);
    else
        give_up_or_pause(call, false, true,
                         says ? (retry_after > 86400 ? 86400 : retry_after) * 1000 : -1);
}

void gather_attempt_over(struct gather_call *call, CURLcode rc, bool idle)
{
    if (rc == CURLE_OK) {
        answered(call);
        return;
    }
    bool sent = was_sent(call, rc);
    explain(call, rc, idle);
    gather_attempt_end(call);
    if (call->stopped) {
        (void)snprintf(call->why, sizeof(call->why), "stopped by the program itself");
        finish(call, GATHER_E_STOPPED);
    } else if (rc == CURLE_OUT_OF_MEMORY || call->answer.err == -ENOMEM) {
        finish(call, GATHER_E_NO_MEMORY);
    } else if (rc == CURLE_ABORTED_BY_CALLBACK) {
        (void)snprintf(call->why, sizeof(call->why), "what is to be sent could not be read");
        finish(call, GATHER_E_ARGUMENT);
    } else if (is_broken_connection(rc)) {
        if (sent)
            call->client->reached = true;
        give_up_or_pause(call, true, sent, -1);
    } else {
        finish(call, GATHER_E_PROTOCOL);
    }
}
