#include "client/http.h"

#include "base/clock.h"
#include "client/decode.h"
#include "client/error.h"
#include "client/http_call.h"

#include <limits.h>
#include <string.h>
#include <sys/random.h>

void gather_call_init(struct gather_call *call, struct gather_client *c, const char *method,
                      const char *target)
{
    *call = (struct gather_call){
        .client = c,
        .method = method,
        .repeat = strcmp(method, "GET") == 0 ? GATHER_REPEAT_SAFE : GATHER_REPEAT_ONCE,
        .idle_ms = GATHER_IDLE_MS,
    };
    gd_buf_puts(&call->target, target);
}

void gather_call_query(struct gather_call *call, const char *name, const char *value)
{
    static const char hex[] = "0123456789ABCDEF";
    struct gd_buf *to = &call->target;
    gd_buf_putc(to, to->ptr && memchr(to->ptr, '?', to->len) ? '&' : '?');
    gd_buf_puts(to, name);
    gd_buf_putc(to, '=');
    for (const unsigned char *p = (const unsigned char *)value; *p; p++) {
        bool plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
                     (*p >= '0' && *p <= '9') || strchr("-._~,", *p);
        char escaped[3] = {'%', hex[*p >> 4], hex[*p & 15]};
        if (plain)
            gd_buf_putc(to, (char)*p);
        else
            gd_buf_put(to, escaped, sizeof(escaped));
    }
}

void gather_call_query_int(struct gather_call *call, const char *name, int64_t value)
{
    struct gd_buf digits = {0};
    gd_buf_i64(&digits, value);
    gd_buf_putc(&digits, '\0');
    gather_call_query(call, name, gd_buf_error(&digits) ? "" : digits.ptr);
    if (gd_buf_error(&digits) && !call->target.err)
        call->target.err = gd_buf_error(&digits);
    gd_buf_free(&digits);
}

static bool make_key(char key[33])
{
    static const char hex[] = "0123456789abcdef";
    unsigned char random[16];
    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
        return false;
    for (size_t i = 0; i < sizeof(random); i++) {
        key[2 * i] = hex[random[i] >> 4];
        key[2 * i + 1] = hex[random[i] & 15];
    }
    key[32] = '\0';
    return true;
}

enum gather_code gather_call_start(struct gather_call *call, struct gather_error *err)
{
    gd_buf_putc(&call->target, '\0');
    if (gd_buf_error(&call->target) || gd_buf_error(&call->body))
        return gather_fail_memory(err);
    if (call->repeat == GATHER_REPEAT_KEYED && !make_key(call->key))
        return gather_fail(err, GATHER_E_ARGUMENT, "the system gives no random numbers");
    if (!gather_attempt_start(call))
        return gather_fail_memory(err);
    call->state = GATHER_CALL_RUNNING;
    gd_list_push(&call->client->calls, &call->node);
    return GATHER_OK;
}

/* When time asks something of the call. */
static int64_t due_of(const struct gather_call *call)
{
    if (call->state == GATHER_CALL_PAUSED)
        return call->at_ms;
    if (call->state == GATHER_CALL_RUNNING && call->idle_ms > 0)
        return call->at_ms + call->idle_ms;
    return GATHER_NEVER;
}

/* Does what time asks for, and says when it asks again. True: a call ended. */
static bool keep_time(struct gather_client *c, int64_t now, int64_t *ret_next)
{
    bool ended = false;
    *ret_next = GATHER_NEVER;
    gd_list_each (node, &c->calls) {
        struct gather_call *call = GD_OWNER(node, struct gather_call, node);
        if (due_of(call) <= now) {
            if (call->state == GATHER_CALL_RUNNING) {
                gather_attempt_over(call, CURLE_OPERATION_TIMEDOUT, true);
            } else {
                call->state = GATHER_CALL_RUNNING;
                if (!gather_attempt_start(call))
                    gather_attempt_over(call, CURLE_OUT_OF_MEMORY, false);
            }
            ended = ended || call->state == GATHER_CALL_DONE;
        }
        if (due_of(call) < *ret_next)
            *ret_next = due_of(call);
    }
    return ended;
}

