/* What libgather does when the way to the daemon is bad: lost answers, answers that
 * ask for patience, nobody there, somebody else there. */
#include "base/clock.h"
#include "client/gather.h"

#include "tests/support/httpd.h"
#include "tests/support/suite.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PENDING "{\"id\":17,\"state\":\"pending\",\"done\":false}"
#define DONE    "{\"id\":17,\"state\":\"succeeded\",\"done\":true,\"result\":null}"

static struct gather_client *client;
static struct gather_error err;
static struct gather_task task;
static struct httpd *server;
static _Atomic unsigned n_calls; /* of the route under test */
static char keys[4][64];
static char bodies[4][64];
static unsigned n_notices;
static unsigned n_back;

static void reply(struct exchange *x, const char *status, const char *fields, const char *body)
{
    httpd_printf(x, "HTTP/1.1 %s\r\n%sContent-Length: %zu\r\n\r\n%s", status, fields, strlen(body),
                 body);
}

static void note(struct exchange *x, unsigned n)
{
    const char *key = httpd_field(x, "Idempotency-Key");
    ck_assert_uint_lt(n, 4);
    (void)snprintf(keys[n], sizeof(keys[n]), "%s", key ? key : "(none)");
    (void)snprintf(bodies[n], sizeof(bodies[n]), "%s", x->body ? x->body : "");
}

/* Hangs up twice before it answers. */
static void forgetful(struct exchange *x)
{
    unsigned n = n_calls++;
    note(x, n);
    if (n < 2)
        x->close = true;
    else
        reply(x, "201 Created", "", PENDING);
}

static void busy_once(struct exchange *x)
{
    if (n_calls++ == 0)
        reply(x, "503 Service Unavailable", "Retry-After: 1\r\n",
              "{\"type\":\"/problems/shutting-down\",\"title\":\"shutting down\"}");
    else
        reply(x, "200 OK", "", DONE);
}

static void busy_for_long(struct exchange *x)
{
    n_calls++;
    reply(x, "503 Service Unavailable", "Retry-After: 3600\r\n",
          "{\"type\":\"/problems/shutting-down\",\"title\":\"shutting down\"}");
}

static void full(struct exchange *x)
{
    n_calls++;
    reply(x, "429 Too Many Requests", "Retry-After: 1\r\n",
          "{\"type\":\"/problems/queue-full\",\"title\":\"The queue is full\"}");
}

static void hang_up(struct exchange *x)
{
    n_calls++;
    x->close = true;
}

static void cut_short(struct exchange *x)
{
    n_calls++;
    httpd_printf(x, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"id\":");
    x->close = true;
}

static void page_of_a_proxy(struct exchange *x)
{
    reply(x, "200 OK", "Content-Type: text/html\r\n", "<!DOCTYPE html><p>Welcome");
}

static void not_http(struct exchange *x)
{
    httpd_printf(x, "SSH-2.0-OpenSSH_9.2\r\n");
    x->close = true;
}

static void moved(struct exchange *x)
{
    reply(x, "301 Moved Permanently", "Location: http://127.0.0.1:1/\r\n", "elsewhere");
}

static void hold(struct exchange *x)
{
    n_calls++;
    httpd_hold(x);
    reply(x, "200 OK", "", DONE);
}

static void early(struct exchange *x)
{
    unsigned n = n_calls++;
    ck_assert_ptr_nonnull(strstr(x->path, "?wait=0.02"));
    reply(x, n < 3 ? "202 Accepted" : "200 OK", "", n < 3 ? PENDING : DONE);
}

static void never(struct exchange *x)
{
    n_calls++;
    reply(x, "202 Accepted", "", PENDING);
}

static const struct httpd_route routes[] = {
    {"/v1/tasks", forgetful},       {"/v1/tasks/1", busy_once},
    {"/v1/tasks/2", busy_for_long}, {"/v1/tasks/3", full},
    {"/v1/tasks/4", hang_up},       {"/v1/tasks/4/cancel", hang_up},
    {"/v1/tasks/5", cut_short},     {"/v1/tasks/6", page_of_a_proxy},
    {"/v1/tasks/7", not_http},      {"/v1/tasks/8", moved},
    {"/v1/tasks/9", hold},          {"/v1/tasks/10", early},
    {"/v1/tasks/11", never},        {NULL, NULL},
};

static void on_notice(void *arg, const char *text)
{
    (void)arg;
    if (strcmp(text, "gatherd is back") == 0) {
        n_back++;
        ck_assert_uint_eq(n_back, n_notices);
        return;
    }
    ck_assert_ptr_nonnull(strstr(text, "trying again"));
    n_notices++;
    ck_assert_ptr_null(strstr(text, "transfer")); /* curl's own words */
}

static void open_client(unsigned port)
{
    char url[64];
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/", port);
    client = gather_connect(url, &err);
    ck_assert_ptr_nonnull(client);
    gather_set_notice(client, on_notice, NULL);
}

static void setup(void)
{
    n_calls = 0;
    n_notices = 0;
    n_back = 0;
    server = httpd_start(routes);
    open_client(httpd_port(server));
}

