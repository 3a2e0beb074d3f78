/* TLS with a certificate that nobody vouches for. */
#include "tests/support/fetching.h"
#include "tests/support/suite.h"

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static gnutls_certificate_credentials_t credentials;
static int listener;
static unsigned port;
static bool saw_request;

static void make_certificate(void)
{
    gnutls_x509_privkey_t key;
    gnutls_x509_crt_t crt;
    ck_assert_int_eq(gnutls_x509_privkey_init(&key), 0);
    ck_assert_int_eq(gnutls_x509_privkey_generate(
                         key, GNUTLS_PK_EC, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0),
                     0);
    ck_assert_int_eq(gnutls_x509_crt_init(&crt), 0);
    ck_assert_int_eq(gnutls_x509_crt_set_version(crt, 3), 0);
    ck_assert_int_eq(gnutls_x509_crt_set_serial(crt, "\1", 1), 0);
    ck_assert_int_eq(gnutls_x509_crt_set_activation_time(crt, time(NULL) - 60), 0);
    ck_assert_int_eq(gnutls_x509_crt_set_expiration_time(crt, time(NULL) + 3600), 0);
    ck_assert_int_eq(gnutls_x509_crt_set_dn(crt, "CN=localhost", NULL), 0);
    ck_assert_int_eq(gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_DNSNAME, "localhost", 9,
                                                          GNUTLS_FSAN_SET),
                     0);
    ck_assert_int_eq(gnutls_x509_crt_set_key(crt, key), 0);
    ck_assert_int_eq(gnutls_x509_crt_sign2(crt, crt, key, GNUTLS_DIG_SHA256, 0), 0);
    ck_assert_int_eq(gnutls_certificate_allocate_credentials(&credentials), 0);
    ck_assert_int_eq(gnutls_certificate_set_x509_key(credentials, &crt, 1, key), 0);
    gnutls_x509_crt_deinit(crt);
    gnutls_x509_privkey_deinit(key);
}

/* Serves one connection. */
static void *serve(void *arg)
{
    (void)arg;
    gnutls_session_t session;
    char byte = 0;
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (gnutls_init(&session, GNUTLS_SERVER) < 0)
        return NULL;
    gnutls_set_default_priority(session);
    gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, credentials);
    gnutls_transport_set_int(session, fd);
    int rc = 0;
    do
        rc = gnutls_handshake(session);
    while (rc < 0 && !gnutls_error_is_fatal(rc));
    saw_request = rc == 0 && gnutls_record_recv(session, &byte, 1) > 0;
    gnutls_deinit(session);
    (void)close(fd);
    return NULL;
}

static const struct httpd_route routes[] = {{NULL, NULL}};

static void setup(void)
{
    fetching_start(routes);
    make_certificate();
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(sin);
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&sin, n), 0);
    ck_assert_int_eq(listen(listener, 1), 0);
    ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&sin, &n), 0);
    port = ntohs(sin.sin_port);
}

static void teardown(void)
{
    fetching_stop();
    (void)close(listener);
    gnutls_certificate_free_credentials(credentials);
}

START_TEST(unknown_certificates_are_refused)
{
    char url[64];
    pthread_t server;
    (void)snprintf(url, sizeof(url), "https://localhost:%u/", port);
    ck_assert_int_eq(pthread_create(&server, NULL, serve, NULL), 0);
    fetch_bad(fetch_run(1, (struct fetch){.url = url}), "tls", 0);
    ck_assert_int_eq(pthread_join(server, NULL), 0);
    ck_assert(!saw_request);
}

int main(void)
{
    TCase *tc = tcase_create("core");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, unknown_certificates_are_refused);
    return suite_main("fetcher_tls", tc);
}
