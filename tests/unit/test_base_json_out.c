#include "base/json_out.h"
#include "base/json_scan.h"
#include "base/utf8.h"

#include "tests/support/rng.h"
#include "tests/support/suite.h"

#include <stdlib.h>
#include <string.h>

static struct gd_buf out;

static void setup(void)
{
    out = (struct gd_buf){0};
}

static void teardown(void)
{
    gd_buf_free(&out);
}

static void assert_wrote(const char *text)
{
    ck_assert_int_eq(gd_buf_error(&out), 0);
    gd_buf_putc(&out, '\0');
    ck_assert_str_eq(out.ptr, text);
    gd_buf_reset(&out);
}

START_TEST(commas_come_by_themselves)
{
    gd_json_begin(&out, '{');
    gd_json_name(&out, "a");
    gd_json_u64(&out, 1);
    gd_json_name(&out, "b");
    gd_json_begin(&out, '[');
    gd_json_bool(&out, true);
    gd_json_null(&out);
    gd_json_begin(&out, '[');
    gd_json_finish(&out, ']');
    gd_json_begin(&out, '{');
    gd_json_finish(&out, '}');
    gd_json_str(&out, "x");
    gd_json_i64(&out, -2);
    gd_json_finish(&out, ']');
    gd_json_name(&out, "c");
    gd_json_bool(&out, false);
    gd_json_name(&out, "d");
    gd_json_raw(&out, GD_SPAN("{\"z\":[1]}"));
    gd_json_name(&out, "e");
    gd_json_str(&out, ",[{:");
    gd_json_name(&out, "f");
    gd_json_ms(&out, 0);
    gd_json_finish(&out, '}');
    assert_wrote("{\"a\":1,\"b\":[true,null,[],{},\"x\",-2],\"c\":false,\"d\":{\"z\":[1]},"
                 "\"e\":\",[{:\",\"f\":0}");
}

START_TEST(elements_of_every_type_get_their_comma)
{
    gd_json_begin(&out, '[');
    for (unsigned i = 0; i < 2; i++) {
        gd_json_str(&out, NULL);
        gd_json_strn(&out, "ab", 1);
        gd_json_raw(&out, (struct gd_span){0});
        gd_json_us(&out, 1);
        gd_json_time(&out, 0);
        gd_json_time(&out, 1);
    }
    gd_json_finish(&out, ']');
    assert_wrote("[null,\"a\",null,0.000001,null,\"1970-01-01T00:00:00.001Z\","
                 "null,\"a\",null,0.000001,null,\"1970-01-01T00:00:00.001Z\"]");
}

START_TEST(a_new_line_starts_a_new_document)
{
    gd_json_u64(&out, 1);
    gd_buf_putc(&out, '\n');
    gd_json_begin(&out, '{');
    gd_json_finish(&out, '}');
    assert_wrote("1\n{}");
}

START_TEST(numbers_are_exact_at_their_bounds)
{
    gd_json_begin(&out, '[');
    gd_json_u64(&out, UINT64_MAX);
    gd_json_i64(&out, INT64_MIN);
    gd_json_finish(&out, ']');
    assert_wrote("[18446744073709551615,-9223372036854775808]");
}

START_TEST(fractions_have_no_more_digits_than_needed)
{
    gd_json_begin(&out, '[');
    gd_json_ms(&out, 1500);
    gd_json_ms(&out, 1);
    gd_json_ms(&out, 10);
    gd_json_ms(&out, 1000);
    gd_json_ms(&out, 1010);
    gd_json_ms(&out, -1);
    gd_json_ms(&out, -2500);
    gd_json_us(&out, 1000001);
    gd_json_us(&out, 120);
    gd_json_ms(&out, INT64_MAX);
    gd_json_ms(&out, INT64_MIN);
    gd_json_finish(&out, ']');
    assert_wrote("[1.5,0.001,0.01,1,1.01,-0.001,-2.5,1.000001,0.00012,"
                 "9223372036854775.807,-9223372036854775.808]");
}

START_TEST(escapes_are_the_short_ones_where_there_are_some)
{
    gd_json_strn(&out, "\0\x01\b\t\n\f\r\x1f \"\\/\x7f", 13);
    assert_wrote("\"\\u0000\\u0001\\b\\t\\n\\f\\r\\u001f \\\"\\\\/\x7f\"");
}

