/* client/cli_live.h — progress: one line on stderr that is written again and again.
 *
 * Only on a terminal that can do that. Elsewhere a line a change, and for long
 * things one every CLI_PLAIN_MS at most.
 */
#ifndef GATHER_CLI_LIVE_H
#define GATHER_CLI_LIVE_H

#include "base/buf.h"
#include "client/gather.h"

#include <stdbool.h>
#include <stdint.h>

#define CLI_LIVE_MS  500
#define CLI_PLAIN_MS 30000

/* How fast an amount grows, from the first look on. All zero: not looked yet. */
struct cli_rate {
    bool looked;
    int64_t first_ms;
    int64_t first;
    int64_t last_ms;
    int64_t last;
};

void cli_rate_look(struct cli_rate *r, int64_t amount, int64_t now_ms);
/* Per second; 0: not known yet. */
double cli_rate_per_s(const struct cli_rate *r);
/* Milliseconds until `total` is reached; -1: not known. */
int64_t cli_rate_eta_ms(const struct cli_rate *r, int64_t total);

/* "b5  37/100 done, 2 running, 1 failed  12.3/s  ETA 5.1 s" */
void cli_put_batch_progress(struct gd_buf *to, const struct gather_batch *b,
                            const struct cli_rate *r);

/* "17 pending: limit gpu: 2 of 2 held", "17 running 12.4 s", or of a fetch
 * "17  45.2 MiB of 120.0 MiB (37 %)  10.2 MiB/s  ETA 7.1 s". `now_ms`: wall time. */
void cli_put_task_progress(struct gd_buf *to, const struct gather_task *t, const struct cli_rate *r,
                           int64_t now_ms);

/* How a batch ended: "b5 failed: 97 succeeded, 2 failed, 1 cancelled in 3.2 s". */
void cli_put_batch_end(struct gd_buf *to, const struct gather_batch *b);
/* And a task: "17 failed in 3.2 s: ExitError: exit code 2". */
void cli_put_task_end(struct gd_buf *to, const struct gather_task *t);

/* --- the line itself */

struct cli_live {
    bool on;    /* stderr is a terminal, and nobody asked for quiet */
    bool quiet; /* nothing at all */
    bool shown; /* there is a line to be wiped */
    struct cli_rate rate;
    int64_t plain_ms;        /* monotonic: when the last plain line was written */
    enum gather_state state; /* of the last look, if seen */
    int64_t amount;
    bool seen;
};

void cli_live_init(struct cli_live *l, bool quiet);

/* How often a wait should look; 0: as it likes. */
int64_t cli_live_every_ms(const struct cli_live *l, bool batch);

/* Shows how it goes. */
void cli_live_task(struct cli_live *l, const struct gather_task *t);
void cli_live_batch(struct cli_live *l, const struct gather_batch *b);

/* Wipes the line, before anything else is written to the terminal. */
void cli_live_clear(struct cli_live *l);

/* Writes all of `text` to stderr; failures are nobody's concern. */
void cli_stderr(struct gd_span text);

#endif