/* Ends the attempts that curl is through with. True: there were some. */
static bool reap(struct gather_client *c)
{
    bool any = false;
    int left = 0;
    for (CURLMsg *m = curl_multi_info_read(c->multi, &left); m;
         m = curl_multi_info_read(c->multi, &left)) {
        struct gather_call *call = NULL;
        if (m->msg != CURLMSG_DONE)
            continue;
        CURLcode rc = m->data.result; /* `m` dies with the handle */
        if (curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &call) == CURLE_OK && call)
            gather_attempt_over(call, rc, false);
        any = true;
    }
    return any;
}

/* Waits for a socket, the interrupt descriptor, or the time. */
static enum gather_code watch(struct gather_client *c, int64_t until_ms, struct gather_error *err)
{
    struct curl_waitfd extra = {.fd = c->interrupt_fd, .events = CURL_WAIT_POLLIN};
    int64_t left = until_ms == GATHER_NEVER ? INT_MAX : until_ms - gd_mono_ms();
    int timeout = left < 0 ? 0 : left > INT_MAX ? INT_MAX : (int)left;
    CURLMcode rc = curl_multi_poll(c->multi, &extra, c->interrupt_fd >= 0, timeout, NULL);
    if (rc != CURLM_OK)
        return gather_fail(err, GATHER_E_NO_MEMORY, "waiting failed: %s", curl_multi_strerror(rc));
    if (c->interrupt_fd >= 0 && extra.revents)
        return gather_fail(err, GATHER_E_INTERRUPTED, "interrupted");
    return GATHER_OK;
}

enum gather_code gather_http_step(struct gather_client *c, int64_t until_ms,
                                  struct gather_error *err)
{
    int running = 0;
    int64_t due = GATHER_NEVER;
    if (keep_time(c, gd_mono_ms(), &due))
        return GATHER_OK;
    CURLMcode rc = curl_multi_perform(c->multi, &running);
    if (rc != CURLM_OK)
        return gather_fail(err, GATHER_E_NO_MEMORY, "transfer failed: %s", curl_multi_strerror(rc));
    if (reap(c))
        return GATHER_OK;
    if (gd_mono_ms() >= until_ms)
        return gather_fail(err, GATHER_E_TIMEOUT, "the time to wait is over");
    return watch(c, due < until_ms ? due : until_ms, err);
}

enum gather_code gather_http_pause(struct gather_client *c, int64_t until_ms,
                                   struct gather_error *err)
{
    for (;;) {
        enum gather_code code = gather_http_step(c, until_ms, err);
        if (code != GATHER_OK)
            return code == GATHER_E_TIMEOUT ? GATHER_OK : code;
    }
}

enum gather_code gather_call_outcome(const struct gather_call *call, struct gather_error *err)
{
    if (call->code == GATHER_E_NO_MEMORY)
        return gather_fail_memory(err);
    if (call->code != GATHER_OK)
        return gather_fail(err, call->code, "%s", call->why);
    if (call->status >= 300)
        return gather_decode_problem(call->status, gather_call_text(call), err);
    return GATHER_OK;
}

enum gather_code gather_call_run(struct gather_call *call, int64_t until_ms,
                                 struct gather_error *err)
{
    enum gather_code code = gather_call_start(call, err);
    while (code == GATHER_OK && call->state != GATHER_CALL_DONE)
        code = gather_http_step(call->client, until_ms, err);
    return code == GATHER_OK ? gather_call_outcome(call, err) : code;
}

void gather_call_done(struct gather_call *call)
{
    gather_attempt_end(call);
    gd_node_unlink(&call->node);
    gd_buf_free(&call->target);
    gd_buf_free(&call->body);
    gd_buf_free(&call->answer);
    call->state = GATHER_CALL_DONE;
}
