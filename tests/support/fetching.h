/* tests/support/fetching.h — a fetcher, a server and a gatherd for one test.
 *
 * The fetcher is a child process, so that its leaks are found when it exits and a
 * test can see it die; the server runs in threads of the test.
 */
#ifndef GD_TESTS_FETCHING_H
#define GD_TESTS_FETCHING_H

#include "tests/support/httpd.h"
#include "tests/support/peer.h"

#include <stdbool.h>
#include <stdint.h>

/* The state directory of this test, for files of its own, too. */
extern char fetching_dir[];
extern struct httpd *fetching_server;
extern struct peer *fetching_peer;

/* Called in the fetcher's process before anything else; NULL: nothing is. */
extern void (*fetching_prepare)(void);

/* Fetcher, server and peer, with more slots than any test needs. */
void fetching_start(const struct httpd_route *routes);

/* Ends all three; the fetcher must exit with 0. Removes the directory. */
void fetching_stop(void);

/* Another gatherd in place of the one that went away. */
void fetching_reconnect(void);

/* The fetcher's process. */
pid_t fetching_worker(void);

/* The fetcher dies and comes back, once in a test. */
void fetching_restart(int signo);

/* "http://127.0.0.1:<port><path>", in a buffer of eight by turns. */
const char *fetching_url(const char *path);

/* A name in the state directory, likewise. */
const char *fetching_path(const char *name);

struct fetch {
    const char *path; /* of the server; or `url` */
    const char *url;
    const char *method;
    const char *const *headers; /* ends with NULL */
    const char *body;
    const char *to; /* a name in fetching_dir, or an absolute path */
    const char *sha256;
    uint64_t max_bytes; /* 0: not sent; UINT64_MAX: 0 is sent */
    int64_t timeout_ms; /* 0: none */
    bool resume;
    uint64_t group; /* 0: none */
    uint64_t group_limit;
};

/* Sends START for attempt 1 of `task`. */
void fetch_start(uint64_t task, struct fetch f);

/* fetch_start() and peer_end(). */
const struct gd_msg_view *fetch_run(uint64_t task, struct fetch f);

/* That it ended well, with that status. */
void fetch_good(const struct gd_msg_view *end, unsigned status);

/* That it failed, with that word; status 0: without an answer. */
void fetch_bad(const struct gd_msg_view *end, const char *word, unsigned status);

/* That it ended without CODE or FAILURE, by CANCEL or its time limit. */
void fetch_stopped(const struct gd_msg_view *end, enum gd_msg_field why);

/* The value of an answer's header; NULL: absent. Borrowed from `end`. */
const char *fetch_header(const struct gd_msg_view *end, const char *name);

/* That the body in memory (or spilled) is those bytes. */
void fetch_has_body(const struct gd_msg_view *end, const void *bytes, size_t n);

/* That a file (as `to`) has those bytes; NULL: that there is none. */
void fetch_has_file(const char *to, const void *bytes, size_t n);

void fetch_write_file(const char *to, const void *bytes, size_t n);

/* Bytes that are the same in every run. */
void fetch_fill(char *bytes, size_t n);

/* Their SHA-256 in hex, in a static buffer. */
const char *fetch_sha256(const void *bytes, size_t n);

#endif
