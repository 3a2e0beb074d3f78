/* Every limit of a job: good at it, one fault above. */
#include "base/job.h"
#include "base/json_scan.h"
#include "base/limits.h"

#include "tests/support/jobs.h"
#include "tests/support/suite.h"

#include <string.h>

#define N(table) (sizeof(table) / sizeof((table)[0]))

static struct gd_buf text;

static void setup(void)
{
    text = (struct gd_buf){0};
}

static void teardown(void)
{
    gd_buf_free(&text);
}

/* The text so far, terminated; the next put starts anew. */
static const char *finish(void)
{
    gd_buf_putc(&text, '\0');
    ck_assert_int_eq(gd_buf_error(&text), 0);
    const char *json = text.ptr;
    gd_buf_reset(&text);
    return json;
}

static void repeat(const char *what, size_t n)
{
    while (n-- > 0)
        gd_buf_puts(&text, what);
}

/* A string of `n` times `unit` between `before` and `after`. */
static const char *string_job(const char *before, const char *unit, size_t n, const char *after)
{
    gd_buf_puts(&text, before);
    repeat(unit, n);
    gd_buf_puts(&text, after);
    return finish();
}

START_TEST(strings_end_at_their_limit)
{
    static const struct {
        const char *before;
        const char *after;
        size_t n; /* plain letters until the limit */
        const char *pointer;
    } table[] = {
        {"{\"sleep\":1,\"name\":\"", "\"}", GD_MAX_NAME_BYTES, "/name"},
        {"{\"sleep\":1,\"labels\":{\"", "\":\"v\"}}", GD_MAX_LABEL_KEY_BYTES, "/labels"},
        {"{\"sleep\":1,\"labels\":{\"k\":\"", "\"}}", GD_MAX_LABEL_BYTES, "/labels/k"},
        {"{\"shell\":\"", "\"}", GD_MAX_ARG_BYTES, "/shell"},
        {"{\"run\":[\"", "\"]}", GD_MAX_ARG_BYTES, "/run/0"},
        {"{\"run\":[\"x\",\"", "\"]}", GD_MAX_ARG_BYTES, "/run/1"},
        {"{\"shell\":\":\",\"env\":{\"AB\":\"", "\"}}", GD_MAX_ARG_BYTES - 3, "/env/AB"},
        {"{\"shell\":\":\",\"cwd\":\"/", "\"}", GD_MAX_PATH_BYTES - 1, "/cwd"},
        {"{\"shell\":\":\",\"stdin\":\"", "\"}", GD_MAX_JOB_BYTES, "/stdin"},
        {"{\"fetch\":\"http://h/", "\"}", GD_MAX_URL_BYTES - 9, "/fetch/url"},
        {"{\"fetch\":\"http://", "/\"}", 253, "/fetch/url"},
        {"{\"fetch\":{\"url\":\"http://h/\",\"method\":\"", "\"}}", 32, "/fetch/method"},
        {"{\"fetch\":{\"url\":\"http://h/\",\"headers\":{\"A\":\"", "\"}}}",
         GD_MAX_FETCH_HEADER_BYTES - 1, "/fetch/headers/A"},
        {"{\"fetch\":{\"url\":\"http://h/\",\"to\":\"/", "\"}}", GD_MAX_PATH_BYTES - 1,
         "/fetch/to"},
        {"{\"fetch\":{\"url\":\"http://h/\",\"body\":\"", "\"}}", GD_MAX_JOB_BYTES, "/fetch/body"},
    };
    for (size_t i = 0; i < N(table); i++) {
        assert_good_job(string_job(table[i].before, "x", table[i].n, table[i].after));
        assert_one_fault(string_job(table[i].before, "x", table[i].n + 1, table[i].after),
                         table[i].pointer, " bytes");
    }
}

