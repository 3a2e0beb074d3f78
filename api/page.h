/* api/page.h — a piece of a JSON answer, with holes where output files go.
 *
 * Small things are text in memory. The output of a command that is in a file is not
 * copied there: a hole remembers which, and the file is read, escaped and sent when
 * its turn comes, so that an answer of gigabytes needs no memory.
 */
#ifndef GD_API_PAGE_H
#define GD_API_PAGE_H

#include "api/http.h"
#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>

/* How the bytes of a file go into a hole. */
enum gd_hole_form {
    GD_HOLE_TEXT,   /* as the inside of a JSON string */
    GD_HOLE_BASE64, /* the same, in base64 */
    GD_HOLE_JSON,   /* as they are, but one line */
};

struct gd_hole {
    size_t at; /* where in the text */
    uint64_t task;
    uint32_t attempt;
    bool is_err; /* stderr, else stdout */
    enum gd_hole_form form;
};

struct gd_page {
    struct gd_buf text;
    struct gd_buf holes; /* of struct gd_hole, in order */
};

void gd_page_free(struct gd_page *p);
void gd_page_reset(struct gd_page *p);

/* Makes blanks of the line breaks from `from` on. In JSON they are between tokens only. */
void gd_page_one_line(struct gd_buf *text, size_t from);

/* Leaves a hole at the end of the text. */
void gd_page_hole(struct gd_page *p, struct gd_hole hole);

static inline bool gd_page_is_plain(const struct gd_page *p)
{
    return p->holes.len == 0;
}

/* Makes the next page of an answer in `p` (empty). 1: there are more; 0: it is the last
 * one; negative: the answer cannot go on. */
typedef int gd_page_fn(void *arg, struct gd_page *p);

/* Answers with pages, the first being there already (`first`, taken over). If that is
 * all and plain, the answer has a length; else it streams in chunks, each page made
 * when the one before is sent. `next` NULL: there are no more. `done` gets `arg` at the
 * end, in any case, once. */
void gd_http_pages(struct gd_http *h, unsigned status, const char *type, struct gd_page *first,
                   gd_page_fn *next, void (*done)(void *arg), void *arg);

/* The same, not sent yet; NULL: out of memory. */
GD_MUST_CHECK struct MHD_Response *gd_http_pages_response(struct gd_http *h, const char *type,
                                                          struct gd_page *first, gd_page_fn *next,
                                                          void (*done)(void *arg), void *arg);

/* Opens the file of an output stream; -errno. */
GD_MUST_CHECK int gd_api_open_output(struct gd_api *a, uint64_t task, uint32_t attempt,
                                     bool is_err);

#endif
