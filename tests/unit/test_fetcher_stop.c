/* Cancels and time limits, at every stage of a fetch.
 *
 * The child's fsync() and rename() are ours: a test decides when they go on. */
#include "daemon/proto/msg.h"

#include "tests/support/fetching.h"
#include "tests/support/suite.h"

#include <dlfcn.h>
#include <errno.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Shared with the fetcher's process. */
struct gates {
    atomic_bool holds_fsync;
    atomic_bool holds_rename;
    atomic_int fsync_errno; /* 0: it works */
    sem_t entered;
    sem_t go;
};
static struct gates *gates;

int sync_file(int fd) __asm__("fsync");
int sync_file(int fd)
{
    static int (*real)(int);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "fsync");
    if (gates && gates->holds_fsync) {
        (void)sem_post(&gates->entered);
        (void)sem_wait(&gates->go);
    }
    if (gates && gates->fsync_errno) {
        errno = gates->fsync_errno;
        return -1;
    }
    return real(fd);
}

int rename_file(int from_dir, const char *from, int to_dir, const char *to) __asm__("renameat");
int rename_file(int from_dir, const char *from, int to_dir, const char *to)
{
    static int (*real)(int, const char *, int, const char *);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "renameat");
    if (gates && gates->holds_rename) {
        (void)sem_post(&gates->entered);
        (void)sem_wait(&gates->go);
    }
    return real(from_dir, from, to_dir, to);
}

static void wait_entered(void)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PEER_DEADLINE_MS / 1000;
    ck_assert_int_eq(sem_timedwait(&gates->entered, &until), 0);
}

static void let_go(void)
{
    gates->holds_fsync = false;
    gates->holds_rename = false;
    (void)sem_post(&gates->go);
}

static void serve_small(struct exchange *x)
{
    httpd_printf(x, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: \"v\"\r\n\r\nhello");
}

static void serve_held(struct exchange *x)
{
    httpd_printf(x, "HTTP/1.1 200 OK\r\nContent-Length: 8\r\nETag: \"v\"\r\n\r\nhalf");
    httpd_hold(x);
    httpd_printf(x, "half");
}

static void serve_silence(struct exchange *x)
{
    httpd_hold(x);
    x->close = true;
}

static const struct httpd_route routes[] = {
    {"/small", serve_small}, {"/held", serve_held}, {"/silence", serve_silence}, {NULL, NULL}};

