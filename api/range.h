/* api/range.h — the Range header (RFC 9110, section 14.2), one range of bytes. */
#ifndef GD_API_RANGE_H
#define GD_API_RANGE_H

#include <sys/types.h>

struct gd_range {
    off_t first;
    off_t n;
};

enum gd_range_kind {
    GD_RANGE_NONE,   /* no header, or one that is ignored (several ranges, other units) */
    GD_RANGE_PART,   /* `*ret` is set */
    GD_RANGE_BEYOND, /* nothing of it is there */
};

/* Reads `header` (may be NULL) against `size` bytes. `*ret` is set only for a part. */
enum gd_range_kind gd_range_parse(const char *header, off_t size, struct gd_range *ret);

#endif
