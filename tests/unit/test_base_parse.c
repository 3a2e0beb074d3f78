#include "base/limits.h"
#include "base/parse.h"

#include "tests/support/suite.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What a text should give: `rc`, and `value` if that is 0. */
struct expected {
    const char *text;
    int rc;
    int64_t value;
};

static char *copied;

#define N(table) (sizeof(table) / sizeof((table)[0]))

/* A copy of exactly that size, so that a sanitizer sees every step too far. Ends
 * with release(). */
static struct gd_span exact(const char *text)
{
    size_t n = strlen(text);
    copied = malloc(n);
    memcpy(copied, text, n);
    return (struct gd_span){copied, n};
}

static void release(void)
{
    free(copied);
    copied = NULL;
}

static void assert_gave(const struct expected *e, int rc, int64_t value)
{
    ck_assert_msg(rc == e->rc, "\"%s\" gave %d", e->text, rc);
    ck_assert_msg(value == (rc == 0 ? e->value : -77), "\"%s\" gave %lld", e->text,
                  (long long)value);
}

START_TEST(u64_takes_digits_only)
{
    static const struct expected table[] = {
        {"0", 0, 0},         {"7", 0, 7},          {"007", 0, 7},
        {"1000", 0, 1000},   {"1001", -ERANGE, 0}, {"99999999999999999999999", -ERANGE, 0},
        {"", -EINVAL, 0},    {"-1", -EINVAL, 0},   {"+1", -EINVAL, 0},
        {" 1", -EINVAL, 0},  {"1 ", -EINVAL, 0},   {"1.0", -EINVAL, 0},
        {"0x1", -EINVAL, 0}, {"1e2", -EINVAL, 0},  {"99999999999999999999999x", -EINVAL, 0},
    };
    for (size_t i = 0; i < N(table); i++) {
        uint64_t value = (uint64_t)-77;
        struct gd_span text = exact(table[i].text);
        int rc = gd_parse_u64(text, 1000, &value);
        release();
        assert_gave(&table[i], rc, (int64_t)value);
    }
}

START_TEST(u64_goes_up_to_its_maximum)
{
    uint64_t value = 0;
    ck_assert_int_eq(gd_parse_u64(GD_SPAN("18446744073709551615"), UINT64_MAX, &value), 0);
    ck_assert(value == UINT64_MAX);
    ck_assert_int_eq(gd_parse_u64(GD_SPAN("18446744073709551616"), UINT64_MAX, &value), -ERANGE);
    ck_assert_int_eq(gd_parse_u64(GD_SPAN("18446744073709551620"), UINT64_MAX, &value), -ERANGE);
    ck_assert_int_eq(gd_parse_u64(GD_SPAN("1\0"), 9, &value), -EINVAL);
}

START_TEST(seconds_are_rounded_up_to_milliseconds)
{
    static const struct expected table[] = {
        {"0", 0, 0},
        {"-0", 0, 0},
        {"0.0", 0, 0},
        {"1", 0, 1000},
        {"1.5", 0, 1500},
        {"0.001", 0, 1},
        {"0.0001", 0, 1},
        {"0.0011", 0, 2},
        {"0.0010001", 0, 2},
        {"1.001", 0, 1001},
        {"4.035", 0, 4035},
        {"1e-3", 0, 1},
        {"1.5E+1", 0, 15000},
        {"86400", 0, 86400000},
        {"1000000000", 0, INT64_C(1000000000000)},
        {"1e9", 0, INT64_C(1000000000000)},
        {"1000000000.001", -ERANGE, 0},
        {"1000000001", -ERANGE, 0},
        {"1e300", -ERANGE, 0},
        {"-0.001", -ERANGE, 0},
        {"-1", -ERANGE, 0},
    };
    for (size_t i = 0; i < N(table); i++) {
        int64_t ms = -77;
        struct gd_span text = exact(table[i].text);
        int rc = gd_parse_seconds(text, &ms);
        release();
        assert_gave(&table[i], rc, ms);
    }
}

START_TEST(every_millisecond_of_two_minutes_is_exact)
{
    for (int64_t ms = 0; ms < 120000; ms++) {
        struct gd_buf b = {0};
        gd_buf_printf(&b, "%d.%03d", (int)(ms / 1000), (int)(ms % 1000));
        int64_t back = -1;
        int rc = gd_parse_seconds(gd_buf_view(&b), &back);
        gd_buf_free(&b);
        ck_assert_int_eq(rc, 0);
        ck_assert_int_eq(back, ms);
    }
}

START_TEST(what_is_no_json_number_is_no_number_of_seconds)
{
    static const char *const bad[] = {"",     "x",   "\"1\"", "null", "true", "[1]",   "+1",
                                      ".5",   "-",   "1x",    " 1",   "1 ",   "0x10",  "inf",
                                      "-inf", "nan", "-nan",  "1s",   "--1",  "-0x1p3"};
    for (size_t i = 0; i < N(bad); i++) {
        int64_t value = 77;
        struct gd_span text = exact(bad[i]);
        ck_assert_msg(gd_parse_seconds(text, &value) == -EINVAL, "%s", bad[i]);
        ck_assert_msg(gd_parse_json_int(text, -100, 100, &value) == -EINVAL, "%s", bad[i]);
        ck_assert_int_eq(value, 77);
        release();
    }
    int64_t value = 77;
    ck_assert_int_eq(gd_parse_seconds(GD_SPAN("1\0x"), &value), -EINVAL);
    ck_assert_int_eq(gd_parse_json_int(GD_SPAN("1\0"), 0, 9, &value), -EINVAL);
}

