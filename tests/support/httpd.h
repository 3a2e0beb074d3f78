/* tests/support/httpd.h — an HTTP server that does what a test tells it, however
 * wrong.
 *
 * Listens on 127.0.0.1, port 0 as bind(2) has it; one thread for each connection. A
 * route is a path and a function that answers, writing whatever bytes it likes. A
 * function that calls httpd_hold() waits until the test says httpd_release(), so that
 * no test ever has to guess at times.
 */
#ifndef GD_TESTS_HTTPD_H
#define GD_TESTS_HTTPD_H

#include "base/attr.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct httpd;

/* One request, and the connection to answer on. */
struct exchange {
    struct httpd *server;
    int fd;
    char *head; /* request line and fields, NUL-terminated */
    const char *method;
    const char *path; /* with its query */
    char *body;       /* NUL-terminated */
    size_t body_bytes;
    bool close; /* set by the function: no further request on this connection */
};

typedef void httpd_fn(struct exchange *x);

struct httpd_route {
    const char *path; /* up to a '?'; NULL ends the table */
    httpd_fn *fn;
};

/* `routes` is borrowed. What goes wrong fails the test. */
struct httpd *httpd_start(const struct httpd_route *routes);

/* Ends all connections and joins all threads; held functions go on first. */
void httpd_stop(struct httpd *h);

unsigned httpd_port(const struct httpd *h);

/* --- for routes */

/* The value of a field (name in any case), in a static buffer of the thread's own;
 * NULL: absent. */
const char *httpd_field(const struct exchange *x, const char *name);

void httpd_send(struct exchange *x, const void *bytes, size_t n);
void httpd_printf(struct exchange *x, const char *fmt, ...) GD_PRINTF(2, 3);

/* A whole 200 with Content-Length. */
void httpd_ok(struct exchange *x, const void *body, size_t n);

/* Resets the connection: what was not read by the peer is lost. */
void httpd_reset(struct exchange *x);

/* Waits until httpd_release(). */
void httpd_hold(struct exchange *x);

/* --- for the test */

/* Waits until `n` functions are held. */
void httpd_wait_held(struct httpd *h, unsigned n);

/* Lets those go on that are held, and all later ones: httpd_hold() no longer waits. */
void httpd_release(struct httpd *h);

/* From now on httpd_hold() waits again. */
void httpd_hold_again(struct httpd *h);

/* Requests and connections so far. */
unsigned httpd_n_requests(struct httpd *h);
unsigned httpd_n_connections(struct httpd *h);

#endif
