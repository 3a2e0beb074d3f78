/* Going on with the part of an earlier attempt, and when that would be wrong. */
#include "tests/support/fetching.h"
#include "tests/support/suite.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define BODY_BYTES 400000U
#define DROP_AT    150000U

static char body[2][BODY_BYTES]; /* two versions of one file */

/* What the server does next. */
static atomic_uint version;
static atomic_uint drop_at;    /* bytes sent before the connection goes; 0: all */
static atomic_uint n_sent;     /* bytes of bodies, since it was last set to 0 */
static atomic_bool no_ranges;  /* answers 200 to everything */
static atomic_bool no_etag;    /* Last-Modified instead */
static atomic_bool weak_etag;  /* and nothing else */
static atomic_bool wrong_rest; /* 206, but from another place */
static atomic_bool other_etag; /* 206, but of another version */
static atomic_bool bare_416;   /* without Content-Range */
static atomic_uint asked_from; /* of the last Range; 0: none */
static atomic_bool had_if_range;

static void send_body(struct exchange *x, size_t from)
{
    size_t n = BODY_BYTES - from;
    if (drop_at > 0 && n > drop_at) {
        n = drop_at;
        x->close = true;
    }
    n_sent += (unsigned)n;
    bool closes = x->close;
    x->close = false;
    httpd_send(x, body[version] + from, n);
    x->close = x->close || closes;
}

static void send_validators(struct exchange *x)
{
    if (weak_etag)
        httpd_printf(x, "ETag: W/\"v%u\"\r\n", version);
    else if (no_etag)
        httpd_printf(x,
                     "Last-Modified: Mon, 0%u Jan 2024 10:00:00 GMT\r\n"
                     "Date: Mon, 08 Jan 2024 10:00:00 GMT\r\n",
                     version + 1);
    else
        httpd_printf(x, "ETag: \"v%u\"\r\n", other_etag ? 9 : version);
}

static bool is_current(const char *if_range)
{
    char now[64];
    if (no_etag)
        (void)snprintf(now, sizeof(now), "Mon, 0%u Jan 2024 10:00:00 GMT", version + 1);
    else
        (void)snprintf(now, sizeof(now), "\"v%u\"", version);
    return strcmp(if_range, now) == 0;
}

static void serve_file(struct exchange *x)
{
    const char *range = httpd_field(x, "Range");
    asked_from = range ? (unsigned)strtoul(range + strlen("bytes="), NULL, 10) : 0;
    const char *if_range = httpd_field(x, "If-Range");
    had_if_range = if_range != NULL;
    unsigned from = asked_from;
    if (no_ranges || (if_range && !is_current(if_range)))
        from = 0;
    if (from >= BODY_BYTES) {
        httpd_printf(x, "HTTP/1.1 416 No\r\nContent-Length: 4\r\n");
        if (!bare_416)
            httpd_printf(x, "Content-Range: bytes */%u\r\n", BODY_BYTES);
        httpd_printf(x, "\r\nnone");
        return;
    }
    httpd_printf(x, "HTTP/1.1 %s\r\nContent-Length: %u\r\n", from ? "206 Partial" : "200 OK",
                 BODY_BYTES - from);
    if (from)
        httpd_printf(x, "Content-Range: bytes %u-%u/%u\r\n", wrong_rest ? from - 1 : from,
                     BODY_BYTES - 1, BODY_BYTES);
    send_validators(x);
    httpd_printf(x, "\r\n");
    send_body(x, from);
}

/* The beginning of a body, and no more until it is released. */
static void serve_slowly(struct exchange *x)
{
    httpd_printf(x, "HTTP/1.1 200 OK\r\nContent-Length: %u\r\nETag: \"v0\"\r\n\r\n", BODY_BYTES);
    httpd_send(x, body[0], DROP_AT);
    httpd_hold(x);
    x->close = true;
}

static const struct httpd_route routes[] = {
    {"/file", serve_file}, {"/other", serve_file}, {"/slowly", serve_slowly}, {NULL, NULL}};