static void teardown(void)
{
    gather_task_clear(&task);
    gather_error_clear(&err);
    gather_close(client);
    httpd_stop(server);
}

START_TEST(a_lost_answer_is_asked_for_again_with_the_same_key)
{
    struct gather_job *job = gather_job_sleep(1500);
    ck_assert_int_eq(gather_create_task(client, job, &task, &err), GATHER_OK);
    ck_assert_uint_eq(task.id, 17);
    ck_assert_uint_eq(n_calls, 3);
    ck_assert_uint_eq(strlen(keys[0]), 32);
    ck_assert_uint_eq(strspn(keys[0], "0123456789abcdef"), 32);
    ck_assert_str_eq(keys[0], keys[1]);
    ck_assert_str_eq(keys[0], keys[2]);
    ck_assert_str_eq(bodies[2], "{\"sleep\":1.5}");
    ck_assert_uint_eq(n_notices, 1);
    ck_assert_uint_eq(n_back, 1);
    /* The next one is another task. */
    ck_assert_int_eq(gather_create_task(client, job, &task, &err), GATHER_OK);
    ck_assert_str_ne(keys[0], keys[3]);
    gather_job_free(job);
}

START_TEST(a_daemon_that_restarts_is_waited_for)
{
    int64_t began = gd_mono_ms();
    ck_assert_int_eq(gather_task_wait(client, 1, NULL, &task, &err), GATHER_OK);
    ck_assert(task.done);
    ck_assert_int_ge(gd_mono_ms() - began, 900); /* as Retry-After asked */
    ck_assert_uint_eq(n_calls, 2);
    ck_assert_uint_eq(n_notices, 1);
    ck_assert_uint_eq(n_back, 1);
}

START_TEST(more_patience_than_there_is_is_not_asked_of_anybody)
{
    ck_assert_int_eq(gather_task_get(client, 2, &task, &err), GATHER_E_REFUSED);
    ck_assert_int_eq(err.status, 503);
    ck_assert_str_eq(err.type, "shutting-down");
    ck_assert_uint_eq(n_calls, 1);
}

START_TEST(a_reader_waits_for_a_full_queue)
{
    gather_set_patience(client, 500);
    ck_assert_int_eq(gather_task_get(client, 3, &task, &err), GATHER_E_REFUSED);
    ck_assert_int_eq(err.status, 429);
    gather_set_patience(client, 1500);
    ck_assert_int_eq(gather_task_get(client, 3, &task, &err), GATHER_E_REFUSED);
    ck_assert_uint_eq(n_calls, 3);
}

START_TEST(patience_ends_with_the_daemon_lost)
{
    gather_set_patience(client, 300);
    int64_t began = gd_mono_ms();
    ck_assert_int_eq(gather_task_get(client, 4, &task, &err), GATHER_E_LOST);
    ck_assert_int_le(gd_mono_ms() - began, 2000);
    ck_assert_uint_ge(n_calls, 2);
    gather_set_patience(client, 0);
    n_calls = 0;
    ck_assert_int_eq(gather_task_get(client, 4, &task, &err), GATHER_E_LOST);
    ck_assert_uint_eq(n_calls, 1);
}

START_TEST(an_answer_cut_short_is_no_answer)
{
    gather_set_patience(client, 300);
    ck_assert_int_eq(gather_task_get(client, 5, &task, &err), GATHER_E_LOST);
    ck_assert_uint_ge(n_calls, 2);
    ck_assert_uint_eq(task.id, 0);
}

START_TEST(a_cancel_is_not_sent_twice)
{
    bool requested = false;
    ck_assert_int_eq(gather_task_cancel(client, 4, "why", 100, &requested, &err), GATHER_E_LOST);
    ck_assert_uint_eq(n_calls, 1);
}

START_TEST(nobody_there_is_said_at_once)
{
    struct gather_client *nobody = NULL;
    struct httpd *gone = httpd_start(routes);
    char url[64];
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u", httpd_port(gone));
    httpd_stop(gone);
    nobody = gather_connect(url, &err);
    ck_assert_ptr_nonnull(nobody);
    int64_t began = gd_mono_ms();
    ck_assert_int_eq(gather_task_get(nobody, 1, &task, &err), GATHER_E_UNREACHABLE);
    ck_assert_ptr_nonnull(strstr(err.title, "Connection refused"));
    ck_assert_ptr_nonnull(strstr(err.title, url));
    ck_assert_int_lt(gd_mono_ms() - began, 2000);
    gather_close(nobody);
}

START_TEST(somebody_else_there_is_told_from_gatherd)
{
    ck_assert_int_eq(gather_task_get(client, 6, &task, &err), GATHER_E_PROTOCOL);
    ck_assert_str_eq(err.detail, "<!DOCTYPE html><p>Welcome");
    ck_assert_int_eq(gather_task_get(client, 7, &task, &err), GATHER_E_PROTOCOL);
    ck_assert_int_eq(gather_task_get(client, 8, &task, &err), GATHER_E_PROTOCOL);
    ck_assert_int_eq(err.status, 301);
    ck_assert_int_eq(gather_task_get(client, 999, &task, &err), GATHER_E_PROTOCOL);
    ck_assert_int_eq(err.status, 404);
}

