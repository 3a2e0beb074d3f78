#include "client/cli_format.h"
#include "client/cli_live.h"

#include "tests/support/suite.h"

#include <locale.h>
#include <stdlib.h>
#include <string.h>

static struct gd_buf text;

static void setup(void)
{
    ck_assert_ptr_nonnull(setlocale(LC_CTYPE, "C.UTF-8"));
}

static void teardown(void)
{
    gd_buf_free(&text);
}

/* What was put so far; starts anew. */
static const char *taken(void)
{
    static char copy[4096];
    ck_assert_uint_lt(text.len, sizeof(copy));
    memcpy(copy, gd_buf_view(&text).ptr, text.len);
    copy[text.len] = '\0';
    gd_buf_reset(&text);
    return copy;
}

START_TEST(durations_are_short)
{
    static const struct {
        int64_t ms;
        const char *text;
    } cases[] = {
        {-5, "0 ms"},        {0, "0 ms"},          {999, "999 ms"},
        {1000, "1.0 s"},     {12449, "12.4 s"},    {59999, "59.9 s"},
        {60000, "1m00s"},    {65000, "1m05s"},     {3599999, "59m59s"},
        {3600000, "1h00m"},  {11520000, "3h12m"},  {86399999, "23h59m"},
        {86400000, "1d00h"}, {183600000, "2d03h"}, {INT64_MAX, "106751991167d07h"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        cli_put_duration(&text, cases[i].ms);
        ck_assert_str_eq(taken(), cases[i].text);
    }
}

START_TEST(sizes_are_short)
{
    static const struct {
        int64_t bytes;
        const char *text;
    } cases[] = {
        {0, "0 B"},
        {1023, "1023 B"},
        {1024, "1.0 KiB"},
        {1048575, "1.0 MiB"},
        {47395635, "45.2 MiB"},
        {1073741824, "1.0 GiB"},
        {INT64_MAX, "8192.0 PiB"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        cli_put_bytes(&text, cases[i].bytes);
        ck_assert_str_eq(taken(), cases[i].text);
    }
}

START_TEST(no_text_from_elsewhere_can_steer_the_terminal)
{
    static const char evil[] = "a\x1b[2J\r\n\t\x7f\xc2\x9b"
                               "31m\xff\xc3\xa4";
    cli_put_clean(&text, evil, sizeof(evil) - 1, false);
    ck_assert_str_eq(taken(), "a\\x1b[2J\\x0d\\x0a\\x09\\x7f\\u009b31m\xef\xbf\xbd\xc3\xa4");
    cli_put_clean(&text, "a\n\tb\r", 5, true);
    ck_assert_str_eq(taken(), "a\n\tb\\x0d");
    cli_put_clean(&text, "a\0b", 3, false);
    ck_assert_str_eq(taken(), "a\\x00b");
}

START_TEST(widths_are_those_of_a_terminal)
{
    ck_assert_uint_eq(cli_width(GD_SPAN("")), 0);
    ck_assert_uint_eq(cli_width(GD_SPAN("abc")), 3);
    ck_assert_uint_eq(cli_width(GD_SPAN("\xc3\xa4\xc3\xb6")), 2);         /* two letters */
    ck_assert_uint_eq(cli_width(GD_SPAN("\xe6\x97\xa5\xe6\x9c\xac")), 4); /* two wide ones */
    ck_assert_uint_eq(cli_width(GD_SPAN("e\xcc\x81")), 1);                /* a combining one */
    cli_put_clipped(&text, GD_SPAN("abcdef"), 6);
    ck_assert_str_eq(taken(), "abcdef");
    cli_put_clipped(&text, GD_SPAN("abcdef"), 5);
    ck_assert_str_eq(taken(), "abcd\xe2\x80\xa6");
    cli_put_clipped(&text, GD_SPAN("\xe6\x97\xa5\xe6\x9c\xac"), 3);
    ck_assert_str_eq(taken(), "\xe6\x97\xa5\xe2\x80\xa6");
    cli_put_clipped(&text, GD_SPAN("abc"), 0);
    ck_assert_str_eq(taken(), "");
}

static void put_row(struct cli_table *t, const char *a, int state, const char *b, const char *c)
{
    cli_table_row(t, state);
    gd_buf_puts(&t->cells, a);
    cli_table_cell(t);
    gd_buf_puts(&t->cells, b);
    cli_table_cell(t);
    gd_buf_puts(&t->cells, c);
    cli_table_cell(t);
}

START_TEST(columns_are_as_wide_as_their_widest_cell)
{
    static const char *const titles[] = {"ID", "STATE", "INFO"};
    struct cli_table t = {.out = &text, .titles = titles, .n_columns = 3};
    put_row(&t, "1", GATHER_RUNNING, "running", "");
    put_row(&t, "1000", GATHER_SUCCEEDED, "ok", "more");
    cli_table_flush(&t);
    ck_assert_str_eq(taken(), "ID    STATE    INFO\n"
                              "1     running\n"
                              "1000  ok       more\n");
    cli_table_done(&t);
}

START_TEST(a_table_without_rows_is_its_titles)
{
    static const char *const titles[] = {"ID", "STATE"};
    struct cli_table t = {.out = &text, .titles = titles, .n_columns = 2};
    cli_table_flush(&t);
    ck_assert_str_eq(taken(), "ID  STATE\n");
    cli_table_done(&t);
}

START_TEST(colour_is_outside_the_width)
{
    static const char *const titles[] = {"ID", "STATE", "INFO"};
    struct cli_table t = {.out = &text, .titles = titles, .n_columns = 3, .color = true};
    put_row(&t, "1", GATHER_FAILED, "failed", "x");
    put_row(&t, "2", -1, "-", "y");
    cli_table_flush(&t);
    ck_assert_str_eq(taken(), "ID  STATE   INFO\n"
                              "1   \033[31mfailed\033[0m  x\n"
                              "2   -       y\n");
    cli_table_done(&t);
}

START_TEST(a_long_list_comes_in_parts_under_one_title)
{
    static const char *const titles[] = {"ID", "STATE", "INFO"};
    struct cli_table t = {.out = &text, .titles = titles, .n_columns = 3};
    for (unsigned i = 0; i < 2 * CLI_TABLE_ROWS + 1; i++)
        put_row(&t, "1", GATHER_PENDING, "x", "y");
    ck_assert_uint_eq(t.n_rows, 1);
    cli_table_flush(&t);
    size_t lines = 0;
    for (size_t i = 0; i < text.len; i++)
        lines += text.ptr[i] == '\n';
    ck_assert_uint_eq(lines, 2 * CLI_TABLE_ROWS + 2);
    cli_table_done(&t);
}

START_TEST(progress_of_a_batch_is_one_line)
{
    struct gather_batch b = {.id = 5, .total = 100};
    struct cli_rate rate = {0};
    cli_rate_look(&rate, 0, 1000);
    cli_put_batch_progress(&text, &b, &rate);
    ck_assert_str_eq(taken(), "b5  0/100 done");
    b.counts[GATHER_SUCCEEDED] = 36;
    b.counts[GATHER_FAILED] = 1;
    b.counts[GATHER_RUNNING] = 2;
    cli_rate_look(&rate, 37, 4000);
    cli_put_batch_progress(&text, &b, &rate);
    ck_assert_str_eq(taken(), "b5  37/100 done, 2 running, 1 failed  12.3/s  ETA 5.1 s");
}

START_TEST(progress_of_a_task_says_why_or_how_far)
{
    struct gather_task t = {.id = 17, .progress_bytes = -1, .progress_total = -1};
    struct cli_rate rate = {0};
    char why[] = "limit gpu: 2 of 2 held\x1b";
    t.detail = why;
    cli_put_task_progress(&text, &t, &rate, 0);
    ck_assert_str_eq(taken(), "17 pending: limit gpu: 2 of 2 held\\x1b");
    t.state = GATHER_RUNNING;
    t.started_at = 1000;
    t.cancelling = 1;
    cli_put_task_progress(&text, &t, &rate, 13400);
    ck_assert_str_eq(taken(), "17 running 12.4 s, being cancelled");
    t.progress_bytes = 10485760;
    t.progress_total = 104857600;
    cli_rate_look(&rate, 0, 0);
    cli_rate_look(&rate, 10485760, 1000);
    cli_put_task_progress(&text, &t, &rate, 0);
    ck_assert_str_eq(taken(), "17  10.0 MiB of 100.0 MiB (10 %)  10.0 MiB/s  ETA 9.0 s");
}

START_TEST(senseless_progress_is_not_multiplied)
{
    struct gather_task t = {
        .id = 17, .state = GATHER_RUNNING, .progress_bytes = INT64_MAX, .progress_total = 1};
    struct gather_batch b = {.id = 5, .total = -7};
    struct cli_rate rate = {0};
    cli_rate_look(&rate, 0, 0);
    cli_rate_look(&rate, INT64_MAX, 1);
    cli_put_task_progress(&text, &t, &rate, 0);
    (void)taken();
    cli_put_batch_progress(&text, &b, &rate);
    (void)taken();
    cli_rate_look(&rate, 5, 2); /* it went back: counted anew */
    ck_assert(cli_rate_per_s(&rate) <= 0);
    ck_assert_int_eq(cli_rate_eta_ms(&rate, 100), -1);
}

START_TEST(an_end_is_told_with_its_reason)
{
    char type[] = "ExitError";
    char message[] = "exited with code 2";
    struct gather_task t = {.id = 17,
                            .state = GATHER_FAILED,
                            .started_at = 1000,
                            .finished_at = 4200,
                            .exception = {.type = type, .message = message}};
    struct gather_batch b = {.id = 5, .state = GATHER_FAILED};
    cli_put_task_end(&text, &t);
    ck_assert_str_eq(taken(), "17 failed in 3.2 s: ExitError: exited with code 2");
    b.counts[GATHER_SUCCEEDED] = 97;
    b.counts[GATHER_FAILED] = 2;
    b.counts[GATHER_CANCELLED] = 1;
    cli_put_batch_end(&text, &b);
    ck_assert_str_eq(taken(), "b5 failed: 97 succeeded, 2 failed, 1 cancelled");
}

int main(void)
{
    TCase *tc = tcase_create("format");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, durations_are_short);
    tcase_add_test(tc, sizes_are_short);
    tcase_add_test(tc, no_text_from_elsewhere_can_steer_the_terminal);
    tcase_add_test(tc, widths_are_those_of_a_terminal);
    tcase_add_test(tc, columns_are_as_wide_as_their_widest_cell);
    tcase_add_test(tc, a_table_without_rows_is_its_titles);
    tcase_add_test(tc, colour_is_outside_the_width);
    tcase_add_test(tc, a_long_list_comes_in_parts_under_one_title);
    tcase_add_test(tc, progress_of_a_batch_is_one_line);
    tcase_add_test(tc, progress_of_a_task_says_why_or_how_far);
    tcase_add_test(tc, senseless_progress_is_not_multiplied);
    tcase_add_test(tc, an_end_is_told_with_its_reason);
    return suite_main("client_format", tc);
}
