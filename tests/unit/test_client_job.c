/* Jobs as libgather writes them, checked by the daemon's own decoder; and the look
 * at a file of jobs that tells what kind of file it is. */
#include "base/fault.h"
#include "base/job.h"
#include "client/cli_source.h"
#include "client/job_build.h"

#include "tests/support/failalloc.h"
#include "tests/support/suite.h"

#include <stdlib.h>
#include <string.h>

/* The JSON of `own_job`, to be freed; the decoder must like it. */
static char *text_of(struct gather_job *own_job)
{
    struct gd_buf text = {0};
    struct gather_error err = {0};
    enum gather_code code = gather_job_put(&text, own_job, &err);
    ck_assert_msg(code == GATHER_OK, "%s", err.title);
    struct gd_faults faults = {0};
    struct gd_job job;
    int rc = gd_job_decode(gd_buf_view(&text), "", &faults, &job, NULL);
    ck_assert_msg(rc == 0, "%.*s: %s", (int)text.len, text.ptr,
                  faults.n ? faults.items[0].detail : "no memory");
    gd_faults_free(&faults);
    gather_job_free(own_job);
    char *out = gd_buf_take(&text, NULL);
    ck_assert_ptr_nonnull(out);
    return out;
}

static void check_text(struct gather_job *own_job, const char *expected)
{
    char *text = text_of(own_job);
    ck_assert_str_eq(text, expected);
    free(text);
}

START_TEST(the_kinds_are_written)
{
    const char *const argv[] = {"echo", "a b", "\"\xc3\xa4\\", NULL};
    check_text(gather_job_run(argv), "{\"run\":[\"echo\",\"a b\",\"\\\"\xc3\xa4\\\\\"]}");
    check_text(gather_job_shell("a | b"), "{\"shell\":\"a | b\"}");
    check_text(gather_job_sleep(1500), "{\"sleep\":1.5}");
    check_text(gather_job_fetch("http://x/"), "{\"fetch\":\"http://x/\"}");
    check_text(gather_job_json("{\"sleep\": 1}"), "{\"sleep\": 1}");
}

START_TEST(every_setter_is_written)
{
    struct gather_job *job = gather_job_shell("x");
    ck_assert_ptr_nonnull(job);
    gather_job_set_name(job, "n");
    gather_job_set_timeout(job, 300000);
    gather_job_set_grace(job, 500);
    gather_job_set_cwd(job, "/tmp");
    gather_job_set_stdin(job, "in\n", 3);
    gather_job_set_priority(job, -3);
    gather_job_add_env(job, "A", "1");
    gather_job_add_env(job, "B", "x=y");
    gather_job_add_label(job, "k", "v");
    gather_job_set(job, "check", "false");
    gather_job_set(job, "result", " \"stdout\"");
    check_text(job, "{\"shell\":\"x\",\"name\":\"n\",\"timeout\":300,\"grace\":0.5,"
                    "\"cwd\":\"/tmp\",\"stdin\":\"in\\n\",\"priority\":-3,\"check\":false,"
                    "\"result\": \"stdout\",\"env\":{\"A\":\"1\",\"B\":\"x=y\"},"
                    "\"labels\":{\"k\":\"v\"}}");
    job = gather_job_fetch("http://x/");
    ck_assert_ptr_nonnull(job);
    gather_job_set_to(job, "/tmp/x");
    gather_job_set_sha256(job, "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");
    gather_job_set_max_bytes(job, 4096);
    gather_job_set_resume(job);
    gather_job_add_header(job, "Accept", "*/*");
    gather_job_set_name(job, "n");
    check_text(job, "{\"fetch\":{\"url\":\"http://x/\",\"to\":\"/tmp/x\",\"sha256\":"
                    "\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\","
                    "\"max_bytes\":4096,\"resume\":true,\"headers\":{\"Accept\":\"*/*\"}},"
                    "\"name\":\"n\"}");
}

START_TEST(a_fault_sticks_and_is_told_when_submitting)
{
    static const char *const bad_argv[] = {"ls", "\xff\xfe", NULL};
    struct gather_job *jobs[] = {
        gather_job_run(bad_argv), gather_job_shell("\xc3"), gather_job_json("{\"a\":}"),
        gather_job_json("[1]"),   gather_job_json(""),      gather_job_sleep(1),
        gather_job_sleep(1),      gather_job_sleep(1),      gather_job_shell("x"),
    };
    size_t n = sizeof(jobs) / sizeof(jobs[0]);
    gather_job_set_name(jobs[5], "\xff");
    gather_job_add_label(jobs[6], "k", "\xff");
    gather_job_set(jobs[7], "value", "{");
    gather_job_set_stdin(jobs[8], "a\0b", 3);
    for (size_t i = 0; i < n; i++) {
        struct gd_buf text = {0};
        struct gather_error err = {0};
        ck_assert_ptr_nonnull(jobs[i]);
        ck_assert_msg(gather_job_put(&text, jobs[i], &err) == GATHER_E_ARGUMENT, "job %zu", i);
        ck_assert_ptr_nonnull(err.title);
        gather_error_clear(&err);
        gd_buf_free(&text);
        gather_job_free(jobs[i]);
    }
}

