#include "client/error.h"

#include "base/utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* What is shown of an answer that nobody understands. */
#define SNIPPET_BYTES 120U

const char *gather_code_text(enum gather_code code)
{
    switch (code) {
#define X(id, text)   \
    case GATHER_##id: \
        return (text);
        GATHER_CODES(X)
#undef X
    }
    return "unknown error";
}

const char *gather_state_name(enum gather_state s)
{
    static const char *const names[] = {"pending", "running", "succeeded", "failed", "cancelled"};
    return s <= GATHER_CANCELLED ? names[s] : "unknown";
}

void gather_exception_clear(struct gather_exception *x)
{
    if (!x)
        return;
    free(x->type);
    free(x->message);
    free(x->signal_name);
    free(x->errno_name);
    free(x->stage);
    free(x->reason);
    free(x->stderr_tail);
    free(x->msg);
    free(x->json);
    *x = (struct gather_exception){.exit_code = -1};
}

void gather_error_clear(struct gather_error *err)
{
    if (!err)
        return;
    free(err->type);
    free(err->title);
    free(err->detail);
    for (size_t i = 0; i < err->n_faults; i++) {
        free(err->faults[i].pointer);
        free(err->faults[i].detail);
    }
    free(err->faults);
    gather_exception_clear(&err->exception);
    *err = (struct gather_error){.exception.exit_code = -1};
}

enum gather_code gather_fail(struct gather_error *err, enum gather_code code, const char *fmt, ...)
{
    if (!err)
        return code;
    /* The old text may be among the values: it goes only afterwards. */
    char *title = NULL;
    va_list ap;
    va_start(ap, fmt);
    if (vasprintf(&title, fmt, ap) < 0)
        title = NULL;
    va_end(ap);
    gather_error_clear(err);
    err->code = code;
    err->title = title;
    return code;
}

enum gather_code gather_fail_memory(struct gather_error *err)
{
    return gather_fail(err, GATHER_E_NO_MEMORY, "out of memory");
}

char *gather_snippet(struct gd_span text)
{
    struct gd_buf line = {0};
    size_t at = 0;
    while (at < text.len && line.len < SNIPPET_BYTES) {
        unsigned n = gd_utf8_len(text.ptr + at, text.len - at);
        bool plain = n > 0 && (unsigned char)text.ptr[at] > ' ' && text.ptr[at] != 0x7f;
        if (plain)
            gd_buf_put(&line, text.ptr + at, n);
        else if (line.len > 0 && line.ptr[line.len - 1] != ' ')
            gd_buf_putc(&line, ' ');
        at += n ? n : 1;
    }
    if (at < text.len)
        gd_buf_puts(&line, "…");
    char *out = line.len > 0 ? gd_buf_take(&line, NULL) : NULL;
    gd_buf_free(&line);
    return out;
}

char *gather_error_text(const struct gather_error *err)
{
    struct gd_buf text = {0};
    gd_buf_puts(&text, err->title ? err->title : gather_code_text(err->code));
    if (err->detail) {
        gd_buf_puts(&text, ": ");
        gd_buf_puts(&text, err->detail);
    }
    for (size_t i = 0; i < err->n_faults; i++) {
        const struct gather_fault *f = &err->faults[i];
        gd_buf_puts(&text, "\n  ");
        gd_buf_puts(&text, f->pointer && *f->pointer ? f->pointer : "(the whole)");
        gd_buf_puts(&text, ": ");
        gd_buf_puts(&text, f->detail ? f->detail : "not accepted");
    }
    if (err->faults_left_out > 0)
        gd_buf_printf(&text, "\n  and %lld more", (long long)err->faults_left_out);
    if (err->exception.type) {
        gd_buf_puts(&text, "\n  ");
        gd_buf_puts(&text, err->exception.type);
        if (err->exception.message) {
            gd_buf_puts(&text, ": ");
            gd_buf_puts(&text, err->exception.message);
        }
    }
    char *out = gd_buf_take(&text, NULL);
    gd_buf_free(&text);
    return out;
}
