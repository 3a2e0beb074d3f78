/* base/suggest.h — "did you mean …?" */
#ifndef GD_BASE_SUGGEST_H
#define GD_BASE_SUGGEST_H

#include "base/buf.h"

#include <stddef.h>

/* The word of `words` (ends with NULL) that differs least from `text`, if that
 * is one letter, or a third of its letters at most; else NULL. Two neighbours that
 * changed places count as one. */
const char *gd_suggest(struct gd_span text, const char *const *words);

#endif
