/* Heads of answers, line by line. */
#include "daemon/fetcher/answer.h"

#include "tests/support/suite.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct gd_answer answer;

static void teardown(void)
{
    gd_answer_free(&answer);
}

static int put(const char *line)
{
    return gd_answer_line(&answer, line, strlen(line));
}

/* A whole head of one field. */
static void head(const char *field)
{
    ck_assert_int_eq(put("HTTP/1.1 200 OK\r\n"), 0);
    ck_assert_int_eq(put(field), 0);
    ck_assert_int_eq(put("\r\n"), 0);
    ck_assert(answer.complete);
}

START_TEST(names_are_lower_case_and_values_trimmed)
{
    head("X-Some-THING: \t a  b \t\r\n");
    ck_assert_str_eq(gd_answer_get(&answer, "x-some-thing"), "a  b");
    ck_assert_ptr_null(gd_answer_get(&answer, "x-some"));
    ck_assert_ptr_null(gd_answer_get(&answer, "x-some-thing2"));
}

START_TEST(a_new_status_line_begins_anew)
{
    head("A: 1\r\n");
    head("B: 2\r\n");
    ck_assert_ptr_null(gd_answer_get(&answer, "a"));
    ck_assert_str_eq(gd_answer_get(&answer, "b"), "2");
    ck_assert_int_eq(put("Trailer: t\r\n"), 0);
    ck_assert_ptr_null(gd_answer_get(&answer, "trailer"));
}

START_TEST(folded_lines_belong_together)
{
    ck_assert_int_eq(put("HTTP/1.1 200 OK\r\n"), 0);
    ck_assert_int_eq(put(" nothing before\r\n"), 0);
    ck_assert_int_eq(put("A: 1\r\n"), 0);
    ck_assert_int_eq(put("\t2\r\n"), 0);
    ck_assert_int_eq(put("no colon\r\n"), 0);
    ck_assert_int_eq(put(": no name\r\n"), 0);
    ck_assert_int_eq(put("\r\n"), 0);
    ck_assert_str_eq(gd_answer_get(&answer, "a"), "1 2");
    ck_assert_uint_eq(answer.n_fields, 1);
}

START_TEST(number_of_fields_is_bounded)
{
    ck_assert_int_eq(put("HTTP/1.1 200 OK\r\n"), 0);
    for (unsigned i = 0; i < GD_ANSWER_FIELDS; i++)
        ck_assert_int_eq(put("A: 1\r\n"), 0);
    ck_assert_int_eq(put("A: 1\r\n"), -E2BIG);
}

START_TEST(bytes_are_bounded)
{
    /* "a: ", the value and a NUL make exactly as many as fit. */
    size_t n = GD_ANSWER_BYTES - 4;
    char *line = malloc(GD_ANSWER_BYTES + 8);
    ck_assert_ptr_nonnull(line);
    memset(line, 'x', n + 4);
    memcpy(line, "A: ", 3);
    ck_assert_int_eq(gd_answer_line(&answer, line, n + 3), 0);
    ck_assert_uint_eq(strlen(gd_answer_get(&answer, "a")), n);
    gd_answer_free(&answer);
    ck_assert_int_eq(gd_answer_line(&answer, line, n + 4), -E2BIG);
    ck_assert_ptr_null(gd_answer_get(&answer, "a"));
    free(line);
}

START_TEST(length_counts_without_transfer_encoding)
{
    head("Content-Length: 12\r\n");
    ck_assert_int_eq(gd_answer_length(&answer), 12);
    head("Content-Length: -1\r\n");
    ck_assert_int_eq(gd_answer_length(&answer), -1);
    head("Content-Length: 99999999999999999999\r\n");
    ck_assert_int_eq(gd_answer_length(&answer), -1);
    head("Other: x\r\n");
    ck_assert_int_eq(gd_answer_length(&answer), -1);
    ck_assert_int_eq(put("HTTP/1.1 200 OK\r\n"), 0);
    ck_assert_int_eq(put("Content-Length: 12\r\n"), 0);
    ck_assert_int_eq(put("Transfer-Encoding: chunked\r\n"), 0);
    ck_assert_int_eq(gd_answer_length(&answer), -1);
}

