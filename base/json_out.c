#include "base/json_out.h"

#include "base/clock.h"
#include "base/utf8.h"

#include <string.h>

static void comma(struct gd_buf *b)
{
    char last = b->len ? b->ptr[b->len - 1] : '[';
    if (last != '{' && last != '[' && last != ':' && last != ',' && last != '\n')
        gd_buf_putc(b, ',');
}

void gd_json_begin(struct gd_buf *b, char bracket)
{
    comma(b);
    gd_buf_putc(b, bracket);
}

void gd_json_finish(struct gd_buf *b, char bracket)
{
    gd_buf_putc(b, bracket);
}

void gd_json_name(struct gd_buf *b, const char *name)
{
    comma(b);
    gd_buf_putc(b, '"');
    gd_buf_puts(b, name);
    gd_buf_put(b, "\":", 2);
}

static void put_escape(struct gd_buf *b, unsigned char c)
{
    static const char short_from[] = "\b\f\n\r\t\"\\";
    static const char short_to[] = "bfnrt\"\\";
    static const char hex[] = "0123456789abcdef";
    const char *found = c ? strchr(short_from, c) : NULL;
    if (found) {
        char two[2] = {'\\', short_to[found - short_from]};
        gd_buf_put(b, two, 2);
    } else {
        char six[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
        gd_buf_put(b, six, 6);
    }
}

size_t gd_json_escape(struct gd_buf *b, const char *s, size_t n, bool last)
{
    size_t from = 0; /* start of the bytes that go out as they are */
    size_t at = 0;
    while (at < n) {
        unsigned char c = (unsigned char)s[at];
        if (c >= 0x20 && c < 0x80 && c != '"' && c != '\\') {
            at++;
            continue;
        }
        unsigned len = c < 0x80 ? 0 : gd_utf8_len(s + at, n - at);
        if (len > 0) {
            at += len;
            continue;
        }
        gd_buf_put(b, s + from, at - from);
        if (c < 0x80)
            put_escape(b, c);
        else if (!last && gd_utf8_is_cut(s + at, n - at))
            return at;
        else
            gd_buf_put(b, "\xef\xbf\xbd", 3); /* U+FFFD */
        from = ++at;
    }
    gd_buf_put(b, s + from, at - from);
    return at;
}

size_t gd_json_base64(struct gd_buf *b, const char *s, size_t n, bool last)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t at = 0;
    for (; n - at >= 3 || (last && at < n); at += 3) {
        size_t left = n - at;
        uint32_t bits = (uint32_t)(unsigned char)s[at] << 16;
        if (left > 1)
            bits |= (uint32_t)(unsigned char)s[at + 1] << 8;
        if (left > 2)
            bits |= (unsigned char)s[at + 2];
        char four[4] = {digits[bits >> 18], digits[bits >> 12 & 63],
                        left > 1 ? digits[bits >> 6 & 63] : '=',
                        left > 2 ? digits[bits & 63] : '='};
        gd_buf_put(b, four, 4);
        if (left < 3)
            return n;
    }
    return at;
}

void gd_json_strn(struct gd_buf *b, const char *s, size_t n)
{
    comma(b);
    gd_buf_putc(b, '"');
    (void)gd_json_escape(b, s, n, true);
    gd_buf_putc(b, '"');
}

void gd_json_str(struct gd_buf *b, const char *s)
{
    if (s)
        gd_json_strn(b, s, strlen(s));
    else
        gd_json_null(b);
}

void gd_json_u64(struct gd_buf *b, uint64_t n)
{
    comma(b);
    gd_buf_u64(b, n);
}

void gd_json_i64(struct gd_buf *b, int64_t n)
{
    comma(b);
    gd_buf_i64(b, n);
}

void gd_json_bool(struct gd_buf *b, bool value)
{
    comma(b);
    gd_buf_puts(b, value ? "true" : "false");
}

void gd_json_null(struct gd_buf *b)
{
    comma(b);
    gd_buf_put(b, "null", 4);
}

void gd_json_raw(struct gd_buf *b, struct gd_span json)
{
    if (json.len == 0) {
        gd_json_null(b);
        return;
    }
    comma(b);
    gd_buf_span(b, json);
}

/* `n` units of which `scale` (a power of ten) make one second. */
static void put_fraction(struct gd_buf *b, int64_t n, unsigned scale)
{
    comma(b);
    if (n < 0)
        gd_buf_putc(b, '-');
    uint64_t all = n < 0 ? 0 - (uint64_t)n : (uint64_t)n;
    gd_buf_u64(b, all / scale);
    unsigned rest = (unsigned)(all % scale);
    if (rest == 0)
        return;
    gd_buf_putc(b, '.');
    for (; rest > 0; rest = rest * 10 % scale)
        gd_buf_putc(b, (char)('0' + rest * 10 / scale));
}

void gd_json_ms(struct gd_buf *b, int64_t ms)
{
    put_fraction(b, ms, 1000);
}

void gd_json_us(struct gd_buf *b, int64_t us)
{
    put_fraction(b, us, 1000000);
}

void gd_json_time(struct gd_buf *b, int64_t wall_ms)
{
    if (wall_ms == 0) {
        gd_json_null(b);
        return;
    }
    comma(b);
    gd_buf_putc(b, '"');
    gd_clock_put(b, wall_ms);
    gd_buf_putc(b, '"');
}