/* Builds with allocation number `nth` failing. False: it was not reached. */
static bool build_without_memory(unsigned long nth)
{
    struct gd_buf text = {0};
    struct gather_error err = {0};
    enum gather_code code = GATHER_E_NO_MEMORY;
    failalloc_arm(nth);
    struct gather_job *job = gather_job_fetch("http://x/");
    if (job) {
        gather_job_set_name(job, "n");
        gather_job_set_to(job, "/x");
        gather_job_add_header(job, "A", "b");
        gather_job_add_env(job, "A", "1");
        gather_job_add_label(job, "k", "v");
        code = gather_job_put(&text, job, &err);
    }
    bool fired = failalloc_disarm();
    ck_assert_int_eq(code, fired ? GATHER_E_NO_MEMORY : GATHER_OK);
    gather_job_free(job);
    gather_error_clear(&err);
    gd_buf_free(&text);
    return fired;
}

START_TEST(a_job_that_lacks_memory_is_never_sent_in_part)
{
    unsigned long nth = 1;
    while (build_without_memory(nth))
        nth++;
    ck_assert_uint_gt(nth, 5);
}

static const struct {
    const char *text;
    enum cli_shape shape;
} files[] = {
    {"", CLI_SHAPE_EMPTY},
    {" \n\t ", CLI_SHAPE_EMPTY},
    {"[{\"sleep\":1}]", CLI_SHAPE_ARRAY},
    {"\n [", CLI_SHAPE_ARRAY},
    {"nonsense", CLI_SHAPE_ARRAY},
    {"{\"jobs\":[]}", CLI_SHAPE_BATCH},
    {"{\"name\":\"x\", \"jobs\" : [{\"sleep\":1}]}\n", CLI_SHAPE_BATCH},
    {"{\"a\":{\"b\":[1,{\"c\":2}]},\"jobs\":[]}", CLI_SHAPE_BATCH},
    {"{\"sleep\":1}", CLI_SHAPE_JOB},
    {"{\n  \"sleep\": 1\n}\n", CLI_SHAPE_JOB},
    {"{\"shell\":\"jobs\"}", CLI_SHAPE_JOB},
    {"{\"shell\":\"a\",\"value\":{\"jobs\":[]}}", CLI_SHAPE_JOB},
    {"{\"value\":[\"jobs\",\"jobs\"]}", CLI_SHAPE_JOB},
    {"{\"jobss\":1}", CLI_SHAPE_JOB},
    {"{\"job\":1}", CLI_SHAPE_JOB},
    {"{\"jo\\u0062s\":1}", CLI_SHAPE_JOB},
    {"{\"\":1}", CLI_SHAPE_JOB},
    {"{\"shell\":\"}{\\\"}\"}", CLI_SHAPE_JOB},
    {"{\"shell\":\"\\\\\"}\n{", CLI_SHAPE_LINES},
    {"{\"sleep\":1}\n{\"sleep\":2}\n", CLI_SHAPE_LINES},
    {"{\"sleep\":1}{\"sleep\":2}", CLI_SHAPE_LINES},
    {"{\"jobs\":1}\n{\"sleep\":2}\n", CLI_SHAPE_LINES},
    {"{\"sleep\":1} x", CLI_SHAPE_LINES},
    {"{\"sleep\":", CLI_SHAPE_JOB}, /* cut short: the daemon says where */
};

START_TEST(a_look_at_a_file_tells_its_shape)
{
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        struct cli_looking whole = {0};
        struct cli_looking bytes = {0};
        size_t n = strlen(files[i].text);
        cli_look(&whole, files[i].text, n);
        ck_assert_msg(whole.shape == files[i].shape, "%s", files[i].text);
        for (size_t k = 0; k < n; k++)
            cli_look(&bytes, files[i].text + k, 1);
        ck_assert_msg(bytes.shape == files[i].shape, "%s, byte by byte", files[i].text);
    }
}

int main(void)
{
    TCase *tc = tcase_create("job");
    tcase_add_test(tc, the_kinds_are_written);
    tcase_add_test(tc, every_setter_is_written);
    tcase_add_test(tc, a_fault_sticks_and_is_told_when_submitting);
    tcase_add_test(tc, a_job_that_lacks_memory_is_never_sent_in_part);
    tcase_add_test(tc, a_look_at_a_file_tells_its_shape);
    return suite_main("client_job", tc);
}
