/* base/json_scan.h — a strict reader of RFC 8259 text that copies nothing.
 *
 * A cursor walks the top of a document (its outer array or object, member by
 * member) and checks every value under it completely: grammar, UTF-8, depth,
 * duplicate names, lone surrogates, numbers that no double holds. It hands out
 * spans of the text; a span that it handed out is valid JSON and nothing else.
 * It exists because cJSON accepts much that the grammar forbids, and because
 * cutting a batch into single jobs first keeps cJSON's trees small.
 *
 * Where the RFC leaves freedom, gatherd refuses: duplicate names (section 4),
 * numbers beyond double's range (section 6), unpaired surrogates (section 8.2),
 * a byte order mark (section 8.1), nesting deeper than `max_depth` (section 9).
 */
#ifndef GD_BASE_JSON_SCAN_H
#define GD_BASE_JSON_SCAN_H

#include "base/attr.h"
#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>

/* No deeper nesting can be asked for; one bit per level is kept. */
#define GD_JSON_MAX_DEPTH 1024U

/* What is wrong, and at which byte of the text. */
struct gd_json_fault {
    const char *what; /* static text, NULL: nothing */
    size_t offset;
    bool no_memory; /* nothing is known to be wrong with the text */
};

struct gd_json_cursor {
    const char *start;
    const char *at;
    const char *end;
    unsigned max_depth;         /* of a value, its own brackets counted */
    size_t nul_offset;          /* of the first \u0000; SIZE_MAX: none */
    struct gd_json_fault fault; /* the first one; the cursor stays there */
    struct gd_json_keys *keys;  /* scratch for duplicate names */
};

/* Starts at the first byte of `text`, which must outlive the cursor. */
void gd_json_cursor_init(struct gd_json_cursor *c, struct gd_span text, unsigned max_depth);

/* Frees the scratch. */
void gd_json_cursor_done(struct gd_json_cursor *c);

/* The next byte that is not white space, not consumed; '\0' at the end. */
char gd_json_peek(struct gd_json_cursor *c);

/* Checks and consumes one whole value. False: fault is set. */
GD_MUST_CHECK bool gd_json_value(struct gd_json_cursor *c, struct gd_span *ret_value);

/* Consumes '[' or '{', which the caller has peeked. */
void gd_json_open(struct gd_json_cursor *c);

/* After gd_json_open() of an array: true if there is one more element, which the
 * caller then consumes; false at the end of the array (consumed) or at a fault.
 * `*first` is true before the first call and belongs to the caller. */
GD_MUST_CHECK bool gd_json_next_element(struct gd_json_cursor *c, bool *first);

/* The same for an object: `*ret_name` is the name with its quotes, checked; the
 * value is next. Duplicates of these outermost names are the caller's affair. */
GD_MUST_CHECK bool gd_json_next_member(struct gd_json_cursor *c, bool *first,
                                       struct gd_span *ret_name);

/* True if only white space is left; else sets the fault. */
GD_MUST_CHECK bool gd_json_end(struct gd_json_cursor *c);

/* Checks one whole document. False: `*ret_fault` says what and where. */
GD_MUST_CHECK bool gd_json_check(struct gd_span text, unsigned max_depth,
                                 struct gd_json_fault *ret_fault);

/* True if the quoted name `name`, as a cursor gave it, spells `literal`, whatever
 * escapes it is written with. */
bool gd_json_name_is(struct gd_span name, const char *literal);

/* Appends what a quoted string (checked) stands for. */
void gd_json_unquote(struct gd_span quoted, struct gd_buf *to);

#endif
