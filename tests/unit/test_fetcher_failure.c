/* Every way a server, a name or a URL can be wrong, and the word that is said. */
#include "daemon/fetcher/failure.h"
#include "daemon/fetcher/transfer.h"

#include "tests/support/fetching.h"
#include "tests/support/suite.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HUGE_BYTES 300000U

static char huge[HUGE_BYTES];

static void serve_small(struct exchange *x)
{
    httpd_ok(x, "hello", 5);
}

static void serve_404(struct exchange *x)
{
    httpd_printf(x, "HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\nX-Why: gone\r\n\r\nnot there");
}

static void serve_huge_500(struct exchange *x)
{
    httpd_printf(x, "HTTP/1.1 500 Oh\r\nContent-Length: %u\r\n\r\n", HUGE_BYTES);
    httpd_send(x, huge, sizeof(huge));
}

static void serve_huge(struct exchange *x)
{
    httpd_ok(x, huge, sizeof(huge));
}

static void serve_claims(struct exchange *x)
{
    httpd_printf(x, "HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n");
    httpd_hold(x); /* nothing of the body is needed */
}

static void serve_huge_chunked(struct exchange *x)
{
    httpd_printf(x, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n", HUGE_BYTES);
    httpd_send(x, huge, sizeof(huge));
    httpd_printf(x, "\r\n0\r\n\r\n");
}

static void serve_short(struct exchange *x)
{
    httpd_printf(x, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort");
    x->close = true;
}

static void serve_short_chunked(struct exchange *x)
{
    httpd_printf(x, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nshort");
    x->close = true;
}

static void serve_bad_chunked(struct exchange *x)
{
    httpd_printf(x, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nshort\r\n");
    x->close = true;
}

static void serve_nothing(struct exchange *x)
{
    x->close = true;
}

static void serve_reset(struct exchange *x)
{
    httpd_printf(x, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort");
    httpd_hold(x);
    httpd_reset(x);
}

static void serve_other_protocol(struct exchange *x)
{
    httpd_printf(x, "220 mail.example ESMTP\r\n");
    x->close = true;
}

static void serve_big_head(struct exchange *x)
{
    httpd_printf(x, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n");
    for (unsigned i = 0; i < 300; i++)
        httpd_printf(x, "X-%u: y\r\n", i);
    httpd_printf(x, "\r\n");
}

static void redirect(struct exchange *x, const char *status, const char *where)
{
    httpd_printf(x, "HTTP/1.1 %s\r\nLocation: %s\r\nContent-Length: 4\r\n\r\nbody", status, where);
}

static void serve_to_file(struct exchange *x)
{
    redirect(x, "302 Found", "file:///etc/passwd");
}

static void serve_to_gopher(struct exchange *x)
{
    redirect(x, "302 Found", "gopher://127.0.0.1/");
}

static void serve_loop(struct exchange *x)
{
    redirect(x, "302 Found", "/loop?again");
}

static void serve_nowhere(struct exchange *x)
{
    httpd_printf(x, "HTTP/1.1 302 Found\r\nContent-Length: 4\r\n\r\nbody");
}

/* One byte more than a name may have. */
static void long_name(char url[400])
{
    char name[GD_HOST_MAX + 2] = "";
    memset(name, 'a', GD_HOST_MAX + 1);
    (void)snprintf(url, 400, "http://%s/", name);
}

static void serve_to_long_name(struct exchange *x)
{
    char url[400];
    long_name(url);
    redirect(x, "301 Moved", url);
}

static void serve_to_echo_301(struct exchange *x)
{
    redirect(x, "301 Moved", "/echo");
}

static void serve_to_echo_303(struct exchange *x)
{
    redirect(x, "303 See Other", "/echo");
}

static void serve_to_echo_307(struct exchange *x)
{
    redirect(x, "307 Temporary", "/echo");
}

static void serve_to_other_host(struct exchange *x)
{
    char url[64];
    (void)snprintf(url, sizeof(url), "http://localhost:%u/echo", httpd_port(x->server));
    redirect(x, "302 Found", url);
}

/* "<method> <body> <secret>" */
static void serve_echo(struct exchange *x)
{
    char text[256];
    const char *secret = httpd_field(x, "Authorization");
    int n =
        snprintf(text, sizeof(text), "%s [%s] %s", x->method, x->body, secret ? secret : "none");
    httpd_ok(x, text, (size_t)n);
}

static const struct httpd_route routes[] = {
    {"/small", serve_small},
    {"/404", serve_404},
    {"/huge-500", serve_huge_500},
    {"/huge", serve_huge},
    {"/claims", serve_claims},
    {"/huge-chunked", serve_huge_chunked},
    {"/short", serve_short},
    {"/short-chunked", serve_short_chunked},
    {"/bad-chunked", serve_bad_chunked},
    {"/nothing", serve_nothing},
    {"/reset", serve_reset},
    {"/other-protocol", serve_other_protocol},
    {"/big-head", serve_big_head},
    {"/to-file", serve_to_file},
    {"/to-gopher", serve_to_gopher},
    {"/loop", serve_loop},
    {"/nowhere", serve_nowhere},
    {"/to-long-name", serve_to_long_name},
    {"/to-echo-301", serve_to_echo_301},
    {"/to-echo-303", serve_to_echo_303},
    {"/to-echo-307", serve_to_echo_307},
    {"/to-other-host", serve_to_other_host},
    {"/echo", serve_echo},
    {NULL, NULL},
};

static void setup(void)
{
    fetch_fill(huge, sizeof(huge));
    fetching_start(routes);
}

static const struct gd_msg_view *get(const char *path)
{
    return fetch_run(1, (struct fetch){.path = path});
}

START_TEST(status_keeps_the_page_as_output)
{
    const struct gd_msg_view *end = get("/404");
    fetch_bad(end, "status", 404);
    fetch_has_body(end, "not there", 9);
    ck_assert_str_eq(fetch_header(end, "x-why"), "gone");
    ck_assert_uint_eq(gd_msg_num(end, GD_FIELD_BYTES, 9), 0);
}

START_TEST(page_of_a_status_is_cut_at_its_limit)
{
    const struct gd_msg_view *end = get("/huge-500");
    fetch_bad(end, "status", 500);
    fetch_has_body(end, huge, GD_ERROR_BODY_MAX);
}

START_TEST(too_large_is_seen_in_the_head)
{
    const struct gd_msg_view *end =
        fetch_run(1, (struct fetch){.path = "/claims", .max_bytes = 1000});
    fetch_bad(end, "too-large", 200);
    ck_assert_ptr_nonnull(strstr(peer_text(fetching_peer, end, GD_FIELD_MESSAGE), "1001 bytes"));
}

START_TEST(too_large_is_seen_while_reading)
{
    const struct gd_msg_view *end =
        fetch_run(1, (struct fetch){.path = "/huge-chunked", .max_bytes = HUGE_BYTES - 1});
    fetch_bad(end, "too-large", 200);
    fetch_good(fetch_run(2, (struct fetch){.path = "/huge-chunked", .max_bytes = HUGE_BYTES}), 200);
}

START_TEST(size_limit_is_exact)
{
    fetch_good(fetch_run(1, (struct fetch){.path = "/huge", .max_bytes = HUGE_BYTES}), 200);
    fetch_bad(fetch_run(2, (struct fetch){.path = "/huge", .max_bytes = HUGE_BYTES - 1}),
              "too-large", 200);
    fetch_bad(fetch_run(3, (struct fetch){.path = "/small", .max_bytes = UINT64_MAX}), "too-large",
              200);
    fetch_good(
        fetch_run(4, (struct fetch){.path = "/small", .method = "HEAD", .max_bytes = UINT64_MAX}),
        200);
}

START_TEST(lost_connections_are_closed)
{
    static const char *const paths[] = {"/short", "/short-chunked"};
    fetch_bad(get("/nothing"), "closed", 0);
    for (unsigned i = 0; i < 2; i++) {
        const struct gd_msg_view *end = get(paths[i]);
        fetch_bad(end, "closed", 200);
        fetch_has_body(end, "short", 5);
        ck_assert_ptr_null(peer_text(fetching_peer, end, GD_FIELD_DIGEST));
    }
}

START_TEST(reset_in_the_middle_is_closed)
{
    fetch_start(1, (struct fetch){.path = "/reset"});
    (void)peer_wait(fetching_peer, GD_MSG_PROGRESS, 1);
    httpd_release(fetching_server);
    fetch_bad(peer_end(fetching_peer, 1), "closed", 200);
}

START_TEST(what_is_not_http_is_protocol)
{
    fetch_bad(get("/other-protocol"), "protocol", 0);
    fetch_bad(get("/bad-chunked"), "protocol", 200);
    fetch_bad(get("/big-head"), "protocol", 0);
}

START_TEST(redirects_lead_to_http_only)
{
    fetch_bad(get("/to-file"), "redirect", 302);
    fetch_bad(get("/to-gopher"), "redirect", 302);
    fetch_bad(get("/to-long-name"), "redirect", 301);
    ck_assert_uint_eq(httpd_n_requests(fetching_server), 3);
}

START_TEST(redirects_end)
{
    fetch_bad(get("/loop"), "redirect", 302);
    ck_assert_uint_eq(httpd_n_requests(fetching_server), 1 + GD_REDIRECTS_MAX);
    fetch_bad(get("/nowhere"), "redirect", 302);
}

static void echoes(const char *path, const char *method, const char *body, const char *answer)
{
    static const char *const secret[] = {"Authorization: Bearer x", NULL};
    const struct gd_msg_view *end = fetch_run(
        1, (struct fetch){.path = path, .method = method, .body = body, .headers = secret});
    fetch_good(end, 200);
    fetch_has_body(end, answer, strlen(answer));
}

START_TEST(redirects_keep_or_change_the_method_as_rfc_9110_says)
{
    echoes("/to-echo-301", NULL, NULL, "GET [] Bearer x");
    echoes("/to-echo-301", NULL, "b", "GET [] Bearer x");
    echoes("/to-echo-301", "PUT", "b", "PUT [b] Bearer x");
    echoes("/to-echo-301", "DELETE", NULL, "DELETE [] Bearer x");
    echoes("/to-echo-303", NULL, "b", "GET [] Bearer x");
    echoes("/to-echo-303", "PUT", "b", "GET [] Bearer x");
    echoes("/to-echo-303", "DELETE", NULL, "GET [] Bearer x");
    echoes("/to-echo-307", NULL, "b", "POST [b] Bearer x");
    echoes("/to-echo-307", "PATCH", "b", "PATCH [b] Bearer x");
}

START_TEST(redirect_to_another_host_leaves_credentials_behind)
{
    echoes("/to-other-host", NULL, NULL, "GET [] none");
}

/* A port that nobody listens on, kept so while the test runs. */
static int closed_port(unsigned *ret_port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(sin);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&sin, n), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&sin, &n), 0);
    *ret_port = ntohs(sin.sin_port);
    return fd;
}

START_TEST(closed_port_is_refused)
{
    char url[64];
    unsigned port = 0;
    int fd = closed_port(&port);
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/", port);
    fetch_bad(fetch_run(1, (struct fetch){.url = url}), "refused", 0);
    (void)close(fd);
}

START_TEST(plain_http_is_no_tls)
{
    char url[64];
    (void)snprintf(url, sizeof(url), "https://127.0.0.1:%u/small", httpd_port(fetching_server));
    fetch_bad(fetch_run(1, (struct fetch){.url = url}), "tls", 0);
}

START_TEST(bad_urls_are_named)
{
    static const char *const urls[] = {"ftp://127.0.0.1/", "file:///etc/passwd", "nonsense",
                                       "http://",          "http://a b/",        ""};
    char url[400];
    uint64_t task = 1;
    for (unsigned i = 0; i < sizeof(urls) / sizeof(urls[0]); i++)
        fetch_bad(fetch_run(task++, (struct fetch){.url = urls[i]}), "url", 0);
    long_name(url);
    fetch_bad(fetch_run(task++, (struct fetch){.url = url}), "url", 0);
}

START_TEST(a_start_that_no_gatherd_sends_is_refused)
{
    static const char *const two_lines[] = {"A: b\r\nC: d", NULL};
    static const char *const no_colon[] = {"A", NULL};
    const struct gd_msg_view *end =
        fetch_run(1, (struct fetch){.path = "/small", .headers = two_lines});
    ck_assert_uint_eq(gd_msg_num(end, GD_FIELD_ERRNO, 0), EPROTO);
    end = fetch_run(2, (struct fetch){.path = "/small", .headers = no_colon});
    ck_assert_uint_eq(gd_msg_num(end, GD_FIELD_ERRNO, 0), EPROTO);
    struct gd_msg m;
    gd_msg_init(&m, GD_MSG_START, 3, 1);
    peer_send(fetching_peer, &m);
    ck_assert_uint_eq(gd_msg_num(peer_end(fetching_peer, 3), GD_FIELD_ERRNO, 0), EPROTO);
}

START_TEST(the_first_failure_stays)
{
    struct gd_failure f = {0};
    ck_assert_ptr_null(gd_failure_word(f.kind));
    gd_failure_set_errno(&f, GD_FAILURE_FILE, "write", -ENOSPC);
    gd_failure_set(&f, GD_FAILURE_CLOSED, "later");
    ck_assert_str_eq(gd_failure_word(f.kind), "file");
    ck_assert_str_eq(f.text, "write: No space left on device (ENOSPC)");
    f = (struct gd_failure){0};
    gd_failure_set_errno(&f, GD_FAILURE_FILE, "open", -ENOMEM);
    ck_assert_str_eq(gd_failure_word(f.kind), "other");
}

START_TEST(stages_go_one_way)
{
    for (unsigned from = 0; from < GD_N_STAGES; from++)
        for (unsigned to = 0; to < GD_N_STAGES; to++)
            if (gd_stage_may_go(from, to))
                ck_assert(to > from || (from == GD_STAGE_RECEIVING && to == from));
    ck_assert(!gd_stage_may_go(GD_STAGE_NEW, GD_STAGE_PUBLISHING));
    ck_assert(!gd_stage_may_go(GD_STAGE_OPENING, GD_STAGE_ENDED));
    for (unsigned to = 0; to < GD_N_STAGES; to++)
        ck_assert(!gd_stage_may_go(GD_STAGE_ENDED, to));
}

int main(void)
{
    TCase *tc = tcase_create("core");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, fetching_stop);
    tcase_add_test(tc, status_keeps_the_page_as_output);
    tcase_add_test(tc, page_of_a_status_is_cut_at_its_limit);
    tcase_add_test(tc, too_large_is_seen_in_the_head);
    tcase_add_test(tc, too_large_is_seen_while_reading);
    tcase_add_test(tc, size_limit_is_exact);
    tcase_add_test(tc, lost_connections_are_closed);
    tcase_add_test(tc, reset_in_the_middle_is_closed);
    tcase_add_test(tc, what_is_not_http_is_protocol);
    tcase_add_test(tc, redirects_lead_to_http_only);
    tcase_add_test(tc, redirects_end);
    tcase_add_test(tc, redirects_keep_or_change_the_method_as_rfc_9110_says);
    tcase_add_test(tc, redirect_to_another_host_leaves_credentials_behind);
    tcase_add_test(tc, closed_port_is_refused);
    tcase_add_test(tc, plain_http_is_no_tls);
    tcase_add_test(tc, bad_urls_are_named);
    tcase_add_test(tc, a_start_that_no_gatherd_sends_is_refused);
    tcase_add_test(tc, the_first_failure_stays);
    tcase_add_test(tc, stages_go_one_way);
    return suite_main("fetcher_failure", tc);
}
