/* Fetches to a file: complete or not at all. */
#include "tests/support/fetching.h"
#include "tests/support/suite.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define BODY_BYTES 500000U

static char body[BODY_BYTES];

static void serve_body(struct exchange *x)
{
    httpd_ok(x, body, sizeof(body));
}

static void serve_halves(struct exchange *x)
{
    httpd_printf(x, "HTTP/1.1 200 OK\r\nContent-Length: %u\r\n\r\n", BODY_BYTES);
    httpd_send(x, body, BODY_BYTES / 2);
    httpd_hold(x);
    httpd_send(x, body + BODY_BYTES / 2, BODY_BYTES / 2);
}

static void serve_empty(struct exchange *x)
{
    httpd_ok(x, "", 0);
}

static void serve_404(struct exchange *x)
{
    httpd_printf(x, "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone");
}

static void serve_304(struct exchange *x)
{
    httpd_printf(x, "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n");
}

static const struct httpd_route routes[] = {
    {"/body", serve_body}, {"/halves", serve_halves}, {"/empty", serve_empty},
    {"/404", serve_404},   {"/304", serve_304},       {NULL, NULL},
};

static void setup(void)
{
    fetch_fill(body, sizeof(body));
    fetching_start(routes);
}

/* Neither target nor part of task 1. */
static void has_no_file(void)
{
    fetch_has_file("to", NULL, 0);
    fetch_has_file("to.gatherd-1.part", NULL, 0);
}

START_TEST(target_appears_when_it_is_complete)
{
    fetch_start(1, (struct fetch){.path = "/halves", .to = "to"});
    httpd_wait_held(fetching_server, 1);
    (void)peer_wait(fetching_peer, GD_MSG_PROGRESS, 1);
    fetch_has_file("to", NULL, 0);
    ck_assert_int_eq(access(fetching_path("to.gatherd-1.part"), F_OK), 0);
    httpd_release(fetching_server);
    const struct gd_msg_view *end = peer_end(fetching_peer, 1);
    fetch_good(end, 200);
    fetch_has_file("to", body, sizeof(body));
    fetch_has_file("to.gatherd-1.part", NULL, 0);
    ck_assert_uint_eq(gd_msg_num(end, GD_FIELD_BYTES, 0), BODY_BYTES);
    ck_assert_str_eq(peer_text(fetching_peer, end, GD_FIELD_DIGEST),
                     fetch_sha256(body, sizeof(body)));
    fetch_has_body(end, NULL, 0);
}

START_TEST(old_target_stays_until_then)
{
    fetch_write_file("to", "old", 3);
    fetch_start(1, (struct fetch){.path = "/halves", .to = "to"});
    httpd_wait_held(fetching_server, 1);
    fetch_has_file("to", "old", 3);
    httpd_release(fetching_server);
    fetch_good(peer_end(fetching_peer, 1), 200);
    fetch_has_file("to", body, sizeof(body));
}

START_TEST(empty_body_is_an_empty_file)
{
    fetch_good(fetch_run(1, (struct fetch){.path = "/empty", .to = "to"}), 200);
    fetch_has_file("to", "", 0);
}

START_TEST(sha256_decides_before_the_rename)
{
    char good[65];
    (void)snprintf(good, sizeof(good), "%s", fetch_sha256(body, sizeof(body)));
    fetch_good(fetch_run(1, (struct fetch){.path = "/body", .to = "to", .sha256 = good}), 200);
    fetch_has_file("to", body, sizeof(body));
    good[0] = good[0] == '0' ? '1' : '0';
    fetch_write_file("to", "old", 3);
    fetch_bad(fetch_run(2, (struct fetch){.path = "/body", .to = "to", .sha256 = good}), "checksum",
              200);
    fetch_has_file("to", "old", 3);
    fetch_has_file("to.gatherd-2.part", NULL, 0);
}

START_TEST(failing_status_replaces_nothing)
{
    fetch_write_file("to", "old", 3);
    const struct gd_msg_view *end = fetch_run(1, (struct fetch){.path = "/404", .to = "to"});
    fetch_bad(end, "status", 404);
    fetch_has_body(end, "gone", 4);
    fetch_has_file("to", "old", 3);
    fetch_has_file("to.gatherd-1.part", NULL, 0);
}

START_TEST(not_modified_leaves_the_target_as_it_is)
{
    fetch_write_file("to", "old", 3);
    const struct gd_msg_view *end = fetch_run(1, (struct fetch){.path = "/304", .to = "to"});
    fetch_good(end, 304);
    ck_assert_str_eq(fetch_header(end, "etag"), "\"a\"");
    fetch_has_file("to", "old", 3);
    fetch_has_file("to.gatherd-1.part", NULL, 0);
}

START_TEST(too_large_leaves_nothing)
{
    fetch_bad(fetch_run(1, (struct fetch){.path = "/body", .to = "to", .max_bytes = 1000}),
              "too-large", 200);
    has_no_file();
}

