/* base/parse.h — checked reading of numbers, durations and sizes.
 *
 * All take the whole text: no leading space, no trailing rest.
 */
#ifndef GD_BASE_PARSE_H
#define GD_BASE_PARSE_H

#include "base/attr.h"
#include "base/buf.h"

#include <stdint.h>

/* Decimal digits only. Errors: -EINVAL not digits; -ERANGE more than `max`. */
GD_MUST_CHECK int gd_parse_u64(struct gd_span text, uint64_t max, uint64_t *ret);

/* A JSON number as milliseconds, read as seconds and rounded up to the next
 * millisecond, so that no timer fires early. `text` is a checked JSON number.
 * Errors: -EINVAL not a number; -ERANGE negative or more than GD_MAX_SECONDS. */
GD_MUST_CHECK int gd_parse_seconds(struct gd_span text, int64_t *ret_ms);

/* A JSON number that is an integer between `min` and `max`, both within what a
 * double holds exactly (2^53). `1e3` and `2.0` are integers. Errors: -EINVAL not an integer; -ERANGE out of bounds. */
GD_MUST_CHECK int gd_parse_json_int(struct gd_span text, int64_t min, int64_t max, int64_t *ret);

/* A duration as people write one: "90", "1.5s", "2m", "1h30m", "2d" (units ms s m
 * h d, largest first; a bare number is seconds). Errors as gd_parse_seconds. */
GD_MUST_CHECK int gd_parse_duration(const char *text, int64_t *ret_ms);

/* A size as people write one: "4096", "64K", "16M", "2G", "1T" (powers of 1024).
 * Errors: -EINVAL; -ERANGE more than `max`. */
GD_MUST_CHECK int gd_parse_size(const char *text, uint64_t max, uint64_t *ret_bytes);

#endif
