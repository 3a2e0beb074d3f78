/* Many fetches at once, and a fetcher that outlives its gatherd. */
#include "daemon/fetcher/fetcher.h"

#include "tests/support/fetching.h"
#include "tests/support/suite.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define N_FETCHES 300U
#define PER_HOST  16U

static atomic_uint n_now;
static atomic_uint most;

static void count_in(void)
{
    unsigned now = ++n_now;
    unsigned before = most;
    while (now > before && !atomic_compare_exchange_weak(&most, &before, now))
        continue;
}

/* Counts itself out before its answer ends. */
static void serve_counted(struct exchange *x)
{
    count_in();
    httpd_printf(x, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no");
    httpd_hold(x);
    n_now--;
    httpd_printf(x, "k");
}

static void serve_small(struct exchange *x)
{
    httpd_ok(x, "hello", 5);
}

static const struct httpd_route routes[] = {
    {"/counted", serve_counted}, {"/small", serve_small}, {NULL, NULL}};

static void setup(void)
{
    fetching_start(routes);
}

static void all_end_well(void)
{
    for (uint64_t task = 1; task <= N_FETCHES; task++) {
        const struct gd_msg_view *end = peer_end(fetching_peer, task);
        fetch_good(end, 200);
        fetch_has_body(end, "ok", 2);
    }
}

START_TEST(three_hundred_run_at_once)
{
    for (uint64_t task = 1; task <= N_FETCHES; task++)
        fetch_start(task, (struct fetch){
                              .path = "/counted", .group = 1 + task % 20, .group_limit = PER_HOST});
    httpd_wait_held(fetching_server, N_FETCHES);
    httpd_release(fetching_server);
    all_end_well();
    ck_assert_uint_eq(most, N_FETCHES);
}

START_TEST(one_host_gets_no_more_than_its_limit)
{
    for (uint64_t task = 1; task <= N_FETCHES; task++)
        fetch_start(task, (struct fetch){.path = "/counted", .group = 1, .group_limit = PER_HOST});
    httpd_wait_held(fetching_server, PER_HOST);
    httpd_release(fetching_server);
    all_end_well();
    ck_assert_uint_eq(most, PER_HOST);
    ck_assert_uint_le(httpd_n_connections(fetching_server), PER_HOST);
}

START_TEST(three_hundred_files)
{
    char to[32];
    for (uint64_t task = 1; task <= N_FETCHES; task++) {
        (void)snprintf(to, sizeof(to), "file-%u", (unsigned)task);
        fetch_start(task, (struct fetch){.path = "/small", .to = to});
    }
    for (uint64_t task = 1; task <= N_FETCHES; task++) {
        fetch_good(peer_end(fetching_peer, task), 200);
        (void)snprintf(to, sizeof(to), "file-%u", (unsigned)task);
        fetch_has_file(to, "hello", 5);
    }
}

START_TEST(all_can_be_cancelled_at_once)
{
    for (uint64_t task = 1; task <= N_FETCHES; task++)
        fetch_start(task, (struct fetch){.path = "/counted"});
    httpd_wait_held(fetching_server, N_FETCHES);
    for (uint64_t task = 1; task <= N_FETCHES; task++)
        peer_cancel(fetching_peer, task);
    for (uint64_t task = 1; task <= N_FETCHES; task++)
        fetch_stopped(peer_end(fetching_peer, task), GD_FIELD_CANCELLED);
}

START_TEST(it_outlives_its_gatherd)
{
    fetch_start(1, (struct fetch){.path = "/small"});
    (void)peer_wait(fetching_peer, GD_MSG_EXITED, 1); /* no ACK */
    fetch_start(2, (struct fetch){.path = "/counted"});
    fetch_start(3, (struct fetch){.path = "/counted"});
    httpd_wait_held(fetching_server, 2);
    peer_close(fetching_peer);

    fetching_reconnect();
    ck_assert_uint_eq(peer_count(fetching_peer, GD_MSG_LISTED, 0), 3);
    const struct gd_msg_view *v = peer_wait(fetching_peer, GD_MSG_LISTED, 1);
    ck_assert_uint_eq(gd_msg_num(v, GD_FIELD_PHASE, 0), GD_PHASE_ENDED);
    v = peer_wait(fetching_peer, GD_MSG_LISTED, 2);
    ck_assert_uint_eq(gd_msg_num(v, GD_FIELD_PHASE, 0), GD_PHASE_RUNNING);
    fetch_good(peer_wait(fetching_peer, GD_MSG_EXITED, 1), 200);
    fetch_start(2, (struct fetch){.path = "/counted"}); /* it has that one */
    peer_close(fetching_peer);
    httpd_release(fetching_server);

    fetching_reconnect();
    v = peer_end(fetching_peer, 1);
    fetch_good(v, 200);
    fetch_has_body(v, "hello", 5);
    fetch_good(peer_end(fetching_peer, 2), 200);
    fetch_good(peer_end(fetching_peer, 3), 200);
    ck_assert_uint_eq(httpd_n_requests(fetching_server), 3);
    peer_close(fetching_peer);

    fetching_reconnect();
    ck_assert_uint_eq(peer_count(fetching_peer, GD_MSG_LISTED, 0), 0);
}

START_TEST(quit_waits_for_what_runs)
{
    fetch_start(1, (struct fetch){.path = "/counted"});
    httpd_wait_held(fetching_server, 1);
    peer_simple(fetching_peer, GD_MSG_QUIT, 0);
    httpd_release(fetching_server);
    fetch_good(peer_end(fetching_peer, 1), 200);
    fetching_restart(0); /* it ends by itself */
}

START_TEST(a_second_one_in_the_same_directory_is_refused)
{
    struct gd_err err = {0};
    ck_assert_int_eq(gd_fetcher_run(fetching_dir, &err), GD_E_LOCKED);
    ck_assert_ptr_nonnull(strstr(err.text, "lives here already"));
    ck_assert_ptr_nonnull(strstr(err.text, fetching_dir));
    ck_assert_int_lt(gd_fetcher_run("/nonexistent", &err), 0);
    ck_assert_ptr_nonnull(strstr(err.text, "/nonexistent"));
    fetch_good(fetch_run(1, (struct fetch){.path = "/small"}), 200); /* the first is well */
}

int main(void)
{
    TCase *tc = tcase_create("core");
    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, setup, fetching_stop);
    tcase_add_test(tc, three_hundred_run_at_once);
    tcase_add_test(tc, one_host_gets_no_more_than_its_limit);
    tcase_add_test(tc, three_hundred_files);
    tcase_add_test(tc, all_can_be_cancelled_at_once);
    tcase_add_test(tc, it_outlives_its_gatherd);
    tcase_add_test(tc, quit_waits_for_what_runs);
    tcase_add_test(tc, a_second_one_in_the_same_directory_is_refused);
    return suite_main("fetcher_load", tc);
}
