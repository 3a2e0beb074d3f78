#include "base/clock.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static int64_t read_us(clockid_t id)
{
    struct timespec t;
    (void)clock_gettime(id, &t); /* cannot fail for these ids */
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t gd_mono_us(void)
{
    return read_us(CLOCK_MONOTONIC);
}

int64_t gd_mono_ms(void)
{
    return gd_mono_us() / 1000;
}

int64_t gd_wall_ms(void)
{
    return read_us(CLOCK_REALTIME) / 1000;
}

/* Days since 1970-01-01 to a date, and back: the proleptic Gregorian calendar
 * counted in eras of 400 years, each starting on a first of March. */
struct date {
    int64_t year;
    unsigned month;
    unsigned day;
};

static struct date date_of(int64_t days)
{
    days += 719468; /* from 0000-03-01 */
    int64_t era = days / 146097;
    unsigned doe = (unsigned)(days - era * 146097);
    unsigned yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    unsigned mp = (5 * doy + 2) / 153;
    unsigned month = mp < 10 ? mp + 3 : mp - 9;
    return (struct date){.year = (int64_t)yoe + era * 400 + (month <= 2),
                         .month = month,
                         .day = doy - (153 * mp + 2) / 5 + 1};
}

static int64_t days_of(struct date d)
{
    int64_t y = d.year - (d.month <= 2);
    int64_t era = y / 400;
    unsigned yoe = (unsigned)(y - era * 400);
    unsigned doy = (153 * (d.month > 2 ? d.month - 3 : d.month + 9) + 2) / 5 + d.day - 1;
    unsigned doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return era * 146097 + (int64_t)doe - 719468;
}

static void digits(char *to, unsigned n, int64_t value)
{
    while (n > 0) {
        to[--n] = (char)('0' + value % 10);
        value /= 10;
    }
}

void gd_clock_put(struct gd_buf *b, int64_t wall_ms)
{
    if (wall_ms < 0)
        wall_ms = 0;
    if (wall_ms > GD_WALL_MS_MAX)
        wall_ms = GD_WALL_MS_MAX;
    struct date d = date_of(wall_ms / 86400000);
    int64_t ms = wall_ms % 86400000;
    char text[] = "yyyy-mm-ddThh:mm:ss.mmmZ";
    digits(text, 4, d.year);
    digits(text + 5, 2, d.month);
    digits(text + 8, 2, d.day);
    digits(text + 11, 2, ms / 3600000);
    digits(text + 14, 2, ms / 60000 % 60);
    digits(text + 17, 2, ms / 1000 % 60);
    digits(text + 20, 3, ms % 1000);
    gd_buf_put(b, text, sizeof(text) - 1);
}

/* Reads exactly `n` digits at the start of `*s` and moves on. */
static bool number(struct gd_span *s, unsigned n, unsigned *ret)
{
    if (s->len < n)
        return false;
    unsigned value = 0;
    for (unsigned i = 0; i < n; i++) {
        if (s->ptr[i] < '0' || s->ptr[i] > '9')
            return false;
        value = value * 10 + (unsigned)(s->ptr[i] - '0');
    }
    s->ptr += n;
    s->len -= n;
    *ret = value;
    return true;
}

static bool one_of(struct gd_span *s, const char *set)
{
    if (s->len == 0 || !memchr(set, s->ptr[0], strlen(set)))
        return false;
    s->ptr++;
    s->len--;
    return true;
}

static bool date_part(struct gd_span *s, struct date *ret)
{
    static const unsigned char month_days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    unsigned year = 0;
    if (!number(s, 4, &year) || !one_of(s, "-") || !number(s, 2, &ret->month) || !one_of(s, "-") ||
        !number(s, 2, &ret->day))
        return false;
    ret->year = year;
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return year >= 1970 && ret->month >= 1 && ret->month <= 12 && ret->day >= 1 &&
           ret->day <= month_days[ret->month - 1] && (ret->month != 2 || ret->day < 29 || leap);
}

static bool time_part(struct gd_span *s, int64_t *ret_ms)
{
    unsigned h = 0;
    unsigned m = 0;
    unsigned sec = 0;
    if (!number(s, 2, &h) || !one_of(s, ":") || !number(s, 2, &m) || !one_of(s, ":") ||
        !number(s, 2, &sec) || h > 23 || m > 59 || sec > 59)
        return false;
    unsigned ms = 0;
    if (one_of(s, ".")) {
        unsigned digit = 0;
        unsigned scale = 100;
        if (!number(s, 1, &digit))
            return false;
        do {
            ms += digit * scale;
            scale /= 10;
        } while (number(s, 1, &digit));
    }
    *ret_ms = ((int64_t)h * 3600 + (int64_t)m * 60 + sec) * 1000 + ms;
    return true;
}

static bool offset_part(struct gd_span *s, int64_t *ret_ms)
{
    *ret_ms = 0;
    if (one_of(s, "Zz"))
        return true;
    bool west = s->len > 0 && s->ptr[0] == '-';
    unsigned h = 0;
    unsigned m = 0;
    if (!one_of(s, "+-") || !number(s, 2, &h) || !one_of(s, ":") || !number(s, 2, &m) || h > 23 ||
        m > 59)
        return false;
    *ret_ms = (int64_t)(h * 60 + m) * (west ? -60000 : 60000);
    return true;
}

int gd_clock_parse(struct gd_span text, int64_t *ret_wall_ms)
{
    struct date d = {0};
    int64_t ms = 0;
    int64_t offset_ms = 0;
    if (!date_part(&text, &d) || !one_of(&text, "Tt ") || !time_part(&text, &ms) ||
        !offset_part(&text, &offset_ms) || text.len > 0)
        return -EINVAL;
    int64_t wall_ms = days_of(d) * 86400000 + ms - offset_ms;
    if (wall_ms < 0 || wall_ms > GD_WALL_MS_MAX)
        return -EINVAL;
    *ret_wall_ms = wall_ms;
    return 0;
}