START_TEST(well_formed_utf8_passes_unchanged)
{
    gd_json_str(&out, "z\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
    assert_wrote("\"z\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"");
}

START_TEST(each_byte_that_is_not_utf8_becomes_a_replacement_character)
{
    gd_json_str(&out, "a\xff"
                      "b\xc3(\xed\xa0\x80\xf0\x9f\x98");
    assert_wrote("\"a\xef\xbf\xbd"
                 "b\xef\xbf\xbd(\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef"
                 "\xbf\xbd\"");
}

START_TEST(escaping_in_pieces_is_escaping_at_once)
{
    const char text[] = "a\"\xc3\xa9\n\xe2\x82\xac\\\xf0\x9f\x98\x80z";
    size_t n = sizeof(text) - 1;
    for (size_t cut = 0; cut <= n; cut++) {
        size_t done = gd_json_escape(&out, text, cut, false);
        ck_assert_uint_le(done, cut);
        ck_assert_uint_le(cut - done, 3);
        ck_assert_uint_eq(gd_json_escape(&out, text + done, n - done, true), n - done);
        assert_wrote("a\\\"\xc3\xa9\\n\xe2\x82\xac\\\\\xf0\x9f\x98\x80z");
    }
}

START_TEST(a_cut_sequence_at_the_very_end_is_replaced)
{
    ck_assert_uint_eq(gd_json_escape(&out, "x\xe2\x82", 3, false), 1);
    ck_assert_uint_eq(gd_json_escape(&out, "\xe2\x82", 2, true), 2);
    assert_wrote("x\xef\xbf\xbd\xef\xbf\xbd");
}

START_TEST(any_bytes_come_out_as_a_json_string)
{
    uint64_t seed = 8;
    for (unsigned round = 0; round < 20000; round++) {
        unsigned n = rng_below(&seed, 40);
        char *bytes = malloc(n);
        for (unsigned i = 0; i < n; i++)
            bytes[i] = (char)rng_below(&seed, round % 2 ? 256 : 96);
        gd_json_strn(&out, bytes, n);
        struct gd_json_fault fault;
        ck_assert(gd_json_check(gd_buf_view(&out), 1, &fault));
        struct gd_buf back = {0};
        gd_json_unquote(gd_buf_view(&out), &back);
        if (gd_utf8_valid(bytes, n)) {
            ck_assert_uint_eq(back.len, n);
            ck_assert_mem_eq(gd_buf_view(&back).ptr, n ? bytes : "", n);
        }
        gd_buf_free(&back);
        gd_buf_reset(&out);
        free(bytes);
    }
}

START_TEST(an_error_of_the_buffer_sticks_through_all_writers)
{
    out.max = 4;
    gd_json_begin(&out, '[');
    for (unsigned i = 0; i < 3; i++) {
        gd_json_str(&out, "long");
        gd_json_ms(&out, 1234567);
        gd_json_time(&out, 1);
        gd_json_raw(&out, GD_SPAN("[1,2,3]"));
    }
    ck_assert_int_ne(gd_buf_error(&out), 0);
    ck_assert_uint_le(out.len, 4);
}

int main(void)
{
    TCase *tc = tcase_create("core");
    tcase_set_timeout(tc, 30);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, commas_come_by_themselves);
    tcase_add_test(tc, elements_of_every_type_get_their_comma);
    tcase_add_test(tc, a_new_line_starts_a_new_document);
    tcase_add_test(tc, numbers_are_exact_at_their_bounds);
    tcase_add_test(tc, fractions_have_no_more_digits_than_needed);
    tcase_add_test(tc, escapes_are_the_short_ones_where_there_are_some);
    tcase_add_test(tc, well_formed_utf8_passes_unchanged);
    tcase_add_test(tc, each_byte_that_is_not_utf8_becomes_a_replacement_character);
    tcase_add_test(tc, escaping_in_pieces_is_escaping_at_once);
    tcase_add_test(tc, a_cut_sequence_at_the_very_end_is_replaced);
    tcase_add_test(tc, any_bytes_come_out_as_a_json_string);
    tcase_add_test(tc, an_error_of_the_buffer_sticks_through_all_writers);
    return suite_main("base_json_out", tc);
}