static void setup(void)
{
    fetch_fill(body[0], sizeof(body[0]));
    memcpy(body[1], body[0], sizeof(body[1]));
    memset(body[1], 'x', 1000);
    fetching_start(routes);
}

static const struct fetch job = {.path = "/file", .to = "to", .resume = true};

static void has_nothing_left(void)
{
    fetch_has_file("to.part", NULL, 0);
    fetch_has_file("to.part.validator", NULL, 0);
}

/* The first attempt: 150,000 bytes and a lost connection. */
static void fetch_a_part(void)
{
    drop_at = DROP_AT;
    fetch_bad(fetch_run(1, job), "closed", 200);
    drop_at = 0;
    n_sent = 0;
    fetch_has_file("to", NULL, 0);
    fetch_has_file("to.part", body[version], DROP_AT);
}

/* A later attempt ends well and brings the version that is there now. */
static const struct gd_msg_view *fetch_the_rest(struct fetch f, unsigned status)
{
    const struct gd_msg_view *end = fetch_run(2, f);
    fetch_good(end, status);
    ck_assert_uint_eq(gd_msg_num(end, GD_FIELD_BYTES, 0), BODY_BYTES);
    ck_assert_str_eq(peer_text(fetching_peer, end, GD_FIELD_DIGEST),
                     fetch_sha256(body[version], BODY_BYTES));
    fetch_has_file("to", body[version], BODY_BYTES);
    has_nothing_left();
    return end;
}

START_TEST(only_the_rest_is_sent_after_a_drop)
{
    fetch_a_part();
    (void)fetch_the_rest(job, 206);
    ck_assert_uint_eq(asked_from, DROP_AT);
    ck_assert(had_if_range);
    ck_assert_uint_eq(n_sent, BODY_BYTES - DROP_AT);
    const struct gd_msg_view *v = peer_wait(fetching_peer, GD_MSG_PROGRESS, 2);
    ck_assert_uint_gt(gd_msg_num(v, GD_FIELD_BYTES, 0), DROP_AT);
    ck_assert_uint_eq(gd_msg_num(v, GD_FIELD_TOTAL, 0), BODY_BYTES);
}

START_TEST(it_may_drop_many_times)
{
    drop_at = 100000;
    for (unsigned i = 0; i < 3; i++)
        fetch_bad(fetch_run(i + 1, job), "closed", i ? 206 : 200);
    (void)fetch_the_rest(job, 206);
    ck_assert_uint_eq(n_sent, BODY_BYTES);
}

START_TEST(last_modified_will_do)
{
    no_etag = true;
    fetch_a_part();
    (void)fetch_the_rest(job, 206);
    ck_assert(had_if_range);
    ck_assert_uint_eq(n_sent, BODY_BYTES - DROP_AT);
}

START_TEST(changed_file_comes_whole)
{
    fetch_a_part();
    version = 1;
    (void)fetch_the_rest(job, 200);
    ck_assert_uint_eq(asked_from, DROP_AT);
    ck_assert_uint_eq(n_sent, BODY_BYTES);
}

START_TEST(server_without_ranges_sends_it_whole)
{
    no_ranges = true;
    fetch_a_part();
    (void)fetch_the_rest(job, 200);
    ck_assert_uint_eq(n_sent, BODY_BYTES);
}

START_TEST(without_a_validator_it_starts_over)
{
    weak_etag = true;
    fetch_a_part();
    fetch_has_file("to.part.validator", NULL, 0);
    (void)fetch_the_rest(job, 200);
    ck_assert_uint_eq(asked_from, 0);
}

START_TEST(without_a_validator_a_digest_will_do)
{
    char sha256[65];
    struct fetch checked = job;
    (void)snprintf(sha256, sizeof(sha256), "%s", fetch_sha256(body[0], BODY_BYTES));
    checked.sha256 = sha256;
    weak_etag = true;
    fetch_a_part();
    (void)fetch_the_rest(checked, 206);
    ck_assert(!had_if_range);
    ck_assert_uint_eq(n_sent, BODY_BYTES - DROP_AT);
}

