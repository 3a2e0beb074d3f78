/* Fetches into memory, through a whole fetcher. */
#include "base/limits.h"

#include "tests/support/fetching.h"
#include "tests/support/suite.h"

#include <stdlib.h>
#include <string.h>

#define LARGE_BYTES 200000U

static char large[LARGE_BYTES];

static void serve_small(struct exchange *x)
{
    httpd_printf(x, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Kind: Small\r\n"
                    "Vary: a\r\nSet-Cookie: c=1\r\nvary:b \r\nSet-Cookie: d=2\r\n\r\nhello");
}

static void serve_large(struct exchange *x)
{
    httpd_ok(x, large, sizeof(large));
}

static void serve_chunked(struct exchange *x)
{
    httpd_printf(x, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                    "3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nX-Trailer: t\r\n\r\n");
}

static void serve_echo(struct exchange *x)
{
    const char *type = httpd_field(x, "Content-Type");
    httpd_printf(
        x, "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nX-Method: %s\r\nContent-Length: %zu\r\n\r\n",
        type ? type : "none", x->method, x->body_bytes);
    httpd_send(x, x->body, x->body_bytes);
}

/* The head of the request as the body. */
static void serve_head(struct exchange *x)
{
    httpd_ok(x, x->head, strlen(x->head));
}

static void serve_hold(struct exchange *x)
{
    httpd_printf(x, "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf");
    httpd_hold(x);
    httpd_printf(x, "half");
}

