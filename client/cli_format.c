#include "client/cli_format.h"

#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <wchar.h>

void cli_put_duration(struct gd_buf *to, int64_t ms)
{
    if (ms < 0)
        ms = 0;
    int64_t s = ms / 1000;
    if (ms < 1000)
        gd_buf_printf(to, "%lld ms", (long long)ms);
    else if (s < 60)
        gd_buf_printf(to, "%lld.%lld s", (long long)s, (long long)(ms % 1000 / 100));
    else if (s < 3600)
        gd_buf_printf(to, "%lldm%02llds", (long long)(s / 60), (long long)(s % 60));
    else if (s < 86400)
        gd_buf_printf(to, "%lldh%02lldm", (long long)(s / 3600), (long long)(s % 3600 / 60));
    else
        gd_buf_printf(to, "%lldd%02lldh", (long long)(s / 86400), (long long)(s % 86400 / 3600));
}

void cli_put_bytes(struct gd_buf *to, int64_t bytes)
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB"};
    if (bytes < 1024) {
        gd_buf_printf(to, "%lld B", (long long)bytes);
        return;
    }
    double n = (double)bytes / 1024;
    size_t unit = 0;
    /* What would be rounded to 1024.0 is one of the next. */
    for (; n >= 1023.95 && unit < 4; unit++)
        n /= 1024;
    gd_buf_printf(to, "%.1f %s", n, units[unit]);
}

void cli_put_time(struct gd_buf *to, int64_t wall_ms)
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm tm;
    char text[64];
    if (wall_ms == 0 || !localtime_r(&seconds, &tm) ||
        strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm) == 0)
        gd_buf_putc(to, '-');
    else
        gd_buf_puts(to, text);
}

void cli_put_clean(struct gd_buf *to, const char *text, size_t n, bool lines)
{
    size_t at = 0;
    while (at < n) {
        unsigned char c = (unsigned char)text[at];
        unsigned len = gd_utf8_len(text + at, n - at);
        bool is_c1 = len == 2 && c == 0xc2 && (unsigned char)text[at + 1] < 0xa0;
        if (len == 0)
            gd_buf_puts(to, "\xef\xbf\xbd"); /* U+FFFD */
        else if (lines && (c == '\n' || c == '\t'))
            gd_buf_putc(to, (char)c);
        else if (c < 0x20 || c == 0x7f)
            gd_buf_printf(to, "\\x%02x", c);
        else if (is_c1)
            gd_buf_printf(to, "\\u%04x", (unsigned char)text[at + 1]);
        else
            gd_buf_put(to, text + at, len);
        at += len ? len : 1;
    }
}

/* Columns of the character at `s` (`len` bytes of well-formed UTF-8). */
static size_t char_width(const char *s, unsigned len)
{
    wchar_t c = 0;
    mbstate_t state = {0};
    if (mbrtowc(&c, s, len, &state) != len)
        return 1; /* a locale without UTF-8: a guess */
    int width = wcwidth(c);
    return width < 0 ? 1 : (size_t)width;
}

size_t cli_width(struct gd_span text)
{
    size_t width = 0;
    for (size_t at = 0; at < text.len;) {
        unsigned len = gd_utf8_len(text.ptr + at, text.len - at);
        width += len ? char_width(text.ptr + at, len) : 1;
        at += len ? len : 1;
    }
    return width;
}

void cli_put_clipped(struct gd_buf *to, struct gd_span text, size_t width)
{
    if (cli_width(text) <= width) {
        gd_buf_span(to, text);
        return;
    }
    size_t used = 0;
    for (size_t at = 0; at < text.len;) {
        unsigned len = gd_utf8_len(text.ptr + at, text.len - at);
        len = len ? len : 1;
        used += char_width(text.ptr + at, len);
        if (used >= width)
            break;
        gd_buf_put(to, text.ptr + at, len);
        at += len;
    }
    if (width > 0)
        gd_buf_puts(to, "…");
}

void cli_put_outcome(struct gd_buf *to, const struct gather_exception *x)
{
    if (!x->type)
        return;
    cli_put_clean(to, x->type, strlen(x->type), false);
    if (x->message) {
        gd_buf_puts(to, ": ");
        cli_put_clean(to, x->message, strlen(x->message), false);
    } else if (x->msg) {
        gd_buf_puts(to, ": ");
        cli_put_clean(to, x->msg, strlen(x->msg), false);
    }
}

int64_t cli_run_ms(int64_t started_at, int64_t finished_at, int64_t now_ms)
{
    if (started_at == 0)
        return -1;
    int64_t end = finished_at ? finished_at : now_ms;
    return end > started_at ? end - started_at : 0;
}

const char *cli_state_color(enum gather_state s)
{
    switch (s) {
    case GATHER_RUNNING:
        return "\033[34m";
    case GATHER_SUCCEEDED:
        return "\033[32m";
    case GATHER_FAILED:
        return "\033[31m";
    case GATHER_CANCELLED:
        return "\033[35m";
    case GATHER_PENDING:
        break;
    }
    return "\033[2m";
}
