/* Batches, results, output and lists, against a server that cuts them in the middle. */
#include "client/gather.h"

#include "tests/support/httpd.h"
#include "tests/support/suite.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BATCH(id, state, done, settled)                                             \
    "{\"id\":" id ",\"state\":\"" state "\",\"done\":" done ",\"settled\":" settled \
    ",\"total\":2,\"counts\":{\"succeeded\":1,\"failed\":1}}"
#define LINE1 "{\"task\":17,\"name\":\"a\",\"result\":{\"x\":\"1\"}}\n"
#define LINE2 \
    "{\"task\":18,\"name\":\"b\",\"exception\":{\"type\":\"ExitError\",\"exit_code\":3}}\n"
#define LINE3 "{\"task\":19,\"name\":\"c\",\"result\":null}\n"

static struct gather_client *client;
static struct gather_error err;
static struct httpd *server;
static _Atomic unsigned n_calls;
static char seen[256]; /* what a request had to say */

static void reply(struct exchange *x, const char *status, const char *body)
{
    httpd_printf(x, "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n%s", status, strlen(body), body);
}

static void submit(struct exchange *x)
{
    (void)snprintf(seen, sizeof(seen), "%s %s %s", x->path, httpd_field(x, "Content-Type"),
                   x->body);
    if (n_calls++ == 0)
        x->close = true;
    else
        reply(x, "202 Accepted",
              "{\"id\":5,\"state\":\"pending\",\"done\":false,\"settled\":false,\"total\":3,"
              "\"tasks\":[17,18,19]}");
}

static void batch_5(struct exchange *x)
{
    reply(x, "200 OK", BATCH("5", "succeeded", "true", "true"));
}

