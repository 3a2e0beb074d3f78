/* Jobs but for "fetch", limits and want of memory, which have files of their own. */
#include "base/job.h"
#include "base/limits.h"

#include "tests/support/jobs.h"
#include "tests/support/suite.h"

#include <cjson/cJSON.h>

#include <stdlib.h>
#include <string.h>

#define N(table) (sizeof(table) / sizeof((table)[0]))

static void assert_span(struct gd_span s, const char *text)
{
    ck_assert_msg(s.len == strlen(text) && (s.len == 0 || memcmp(s.ptr, text, s.len) == 0),
                  "\"%.*s\", not \"%s\"", (int)s.len, s.ptr, text);
}

START_TEST(a_job_has_defaults)
{
    struct decoded d = decode_job("{\"run\":[\"true\"]}");
    ck_assert_int_eq(d.rc, 0);
    assert_span(d.job.text, "{\"run\":[\"true\"]}");
    ck_assert_int_eq(d.job.kind, GD_KIND_RUN);
    ck_assert(d.job.timeout_ms == GD_NO_TIMEOUT);
    ck_assert(!d.job.has_priority && !d.job.rerun_if_lost);
    ck_assert_uint_eq(d.job.name.len + d.job.value.len + d.job.labels.len + d.job.host, 0);
    ck_assert_int_eq(d.detail.grace_ms, GD_DEFAULT_GRACE_MS);
    ck_assert_int_eq(d.detail.max_output, GD_DEFAULT_MAX_OUTPUT);
    ck_assert_int_eq(d.detail.max_bytes, GD_DEFAULT_MAX_BYTES);
    ck_assert_int_eq(d.detail.result, GD_RESULT_FULL);
    ck_assert(d.detail.check);
    ck_assert_ptr_null(d.detail.env);
    ck_assert_ptr_null(d.detail.cwd);
    ck_assert_ptr_null(d.detail.input);
    decoded_done(&d);
}

START_TEST(every_field_of_a_command_is_read)
{
    struct decoded d = decode_job(
        " { \"run\" : [\"a\\u00e9\", \"\", \"b c\"], \"name\":\"n\\n\", \"timeout\":1.5,"
        "\"grace\":0.25,\"env\":{\"A\":\"1\",\"B\":\"\"},\"cwd\":\"/tmp\",\"stdin\":\"x\\ny\","
        "\"check\":false,\"result\":\"json\",\"max_output\":4096,\"labels\":{\"k\":\"v\"},"
        "\"priority\":-7,\"on_lost\":\"rerun\",\"on\":\"local\"} ");
    ck_assert_int_eq(d.rc, 0);
    ck_assert_int_eq(cJSON_GetArraySize(d.detail.run), 3);
    ck_assert_str_eq(cJSON_GetArrayItem(d.detail.run, 0)->valuestring, "a\xc3\xa9");
    ck_assert_str_eq(cJSON_GetArrayItem(d.detail.run, 1)->valuestring, "");
    ck_assert_int_eq(cJSON_GetArraySize(d.detail.env), 2);
    ck_assert_str_eq(cJSON_GetObjectItemCaseSensitive(d.detail.env, "A")->valuestring, "1");
    assert_span(d.job.name, "\"n\\n\"");
    assert_span(d.job.labels, "{\"k\":\"v\"}");
    ck_assert_int_eq(d.job.timeout_ms, 1500);
    ck_assert_int_eq(d.detail.grace_ms, 250);
    ck_assert_str_eq(d.detail.cwd, "/tmp");
    ck_assert_str_eq(d.detail.input, "x\ny");
    ck_assert_uint_eq(d.detail.input_bytes, 3);
    ck_assert(!d.detail.check);
    ck_assert_int_eq(d.detail.result, GD_RESULT_JSON);
    ck_assert_int_eq(d.detail.max_output, 4096);
    ck_assert(d.job.has_priority);
    ck_assert_int_eq(d.job.priority, -7);
    ck_assert(d.job.rerun_if_lost);
    decoded_done(&d);
}

