/* Small parsers of the HTTP side: queries, ranges, host names, problems. */
#include "api/guard.h"
#include "api/problem.h"
#include "api/query.h"
#include "api/range.h"

#include "tests/support/suite.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *const known[] = {"name", "limit", "wait", "all", "größe", NULL};
static struct gd_params params;
static struct gd_err err;

static void setup(void)
{
    params = (struct gd_params){0};
    err = (struct gd_err){0};
}

static void teardown(void)
{
    gd_params_free(&params);
}

static int parse(const char *query)
{
    gd_params_free(&params);
    return gd_params_parse(&params, (struct gd_span){query, strlen(query)}, known, &err);
}

/* --- queries */

START_TEST(names_and_values_are_decoded)
{
    ck_assert_int_eq(parse("name=a+b%20c%2B%3d&&all&%6Cimit=1=2&gr%C3%B6%c3%9fe=%E2%82%ac&"), 0);
    ck_assert_str_eq(gd_params_get(&params, "name"), "a b c+=");
    ck_assert_str_eq(gd_params_get(&params, "all"), "");
    ck_assert_str_eq(gd_params_get(&params, "limit"), "1=2");
    ck_assert_str_eq(gd_params_get(&params, "größe"), "€");
    ck_assert_ptr_null(gd_params_get(&params, "wait"));
    ck_assert_int_eq(parse("name=1&name=2"), 0);
    ck_assert_str_eq(gd_params_get(&params, "name"), "2");
    ck_assert_int_eq(parse(""), 0);
    ck_assert_uint_eq(params.n, 0);
}

START_TEST(what_is_not_a_query_is_refused)
{
    static const char *const bad[] = {"name=%",   "name=%4",   "name=%zz", "name=%00",
                                      "name=%ff", "na%zzme=1", "%=1",      "name=%c3%28"};
    ck_assert_int_eq(parse(bad[_i]), GD_E_BAD_JOB);
    ck_assert_ptr_nonnull(strstr(err.text, "percent escape"));
    ck_assert_ptr_null(params.text);
}

START_TEST(an_unknown_parameter_is_named)
{
    ck_assert_int_eq(parse("limt=5"), GD_E_BAD_JOB);
    ck_assert_ptr_nonnull(strstr(err.text, "\"limt\"; did you mean \"limit\"?"));
    ck_assert_int_eq(parse("name=1&xyzzyxyzzy"), GD_E_BAD_JOB);
    ck_assert_ptr_nonnull(strstr(err.text, "\"xyzzyxyzzy\""));
    ck_assert_int_eq(parse("=1"), GD_E_BAD_JOB);
    ck_assert_int_eq(parse("NAME=1"), GD_E_BAD_JOB);
}

START_TEST(there_is_a_most)
{
    char query[512] = "";
    for (unsigned i = 0; i < GD_QUERY_MAX; i++)
        (void)strncat(query, "all&", sizeof(query) - strlen(query) - 1);
    ck_assert_int_eq(parse(query), 0);
    ck_assert_uint_eq(params.n, GD_QUERY_MAX);
    (void)strncat(query, "all", sizeof(query) - strlen(query) - 1);
    ck_assert_int_eq(parse(query), GD_E_BAD_JOB);
}

START_TEST(values_are_checked)
{
    uint64_t n = 77;
    bool yes = false;
    int64_t ms = 77;
    ck_assert_int_eq(parse("limit=100&all&wait=1.5"), 0);
    ck_assert_int_eq(gd_params_u64(&params, "limit", 100, &n, &err), 0);
    ck_assert_uint_eq(n, 100);
    ck_assert_int_eq(gd_params_u64(&params, "limit", 99, &n, &err), GD_E_BAD_JOB);
    ck_assert_ptr_nonnull(strstr(err.text, "limit must be a number between 0 and 99"));
    ck_assert_int_eq(gd_params_bool(&params, "all", &yes, &err), 0);
    ck_assert(yes);
    ck_assert_int_eq(gd_params_duration(&params, "wait", 1500, &ms, &err), 0);
    ck_assert_int_eq(ms, 1500);
    ck_assert_int_eq(gd_params_duration(&params, "wait", 1499, &ms, &err), GD_E_BAD_JOB);
    n = 77;
    ck_assert_int_eq(gd_params_u64(&params, "name", 1, &n, &err), 0); /* not there */
    ck_assert_uint_eq(n, 77);
    ck_assert_int_eq(parse("limit=&all=maybe&wait=-1"), 0);
    ck_assert_int_eq(gd_params_u64(&params, "limit", 9, &n, &err), GD_E_BAD_JOB);
    ck_assert_int_eq(gd_params_bool(&params, "all", &yes, &err), GD_E_BAD_JOB);
    ck_assert_int_eq(gd_params_duration(&params, "wait", 9, &ms, &err), GD_E_BAD_JOB);
}

/* --- ranges, of 10 bytes */