START_TEST(the_bytes_count_that_a_string_stands_for)
{
    const char *name = "{\"sleep\":1,\"name\":\"";
    assert_good_job(string_job(name, "\\u0041", GD_MAX_NAME_BYTES, "\"}"));
    assert_one_fault(string_job(name, "\\u0041", GD_MAX_NAME_BYTES + 1, "\"}"), "/name", "513");
    assert_good_job(string_job(name, "\xc3\xa9", GD_MAX_NAME_BYTES / 2, "\"}"));
    assert_one_fault(string_job(name, "\\u00e9", GD_MAX_NAME_BYTES / 2 + 1, "\"}"), "/name", "514");
    const char *key = "{\"sleep\":1,\"labels\":{\"";
    assert_good_job(string_job(key, "\\n", GD_MAX_LABEL_KEY_BYTES, "\":\"\"}}"));
    const char *label = "{\"sleep\":1,\"labels\":{\"k\":\"";
    assert_good_job(string_job(label, "\\ud83d\\ude00", GD_MAX_LABEL_BYTES / 4, "\"}}"));
    assert_one_fault(string_job(label, "\\ud83d\\ude00", GD_MAX_LABEL_BYTES / 4 + 1, "\"}}"),
                     "/labels/k", "has more than 1024");
}

START_TEST(numbers_end_at_their_limit)
{
    static const struct {
        const char *good;
        const char *bad;
        const char *pointer;
    } table[] = {
        {"{\"sleep\":1000000000}", "{\"sleep\":1000000000.001}", "/sleep"},
        {"{\"sleep\":1,\"timeout\":1e9}", "{\"sleep\":1,\"timeout\":1000000001}", "/timeout"},
        {"{\"shell\":\":\",\"grace\":1e9}", "{\"shell\":\":\",\"grace\":1000000001}", "/grace"},
        {"{\"sleep\":1,\"priority\":1000}", "{\"sleep\":1,\"priority\":1001}", "/priority"},
        {"{\"sleep\":1,\"priority\":-1000}", "{\"sleep\":1,\"priority\":-1001}", "/priority"},
        {"{\"shell\":\":\",\"max_output\":17179869184}",
         "{\"shell\":\":\",\"max_output\":17179869185}", "/max_output"},
        {"{\"fetch\":{\"url\":\"http://h/\",\"max_bytes\":17592186044416}}",
         "{\"fetch\":{\"url\":\"http://h/\",\"max_bytes\":17592186044417}}", "/fetch/max_bytes"},
    };
    for (size_t i = 0; i < N(table); i++) {
        assert_good_job(table[i].good);
        assert_one_fault(table[i].bad, table[i].pointer, "");
    }
}

static const char *arguments(size_t n)
{
    gd_buf_puts(&text, "{\"run\":[\"a\"");
    repeat(",\"a\"", n - 1);
    gd_buf_puts(&text, "]}");
    return finish();
}

/* An object of `n` members `name`0, `name`1, … each "v". */
static const char *members(const char *before, const char *name, size_t n, const char *after)
{
    gd_buf_puts(&text, before);
    for (size_t i = 0; i < n; i++)
        gd_buf_printf(&text, "%s\"%s%zu\":\"v\"", i ? "," : "", name, i);
    gd_buf_puts(&text, after);
    return finish();
}

START_TEST(counts_end_at_their_limit)
{
    assert_good_job(arguments(GD_MAX_ARGV));
    assert_one_fault(arguments(GD_MAX_ARGV + 1), "/run", "16385");
    const char *env = "{\"shell\":\":\",\"env\":{";
    assert_good_job(members(env, "E", GD_MAX_ENV, "}}"));
    assert_one_fault(members(env, "E", GD_MAX_ENV + 1, "}}"), "/env", "4097");
    const char *labels = "{\"sleep\":1,\"labels\":{";
    assert_good_job(members(labels, "l", GD_MAX_LABELS, "}}"));
    assert_one_fault(members(labels, "l", GD_MAX_LABELS + 1, "}}"), "/labels", "65");
    const char *headers = "{\"fetch\":{\"url\":\"http://h/\",\"headers\":{";
    assert_good_job(members(headers, "H", GD_MAX_FETCH_HEADERS, "}}}"));
    assert_one_fault(members(headers, "H", GD_MAX_FETCH_HEADERS + 1, "}}}"), "/fetch/headers",
                     "65");
}

/* A job whose command and variables have `n` bytes together, their terminators
 * included; `n_env` entries of the largest size are variables, the rest arguments. */
