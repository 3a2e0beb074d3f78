#include "base/buf.h"

#include "tests/support/failalloc.h"
#include "tests/support/rng.h"
#include "tests/support/suite.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct gd_buf buf;

static void setup(void)
{
    buf = (struct gd_buf){0};
}

static void teardown(void)
{
    gd_buf_free(&buf);
}

static void assert_holds(const char *text)
{
    struct gd_span view = gd_buf_view(&buf);
    ck_assert_int_eq(gd_buf_error(&buf), 0);
    ck_assert_uint_eq(view.len, strlen(text));
    ck_assert_mem_eq(view.ptr, text, view.len);
}

START_TEST(all_zero_bytes_is_an_empty_buffer)
{
    assert_holds("");
    ck_assert_ptr_nonnull(gd_buf_view(&buf).ptr);
    gd_buf_drop(&buf, 3);
    gd_buf_put(&buf, NULL, 0);
    gd_buf_puts(&buf, "");
    gd_buf_reset(&buf);
    assert_holds("");
    gd_buf_free(NULL);
}

START_TEST(appends_follow_each_other)
{
    gd_buf_put(&buf, "ab", 2);
    gd_buf_putc(&buf, 'c');
    gd_buf_puts(&buf, "de");
    gd_buf_span(&buf, GD_SPAN("fg"));
    gd_buf_printf(&buf, "-%d-%s-", 7, "x");
    gd_buf_u64(&buf, 42);
    gd_buf_i64(&buf, -42);
    assert_holds("abcdefg-7-x-42-42");
}

START_TEST(numbers_come_out_right_at_their_bounds)
{
    gd_buf_u64(&buf, 0);
    gd_buf_putc(&buf, ' ');
    gd_buf_u64(&buf, UINT64_MAX);
    gd_buf_putc(&buf, ' ');
    gd_buf_i64(&buf, INT64_MAX);
    gd_buf_putc(&buf, ' ');
    gd_buf_i64(&buf, INT64_MIN);
    gd_buf_putc(&buf, ' ');
    gd_buf_i64(&buf, 0);
    assert_holds("0 18446744073709551615 9223372036854775807 -9223372036854775808 0");
}

START_TEST(nul_bytes_are_bytes_like_others)
{
    gd_buf_put(&buf, "a\0b", 3);
    gd_buf_putc(&buf, '\0');
    size_t len = 0;
    char *taken = gd_buf_take(&buf, &len);
    ck_assert_uint_eq(len, 4);
    ck_assert_mem_eq(taken, "a\0b\0", 5);
    free(taken);
}

START_TEST(a_buffer_fills_to_its_maximum_and_not_beyond)
{
    buf.max = 5;
    gd_buf_puts(&buf, "hello");
    assert_holds("hello");
    gd_buf_putc(&buf, '!');
    ck_assert_int_eq(gd_buf_error(&buf), -E2BIG);
    ck_assert_uint_eq(buf.len, 5);
}

START_TEST(printf_fills_to_the_maximum_and_not_beyond)
{
    buf.max = 5;
    gd_buf_printf(&buf, "%s", "hello");
    assert_holds("hello");
    gd_buf_printf(&buf, "%s", "");
    assert_holds("hello");
    gd_buf_printf(&buf, "%d", 1);
    ck_assert_int_eq(gd_buf_error(&buf), -E2BIG);
}

START_TEST(a_full_buffer_can_be_taken)
{
    buf.max = 5;
    gd_buf_puts(&buf, "hello");
    size_t len = 0;
    char *taken = gd_buf_take(&buf, &len);
    ck_assert_ptr_nonnull(taken);
    ck_assert_str_eq(taken, "hello");
    ck_assert_uint_eq(len, 5);
    ck_assert_uint_eq(buf.max, 5);
    free(taken);
}

START_TEST(errors_stick_until_reset)
{
    buf.max = 3;
    gd_buf_puts(&buf, "toolong");
    gd_buf_puts(&buf, "ok");
    gd_buf_printf(&buf, "%d", 1);
    ck_assert_int_eq(gd_buf_error(&buf), -E2BIG);
    ck_assert_uint_eq(buf.len, 0);
    ck_assert_ptr_null(gd_buf_take(&buf, NULL));
    ck_assert_ptr_null(gd_buf_reserve(&buf, 1));
    gd_buf_reset(&buf);
    gd_buf_puts(&buf, "ok");
    assert_holds("ok");
}

START_TEST(free_forgets_the_error_and_keeps_the_maximum)
{
    buf.max = 3;
    gd_buf_puts(&buf, "abc");
    gd_buf_puts(&buf, "d");
    gd_buf_free(&buf);
    assert_holds("");
    ck_assert_uint_eq(buf.max, 3);
    ck_assert_ptr_null(buf.ptr);
}

START_TEST(sizes_that_overflow_are_refused)
{
    gd_buf_puts(&buf, "abc");
    ck_assert_ptr_null(gd_buf_reserve(&buf, SIZE_MAX));
    ck_assert_int_eq(gd_buf_error(&buf), -E2BIG);
    gd_buf_reset(&buf);
    gd_buf_puts(&buf, "abc");
    ck_assert_ptr_null(gd_buf_reserve(&buf, GD_BUF_MAX - 2));
    ck_assert_int_eq(gd_buf_error(&buf), -E2BIG);
}

