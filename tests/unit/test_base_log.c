#include "base/log.h"
#include "base/utf8.h"

#include "tests/support/failalloc.h"
#include "tests/support/suite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static FILE *captured; /* stands in for stderr */
static int saved_stderr;

static void setup(void)
{
    captured = tmpfile();
    ck_assert_ptr_nonnull(captured);
    saved_stderr = dup(STDERR_FILENO);
    ck_assert_int_ge(dup2(fileno(captured), STDERR_FILENO), 0);
    ck_assert_int_eq(unsetenv("JOURNAL_STREAM"), 0);
    gd_log_init(GD_LOG_INFO);
}

static void teardown(void)
{
    (void)dup2(saved_stderr, STDERR_FILENO);
    (void)close(saved_stderr);
    (void)fclose(captured);
}

/* Points JOURNAL_STREAM at the captured stream, plus `off` in its inode. */
static void enter_journal(unsigned long off)
{
    struct stat st;
    char stream[64];
    ck_assert_int_eq(fstat(STDERR_FILENO, &st), 0);
    (void)snprintf(stream, sizeof(stream), "%lu:%lu", (unsigned long)st.st_dev,
                   (unsigned long)st.st_ino + off);
    ck_assert_int_eq(setenv("JOURNAL_STREAM", stream, 1), 0);
    gd_log_init(GD_LOG_INFO);
}

/* What was written since the last call. */
static const char *written(void)
{
    static char text[20000];
    static long from;
    struct stat st;
    ck_assert_int_eq(fstat(fileno(captured), &st), 0);
    if (from > st.st_size)
        from = 0;
    ssize_t n = pread(fileno(captured), text, sizeof(text) - 1, from);
    ck_assert_int_ge(n, 0);
    from += n;
    text[n] = '\0';
    return text;
}

START_TEST(a_line_is_time_level_event_and_pairs)
{
    gd_log(GD_LOG_WARNING, "listening", "address", "[::1]:80", "port", "80", NULL);
    const char *line = written();
    struct tm tm = {0};
    const char *rest = strptime(line, "%Y-%m-%dT%H:%M:%S.", &tm);
    ck_assert_ptr_nonnull(rest);
    ck_assert_int_ge(tm.tm_year, 2024 - 1900);
    ck_assert_uint_eq(strspn(rest, "0123456789"), 3);
    ck_assert_str_eq(rest + 3, "Z warning listening address=[::1]:80 port=80\n");
}

START_TEST(under_the_journal_a_line_starts_with_its_priority)
{
    enter_journal(0);
    gd_log(GD_LOG_ERROR, "store-failed", "path", "/x", NULL);
    ck_assert_str_eq(written(), "<3>store-failed path=/x\n");
}

START_TEST(a_journal_that_is_not_ours_does_not_count)
{
    enter_journal(1);
    gd_log(GD_LOG_INFO, "started", NULL);
    ck_assert_ptr_nonnull(strstr(written(), "Z info    started\n"));
}

START_TEST(levels_below_the_chosen_one_are_silent)
{
    gd_log(GD_LOG_DEBUG, "detail", NULL);
    ck_assert_str_eq(written(), "");
    gd_log_init(GD_LOG_ERROR);
    gd_log(GD_LOG_WARNING, "w", NULL);
    ck_assert_str_eq(written(), "");
    gd_log_init(GD_LOG_DEBUG);
    gd_log(GD_LOG_DEBUG, "detail", NULL);
    ck_assert_ptr_nonnull(strstr(written(), "debug   detail\n"));
}

START_TEST(values_are_quoted_where_they_must_be)
{
    enter_journal(0);
    gd_log(GD_LOG_INFO, "e", "a", "", "b", "two words", "c", "x=y", "d", "\"\\", "n", NULL, "f",
           "1", NULL);
    ck_assert_str_eq(written(), "<6>e a=\"\" b=\"two words\" c=\"x=y\" d=\"\\\"\\\\\" f=1\n");
}