START_TEST(mixed_versions_are_found_by_the_digest_and_removed)
{
    char sha256[65];
    struct fetch checked = job;
    weak_etag = true;
    fetch_a_part();
    version = 1;
    (void)snprintf(sha256, sizeof(sha256), "%s", fetch_sha256(body[1], BODY_BYTES));
    checked.sha256 = sha256;
    fetch_bad(fetch_run(2, checked), "checksum", 206);
    fetch_has_file("to", NULL, 0);
    has_nothing_left();
    (void)fetch_the_rest(checked, 200);
}

START_TEST(rest_from_another_place_is_not_taken)
{
    fetch_a_part();
    wrong_rest = true;
    (void)fetch_the_rest(job, 200);
    ck_assert_uint_eq(asked_from, 0);
    ck_assert_uint_eq(httpd_n_requests(fetching_server), 3);
}

START_TEST(rest_of_another_version_is_not_taken)
{
    fetch_a_part();
    other_etag = true;
    (void)fetch_the_rest(job, 200);
    ck_assert_uint_eq(asked_from, 0);
}

/* All bytes came, the end did not: as if killed between the last byte and the rename. */
static void fetch_all_but_the_end(void)
{
    fetch_a_part();
    FILE *part = fopen(fetching_path("to.part"), "ae");
    ck_assert_ptr_nonnull(part);
    ck_assert_uint_eq(fwrite(body[0] + DROP_AT, 1, BODY_BYTES - DROP_AT, part),
                      BODY_BYTES - DROP_AT);
    (void)fclose(part);
}

START_TEST(nothing_more_to_send_is_complete)
{
    fetch_all_but_the_end();
    const struct gd_msg_view *end = fetch_the_rest(job, 416);
    fetch_has_body(end, NULL, 0);
    ck_assert_uint_eq(n_sent, 0);
}

START_TEST(nothing_more_to_send_of_another_length_starts_over)
{
    fetch_all_but_the_end();
    FILE *part = fopen(fetching_path("to.part"), "ae");
    (void)fputs("too much", part);
    (void)fclose(part);
    (void)fetch_the_rest(job, 200);
    ck_assert_uint_eq(n_sent, BODY_BYTES);
}

START_TEST(unexplained_416_starts_over)
{
    fetch_all_but_the_end();
    bare_416 = true;
    (void)fetch_the_rest(job, 200);
    ck_assert_uint_eq(n_sent, BODY_BYTES);
}

START_TEST(validator_is_for_its_url_only)
{
    struct fetch other = job;
    fetch_a_part();
    other.path = "/other";
    (void)fetch_the_rest(other, 200);
    ck_assert_uint_eq(asked_from, 0);
}

START_TEST(validator_does_not_outlive_the_system)
{
    char text[512] = "";
    fetch_a_part();
    FILE *file = fopen(fetching_path("to.part.validator"), "r+e");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_gt(fread(text, 1, sizeof(text) - 1, file), 0);
    ck_assert_ptr_null(strstr(text, "127.0.0.1")); /* the URL may have a password */
    char *boot_id = strchr(text, '\n') + 1;
    boot_id[0] = boot_id[0] == '0' ? '1' : '0';
    rewind(file);
    (void)fputs(text, file);
    (void)fclose(file);
    (void)fetch_the_rest(job, 200);
    ck_assert_uint_eq(asked_from, 0);
}

START_TEST(part_stays_over_a_killed_fetcher)
{
    struct fetch slow = job;
    slow.path = "/slowly";
    fetch_start(1, slow);
    httpd_wait_held(fetching_server, 1);
    while (gd_msg_num(peer_wait(fetching_peer, GD_MSG_PROGRESS, 1), GD_FIELD_BYTES, 0) < DROP_AT)
        continue;
    fetching_restart(SIGKILL);
    fetch_has_file("to.part", body[0], DROP_AT);
    httpd_release(fetching_server);
    fetch_bad(fetch_run(1, slow), "closed", 200);
}

START_TEST(part_stays_over_an_ordered_end)
{
    struct fetch slow = job;
    slow.path = "/slowly";
    fetch_start(1, slow);
    httpd_wait_held(fetching_server, 1);
    while (gd_msg_num(peer_wait(fetching_peer, GD_MSG_PROGRESS, 1), GD_FIELD_BYTES, 0) < DROP_AT)
        continue;
    fetching_restart(SIGTERM);
    fetch_has_file("to.part", body[0], DROP_AT);
}