START_TEST(others_may_read_it)
{
    struct stat st;
    fetch_good(fetch_run(1, (struct fetch){.path = "/body", .to = "to"}), 200);
    ck_assert_int_eq(stat(fetching_path("to"), &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0644);
}

START_TEST(unwritable_places_are_said_before_anything_is_asked_for)
{
    const struct gd_msg_view *end = fetch_run(1, (struct fetch){.path = "/body", .to = "no/to"});
    fetch_bad(end, "file", 0);
    ck_assert_ptr_nonnull(strstr(peer_text(fetching_peer, end, GD_FIELD_MESSAGE), "ENOENT"));
    end = fetch_run(2, (struct fetch){.path = "/body", .to = "output"});
    fetch_bad(end, "file", 0);
    ck_assert_ptr_nonnull(strstr(peer_text(fetching_peer, end, GD_FIELD_MESSAGE), "EISDIR"));
    ck_assert_uint_eq(httpd_n_requests(fetching_server), 0);
}

START_TEST(links_in_the_parts_place_are_not_followed)
{
    fetch_write_file("precious", "precious", 8);
    ck_assert_int_eq(symlink("precious", fetching_path("to.gatherd-1.part")), 0);
    fetch_good(fetch_run(1, (struct fetch){.path = "/body", .to = "to"}), 200);
    ck_assert_int_eq(symlink("precious", fetching_path("to.part")), 0);
    fetch_good(fetch_run(2, (struct fetch){.path = "/body", .to = "to", .resume = true}), 200);
    ck_assert_int_eq(link(fetching_path("precious"), fetching_path("to.part")), 0);
    fetch_good(fetch_run(3, (struct fetch){.path = "/body", .to = "to", .resume = true}), 200);
    ck_assert_int_eq(mkfifo(fetching_path("to.part"), 0600), 0);
    fetch_good(fetch_run(4, (struct fetch){.path = "/body", .to = "to", .resume = true}), 200);
    fetch_has_file("precious", "precious", 8);
    fetch_has_file("to", body, sizeof(body));
}

/* The disk being full is an EFBIG here: any write that fails is treated alike. */
START_TEST(full_disk_ends_the_fetch_and_leaves_nothing)
{
    struct rlimit limit = {.rlim_cur = 100000, .rlim_max = 100000};
    ck_assert_int_eq(prlimit(fetching_worker(), RLIMIT_FSIZE, &limit, NULL), 0);
    fetch_bad(fetch_run(1, (struct fetch){.path = "/body", .to = "to"}), "file", 200);
    has_no_file();
    const struct gd_msg_view *end = fetch_run(2, (struct fetch){.path = "/body"});
    fetch_bad(end, "file", 200);
    fetch_good(fetch_run(3, (struct fetch){.path = "/empty", .to = "to"}), 200);
}

START_TEST(sigterm_leaves_no_part_that_nobody_can_resume)
{
    fetch_start(1, (struct fetch){.path = "/halves", .to = "to"});
    httpd_wait_held(fetching_server, 1);
    fetching_restart(SIGTERM);
    has_no_file();
}

START_TEST(part_of_a_lost_attempt_is_replaced)
{
    fetch_start(1, (struct fetch){.path = "/halves", .to = "to"});
    httpd_wait_held(fetching_server, 1);
    fetching_restart(SIGKILL);
    ck_assert_int_eq(access(fetching_path("to.gatherd-1.part"), F_OK), 0);
    fetch_good(fetch_run(1, (struct fetch){.path = "/body", .to = "to"}), 200);
    fetch_has_file("to", body, sizeof(body));
    fetch_has_file("to.gatherd-1.part", NULL, 0);
}

int main(void)
{
    TCase *tc = tcase_create("core");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, fetching_stop);
    tcase_add_test(tc, target_appears_when_it_is_complete);
    tcase_add_test(tc, old_target_stays_until_then);
    tcase_add_test(tc, empty_body_is_an_empty_file);
    tcase_add_test(tc, sha256_decides_before_the_rename);
    tcase_add_test(tc, failing_status_replaces_nothing);
    tcase_add_test(tc, not_modified_leaves_the_target_as_it_is);
    tcase_add_test(tc, too_large_leaves_nothing);
    tcase_add_test(tc, others_may_read_it);
    tcase_add_test(tc, unwritable_places_are_said_before_anything_is_asked_for);
    tcase_add_test(tc, links_in_the_parts_place_are_not_followed);
    tcase_add_test(tc, full_disk_ends_the_fetch_and_leaves_nothing);
    tcase_add_test(tc, sigterm_leaves_no_part_that_nobody_can_resume);
    tcase_add_test(tc, part_of_a_lost_attempt_is_replaced);
    return suite_main("fetcher_file", tc);
}
