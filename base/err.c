#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
    int code;
    const char *name;
    const char *text;
} errors[] = {
#define X(id, num, wire, story) {.code = GD_E_##id, .name = (wire), .text = (story)},
    GD_ERRORS(X)
#undef X
};

#define N_ERRORS (sizeof(errors) / sizeof(errors[0]))

const char *gd_err_text(int code)
{
    for (size_t i = 0; i < N_ERRORS; i++)
        if (errors[i].code == code)
            return errors[i].text;
    const char *text = code <= 0 && code > -4096 ? strerrordesc_np(-code) : NULL;
    return text ? text : "unknown error";
}

const char *gd_err_name(int code)
{
    for (size_t i = 0; i < N_ERRORS; i++)
        if (errors[i].code == code)
            return errors[i].name;
    return "internal";
}

const char *gd_err_errno_name(int code)
{
    const char *name = code > -4096 ? strerrorname_np(code < 0 ? -code : code) : NULL;
    return name ? name : "E?";
}

int gd_err_set(struct gd_err *err, int code, const char *fmt, ...)
{
    if (!err)
        return code;
    va_list ap;
    va_start(ap, fmt);
    err->code = code;
    (void)vsnprintf(err->text, sizeof(err->text), fmt, ap);
    va_end(ap);
    return code;
}
