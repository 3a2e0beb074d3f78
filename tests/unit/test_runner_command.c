/* Commands in a runner, which is a process of its own, as gatherd sees them: ends, output,
 * and that nothing of a command lives on after it was ended. A command tells the test that
 * it has come somewhere by opening a FIFO. */
#include "base/err.h"
#include "base/limits.h"
#include "daemon/runner/command.h"

#include "tests/support/peer.h"
#include "tests/support/scratch.h"
#include "tests/support/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct peer *peer;
static pid_t runner;

static int serve(const char *state_dir)
{
    uv_loop_t uv;
    struct gd_loop loop;
    struct gd_commands commands;
    struct gd_worker *worker = NULL;
    struct gd_err err = {0};
    int rc = uv_loop_init(&uv);
    if (rc == 0)
        rc = gd_loop_init(&loop, &uv);
    if (rc == 0)
        rc = gd_commands_open(&commands, &loop, "off", (struct rlimit){256, 256}, &err);
    if (rc == 0)
        rc = gd_worker_open(&loop, state_dir, &gd_command_ops, &commands, &worker, &err);
    if (rc < 0)
        return 1;
    (void)uv_run(&uv, UV_RUN_DEFAULT); /* until QUIT */
    gd_worker_close(worker);
    gd_commands_close(&commands);
    gd_loop_close(&loop);
    (void)uv_run(&uv, UV_RUN_DEFAULT);
    return uv_loop_close(&uv) == 0 ? 0 : 2;
}

static void setup(void)
{
    scratch_begin();
    ck_assert_int_eq(mkfifo(scratch_path("here"), 0600), 0);
    ck_assert_int_eq(mkfifo(scratch_path("later"), 0600), 0);
    runner = peer_spawn(serve, scratch_dir);
    peer = peer_connect(scratch_dir, "runner");
    peer_limits(peer, 4);
}

static void teardown(void)
{
    peer_simple(peer, GD_MSG_QUIT, 0);
    peer_reap(runner, 0, 0);
    peer_close(peer);
    scratch_end();
}

/* --- starting */

struct start {
    const char *script;
    const char *program; /* instead of it */
    const char *env;
    const char *input;
    const char *cwd; /* NULL: the scratch directory */
    int64_t timeout_ms;
    int64_t grace_ms;
    uint64_t max_output;
};

static void start(uint64_t task, struct start s)
{
    struct gd_msg m;
    char argv[4096];
    int n = s.program ? snprintf(argv, sizeof(argv), "%s", s.program)
                      : snprintf(argv, sizeof(argv), "sh%c-c%c%s", 0, 0, s.script);
    gd_msg_init(&m, GD_MSG_START, task, 1);
    gd_msg_u64(&m, GD_FIELD_PRIORITY, GD_MSG_PRIORITY_BIAS);
    gd_msg_put(&m, GD_FIELD_ARGV, argv, (size_t)n + 1);
    gd_msg_str(&m, GD_FIELD_CWD, s.cwd ? s.cwd : scratch_dir);
    if (s.env)
        gd_msg_put(&m, GD_FIELD_ENV, s.env, strlen(s.env) + 1);
    gd_msg_str(&m, GD_FIELD_STDIN, s.input);
    if (s.timeout_ms)
        gd_msg_u64(&m, GD_FIELD_TIMEOUT_MS, (uint64_t)s.timeout_ms);
    if (s.grace_ms)
        gd_msg_u64(&m, GD_FIELD_GRACE_MS, (uint64_t)s.grace_ms);
    if (s.max_output)
        gd_msg_u64(&m, GD_FIELD_MAX_OUTPUT, s.max_output);
    peer_send(peer, &m);
}

/* Waits until the command has come to `: >here` or `: >later`; a second one of the same
 * would not wait for a test that has not closed the first. */
