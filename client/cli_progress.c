#include "client/cli_format.h"
#include "client/cli_live.h"

#include <string.h>

void cli_rate_look(struct cli_rate *r, int64_t amount, int64_t now_ms)
{
    if (!r->looked || amount < r->last)
        *r = (struct cli_rate){.looked = true, .first_ms = now_ms, .first = amount};
    r->last_ms = now_ms;
    r->last = amount;
}

double cli_rate_per_s(const struct cli_rate *r)
{
    int64_t ms = r->last_ms - r->first_ms;
    return ms > 0 && r->last > r->first ? (double)(r->last - r->first) * 1000 / (double)ms : 0;
}

int64_t cli_rate_eta_ms(const struct cli_rate *r, int64_t total)
{
    double per_s = cli_rate_per_s(r);
    if (per_s <= 0 || total < r->last)
        return -1;
    double ms = (double)(total - r->last) / per_s * 1000;
    return ms < 1e15 ? (int64_t)ms : -1;
}

static void put_eta(struct gd_buf *to, const struct cli_rate *r, int64_t total)
{
    int64_t eta = cli_rate_eta_ms(r, total);
    if (eta <= 0)
        return;
    gd_buf_puts(to, "  ETA ");
    cli_put_duration(to, eta);
}

static void put_count(struct gd_buf *to, const struct gather_batch *b, enum gather_state s)
{
    if (b->counts[s] > 0)
        gd_buf_printf(to, ", %lld %s", (long long)b->counts[s], gather_state_name(s));
}

void cli_put_batch_progress(struct gd_buf *to, const struct gather_batch *b,
                            const struct cli_rate *r)
{
    int64_t done =
        b->counts[GATHER_SUCCEEDED] + b->counts[GATHER_FAILED] + b->counts[GATHER_CANCELLED];
    gd_buf_printf(to, "b%llu  %lld/%lld done", (unsigned long long)b->id, (long long)done,
                  (long long)b->total);
    put_count(to, b, GATHER_RUNNING);
    put_count(to, b, GATHER_FAILED);
    put_count(to, b, GATHER_CANCELLED);
    if (cli_rate_per_s(r) > 0)
        gd_buf_printf(to, "  %.1f/s", cli_rate_per_s(r));
    put_eta(to, r, b->total);
}

static void put_transfer(struct gd_buf *to, const struct gather_task *t, const struct cli_rate *r)
{
    cli_put_bytes(to, t->progress_bytes);
    if (t->progress_total > 0 && t->progress_bytes <= t->progress_total) {
        gd_buf_puts(to, " of ");
        cli_put_bytes(to, t->progress_total);
        gd_buf_printf(to, " (%d %%)",
                      (int)(100.0 * (double)t->progress_bytes / (double)t->progress_total));
    }
    if (cli_rate_per_s(r) > 0) {
        gd_buf_puts(to, "  ");
        cli_put_bytes(to, cli_rate_per_s(r) < 1e18 ? (int64_t)cli_rate_per_s(r) : INT64_MAX);
        gd_buf_puts(to, "/s");
        put_eta(to, r, t->progress_total);
    }
}

void cli_put_task_progress(struct gd_buf *to, const struct gather_task *t, const struct cli_rate *r,
                           int64_t now_ms)
{
    const char *why = t->detail ? t->detail : t->reason;
    gd_buf_printf(to, "%llu ", (unsigned long long)t->id);
    if (t->state == GATHER_RUNNING && t->progress_bytes >= 0) {
        gd_buf_putc(to, ' ');
        put_transfer(to, t, r);
        return;
    }
    gd_buf_puts(to, gather_state_name(t->state));
    if (t->state == GATHER_PENDING && why) {
        gd_buf_puts(to, ": ");
        cli_put_clean(to, why, strlen(why), false);
    }
    int64_t ms = cli_run_ms(t->started_at, t->finished_at, now_ms);
    if (t->state == GATHER_RUNNING && ms >= 0) {
        gd_buf_putc(to, ' ');
        cli_put_duration(to, ms);
    }
    if (t->state == GATHER_RUNNING && t->cancelling > 0)
        gd_buf_puts(to, ", being cancelled");
}

static void put_in(struct gd_buf *to, int64_t started_at, int64_t finished_at)
{
    int64_t ms = finished_at ? cli_run_ms(started_at, finished_at, 0) : -1;
    if (ms < 0)
        return;
    gd_buf_puts(to, " in ");
    cli_put_duration(to, ms);
}

void cli_put_batch_end(struct gd_buf *to, const struct gather_batch *b)
{
    gd_buf_printf(to, "b%llu %s: %lld succeeded", (unsigned long long)b->id,
                  gather_state_name(b->state), (long long)b->counts[GATHER_SUCCEEDED]);
    put_count(to, b, GATHER_FAILED);
    put_count(to, b, GATHER_CANCELLED);
    put_count(to, b, GATHER_RUNNING);
    put_count(to, b, GATHER_PENDING);
    put_in(to, b->started_at, b->finished_at);
}

void cli_put_task_end(struct gd_buf *to, const struct gather_task *t)
{
    gd_buf_printf(to, "%llu %s", (unsigned long long)t->id, gather_state_name(t->state));
    put_in(to, t->started_at, t->finished_at);
    if (t->exception.type) {
        gd_buf_puts(to, ": ");
        cli_put_outcome(to, &t->exception);
    }
}
