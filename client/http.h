/* client/http.h — requests to the daemon, several at once; inside libgather only.
 *
 * A call is one request with its answer. It is sent again after trouble as
 * client/retry.h decides, so that who waits for it sees one outcome. All calls
 * of a client share one curl multi handle and move on together in
 * gather_http_step(), which waits in poll() for sockets, timers and the
 * interrupt descriptor, and for nothing else.
 *
 *   NEW --start--> RUNNING --answer, or no more patience--> DONE
 *                   |   ^
 *          trouble  v   | its time has come
 *                  PAUSED
 */
#ifndef GATHER_HTTP_H
#define GATHER_HTTP_H

#include "base/attr.h"
#include "base/buf.h"
#include "base/list.h"
#include "client/gather.h"
#include "client/retry.h"

/* Without a byte in either direction for so long, a connection counts as lost;
 * what a wait asked for comes on top. */
#define GATHER_IDLE_MS 60000

struct gather_client {
    void *multi;       /* CURLM */
    char *url;         /* as it is shown */
    char *base;        /* what targets are appended to: "http://localhost" */
    char *socket_path; /* unix socket; NULL: none */
    bool direct;       /* an address of this machine: no proxy */
    bool reached;      /* it answered once */
    bool noticed;      /* the outage that goes on was told */
    int interrupt_fd;
    int64_t patience_ms;
    uint64_t random; /* state of the jitter */
    gather_notice_fn *notice;
    void *notice_arg;
    struct gd_node calls; /* every call that was started */
};

enum gather_call_state {
    GATHER_CALL_NEW,
    GATHER_CALL_RUNNING,
    GATHER_CALL_PAUSED,
    GATHER_CALL_DONE,
};

struct gather_call;
struct curl_slist;

/* Takes a piece of a good answer's body; returns how much of it was taken. Less
 * than `n` ends the call with E_STOPPED. */
typedef size_t gather_data_fn(struct gather_call *call, const char *bytes, size_t n);

/* Runs before each attempt, to say from where a repeated body is wanted
 * (`range_from`), or to forget half a line. Without it, a call whose data was
 * delivered in part is not repeated. */
typedef void gather_again_fn(struct gather_call *call);

struct gather_call {
    struct gather_client *client;
    /* --- the request, set by the caller between init and start */
    const char *method;
    struct gd_buf target; /* path and query */
    const char *content_type;
    const char *accept; /* NULL: application/json */
    struct gd_buf body;
    const struct gather_source *source; /* instead of body */
    enum gather_repeat repeat;
    int64_t idle_ms;    /* 0: for ever */
    int64_t range_from; /* > 0: only the body from this byte on */
    bool no_range;      /* which then is not asked for, but cut out of the whole */
    gather_data_fn *on_data;
    gather_again_fn *on_again;
    void *arg;
    /* --- the answer */
    int status;           /* 0: none yet */
    struct gd_buf answer; /* what on_data did not get */
    enum gather_code code;
    char why[256]; /* what broke, for people */
    /* --- at work */
    enum gather_call_state state;
    struct gd_node node;
    void *easy; /* CURL */
    struct curl_slist *headers;
    char key[33];
    int64_t skip;        /* bytes of the body to drop */
    bool headers_seen;   /* of this attempt */
    bool truncated;      /* it says that it is not the whole output */
    bool delivered;      /* on_data had something */
    bool stopped;        /* on_data said stop */
    int64_t head_ms;     /* when the answer's head came */
    int64_t at_ms;       /* RUNNING: last sign of life; PAUSED: when to go on */
    unsigned n_failures; /* in a row */
    int64_t away_since;  /* when the first of them was */
    char curl_text[256]; /* CURL_ERROR_SIZE */
};

/* Starts a request for `target`, to which the caller may append. */
void gather_call_init(struct gather_call *call, struct gather_client *c, const char *method,
                      const char *target);

/* Appends "?name=" or "&name=" and the value, percent-encoded. */
void gather_call_query(struct gather_call *call, const char *name, const char *value);
void gather_call_query_int(struct gather_call *call, const char *name, int64_t value);

/* Sends it. Errors: E_NO_MEMORY, E_ARGUMENT (no randomness for the key). */
GD_MUST_CHECK enum gather_code gather_call_start(struct gather_call *call,
                                                 struct gather_error *err);

/* One turn for all calls: sends, receives, waits until something happened or
 * `until_ms` (monotonic). Errors: E_TIMEOUT (that time has come), E_INTERRUPTED,
 * E_NO_MEMORY. */
GD_MUST_CHECK enum gather_code gather_http_step(struct gather_client *c, int64_t until_ms,
                                                struct gather_error *err);

/* Lets time pass, until `until_ms` or an interrupt. */
GD_MUST_CHECK enum gather_code gather_http_pause(struct gather_client *c, int64_t until_ms,
                                                 struct gather_error *err);

/* What became of a call that is DONE: 0 for an answer below 300, else the error. */
GD_MUST_CHECK enum gather_code gather_call_outcome(const struct gather_call *call,
                                                   struct gather_error *err);

/* Starts it, waits for its end or `until_ms` (E_TIMEOUT), and gives its outcome. */
GD_MUST_CHECK enum gather_code gather_call_run(struct gather_call *call, int64_t until_ms,
                                               struct gather_error *err);

/* Breaks it off if it is still under way, and frees everything. */
void gather_call_done(struct gather_call *call);

static inline struct gd_span gather_call_text(const struct gather_call *call)
{
    return gd_buf_view(&call->answer);
}

/* No time to stop at. */
#define GATHER_NEVER INT64_MAX

#endif
