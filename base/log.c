#include "base/log.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Bytes of a line, its end included. */
#define LINE_BYTES 8192U

static enum gd_log_level most_level = GD_LOG_INFO;
static bool to_journal;

static const struct {
    const char *word;
    enum gd_log_level level;
} levels[] = {{"error", GD_LOG_ERROR},
              {"warning", GD_LOG_WARNING},
              {"info", GD_LOG_INFO},
              {"debug", GD_LOG_DEBUG}};

#define N_LEVELS (sizeof(levels) / sizeof(levels[0]))

void gd_log_init(enum gd_log_level most)
{
    most_level = most;
    /* systemd.exec(5): JOURNAL_STREAM is "device:inode" of the stream. */
    const char *stream = getenv("JOURNAL_STREAM");
    struct stat st;
    char mine[48] = "";
    if (stream && fstat(STDERR_FILENO, &st) == 0)
        (void)snprintf(mine, sizeof(mine), "%lu:%lu", (unsigned long)st.st_dev,
                       (unsigned long)st.st_ino);
    to_journal = stream && strcmp(stream, mine) == 0;
}

bool gd_log_level_parse(const char *word, enum gd_log_level *ret_level)
{
    for (size_t i = 0; i < N_LEVELS; i++)
        if (strcmp(levels[i].word, word) == 0) {
            *ret_level = levels[i].level;
            return true;
        }
    return false;
}

const char *gd_log_num(char digits[21], int64_t n)
{
    (void)snprintf(digits, 21, "%lld", (long long)n);
    return digits;
}

static void put_start(struct gd_buf *b, enum gd_log_level level)
{
    if (to_journal) {
        gd_buf_printf(b, "<%d>", level);
        return;
    }
    gd_clock_put(b, gd_wall_ms());
    for (size_t i = 0; i < N_LEVELS; i++)
        if (levels[i].level == level)
            gd_buf_printf(b, " %-7s ", levels[i].word);
}

static bool is_plain(const char *s)
{
    if (*s == '\0')
        return false;
    for (; *s; s++)
        if (*s <= ' ' || *s > '~' || *s == '"' || *s == '\\' || *s == '=')
            return false;
    return true;
}

static void put_value(struct gd_buf *b, const char *s)
{
    if (is_plain(s)) {
        gd_buf_puts(b, s);
        return;
    }
    gd_buf_putc(b, '"');
    for (size_t left = strlen(s); left > 0;) {
        unsigned n = gd_utf8_len(s, left);
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\')
            gd_buf_printf(b, "\\%c", c);
        else if (n == 0 || c < ' ' || c == 0x7f)
            gd_buf_printf(b, "\\x%02x", c);
        else
            gd_buf_put(b, s, n);
        s += n ? n : 1;
        left -= n ? n : 1;
    }
    gd_buf_putc(b, '"');
}

void gd_log(enum gd_log_level level, const char *event, ...)
{
    if (level > most_level)
        return;
    struct gd_buf line = {.max = LINE_BYTES - 1};
    put_start(&line, level);
    gd_buf_puts(&line, event);
    va_list ap;
    va_start(ap, event);
    for (const char *key = va_arg(ap, const char *); key; key = va_arg(ap, const char *)) {
        const char *value = va_arg(ap, const char *);
        if (!value)
            continue;
        gd_buf_printf(&line, " %s=", key);
        put_value(&line, value);
    }
    va_end(ap);
    /* One write, so that lines of several processes do not mix. A line that was
     * too long or found no memory goes out as far as it got. */
    line.max = LINE_BYTES;
    line.err = 0;
    gd_buf_putc(&line, '\n');
    if (line.err && line.len > 0)
        line.ptr[line.len - 1] = '\n';
    ssize_t ignored = write(STDERR_FILENO, line.ptr ? line.ptr : "", line.len);
    (void)ignored;
    gd_buf_free(&line);
}
