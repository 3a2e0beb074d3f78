/* client/cli_format.h — values as people read them. Pure. */
#ifndef GATHER_CLI_FORMAT_H
#define GATHER_CLI_FORMAT_H

#include "base/buf.h"
#include "client/gather.h"

#include <stdbool.h>
#include <stdint.h>

/* "340 ms", "12.4 s", "1m05s", "3h12m", "2d03h". */
void cli_put_duration(struct gd_buf *to, int64_t ms);

/* "512 B", "45.2 MiB". */
void cli_put_bytes(struct gd_buf *to, int64_t bytes);

/* Local time with seconds: "2026-01-31 23:59:59"; "-" for 0. */
void cli_put_time(struct gd_buf *to, int64_t wall_ms);

/* Text from elsewhere, made safe for a terminal: control characters (C0, DEL, C1)
 * and what is not UTF-8 become visible. Line ends and tabs stay if `lines`. */
void cli_put_clean(struct gd_buf *to, const char *text, size_t n, bool lines);

/* Columns that the (clean) text takes on a terminal. */
size_t cli_width(struct gd_span text);

/* As much of the (clean) text as fits into `width` columns, the last one being an
 * ellipsis if something was left out. */
void cli_put_clipped(struct gd_buf *to, struct gd_span text, size_t width);

/* How a task ended, in one line: "ExitError: exit code 2"; empty for success. */
void cli_put_outcome(struct gd_buf *to, const struct gather_exception *x);

/* How long it has run (or ran), up to `now_ms` of wall time; -1: it did not start. */
int64_t cli_run_ms(int64_t started_at, int64_t finished_at, int64_t now_ms);

/* The escape sequence for a state's colour, and the one that ends it. */
const char *cli_state_color(enum gather_state s);
#define CLI_COLOR_END "\033[0m"

/* --- a table: columns as wide as their widest cell */

#define CLI_MAX_COLUMNS 8U
/* Widths are settled after so many rows, so that a long list neither waits nor
 * grows in memory. */
#define CLI_TABLE_ROWS 1000U

struct cli_table {
    struct gd_buf *out;
    const char *const *titles; /* n_columns of them */
    size_t n_columns;
    bool color;
    struct gd_buf cells; /* each cell ends with a NUL; a row starts with its state */
    size_t n_rows;
    size_t widths[CLI_MAX_COLUMNS];
    bool titled;
};

/* Starts a row; -1: no colour of its own. Then come exactly n_columns cells. */
void cli_table_row(struct cli_table *t, int state);
/* Ends a cell that was put into t->cells. */
void cli_table_cell(struct cli_table *t);
/* Writes what is there; at the end, and whenever it likes. */
void cli_table_flush(struct cli_table *t);
void cli_table_done(struct cli_table *t);

#endif
