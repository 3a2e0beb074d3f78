#include "base/job.h"

#include "tests/support/jobs.h"
#include "tests/support/suite.h"

#include <cjson/cJSON.h>

#include <string.h>

#define N(table) (sizeof(table) / sizeof((table)[0]))

#define DIGEST "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static uint32_t host_of(const char *url)
{
    struct gd_buf b = {0};
    gd_buf_printf(&b, "{\"fetch\":\"%s\"}%c", url, 0);
    struct decoded d = decode_job(b.ptr);
    ck_assert_msg(d.rc == 0, "%s", url);
    ck_assert_int_eq(d.job.kind, GD_KIND_FETCH);
    ck_assert_str_eq(d.detail.url, url);
    uint32_t host = d.job.host;
    ck_assert_uint_ne(host, 0);
    decoded_done(&d);
    gd_buf_free(&b);
    return host;
}

START_TEST(a_url_alone_is_a_fetch)
{
    ck_assert_uint_eq(host_of("http://example.com"), host_of("https://EXAMPLE.com/a?b#c"));
    ck_assert_uint_eq(host_of("http://example.com/x"), host_of("HTTP://user:p@ss@example.com/y"));
    ck_assert_uint_eq(host_of("http://example.com?x@y"), host_of("http://example.com#@z"));
    ck_assert_uint_eq(host_of("http://[::1]:80/"), host_of("http://u@[::1]:80/y"));
    ck_assert_uint_ne(host_of("http://example.com:80/"), host_of("http://example.com:81/"));
    ck_assert_uint_ne(host_of("http://example.com/"), host_of("http://example.org/"));
}

START_TEST(every_field_of_a_fetch_is_read)
{
    struct decoded d = decode_job(
        "{\"name\":\"n\",\"fetch\":{\"url\":\"https://h:8/p\",\"method\":\"PUT\","
        "\"headers\":{\"Accept\":\"*/*\",\"X-\\u0041\":\"\"},\"body\":\"b\\nc\",\"to\":\"/tmp/x\","
        "\"sha256\":\"0123456789ABCDEF"
        "0123456789abcdef0123456789abcdef0123456789abcdef\","
        "\"max_bytes\":1e6,\"resume\":false}}");
    ck_assert_int_eq(d.rc, 0);
    ck_assert_str_eq(d.detail.url, "https://h:8/p");
    ck_assert_str_eq(d.detail.method, "PUT");
    ck_assert_int_eq(cJSON_GetArraySize(d.detail.headers), 2);
    ck_assert_str_eq(cJSON_GetObjectItemCaseSensitive(d.detail.headers, "X-A")->valuestring, "");
    ck_assert_str_eq(d.detail.body, "b\nc");
    ck_assert_uint_eq(d.detail.body_bytes, 3);
    ck_assert_str_eq(d.detail.to, "/tmp/x");
    ck_assert_str_eq(d.detail.sha256, DIGEST);
    ck_assert_int_eq(d.detail.max_bytes, 1000000);
    ck_assert(!d.detail.resume);
    decoded_done(&d);
}

START_TEST(good_fetches_are_taken)
{
    static const char *const good[] = {
        "{\"fetch\":\"http://h\"}",
        "{\"fetch\":\"http://h/\\u00e9\"}",
        "{\"fetch\":{\"url\":\"http://h/\"},\"labels\":{\"a\":\"b\"},\"timeout\":1,\"priority\":2}",
        "{\"fetch\":{\"url\":\"http://h/\",\"headers\":{}}}",
        "{\"fetch\":{\"url\":\"http://h/\",\"body\":\"\"}}",
        "{\"fetch\":{\"url\":\"http://h/\",\"max_bytes\":0}}",
        "{\"fetch\":{\"resume\":true,\"to\":\"/x\",\"url\":\"http://h/\"}}",
        "{\"fetch\":{\"resume\":true,\"to\":\"/x\",\"url\":\"http://h/\",\"method\":\"GET\"}}",
        "{\"fetch\":{\"url\":\"http://h/\",\"headers\":{\"!#$%&'*+-.^_`|~09aZ\":\"\\t\xc3\xa9\"}}}",
    };
    for (size_t i = 0; i < N(good); i++)
        assert_good_job(good[i]);
}

