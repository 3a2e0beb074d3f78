/* Jobs when each allocation fails in turn: nothing leaks, nothing is taken half
 * read, and a good job is never called bad. */
#include "base/job.h"

#include "tests/support/failalloc.h"
#include "tests/support/jobs.h"
#include "tests/support/suite.h"

#include <cjson/cJSON.h>

#include <errno.h>
#include <string.h>

#define LONG_ESCAPED                                                                              \
    "\\u0061\\u0061\\u0061\\u0061\\u0061\\u0061\\u0061\\u0061\\u0061\\u0061\\u0061\\u0061\\u0061" \
    "\\u0061\\u0061\\u0061\\u0061\\u0061\\u0061\\u0061\\u0061\\u0061\\u0061\\u0061\\u0061\\u0061"

static const char command[] =
    "{\"run\":[\"a\\n\",\"b\",\"c\"],\"env\":{\"A\":\"1\",\"\\u0042\":\"2\"},\"cwd\":\"/tmp\","
    "\"stdin\":\"in\\n\",\"name\":\"x\",\"labels\":{\"" LONG_ESCAPED "\":\"v\",\"l\":\"w\"},"
    "\"time\\u006fut\":1}";

static const char long_name[] =
    "{\"shell\":\"echo\",\"name\":\"" LONG_ESCAPED LONG_ESCAPED LONG_ESCAPED LONG_ESCAPED "\"}";

static const char download[] =
    "{\"fetch\":{\"url\":\"http://h/\",\"method\":\"GET\",\"headers\":{\"A\":\"1\",\"B\":\"2\"},"
    "\"to\":\"/x\",\"resume\":true,"
    "\"sha256\":\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"}}";

static const char *const good[] = {
    command,
    long_name,
    download,
    "{\"sleep\":1e-3,\"value\":[{\"a\":{\"b\":[]}}],\"labels\":{\"a\":\"b\"}}",
    "{\"fetch\":{\"url\":\"http://h/\",\"method\":\"POST\",\"body\":\"b\"}}",
    "{\"fetch\":\"http://h/\"}",
};

static const char faulty[] =
    "{\"run\":[\"\",1],\"env\":{\"=\":\"x\",\"GATHERD_A\":2},\"labels\":{\"a\":1,\"\":\"x\"},"
    "\"timout\":1,\"name\":\"\",\"check\":1,\"cwd\":\"x\"}";

static const char *const bad[] = {
    faulty,
    "{\"fetch\":{\"url\":\"x\",\"headers\":{\"A\":1,\" \":\"x\",\"B\":\"\\r\"},\"methd\":\"\"}}",
    "{}",
    "[]",
    "{\"sleep\":1,\"shell\":\"\\u0000\"}",
};

#define N(table) (sizeof(table) / sizeof((table)[0]))

static void assert_empty(const struct gd_job_detail *d)
{
    static const struct gd_job_detail empty;
    ck_assert_mem_eq(d, &empty, sizeof(empty));
}

static void assert_same_tree(const cJSON *a, const cJSON *b)
{
    if (a && b)
        ck_assert(cJSON_Compare(a, b, true));
    else
        ck_assert_ptr_eq(a, b);
}

/* NULL is the same as NULL only. */
static void assert_same_text(const char *a, const char *b)
{
    if (a && b)
        ck_assert_str_eq(a, b);
    else
        ck_assert_ptr_eq(a, b);
}

static void assert_same(const struct gd_job_detail *a, const struct gd_job_detail *b)
{
    assert_same_tree(a->run, b->run);
    assert_same_tree(a->env, b->env);
    assert_same_tree(a->headers, b->headers);
    assert_same_text(a->shell, b->shell);
    assert_same_text(a->cwd, b->cwd);
    assert_same_text(a->input, b->input);
    assert_same_text(a->url, b->url);
    assert_same_text(a->method, b->method);
    assert_same_text(a->body, b->body);
    assert_same_text(a->to, b->to);
    assert_same_text(a->sha256, b->sha256);
    ck_assert_int_eq(a->resume, b->resume);
}

/* Decodes `json` with allocation `nth` failing; true if it was reached. */
static bool decode_failing(const char *json, unsigned long nth, struct decoded *ret)
{
    *ret = (struct decoded){0};
    failalloc_arm(nth);
    ret->rc = gd_job_decode((struct gd_span){json, strlen(json)}, "/jobs/3", &ret->faults,
                            &ret->job, &ret->detail);
    return failalloc_disarm();
}

START_TEST(a_good_job_is_read_whole_or_not_at_all)
{
    jobs_hook_cjson();
    const char *json = good[_i];
    struct decoded whole;
    ck_assert(!decode_failing(json, 0, &whole));
    bool fired = true;
    for (unsigned long nth = 1; fired; nth++) {
        struct decoded d;
        fired = decode_failing(json, nth, &d);
        ck_assert_int_eq(d.rc, fired ? -ENOMEM : whole.rc);
        if (d.rc == 0)
            assert_same(&d.detail, &whole.detail);
        else
            assert_empty(&d.detail);
        decoded_done(&d);
    }
    decoded_done(&whole);
}

START_TEST(a_bad_job_stays_bad_or_is_given_up)
{
    jobs_hook_cjson();
    const char *json = bad[_i];
    struct decoded all;
    ck_assert(!decode_failing(json, 0, &all));
    ck_assert_int_eq(all.rc, GD_E_BAD_JOB);
    bool fired = true;
    for (unsigned long nth = 1; fired; nth++) {
        struct decoded d;
        fired = decode_failing(json, nth, &d);
        ck_assert(d.rc == GD_E_BAD_JOB || (fired && d.rc == -ENOMEM));
        if (d.rc == GD_E_BAD_JOB)
            ck_assert_uint_eq(d.faults.n_all, all.faults.n_all);
        assert_empty(&d.detail);
        decoded_done(&d);
    }
    decoded_done(&all);
}

int main(void)
{
    TCase *tc = tcase_create("core");
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, a_good_job_is_read_whole_or_not_at_all, 0, (int)N(good));
    tcase_add_loop_test(tc, a_bad_job_stays_bad_or_is_given_up, 0, (int)N(bad));
    return suite_main("base_job_memory", tc);
}