static const struct {
    const char *header;
    enum gd_range_kind kind;
    off_t first;
    off_t n;
} ranges[] = {
    {NULL, GD_RANGE_NONE, 0, 0},
    {"bytes=0-", GD_RANGE_PART, 0, 10},
    {"BYTES=2-4", GD_RANGE_PART, 2, 3},
    {"bytes=9-9", GD_RANGE_PART, 9, 1},
    {"bytes=4-99", GD_RANGE_PART, 4, 6},
    {"bytes=4-9223372036854775807", GD_RANGE_PART, 4, 6},
    {"bytes=-3", GD_RANGE_PART, 7, 3},
    {"bytes=-99", GD_RANGE_PART, 0, 10},
    {"bytes=10-", GD_RANGE_BEYOND, 0, 0},
    {"bytes=10-12", GD_RANGE_BEYOND, 0, 0},
    {"bytes=-0", GD_RANGE_BEYOND, 0, 0},
    {"bytes=5-4", GD_RANGE_NONE, 0, 0},
    {"bytes=0-1,3-4", GD_RANGE_NONE, 0, 0},
    {"bytes=", GD_RANGE_NONE, 0, 0},
    {"bytes=-", GD_RANGE_NONE, 0, 0},
    {"bytes=x-2", GD_RANGE_NONE, 0, 0},
    {"bytes=1-x", GD_RANGE_NONE, 0, 0},
    {"bytes=1-2-3", GD_RANGE_NONE, 0, 0},
    {"bytes=18446744073709551617-", GD_RANGE_NONE, 0, 0},
    {"lines=1-2", GD_RANGE_NONE, 0, 0},
};
#define N_RANGES ((int)(sizeof(ranges) / sizeof(ranges[0])))

START_TEST(a_range_is_a_part_or_nothing_of_it_is_there)
{
    struct gd_range r = {0};
    ck_assert_int_eq(gd_range_parse(ranges[_i].header, 10, &r), ranges[_i].kind);
    ck_assert_int_eq(r.first, ranges[_i].first);
    ck_assert_int_eq(r.n, ranges[_i].n);
}

START_TEST(of_nothing_there_is_no_part)
{
    struct gd_range r = {0};
    ck_assert_int_eq(gd_range_parse("bytes=0-", 0, &r), GD_RANGE_BEYOND);
    ck_assert_int_eq(gd_range_parse("bytes=-5", 0, &r), GD_RANGE_BEYOND);
}

/* --- host names */

START_TEST(only_our_names_are_answered_for)
{
    static const char *const more[] = {"build.example", "[fd00::1]", NULL};
    static const char *const ours[] = {"127.0.0.1",     "localhost:80", "LOCALHOST",
                                       "[::1]:65535",   "[::1]",        "build.example:1",
                                       "Build.Example", "[fd00::1]:5"};
    static const char *const others[] = {"",
                                         "localhost.",
                                         "localhost:",
                                         "localhost:80x",
                                         "localhost:123456",
                                         "localhost.example",
                                         "xlocalhost",
                                         "127.0.0.1.example",
                                         "127.0.0.2",
                                         "[::1",
                                         "[::1]x",
                                         "[::1]]",
                                         "::1",
                                         "localhost:80:80",
                                         "build.example.org",
                                         ":80",
                                         "[]",
                                         "127.0.0.1@evil",
                                         "localhost ",
                                         " localhost"};
    for (unsigned i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
        ck_assert_msg(gd_guard_host_is_ours(ours[i], more), "%s", ours[i]);
    for (unsigned i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        ck_assert_msg(!gd_guard_host_is_ours(others[i], more), "%s", others[i]);
    ck_assert(!gd_guard_host_is_ours("build.example", NULL));
}

/* --- problems */

START_TEST(every_error_has_its_problem)
{
    static const struct {
        int rc;
        unsigned status;
    } errors[] = {{GD_E_BAD_JSON, 400}, {GD_E_BAD_JOB, 400},    {GD_E_NO_TASK, 404},
                  {GD_E_NO_BATCH, 404}, {GD_E_NOT_DONE, 409},   {GD_E_FULL, 429},
                  {GD_E_STORE, 503},    {GD_E_STORE_FULL, 507}, {GD_E_KEY_REUSED, 409},
                  {GD_E_CLOSING, 503},  {-ENOMEM, 503},         {-EIO, 500}};
    for (unsigned i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
        ck_assert_msg(gd_problem_status(gd_problem_of(errors[i].rc)) == errors[i].status, "%d: %u",
                      errors[i].rc, gd_problem_status(gd_problem_of(errors[i].rc)));
}

START_TEST(a_problem_is_one_line_of_json)
{
    struct gd_buf b = {0};
    const struct gd_problem_info info = {.problem = GD_PROBLEM_STORE_FULL,
                                         .detail = "a \"quoted\"\nword",
                                         .members = GD_SPAN("\"task\":7")};
    gd_problem_put(&b, &info);
    ck_assert_int_eq(gd_buf_error(&b), 0);
    ck_assert_int_eq(b.ptr[b.len - 1], '\n');
    ck_assert_ptr_eq(memchr(b.ptr, '\n', b.len), b.ptr + b.len - 1);
    gd_buf_putc(&b, '\0');
    ck_assert_ptr_nonnull(strstr(b.ptr, "\"status\":507"));
    ck_assert_ptr_nonnull(strstr(b.ptr, "a \\\"quoted\\\"\\nword"));
    ck_assert_ptr_nonnull(strstr(b.ptr, "\"task\":7"));
    gd_buf_free(&b);
    ck_assert_int_eq(gd_problem_find((struct gd_span){"store-full", 10}), GD_PROBLEM_STORE_FULL);
    ck_assert_int_eq(gd_problem_find((struct gd_span){"store-ful", 9}), GD_N_PROBLEMS);
}

int main(void)
{
    TCase *tc = tcase_create("core");
    tcase_add_checked_fixture(tc, setup, teardown);
    suite_add(tc, 1, names_and_values_are_decoded, an_unknown_parameter_is_named, there_is_a_most,
              values_are_checked, of_nothing_there_is_no_part, only_our_names_are_answered_for,
              every_error_has_its_problem, a_problem_is_one_line_of_json);
    suite_add(tc, 8, what_is_not_a_query_is_refused);
    suite_add(tc, N_RANGES, a_range_is_a_part_or_nothing_of_it_is_there);
    return suite_main("api_query", tc);
}
