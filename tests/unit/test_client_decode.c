#include "client/decode.h"

#include "tests/support/failalloc.h"
#include "tests/support/suite.h"

#include <stdlib.h>
#include <string.h>

static const char task_text[] =
    "{\"id\": 17, \"name\": \"file1.txt\", \"batch\": 5, \"index\": 0, \"kind\": \"run\","
    " \"on\": \"local\", \"state\": \"failed\", \"reason\": null, \"detail\": null,"
    " \"done\": true, \"cancelled\": false, \"cancelling\": 1, \"attempt\": 2,"
    " \"progress\": {\"bytes\": 12, \"total\": null}, \"result\": [1, {\"a\": \"b\"}],"
    " \"exception\": {\"type\": \"ExitError\", \"message\": \"exited with code 2\","
    " \"exit_code\": 2, \"stderr\": \"no\\nway \\u00e9\"},"
    " \"created_at\": \"2026-01-31T23:59:59.123Z\", \"started_at\": \"1970-01-01T00:00:01Z\","
    " \"finished_at\": null, \"labels\": {\"k\": \"v\"}, \"links\": {\"self\": \"/v1/tasks/17\"},"
    " \"from_the_future\": [[{}]]}\n";

static const char batch_text[] =
    "{\"id\": 5, \"name\": null, \"state\": \"running\", \"done\": false, \"settled\": false,"
    " \"total\": 3, \"counts\": {\"pending\": 0, \"running\": 2, \"succeeded\": 1, \"failed\": 0,"
    " \"cancelled\": 0}, \"exception\": null, \"created_at\": \"2026-01-31T23:59:59Z\","
    " \"started_at\": null, \"finished_at\": null, \"labels\": {}, \"tasks\": [17, 18, 19]}";

static struct gd_span span(const char *text)
{
    return (struct gd_span){text, strlen(text)};
}

START_TEST(a_snapshot_of_a_task_is_read)
{
    struct gather_task t = {0};
    ck_assert_int_eq(gather_decode_task(span(task_text), &t, NULL), GATHER_OK);
    ck_assert_uint_eq(t.id, 17);
    ck_assert_str_eq(t.name, "file1.txt");
    ck_assert_uint_eq(t.batch, 5);
    ck_assert_int_eq(t.index, 0);
    ck_assert_str_eq(t.kind, "run");
    ck_assert_int_eq(t.state, GATHER_FAILED);
    ck_assert_ptr_null(t.reason);
    ck_assert(t.done && !t.cancelled);
    ck_assert_int_eq(t.cancelling, 1);
    ck_assert_int_eq(t.attempt, 2);
    ck_assert_int_eq(t.progress_bytes, 12);
    ck_assert_int_eq(t.progress_total, -1);
    ck_assert_str_eq(t.result, "[1, {\"a\": \"b\"}]");
    ck_assert_str_eq(t.exception.type, "ExitError");
    ck_assert_int_eq(t.exception.exit_code, 2);
    ck_assert_str_eq(t.exception.stderr_tail, "no\nway \xc3\xa9");
    ck_assert_int_eq(t.created_at, 1769903999123);
    ck_assert_int_eq(t.started_at, 1000);
    ck_assert_int_eq(t.finished_at, 0);
    ck_assert_str_eq(t.labels, "{\"k\": \"v\"}");
    ck_assert_uint_eq(strlen(t.json), sizeof(task_text) - 2); /* without the newline */
    gather_task_clear(&t);
}

START_TEST(a_snapshot_of_a_batch_is_read)
{
    struct gather_batch b = {0};
    ck_assert_int_eq(gather_decode_batch(span(batch_text), &b, NULL), GATHER_OK);
    ck_assert_uint_eq(b.id, 5);
    ck_assert_int_eq(b.state, GATHER_RUNNING);
    ck_assert_int_eq(b.counts[GATHER_RUNNING], 2);
    ck_assert_int_eq(b.counts[GATHER_SUCCEEDED], 1);
    ck_assert_uint_eq(b.tasks.n, 3);
    ck_assert_uint_eq(b.tasks.items[2], 19);
    ck_assert_ptr_null(b.exception.type);
    gather_batch_clear(&b);
}