START_TEST(bad_fetches_are_refused)
{
    static const struct {
        const char *value;
        const char *pointer;
        const char *part;
    } table[] = {
        {"1", "", "must be a URL"},
        {"null", "", "must be a URL"},
        {"[\"http://h/\"]", "", "must be a URL"},
        {"{}", "/url", "is missing"},
        {"{\"to\":\"/x\"}", "/url", "is missing"},
        {"\"\"", "/url", "must start with http"},
        {"\"h\"", "/url", "must start with http"},
        {"\"ftp://h/\"", "/url", "must start with http"},
        {"\"file:///etc/passwd\"", "/url", "must start with http"},
        {"\"http:/h\"", "/url", "must start with http"},
        {"\" http://h/\"", "/url", "must start with http"},
        {"\"http://\"", "/url", "must name a host"},
        {"\"http:///x\"", "/url", "must name a host"},
        {"\"http://:80/\"", "/url", "must name a host"},
        {"\"http://user@/\"", "/url", "must name a host"},
        {"\"http://?h\"", "/url", "must name a host"},
        {"\"http://h/a b\"", "/url", "must not contain blanks"},
        {"\"http://h/\\n\"", "/url", "must not contain blanks"},
        {"\"http://h/\x7f\"", "/url", "must not contain blanks"},
        {"{\"url\":\"http://h/\",\"method\":\"\"}", "/method", "must be a method's name"},
        {"{\"url\":\"http://h/\",\"method\":\"GET X\"}", "/method", "must be a method's name"},
        {"{\"url\":\"http://h/\",\"method\":\"P\xc3\xa9\"}", "/method", "must be a method's name"},
        {"{\"url\":\"http://h/\",\"method\":null}", "/method", "must be a string"},
        {"{\"url\":\"http://h/\",\"headers\":[]}", "/headers", "must be an object"},
        {"{\"url\":\"http://h/\",\"headers\":{\"A\":1}}", "/headers/A", "must be a string"},
        {"{\"url\":\"http://h/\",\"headers\":{\"\":\"x\"}}", "/headers/", "valid name"},
        {"{\"url\":\"http://h/\",\"headers\":{\"A B\":\"x\"}}", "/headers/A B", "valid name"},
        {"{\"url\":\"http://h/\",\"headers\":{\"A:\":\"x\"}}", "/headers/A:", "valid name"},
        {"{\"url\":\"http://h/\",\"headers\":{\"A\":\"x\\r\\nB: y\"}}", "/headers/A", "one line"},
        {"{\"url\":\"http://h/\",\"headers\":{\"A\":\"x\\ny\"}}", "/headers/A", "one line"},
        {"{\"url\":\"http://h/\",\"body\":{}}", "/body", "must be a string"},
        {"{\"url\":\"http://h/\",\"to\":\"\"}", "/to", "must be the absolute path"},
        {"{\"url\":\"http://h/\",\"to\":\"x\"}", "/to", "must be the absolute path"},
        {"{\"url\":\"http://h/\",\"to\":\"/x/\"}", "/to", "must be the absolute path"},
        {"{\"url\":\"http://h/\",\"to\":null}", "/to", "must be a string"},
        {"{\"url\":\"http://h/\",\"sha256\":\"\"}", "/sha256", "must be 64"},
        {"{\"url\":\"http://h/\",\"sha256\":\"" DIGEST "0\"}", "/sha256", "must be 64"},
        {"{\"url\":\"http://h/\",\"sha256\":\"g" DIGEST "\"}", "/sha256", "must be 64"},
        {"{\"url\":\"http://h/\",\"sha256\":1}", "/sha256", "must be a string"},
        {"{\"url\":\"http://h/\",\"max_bytes\":-1}", "/max_bytes", "must be an integer"},
        {"{\"url\":\"http://h/\",\"max_bytes\":\"1G\"}", "/max_bytes", "must be an integer"},
        {"{\"url\":\"http://h/\",\"resume\":1}", "/resume", "must be true or false"},
        {"{\"url\":\"http://h/\",\"resume\":true}", "/resume", "needs \"to\""},
        {"{\"url\":\"http://h/\",\"resume\":true,\"to\":\"/x\",\"body\":\"\"}", "/resume", "a GET"},
        {"{\"url\":\"http://h/\",\"resume\":true,\"to\":\"/x\",\"method\":\"POST\"}", "/resume",
         "a GET"},
        {"{\"url\":\"http://h/\",\"methd\":\"GET\"}", "/methd", "did you mean \"method\"?"},
        {"{\"url\":\"http://h/\",\"timeout\":1}", "/timeout", "unknown field"},
    };
    for (size_t i = 0; i < N(table); i++) {
        struct gd_buf json = {0};
        struct gd_buf pointer = {0};
        gd_buf_printf(&json, "{\"fetch\":%s}%c", table[i].value, 0);
        gd_buf_printf(&pointer, "/fetch%s%c", table[i].pointer, 0);
        assert_one_fault(json.ptr, pointer.ptr, table[i].part);
        gd_buf_free(&json);
        gd_buf_free(&pointer);
    }
}

START_TEST(all_faults_of_a_fetch_are_found_in_one_go)
{
    struct decoded d = decode_job("{\"fetch\":{\"url\":\"x\",\"method\":\"\",\"to\":1,\"z\":0,"
                                  "\"headers\":{\"A\":1,\"B\":\"\",\"C\":\"\\r\"}},\"env\":{}}");
    ck_assert_int_eq(d.rc, GD_E_BAD_JOB);
    ck_assert(has_fault(&d, "/fetch/url", "must start with"));
    ck_assert(has_fault(&d, "/fetch/method", "must be a method's name"));
    ck_assert(has_fault(&d, "/fetch/to", "must be a string"));
    ck_assert(has_fault(&d, "/fetch/z", "unknown field"));
    ck_assert(has_fault(&d, "/fetch/headers/A", "must be a string"));
    ck_assert(has_fault(&d, "/fetch/headers/C", "must be one line"));
    ck_assert(has_fault(&d, "/env", "does not go with \"fetch\""));
    ck_assert_uint_eq(d.faults.n_all, 7);
    decoded_done(&d);
}

int main(void)
{
    TCase *tc = tcase_create("core");
    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, a_url_alone_is_a_fetch);
    tcase_add_test(tc, every_field_of_a_fetch_is_read);
    tcase_add_test(tc, good_fetches_are_taken);
    tcase_add_test(tc, bad_fetches_are_refused);
    tcase_add_test(tc, all_faults_of_a_fetch_are_found_in_one_go);
    return suite_main("base_job_fetch", tc);
}