static const char *bytes_in_all(size_t n, unsigned n_env)
{
    gd_buf_puts(&text, "{\"env\":{");
    for (unsigned i = 0; i < n_env; i++) {
        gd_buf_printf(&text, "%s\"V%u\":\"", i ? "," : "", i % 10);
        repeat("v", GD_MAX_ARG_BYTES - 3);
        gd_buf_putc(&text, '"');
        n -= GD_MAX_ARG_BYTES + 1;
    }
    gd_buf_puts(&text, "},\"run\":[\"a\"");
    n -= 2;
    while (n > 0) {
        size_t piece = n < GD_MAX_ARG_BYTES + 1 ? n : GD_MAX_ARG_BYTES + 1;
        gd_buf_puts(&text, ",\"");
        repeat("x", piece - 1);
        gd_buf_putc(&text, '"');
        n -= piece;
    }
    gd_buf_puts(&text, "]}");
    return finish();
}

START_TEST(arguments_and_environment_share_one_limit)
{
    for (unsigned n_env = 0; n_env < 8; n_env++) {
        assert_good_job(bytes_in_all(GD_MAX_ARGS_BYTES, n_env));
        assert_one_fault(bytes_in_all(GD_MAX_ARGS_BYTES + 1, n_env), "", "1048577 bytes in all");
    }
}

START_TEST(a_command_line_counts_like_an_argument)
{
    for (unsigned more = 0; more < 2; more++) {
        gd_buf_puts(&text, "{\"shell\":\"");
        repeat("x", GD_MAX_ARG_BYTES);
        gd_buf_puts(&text, "\",\"env\":{");
        for (unsigned i = 0; i < 7; i++) {
            gd_buf_printf(&text, "%s\"V%u\":\"", i ? "," : "", i);
            repeat("v", GD_MAX_ARG_BYTES - 3);
            gd_buf_putc(&text, '"');
        }
        gd_buf_puts(&text, more ? ",\"A\":\"\"}}" : "}}");
        if (more)
            assert_one_fault(finish(), "", "1048579 bytes in all");
        else
            assert_good_job(finish());
    }
}

static const char *nested_value(unsigned depth)
{
    gd_buf_puts(&text, "{\"sleep\":1,\"value\":");
    repeat("[", depth);
    repeat("]", depth);
    gd_buf_puts(&text, "}");
    return finish();
}

START_TEST(depth_ends_at_its_limit)
{
    assert_good_job(nested_value(GD_MAX_JSON_DEPTH - 1));
    const char *json = nested_value(GD_MAX_JSON_DEPTH);
    struct gd_json_fault fault;
    ck_assert(!gd_json_check((struct gd_span){json, strlen(json)}, GD_MAX_JSON_DEPTH, &fault));
}

START_TEST(faults_are_kept_up_to_their_limit)
{
    const char *json = members("{\"sleep\":1,", "bogus", GD_MAX_FAULTS + 1, "}");
    struct decoded d = decode_job(json);
    ck_assert_int_eq(d.rc, GD_E_BAD_JOB);
    ck_assert_uint_eq(d.faults.n, GD_MAX_FAULTS);
    ck_assert_uint_eq(d.faults.n_all, GD_MAX_FAULTS + 1);
    decoded_done(&d);
    d = decode_job(members("{\"sleep\":1,", "bogus", GD_MAX_FAULTS, "}"));
    ck_assert_uint_eq(d.faults.n, GD_MAX_FAULTS);
    ck_assert_uint_eq(d.faults.n_all, GD_MAX_FAULTS);
    decoded_done(&d);
}

int main(void)
{
    TCase *tc = tcase_create("core");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, strings_end_at_their_limit);
    tcase_add_test(tc, the_bytes_count_that_a_string_stands_for);
    tcase_add_test(tc, numbers_end_at_their_limit);
    tcase_add_test(tc, counts_end_at_their_limit);
    tcase_add_test(tc, arguments_and_environment_share_one_limit);
    tcase_add_test(tc, a_command_line_counts_like_an_argument);
    tcase_add_test(tc, depth_ends_at_its_limit);
    tcase_add_test(tc, faults_are_kept_up_to_their_limit);
    return suite_main("base_job_limits", tc);
}