START_TEST(a_shell_job_keeps_its_line)
{
    struct decoded d = decode_job("{\"shell\":\"echo \\\"hi\\\" | cat\",\"result\":\"stdout\"}");
    ck_assert_int_eq(d.rc, 0);
    ck_assert_int_eq(d.job.kind, GD_KIND_SHELL);
    ck_assert_str_eq(d.detail.shell, "echo \"hi\" | cat");
    ck_assert_int_eq(d.detail.result, GD_RESULT_STDOUT);
    decoded_done(&d);
}

START_TEST(a_sleep_job_keeps_its_value_as_it_was_written)
{
    struct decoded d = decode_job("{\"value\": [1e2, {\"a\" : null}] ,\"sleep\":0.001}");
    ck_assert_int_eq(d.rc, 0);
    ck_assert_int_eq(d.job.kind, GD_KIND_SLEEP);
    ck_assert_int_eq(d.job.sleep_ms, 1);
    assert_span(d.job.value, "[1e2, {\"a\" : null}]");
    decoded_done(&d);
}

START_TEST(good_values_are_taken)
{
    static const char *const good[] = {
        "{\"\\u0072\\u0075n\":[\"a\"]}", /* names may be written with escapes */
        "{\"sleep\":0}",
        "{\"sleep\":1e-9}",
        "{\"sleep\":1,\"value\":null}",
        "{\"sleep\":1,\"timeout\":null}",
        "{\"sleep\":1,\"timeout\":0}",
        "{\"sleep\":1,\"on_lost\":\"fail\"}",
        "{\"sleep\":1,\"labels\":{}}",
        "{\"sleep\":1,\"labels\":{\"a/b~c\":\"\"}}",
        "{\"sleep\":1,\"priority\":1e2}",
        "{\"shell\":\":\",\"env\":{}}",
        "{\"shell\":\":\",\"grace\":0}",
        "{\"shell\":\":\",\"cwd\":\"/\"}",
        "{\"shell\":\":\",\"stdin\":\"\"}",
        "{\"shell\":\":\",\"max_output\":0}",
        "{\"shell\":\":\",\"result\":\"f\\u0075ll\"}",
        "{\"shell\":\":\",\"env\":{\"GATHERD\":\"x\",\"gatherd_x\":\"y\"}}",
    };
    for (size_t i = 0; i < N(good); i++)
        assert_good_job(good[i]);
}

/* A job with one fault: where it is, and a part of what is said about it. */
struct one_fault {
    const char *json;
    const char *pointer;
    const char *part;
};

static void assert_faults(const struct one_fault *table, size_t n)
{
    for (size_t i = 0; i < n; i++)
        assert_one_fault(table[i].json, table[i].pointer, table[i].part);
}

START_TEST(what_is_no_object_is_no_job)
{
    static const char *const bad[] = {"1", "null", "\"run\"", "[]", "[{\"sleep\":1}]", " true "};
    for (size_t i = 0; i < N(bad); i++)
        assert_one_fault(bad[i], "", "must be an object");
}

START_TEST(a_job_has_exactly_one_kind)
{
    static const struct one_fault table[] = {
        {"{}", "", "has 0"},
        {"{\"name\":\"x\",\"grace\":1}", "", "has 0"},
        {"{\"sleep\":1,\"run\":[\"a\"]}", "", "has 2"},
        {"{\"shell\":\"a\",\"run\":[\"a\"],\"env\":{}}", "", "has 2"},
        {"{\"shell\":\"a\",\"run\":[\"a\"],\"sleep\":1,\"fetch\":\"http://h/\"}", "", "has 4"},
    };
    assert_faults(table, N(table));
}

