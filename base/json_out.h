/* base/json_out.h — writes JSON straight into a buffer.
 *
 * Commas come by themselves: a member or an element that does not follow '{',
 * '[', ':' or ',' gets one. Strings come out as valid UTF-8 whatever went in: each
 * byte that is not part of a well-formed sequence becomes U+FFFD.
 */
#ifndef GD_BASE_JSON_OUT_H
#define GD_BASE_JSON_OUT_H

#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>

/* Opens and closes. `bracket` is '{' or '['; closing takes '}' or ']'. */
void gd_json_begin(struct gd_buf *b, char bracket);
void gd_json_finish(struct gd_buf *b, char bracket);

/* A member's name; one of the values below must follow. `name` is ours and needs
 * no escaping. */
void gd_json_name(struct gd_buf *b, const char *name);

/* Values, as an element or after gd_json_name(). */
void gd_json_str(struct gd_buf *b, const char *s); /* NULL: null */
void gd_json_strn(struct gd_buf *b, const char *s, size_t n);
void gd_json_u64(struct gd_buf *b, uint64_t n);
void gd_json_i64(struct gd_buf *b, int64_t n);
void gd_json_bool(struct gd_buf *b, bool value);
void gd_json_null(struct gd_buf *b);
void gd_json_raw(struct gd_buf *b, struct gd_span json); /* JSON already; empty: null */
void gd_json_ms(struct gd_buf *b, int64_t ms);           /* milliseconds as seconds: 1.5 */
void gd_json_us(struct gd_buf *b, int64_t us);           /* microseconds as seconds */
void gd_json_time(struct gd_buf *b, int64_t wall_ms);    /* RFC 3339; 0: null */

/* The inside of a string in pieces: escapes `n` bytes without quotes or comma.
 * A sequence that is cut off at the end stays unread unless `last`; returns how
 * many bytes were read. */
size_t gd_json_escape(struct gd_buf *b, const char *s, size_t n, bool last);

/* The same in base64 (RFC 4648, section 4). Bytes beyond a multiple of 3 stay unread
 * unless `last`. */
size_t gd_json_base64(struct gd_buf *b, const char *s, size_t n, bool last);

#endif
