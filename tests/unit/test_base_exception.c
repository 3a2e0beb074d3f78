#include "base/exception.h"
#include "base/json_scan.h"

#include "tests/support/failalloc.h"
#include "tests/support/suite.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

/* Asserts that `own_text` is this JSON, and frees it. */
static void assert_is(char *own_text, const char *expected)
{
    struct gd_json_fault fault;
    ck_assert_ptr_nonnull(own_text);
    ck_assert_msg(gd_json_check((struct gd_span){own_text, strlen(own_text)}, 8, &fault), "%s",
                  own_text);
    ck_assert_str_eq(own_text, expected);
    free(own_text);
}

START_TEST(each_type_has_its_members)
{
    assert_is(gd_exception_exit(3, GD_SPAN("no\n")),
              "{\"type\":\"ExitError\",\"message\":\"exited with code 3\",\"exit_code\":3,"
              "\"stderr\":\"no\\n\"}");
    assert_is(gd_exception_signal(SIGSEGV, true, (struct gd_span){0}),
              "{\"type\":\"SignalError\",\"message\":\"ended by SIGSEGV\",\"signal\":11,"
              "\"signal_name\":\"SIGSEGV\",\"core\":true,\"stderr\":\"\"}");
    assert_is(gd_exception_signal(50, false, GD_SPAN("")),
              "{\"type\":\"SignalError\",\"message\":\"ended by SIG50\",\"signal\":50,"
              "\"signal_name\":\"SIG50\",\"core\":false,\"stderr\":\"\"}");
    assert_is(gd_exception_timeout(1050), "{\"type\":\"TimeoutError\",\"message\":"
                                          "\"not done within 1.050 s\",\"timeout\":1.05}");
    assert_is(gd_exception_cancelled("stop \"it\""),
              "{\"type\":\"CancelledError\",\"message\":\"stop \\\"it\\\"\",\"msg\":\"stop "
              "\\\"it\\\"\"}");
    assert_is(gd_exception_cancelled(NULL),
              "{\"type\":\"CancelledError\",\"message\":\"cancelled\",\"msg\":null}");
    assert_is(gd_exception_spawn(-ENOENT, "exec", "/bin/\"x\""),
              "{\"type\":\"SpawnError\",\"message\":\"cannot start /bin/\\\"x\\\": No such file or "
              "directory\",\"errno\":\"ENOENT\",\"stage\":\"exec\"}");
    assert_is(gd_exception_fetch("dns", "no such host", 0),
              "{\"type\":\"FetchError\",\"message\":\"no such host\",\"reason\":\"dns\","
              "\"status\":null}");
    assert_is(gd_exception_fetch("status", "Not Found", 404),
              "{\"type\":\"FetchError\",\"message\":\"Not Found\",\"reason\":\"status\","
              "\"status\":404}");
    assert_is(gd_exception_result("not UTF-8", 7),
              "{\"type\":\"ResultError\",\"message\":\"stdout is not JSON: not UTF-8 (at byte 7)\","
              "\"offset\":7}");
    assert_is(gd_exception_group("2 failed", GD_SPAN("[{},{}]")),
              "{\"type\":\"ExceptionGroup\",\"message\":\"2 failed\",\"exceptions\":[{},{}]}");
}

START_TEST(what_was_lost_says_how)
{
    static const char *const reasons[] = {"runner", "fetcher", "reboot"};
    static const char *const parts[] = {"the runner ended while", "the fetcher ended while",
                                        "the machine was restarted while"};
    for (size_t i = 0; i < 3; i++) {
        char *text = gd_exception_lost(reasons[i]);
        ck_assert_ptr_nonnull(strstr(text, parts[i]));
        ck_assert_ptr_nonnull(strstr(text, reasons[i]));
        free(text);
    }
}

/* The decoded "stderr" of an ExitError with `n` bytes "x" after `before`. */
static void stderr_of(const char *before, size_t n, struct gd_buf *ret)
{
    struct gd_buf err = {0};
    gd_buf_puts(&err, before);
    for (size_t i = 0; i < n; i++)
        gd_buf_putc(&err, 'x');
    char *text = gd_exception_exit(1, gd_buf_view(&err));
    const char *from = strstr(text, "\"stderr\":") + strlen("\"stderr\":");
    gd_json_unquote((struct gd_span){from, strlen(from) - 1}, ret);
    gd_buf_free(&err);
    free(text);
}

START_TEST(the_end_of_stderr_is_kept)
{
    struct gd_buf kept = {0};
    stderr_of("", GD_STDERR_TAIL, &kept);
    ck_assert_uint_eq(kept.len, GD_STDERR_TAIL);
    gd_buf_reset(&kept);
    stderr_of("y", GD_STDERR_TAIL, &kept);
    ck_assert_uint_eq(kept.len, GD_STDERR_TAIL);
    ck_assert_int_eq(kept.ptr[0], 'x');
    gd_buf_reset(&kept);
    stderr_of("\xe2\x82\xac", GD_STDERR_TAIL - 1, &kept); /* cut inside a character */
    ck_assert_mem_eq(kept.ptr, "\xef\xbf\xbdx", 4);
    gd_buf_free(&kept);
}

START_TEST(any_bytes_of_stderr_come_out_as_json)
{
    char bytes[256];
    for (unsigned i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)i;
    char *text = gd_exception_signal(9, false, (struct gd_span){bytes, sizeof(bytes)});
    struct gd_json_fault fault;
    ck_assert(gd_json_check((struct gd_span){text, strlen(text)}, 8, &fault));
    free(text);
}

static char *make(unsigned which)
{
    static char bytes[1000];
    struct gd_span err = {bytes, sizeof(bytes)};
    switch (which) {
    case 0:
        return gd_exception_exit(1, err);
    case 1:
        return gd_exception_signal(9, true, err);
    case 2:
        return gd_exception_timeout(1);
    case 3:
        return gd_exception_cancelled("a reason of some length, so that the buffer has to grow");
    case 4:
        return gd_exception_spawn(-ENOENT, "exec", "/usr/local/bin/program");
    case 5:
        return gd_exception_fetch("dns", "there is no such host as far as anybody knows", 0);
    case 6:
        return gd_exception_lost("runner");
    case 7:
        return gd_exception_result("what", 1);
    default:
        return gd_exception_group("message", GD_SPAN("[]"));
    }
}

START_TEST(without_memory_there_is_none)
{
    for (unsigned long nth = 1;; nth++) {
        failalloc_arm(nth);
        char *text = make((unsigned)_i);
        if (!failalloc_disarm()) {
            ck_assert_ptr_nonnull(text);
            ck_assert_uint_gt(nth, 1);
            free(text);
            return;
        }
        ck_assert_ptr_null(text);
    }
}

int main(void)
{
    TCase *tc = tcase_create("core");
    tcase_add_test(tc, each_type_has_its_members);
    tcase_add_test(tc, what_was_lost_says_how);
    tcase_add_test(tc, the_end_of_stderr_is_kept);
    tcase_add_test(tc, any_bytes_of_stderr_come_out_as_json);
    tcase_add_loop_test(tc, without_memory_there_is_none, 0, 9);
    return suite_main("base_exception", tc);
}
