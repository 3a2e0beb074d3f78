/* libcurl on the loop, in this process. */
#include "base/clock.h"
#include "daemon/fetcher/multi.h"

#include "tests/support/httpd.h"
#include "tests/support/peer.h"
#include "tests/support/suite.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static uv_loop_t uv;
static struct gd_loop loop;
static struct gd_multi multi;
static struct httpd *server;

struct get {
    struct gd_easy easy;
    char body[16];
    CURLcode code;
    bool done;
};

static void serve_small(struct exchange *x)
{
    httpd_ok(x, "hello", 5);
}

static void serve_held(struct exchange *x)
{
    httpd_hold(x);
    httpd_ok(x, "later", 5);
}

static const struct httpd_route routes[] = {
    {"/small", serve_small}, {"/held", serve_held}, {NULL, NULL}};

static void setup(void)
{
    ck_assert_int_eq(curl_global_init(CURL_GLOBAL_DEFAULT), CURLE_OK);
    ck_assert_int_eq(uv_loop_init(&uv), 0);
    ck_assert_int_eq(gd_loop_init(&loop, &uv), 0);
    ck_assert_int_eq(gd_multi_init(&multi, &loop), 0);
    server = httpd_start(routes);
}

static void teardown(void)
{
    gd_multi_done(&multi);
    gd_loop_close(&loop);
    (void)uv_run(&uv, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&uv), 0);
    httpd_stop(server);
    curl_global_cleanup();
}

static void on_done(struct gd_easy *e, CURLcode code)
{
    struct get *g = GD_OWNER(e, struct get, easy);
    ck_assert(!g->done);
    g->done = true;
    g->code = code;
    uv_stop(&uv); /* it may be a timer of libcurl's that found the end: no wait for events then */
}

static size_t on_body(char *bytes, size_t size, size_t n, void *arg)
{
    (void)strncat(arg, bytes, size * n);
    return size * n;
}

static void start(struct get *g, const char *path)
{
    char url[64];
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u%s", httpd_port(server), path);
    *g = (struct get){.easy.done = on_done};
    ck_assert_int_eq(gd_easy_open(&g->easy), 0);
    ck_assert_int_eq(curl_easy_setopt(g->easy.curl, CURLOPT_URL, url), CURLE_OK);
    ck_assert_int_eq(curl_easy_setopt(g->easy.curl, CURLOPT_WRITEFUNCTION, on_body), CURLE_OK);
    ck_assert_int_eq(curl_easy_setopt(g->easy.curl, CURLOPT_WRITEDATA, g->body), CURLE_OK);
    ck_assert_int_eq(gd_multi_add(&multi, &g->easy), 0);
}

static void finish(struct get *g)
{
    while (!g->done)
        (void)uv_run(&uv, UV_RUN_DEFAULT);
    ck_assert_int_eq(g->code, CURLE_OK);
}

START_TEST(transfer_ends_once_and_can_be_begun_again)
{
    struct get g;
    start(&g, "/small");
    finish(&g);
    ck_assert_str_eq(g.body, "hello");
    g.done = false;
    ck_assert_int_eq(gd_multi_add(&multi, &g.easy), 0);
    finish(&g);
    ck_assert_str_eq(g.body, "hellohello");
    gd_easy_close(&g.easy);
    ck_assert_uint_eq(httpd_n_connections(server), 1);
}

START_TEST(removed_transfer_is_never_done)
{
    struct get held;
    struct get small;
    start(&held, "/held");
    start(&small, "/small");
    finish(&small);
    gd_multi_remove(&held.easy);
    httpd_release(server);
    gd_multi_remove(&small.easy); /* is not in it: fine */
    gd_easy_close(&small.easy);
    start(&small, "/small");
    finish(&small);
    ck_assert(!held.done);
    gd_easy_close(&held.easy);
    gd_easy_close(&small.easy);
    gd_easy_close(&small.easy); /* fine, too */
}

START_TEST(idle_connections_are_closed_after_a_while)
{
    struct get g;
    multi.idle_ms = 1;
    start(&g, "/small");
    CURLM *first = multi.curl;
    finish(&g);
    gd_easy_close(&g.easy);
    while (multi.curl == first)
        (void)uv_run(&uv, UV_RUN_NOWAIT);
    start(&g, "/small");
    finish(&g);
    gd_easy_close(&g.easy);
    ck_assert_uint_eq(httpd_n_connections(server), 2);
}

/* Is it a socket to the server? */
static bool leads_to_server(int fd)
{
    struct sockaddr_in sin = {0};
    socklen_t n = sizeof(sin);
    return getpeername(fd, (struct sockaddr *)&sin, &n) == 0 && sin.sin_family == AF_INET &&
           ntohs(sin.sin_port) == httpd_port(server);
}

START_TEST(sockets_are_close_on_exec)
{
    struct get g;
    unsigned n = 0;
    start(&g, "/small");
    finish(&g); /* the connection is kept */
    for (int fd = 0; fd < 100; fd++)
        if (leads_to_server(fd)) {
            ck_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
            n++;
        }
    ck_assert_uint_eq(n, 1);
    gd_easy_close(&g.easy);
}

int main(void)
{
    TCase *tc = tcase_create("core");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, transfer_ends_once_and_can_be_begun_again);
    tcase_add_test(tc, removed_transfer_is_never_done);
    tcase_add_test(tc, idle_connections_are_closed_after_a_while);
    tcase_add_test(tc, sockets_are_close_on_exec);
    return suite_main("fetcher_multi", tc);
}