START_TEST(a_wait_ends_when_its_descriptor_says_so)
{
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    ck_assert_int_eq(write(ends[1], "x", 1), 1);
    gather_set_interrupt_fd(client, ends[0]);
    ck_assert_int_eq(gather_task_wait(client, 9, NULL, &task, &err), GATHER_E_INTERRUPTED);
    /* The byte is still there, and ends the next wait as well. */
    ck_assert_int_eq(gather_task_wait(client, 9, NULL, &task, &err), GATHER_E_INTERRUPTED);
    httpd_release(server);
    gather_set_interrupt_fd(client, -1);
    ck_assert_int_eq(gather_task_wait(client, 9, NULL, &task, &err), GATHER_OK);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

static void count_looks(void *arg, const struct gather_task *t)
{
    unsigned *n = arg;
    ck_assert_uint_eq(t->id, 17);
    ++*n;
}

START_TEST(a_wait_is_asked_again_until_the_task_is_done)
{
    unsigned looks = 0;
    struct gather_wait w = {
        .timeout_ms = GATHER_FOREVER, .every_ms = 20, .on_task = count_looks, .arg = &looks};
    ck_assert_int_eq(gather_task_wait(client, 10, &w, &task, &err), GATHER_OK);
    ck_assert_uint_eq(n_calls, 4);
    ck_assert_uint_eq(looks, 4);
}

START_TEST(time_to_wait_ends_and_leaves_the_last_look)
{
    struct gather_wait w = {.timeout_ms = 100, .every_ms = 30};
    int64_t began = gd_mono_ms();
    ck_assert_int_eq(gather_task_wait(client, 11, &w, &task, &err), GATHER_E_TIMEOUT);
    ck_assert_int_ge(gd_mono_ms() - began, 100);
    ck_assert_uint_eq(task.id, 17);
    /* A server that answers at once instead of waiting is not flooded. */
    ck_assert_uint_le(n_calls, 6);
}

START_TEST(a_server_that_never_answers_does_not_hold_a_timed_wait)
{
    struct gather_wait w = {.timeout_ms = 100};
    int64_t began = gd_mono_ms();
    ck_assert_int_eq(gather_task_wait(client, 9, &w, &task, &err), GATHER_E_TIMEOUT);
    ck_assert_int_lt(gd_mono_ms() - began, 3000);
}

START_TEST(addresses_are_checked)
{
    static const char *const bad[] = {"",
                                      "nonsense",
                                      "ftp://x/",
                                      "http://",
                                      "unix:",
                                      "unix:here",
                                      "http://u:p@x/",
                                      "http://x/?a",
                                      "http://x/#a",
                                      "http:///",
                                      "http://x:99999/"};
    static const char *const good[] = {
        "http://localhost", "http://[::1]:4284/",         "unix:/run/g",
        "unix:///run/g",    "https://x.example/gatherd/", NULL};
    ck_assert_int_eq(unsetenv("GATHER_URL"), 0);
    for (size_t i = 1; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ck_assert_msg(gather_connect(bad[i], &err) == NULL, "%s", bad[i]);
        ck_assert_int_eq(err.code, GATHER_E_ARGUMENT);
    }
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct gather_client *c = gather_connect(good[i], &err);
        ck_assert_msg(c != NULL, "%s", good[i] ? good[i] : "(the default)");
        ck_assert_str_eq(gather_url(c), good[i] ? good[i] : GATHER_DEFAULT_URL);
        gather_close(c);
    }
    ck_assert_int_eq(setenv("GATHER_URL", "unix:/x", 1), 0);
    struct gather_client *c = gather_connect(NULL, &err);
    ck_assert_ptr_nonnull(c);
    ck_assert_str_eq(gather_url(c), "unix:/x");
    gather_close(c);
}

int main(void)
{
    TCase *tc = tcase_create("http");
    tcase_set_timeout(tc, 30);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_lost_answer_is_asked_for_again_with_the_same_key);
    tcase_add_test(tc, a_daemon_that_restarts_is_waited_for);
    tcase_add_test(tc, more_patience_than_there_is_is_not_asked_of_anybody);
    tcase_add_test(tc, a_reader_waits_for_a_full_queue);
    tcase_add_test(tc, patience_ends_with_the_daemon_lost);
    tcase_add_test(tc, an_answer_cut_short_is_no_answer);
    tcase_add_test(tc, a_cancel_is_not_sent_twice);
    tcase_add_test(tc, nobody_there_is_said_at_once);
    tcase_add_test(tc, somebody_else_there_is_told_from_gatherd);
    tcase_add_test(tc, a_wait_ends_when_its_descriptor_says_so);
    tcase_add_test(tc, a_wait_is_asked_again_until_the_task_is_done);
    tcase_add_test(tc, time_to_wait_ends_and_leaves_the_last_look);
    tcase_add_test(tc, a_server_that_never_answers_does_not_hold_a_timed_wait);
    tcase_add_test(tc, addresses_are_checked);
    return suite_main("client_http", tc);
}