static void setup(void)
{
    gates = mmap(NULL, sizeof(*gates), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(gates, MAP_FAILED);
    ck_assert_int_eq(sem_init(&gates->entered, 1, 0), 0);
    ck_assert_int_eq(sem_init(&gates->go, 1, 0), 0);
    fetching_start(routes);
}

/* Begins and waits until half of the body is there. */
static void start_held(uint64_t task, struct fetch f)
{
    f.path = "/held";
    fetch_start(task, f);
    (void)peer_wait(fetching_peer, GD_MSG_PROGRESS, task);
}

/* Asks something small and waits, so that what was sent before has been seen. */
static void settle(uint64_t task)
{
    fetch_good(fetch_run(task, (struct fetch){.path = "/small"}), 200);
}

START_TEST(cancel_ends_a_running_fetch_at_once)
{
    start_held(1, (struct fetch){0});
    peer_cancel(fetching_peer, 1);
    const struct gd_msg_view *end = peer_end(fetching_peer, 1);
    fetch_stopped(end, GD_FIELD_CANCELLED);
    ck_assert_uint_eq(gd_msg_num(end, GD_FIELD_STATUS, 0), 200);
    ck_assert_uint_eq(gd_msg_num(end, GD_FIELD_BYTES, 0), 4);
    fetch_has_body(end, "half", 4);
}

START_TEST(cancel_ends_a_fetch_without_an_answer)
{
    fetch_start(1, (struct fetch){.path = "/silence"});
    httpd_wait_held(fetching_server, 1);
    peer_cancel(fetching_peer, 1);
    const struct gd_msg_view *end = peer_end(fetching_peer, 1);
    fetch_stopped(end, GD_FIELD_CANCELLED);
    ck_assert_uint_eq(gd_msg_num(end, GD_FIELD_STATUS, 0), 0);
}

START_TEST(cancel_removes_the_part_unless_it_may_be_resumed)
{
    start_held(1, (struct fetch){.to = "a"});
    start_held(2, (struct fetch){.to = "b", .resume = true});
    peer_cancel(fetching_peer, 1);
    peer_cancel(fetching_peer, 2);
    fetch_stopped(peer_end(fetching_peer, 1), GD_FIELD_CANCELLED);
    fetch_stopped(peer_end(fetching_peer, 2), GD_FIELD_CANCELLED);
    fetch_has_file("a", NULL, 0);
    fetch_has_file("a.gatherd-1.part", NULL, 0);
    fetch_has_file("b", NULL, 0);
    fetch_has_file("b.part", "half", 4);
}

START_TEST(cancelled_while_waiting_never_starts)
{
    peer_limits(fetching_peer, 0);
    fetch_start(1, (struct fetch){.path = "/small"});
    peer_cancel(fetching_peer, 1);
    const struct gd_msg_view *end = peer_end(fetching_peer, 1);
    fetch_stopped(end, GD_FIELD_CANCELLED);
    ck_assert_uint_eq(gd_msg_num(end, GD_FIELD_STARTED_AT, 0), 0);
    ck_assert_uint_eq(httpd_n_requests(fetching_server), 0);
}

START_TEST(time_limit_counts_from_the_start)
{
    fetch_start(1, (struct fetch){.path = "/silence", .timeout_ms = 50});
    const struct gd_msg_view *end = peer_end(fetching_peer, 1);
    fetch_stopped(end, GD_FIELD_TIMED_OUT);
    ck_assert_uint_eq(gd_msg_num(end, GD_FIELD_CANCELLED, 0), 0);
    ck_assert_uint_ge(gd_msg_num(end, GD_FIELD_WALL_US, 0), 49000);
}

START_TEST(time_limit_removes_the_part)
{
    fetch_start(1, (struct fetch){.path = "/held", .to = "a", .timeout_ms = 200});
    fetch_stopped(peer_end(fetching_peer, 1), GD_FIELD_TIMED_OUT);
    fetch_has_file("a", NULL, 0);
    fetch_has_file("a.gatherd-1.part", NULL, 0);
}

START_TEST(time_limit_moves)
{
    start_held(1, (struct fetch){.timeout_ms = 600000});
    start_held(2, (struct fetch){.timeout_ms = 600000});
    start_held(3, (struct fetch){0});
    peer_retime(fetching_peer, 1, 1);
    fetch_stopped(peer_end(fetching_peer, 1), GD_FIELD_TIMED_OUT);
    peer_retime(fetching_peer, 2, -1);
    peer_retime(fetching_peer, 3, 0);
    fetch_stopped(peer_end(fetching_peer, 3), GD_FIELD_TIMED_OUT);
    httpd_release(fetching_server);
    fetch_good(peer_end(fetching_peer, 2), 200);
}

START_TEST(time_limit_moves_while_waiting)
{
    peer_limits(fetching_peer, 0);
    fetch_start(1, (struct fetch){.path = "/silence", .timeout_ms = 600000});
    peer_retime(fetching_peer, 1, 50);
    peer_limits(fetching_peer, 10);
    fetch_stopped(peer_end(fetching_peer, 1), GD_FIELD_TIMED_OUT);
}

START_TEST(cancel_before_the_rename_takes_effect)
{
    gates->holds_fsync = true;
    fetch_start(1, (struct fetch){.path = "/small", .to = "to"});
    wait_entered();
    peer_cancel(fetching_peer, 1);
    settle(2);
    let_go();
    fetch_stopped(peer_end(fetching_peer, 1), GD_FIELD_CANCELLED);
    fetch_has_file("to", NULL, 0);
    fetch_has_file("to.gatherd-1.part", NULL, 0);
}

START_TEST(time_limit_before_the_rename_takes_effect)
{
    gates->holds_fsync = true;
    fetch_start(1, (struct fetch){.path = "/small", .to = "to", .resume = true});
    wait_entered();
    peer_retime(fetching_peer, 1, 0);
    settle(2);
    let_go();
    fetch_stopped(peer_end(fetching_peer, 1), GD_FIELD_TIMED_OUT);
    fetch_has_file("to", NULL, 0);
    fetch_has_file("to.part", "hello", 5);
}

START_TEST(cancel_and_time_limit_after_that_come_too_late)
{
    gates->holds_rename = true;
    fetch_start(1, (struct fetch){.path = "/small", .to = "to"});
    wait_entered();
    peer_retime(fetching_peer, 1, 0);
    peer_cancel(fetching_peer, 1);
    settle(2);
    let_go();
    const struct gd_msg_view *end = peer_end(fetching_peer, 1);
    fetch_good(end, 200);
    ck_assert_uint_eq(gd_msg_num(end, GD_FIELD_CANCELLED, 0), 1); /* it came, after all */
    ck_assert_uint_eq(gd_msg_num(end, GD_FIELD_TIMED_OUT, 0), 0);
    fetch_has_file("to", "hello", 5);
}

START_TEST(slow_sync_holds_up_nothing_else)
{
    gates->holds_fsync = true;
    fetch_start(1, (struct fetch){.path = "/small", .to = "to"});
    wait_entered();
    settle(2);
    let_go();
    fetch_good(peer_end(fetching_peer, 1), 200);
    fetch_has_file("to", "hello", 5);
}

static const char *fsync_failed(void)
{
    static char text[256];
    (void)snprintf(text, sizeof(text), "cannot fsync \"%s\": Input/output error (EIO)",
                   fetching_path("to"));
    return text;
}

START_TEST(failing_sync_replaces_nothing)
{
    fetch_write_file("to", "old", 3);
    gates->fsync_errno = EIO;
    const struct gd_msg_view *end = fetch_run(1, (struct fetch){.path = "/small", .to = "to"});
    gates->fsync_errno = 0;
    fetch_bad(end, "file", 200);
    ck_assert_str_eq(peer_text(fetching_peer, end, GD_FIELD_MESSAGE), fsync_failed());
    fetch_has_file("to", "old", 3);
    fetch_has_file("to.gatherd-1.part", NULL, 0);
}

START_TEST(failing_rename_is_said)
{
    gates->holds_rename = true;
    fetch_start(1, (struct fetch){.path = "/small", .to = "to"});
    wait_entered();
    ck_assert_int_eq(mkdir(fetching_path("to"), 0700), 0);
    let_go();
    fetch_bad(peer_end(fetching_peer, 1), "file", 200);
    fetch_has_file("to.gatherd-1.part", NULL, 0);
}

START_TEST(sigterm_waits_for_the_pool)
{
    gates->holds_fsync = true;
    fetch_start(1, (struct fetch){.path = "/small", .to = "to"});
    wait_entered();
    ck_assert_int_eq(kill(fetching_worker(), SIGTERM), 0);
    let_go();
    fetching_restart(0);
    /* Whichever came first, one of the two is there and nothing else. */
    bool is_there = access(fetching_path("to"), F_OK) == 0;
    fetch_has_file("to", is_there ? "hello" : NULL, 5);
    fetch_has_file("to.gatherd-1.part", NULL, 0);
}

int main(void)
{
    TCase *tc = tcase_create("core");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, fetching_stop);
    tcase_add_test(tc, cancel_ends_a_running_fetch_at_once);
    tcase_add_test(tc, cancel_ends_a_fetch_without_an_answer);
    tcase_add_test(tc, cancel_removes_the_part_unless_it_may_be_resumed);
    tcase_add_test(tc, cancelled_while_waiting_never_starts);
    tcase_add_test(tc, time_limit_counts_from_the_start);
    tcase_add_test(tc, time_limit_removes_the_part);
    tcase_add_test(tc, time_limit_moves);
    tcase_add_test(tc, time_limit_moves_while_waiting);
    tcase_add_test(tc, cancel_before_the_rename_takes_effect);
    tcase_add_test(tc, time_limit_before_the_rename_takes_effect);
    tcase_add_test(tc, cancel_and_time_limit_after_that_come_too_late);
    tcase_add_test(tc, slow_sync_holds_up_nothing_else);
    tcase_add_test(tc, failing_sync_replaces_nothing);
    tcase_add_test(tc, failing_rename_is_said);
    tcase_add_test(tc, sigterm_waits_for_the_pool);
    return suite_main("fetcher_stop", tc);
}