START_TEST(bad_commands_are_refused)
{
    static const struct one_fault table[] = {
        {"{\"run\":\"echo hi\"}", "/run", "must be an array of strings"},
        {"{\"run\":null}", "/run", "must be an array of strings"},
        {"{\"run\":{}}", "/run", "must be an array of strings"},
        {"{\"run\":[]}", "/run", "must name a program"},
        {"{\"run\":[ ]}", "/run", "must name a program"},
        {"{\"run\":[\"\"]}", "/run/0", "must not be empty"},
        {"{\"run\":[\"\",\"x\"]}", "/run/0", "must not be empty"},
        {"{\"run\":[1]}", "/run/0", "must be a string"},
        {"{\"run\":[\"a\",null]}", "/run/1", "must be a string"},
        {"{\"run\":[\"a\",\"b\",[\"c\"]]}", "/run/2", "must be a string"},
        {"{\"run\":[\"a\",0.00000000000000000000000000000000000000000000000000000000000000001]}",
         "/run/1", "must be a string"}, /* cJSON reads no number of more than 63 characters */
        {"{\"shell\":1}", "/shell", "must be a string"},
        {"{\"shell\":null}", "/shell", "must be a string"},
        {"{\"shell\":[\"a\"]}", "/shell", "must be a string"},
        {"{\"shell\":\"\"}", "/shell", "must not be empty"},
    };
    assert_faults(table, N(table));
}

START_TEST(bad_durations_and_numbers_are_refused)
{
    static const struct one_fault table[] = {
        {"{\"sleep\":\"1\"}", "/sleep", "must be a number of seconds"},
        {"{\"sleep\":null}", "/sleep", "must be a number of seconds"},
        {"{\"sleep\":-0.5}", "/sleep", "must be between 0 and"},
        {"{\"sleep\":1e300}", "/sleep", "must be between 0 and"},
        {"{\"sleep\":1,\"timeout\":\"1s\"}", "/timeout", "must be a number of seconds"},
        {"{\"sleep\":1,\"timeout\":-1}", "/timeout", "must be between 0 and"},
        {"{\"sleep\":1,\"timeout\":true}", "/timeout", "must be a number of seconds"},
        {"{\"shell\":\":\",\"grace\":null}", "/grace", "must be a number of seconds"},
        {"{\"shell\":\":\",\"grace\":[]}", "/grace", "must be a number of seconds"},
        {"{\"shell\":\":\",\"max_output\":-1}", "/max_output", "must be an integer"},
        {"{\"shell\":\":\",\"max_output\":1.5}", "/max_output", "must be an integer"},
        {"{\"shell\":\":\",\"max_output\":\"1K\"}", "/max_output", "must be an integer"},
        {"{\"shell\":\":\",\"max_output\":null}", "/max_output", "must be an integer"},
        {"{\"sleep\":1,\"priority\":0.5}", "/priority", "must be an integer"},
        {"{\"sleep\":1,\"priority\":\"high\"}", "/priority", "must be an integer"},
        {"{\"sleep\":1,\"priority\":true}", "/priority", "must be an integer"},
    };
    assert_faults(table, N(table));
}

START_TEST(bad_names_and_labels_are_refused)
{
    static const struct one_fault table[] = {
        {"{\"sleep\":1,\"name\":1}", "/name", "must be a string"},
        {"{\"sleep\":1,\"name\":null}", "/name", "must be a string"},
        {"{\"sleep\":1,\"name\":\"\"}", "/name", "must not be empty"},
        {"{\"sleep\":1,\"labels\":[]}", "/labels", "must be an object"},
        {"{\"sleep\":1,\"labels\":\"a=b\"}", "/labels", "must be an object"},
        {"{\"sleep\":1,\"labels\":null}", "/labels", "must be an object"},
        {"{\"sleep\":1,\"labels\":{\"a\":1}}", "/labels/a", "must be a string"},
        {"{\"sleep\":1,\"labels\":{\"a/b~\":{}}}", "/labels/a~1b~0", "must be a string"},
        {"{\"sleep\":1,\"labels\":{\"a\":[[[[[[1]]]]]]}}", "/labels/a", "must be a string"},
        {"{\"sleep\":1,\"labels\":{\"\":\"x\"}}", "/labels/", "must not be empty"},
    };
    assert_faults(table, N(table));
}