START_TEST(out_of_memory_sticks_and_keeps_what_was_there)
{
    gd_buf_puts(&buf, "kept");
    char *large = calloc(1, 5000);
    failalloc_arm(1);
    gd_buf_put(&buf, large, 5000);
    ck_assert(failalloc_disarm());
    free(large);
    ck_assert_int_eq(gd_buf_error(&buf), -ENOMEM);
    gd_buf_putc(&buf, 'x');
    ck_assert_uint_eq(buf.len, 4);
    ck_assert_mem_eq(buf.ptr, "kept", 4);
}

START_TEST(take_without_memory_leaves_the_bytes_with_the_buffer)
{
    failalloc_arm(1);
    char *taken = gd_buf_take(&buf, NULL);
    ck_assert(failalloc_disarm());
    ck_assert_ptr_null(taken);
    ck_assert_int_eq(gd_buf_error(&buf), -ENOMEM);
}

START_TEST(reserve_returns_room_that_the_caller_counts)
{
    gd_buf_puts(&buf, "ab");
    char *room = gd_buf_reserve(&buf, 1000);
    ck_assert_ptr_nonnull(room);
    memset(room, 'z', 1000);
    ck_assert_uint_eq(buf.len, 2);
    buf.len += 3;
    assert_holds("abzzz");
}

START_TEST(reserving_nothing_is_no_error)
{
    ck_assert_ptr_nonnull(gd_buf_reserve(&buf, 0));
    buf.max = 2;
    gd_buf_puts(&buf, "ab");
    ck_assert_ptr_nonnull(gd_buf_reserve(&buf, 0));
    assert_holds("ab");
}

START_TEST(drop_takes_from_the_front)
{
    gd_buf_puts(&buf, "abcdef");
    gd_buf_drop(&buf, 0);
    assert_holds("abcdef");
    gd_buf_drop(&buf, 2);
    assert_holds("cdef");
    gd_buf_drop(&buf, 4);
    assert_holds("");
    gd_buf_puts(&buf, "gh");
    gd_buf_drop(&buf, 99);
    assert_holds("");
}

START_TEST(take_moves_the_bytes_out_and_empties_the_buffer)
{
    gd_buf_puts(&buf, "abc");
    char *taken = gd_buf_take(&buf, NULL);
    ck_assert_str_eq(taken, "abc");
    free(taken);
    ck_assert_ptr_null(buf.ptr);
    size_t len = 99;
    taken = gd_buf_take(&buf, &len);
    ck_assert_str_eq(taken, "");
    ck_assert_uint_eq(len, 0);
    free(taken);
}

START_TEST(random_operations_agree_with_a_plain_array)
{
    enum {
        ROOM = 1 << 16
    };
    static char model[ROOM];
    size_t n = 0;
    uint64_t seed = 1;
    for (unsigned step = 0; step < 20000; step++) {
        unsigned len = rng_below(&seed, 300);
        char piece[300];
        memset(piece, 'a' + (int)rng_below(&seed, 26), sizeof(piece));
        if (rng_below(&seed, 3) == 0 || n + len > ROOM) {
            size_t most = (size_t)len * 4;
            size_t drop = most < n ? most : n;
            memmove(model, model + drop, n - drop);
            n -= drop;
            gd_buf_drop(&buf, most);
        } else {
            memcpy(model + n, piece, len);
            n += len;
            gd_buf_put(&buf, piece, len);
        }
        ck_assert_uint_eq(buf.len, n);
    }
    ck_assert_int_eq(gd_buf_error(&buf), 0);
    ck_assert_mem_eq(gd_buf_view(&buf).ptr, model, n);
}

int main(void)
{
    TCase *tc = tcase_create("core");
    tcase_set_timeout(tc, 30);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, all_zero_bytes_is_an_empty_buffer);
    tcase_add_test(tc, appends_follow_each_other);
    tcase_add_test(tc, numbers_come_out_right_at_their_bounds);
    tcase_add_test(tc, nul_bytes_are_bytes_like_others);
    tcase_add_test(tc, a_buffer_fills_to_its_maximum_and_not_beyond);
    tcase_add_test(tc, printf_fills_to_the_maximum_and_not_beyond);
    tcase_add_test(tc, a_full_buffer_can_be_taken);
    tcase_add_test(tc, errors_stick_until_reset);
    tcase_add_test(tc, free_forgets_the_error_and_keeps_the_maximum);
    tcase_add_test(tc, sizes_that_overflow_are_refused);
    tcase_add_test(tc, out_of_memory_sticks_and_keeps_what_was_there);
    tcase_add_test(tc, take_without_memory_leaves_the_bytes_with_the_buffer);
    tcase_add_test(tc, reserve_returns_room_that_the_caller_counts);
    tcase_add_test(tc, reserving_nothing_is_no_error);
    tcase_add_test(tc, drop_takes_from_the_front);
    tcase_add_test(tc, take_moves_the_bytes_out_and_empties_the_buffer);
    tcase_add_test(tc, random_operations_agree_with_a_plain_array);
    return suite_main("base_buf", tc);
}
