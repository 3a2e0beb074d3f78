/* api/query.h — the query of a request target: ?name=value&…
 *
 * Names and values are percent-decoded; '+' is a blank, as forms have it. Each
 * route names the parameters that it knows; any other is a bad request.
 */
#ifndef GD_API_QUERY_H
#define GD_API_QUERY_H

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GD_QUERY_MAX 32

struct gd_params {
    struct gd_param {
        const char *name;
        const char *value; /* "" if there is no '=' */
    } items[GD_QUERY_MAX];
    size_t n;
    char *text; /* owns all strings */
};

/* Takes `query` (what follows '?'; may be empty) apart. `known` ends with NULL.
 * Errors, with words: GD_E_BAD_JOB, -ENOMEM. */
GD_MUST_CHECK int gd_params_parse(struct gd_params *p, struct gd_span query,
                                  const char *const *known, struct gd_err *err);
void gd_params_free(struct gd_params *p);

/* The value of a parameter, NULL if it is not there. The last one counts. */
const char *gd_params_get(const struct gd_params *p, const char *name);

/* Numbers and words, checked. 0: `*ret` is set, if the parameter is there. */
GD_MUST_CHECK int gd_params_u64(const struct gd_params *p, const char *name, uint64_t max,
                                uint64_t *ret, struct gd_err *err);
GD_MUST_CHECK int gd_params_bool(const struct gd_params *p, const char *name, bool *ret,
                                 struct gd_err *err);
/* A duration ("30", "1.5", "2m") of at most `max_ms`. */
GD_MUST_CHECK int gd_params_duration(const struct gd_params *p, const char *name, int64_t max_ms,
                                     int64_t *ret_ms, struct gd_err *err);

#endif