START_TEST(a_former_value_is_freed_on_success_and_kept_on_failure)
{
    struct gather_task t = {0};
    ck_assert_int_eq(gather_decode_task(span(task_text), &t, NULL), GATHER_OK);
    ck_assert_int_eq(gather_decode_task(span("{\"id\":18}"), &t, NULL), GATHER_E_PROTOCOL);
    ck_assert_uint_eq(t.id, 17);
    ck_assert_int_eq(
        gather_decode_task(span("{\"id\":18,\"state\":\"pending\",\"done\":false}"), &t, NULL),
        GATHER_OK);
    ck_assert_uint_eq(t.id, 18);
    ck_assert_ptr_null(t.name);
    ck_assert_int_eq(t.index, -1);
    ck_assert_int_eq(t.exception.exit_code, -1);
    gather_task_clear(&t);
}

START_TEST(a_body_cut_short_anywhere_is_an_error)
{
    for (size_t n = 0; n < sizeof(task_text) - 2; n++) {
        struct gather_task t = {0};
        struct gather_error err = {0};
        /* A copy, so that ASan sees every byte beyond the end. */
        char *copy = malloc(n ? n : 1);
        ck_assert_ptr_nonnull(copy);
        memcpy(copy, task_text, n);
        ck_assert_int_eq(gather_decode_task((struct gd_span){copy, n}, &t, &err),
                         GATHER_E_PROTOCOL);
        ck_assert_ptr_nonnull(err.title);
        gather_error_clear(&err);
        free(copy);
    }
}

