#include "base/buf.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CAP 128U

void gd_buf_free(struct gd_buf *b)
{
    if (!b)
        return;
    free(b->ptr);
    *b = (struct gd_buf){.max = b->max};
}

void gd_buf_reset(struct gd_buf *b)
{
    b->len = 0;
    b->err = 0;
}

/* Room for `n` bytes that count and `extra` that do not: a terminator. */
static char *reserve(struct gd_buf *b, size_t n, size_t extra)
{
    size_t max = b->max ? b->max : GD_BUF_MAX;
    if (b->err)
        return NULL;
    if (n > max || b->len > max - n) {
        b->err = -E2BIG;
        return NULL;
    }
    size_t need = b->len + n + extra;
    if (need > b->cap || !b->ptr) {
        size_t cap = b->cap ? b->cap : FIRST_CAP;
        while (cap < need)
            cap += cap / 2 + 16;
        char *ptr = realloc(b->ptr, cap);
        if (!ptr) {
            b->err = -ENOMEM;
            return NULL;
        }
        b->ptr = ptr;
        b->cap = cap;
    }
    return b->ptr + b->len;
}

char *gd_buf_reserve(struct gd_buf *b, size_t n)
{
    return reserve(b, n, 0);
}

void gd_buf_put(struct gd_buf *b, const void *bytes, size_t n)
{
    if (n == 0)
        return;
    char *to = gd_buf_reserve(b, n);
    if (!to)
        return;
    memcpy(to, bytes, n);
    b->len += n;
}

void gd_buf_putc(struct gd_buf *b, char c)
{
    gd_buf_put(b, &c, 1);
}

void gd_buf_puts(struct gd_buf *b, const char *s)
{
    gd_buf_put(b, s, strlen(s));
}

void gd_buf_span(struct gd_buf *b, struct gd_span s)
{
    gd_buf_put(b, s.ptr, s.len);
}

void gd_buf_printf(struct gd_buf *b, const char *fmt, ...)
{
    va_list ap;
    va_list again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *to = n < 0 ? NULL : reserve(b, (size_t)n, 1);
    if (to) {
        (void)vsnprintf(to, (size_t)n + 1, fmt, again);
        b->len += (size_t)n;
    }
    va_end(again);
}

void gd_buf_u64(struct gd_buf *b, uint64_t n)
{
    char digits[20];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + n % 10);
        n /= 10;
    } while (n);
    gd_buf_put(b, digits + at, sizeof(digits) - at);
}

void gd_buf_i64(struct gd_buf *b, int64_t n)
{
    if (n < 0)
        gd_buf_putc(b, '-');
    gd_buf_u64(b, n < 0 ? 0 - (uint64_t)n : (uint64_t)n);
}

void gd_buf_drop(struct gd_buf *b, size_t n)
{
    if (n >= b->len) {
        b->len = 0;
        return;
    }
    memmove(b->ptr, b->ptr + n, b->len - n);
    b->len -= n;
}

int gd_buf_error(const struct gd_buf *b)
{
    return b->err;
}

char *gd_buf_take(struct gd_buf *b, size_t *ret_len)
{
    char *end = reserve(b, 0, 1);
    if (!end)
        return NULL;
    *end = '\0';
    char *ptr = b->ptr;
    if (ret_len)
        *ret_len = b->len;
    *b = (struct gd_buf){.max = b->max};
    return ptr;
}
