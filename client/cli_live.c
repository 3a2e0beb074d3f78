#include "client/cli_live.h"

#include "base/clock.h"
#include "client/cli_format.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define DEFAULT_COLUMNS 80U

void cli_stderr(struct gd_span text)
{
    size_t done = 0;
    while (done < text.len) {
        ssize_t n = write(STDERR_FILENO, text.ptr + done, text.len - done);
        if (n > 0)
            done += (size_t)n;
        else if (n == 0 || errno != EINTR)
            return;
    }
}

void cli_live_init(struct cli_live *l, bool quiet)
{
    const char *term = getenv("TERM");
    *l = (struct cli_live){.quiet = quiet};
    l->on = !quiet && isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0;
}

int64_t cli_live_every_ms(const struct cli_live *l, bool batch)
{
    if (l->on)
        return CLI_LIVE_MS;
    return batch && !l->quiet ? CLI_PLAIN_MS : 0;
}

static size_t columns(void)
{
    struct winsize size;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
        return DEFAULT_COLUMNS;
    return size.ws_col;
}

static void rewrite(struct cli_live *l, const struct gd_buf *text)
{
    struct gd_buf line = {0};
    gd_buf_putc(&line, '\r');
    /* The last column stays free: writing there wraps on some terminals. */
    cli_put_clipped(&line, gd_buf_view(text), columns() - 1);
    gd_buf_puts(&line, "\033[K");
    if (!gd_buf_error(&line) && !gd_buf_error(text)) {
        cli_stderr(gd_buf_view(&line));
        l->shown = true;
    }
    gd_buf_free(&line);
}

static void write_plain(const struct gd_buf *text)
{
    struct gd_buf line = {0};
    gd_buf_puts(&line, "gather: ");
    gd_buf_span(&line, gd_buf_view(text));
    gd_buf_putc(&line, '\n');
    if (!gd_buf_error(&line) && !gd_buf_error(text))
        cli_stderr(gd_buf_view(&line));
    gd_buf_free(&line);
}

void cli_live_clear(struct cli_live *l)
{
    if (l->shown)
        cli_stderr(GD_SPAN("\r\033[K"));
    l->shown = false;
}

/* Is a plain line due? A change of state always is one, a mere advance seldom. */
static bool is_due(struct cli_live *l, enum gather_state state, int64_t amount, int64_t now)
{
    bool first = !l->seen;
    bool moved = l->seen && state != l->state;
    bool grown = l->seen && amount != l->amount && now - l->plain_ms >= CLI_PLAIN_MS - 1000;
    if (first || moved || grown) {
        l->plain_ms = now;
        l->amount = amount;
    }
    l->seen = true;
    l->state = state;
    return moved || grown;
}

void cli_live_task(struct cli_live *l, const struct gather_task *t)
{
    int64_t now = gd_mono_ms();
    if (l->quiet)
        return;
    if (t->progress_bytes >= 0)
        cli_rate_look(&l->rate, t->progress_bytes, now);
    bool due = is_due(l, t->state, t->progress_bytes, now);
    if (t->done || !(l->on || due))
        return;
    struct gd_buf text = {0};
    cli_put_task_progress(&text, t, &l->rate, gd_wall_ms());
    if (l->on)
        rewrite(l, &text);
    else
        write_plain(&text);
    gd_buf_free(&text);
}

void cli_live_batch(struct cli_live *l, const struct gather_batch *b)
{
    int64_t now = gd_mono_ms();
    int64_t done =
        b->counts[GATHER_SUCCEEDED] + b->counts[GATHER_FAILED] + b->counts[GATHER_CANCELLED];
    if (l->quiet)
        return;
    cli_rate_look(&l->rate, done, now);
    bool due = is_due(l, b->state, done, now);
    if (b->settled || !(l->on || due))
        return;
    struct gd_buf text = {0};
    cli_put_batch_progress(&text, b, &l->rate);
    if (l->on)
        rewrite(l, &text);
    else
        write_plain(&text);
    gd_buf_free(&text);
}
