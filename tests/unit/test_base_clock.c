#include "base/clock.h"

#include "tests/support/rng.h"
#include "tests/support/suite.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DAY_MS INT64_C(86400000)

/* Parses a copy of exactly that size, so that a sanitizer sees every step too far. */
static int parse(const char *text, int64_t *ret_ms)
{
    size_t n = strlen(text);
    char *copy = malloc(n);
    memcpy(copy, text, n);
    int rc = gd_clock_parse((struct gd_span){copy, n}, ret_ms);
    free(copy);
    return rc;
}

static const char *put(int64_t wall_ms)
{
    static char text[64];
    struct gd_buf b = {0};
    gd_clock_put(&b, wall_ms);
    if (gd_buf_error(&b) != 0 || b.len >= sizeof(text))
        ck_abort_msg("%zu bytes of time", b.len);
    memcpy(text, b.ptr, b.len);
    text[b.len] = '\0';
    gd_buf_free(&b);
    return text;
}

/* The C library's idea of the same moment. */
static void assert_as_libc(int64_t wall_ms)
{
    time_t seconds = wall_ms / 1000;
    struct tm tm;
    char date[32];
    char expected[64];
    if (!gmtime_r(&seconds, &tm) || strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm) == 0)
        ck_abort_msg("gmtime_r");
    (void)snprintf(expected, sizeof(expected), "%s.%03dZ", date, (int)(wall_ms % 1000));
    int64_t back = -1;
    /* An assertion each takes too long. */
    if (strcmp(put(wall_ms), expected) != 0 || parse(expected, &back) != 0 || back != wall_ms)
        ck_abort_msg("%s came out as %s, and as %lld", expected, put(wall_ms), (long long)back);
}

START_TEST(known_moments_are_written_right)
{
    ck_assert_str_eq(put(0), "1970-01-01T00:00:00.000Z");
    ck_assert_str_eq(put(951782400000), "2000-02-29T00:00:00.000Z");
    ck_assert_str_eq(put(1769903999123), "2026-01-31T23:59:59.123Z");
    ck_assert_str_eq(put(4107542400000), "2100-03-01T00:00:00.000Z");
    ck_assert_str_eq(put(GD_WALL_MS_MAX), "9999-12-31T23:59:59.999Z");
}

START_TEST(moments_out_of_bounds_are_written_as_the_nearest)
{
    ck_assert_str_eq(put(-1), put(0));
    ck_assert_str_eq(put(INT64_MIN), "1970-01-01T00:00:00.000Z");
    ck_assert_str_eq(put(GD_WALL_MS_MAX + 1), "9999-12-31T23:59:59.999Z");
    ck_assert_str_eq(put(INT64_MAX), "9999-12-31T23:59:59.999Z");
}

START_TEST(every_day_of_800_years_is_as_the_c_library_has_it)
{
    for (int64_t day = 0; day < INT64_C(365) * 800; day++)
        assert_as_libc(day * DAY_MS + day % DAY_MS);
}

START_TEST(random_moments_are_as_the_c_library_has_them)
{
    uint64_t seed = 7;
    for (unsigned i = 0; i < 100000; i++)
        assert_as_libc((int64_t)(rng_next(&seed) % (GD_WALL_MS_MAX + 1)));
}

START_TEST(good_texts_are_read)
{
    static const struct {
        const char *text;
        int64_t ms;
    } good[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"1970-01-01t00:00:00z", 0},
        {"1970-01-01 00:00:00Z", 0},
        {"1970-01-01T00:00:00+00:00", 0},
        {"1970-01-01T00:00:00-00:00", 0},
        {"1970-01-01T01:30:00+01:30", 0},
        {"1970-01-01T23:59:00+23:59", 0},
        {"1970-01-01T00:00:00-23:59", 86340000},
        {"1970-01-01T00:00:00.1Z", 100},
        {"1970-01-01T00:00:00.12Z", 120},
        {"1970-01-01T00:00:00.123Z", 123},
        {"1970-01-01T00:00:00.1239Z", 123},
        {"1970-01-01T00:00:00.000999999999999999999999Z", 0},
        {"1970-01-01T00:00:00.999999999+00:00", 999},
        {"2000-02-29T12:00:00Z", 951825600000},
        {"2024-02-29T23:59:59Z", 1709251199000},
        {"2024-03-01T00:30:00+01:00", 1709249400000},
        {"9999-12-31T23:59:59.999Z", GD_WALL_MS_MAX},
        {"9999-12-31T23:59:59.9999999Z", GD_WALL_MS_MAX},
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        int64_t ms = -1;
        ck_assert_msg(parse(good[i].text, &ms) == 0, "%s", good[i].text);
        ck_assert_int_eq(ms, good[i].ms);
    }
}