START_TEST(bad_surroundings_are_refused)
{
    static const struct one_fault table[] = {
        {"{\"shell\":\":\",\"env\":[]}", "/env", "must be an object"},
        {"{\"shell\":\":\",\"env\":\"A=1\"}", "/env", "must be an object"},
        {"{\"shell\":\":\",\"env\":{\"A\":1}}", "/env/A", "must be a string"},
        {"{\"shell\":\":\",\"env\":{\"A/B\":null}}", "/env/A~1B", "must be a string"},
        {"{\"shell\":\":\",\"env\":{\"A\":\"1\",\"\\u0042\":{}}}", "/env/B", "must be a string"},
        {"{\"shell\":\":\",\"env\":{\"\":\"x\"}}", "/env/", "must not be empty"},
        {"{\"shell\":\":\",\"env\":{\"A=B\":\"x\"}}", "/env/A=B", "contain '='"},
        {"{\"shell\":\":\",\"env\":{\"=\":\"x\"}}", "/env/=", "contain '='"},
        {"{\"shell\":\":\",\"env\":{\"GATHERD_ID\":\"x\"}}", "/env/GATHERD_ID", "set by gatherd"},
        {"{\"shell\":\":\",\"cwd\":\"tmp\"}", "/cwd", "must be an absolute path"},
        {"{\"shell\":\":\",\"cwd\":\"\"}", "/cwd", "must be an absolute path"},
        {"{\"shell\":\":\",\"cwd\":null}", "/cwd", "must be a string"},
        {"{\"shell\":\":\",\"stdin\":1}", "/stdin", "must be a string"},
        {"{\"shell\":\":\",\"check\":1}", "/check", "must be true or false"},
        {"{\"shell\":\":\",\"check\":\"true\"}", "/check", "must be true or false"},
        {"{\"shell\":\":\",\"check\":null}", "/check", "must be true or false"},
        {"{\"shell\":\":\",\"result\":\"text\"}", "/result", "must be \"full\""},
        {"{\"shell\":\":\",\"result\":null}", "/result", "must be \"full\""},
        {"{\"shell\":\":\",\"result\":[\"full\"]}", "/result", "must be \"full\""},
        {"{\"shell\":\":\",\"result\":{\"full\":1}}", "/result", "must be \"full\""},
        {"{\"sleep\":1,\"on_lost\":\"retry\"}", "/on_lost", "must be \"fail\" or"},
        {"{\"sleep\":1,\"on_lost\":true}", "/on_lost", "must be \"fail\" or"},
        {"{\"sleep\":1,\"on\":\"moon\"}", "/on", "must be \"local\""},
        {"{\"sleep\":1,\"on\":null}", "/on", "must be \"local\""},
    };
    assert_faults(table, N(table));
}

START_TEST(fields_go_with_their_kinds_only)
{
    static const char *const of_commands[] = {
        "\"grace\":1",    "\"env\":{}",          "\"cwd\":\"/\"",    "\"stdin\":\"\"",
        "\"check\":true", "\"result\":\"full\"", "\"max_output\":1",
    };
    for (size_t i = 0; i < N(of_commands); i++) {
        struct gd_buf b = {0};
        char pointer[32] = "/";
        strncat(pointer, of_commands[i] + 1, strcspn(of_commands[i] + 1, "\""));
        gd_buf_printf(&b, "{\"sleep\":1,%s}%c", of_commands[i], 0);
        assert_one_fault(b.ptr, pointer, "does not go with \"sleep\"");
        gd_buf_reset(&b);
        gd_buf_printf(&b, "{%s,\"fetch\":\"http://h/\"}%c", of_commands[i], 0);
        assert_one_fault(b.ptr, pointer, "does not go with \"fetch\"");
        gd_buf_free(&b);
    }
    assert_one_fault("{\"run\":[\"a\"],\"value\":1}", "/value", "does not go with \"run\"");
    assert_one_fault("{\"shell\":\"a\",\"value\":1}", "/value", "does not go with \"shell\"");
    assert_one_fault("{\"fetch\":\"http://h/\",\"value\":1}", "/value", "with \"fetch\"");
}

