#include "api/range.h"

#include "base/parse.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

/* Digits up to `end`; false: none, or too many. */
static bool number(const char *from, const char *end, uint64_t *ret)
{
    return gd_parse_u64((struct gd_span){from, (size_t)(end - from)}, INT64_MAX, ret) == 0;
}

enum gd_range_kind gd_range_parse(const char *header, off_t size, struct gd_range *ret)
{
    uint64_t first = 0;
    uint64_t last = 0;
    if (!header || strncasecmp(header, "bytes=", 6) != 0)
        return GD_RANGE_NONE;
    const char *at = header + 6;
    const char *end = at + strlen(at);
    const char *dash = strchr(at, '-');
    if (!dash || strchr(at, ','))
        return GD_RANGE_NONE;
    if (dash == at) { /* the last bytes */
        if (!number(dash + 1, end, &last))
            return GD_RANGE_NONE;
        if (last == 0 || size == 0)
            return GD_RANGE_BEYOND;
        off_t n = last < (uint64_t)size ? (off_t)last : size;
        *ret = (struct gd_range){.first = size - n, .n = n};
        return GD_RANGE_PART;
    }
    if (!number(at, dash, &first) || (dash[1] && !number(dash + 1, end, &last)))
        return GD_RANGE_NONE;
    if (dash[1] && last < first)
        return GD_RANGE_NONE;
    if (first >= (uint64_t)size)
        return GD_RANGE_BEYOND;
    if (!dash[1] || last >= (uint64_t)size)
        last = (uint64_t)size - 1;
    *ret = (struct gd_range){.first = (off_t)first, .n = (off_t)(last - first + 1)};
    return GD_RANGE_PART;
}