START_TEST(wrong_types_and_huge_numbers_are_errors_that_name_the_member)
{
    static const struct {
        const char *text;
        const char *title;
    } cases[] = {
        {"{\"id\":\"17\",\"state\":\"pending\",\"done\":false}", "\"id\" of a task is not an id"},
        {"{\"id\":0,\"state\":\"pending\",\"done\":false}", "\"id\" of a task is not an id"},
        {"{\"id\":-1,\"state\":\"pending\",\"done\":false}", "\"id\" of a task is not an id"},
        {"{\"id\":1.5,\"state\":\"pending\",\"done\":false}", "\"id\" of a task is not an id"},
        {"{\"id\":1e300,\"state\":\"pending\",\"done\":false}", "\"id\" of a task is not an id"},
        {"{\"id\":1e999,\"state\":\"pending\",\"done\":false}", "is not the JSON of a task"},
        {"{\"id\":9007199254740993000,\"state\":\"pending\",\"done\":false}",
         "\"id\" of a task is not an id"},
        {"{\"id\":true,\"state\":\"pending\",\"done\":false}", "\"id\" of a task is not an id"},
        {"{\"id\":[1],\"state\":\"pending\",\"done\":false}", "\"id\" of a task is not an id"},
        {"{\"state\":\"pending\",\"done\":false}", "a task without \"id\""},
        {"{\"id\":null,\"state\":\"pending\",\"done\":false}", "a task without \"id\""},
        {"{\"id\":1,\"state\":\"done\",\"done\":true}", "\"state\" of a task is not the name"},
        {"{\"id\":1,\"state\":3,\"done\":true}", "\"state\" of a task is not the name"},
        {"{\"id\":1,\"state\":\"failed\",\"done\":\"true\"}", "\"done\" of a task is not true or"},
        {"{\"id\":1,\"state\":\"failed\",\"done\":1}", "\"done\" of a task is not true or false"},
        {"{\"id\":1,\"state\":\"failed\"}", "a task without \"done\""},
        {"{\"id\":1,\"state\":\"failed\",\"done\":true,\"name\":7}", "\"name\" of a task is not a"},
        {"{\"id\":1,\"state\":\"failed\",\"done\":true,\"exception\":\"no\"}",
         "\"exception\" of a task is not an object"},
        {"{\"id\":1,\"state\":\"failed\",\"done\":true,\"exception\":{}}",
         "an exception without \"type\""},
        {"{\"id\":1,\"state\":\"failed\",\"done\":true,\"exception\":{\"type\":\"E\","
         "\"exit_code\":1e18}}",
         "\"exit_code\" of an exception is not an integer"},
        {"{\"id\":1,\"state\":\"failed\",\"done\":true,\"progress\":[1]}",
         "\"progress\" of a task is not an object"},
        {"{\"id\":1,\"state\":\"failed\",\"done\":true,\"created_at\":12}",
         "\"created_at\" of a task is not a time"},
        {"{\"id\":1,\"state\":\"failed\",\"done\":true,\"created_at\":\"\"}",
         "\"created_at\" of a task is not a time"},
        {"{\"id\":1,\"state\":\"failed\",\"done\":true} trailing", "is not the JSON of a task"},
        {"{\"id\":1,\"state\":\"failed\",\"done\":true,\"x\":{\"a\":1,\"a\":2}}",
         "is not the JSON of a task"},
        {"[1,2]", "is not the JSON of a task"},
        {"17", "is not the JSON of a task"},
        {"null", "is not the JSON of a task"},
        {"<!DOCTYPE html><html><body>502 Bad Gateway</body></html>", "is not the JSON of a task"},
        {"", "is not the JSON of a task"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct gather_task t = {0};
        struct gather_error err = {0};
        ck_assert_msg(gather_decode_task(span(cases[i].text), &t, &err) == GATHER_E_PROTOCOL, "%s",
                      cases[i].text);
        ck_assert_msg(strstr(err.title, cases[i].title) != NULL, "%s says: %s", cases[i].text,
                      err.title);
        gather_error_clear(&err);
    }
}

START_TEST(deep_nesting_is_borne_or_refused_but_never_fatal)
{
    struct gd_buf text = {0};
    struct gather_result r = {0};
    for (size_t depth = 100; depth <= 100000; depth *= 10) {
        gd_buf_reset(&text);
        gd_buf_puts(&text, "{\"task\":1,\"result\":");
        for (size_t i = 0; i < depth; i++)
            gd_buf_putc(&text, '[');
        for (size_t i = 0; i < depth; i++)
            gd_buf_putc(&text, ']');
        gd_buf_putc(&text, '}');
        enum gather_code code = gather_decode_result(gd_buf_view(&text), &r, NULL);
        ck_assert_int_eq(code, depth < 1000 ? GATHER_OK : code);
        ck_assert(code == GATHER_OK || code == GATHER_E_PROTOCOL);
    }
    gather_result_clear(&r);
    gd_buf_free(&text);
}

START_TEST(a_result_of_null_is_a_result)
{
    struct gather_result r = {0};
    ck_assert_int_eq(gather_decode_result(span("{\"task\":1,\"result\":null}"), &r, NULL), 0);
    ck_assert_str_eq(r.result, "null");
    ck_assert_int_eq(gather_decode_result(span("{\"task\":1}"), &r, NULL), 0);
    ck_assert_ptr_null(r.result);
    gather_result_clear(&r);
}

static enum gather_code count(void *arg, struct gd_span element, struct gather_error *err)
{
    size_t *n = arg;
    (void)err;
    ck_assert(element.len > 0);
    return ++*n == 3 ? GATHER_E_STOPPED : GATHER_OK;
}

START_TEST(a_page_gives_its_elements_and_the_way_on)
{
    size_t n = 0;
    char *next = NULL;
    ck_assert_int_eq(gather_decode_page(span("{\"next\":\"/v1/tasks?after=9\",\"tasks\":[1,2]}"),
                                        "tasks", count, &n, &next, NULL),
                     GATHER_OK);
    ck_assert_uint_eq(n, 2);
    ck_assert_str_eq(next, "/v1/tasks?after=9");
    free(next);
    next = NULL;
    n = 0;
    ck_assert_int_eq(
        gather_decode_page(span("{\"tasks\":[1,2,3,4]}"), "tasks", count, &n, &next, NULL),
        GATHER_E_STOPPED);
    ck_assert_uint_eq(n, 3);
    ck_assert_ptr_null(next);
}

START_TEST(a_page_cannot_lead_elsewhere)
{
    static const char *const bad[] = {
        "{\"tasks\":[],\"next\":\"http://evil/v1/tasks\"}",
        "{\"tasks\":[],\"next\":\"//evil/v1/\"}",
        "{\"tasks\":[],\"next\":\"/v1/tasks HTTP/1.1\\r\\nX: y\"}",
        "{\"tasks\":[],\"next\":7}",
        "{\"tasks\":{},\"next\":null}",
        "{\"next\":null}",
        "{\"tasks\":[],\"next\":null",
        "[]",
        "",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        size_t n = 0;
        char *next = NULL;
        struct gather_error err = {0};
        ck_assert_msg(gather_decode_page(span(bad[i]), "tasks", count, &n, &next, &err) ==
                          GATHER_E_PROTOCOL,
                      "%s", bad[i]);
        ck_assert_ptr_null(next);
        gather_error_clear(&err);
    }
}

START_TEST(small_replies_are_read)
{
    int64_t n = 7;
    bool yes = true;
    char *any = NULL;
    struct gather_exception x = {0};
    ck_assert_int_eq(gather_decode_int(span("{\"cancelling\":2}"), "cancelling", &n, NULL), 0);
    ck_assert_int_eq(n, 2);
    ck_assert_int_eq(gather_decode_int(span("{}"), "cancelling", &n, NULL), GATHER_E_PROTOCOL);
    ck_assert_int_eq(gather_decode_bool(span("{\"requested\":false}"), "requested", &yes, NULL), 0);
    ck_assert(!yes);
    ck_assert_int_eq(gather_decode_bool(span("{}"), "requested", &yes, NULL), 0);
    ck_assert(!yes);
    ck_assert_int_eq(gather_decode_any(span(" [1]\n"), &any, NULL), 0);
    ck_assert_str_eq(any, "[1]");
    free(any);
    ck_assert_int_eq(gather_decode_any(span("[1"), &any, NULL), GATHER_E_PROTOCOL);
    ck_assert_int_eq(gather_decode_exception(span("null\n"), &x, NULL), 0);
    ck_assert_ptr_null(x.type);
}

START_TEST(a_problem_comes_with_every_fault)
{
    static const char text[] =
        "{\"type\":\"/problems/bad-job\",\"title\":\"Not a valid job\",\"status\":400,"
        "\"detail\":\"2 faults\",\"errors\":[{\"pointer\":\"/jobs/3/timeout\",\"detail\":\"must "
        "be a number\"},{\"pointer\":\"\",\"detail\":\"x\"}],\"errors_left_out\":99900}";
    struct gather_error err = {0};
    ck_assert_int_eq(gather_decode_problem(400, span(text), &err), GATHER_E_REFUSED);
    ck_assert_str_eq(err.type, "bad-job");
    ck_assert_int_eq(err.status, 400);
    ck_assert_uint_eq(err.n_faults, 2);
    ck_assert_str_eq(err.faults[0].pointer, "/jobs/3/timeout");
    char *all = gather_error_text(&err);
    ck_assert_str_eq(all, "Not a valid job: 2 faults\n  /jobs/3/timeout: must be a number\n"
                          "  (the whole): x\n  and 99900 more");
    free(all);
    gather_error_clear(&err);
}

START_TEST(problems_are_told_apart)
{
    static const struct {
        int status;
        const char *text;
        enum gather_code code;
    } cases[] = {
        {404, "{\"type\":\"/problems/no-such-task\",\"title\":\"t\"}", GATHER_E_NOT_FOUND},
        {404, "{\"type\":\"https://x/problems/no-such-batch\",\"title\":\"t\"}",
         GATHER_E_NOT_FOUND},
        {404, "{\"type\":\"/problems/not-found\",\"title\":\"t\"}", GATHER_E_REFUSED},
        {410, "{\"type\":\"/problems/purged\",\"title\":\"t\"}", GATHER_E_NOT_FOUND},
        {409, "{\"type\":\"/problems/invalid-state\",\"title\":\"t\"}", GATHER_E_NOT_DONE},
        {409, "{\"type\":\"/problems/idempotency-key-reused\",\"title\":\"t\"}", GATHER_E_REFUSED},
        {424, "{\"type\":\"/problems/task-failed\",\"title\":\"t\"}", GATHER_E_FAILED},
        {424, "{\"type\":\"/problems/task-cancelled\",\"title\":\"t\"}", GATHER_E_CANCELLED},
        {424, "{\"type\":\"/problems/batch-cancelled\",\"title\":\"t\"}", GATHER_E_CANCELLED},
        {500, "{\"title\":\"t\"}", GATHER_E_REFUSED},
        {400, "{\"type\":7,\"title\":\"t\"}", GATHER_E_PROTOCOL},
        {400, "{\"title\":\"t\",\"errors\":{}}", GATHER_E_PROTOCOL},
        {400, "{\"title\":\"t\",\"errors\":[7]}", GATHER_E_PROTOCOL},
        {400, "{}", GATHER_E_PROTOCOL},
        {502, "<html>Bad Gateway</html>", GATHER_E_PROTOCOL},
        {500, "", GATHER_E_PROTOCOL},
        {301, "\xff\xfe\x1b[31m", GATHER_E_PROTOCOL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct gather_error err = {0};
        ck_assert_msg(gather_decode_problem(cases[i].status, span(cases[i].text), &err) ==
                          cases[i].code,
                      "%s", cases[i].text);
        ck_assert_int_eq(err.status, cases[i].status);
        ck_assert_ptr_nonnull(err.title);
        gather_error_clear(&err);
        (void)gather_decode_problem(cases[i].status, span(cases[i].text), NULL);
    }
}

START_TEST(a_failure_carries_its_exception)
{
    static const char text[] = "{\"type\":\"/problems/task-failed\",\"title\":\"t\",\"task\":18,"
                               "\"batch\":5,\"exception\":{\"type\":\"ExitError\",\"message\":"
                               "\"exited with code 2\",\"exit_code\":2}}";
    struct gather_error err = {0};
    ck_assert_int_eq(gather_decode_problem(424, span(text), &err), GATHER_E_FAILED);
    ck_assert_uint_eq(err.task, 18);
    ck_assert_uint_eq(err.batch, 5);
    ck_assert_int_eq(err.exception.exit_code, 2);
    gather_error_clear(&err);
}

/* Decodes with allocation number `nth` failing. False: it was not reached. */
static bool decode_without_memory(unsigned long nth)
{
    struct gather_task t = {0};
    struct gather_batch b = {0};
    struct gather_error err = {0};
    failalloc_arm(nth);
    enum gather_code one = gather_decode_task(span(task_text), &t, &err);
    enum gather_code two = gather_decode_batch(span(batch_text), &b, &err);
    enum gather_code three = gather_decode_problem(
        400, span("{\"title\":\"t\",\"errors\":[{\"pointer\":\"/a\",\"detail\":\"b\"}]}"), &err);
    bool fired = failalloc_disarm();
    int failed = (one != GATHER_OK) + (two != GATHER_OK) + (three != GATHER_E_REFUSED);
    ck_assert_int_le(failed, 1);
    ck_assert(one == GATHER_OK || one == GATHER_E_NO_MEMORY);
    ck_assert(two == GATHER_OK || two == GATHER_E_NO_MEMORY);
    ck_assert(three == GATHER_E_REFUSED || three == GATHER_E_NO_MEMORY);
    gather_task_clear(&t);
    gather_batch_clear(&b);
    gather_error_clear(&err);
    return fired;
}

START_TEST(want_of_memory_anywhere_is_said_and_leaks_nothing)
{
    unsigned long nth = 1;
    while (decode_without_memory(nth))
        nth++;
    ck_assert_uint_gt(nth, 10);
}

int main(void)
{
    TCase *tc = tcase_create("decode");
    tcase_add_test(tc, a_snapshot_of_a_task_is_read);
    tcase_add_test(tc, a_snapshot_of_a_batch_is_read);
    tcase_add_test(tc, a_former_value_is_freed_on_success_and_kept_on_failure);
    tcase_add_test(tc, a_body_cut_short_anywhere_is_an_error);
    tcase_add_test(tc, wrong_types_and_huge_numbers_are_errors_that_name_the_member);
    tcase_add_test(tc, deep_nesting_is_borne_or_refused_but_never_fatal);
    tcase_add_test(tc, a_result_of_null_is_a_result);
    tcase_add_test(tc, a_page_gives_its_elements_and_the_way_on);
    tcase_add_test(tc, a_page_cannot_lead_elsewhere);
    tcase_add_test(tc, small_replies_are_read);
    tcase_add_test(tc, a_problem_comes_with_every_fault);
    tcase_add_test(tc, problems_are_told_apart);
    tcase_add_test(tc, a_failure_carries_its_exception);
    tcase_add_test(tc, want_of_memory_anywhere_is_said_and_leaks_nothing);
    return suite_main("client_decode", tc);
}