START_TEST(validators_are_strong)
{
    head("ETag: \"a\"\r\n");
    ck_assert_str_eq(gd_answer_validator(&answer), "\"a\"");
    head("ETag: W/\"a\"\r\n");
    ck_assert_ptr_null(gd_answer_validator(&answer));
    head("ETag: a\r\n");
    ck_assert_ptr_null(gd_answer_validator(&answer));
    head("Last-Modified: Mon, 01 Jan 2024 10:00:00 GMT\r\n");
    ck_assert_ptr_null(gd_answer_validator(&answer));
}

static void dated(const char *modified, const char *date)
{
    char line[100];
    ck_assert_int_eq(put("HTTP/1.1 200 OK\r\n"), 0);
    (void)snprintf(line, sizeof(line), "Last-Modified: %s\r\n", modified);
    ck_assert_int_eq(put(line), 0);
    (void)snprintf(line, sizeof(line), "Date: %s\r\n", date);
    ck_assert_int_eq(put(line), 0);
    ck_assert_int_eq(put("\r\n"), 0);
}

START_TEST(last_modified_must_be_older_than_the_answer)
{
    dated("Mon, 01 Jan 2024 10:00:00 GMT", "Mon, 01 Jan 2024 10:00:01 GMT");
    ck_assert_str_eq(gd_answer_validator(&answer), "Mon, 01 Jan 2024 10:00:00 GMT");
    dated("Mon, 01 Jan 2024 10:00:00 GMT", "Mon, 01 Jan 2024 10:00:00 GMT");
    ck_assert_ptr_null(gd_answer_validator(&answer));
    dated("whenever", "Mon, 01 Jan 2024 10:00:00 GMT");
    ck_assert_ptr_null(gd_answer_validator(&answer));
}

static bool range(const char *value, struct gd_content_range *ret)
{
    char line[100];
    (void)snprintf(line, sizeof(line), "Content-Range: %s\r\n", value);
    head(line);
    return gd_answer_range(&answer, ret);
}

START_TEST(content_ranges_are_read_strictly)
{
    static const char *const bad[] = {"bytes",        "bytes 1-2",   "bytes 1-2/",  "bytes -2/3",
                                      "bytes 1-/3",   "bytes 2-1/3", "bytes 1-3/3", "lines 1-2/3",
                                      "bytes 1-2/3x", "bytes */",    "bytes */*x",  "bytes 1/3",
                                      "bytes 1-2-3/9"};
    struct gd_content_range r;
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ck_assert_msg(!range(bad[i], &r), "%s", bad[i]);
    ck_assert(range("bytes 1-2/3", &r));
    ck_assert(r.first == 1 && r.last == 2 && r.total == 3 && !r.unsatisfied);
    ck_assert(range("Bytes 0-0/*", &r));
    ck_assert(r.first == 0 && r.last == 0 && r.total == -1 && !r.unsatisfied);
    ck_assert(range("bytes */7", &r));
    ck_assert(r.total == 7 && r.unsatisfied);
    head("Other: x\r\n");
    ck_assert(!gd_answer_range(&answer, &r));
}

int main(void)
{
    TCase *tc = tcase_create("core");
    tcase_add_checked_fixture(tc, NULL, teardown);
    tcase_add_test(tc, names_are_lower_case_and_values_trimmed);
    tcase_add_test(tc, a_new_status_line_begins_anew);
    tcase_add_test(tc, folded_lines_belong_together);
    tcase_add_test(tc, number_of_fields_is_bounded);
    tcase_add_test(tc, bytes_are_bounded);
    tcase_add_test(tc, length_counts_without_transfer_encoding);
    tcase_add_test(tc, validators_are_strong);
    tcase_add_test(tc, last_modified_must_be_older_than_the_answer);
    tcase_add_test(tc, content_ranges_are_read_strictly);
    return suite_main("fetcher_answer", tc);
}