static void serve_early(struct exchange *x)
{
    httpd_printf(x, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
    serve_small(x);
}

static void serve_empty(struct exchange *x)
{
    httpd_printf(x, "HTTP/1.1 204 No Content\r\n\r\n");
}

static const struct httpd_route routes[] = {
    {"/small", serve_small}, {"/large", serve_large}, {"/chunked", serve_chunked},
    {"/echo", serve_echo},   {"/head", serve_head},   {"/hold", serve_hold},
    {"/early", serve_early}, {"/empty", serve_empty}, {NULL, NULL},
};

static void setup(void)
{
    fetch_fill(large, sizeof(large));
    /* Nothing listens there; none of the tests may notice. */
    (void)setenv("http_proxy", "http://127.0.0.1:1", 1);
    (void)setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
    fetching_start(routes);
}

START_TEST(small_body_travels_with_the_end)
{
    const struct gd_msg_view *end = fetch_run(1, (struct fetch){.path = "/small"});
    fetch_good(end, 200);
    fetch_has_body(end, "hello", 5);
    struct gd_span bytes;
    ck_assert(gd_msg_find(end, GD_FIELD_STDOUT, &bytes));
    ck_assert_uint_eq(gd_msg_num(end, GD_FIELD_BYTES, 0), 5);
    ck_assert_str_eq(peer_text(fetching_peer, end, GD_FIELD_DIGEST), fetch_sha256("hello", 5));
    ck_assert_uint_eq(peer_count(fetching_peer, GD_MSG_STARTED, 1), 1);
}

START_TEST(answer_headers_are_lower_case_and_joined_but_cookies)
{
    const struct gd_msg_view *end = fetch_run(1, (struct fetch){.path = "/small"});
    ck_assert_str_eq(fetch_header(end, "x-kind"), "Small");
    ck_assert_str_eq(fetch_header(end, "vary"), "a, b");
    const char *first = fetch_header(end, "set-cookie");
    ck_assert_str_eq(first, "c=1");
    ck_assert_str_eq(first + strlen(first) + 1, "set-cookie: d=2");
}

START_TEST(large_body_spills_to_the_output_directory)
{
    const struct gd_msg_view *end = fetch_run(7, (struct fetch){.path = "/large"});
    fetch_good(end, 200);
    ck_assert_uint_eq(gd_msg_num(end, GD_FIELD_STDOUT_FILE, 0), 1);
    fetch_has_body(end, large, sizeof(large));
    ck_assert_str_eq(peer_text(fetching_peer, end, GD_FIELD_DIGEST),
                     fetch_sha256(large, sizeof(large)));
}

START_TEST(chunked_body_is_taken_without_its_trailer)
{
    const struct gd_msg_view *end = fetch_run(1, (struct fetch){.path = "/chunked"});
    fetch_good(end, 200);
    fetch_has_body(end, "abcdefg", 7);
    ck_assert_ptr_null(fetch_header(end, "x-trailer"));
}

START_TEST(interim_answers_leave_no_headers)
{
    const struct gd_msg_view *end = fetch_run(1, (struct fetch){.path = "/early"});
    fetch_good(end, 200);
    ck_assert_ptr_null(fetch_header(end, "link"));
    ck_assert_str_eq(fetch_header(end, "x-kind"), "Small");
}

START_TEST(no_content_is_an_empty_body)
{
    const struct gd_msg_view *end = fetch_run(1, (struct fetch){.path = "/empty"});
    fetch_good(end, 204);
    fetch_has_body(end, NULL, 0);
}

START_TEST(a_body_is_posted_unless_a_method_is_named)
{
    const struct gd_msg_view *end = fetch_run(1, (struct fetch){.path = "/echo", .body = "a=b"});
    fetch_good(end, 200);
    fetch_has_body(end, "a=b", 3);
    ck_assert_str_eq(fetch_header(end, "x-method"), "POST");
    ck_assert_str_eq(fetch_header(end, "content-type"), "application/x-www-form-urlencoded");

    static const char *const json[] = {"Content-Type: application/json", NULL};
    end = fetch_run(
        2, (struct fetch){.path = "/echo", .method = "PUT", .headers = json, .body = "{}"});
    fetch_has_body(end, "{}", 2);
    ck_assert_str_eq(fetch_header(end, "x-method"), "PUT");
    ck_assert_str_eq(fetch_header(end, "content-type"), "application/json");
}

START_TEST(any_token_is_a_method)
{
    static const char *const methods[] = {"GET", "POST", "PUT", "DELETE", "PATCH", "PURGE!", NULL};
    for (unsigned i = 0; methods[i]; i++) {
        const struct gd_msg_view *end =
            fetch_run(i + 1, (struct fetch){.path = "/echo", .method = methods[i]});
        fetch_good(end, 200);
        ck_assert_str_eq(fetch_header(end, "x-method"), methods[i]);
        fetch_has_body(end, "", 0);
    }
}

START_TEST(head_gets_headers_and_no_body)
{
    const struct gd_msg_view *end =
        fetch_run(1, (struct fetch){.path = "/early", .method = "HEAD"});
    fetch_good(end, 200);
    ck_assert_str_eq(fetch_header(end, "content-length"), "5");
    ck_assert_uint_eq(gd_msg_num(end, GD_FIELD_BYTES, 9), 0);
    fetch_bad(fetch_run(2, (struct fetch){.path = "/echo", .method = "HEAD", .body = "x"}), "other",
              0);
}

START_TEST(what_is_sent_is_what_was_asked_for)
{
    static const char *const own[] = {"X-Empty: ", "X-One: 1", "User-Agent: me", NULL};
    const struct gd_msg_view *end = fetch_run(1, (struct fetch){.path = "/head"});
    const char *head = peer_text(fetching_peer, end, GD_FIELD_STDOUT);
    ck_assert_ptr_nonnull(strstr(head, "User-Agent: gatherd/"));
    ck_assert_ptr_null(strstr(head, "Accept-Encoding"));
    ck_assert_ptr_null(strstr(head, "Cookie"));
    ck_assert_ptr_null(strstr(head, "Range"));
    end = fetch_run(2, (struct fetch){.path = "/head", .headers = own});
    head = peer_text(fetching_peer, end, GD_FIELD_STDOUT);
    ck_assert_ptr_nonnull(strstr(head, "X-Empty:\r\n"));
    ck_assert_ptr_nonnull(strstr(head, "X-One: 1\r\n"));
    ck_assert_ptr_nonnull(strstr(head, "User-Agent: me\r\n"));
}

START_TEST(connections_are_used_again)
{
    for (uint64_t task = 1; task <= 20; task++)
        fetch_good(fetch_run(task, (struct fetch){.path = "/small"}), 200);
    ck_assert_uint_eq(httpd_n_requests(fetching_server), 20);
    ck_assert_uint_eq(httpd_n_connections(fetching_server), 1);
}

START_TEST(progress_is_told_at_the_first_bytes)
{
    fetch_start(1, (struct fetch){.path = "/hold"});
    const struct gd_msg_view *v = peer_wait(fetching_peer, GD_MSG_PROGRESS, 1);
    ck_assert_uint_eq(gd_msg_num(v, GD_FIELD_BYTES, 0), 4);
    ck_assert_uint_eq(gd_msg_num(v, GD_FIELD_TOTAL, 0), 8);
    httpd_wait_held(fetching_server, 1);
    httpd_release(fetching_server);
    const struct gd_msg_view *end = peer_end(fetching_peer, 1);
    fetch_good(end, 200);
    fetch_has_body(end, "halfhalf", 8);
    ck_assert_uint_le(peer_count(fetching_peer, GD_MSG_PROGRESS, 1), 2);
}

START_TEST(spill_moves_a_running_body_to_its_file)
{
    fetch_start(1, (struct fetch){.path = "/hold"});
    (void)peer_wait(fetching_peer, GD_MSG_PROGRESS, 1);
    peer_simple(fetching_peer, GD_MSG_SPILL, 1);
    (void)peer_wait(fetching_peer, GD_MSG_SPILLED, 1);
    fetch_has_file("output/1-1.stdout", "half", 4);
    httpd_release(fetching_server);
    const struct gd_msg_view *end = peer_end(fetching_peer, 1);
    ck_assert_uint_eq(gd_msg_num(end, GD_FIELD_STDOUT_FILE, 0), 1);
    fetch_has_body(end, "halfhalf", 8);
}

START_TEST(sha256_is_compared_if_given)
{
    const char *good = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    fetch_good(fetch_run(1, (struct fetch){.path = "/small", .sha256 = good}), 200);
    const struct gd_msg_view *end = fetch_run(2, (struct fetch){.path = "/large", .sha256 = good});
    fetch_bad(end, "checksum", 200);
    ck_assert_str_eq(peer_text(fetching_peer, end, GD_FIELD_DIGEST),
                     fetch_sha256(large, sizeof(large)));
}

START_TEST(inline_limit_is_exact)
{
    /* One byte more than fits is in a file; that many is not. */
    char *body = calloc(1, GD_INLINE_OUTPUT + 2);
    ck_assert_ptr_nonnull(body);
    memset(body, 'x', GD_INLINE_OUTPUT + 1);
    const struct gd_msg_view *end = fetch_run(1, (struct fetch){.path = "/echo", .body = body});
    ck_assert_uint_eq(gd_msg_num(end, GD_FIELD_STDOUT_FILE, 0), 1);
    fetch_has_body(end, body, GD_INLINE_OUTPUT + 1);
    body[GD_INLINE_OUTPUT] = '\0';
    end = fetch_run(2, (struct fetch){.path = "/echo", .body = body});
    ck_assert_uint_eq(gd_msg_num(end, GD_FIELD_STDOUT_FILE, 0), 0);
    fetch_has_body(end, body, GD_INLINE_OUTPUT);
    free(body);
}

int main(void)
{
    TCase *tc = tcase_create("core");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, fetching_stop);
    tcase_add_test(tc, small_body_travels_with_the_end);
    tcase_add_test(tc, answer_headers_are_lower_case_and_joined_but_cookies);
    tcase_add_test(tc, large_body_spills_to_the_output_directory);
    tcase_add_test(tc, chunked_body_is_taken_without_its_trailer);
    tcase_add_test(tc, interim_answers_leave_no_headers);
    tcase_add_test(tc, no_content_is_an_empty_body);
    tcase_add_test(tc, a_body_is_posted_unless_a_method_is_named);
    tcase_add_test(tc, any_token_is_a_method);
    tcase_add_test(tc, head_gets_headers_and_no_body);
    tcase_add_test(tc, what_is_sent_is_what_was_asked_for);
    tcase_add_test(tc, connections_are_used_again);
    tcase_add_test(tc, progress_is_told_at_the_first_bytes);
    tcase_add_test(tc, spill_moves_a_running_body_to_its_file);
    tcase_add_test(tc, sha256_is_compared_if_given);
    tcase_add_test(tc, inline_limit_is_exact);
    return suite_main("fetcher_memory", tc);
}
