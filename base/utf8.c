#include "base/utf8.h"

/* What may follow a first byte (RFC 3629, section 4): how many bytes in all, and
 * the bounds of the second; all others are 80..BF. */
struct shape {
    unsigned char len;
    unsigned char low;
    unsigned char high;
};

static struct shape shape_of(unsigned char c)
{
    if (c < 0x80)
        return (struct shape){1, 0, 0};
    if (c >= 0xc2 && c <= 0xdf)
        return (struct shape){2, 0x80, 0xbf};
    if (c >= 0xe0 && c <= 0xef)
        return (struct shape){3, c == 0xe0 ? 0xa0 : 0x80, c == 0xed ? 0x9f : 0xbf};
    if (c >= 0xf0 && c <= 0xf4)
        return (struct shape){4, c == 0xf0 ? 0x90 : 0x80, c == 0xf4 ? 0x8f : 0xbf};
    return (struct shape){0, 0, 0};
}

/* How many of the `n` bytes follow the shape of the first. */
static size_t follows(const unsigned char *s, size_t n, struct shape f)
{
    size_t i = 1;
    for (; i < f.len && i < n; i++) {
        unsigned char low = i == 1 ? f.low : 0x80;
        unsigned char high = i == 1 ? f.high : 0xbf;
        if (s[i] < low || s[i] > high)
            break;
    }
    return i;
}

unsigned gd_utf8_len(const char *s, size_t n)
{
    const unsigned char *u = (const unsigned char *)s;
    struct shape f = shape_of(u[0]);
    if (f.len <= 1)
        return f.len;
    return f.len <= n && follows(u, n, f) == f.len ? f.len : 0;
}

bool gd_utf8_is_cut(const char *s, size_t n)
{
    const unsigned char *u = (const unsigned char *)s;
    struct shape f = shape_of(u[0]);
    return f.len > n && follows(u, n, f) == n;
}

bool gd_utf8_valid(const char *s, size_t n)
{
    while (n > 0) {
        unsigned len = gd_utf8_len(s, n);
        if (len == 0)
            return false;
        s += len;
        n -= len;
    }
    return true;
}

unsigned gd_utf8_encode(char to[4], uint32_t c)
{
    if (c < 0x80) {
        to[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        to[0] = (char)(0xc0 | c >> 6);
        to[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        to[0] = (char)(0xe0 | c >> 12);
        to[1] = (char)(0x80 | (c >> 6 & 0x3f));
        to[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    to[0] = (char)(0xf0 | c >> 18);
    to[1] = (char)(0x80 | (c >> 12 & 0x3f));
    to[2] = (char)(0x80 | (c >> 6 & 0x3f));
    to[3] = (char)(0x80 | (c & 0x3f));
    return 4;
}
