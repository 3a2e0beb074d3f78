/* base/buf.h — a byte buffer that grows up to a maximum.
 *
 * Errors stick: after the first failed append (out of memory, over `max`) the
 * buffer ignores every further one, so that an encoder appends freely and looks
 * at gd_buf_error() once, at the end. All zero bytes is an empty buffer without
 * a maximum of its own (GD_BUF_MAX).
 */
#ifndef GD_BASE_BUF_H
#define GD_BASE_BUF_H

#include "base/attr.h"

#include <stddef.h>
#include <stdint.h>

/* The most any buffer holds. */
#define GD_BUF_MAX ((size_t)1 << 31)

/* Bytes that somebody else owns; not terminated. */
struct gd_span {
    const char *ptr;
    size_t len;
};

#define GD_SPAN(literal) ((struct gd_span){.ptr = (literal), .len = sizeof(literal) - 1})

struct gd_buf {
    char *ptr; /* NULL while nothing was appended */
    size_t len;
    size_t cap;
    size_t max; /* 0: GD_BUF_MAX */
    int err;    /* 0, -ENOMEM or -E2BIG; sticks */
};

/* Frees the bytes and forgets the error; `max` stays. NULL is fine. */
void gd_buf_free(struct gd_buf *b);

/* Empties the buffer and forgets the error; keeps the memory. */
void gd_buf_reset(struct gd_buf *b);

/* Makes room for `n` more bytes and returns where they go, NULL on error. The
 * caller adds what it wrote to `len`. */
char *gd_buf_reserve(struct gd_buf *b, size_t n);

/* Appends. */
void gd_buf_put(struct gd_buf *b, const void *bytes, size_t n);
void gd_buf_putc(struct gd_buf *b, char c);
void gd_buf_puts(struct gd_buf *b, const char *s);
void gd_buf_span(struct gd_buf *b, struct gd_span s);
void gd_buf_printf(struct gd_buf *b, const char *fmt, ...) GD_PRINTF(2, 3);
void gd_buf_u64(struct gd_buf *b, uint64_t n);
void gd_buf_i64(struct gd_buf *b, int64_t n);

/* Drops the first `n` bytes (at most `len`). */
void gd_buf_drop(struct gd_buf *b, size_t n);

/* 0, or the first error. */
GD_MUST_CHECK int gd_buf_error(const struct gd_buf *b);

/* Moves the bytes out, NUL-terminated (the NUL is not counted in `*ret_len`,
 * which may be NULL). The caller frees them; the buffer is empty afterwards.
 * NULL on error, which stays set. */
char *gd_buf_take(struct gd_buf *b, size_t *ret_len) GD_MUST_CHECK;

/* What was appended, borrowed until the next change. */
static inline struct gd_span gd_buf_view(const struct gd_buf *b)
{
    return (struct gd_span){.ptr = b->ptr ? b->ptr : "", .len = b->len};
}

#endif
