#include "client/retry.h"

#define FIRST_MS 100
#define MOST_MS  2000

static bool is_passing(const struct gather_attempt *a)
{
    switch (a->status) {
    case 0: /* the connection broke, or there was none */
        return a->sent || a->reached;
    case 409: /* the same request, sent before, is still being worked on */
        return a->repeat == GATHER_REPEAT_KEYED && a->retry_after_ms >= 0;
    case 429: /* a queue that is full is news for who wanted to submit */
        return a->repeat == GATHER_REPEAT_SAFE;
    case 502: /* what proxies say while a daemon restarts */
    case 503:
    case 504:
        return true;
    default:
        return false;
    }
}

int64_t gather_retry_ms(const struct gather_attempt *a, uint32_t random)
{
    bool harmless = a->repeat != GATHER_REPEAT_ONCE || !a->sent || a->status == 503;
    if (!is_passing(a) || !harmless)
        return -1;
    int64_t wait = FIRST_MS;
    for (unsigned i = 1; i < a->n && wait < MOST_MS; i++)
        wait *= 2;
    if (wait > MOST_MS)
        wait = MOST_MS;
    wait += wait * (random % 1000) / 5000;
    if (a->retry_after_ms > wait)
        wait = a->retry_after_ms;
    return a->away_ms + wait <= a->patience_ms ? wait : -1;
}