static void results_5(struct exchange *x)
{
    static const char text[] = LINE1 LINE2 "\n" LINE3;
    size_t cut = sizeof(LINE1) + 10; /* in the second line */
    unsigned n = n_calls++;
    ck_assert_str_eq(httpd_field(x, "Accept"), "application/x-ndjson");
    httpd_printf(x, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", sizeof(text) - 2);
    if (n % 2 == 0) {
        httpd_send(x, text, cut);
        x->close = true;
    } else {
        httpd_send(x, text, sizeof(text) - 2); /* the last line lacks its newline */
    }
}

static void batch_6(struct exchange *x)
{
    reply(x, "200 OK", BATCH("6", "failed", "true", "false"));
}

static void results_6(struct exchange *x)
{
    reply(x, "424 Failed Dependency",
          "{\"type\":\"/problems/task-failed\",\"title\":\"A task failed\",\"batch\":6,\"task\":18,"
          "\"exception\":{\"type\":\"ExitError\",\"message\":\"m\",\"exit_code\":3}}");
}

/* Done at once, settled only after its child was waited for. */
static void batch_7(struct exchange *x)
{
    reply(x, "200 OK",
          n_calls < 2 ? BATCH("7", "failed", "true", "false")
                      : BATCH("7", "failed", "true", "true"));
}

static void list(struct exchange *x)
{
    unsigned n = n_calls++;
    (void)snprintf(seen, sizeof(seen), "%s", x->path);
    if (strstr(x->path, "batch=7"))
        reply(x, "200 OK",
              "{\"tasks\":[{\"id\":30,\"state\":\"running\",\"done\":false}],\"next\":null}");
    else if (n == 0)
        reply(x, "200 OK",
              "{\"tasks\":[{\"id\":3,\"state\":\"running\",\"done\":false},"
              "{\"id\":2,\"state\":\"running\",\"done\":false}],\"next\":\"/v1/tasks?after=2\"}");
    else
        reply(x, "200 OK",
              "{\"tasks\":[{\"id\":1,\"state\":\"running\",\"done\":false}],\"next\":null}");
}

static void task_30(struct exchange *x)
{
    n_calls++;
    ck_assert_ptr_nonnull(strstr(x->path, "wait="));
    reply(x, "200 OK", "{\"id\":30,\"state\":\"succeeded\",\"done\":true}");
}

static void task_40(struct exchange *x)
{
    httpd_hold(x); /* until the output was read */
    reply(x, "200 OK",
          "{\"id\":40,\"state\":\"failed\",\"done\":true,\"exception\":"
          "{\"type\":\"ExitError\",\"exit_code\":7}}");
}

/* 10 bytes, then the connection breaks; the second time as Range asks. */
static void stdout_ranged(struct exchange *x)
{
    const char *range = httpd_field(x, "Range");
    if (n_calls++ == 0) {
        httpd_printf(x, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n");
        x->close = true;
        return;
    }
    ck_assert_ptr_nonnull(range);
    ck_assert_str_eq(range, "bytes=10-");
    httpd_printf(x, "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 10-15/*\r\n"
                    "Content-Length: 6\r\n\r\nabcdef");
    httpd_release(x->server);
}

/* The same from a server that does not know ranges. */
static void stdout_whole(struct exchange *x)
{
    if (n_calls++ == 0) {
        httpd_printf(x, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n");
        x->close = true;
        return;
    }
    reply(x, "200 OK", "0123456789abcdef");
    httpd_release(x->server);
}

/* There is nothing beyond what came before the break. */
static void stdout_at_its_end(struct exchange *x)
{
    unsigned n = n_calls++;
    if (n == 0) {
        httpd_printf(x, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                        "10\r\n0123456789abcdef\r\n");
        x->close = true;
    } else if (httpd_field(x, "Range")) {
        reply(x, "416 Range Not Satisfiable", "");
    } else {
        reply(x, "200 OK", "0123456789abcdef");
        httpd_release(x->server);
    }
}

static void some_stderr(struct exchange *x)
{
    reply(x, "200 OK", "oops");
}

static void cut_off(struct exchange *x)
{
    (void)snprintf(seen, sizeof(seen), "%s", x->path);
    httpd_printf(x, "HTTP/1.1 200 OK\r\nGatherd-Truncated: true\r\nContent-Length: 0\r\n\r\n");
}

static void many_bytes(struct exchange *x)
{
    httpd_printf(x, "HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n");
    while (!x->close)
        httpd_send(x, "0123456789abcdef", 16);
}

static void cancel(struct exchange *x)
{
    (void)snprintf(seen, sizeof(seen), "%s", x->body);
    reply(x, "200 OK", "{\"requested\":false}");
}

static const struct httpd_route routes[] = {
    {"/v1/batches", submit},
    {"/v1/batches/5", batch_5},
    {"/v1/batches/5/results", results_5},
    {"/v1/batches/5/cancel", cancel},
    {"/v1/batches/6", batch_6},
    {"/v1/batches/6/results", results_6},
    {"/v1/batches/7", batch_7},
    {"/v1/tasks", list},
    {"/v1/tasks/30", task_30},
    {"/v1/tasks/40", task_40},
    {"/v1/tasks/40/stdout", stdout_ranged},
    {"/v1/tasks/40/stderr", some_stderr},
    {"/v1/tasks/41", task_40},
    {"/v1/tasks/41/stdout", stdout_whole},
    {"/v1/tasks/42", task_40},
    {"/v1/tasks/42/stdout", stdout_at_its_end},
    {"/v1/tasks/43/stdout", many_bytes},
    {"/v1/tasks/44/stdout", some_stderr},
    {"/v1/tasks/44/stderr", cut_off},
    {NULL, NULL},
};

static void setup(void)
{
    char url[64];
    n_calls = 0;
    seen[0] = '\0';
    server = httpd_start(routes);
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u", httpd_port(server));
    client = gather_connect(url, &err);
    ck_assert_ptr_nonnull(client);
}

static void teardown(void)
{
    gather_error_clear(&err);
    gather_close(client);
    httpd_stop(server);
}

START_TEST(a_batch_is_submitted_once_however_often_it_is_sent)
{
    struct gather_job *jobs[] = {gather_job_sleep(1000), gather_job_shell("x"), gather_job_task(7)};
    struct gather_options options = {.name = "n", .return_exceptions = true, .timeout_ms = 1500};
    options.labels = (const char *const[]){"a=b=c", "d=", NULL};
    struct gather_batch batch = {0};
    ck_assert_int_eq(
        gather_submit(client, (const struct gather_job *const *)jobs, 3, &options, &batch, &err),
        GATHER_OK);
    ck_assert_uint_eq(batch.id, 5);
    ck_assert_uint_eq(batch.tasks.n, 3);
    ck_assert_uint_eq(n_calls, 2);
    ck_assert_str_eq(seen,
                     "/v1/batches application/json {\"jobs\":[{\"sleep\":1},{\"shell\":\"x\"},"
                     "{\"task\":7}],\"name\":\"n\",\"return_exceptions\":true,"
                     "\"timeout\":1.5,\"labels\":{\"a\":\"b=c\",\"d\":\"\"}}");
    gather_batch_clear(&batch);
    for (size_t i = 0; i < 3; i++)
        gather_job_free(jobs[i]);
}

struct text {
    const char *text;
    size_t at;
    unsigned rewound;
};

static int64_t read_text(void *arg, char *to, size_t n)
{
    struct text *t = arg;
    size_t left = strlen(t->text) - t->at;
    n = n < left ? n : left;
    memcpy(to, t->text + t->at, n);
    t->at += n;
    return (int64_t)n;
}

static bool rewind_text(void *arg)
{
    struct text *t = arg;
    t->at = 0;
    t->rewound++;
    return true;
}

START_TEST(a_body_from_elsewhere_is_read_again_for_each_attempt)
{
    struct text text = {.text = "{\"sleep\":1}\n{\"sleep\":2}\n"};
    struct gather_source source = {.content_type = "application/x-ndjson",
                                   .bytes = 24,
                                   .read = read_text,
                                   .rewind = rewind_text,
                                   .arg = &text};
    struct gather_options options = {.name = "a b&c", .concurrency = 2, .cancel_on_failure = true};
    options.labels = (const char *const[]){"a=b c", NULL};
    struct gather_batch batch = {0};
    ck_assert_int_eq(gather_submit_source(client, &source, &options, &batch, &err), GATHER_OK);
    ck_assert_uint_ge(text.rewound, 2);
    ck_assert_str_eq(seen,
                     "/v1/batches?name=a%20b%26c&on_failure=cancel&concurrency=2&label=a%3Db%20c "
                     "application/x-ndjson {\"sleep\":1}\n{\"sleep\":2}\n");
    gather_batch_clear(&batch);
}

static int64_t fail_to_read(void *arg, char *to, size_t n)
{
    (void)arg;
    (void)to;
    (void)n;
    return -1;
}

START_TEST(a_body_that_cannot_be_read_is_not_the_daemons_fault)
{
    struct text text = {.text = ""};
    struct gather_source source = {.content_type = "application/json",
                                   .bytes = 24,
                                   .read = fail_to_read,
                                   .rewind = rewind_text,
                                   .arg = &text};
    struct gather_batch batch = {0};
    ck_assert_int_eq(gather_submit_source(client, &source, NULL, &batch, &err), GATHER_E_ARGUMENT);
}

static void check_results(const struct gather_results *r)
{
    ck_assert_uint_eq(r->n, 3);
    ck_assert_uint_eq(r->items[0].task, 17);
    ck_assert_str_eq(r->items[0].result, "{\"x\":\"1\"}");
    ck_assert_ptr_null(r->items[1].result);
    ck_assert_int_eq(r->items[1].exception.exit_code, 3);
    ck_assert_str_eq(r->items[2].result, "null");
}

START_TEST(results_come_in_order_and_once_though_the_connection_breaks)
{
    struct gather_job *job = gather_job_sleep(0);
    const struct gather_job *jobs[] = {job, job, job};
    struct gather_results results = {0};
    n_calls = 1; /* the submission goes through at once, its count is the results' next */
    ck_assert_int_eq(gather_gather(client, jobs, 3, NULL, &results, &err), GATHER_OK);
    ck_assert_uint_eq(results.batch, 5);
    check_results(&results);
    ck_assert_uint_eq(n_calls, 4);
    gather_results_clear(&results);
    gather_job_free(job);
}

static bool stop_at_second(void *arg, size_t index, const struct gather_result *result)
{
    unsigned *n = arg;
    ck_assert_uint_eq(result->task, 17 + index);
    ++*n;
    return index < 1;
}

START_TEST(whoever_reads_results_may_stop)
{
    unsigned n = 0;
    n_calls = 1;
    ck_assert_int_eq(gather_batch_results(client, 5, true, stop_at_second, &n, &err),
                     GATHER_E_STOPPED);
    ck_assert_uint_eq(n, 2);
}

START_TEST(a_failed_batch_gives_the_exception_that_failed_it)
{
    struct gather_batch batch = {0};
    unsigned n = 0;
    ck_assert_int_eq(gather_batch_wait(client, 6, NULL, &batch, &err), GATHER_OK);
    ck_assert(batch.done && !batch.settled);
    ck_assert_int_eq(gather_batch_results(client, 6, false, stop_at_second, &n, &err),
                     GATHER_E_FAILED);
    ck_assert_uint_eq(err.task, 18);
    ck_assert_int_eq(err.exception.exit_code, 3);
    gather_batch_clear(&batch);
}

START_TEST(a_batch_is_settled_when_its_last_child_ended)
{
    struct gather_wait w = {.timeout_ms = GATHER_FOREVER, .every_ms = 20, .settled = true};
    struct gather_batch batch = {0};
    ck_assert_int_eq(gather_batch_wait(client, 7, &w, &batch, &err), GATHER_OK);
    ck_assert(batch.settled);
    ck_assert_uint_eq(n_calls, 2); /* the list and the child, once each */
    ck_assert_str_eq(seen, "/v1/tasks?state=unfinished&batch=7&limit=1");
    gather_batch_clear(&batch);
}

START_TEST(a_batch_is_cancelled_with_a_reason)
{
    bool requested = true;
    ck_assert_int_eq(gather_batch_cancel(client, 5, "why\n", 1500, &requested, &err), GATHER_OK);
    ck_assert(!requested);
    ck_assert_str_eq(seen, "{\"msg\":\"why\\n\",\"grace\":1.5}");
}

static bool add_id(void *arg, const struct gather_task *task)
{
    uint64_t *sum = arg;
    *sum = *sum * 10 + task->id;
    return true;
}

START_TEST(a_list_goes_on_over_its_pages)
{
    static const char *const labels[] = {"a=b c", "d=e", NULL};
    struct gather_filter filter = {.states = "failed,cancelled", .name = "x/y", .labels = labels};
    uint64_t sum = 0;
    ck_assert_int_eq(gather_list_tasks(client, &filter, add_id, &sum, &err), GATHER_OK);
    ck_assert_uint_eq(sum, 321);
    ck_assert_str_eq(seen, "/v1/tasks?after=2");
}

START_TEST(a_list_stops_at_its_limit)
{
    struct gather_filter filter = {.limit = 2};
    uint64_t sum = 0;
    ck_assert_int_eq(gather_list_tasks(client, &filter, add_id, &sum, &err), GATHER_OK);
    ck_assert_uint_eq(sum, 32);
    ck_assert_str_eq(seen, "/v1/tasks?limit=2");
}

struct output {
    char text[2][64];
    size_t n[2];
    size_t most; /* bytes that are taken in all */
};

static size_t take(void *arg, enum gather_stream which, const char *bytes, size_t n)
{
    struct output *o = arg;
    size_t room = o->most - o->n[which];
    size_t taken = n < room ? n : room;
    size_t space = sizeof(o->text[which]) - 1 - o->n[which];
    memcpy(o->text[which] + o->n[which], bytes, taken < space ? taken : space);
    o->n[which] += taken;
    return taken;
}

/* Follows a task to its end; its stdout must be "0123456789abcdef". */
static void follow(uint64_t id, bool want_stderr)
{
    struct output out = {.most = 64};
    struct gather_task task = {0};
    struct gather_follow f = {.want = {true, want_stderr},
                              .until_done = true,
                              .tail = -1,
                              .on_output = take,
                              .arg = &out};
    ck_assert_int_eq(gather_task_follow(client, id, &f, &task, &err), GATHER_OK);
    ck_assert(task.done);
    ck_assert_int_eq(task.exception.exit_code, 7);
    ck_assert_str_eq(out.text[GATHER_STDOUT], "0123456789abcdef");
    ck_assert_str_eq(out.text[GATHER_STDERR], want_stderr ? "oops" : "");
    ck_assert_int_eq(f.delivered[GATHER_STDOUT], 16);
    gather_task_clear(&task);
}

START_TEST(output_goes_on_at_the_byte_where_it_broke_off)
{
    follow(40, true);
}

START_TEST(output_that_comes_again_from_its_start_is_not_repeated)
{
    follow(41, false);
}

START_TEST(output_that_had_all_been_said_is_at_its_end)
{
    follow(42, false);
}

START_TEST(whoever_reads_output_may_stop_and_knows_how_far_it_came)
{
    struct output out = {.most = 50};
    struct gather_follow f = {.want = {true}, .tail = -1, .on_output = take, .arg = &out};
    ck_assert_int_eq(gather_task_follow(client, 43, &f, NULL, &err), GATHER_E_STOPPED);
    ck_assert_int_eq(f.delivered[GATHER_STDOUT], 50);
}

START_TEST(output_that_was_cut_off_is_known_by_its_head)
{
    bool truncated = true;
    ck_assert_int_eq(gather_task_truncated(client, 44, GATHER_STDOUT, &truncated, &err), GATHER_OK);
    ck_assert(!truncated);
    ck_assert_int_eq(gather_task_truncated(client, 44, GATHER_STDERR, &truncated, &err), GATHER_OK);
    ck_assert(truncated);
    ck_assert_str_eq(seen, "/v1/tasks/44/stderr?tail=0");
}

int main(void)
{
    TCase *tc = tcase_create("gather");
    tcase_set_timeout(tc, 30);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_batch_is_submitted_once_however_often_it_is_sent);
    tcase_add_test(tc, a_body_from_elsewhere_is_read_again_for_each_attempt);
    tcase_add_test(tc, a_body_that_cannot_be_read_is_not_the_daemons_fault);
    tcase_add_test(tc, results_come_in_order_and_once_though_the_connection_breaks);
    tcase_add_test(tc, whoever_reads_results_may_stop);
    tcase_add_test(tc, a_failed_batch_gives_the_exception_that_failed_it);
    tcase_add_test(tc, a_batch_is_settled_when_its_last_child_ended);
    tcase_add_test(tc, a_batch_is_cancelled_with_a_reason);
    tcase_add_test(tc, a_list_goes_on_over_its_pages);
    tcase_add_test(tc, a_list_stops_at_its_limit);
    tcase_add_test(tc, output_goes_on_at_the_byte_where_it_broke_off);
    tcase_add_test(tc, output_that_comes_again_from_its_start_is_not_repeated);
    tcase_add_test(tc, output_that_had_all_been_said_is_at_its_end);
    tcase_add_test(tc, whoever_reads_output_may_stop_and_knows_how_far_it_came);
    tcase_add_test(tc, output_that_was_cut_off_is_known_by_its_head);
    return suite_main("client_gather", tc);
}