START_TEST(bad_texts_are_refused_and_nothing_is_written)
{
    static const char *const bad[] = {
        "",
        "x",
        "now",
        "2026",
        "2026-01-01",
        "2026-01-01T",
        "2026-01-01T00:00Z",
        "2026-01-01T00:00:00",
        "2026-01-01T00:00:00.Z",
        "2026-01-01T00:00:00.",
        "2026-01-01T00:00:00.5",
        "2026-01-01T00:00:00,5Z",
        "2026-01-01T00:00:00ZZ",
        "2026-01-01T00:00:00Z ",
        " 2026-01-01T00:00:00Z",
        "2026-1-01T00:00:00Z",
        "2026-01-1T00:00:00Z",
        "2026-01-01T0:00:00Z",
        "26-01-01T00:00:00Z",
        "02026-01-01T00:00:00Z",
        "+2026-01-01T00:00:00Z",
        "-2026-01-01T00:00:00Z",
        "20260101T000000Z",
        "2026/01/01T00:00:00Z",
        "2026-01-01_00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-01-00T00:00:00Z",
        "2026-01-32T00:00:00Z",
        "2026-04-31T00:00:00Z",
        "2026-06-31T00:00:00Z",
        "2026-09-31T00:00:00Z",
        "2026-11-31T00:00:00Z",
        "2026-02-29T00:00:00Z", /* no leap year */
        "2100-02-29T00:00:00Z", /* nor this one */
        "2024-02-30T00:00:00Z",
        "2026-01-01T24:00:00Z",
        "2026-01-01T00:60:00Z",
        "2026-01-01T23:59:60Z", /* a leap second: Unix time has none */
        "2026-01-01T00:00:61Z",
        "2026-01-01T00:00:00+1:00",
        "2026-01-01T00:00:00+0100",
        "2026-01-01T00:00:00+01",
        "2026-01-01T00:00:00+01:0",
        "2026-01-01T00:00:00+24:00",
        "2026-01-01T00:00:00+00:60",
        "2026-01-01T00:00:00+01:00Z",
        "2026-01-01T00:00:00 +01:00",
        "2026-01-01T00:00:00\u221201:00", /* a minus sign */
        "1969-12-31T23:59:59.999Z",
        "1970-01-01T00:00:00+00:01",
        "1969-12-31T23:00:00-01:00", /* 1970 in UTC, but written as 1969 */
        "9999-12-31T23:59:59-00:01",
        "0000-01-01T00:00:00Z",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        int64_t ms = 77;
        ck_assert_msg(parse(bad[i], &ms) == -EINVAL, "%s", bad[i]);
        ck_assert_int_eq(ms, 77);
    }
}

START_TEST(nul_bytes_do_not_end_a_text)
{
    int64_t ms = 77;
    ck_assert_int_eq(gd_clock_parse(GD_SPAN("2026-01-01T00:00:00Z\0"), &ms), -EINVAL);
    ck_assert_int_eq(gd_clock_parse(GD_SPAN("2026-01-01\0"
                                            "00:00:00Z"),
                                    &ms),
                     -EINVAL);
}

START_TEST(every_prefix_of_a_time_is_refused)
{
    const char *text = "2026-01-31T23:59:59.123+01:30";
    char prefix[64];
    int64_t ms = 0;
    for (size_t n = 0; n < strlen(text); n++) {
        memcpy(prefix, text, n);
        prefix[n] = '\0';
        ck_assert_int_eq(parse(prefix, &ms), -EINVAL);
    }
    ck_assert_int_eq(parse(text, &ms), 0);
}

START_TEST(the_clocks_go_forward_and_agree_with_the_system)
{
    int64_t before_us = gd_mono_us();
    int64_t between_ms = gd_mono_ms();
    int64_t after_us = gd_mono_us();
    ck_assert_int_le(before_us / 1000, between_ms);
    ck_assert_int_le(between_ms, after_us / 1000);
    int64_t seconds = time(NULL);
    ck_assert_int_le(llabs(gd_wall_ms() / 1000 - seconds), 2);
}

int main(void)
{
    TCase *tc = tcase_create("core");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, known_moments_are_written_right);
    tcase_add_test(tc, moments_out_of_bounds_are_written_as_the_nearest);
    tcase_add_test(tc, every_day_of_800_years_is_as_the_c_library_has_it);
    tcase_add_test(tc, random_moments_are_as_the_c_library_has_them);
    tcase_add_test(tc, good_texts_are_read);
    tcase_add_test(tc, bad_texts_are_refused_and_nothing_is_written);
    tcase_add_test(tc, nul_bytes_do_not_end_a_text);
    tcase_add_test(tc, every_prefix_of_a_time_is_refused);
    tcase_add_test(tc, the_clocks_go_forward_and_agree_with_the_system);
    return suite_main("base_clock", tc);
}
