/* daemon/fetcher/transfer.h — one fetch's life.
 *
 *   NEW --> [OPENING] --> RECEIVING --> [PUBLISHING] --> ENDED
 *    | \________|__________^  | |  ^         |  |         ^ ^
 *    |          |  to memory  | |  \-again   |  |         | |
 *    |          |             | \------------|--+---------/ |
 *    |          \-------------+--------------+--> [DISCARDING]
 *    \--------------------------------------------------> ENDED
 *
 * The stages in brackets are those of a fetch to a file: its part file is being
 * opened, put in place or put away, in the thread pool. RECEIVING is libcurl's; it
 * comes a second time, from the first byte, if what a server sent does not go on
 * with the part that we have.
 *
 * A cancel or a time limit that comes while the complete file is put in its place
 * either stops that before the rename, or comes too late: then the fetch succeeds.
 *
 * Two modules: transfer.c moves it through its stages, receive.c is what libcurl
 * calls.
 */
#ifndef GD_DAEMON_FETCHER_TRANSFER_H
#define GD_DAEMON_FETCHER_TRANSFER_H

#include "daemon/fetcher/answer.h"
#include "daemon/fetcher/digest.h"
#include "daemon/fetcher/failure.h"
#include "daemon/fetcher/multi.h"
#include "daemon/fetcher/part.h"
#include "daemon/fetcher/request.h"
#include "daemon/worker/sink.h"
#include "daemon/worker/worker.h"

/* Bytes kept of the body that comes with a status >= 400. */
#define GD_ERROR_BODY_MAX 65536U

/* Progress of one transfer is told no oftener. */
#define GD_PROGRESS_MS 250

/* X(identifier, bit set of the stages it may go to) */
#define GD_STAGES(X)                                                                      \
    X(NEW, GD_TO(OPENING) | GD_TO(RECEIVING) | GD_TO(ENDED))                              \
    X(OPENING, GD_TO(RECEIVING) | GD_TO(DISCARDING))                                      \
    X(RECEIVING, GD_TO(RECEIVING) | GD_TO(PUBLISHING) | GD_TO(DISCARDING) | GD_TO(ENDED)) \
    X(PUBLISHING, GD_TO(DISCARDING) | GD_TO(ENDED))                                       \
    X(DISCARDING, GD_TO(ENDED))                                                           \
    X(ENDED, 0U)

enum gd_stage {
#define X(id, next) GD_STAGE_##id,
    GD_STAGES(X)
#undef X
    GD_N_STAGES
};

/* Why a transfer ends before its time. */
enum gd_stop {
    GD_STOP_NONE,
    GD_STOP_CANCEL,
    GD_STOP_TIMEOUT,
};

struct gd_transfer {
    struct gd_unit unit; /* first: see worker.h */
    enum gd_stage stage;
    enum gd_stop stop;
    struct gd_failure failure;
    struct gd_request request;
    struct gd_timer limit;
    /* receiving */
    struct gd_easy easy;
    struct curl_slist *headers;
    struct gd_answer answer;
    long status;     /* of the last answer; 0: none yet */
    uint64_t offset; /* asked for from here */
    uint64_t bytes;  /* of the body, those from before `offset` included */
    int64_t total;   /* -1: not known */
    bool judged;     /* it is decided what the answer means */
    bool again;      /* not what we can go on with: ask for all of it */
    bool is_whole;   /* 416: there is nothing after what we have */
    bool is_error;   /* the body is the page that comes with a status >= 400 */
    struct gd_timer tell;
    int64_t told_ms; /* monotonic; 0: not yet */
    char curl_text[CURL_ERROR_SIZE];
    /* where the body goes */
    struct gd_sink sink;
    struct gd_part *part;        /* NULL: into `sink` */
    struct gd_digest own_digest; /* of a body in `sink`; a part has its own */
    char digest[GD_DIGEST_TEXT]; /* of the whole body; "": it did not come */
};

/* The argument of the worker is the struct gd_multi that all transfers share. */
extern const struct gd_worker_ops gd_transfer_ops;

/* True if a transfer in stage `from` may go to `to`. */
bool gd_stage_may_go(enum gd_stage from, enum gd_stage to);

/* Sets up libcurl and begins, from t->offset. False: t->failure says why not. */
GD_MUST_CHECK bool gd_receive_start(struct gd_transfer *t);

/* Breaks it off and frees what is libcurl's. */
void gd_receive_stop(struct gd_transfer *t);

/* libcurl has ended with `code`: sets t->again, or t->failure, or neither, and
 * t->digest if the whole body has come. */
void gd_receive_finish(struct gd_transfer *t, CURLcode code);

#endif
