#include "base/parse.h"

#include "base/limits.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Longer numbers exist (0.000…1), but none that anybody means. */
#define NUMBER_MAX 400U

int gd_parse_u64(struct gd_span text, uint64_t max, uint64_t *ret)
{
    if (text.len == 0)
        return -EINVAL;
    uint64_t value = 0;
    bool over = false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return -EINVAL;
        unsigned digit = (unsigned)(text.ptr[i] - '0');
        over = over || value > (UINT64_MAX - digit) / 10;
        value = value * 10 + digit;
    }
    if (over || value > max)
        return -ERANGE;
    *ret = value;
    return 0;
}

static int to_double(struct gd_span text, double *ret)
{
    char copy[NUMBER_MAX + 1];
    if (text.len == 0 || text.len > NUMBER_MAX)
        return -EINVAL;
    if (text.ptr[0] != '-' && (text.ptr[0] < '0' || text.ptr[0] > '9'))
        return -EINVAL;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    /* strtod also takes hexadecimal, infinities and NaN. */
    if (strspn(copy, "0123456789+-.eE") != text.len)
        return -EINVAL;
    char *end = NULL;
    *ret = strtod(copy, &end); /* LC_NUMERIC is never set in our programs */
    return *end == '\0' ? 0 : -EINVAL;
}

static int seconds_to_ms(double seconds, int64_t *ret_ms)
{
    if (!(seconds >= 0 && seconds <= (double)GD_MAX_SECONDS))
        return -ERANGE;
    /* The small amount keeps 0.001 (a little more than that in binary) at 1. */
    *ret_ms = (int64_t)ceil(seconds * 1000 - 1e-6);
    return 0;
}

int gd_parse_seconds(struct gd_span text, int64_t *ret_ms)
{
    double seconds = 0;
    int rc = to_double(text, &seconds);
    return rc < 0 ? rc : seconds_to_ms(seconds, ret_ms);
}

int gd_parse_json_int(struct gd_span text, int64_t min, int64_t max, int64_t *ret)
{
    double d = 0;
    int rc = to_double(text, &d);
    if (rc < 0)
        return rc;
    if (d != floor(d))
        return -EINVAL;
    if (!(d >= (double)min && d <= (double)max))
        return -ERANGE;
    *ret = (int64_t)d;
    return 0;
}

int gd_parse_duration(const char *text, int64_t *ret_ms)
{
    static const struct {
        const char *unit;
        double seconds;
    } units[] = {{"d", 86400}, {"h", 3600}, {"m", 60}, {"s", 1}, {"ms", 0.001}};
    double sum = 0;
    unsigned next = 0; /* units before this one may not come any more */
    if (!*text)
        return -EINVAL;
    while (*text) {
        size_t n = strspn(text, "0123456789.");
        double value = 0;
        if (to_double((struct gd_span){text, n}, &value) < 0)
            return -EINVAL;
        text += n;
        size_t n_unit = strspn(text, "dhms");
        if (n_unit == 0 && *text == '\0' && next == 0) {
            sum = value;
            break;
        }
        while (next < 5 && !(strlen(units[next].unit) == n_unit &&
                             strncmp(units[next].unit, text, n_unit) == 0))
            next++;
        if (next == 5)
            return -EINVAL;
        sum += value * units[next++].seconds;
        text += n_unit;
    }
    return seconds_to_ms(sum, ret_ms);
}

int gd_parse_size(const char *text, uint64_t max, uint64_t *ret_bytes)
{
    static const char units[] = "KMGT";
    size_t n = strspn(text, "0123456789");
    unsigned shift = 0;
    if (text[n] != '\0') {
        const char *unit = strchr(units, text[n]);
        if (!unit || text[n + 1] != '\0')
            return -EINVAL;
        shift = (unsigned)(unit - units + 1) * 10;
    }
    uint64_t value = 0;
    int rc = gd_parse_u64((struct gd_span){text, n}, max, &value);
    if (rc < 0)
        return rc;
    if (value > max >> shift)
        return -ERANGE;
    *ret_bytes = value << shift;
    return 0;
}
