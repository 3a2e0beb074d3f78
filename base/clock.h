/* base/clock.h — the two clocks, never mixed up.
 *
 * Monotonic time (`_mono`) measures and waits, as every timer does
 * (CLOCK_MONOTONIC). Wall time (`wall_`) is what people read and what survives a
 * restart; it may jump. Both in milliseconds as int64_t.
 */
#ifndef GD_BASE_CLOCK_H
#define GD_BASE_CLOCK_H

#include "base/attr.h"
#include "base/buf.h"

#include <stdint.h>

/* The latest wall time that is accepted or shown: 9999-12-31T23:59:59.999Z. */
#define GD_WALL_MS_MAX 253402300799999

int64_t gd_mono_ms(void);
int64_t gd_mono_us(void);
int64_t gd_wall_ms(void);

/* Appends `wall_ms` as RFC 3339 in UTC with milliseconds, without quotes:
 * 2026-01-31T23:59:59.123Z. */
void gd_clock_put(struct gd_buf *b, int64_t wall_ms);

/* Reads RFC 3339 with any offset and any number of fraction digits; no leap
 * second, which Unix time does not have.
 * Errors: -EINVAL not such a time, or beyond the years 1970 to 9999. */
GD_MUST_CHECK int gd_clock_parse(struct gd_span text, int64_t *ret_wall_ms);

#endif
