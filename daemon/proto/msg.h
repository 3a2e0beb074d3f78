/* daemon/proto/msg.h — the messages between gatherd and its workers.
 *
 * A packet on a unix SOCK_SEQPACKET socket holds one message after the other, each a
 * fixed head, then fields of tag, length and bytes in any order. Unknown tags are skipped, so that
 * a newer side may say more to an older one; what an older side must not ignore
 * raises GD_PROTO_VERSION. Integers are in the machine's own byte order: both
 * ends are on one machine.
 *
 *   gatherd -> worker                       worker -> gatherd
 *   HELLO   version, who I am               HELLO    version, epoch, boot id
 *   LIMITS  slots                           LISTED   one per task it holds,
 *   START   a task's attempt, idempotent    LIST_END then this, after each HELLO
 *   CANCEL  TERM, grace, KILL               STARTED  it runs now
 *   RETIME  another run-time limit          PROGRESS bytes so far
 *   SIGNAL  one signal                      SPILLED  its output is in files now
 *   SPILL   put output into files           EXITED   how it ended; repeated after
 *   ACK     the end is on disk: forget it            each HELLO until ACK
 *   QUIT    end once nothing is left
 *
 * A worker answers nothing to the START of a task and attempt that it holds
 * already, and nothing to any other message about one that it does not hold.
 */
#ifndef GD_DAEMON_PROTO_MSG_H
#define GD_DAEMON_PROTO_MSG_H

#include "base/attr.h"
#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>

#define GD_PROTO_VERSION 1

/* X(identifier, number, name for logs) */
#define GD_MSG_TYPES(X)         \
    X(HELLO, 1, "hello")        \
    X(LIMITS, 2, "limits")      \
    X(START, 3, "start")        \
    X(CANCEL, 4, "cancel")      \
    X(RETIME, 5, "retime")      \
    X(SIGNAL, 6, "signal")      \
    X(SPILL, 7, "spill")        \
    X(ACK, 8, "ack")            \
    X(QUIT, 9, "quit")          \
    X(LISTED, 32, "listed")     \
    X(LIST_END, 33, "list-end") \
    X(STARTED, 34, "started")   \
    X(PROGRESS, 35, "progress") \
    X(SPILLED, 36, "spilled")   \
    X(EXITED, 37, "exited")

enum gd_msg_type {
#define X(id, number, name) GD_MSG_##id = (number),
    GD_MSG_TYPES(X)
#undef X
};

/* Fields. Numbers are uint64_t unless a type is given; times are wall ms;
 * strings have no NUL. X(identifier, number) */
#define GD_MSG_FIELDS(X)                                                            \
    /* HELLO */                                                                     \
    X(VERSION, 1)                                                                   \
    X(PID, 2)     /* also STARTED, LISTED */                                        \
    X(EPOCH, 3)   /* random, one per worker process; kept over a re-exec */         \
    X(BOOT_ID, 4) /* /proc/sys/kernel/random/boot_id */                             \
    X(PROGRAM, 5) /* "gatherd-runner" */                                            \
    /* LIMITS */                                                                    \
    X(SLOTS, 10)                                                                    \
    /* START, for every worker */                                                   \
    X(PRIORITY, 20)   /* plus 1,000,000, so that it is never negative */            \
    X(GROUP, 21)      /* struct gd_msg_group; repeated, at most GD_MSG_GROUPS */    \
    X(TIMEOUT_MS, 22) /* absent: none. Also RETIME */                               \
    X(GRACE_MS, 23)   /* also CANCEL */                                             \
    X(BATCH, 24)                                                                    \
    X(NOTE, 25) /* comes back in EXITED as it is */                                 \
    /* START of a command */                                                        \
    X(ARGV, 30) /* strings, each with its NUL */                                    \
    X(ENV, 31)  /* NAME=value, each with its NUL; added to the clean environment */ \
    X(CWD, 32)                                                                      \
    X(STDIN, 33) /* bytes */                                                        \
    X(MAX_OUTPUT, 34)                                                               \
    /* START of a fetch */                                                          \
    X(URL, 40)                                                                      \
    X(METHOD, 41)                                                                   \
    X(HEADERS, 42) /* "Name: value", each with its NUL */                           \
    X(BODY, 43)    /* bytes */                                                      \
    X(TO, 44)                                                                       \
    X(SHA256, 45)                                                                   \
    X(MAX_BYTES, 46)                                                                \
    X(RESUME, 47)                                                                   \
    /* SIGNAL */                                                                    \
    X(SIGNO, 50)                                                                    \
    /* STARTED, LISTED, EXITED */                                                   \
    X(PHASE, 60)      /* LISTED: enum gd_phase */                                   \
    X(STARTED_AT, 61) /* absent: never started */                                   \
    X(ENDED_AT, 62)                                                                 \
    X(WALL_US, 63) /* how long it ran, by the monotonic clock */                    \
    /* PROGRESS */                                                                  \
    X(BYTES, 70) /* also EXITED of a fetch */                                       \
    X(TOTAL, 71) /* absent: not known */                                            \
    /* EXITED; at most one of CODE, SIGNALED, ERRNO, FAILURE */                     \
    X(CODE, 80)      /* exit code; of a fetch: 0 */                                 \
    X(SIGNALED, 81)  /* number of the signal that ended it */                       \
    X(CORE, 82)      /* it dumped core */                                           \
    X(ERRNO, 83)     /* it could not be started */                                  \
    X(STAGE, 84)     /* what failed then: "exec", "chdir", "fork" … */            \
    X(CANCELLED, 85) /* CANCEL came before the end */                               \
    X(TIMED_OUT, 86) /* its time was up before the end */                           \
    X(USER_US, 87)                                                                  \
    X(SYSTEM_US, 88)                                                                \
    X(MAX_RSS, 89)      /* bytes */                                                 \
    X(STDOUT, 90)       /* the bytes kept, unless spilled */                        \
    X(STDOUT_BYTES, 91) /* how many came */                                         \
    X(STDOUT_KEPT, 92)  /* how many were kept */                                    \
    X(STDOUT_FILE, 93)  /* they are in the output file */                           \
    X(STDERR, 94)                                                                   \
    X(STDERR_BYTES, 95)                                                             \
    X(STDERR_KEPT, 96)                                                              \
    X(STDERR_FILE, 97)                                                              \
    X(STATUS, 100)         /* HTTP status */                                        \
    X(FAILURE, 101)        /* why a fetch failed: "dns", "refused", "tls" … */    \
    X(MESSAGE, 102)        /* the same in words */                                  \
    X(DIGEST, 103)         /* SHA-256 in hex */                                     \
    X(ANSWER_HEADERS, 104) /* "name: value", each with its NUL; names in lower case */