static void meet(const char *fifo)
{
    int fd = open(scratch_path(fifo), O_RDONLY | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    (void)close(fd);
}

static void rendezvous(void)
{
    meet("here");
}

static uint64_t number(const struct gd_msg_view *v, enum gd_msg_field field)
{
    return gd_msg_num(v, field, UINT64_MAX);
}

static void has_code(const struct gd_msg_view *v, uint64_t code)
{
    ck_assert_uint_eq(number(v, GD_FIELD_CODE), code);
    ck_assert_uint_eq(number(v, GD_FIELD_SIGNALED), UINT64_MAX);
}

static void has_signal(const struct gd_msg_view *v, int signo)
{
    ck_assert_uint_eq(number(v, GD_FIELD_SIGNALED), (uint64_t)signo);
    ck_assert_uint_eq(number(v, GD_FIELD_CODE), UINT64_MAX);
}

static void says(const struct gd_msg_view *v, const char *text)
{
    const char *out = peer_text(peer, v, GD_FIELD_STDOUT);
    ck_assert_str_eq(out ? out : "", text);
}

/* --- ends */

START_TEST(an_end_is_its_code_or_its_signal)
{
    start(1, (struct start){.script = "echo out; echo err >&2; exit 255"});
    start(2, (struct start){.script = "kill -USR1 $$"});
    const struct gd_msg_view *v = peer_end(peer, 1);
    has_code(v, 255);
    says(v, "out\n");
    ck_assert_str_eq(peer_text(peer, v, GD_FIELD_STDERR), "err\n");
    ck_assert_uint_eq(number(v, GD_FIELD_STDOUT_BYTES), 4);
    ck_assert_uint_eq(number(v, GD_FIELD_CANCELLED), UINT64_MAX);
    has_signal(peer_end(peer, 2), SIGUSR1);
}

START_TEST(what_cannot_be_started_says_why_and_where)
{
    start(1, (struct start){.program = "/none/such"});
    start(2, (struct start){.script = "true", .cwd = "/none"});
    const struct gd_msg_view *v = peer_end(peer, 1);
    ck_assert_uint_eq(number(v, GD_FIELD_ERRNO), ENOENT);
    ck_assert_str_eq(peer_text(peer, v, GD_FIELD_STAGE), "exec");
    ck_assert_uint_eq(number(v, GD_FIELD_CODE), UINT64_MAX);
    v = peer_end(peer, 2);
    ck_assert_str_eq(peer_text(peer, v, GD_FIELD_STAGE), "chdir");
    ck_assert_uint_eq(peer_count(peer, GD_MSG_STARTED, 0), 0);
}

START_TEST(a_start_without_arguments_is_an_end)
{
    struct gd_msg m;
    gd_msg_init(&m, GD_MSG_START, 1, 1);
    if (_i == 1)
        gd_msg_put(&m, GD_FIELD_ARGV, "sh", 2); /* without its NUL */
    peer_send(peer, &m);
    ck_assert_uint_eq(number(peer_end(peer, 1), GD_FIELD_ERRNO), EPROTO);
}

START_TEST(its_environment_is_clean_and_the_job_wins)
{
    start(7, (struct start){.script = "echo $PATH,$LANG,$GATHERD_TASK,$GATHERD_ATTEMPT,$X,$SHELL",
                            .env = "PATH=/bin"});
    says(peer_end(peer, 7), "/bin,C.UTF-8,7,1,,/bin/sh\n");
}

START_TEST(its_input_is_what_was_given_or_nothing)
{
    start(1, (struct start){.script = "cat", .input = "some\ninput"});
    start(2, (struct start){.script = "cat"});
    says(peer_end(peer, 1), "some\ninput");
    says(peer_end(peer, 2), "");
}

/* --- output */

START_TEST(large_output_goes_to_a_file)
{
    struct stat st;
    char script[128];
    (void)snprintf(script, sizeof(script), "head -c %zu /dev/zero | tr '\\0' x",
                   (size_t)GD_INLINE_OUTPUT + (size_t)_i);
    start(1, (struct start){.script = script});
    const struct gd_msg_view *v = peer_end(peer, 1);
    has_code(v, 0);
    ck_assert_uint_eq(number(v, GD_FIELD_STDOUT_BYTES), GD_INLINE_OUTPUT + (uint64_t)_i);
    ck_assert_uint_eq(number(v, GD_FIELD_STDOUT_KEPT), GD_INLINE_OUTPUT + (uint64_t)_i);
    ck_assert_uint_eq(number(v, GD_FIELD_STDOUT_FILE), _i ? 1 : UINT64_MAX);
    ck_assert_int_eq(stat(scratch_path("output/1-1.stdout"), &st), _i ? 0 : -1);
    ck_assert(!_i || st.st_size == GD_INLINE_OUTPUT + 1);
}

START_TEST(beyond_its_limit_output_is_counted_and_dropped)
{
    start(1, (struct start){.script = "head -c 1000000 /dev/zero; echo end >&2", .max_output = 10});
    const struct gd_msg_view *v = peer_end(peer, 1);
    has_code(v, 0);
    ck_assert_uint_eq(number(v, GD_FIELD_STDOUT_BYTES), 1000000);
    ck_assert_uint_eq(number(v, GD_FIELD_STDOUT_KEPT), 10);
    ck_assert_str_eq(peer_text(peer, v, GD_FIELD_STDERR), "end\n");
}

START_TEST(who_wants_to_follow_gets_files)
{
    struct stat st;
    start(1, (struct start){.script = "echo before; : >here; : >later; echo after"});
    rendezvous();
    peer_simple(peer, GD_MSG_SPILL, 1);
    (void)peer_wait(peer, GD_MSG_SPILLED, 1);
    ck_assert_int_eq(stat(scratch_path("output/1-1.stdout"), &st), 0);
    meet("later");
    const struct gd_msg_view *v = peer_end(peer, 1);
    ck_assert_uint_eq(number(v, GD_FIELD_STDOUT_FILE), 1);
    ck_assert_uint_eq(number(v, GD_FIELD_STDOUT_KEPT), 13);
}

/* Whoever holds a pipe of it later is not waited for. */
START_TEST(its_end_does_not_wait_for_grandchildren)
{
    start(1, (struct start){.script = "sleep 1000 & echo $!"});
    const struct gd_msg_view *v = peer_end(peer, 1);
    has_code(v, 0);
    pid_t pid = (pid_t)strtol(peer_text(peer, v, GD_FIELD_STDOUT), NULL, 10);
    ck_assert_int_gt(pid, 1);
    ck_assert_int_eq(kill(pid, SIGKILL), 0); /* it went on */
}

/* --- ending it */

/* Dead, and at most not reaped yet. */
static void is_gone(const char *pid_text)
{
    char stat[512];
    ck_assert_ptr_nonnull(pid_text);
    pid_t pid = (pid_t)strtol(pid_text, NULL, 10);
    ck_assert_int_gt(pid, 1);
    (void)snprintf(stat, sizeof(stat), "/proc/%d/stat", pid);
    FILE *f = fopen(stat, "re");
    if (!f)
        return;
    size_t n = fread(stat, 1, sizeof(stat) - 1, f);
    stat[n] = '\0';
    (void)fclose(f);
    const char *state = strrchr(stat, ')');
    ck_assert_msg(!state || state[2] == 'Z' || state[2] == 'X', "lives on: %s", stat);
}

START_TEST(a_cancel_lets_it_clean_up)
{
    start(1, (struct start){.script = "trap 'echo bye; exit 3' TERM; : >here; sleep 1000 & wait"});
    rendezvous();
    peer_cancel(peer, 1);
    const struct gd_msg_view *v = peer_end(peer, 1);
    has_code(v, 3);
    says(v, "bye\n");
    ck_assert_uint_eq(number(v, GD_FIELD_CANCELLED), 1);
}

START_TEST(who_does_not_hear_is_killed_after_the_grace)
{
    start(1, (struct start){.script = "trap '' TERM; : >here; exec sleep 1000", .grace_ms = 20});
    rendezvous();
    peer_cancel(peer, 1);
    const struct gd_msg_view *v = peer_end(peer, 1);
    has_signal(v, SIGKILL);
    ck_assert_uint_eq(number(v, GD_FIELD_CANCELLED), 1);
}

START_TEST(a_second_cancel_may_shorten_the_grace)
{
    struct gd_msg m;
    start(1,
          (struct start){.script = "trap '' TERM; : >here; exec sleep 1000", .grace_ms = 3600000});
    rendezvous();
    peer_cancel(peer, 1);
    gd_msg_init(&m, GD_MSG_CANCEL, 1, 1);
    gd_msg_u64(&m, GD_FIELD_GRACE_MS, 0);
    peer_send(peer, &m);
    has_signal(peer_end(peer, 1), SIGKILL);
}

START_TEST(a_stopped_command_can_be_ended)
{
    start(1, (struct start){.script = ": >here; sleep 1000", .grace_ms = 3600000});
    rendezvous();
    struct gd_msg m;
    gd_msg_init(&m, GD_MSG_SIGNAL, 1, 1);
    gd_msg_u64(&m, GD_FIELD_SIGNO, SIGSTOP);
    peer_send(peer, &m);
    peer_cancel(peer, 1);
    has_signal(peer_end(peer, 1), SIGTERM);
}

START_TEST(its_time_is_up)
{
    start(1, (struct start){.script = "exec sleep 1000", .timeout_ms = 20});
    const struct gd_msg_view *v = peer_end(peer, 1);
    has_signal(v, SIGTERM);
    ck_assert_uint_eq(number(v, GD_FIELD_TIMED_OUT), 1);
    ck_assert_uint_eq(number(v, GD_FIELD_CANCELLED), UINT64_MAX);
}

START_TEST(its_time_may_be_changed_while_it_runs)
{
    start(1, (struct start){.script = ": >here; exec sleep 1000", .timeout_ms = 3600000});
    rendezvous();
    peer_retime(peer, 1, 1);
    ck_assert_uint_eq(number(peer_end(peer, 1), GD_FIELD_TIMED_OUT), 1);
}

/* In a session of its own, with its parent gone, deaf to TERM: known by its environment,
 * and dead when the end is told. */
START_TEST(who_ran_away_is_found)
{
    static const char *const ways[] = {
        "setsid sh -c 'trap \"\" TERM; echo $$; : >here; exec sleep 1000' & wait",
        "(setsid sh -c 'trap \"\" TERM; echo $$; : >here; exec sleep 1000' &) ; exec sleep 1000",
        "(setsid sh -c '(setsid sh -c \"trap : TERM; echo \\$\\$; : >here; exec sleep 1000\" &)' &);"
        " exec sleep 1000",
        "trap 'exit 0' TERM; sh -c 'trap \"\" TERM; echo $$; : >here; exec sleep 1000' & wait",
    };
    start(1, (struct start){.script = ways[_i], .grace_ms = 20});
    rendezvous();
    peer_cancel(peer, 1);
    const struct gd_msg_view *v = peer_end(peer, 1);
    is_gone(peer_text(peer, v, GD_FIELD_STDOUT));
}

START_TEST(other_commands_are_not_touched)
{
    start(1, (struct start){.script = ": >here; cat here; echo alive"});
    rendezvous();
    start(2, (struct start){.script = "exec sleep 1000"});
    (void)peer_wait(peer, GD_MSG_STARTED, 2);
    peer_cancel(peer, 2);
    has_signal(peer_end(peer, 2), SIGTERM);
    int fd = open(scratch_path("here"), O_WRONLY | O_CLOEXEC);
    (void)close(fd);
    says(peer_end(peer, 1), "alive\n");
}

START_TEST(what_has_not_started_just_ends)
{
    peer_limits(peer, 0);
    start(1, (struct start){.script = "true"});
    peer_cancel(peer, 1);
    const struct gd_msg_view *v = peer_end(peer, 1);
    ck_assert_uint_eq(number(v, GD_FIELD_CANCELLED), 1);
    ck_assert_uint_eq(number(v, GD_FIELD_CODE), UINT64_MAX);
    ck_assert_uint_eq(number(v, GD_FIELD_STARTED_AT), UINT64_MAX);
    ck_assert_uint_eq(peer_count(peer, GD_MSG_STARTED, 1), 0);
}

/* --- gatherd goes and comes */

START_TEST(an_end_is_told_again_until_it_is_acknowledged)
{
    start(1, (struct start){.script = "exit 5"});
    (void)peer_wait(peer, GD_MSG_EXITED, 1);
    for (unsigned i = 0; i < 2; i++) {
        peer_close(peer);
        peer = peer_connect(scratch_dir, "runner");
        ck_assert_uint_eq(peer_count(peer, GD_MSG_LISTED, 1), 1);
        has_code(i == 0 ? peer_wait(peer, GD_MSG_EXITED, 1) : peer_end(peer, 1), 5);
    }
    peer_close(peer);
    peer = peer_connect(scratch_dir, "runner");
    ck_assert_uint_eq(peer_count(peer, GD_MSG_LISTED, 1), 0);
}

START_TEST(the_same_start_twice_runs_once)
{
    start(1, (struct start){.script = "echo x >>log; cat log"});
    start(1, (struct start){.script = "echo x >>log; cat log"});
    says(peer_wait(peer, GD_MSG_EXITED, 1), "x\n");
    start(1, (struct start){.script = "echo x >>log; cat log"});
    start(2, (struct start){.script = "cat log"});
    says(peer_end(peer, 2), "x\n");
    ck_assert_uint_eq(peer_count(peer, GD_MSG_STARTED, 1), 1);
    peer_simple(peer, GD_MSG_ACK, 1);
}

int main(void)
{
    TCase *tc = tcase_create("core");
    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, setup, teardown);
    suite_add(tc, 1, an_end_is_its_code_or_its_signal, what_cannot_be_started_says_why_and_where,
              its_environment_is_clean_and_the_job_wins, its_input_is_what_was_given_or_nothing,
              beyond_its_limit_output_is_counted_and_dropped, who_wants_to_follow_gets_files,
              its_end_does_not_wait_for_grandchildren, a_cancel_lets_it_clean_up,
              who_does_not_hear_is_killed_after_the_grace, a_second_cancel_may_shorten_the_grace,
              a_stopped_command_can_be_ended, its_time_is_up, its_time_may_be_changed_while_it_runs,
              other_commands_are_not_touched, what_has_not_started_just_ends,
              an_end_is_told_again_until_it_is_acknowledged, the_same_start_twice_runs_once);
    suite_add(tc, 2, a_start_without_arguments_is_an_end, large_output_goes_to_a_file);
    suite_add(tc, 4, who_ran_away_is_found);
    return suite_main("runner_command", tc);
}
