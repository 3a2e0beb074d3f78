/* base/log.h — one line per event on stderr, for people and for the journal.
 *
 * A line is `event key=value key="two words"`; under the systemd journal
 * ($JOURNAL_STREAM is our stderr) it starts with <priority>, else with the time
 * and the level. Control bytes and what is not UTF-8 in a value come out
 * escaped, so that no input can forge a line.
 * Only a program's edges log, each failure once. Never commands, environments,
 * bodies or tokens.
 */
#ifndef GD_BASE_LOG_H
#define GD_BASE_LOG_H

#include "base/attr.h"

#include <stdbool.h>
#include <stdint.h>

/* The values are syslog's priorities. */
enum gd_log_level {
    GD_LOG_ERROR = 3,
    GD_LOG_WARNING = 4,
    GD_LOG_INFO = 6,
    GD_LOG_DEBUG = 7,
};

/* Sets what is written; once, at the start of a program. Default: info. */
void gd_log_init(enum gd_log_level most);

/* "error", "warning", "info", "debug". False: not such a word. */
bool gd_log_level_parse(const char *word, enum gd_log_level *ret_level);

/* Writes one line. The rest are pairs of a key and a value, both strings, then
 * NULL: gd_log(GD_LOG_INFO, "listening", "address", addr, NULL). A NULL value
 * leaves its pair out. */
void gd_log(enum gd_log_level level, const char *event, ...) __attribute__((sentinel));

/* A number as a value, in a buffer of the caller's:
 * gd_log(…, "port", gd_log_num((char[21]){0}, port), NULL). */
const char *gd_log_num(char digits[21], int64_t n);

#endif
