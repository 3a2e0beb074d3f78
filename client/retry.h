/* client/retry.h — whether a request is sent again, and when. Pure. */
#ifndef GATHER_RETRY_H
#define GATHER_RETRY_H

#include <stdbool.h>
#include <stdint.h>

/* What sending a request twice means. */
enum gather_repeat {
    GATHER_REPEAT_SAFE,  /* nothing: a GET */
    GATHER_REPEAT_KEYED, /* nothing either: it carries an Idempotency-Key */
    GATHER_REPEAT_ONCE,  /* something: never again once it may have arrived */
};

/* How one attempt ended without the answer that was hoped for. */
struct gather_attempt {
    enum gather_repeat repeat;
    bool reached;           /* this client had an answer before, of any kind */
    bool sent;              /* the request may have arrived */
    int status;             /* of the answer; 0: none came */
    int64_t retry_after_ms; /* what the answer asked for; -1: nothing */
    int64_t away_ms;        /* since the first failure in a row */
    int64_t patience_ms;    /* how long in a row is borne */
    unsigned n;             /* failures in a row, this one counted */
};

/* Milliseconds until the next attempt; -1: there is none. `random` is any number,
 * from which up to a fifth of jitter is taken. */
int64_t gather_retry_ms(const struct gather_attempt *a, uint32_t random);

#endif
