/* tests/bench/mhd_answer.c — how fast libmicrohttpd answers with the same bytes.
 *
 *   mhd_answer BODYFILE [HEADER VALUE]...
 *
 * A bare libmicrohttpd in its fastest mode (epoll, own thread, keep-alive) that makes a
 * response for each request and answers with this body and these headers, whatever it
 * is asked for. Listens on 127.0.0.1, on a port that the kernel chooses, and prints that
 * port. Ends with its parent.
 */
#include <arpa/inet.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#define BODY_MAX        65536
#define CONNECTIONS_MAX 1024

struct answer {
    char body[BODY_MAX];
    size_t n;
    char **headers; /* name, value, ..., NULL */
};

/* NOLINTNEXTLINE(readability-function-size): libmicrohttpd's parameters */
static enum MHD_Result handle(void *arg, struct MHD_Connection *c, const char *url,
                              const char *method, const char *version, const char *upload,
                              size_t *n_upload, void **request)
{
    (void)url, (void)method, (void)version, (void)upload, (void)n_upload;
    struct answer *a = arg;
    if (!*request) { /* the head only; called again when the request is complete */
        *request = a;
        return MHD_YES;
    }
    struct MHD_Response *r = MHD_create_response_from_buffer(a->n, a->body, MHD_RESPMEM_MUST_COPY);
    for (char **h = a->headers; r && h[0] && h[1]; h += 2)
        (void)MHD_add_response_header(r, h[0], h[1]);
    enum MHD_Result result = r ? MHD_queue_response(c, MHD_HTTP_OK, r) : MHD_NO;
    if (r)
        MHD_destroy_response(r);
    return result;
}

int main(int argc, char **argv)
{
    static struct answer a;
    FILE *f = argc > 1 ? fopen(argv[1], "re") : NULL;
    if (!f || argc % 2 != 0) {
        (void)fprintf(stderr, "usage: mhd_answer BODYFILE [HEADER VALUE]...\n");
        return 2;
    }
    a.n = fread(a.body, 1, sizeof(a.body), f);
    (void)fclose(f);
    a.headers = argv + 2;
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);

    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct MHD_Daemon *d = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD, 0, NULL, NULL, handle, &a, MHD_OPTION_SOCK_ADDR,
        (struct sockaddr *)&any, MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX, MHD_OPTION_END);
    const union MHD_DaemonInfo *info = d ? MHD_get_daemon_info(d, MHD_DAEMON_INFO_BIND_PORT) : NULL;
    if (!info) {
        (void)fprintf(stderr, "mhd_answer: libmicrohttpd does not start\n");
        return 1;
    }
    printf("%u\n", info->port);
    (void)fflush(stdout);
    for (;;)
        pause();
}
