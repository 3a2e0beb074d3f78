/* tests/support/peer.h — plays gatherd towards a worker.
 *
 * Connects to <state_dir>/<short name>.sock, says HELLO, takes the list, sends what
 * a test wants and waits, with a deadline, for what the worker says. Everything that
 * came is kept until peer_close(). What goes wrong fails the test.
 *
 * The worker may be a child process of any kind; peer_spawn() makes one out of a
 * function. Thread: the test's.
 */
#ifndef GD_TESTS_PEER_H
#define GD_TESTS_PEER_H

#include "daemon/proto/msg.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* How long anything may take, sanitizers and a busy machine included. */
#define PEER_DEADLINE_MS 30000

struct peer;

/* Forks a process that exits with what `serve` returns. Before any thread is made. */
pid_t peer_spawn(int (*serve)(const char *state_dir), const char *state_dir);

/* Sends SIGTERM (or another signal; 0: none), waits for the end and checks that it
 * exited with `status`. */
void peer_reap(pid_t pid, int signo, int status);

/* Connects, as soon as the socket is there, and does what gatherd does first: HELLO
 * to LIST_END. */
struct peer *peer_connect(const char *state_dir, const char *short_name);

/* Goes away, as a gatherd does that is killed. NULL is fine. */
void peer_close(struct peer *p);

/* Sends and empties `m`. */
void peer_send(struct peer *p, struct gd_msg *m);

/* The messages that are mostly nothing but a head. */
void peer_limits(struct peer *p, uint64_t slots);
void peer_cancel(struct peer *p, uint64_t task);
void peer_retime(struct peer *p, uint64_t task, int64_t timeout_ms);
void peer_simple(struct peer *p, enum gd_msg_type type, uint64_t task);

/* The next message of that type about that task (0: any) that was not returned yet;
 * borrowed until peer_close(). */
const struct gd_msg_view *peer_wait(struct peer *p, enum gd_msg_type type, uint64_t task);

/* The same; NULL if the worker broke the connection off before. */
const struct gd_msg_view *peer_try(struct peer *p, enum gd_msg_type type, uint64_t task);

/* How many of them have come so far; returned or not. */
size_t peer_count(const struct peer *p, enum gd_msg_type type, uint64_t task);

/* peer_wait() for EXITED, then ACK. */
const struct gd_msg_view *peer_end(struct peer *p, uint64_t task);

/* A field as text, kept until peer_close(); NULL: absent. */
const char *peer_text(struct peer *p, const struct gd_msg_view *v, enum gd_msg_field field);

#endif
