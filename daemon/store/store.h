/* daemon/store/store.h — the store of core/store.h, on SQLite in WAL mode.
 *
 * Two connections: the writer thread's, which commits whatever has queued up in
 * one transaction with one sync, and the loop's, which reads. A group is told of
 * by one uv_async_send() and handed out in slices.
 *
 * When a commit fails
 *   disk full      what clients asked for is refused (GD_E_STORE_FULL); the rest is
 *                  tried again until there is room
 *   anything else  whether it was made cannot be known: clients get GD_E_STORE, and
 *                  `failed` is called once; the program must end and start anew
 *
 * Thread: loop thread, all functions.
 */
#ifndef GD_DAEMON_STORE_H
#define GD_DAEMON_STORE_H

#include "base/attr.h"
#include "base/err.h"
#include "daemon/core/store.h"
#include "daemon/loop/loop.h"

#include <stdint.h>

struct gd_core;
struct gd_sqlite;

struct gd_sqlite_config {
    const char *path; /* of the database file */
    bool relaxed;     /* synchronous=NORMAL: a power cut may lose what was acknowledged */
    /* The store cannot go on; `what` says why. */
    void (*failed)(void *arg, const char *what);
    void *arg;
};

/* Opens the file, makes or updates its tables. Errors, with words: GD_E_DAMAGED,
 * GD_E_STORE, -ENOMEM. */
GD_MUST_CHECK int gd_sqlite_open(struct gd_loop *l, const struct gd_sqlite_config *config,
                                 struct gd_sqlite **ret, struct gd_err *err);

/* As the core sees it. */
struct gd_store *gd_sqlite_store(struct gd_sqlite *s);

/* Puts every unfinished batch and task into `c`; before the writer runs. `ret_rebooted`
 * says whether the machine was started anew since. Errors, with words. */
GD_MUST_CHECK int gd_sqlite_recover(struct gd_sqlite *s, struct gd_core *c, bool *ret_rebooted,
                                    struct gd_err *err);

/* Starts the writer thread. Errors: -errno. */
GD_MUST_CHECK int gd_sqlite_start(struct gd_sqlite *s);

/* Commits what is queued, hands everything out and stops the writer. */
void gd_sqlite_stop(struct gd_sqlite *s);

/* Closes the file. After gd_sqlite_stop(), when the loop has run to its end. */
void gd_sqlite_close(struct gd_sqlite *s);

/* Commits made, and operations in them. */
void gd_sqlite_counts(const struct gd_sqlite *s, uint64_t *ret_commits, uint64_t *ret_ops);

#endif
