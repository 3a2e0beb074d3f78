#include "client/cli_exit.h"
#include "client/decode.h"

#include "tests/support/suite.h"

#include <string.h>

/* The exit status of a finished task with this state and exception. */
static int exit_of(const char *state, const char *exception)
{
    struct gd_buf text = {0};
    struct gather_task task = {0};
    gd_buf_printf(&text, "{\"id\":17,\"state\":\"%s\",\"done\":true,\"exception\":%s}", state,
                  exception);
    ck_assert_int_eq(gather_decode_task(gd_buf_view(&text), &task, NULL), GATHER_OK);
    int status = cli_exit_of_task(&task);
    gather_task_clear(&task);
    gd_buf_free(&text);
    return status;
}

START_TEST(a_task_gives_its_own_exit_status)
{
    static const struct {
        const char *state;
        const char *exception;
        int status;
    } cases[] = {
        {"succeeded", "null", 0},
        {"failed", "{\"type\":\"ExitError\",\"exit_code\":1}", 1},
        {"failed", "{\"type\":\"ExitError\",\"exit_code\":7,\"stderr\":\"x\"}", 7},
        {"failed", "{\"type\":\"ExitError\",\"exit_code\":255}", 255},
        {"failed", "{\"type\":\"SignalError\",\"signal\":9,\"signal_name\":\"SIGKILL\"}", 137},
        {"failed", "{\"type\":\"SignalError\",\"signal\":11,\"core\":true}", 139},
        {"failed", "{\"type\":\"TimeoutError\",\"timeout\":5}", 124},
        {"failed", "{\"type\":\"SpawnError\",\"errno\":\"ENOENT\",\"stage\":\"exec\"}", 127},
        {"failed", "{\"type\":\"SpawnError\",\"errno\":\"EACCES\",\"stage\":\"exec\"}", 126},
        {"failed", "{\"type\":\"SpawnError\",\"errno\":\"ENOEXEC\"}", 126},
        {"failed", "{\"type\":\"SpawnError\",\"errno\":\"ENOENT\",\"stage\":\"chdir\"}", 125},
        {"failed", "{\"type\":\"SpawnError\",\"errno\":\"EAGAIN\",\"stage\":\"fork\"}", 125},
        {"failed", "{\"type\":\"LostError\",\"reason\":\"runner\"}", 125},
        {"failed", "{\"type\":\"OutOfMemoryError\"}", 137},
        {"failed", "{\"type\":\"FetchError\",\"reason\":\"dns\",\"status\":null}", 1},
        {"failed", "{\"type\":\"SomethingNew\"}", 1},
        {"failed", "null", 1},
        {"cancelled", "{\"type\":\"CancelledError\",\"msg\":null}", 143},
        {"cancelled", "null", 143},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        ck_assert_msg(exit_of(cases[i].state, cases[i].exception) == cases[i].status, "%s %s",
                      cases[i].state, cases[i].exception);
}

START_TEST(numbers_that_no_process_has_are_not_passed_on)
{
    ck_assert_int_eq(exit_of("failed", "{\"type\":\"ExitError\"}"), 125);
    ck_assert_int_eq(exit_of("failed", "{\"type\":\"ExitError\",\"exit_code\":0}"), 1);
    ck_assert_int_eq(exit_of("failed", "{\"type\":\"ExitError\",\"exit_code\":-3}"), 125);
    ck_assert_int_eq(exit_of("failed", "{\"type\":\"ExitError\",\"exit_code\":256}"), 125);
    ck_assert_int_eq(exit_of("failed", "{\"type\":\"ExitError\",\"exit_code\":4294967296}"), 125);
    ck_assert_int_eq(exit_of("failed", "{\"type\":\"SignalError\"}"), 125);
    ck_assert_int_eq(exit_of("failed", "{\"type\":\"SignalError\",\"signal\":-9}"), 125);
    ck_assert_int_eq(exit_of("failed", "{\"type\":\"SignalError\",\"signal\":4294967305}"), 125);
    /* A task that is not done has no status at all. */
    ck_assert_int_eq(exit_of("running", "null"), 125);
}

START_TEST(a_batch_succeeds_only_if_every_task_did)
{
    struct gather_batch b = {.state = GATHER_SUCCEEDED};
    ck_assert_int_eq(cli_exit_of_batch(&b), 0);
    b.counts[GATHER_SUCCEEDED] = 3;
    ck_assert_int_eq(cli_exit_of_batch(&b), 0);
    b.counts[GATHER_FAILED] = 1; /* return_exceptions: the batch itself succeeded */
    ck_assert_int_eq(cli_exit_of_batch(&b), 1);
    b.counts[GATHER_FAILED] = 0;
    b.counts[GATHER_CANCELLED] = 1;
    ck_assert_int_eq(cli_exit_of_batch(&b), 1);
    b.counts[GATHER_CANCELLED] = 0;
    b.state = GATHER_CANCELLED;
    ck_assert_int_eq(cli_exit_of_batch(&b), 1);
}

START_TEST(what_went_wrong_on_the_way_has_a_status_of_its_own)
{
    static const struct {
        enum gather_code code;
        int http;
        int status;
    } cases[] = {
        {GATHER_OK, 0, 0},
        {GATHER_E_NO_MEMORY, 0, 125},
        {GATHER_E_ARGUMENT, 0, 2},
        {GATHER_E_UNREACHABLE, 0, 6},
        {GATHER_E_LOST, 0, 6},
        {GATHER_E_PROTOCOL, 200, 125},
        {GATHER_E_PROTOCOL, 502, 6},
        {GATHER_E_REFUSED, 400, 5},
        {GATHER_E_REFUSED, 401, 4},
        {GATHER_E_REFUSED, 403, 4},
        {GATHER_E_REFUSED, 409, 5},
        {GATHER_E_REFUSED, 413, 5},
        {GATHER_E_REFUSED, 429, 5},
        {GATHER_E_REFUSED, 500, 125},
        {GATHER_E_REFUSED, 503, 5},
        {GATHER_E_NOT_FOUND, 404, 3},
        {GATHER_E_NOT_DONE, 409, 5},
        {GATHER_E_FAILED, 424, 1},
        {GATHER_E_CANCELLED, 424, 1},
        {GATHER_E_TIMEOUT, 0, 124},
        {GATHER_E_INTERRUPTED, 0, 130},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct gather_error err = {.code = cases[i].code, .status = cases[i].http};
        ck_assert_msg(cli_exit_of_error(&err) == cases[i].status, "%s, HTTP %d",
                      gather_code_text(cases[i].code), cases[i].http);
    }
    ck_assert_int_eq(cli_exit_of_signal(2), 130);
    ck_assert_int_eq(cli_exit_of_signal(15), 143);
}

int main(void)
{
    TCase *tc = tcase_create("exit");
    tcase_add_test(tc, a_task_gives_its_own_exit_status);
    tcase_add_test(tc, numbers_that_no_process_has_are_not_passed_on);
    tcase_add_test(tc, a_batch_succeeds_only_if_every_task_did);
    tcase_add_test(tc, what_went_wrong_on_the_way_has_a_status_of_its_own);
    return suite_main("client_exit", tc);
}
