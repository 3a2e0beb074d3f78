/* daemon/fetcher/answer.h — the head of an HTTP answer, as libcurl hands it out.
 *
 * libcurl delivers the lines of every answer, interim ones and redirects too. A
 * status line after a finished head begins a new one, so that what is here in the
 * end is the last. Other lines after the head (a chunked body's trailer) are not
 * headers and are left out.
 *
 * What one server can make us keep is bounded: GD_ANSWER_BYTES, GD_ANSWER_FIELDS.
 */
#ifndef GD_DAEMON_FETCHER_ANSWER_H
#define GD_DAEMON_FETCHER_ANSWER_H

#include "base/attr.h"
#include "base/buf.h"
#include "daemon/proto/msg.h"

#include <stdbool.h>
#include <stdint.h>

#define GD_ANSWER_BYTES  ((size_t)65536)
#define GD_ANSWER_FIELDS 256

/* All zero bytes: no line yet. */
struct gd_answer {
    struct gd_buf fields; /* "name: value" and NUL, names in lower case, as they came */
    unsigned n_fields;
    bool complete; /* the empty line has come */
};

void gd_answer_free(struct gd_answer *a);

/* Takes one line, its end included. Errors: -ENOMEM; -E2BIG more than is kept. */
GD_MUST_CHECK int gd_answer_line(struct gd_answer *a, const char *line, size_t n);

/* The value of the first field of that name (in lower case), borrowed; NULL: none. */
const char *gd_answer_get(const struct gd_answer *a, const char *name);

/* Adds ANSWER_HEADERS to `m`, unless there are none: repeated fields as one, joined
 * with ", " (RFC 9110, section 5.2), except set-cookie. */
void gd_answer_report(const struct gd_answer *a, struct gd_msg *m);

/* Content-Length; -1: absent, not a number, or not what counts (RFC 9112, section
 * 6.3: a Transfer-Encoding). */
int64_t gd_answer_length(const struct gd_answer *a);

/* What If-Range may be asked with later: the ETag if it is a strong one, else
 * Last-Modified if that is at least a second older than the answer (RFC 9110,
 * sections 8.8.2.2, 13.1.5). NULL: neither. Borrowed. */
const char *gd_answer_validator(const struct gd_answer *a);

/* Content-Range (RFC 9110, section 14.4). */
struct gd_content_range {
    uint64_t first;
    uint64_t last;
    int64_t total;    /* -1: "*" */
    bool unsatisfied; /* only a total came: first and last mean nothing */
};

/* False: absent or not in bytes and well-formed. */
GD_MUST_CHECK bool gd_answer_range(const struct gd_answer *a, struct gd_content_range *ret);

#endif