START_TEST(unknown_fields_are_named_and_the_right_one_is_suggested)
{
    static const struct one_fault table[] = {
        {"{\"sleep\":1,\"timout\":2}", "/timout", "did you mean \"timeout\"?"},
        {"{\"sleep\":1,\"lables\":{}}", "/lables", "did you mean \"labels\"?"},
        {"{\"sleep\":1,\"Name\":\"x\"}", "/Name", "did you mean \"name\"?"},
        {"{\"sleep\":1,\"t\\u0069meuot\":2}", "/timeuot", "did you mean \"timeout\"?"},
        {"{\"sleep\":1,\"retries\":2}", "/retries", "unknown field"},
        {"{\"sleep\":1,\"a/b~c\":2}", "/a~1b~0c", "unknown field"},
        {"{\"sleep\":1,\"\":2}", "/", "unknown field"},
    };
    assert_faults(table, N(table));
    struct decoded d = decode_job("{\"sleep\":1,\"retries\":2}");
    ck_assert_str_eq(d.faults.items[0].detail, "unknown field");
    decoded_done(&d);
}

START_TEST(nul_escapes_are_refused_wherever_they_are)
{
    static const char *const bad[] = {
        "{\"shell\":\"a\\u0000b\"}",
        "{\"run\":[\"a\",\"\\u0000\"]}",
        "{\"shell\":\":\",\"env\":{\"A\":\"\\u0000\"}}",
        "{\"shell\":\":\",\"env\":{\"A\\u0000=\":\"1\"}}",
        "{\"shell\":\":\",\"cwd\":\"/\\u0000\"}",
        "{\"sleep\":1,\"name\":\"x\\u0000\"}",
        "{\"sleep\":1,\"labels\":{\"a\\u0000\":\"b\"}}",
        "{\"sleep\":1,\"value\":[[{\"a\":\"\\u0000\"}]]}",
        "{\"fetch\":\"http://h/\\u0000\"}",
        "{\"fetch\":{\"url\":\"http://h/\",\"headers\":{\"A\":\"\\u0000\"}}}",
    };
    for (size_t i = 0; i < N(bad); i++)
        assert_one_fault(bad[i], "", "has \\u0000 in a string");
    assert_one_fault("{\"shell\":\"a\\u0000b\\u0000\"}", "", "(at byte 11 of the job)");
    assert_good_job("{\"shell\":\"a\\\\u0000b\"}");
}

START_TEST(all_faults_are_found_in_one_go)
{
    struct decoded d = decode_job(
        "{\"run\":[\"\",1,\"b\",null],\"shell\":\"\",\"timeout\":-1,\"priority\":\"x\",\"bogus\":1,"
        "\"env\":{\"GATHERD_A\":\"\",\"N\":1,\"=\":\"v\",\"OK\":\"v\"},\"labels\":{\"a\":1,\"b\":\"\",\"c\":2},"
        "\"name\":\"\",\"check\":\"\\u0000\"}");
    ck_assert_int_eq(d.rc, GD_E_BAD_JOB);
    ck_assert(has_fault(&d, "/run/0", "must not be empty"));
    ck_assert(has_fault(&d, "/run/1", "must be a string"));
    ck_assert(has_fault(&d, "/run/3", "must be a string"));
    ck_assert(has_fault(&d, "/shell", "must not be empty"));
    ck_assert(has_fault(&d, "/timeout", "must be between"));
    ck_assert(has_fault(&d, "/priority", "must be an integer"));
    ck_assert(has_fault(&d, "/bogus", "unknown field"));
    ck_assert(has_fault(&d, "/env/N", "must be a string"));
    ck_assert(has_fault(&d, "/env/GATHERD_A", "set by gatherd"));
    ck_assert(has_fault(&d, "/env/=", "contain '='"));
    ck_assert(has_fault(&d, "/labels/a", "must be a string"));
    ck_assert(has_fault(&d, "/labels/c", "must be a string"));
    ck_assert(has_fault(&d, "/name", "must not be empty"));
    ck_assert(has_fault(&d, "/check", "must be true or false"));
    ck_assert(has_fault(&d, "", "has 2"));
    ck_assert(has_fault(&d, "", "\\u0000"));
    ck_assert_uint_eq(d.faults.n_all, 16);
    ck_assert_ptr_null(d.detail.run);
    ck_assert_ptr_null(d.detail.shell);
    decoded_done(&d);
}

