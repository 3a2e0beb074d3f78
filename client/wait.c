#include "client/wait.h"

#include "base/clock.h"
#include "base/json_out.h"
#include "client/error.h"

/* What an answer may take on top of the wait before the client's own clock, which
 * is there for a daemon that is away, ends it. */
#define SLACK_MS 500
#define PAUSE_MS 1000

void gather_clock_init(struct gather_clock *k, const struct gather_wait *w)
{
    *k = (struct gather_clock){.end_ms = GATHER_NEVER};
    gather_clock_every(k, w ? w->every_ms : 0);
    if (w && w->timeout_ms >= 0)
        k->end_ms = gd_mono_ms() + w->timeout_ms;
}

void gather_clock_every(struct gather_clock *k, int64_t every_ms)
{
    k->every_ms = every_ms > 0 && every_ms < GATHER_SLICE_MS ? every_ms : GATHER_SLICE_MS;
}

int64_t gather_clock_ask(struct gather_clock *k, struct gather_call *call)
{
    k->began_ms = gd_mono_ms();
    k->slice_ms = k->every_ms;
    if (k->end_ms != GATHER_NEVER && k->end_ms - k->began_ms < k->slice_ms)
        k->slice_ms = k->end_ms > k->began_ms ? k->end_ms - k->began_ms : 0;
    struct gd_buf seconds = {0};
    gd_json_ms(&seconds, k->slice_ms);
    gd_buf_putc(&seconds, '\0');
    if (!gd_buf_error(&seconds))
        gather_call_query(call, "wait", seconds.ptr);
    gd_buf_free(&seconds); /* without the question the answer comes at once */
    call->idle_ms = GATHER_IDLE_MS + k->slice_ms;
    return k->end_ms == GATHER_NEVER ? GATHER_NEVER : k->end_ms + SLACK_MS;
}

enum gather_code gather_clock_next(struct gather_clock *k, struct gather_client *c,
                                   struct gather_error *err)
{
    int64_t now = gd_mono_ms();
    if (now >= k->end_ms)
        return gather_fail(err, GATHER_E_TIMEOUT, "the time to wait is over; the work goes on");
    int64_t rest = k->slice_ms - (now - k->began_ms);
    if (rest < k->slice_ms / 2)
        return GATHER_OK;
    return gather_http_pause(c, now + (rest < PAUSE_MS ? rest : PAUSE_MS), err);
}