START_TEST(no_value_can_forge_a_line)
{
    enter_journal(0);
    gd_log(GD_LOG_INFO, "e", "a", "x\n<3>forged\r\t\x1b[31m\x7f", "b", "z\xc3\xa9\xff\xc3", NULL);
    ck_assert_str_eq(written(), "<6>e a=\"x\\x0a<3>forged\\x0d\\x09\\x1b[31m\\x7f\" "
                                "b=\"z\xc3\xa9\\xff\\xc3\"\n");
}

START_TEST(a_line_that_is_too_long_is_cut_between_characters)
{
    enter_journal(0);
    char value[10000];
    for (unsigned shift = 0; shift < 4; shift++) {
        memset(value, 'a', shift);
        for (size_t i = shift; i + 1 < sizeof(value); i++)
            value[i] = "\xe2\x82\xac"[(i - shift) % 3];
        value[sizeof(value) - 1] = '\0';
        gd_log(GD_LOG_INFO, "e", "value", value, "more", "lost", NULL);
        const char *line = written();
        size_t n = strlen(line);
        ck_assert_uint_le(n, 8192);
        ck_assert_uint_gt(n, 8000);
        ck_assert_int_eq(line[n - 1], '\n');
        ck_assert_ptr_eq(strchr(line, '\n'), line + n - 1);
        ck_assert(gd_utf8_valid(line, n));
    }
}

START_TEST(without_memory_nothing_breaks)
{
    enter_journal(0);
    char value[3000];
    memset(value, 'v', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    bool fired = true;
    for (unsigned long nth = 1; fired; nth++) {
        failalloc_arm(nth);
        gd_log(GD_LOG_INFO, "event", "value", value, "after", "x", NULL);
        fired = failalloc_disarm();
        const char *line = written();
        size_t n = strlen(line);
        ck_assert(n == 0 || line[n - 1] == '\n');
        ck_assert(fired || n > 3000);
    }
}

START_TEST(level_words_are_read)
{
    enum gd_log_level level = GD_LOG_INFO;
    ck_assert(gd_log_level_parse("error", &level));
    ck_assert_int_eq(level, GD_LOG_ERROR);
    ck_assert(gd_log_level_parse("warning", &level));
    ck_assert_int_eq(level, GD_LOG_WARNING);
    ck_assert(gd_log_level_parse("info", &level));
    ck_assert_int_eq(level, GD_LOG_INFO);
    ck_assert(gd_log_level_parse("debug", &level));
    ck_assert_int_eq(level, GD_LOG_DEBUG);
    ck_assert(!gd_log_level_parse("Error", &level));
    ck_assert(!gd_log_level_parse("", &level));
    ck_assert_int_eq(level, GD_LOG_DEBUG);
}

START_TEST(numbers_fit_their_buffer)
{
    ck_assert_str_eq(gd_log_num((char[21]){0}, INT64_MIN), "-9223372036854775808");
    ck_assert_str_eq(gd_log_num((char[21]){0}, INT64_MAX), "9223372036854775807");
    ck_assert_str_eq(gd_log_num((char[21]){0}, 0), "0");
}

int main(void)
{
    TCase *tc = tcase_create("core");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_line_is_time_level_event_and_pairs);
    tcase_add_test(tc, under_the_journal_a_line_starts_with_its_priority);
    tcase_add_test(tc, a_journal_that_is_not_ours_does_not_count);
    tcase_add_test(tc, levels_below_the_chosen_one_are_silent);
    tcase_add_test(tc, values_are_quoted_where_they_must_be);
    tcase_add_test(tc, no_value_can_forge_a_line);
    tcase_add_test(tc, a_line_that_is_too_long_is_cut_between_characters);
    tcase_add_test(tc, without_memory_nothing_breaks);
    tcase_add_test(tc, level_words_are_read);
    tcase_add_test(tc, numbers_fit_their_buffer);
    return suite_main("base_log", tc);
}
