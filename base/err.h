/* base/err.h — error codes, and the error that reaches a person.
 *
 * Every fallible function returns int: 0, or a negative code. Codes from -1 to
 * -4095 are negated errno values, which is also what libuv returns on Linux, so
 * both pass through unchanged. Our own codes lie below -5000.
 */
#ifndef GD_BASE_ERR_H
#define GD_BASE_ERR_H

#include "base/attr.h"

/* X(identifier, code, wire name, default text) */
#define GD_ERRORS(X)                                                                               \
    X(BAD_JSON, -5001, "bad-json", "the text is not JSON as RFC 8259 has it")                      \
    X(BAD_JOB, -5002, "bad-job", "the request does not describe a valid job")                      \
    X(NO_TASK, -5003, "no-such-task", "there is no task with this id")                             \
    X(NO_BATCH, -5004, "no-such-batch", "there is no batch with this id")                          \
    X(NOT_DONE, -5005, "invalid-state", "the task is not done yet")                                \
    X(DONE, -5006, "already-done", "the task is done already")                                     \
    X(FULL, -5007, "queue-full", "the queue is full")                                              \
    X(STORE, -5008, "store-failed", "the store failed; whether the change was made is not known")  \
    X(STORE_FULL, -5009, "store-full", "the disk is full")                                         \
    X(KEY_REUSED, -5010, "idempotency-key-reused", "this key was used for another request before") \
    X(REPLAYED, -5011, "replayed", "this key was used for the same request before")                \
    X(PROTO, -5012, "protocol", "the other side broke the protocol")                               \
    X(CLOSING, -5013, "shutting-down", "the daemon is shutting down")                              \
    X(LOCKED, -5014, "locked", "another process holds the lock")                                   \
    X(DAMAGED, -5015, "store-damaged", "the store is damaged")

enum gd_error {
#define X(id, code, name, text) GD_E_##id = (code),
    GD_ERRORS(X)
#undef X
};

/* Static text for any code, 0 and errno codes included; never NULL. */
const char *gd_err_text(int code);

/* The wire name of one of our codes; "internal" for every other. */
const char *gd_err_name(int code);

/* The errno name ("ENOENT") of a negated or plain errno value; "E?" if unknown. */
const char *gd_err_errno_name(int code);

/* An error with its story, for boundaries that face a person. */
struct gd_err {
    int code;
    char text[512]; /* one sentence: which field, which limit, which value */
};

/* Fills `err` (NULL is fine) and returns `code`: return gd_err_set(err, ...). */
int gd_err_set(struct gd_err *err, int code, const char *fmt, ...) GD_PRINTF(3, 4);

#endif
