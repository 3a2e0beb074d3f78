#include "base/exception.h"

#include "base/err.h"
#include "base/json_out.h"

#include <stdio.h>
#include <string.h>

static void begin(struct gd_buf *b, const char *type)
{
    gd_json_begin(b, '{');
    gd_json_name(b, "type");
    gd_json_str(b, type);
    gd_json_name(b, "message");
}

static char *finish(struct gd_buf *b)
{
    gd_json_finish(b, '}');
    char *text = gd_buf_take(b, NULL);
    gd_buf_free(b);
    return text;
}

static void put_stderr(struct gd_buf *b, struct gd_span err)
{
    if (err.len > GD_STDERR_TAIL) {
        err.ptr += err.len - GD_STDERR_TAIL;
        err.len = GD_STDERR_TAIL;
    }
    gd_json_name(b, "stderr");
    gd_json_strn(b, err.ptr ? err.ptr : "", err.len);
}

char *gd_exception_exit(int exit_code, struct gd_span err)
{
    struct gd_buf b = {0};
    char text[64];
    begin(&b, "ExitError");
    (void)snprintf(text, sizeof(text), "exited with code %d", exit_code);
    gd_json_str(&b, text);
    gd_json_name(&b, "exit_code");
    gd_json_i64(&b, exit_code);
    put_stderr(&b, err);
    return finish(&b);
}

char *gd_exception_signal(int signo, bool core, struct gd_span err)
{
    struct gd_buf b = {0};
    char name[32];
    char text[64];
    const char *abbrev = sigabbrev_np(signo);
    if (abbrev)
        (void)snprintf(name, sizeof(name), "SIG%s", abbrev);
    else
        (void)snprintf(name, sizeof(name), "SIG%d", signo);
    begin(&b, "SignalError");
    (void)snprintf(text, sizeof(text), "ended by %s", name);
    gd_json_str(&b, text);
    gd_json_name(&b, "signal");
    gd_json_i64(&b, signo);
    gd_json_name(&b, "signal_name");
    gd_json_str(&b, name);
    gd_json_name(&b, "core");
    gd_json_bool(&b, core);
    put_stderr(&b, err);
    return finish(&b);
}

char *gd_exception_timeout(int64_t timeout_ms)
{
    struct gd_buf b = {0};
    char text[64];
    begin(&b, "TimeoutError");
    (void)snprintf(text, sizeof(text), "not done within %lld.%03lld s",
                   (long long)(timeout_ms / 1000), (long long)(timeout_ms % 1000));
    gd_json_str(&b, text);
    gd_json_name(&b, "timeout");
    gd_json_ms(&b, timeout_ms);
    return finish(&b);
}

char *gd_exception_cancelled(const char *msg)
{
    struct gd_buf b = {0};
    begin(&b, "CancelledError");
    gd_json_str(&b, msg ? msg : "cancelled");
    gd_json_name(&b, "msg");
    gd_json_str(&b, msg);
    return finish(&b);
}

char *gd_exception_spawn(int rc, const char *stage, const char *what)
{
    struct gd_buf text = {0};
    bool by_cwd = strcmp(stage, "chdir") == 0;
    gd_buf_printf(&text, "cannot %s %s: %s", by_cwd ? "change to the directory" : "start", what,
                  gd_err_text(rc));
    struct gd_buf b = {.err = gd_buf_error(&text)};
    begin(&b, "SpawnError");
    gd_json_strn(&b, text.ptr ? text.ptr : "", text.len);
    gd_buf_free(&text);
    gd_json_name(&b, "errno");
    gd_json_str(&b, gd_err_errno_name(rc));
    gd_json_name(&b, "stage");
    gd_json_str(&b, stage);
    return finish(&b);
}

char *gd_exception_fetch(const char *reason, const char *message, int status)
{
    struct gd_buf b = {0};
    begin(&b, "FetchError");
    gd_json_str(&b, message);
    gd_json_name(&b, "reason");
    gd_json_str(&b, reason);
    gd_json_name(&b, "status");
    if (status)
        gd_json_i64(&b, status);
    else
        gd_json_null(&b);
    return finish(&b);
}

char *gd_exception_lost(const char *reason)
{
    struct gd_buf b = {0};
    char text[128];
    begin(&b, "LostError");
    (void)snprintf(text, sizeof(text), "the %s while this may have been running",
                   strcmp(reason, "reboot") == 0   ? "machine was restarted"
                   : strcmp(reason, "runner") == 0 ? "runner ended"
                                                   : "fetcher ended");
    gd_json_str(&b, text);
    gd_json_name(&b, "reason");
    gd_json_str(&b, reason);
    return finish(&b);
}

char *gd_exception_result(const char *what, uint64_t offset)
{
    struct gd_buf b = {0};
    char text[192];
    begin(&b, "ResultError");
    (void)snprintf(text, sizeof(text), "stdout is not JSON: %s (at byte %llu)", what,
                   (unsigned long long)offset);
    gd_json_str(&b, text);
    gd_json_name(&b, "offset");
    gd_json_u64(&b, offset);
    return finish(&b);
}

char *gd_exception_group(const char *message, struct gd_span members)
{
    struct gd_buf b = {0};
    begin(&b, "ExceptionGroup");
    gd_json_str(&b, message);
    gd_json_name(&b, "exceptions");
    gd_json_raw(&b, members);
    return finish(&b);
}