START_TEST(a_job_can_be_checked_without_keeping_its_detail)
{
    struct gd_faults faults = {0};
    struct gd_job job;
    ck_assert_int_eq(
        gd_job_decode(GD_SPAN("{\"run\":[\"a\"],\"env\":{\"A\":\"1\"}}"), "", &faults, &job, NULL),
        0);
    ck_assert_int_eq(gd_job_decode(GD_SPAN("{\"run\":[\"a\",1]}"), "", &faults, &job, NULL),
                     GD_E_BAD_JOB);
    ck_assert_str_eq(faults.items[0].pointer, "/run/1");
    gd_faults_free(&faults);
    gd_job_detail_free(NULL);
    gd_job_detail_free(&(struct gd_job_detail){0});
}

START_TEST(a_good_job_after_a_bad_one_is_still_good)
{
    struct gd_faults faults = {0};
    struct gd_job job;
    ck_assert_int_eq(gd_job_decode(GD_SPAN("{}"), "/jobs/0", &faults, &job, NULL), GD_E_BAD_JOB);
    ck_assert_int_eq(gd_job_decode(GD_SPAN("{\"sleep\":1}"), "/jobs/1", &faults, &job, NULL), 0);
    ck_assert_int_eq(gd_job_decode(GD_SPAN("{\"a\":1}"), "/jobs/2", &faults, &job, NULL),
                     GD_E_BAD_JOB);
    ck_assert_uint_eq(faults.n, 3);
    ck_assert_str_eq(faults.items[0].pointer, "/jobs/0");
    ck_assert_str_eq(faults.items[1].pointer, "/jobs/2/a");
    gd_faults_free(&faults);
}

int main(void)
{
    TCase *tc = tcase_create("core");
    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, a_job_has_defaults);
    tcase_add_test(tc, every_field_of_a_command_is_read);
    tcase_add_test(tc, a_shell_job_keeps_its_line);
    tcase_add_test(tc, a_sleep_job_keeps_its_value_as_it_was_written);
    tcase_add_test(tc, good_values_are_taken);
    tcase_add_test(tc, what_is_no_object_is_no_job);
    tcase_add_test(tc, a_job_has_exactly_one_kind);
    tcase_add_test(tc, bad_commands_are_refused);
    tcase_add_test(tc, bad_durations_and_numbers_are_refused);
    tcase_add_test(tc, bad_names_and_labels_are_refused);
    tcase_add_test(tc, bad_surroundings_are_refused);
    tcase_add_test(tc, fields_go_with_their_kinds_only);
    tcase_add_test(tc, unknown_fields_are_named_and_the_right_one_is_suggested);
    tcase_add_test(tc, nul_escapes_are_refused_wherever_they_are);
    tcase_add_test(tc, all_faults_are_found_in_one_go);
    tcase_add_test(tc, a_job_can_be_checked_without_keeping_its_detail);
    tcase_add_test(tc, a_good_job_after_a_bad_one_is_still_good);
    return suite_main("base_job", tc);
}
