/* client/shape.h — reads a JSON object into a struct by a table of its members.
 *
 * A shape lists the members that are wanted, the type that each must have and
 * where it goes. Members that it does not list are checked as JSON and dropped;
 * null counts as missing.
 */
#ifndef GATHER_SHAPE_H
#define GATHER_SHAPE_H

#include "base/attr.h"
#include "base/buf.h"
#include "client/gather.h"

#include <stddef.h>

/* Larger integers lose digits in a double, so that no JSON number is one. */
#define GATHER_INT_MAX ((int64_t)1 << 53)

enum gather_as {
    GATHER_AS_ID,     /* uint64_t, 1 to GATHER_INT_MAX */
    GATHER_AS_INT,    /* int64_t, ± GATHER_INT_MAX */
    GATHER_AS_TEXT,   /* char *, from a string */
    GATHER_AS_BOOL,   /* bool */
    GATHER_AS_STATE,  /* enum gather_state, from its name */
    GATHER_AS_TIME,   /* int64_t milliseconds since 1970, from RFC 3339 */
    GATHER_AS_JSON,   /* char *, the value verbatim */
    GATHER_AS_VALUE,  /* the same, but null is a value and not missing */
    GATHER_AS_OBJECT, /* by another shape */
    GATHER_AS_OTHER,  /* by a function */
};

/* Reads a checked value into the member at `to`, freeing what was there.
 * Returns 0, E_NO_MEMORY or E_PROTOCOL; fills no error. */
typedef enum gather_code gather_read_fn(struct gd_span value, void *to);

struct gather_field {
    const char *name;
    enum gather_as as;
    bool needed;
    size_t at;                        /* offset in the struct of the shape */
    const struct gather_shape *shape; /* GATHER_AS_OBJECT */
    gather_read_fn *read;             /* GATHER_AS_OTHER */
};

/* At most 32 fields. */
struct gather_shape {
    const char *noun; /* for messages: "a task" */
    const struct gather_field *fields;
    size_t n_fields;
    size_t text_at; /* char *: where the whole text goes; SIZE_MAX: nowhere */
};

#define GATHER_NO_TEXT SIZE_MAX

/* Reads `text` (unchecked) into `to`, whose members hold defaults. On failure `to`
 * may be half filled; the caller clears it. Errors: E_NO_MEMORY, E_PROTOCOL. */
GD_MUST_CHECK enum gather_code gather_shape_read(const struct gather_shape *shape,
                                                 struct gd_span text, void *to,
                                                 struct gather_error *err);

/* A copy of `text`, NUL-terminated. False: out of memory. Frees the old `*to`. */
GD_MUST_CHECK bool gather_copy(struct gd_span text, char **to);

/* A checked value that must be a string, decoded. Frees the old `*to`.
 * Returns 0, E_NO_MEMORY or E_PROTOCOL. */
GD_MUST_CHECK enum gather_code gather_read_text(struct gd_span value, char **to);

/* A checked value that must be an id. */
GD_MUST_CHECK enum gather_code gather_read_id(struct gd_span value, uint64_t *to);

/* Fills `err` for JSON that was not well-formed. */
struct gd_json_cursor;
enum gather_code gather_shape_fault(const struct gd_json_cursor *c, const char *noun,
                                    struct gather_error *err);

#endif