START_TEST(part_in_use_is_not_shared)
{
    struct fetch slow = job;
    slow.path = "/slowly";
    fetch_start(1, slow);
    httpd_wait_held(fetching_server, 1);
    const struct gd_msg_view *end = fetch_run(2, job);
    fetch_bad(end, "file", 0);
    ck_assert_ptr_nonnull(strstr(peer_text(fetching_peer, end, GD_FIELD_MESSAGE), "EBUSY"));
    peer_cancel(fetching_peer, 1);
    fetch_stopped(peer_end(fetching_peer, 1), GD_FIELD_CANCELLED);
    fetch_has_file("to.part", body[0], DROP_AT);
}

START_TEST(nothing_is_left_of_an_attempt_that_got_nothing)
{
    struct fetch none = job;
    none.path = "/none";
    fetch_bad(fetch_run(1, none), "status", 404);
    has_nothing_left();
}

START_TEST(part_stays_when_the_status_fails)
{
    struct fetch none = job;
    fetch_a_part();
    none.path = "/none";
    none.sha256 = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    fetch_bad(fetch_run(2, none), "status", 404);
    fetch_has_file("to.part", body[0], DROP_AT);
}

START_TEST(size_limit_counts_what_was_there)
{
    struct fetch small = job;
    fetch_a_part();
    small.max_bytes = BODY_BYTES - 1;
    fetch_bad(fetch_run(2, small), "too-large", 206);
    ck_assert_uint_eq(asked_from, DROP_AT);
    small.max_bytes = DROP_AT - 1;
    fetch_bad(fetch_run(3, small), "too-large", 200);
    ck_assert_uint_eq(asked_from, 0);
    (void)fetch_the_rest(job, 200);
}

START_TEST(a_range_of_the_clients_own_is_not_mixed_up_with_ours)
{
    static const char *const own[] = {"Range: bytes=399990-", NULL};
    struct fetch f = job;
    fetch_a_part();
    f.headers = own;
    fetch_good(fetch_run(2, f), 206);
    fetch_has_file("to", body[0] + 399990, 10);
    fetch_has_file("to.part", body[0], DROP_AT);
}

int main(void)
{
    TCase *tc = tcase_create("core");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, fetching_stop);
    tcase_add_test(tc, only_the_rest_is_sent_after_a_drop);
    tcase_add_test(tc, it_may_drop_many_times);
    tcase_add_test(tc, last_modified_will_do);
    tcase_add_test(tc, changed_file_comes_whole);
    tcase_add_test(tc, server_without_ranges_sends_it_whole);
    tcase_add_test(tc, without_a_validator_it_starts_over);
    tcase_add_test(tc, without_a_validator_a_digest_will_do);
    tcase_add_test(tc, mixed_versions_are_found_by_the_digest_and_removed);
    tcase_add_test(tc, rest_from_another_place_is_not_taken);
    tcase_add_test(tc, rest_of_another_version_is_not_taken);
    tcase_add_test(tc, nothing_more_to_send_is_complete);
    tcase_add_test(tc, nothing_more_to_send_of_another_length_starts_over);
    tcase_add_test(tc, unexplained_416_starts_over);
    tcase_add_test(tc, validator_is_for_its_url_only);
    tcase_add_test(tc, validator_does_not_outlive_the_system);
    tcase_add_test(tc, part_stays_over_a_killed_fetcher);
    tcase_add_test(tc, part_stays_over_an_ordered_end);
    tcase_add_test(tc, part_in_use_is_not_shared);
    tcase_add_test(tc, nothing_is_left_of_an_attempt_that_got_nothing);
    tcase_add_test(tc, part_stays_when_the_status_fails);
    tcase_add_test(tc, size_limit_counts_what_was_there);
    tcase_add_test(tc, a_range_of_the_clients_own_is_not_mixed_up_with_ours);
    return suite_main("fetcher_resume", tc);
}