START_TEST(json_integers_may_be_written_in_any_way)
{
    static const struct expected table[] = {
        {"0", 0, 0},           {"-0", 0, 0},          {"2.0", 0, 2},       {"1e3", 0, 1000},
        {"1000", 0, 1000},     {"-1000", 0, -1000},   {"10e-1", 0, 1},     {"1001", -ERANGE, 0},
        {"-1001", -ERANGE, 0}, {"1e300", -ERANGE, 0}, {"1.5", -EINVAL, 0}, {"1e-3", -EINVAL, 0},
    };
    for (size_t i = 0; i < N(table); i++) {
        int64_t value = -77;
        struct gd_span text = exact(table[i].text);
        int rc = gd_parse_json_int(text, -1000, 1000, &value);
        release();
        assert_gave(&table[i], rc, value);
    }
}

START_TEST(json_integers_are_exact_up_to_the_largest_limit)
{
    int64_t value = 0;
    ck_assert_int_eq(gd_parse_json_int(GD_SPAN("17592186044416"), 0, GD_MAX_FETCH_BYTES, &value),
                     0);
    ck_assert(value == GD_MAX_FETCH_BYTES);
    ck_assert_int_eq(gd_parse_json_int(GD_SPAN("17592186044417"), 0, GD_MAX_FETCH_BYTES, &value),
                     -ERANGE);
}

START_TEST(numbers_that_nobody_means_are_refused)
{
    struct gd_buf b = {0};
    gd_buf_puts(&b, "0.");
    for (unsigned i = 0; i < 1000; i++)
        gd_buf_putc(&b, '0');
    int64_t ms = 77;
    ck_assert_int_eq(gd_parse_seconds(gd_buf_view(&b), &ms), -EINVAL);
    ck_assert_int_eq(ms, 77);
    gd_buf_free(&b);
}

START_TEST(durations_are_read_as_people_write_them)
{
    static const struct expected table[] = {
        {"0", 0, 0},
        {"90", 0, 90000},
        {"1.5", 0, 1500},
        {"1.5s", 0, 1500},
        {"250ms", 0, 250},
        {"0.5ms", 0, 1},
        {"2m", 0, 120000},
        {"1h30m", 0, 5400000},
        {"1d", 0, 86400000},
        {"1d2h3m4s5ms", 0, 93784005},
        {"1h1ms", 0, 3600001},
        {"1000000000s", 0, INT64_C(1000000000000)},
        {"1000000001", -ERANGE, 0},
        {"11575d", -ERANGE, 0},
        {"", -EINVAL, 0},
        {"s", -EINVAL, 0},
        {"1x", -EINVAL, 0},
        {"1 s", -EINVAL, 0},
        {" 1s", -EINVAL, 0},
        {"1s ", -EINVAL, 0},
        {"-1s", -EINVAL, 0},
        {"+1s", -EINVAL, 0},
        {".5s", -EINVAL, 0},
        {"1.2.3s", -EINVAL, 0},
        {"1s1m", -EINVAL, 0}, /* smallest first */
        {"1m1m", -EINVAL, 0}, /* twice */
        {"1h30", -EINVAL, 0}, /* of what? */
        {"1sm", -EINVAL, 0},
        {"1dh", -EINVAL, 0},
        {"1e3", -EINVAL, 0},
        {"0x10", -EINVAL, 0},
        {"1M", -EINVAL, 0},
        {"inf", -EINVAL, 0},
        {"1mss", -EINVAL, 0},
    };
    for (size_t i = 0; i < N(table); i++) {
        int64_t ms = -77;
        int rc = gd_parse_duration(table[i].text, &ms);
        assert_gave(&table[i], rc, ms);
    }
}

START_TEST(sizes_are_powers_of_1024)
{
    static const struct expected table[] = {
        {"0", 0, 0},
        {"4096", 0, 4096},
        {"64K", 0, 65536},
        {"16M", 0, 16777216},
        {"2G", 0, INT64_C(2147483648)},
        {"1T", 0, INT64_C(1099511627776)},
        {"2T", 0, INT64_C(2199023255552)},
        {"2199023255552", 0, INT64_C(2199023255552)},
        {"2199023255553", -ERANGE, 0},
        {"2049G", -ERANGE, 0},
        {"3T", -ERANGE, 0},
        {"18446744073709551615T", -ERANGE, 0},
        {"99999999999999999999", -ERANGE, 0},
        {"", -EINVAL, 0},
        {"K", -EINVAL, 0},
        {"1k", -EINVAL, 0},
        {"1KB", -EINVAL, 0},
        {"1.5M", -EINVAL, 0},
        {"-1", -EINVAL, 0},
        {"1 K", -EINVAL, 0},
        {"1P", -EINVAL, 0},
        {"1KK", -EINVAL, 0},
    };
    for (size_t i = 0; i < N(table); i++) {
        uint64_t bytes = (uint64_t)-77;
        int rc = gd_parse_size(table[i].text, UINT64_C(1) << 41, &bytes);
        assert_gave(&table[i], rc, (int64_t)bytes);
    }
}

int main(void)
{
    TCase *tc = tcase_create("core");
    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, u64_takes_digits_only);
    tcase_add_test(tc, u64_goes_up_to_its_maximum);
    tcase_add_test(tc, seconds_are_rounded_up_to_milliseconds);
    tcase_add_test(tc, every_millisecond_of_two_minutes_is_exact);
    tcase_add_test(tc, what_is_no_json_number_is_no_number_of_seconds);
    tcase_add_test(tc, json_integers_may_be_written_in_any_way);
    tcase_add_test(tc, json_integers_are_exact_up_to_the_largest_limit);
    tcase_add_test(tc, numbers_that_nobody_means_are_refused);
    tcase_add_test(tc, durations_are_read_as_people_write_them);
    tcase_add_test(tc, sizes_are_powers_of_1024);
    return suite_main("base_parse", tc);
}