enum gd_msg_field {
#define X(id, number) GD_FIELD_##id = (number),
    GD_MSG_FIELDS(X)
#undef X
};

/* Where a task stands in a worker. */
enum gd_phase {
    GD_PHASE_WAITING = 1,
    GD_PHASE_RUNNING = 2,
    GD_PHASE_ENDED = 3
};

/* At most `limit` tasks of one group run at once in this worker. */
struct gd_msg_group {
    uint64_t key;
    uint64_t limit;
};
#define GD_MSG_GROUPS 2

#define GD_MSG_PRIORITY_BIAS 1000000

struct gd_msg_head {
    uint16_t type;
    uint16_t flags; /* GD_MSG_IN_MEMFD: the fields are in the descriptor */
    uint32_t attempt;
    uint64_t task;   /* 0: not about a task */
    uint32_t n;      /* bytes of fields that follow */
    uint32_t unused; /* 0 */
};
#define GD_MSG_IN_MEMFD 1U

/* The largest packet; larger messages go by memfd, alone in their packet. Well below
 * the default socket buffer (212,992 bytes). */
#define GD_MSG_PACKET_MAX ((size_t)65536)
/* The largest message at all. */
#define GD_MSG_MAX ((size_t)1 << 26)

/* --- writing */
struct gd_msg {
    struct gd_msg_head head;
    struct gd_buf fields; /* its error sticks until the message is sent */
};

void gd_msg_init(struct gd_msg *m, enum gd_msg_type type, uint64_t task, uint32_t attempt);
void gd_msg_free(struct gd_msg *m);
void gd_msg_put(struct gd_msg *m, enum gd_msg_field field, const void *bytes, size_t n);
void gd_msg_str(struct gd_msg *m, enum gd_msg_field field, const char *s); /* NULL: left out */
void gd_msg_u64(struct gd_msg *m, enum gd_msg_field field, uint64_t n);

/* Starts a field whose bytes the caller appends to m->fields, and ends it. */
size_t gd_msg_open(struct gd_msg *m, enum gd_msg_field field);
void gd_msg_close(struct gd_msg *m, size_t opened);

/* --- reading */
struct gd_msg_view {
    enum gd_msg_type type;
    uint64_t task;
    uint32_t attempt;
    struct gd_span fields; /* borrowed for the time of the call */
};

/* Steps through the fields: start with *pos = 0. False at the end, and at a field
 * that is cut off (then gd_msg_is_whole() is false). */
GD_MUST_CHECK bool gd_msg_next(const struct gd_msg_view *v, size_t *pos, unsigned *ret_field,
                               struct gd_span *ret_bytes);

/* True if the fields end where the message ends. */
bool gd_msg_is_whole(const struct gd_msg_view *v);

/* The first field of that tag; false: there is none. */
GD_MUST_CHECK bool gd_msg_find(const struct gd_msg_view *v, enum gd_msg_field field,
                               struct gd_span *ret_bytes);

/* A number; `otherwise` if it is absent or has not eight bytes. */
uint64_t gd_msg_num(const struct gd_msg_view *v, enum gd_msg_field field, uint64_t otherwise);

/* The bytes of one field as a number; 0 if there are not eight. */
uint64_t gd_msg_as_u64(struct gd_span bytes);

/* A fresh NUL-terminated copy of a field; NULL if absent or out of memory. */
char *gd_msg_dup(const struct gd_msg_view *v, enum gd_msg_field field) GD_MUST_CHECK;

/* "start", "exited" …; "?" for no type of ours. */
const char *gd_msg_type_name(unsigned type);

#endif
