/* The writer thread: group commit.
 *
 *   queue --taken as one group--> BEGIN, apply each, COMMIT (one sync) --> back
 *
 * While one group is being synced the next one collects, so groups grow with the
 * load by themselves. When nobody waits for a group (only leases and ends of tasks)
 * and commits follow each other closely, it holds back for up to GAP_US: the same
 * work then costs fewer syncs and less of the processors that commands need.
 */
#include "base/clock.h"
#include "daemon/store/sqlite.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Commits that nobody waits for are this far apart, once BURST of them came in a row. */
#define GAP_US INT64_C(4000)
#define BURST  8
/* The disk is full: what must be written is tried again after this long. */
#define FULL_AGAIN_MS 200

/* Was it a client that asked, and can it be refused? */
static bool may_refuse(const struct gd_op *op)
{
    return op->kind == GD_OP_SUBMIT || op->kind == GD_OP_CANCEL || op->kind == GD_OP_PATCH ||
           op->kind == GD_OP_STAGE;
}

static void deadline_in(struct timespec *ts, int64_t us)
{
    (void)clock_gettime(CLOCK_MONOTONIC, ts);
    int64_t ns = ts->tv_nsec + us % 1000000 * 1000;
    ts->tv_sec += us / 1000000 + ns / 1000000000;
    ts->tv_nsec = ns % 1000000000;
}

/* Carries out a group in one transaction. Returns an SQLite code. */
static int commit(struct gd_sqlite *s, struct gd_node *group)
{
    struct gd_writer *w = &s->writer;
    uint64_t n = 0;
    int rc = gd_writer_run(w, GD_SQL_BEGIN);
    if (rc != SQLITE_OK)
        return rc;
    gd_list_each (node, group) {
        struct gd_op *op = GD_OWNER(node, struct gd_op, node);
        rc = gd_writer_apply(w, op, &op->rc);
        if (rc != SQLITE_OK)
            break;
        n++;
    }
    if (rc == SQLITE_OK)
        rc = gd_writer_run(w, GD_SQL_COMMIT);
    if (rc != SQLITE_OK) {
        if (!sqlite3_get_autocommit(w->db))
            (void)gd_writer_run(w, GD_SQL_ROLLBACK);
        return rc;
    }
    s->n_commits++;
    s->n_ops += n;
    return SQLITE_OK;
}

/* Takes the operations that can be refused out of the group, as failed. */
static void refuse(struct gd_node *group, int rc, struct gd_node *refused)
{
    gd_list_each_safe (node, group) {
        struct gd_op *op = GD_OWNER(node, struct gd_op, node);
        if (!may_refuse(op))
            continue;
        op->rc = rc;
        gd_node_unlink(node);
        gd_list_push(refused, node);
    }
}

/* Hands operations back to the loop. */
static void hand_back(struct gd_sqlite *s, struct gd_node *ops)
{
    (void)pthread_mutex_lock(&s->mutex);
    gd_list_splice(&s->back, ops);
    (void)pthread_mutex_unlock(&s->mutex);
    (void)uv_async_send(&s->async);
}

/* What must be written waits for room; what comes meanwhile gets its own chance (and
 * its own refusal). False: the daemon ends, and will know all of it again when it
 * starts anew. */
static bool wait_for_room(struct gd_sqlite *s, struct gd_node *group)
{
    struct timespec until;
    deadline_in(&until, (int64_t)FULL_AGAIN_MS * 1000);
    (void)pthread_mutex_lock(&s->mutex);
    gd_list_splice(group, &s->queue); /* `group` goes first */
    gd_list_splice(&s->queue, group);
    bool going = !s->stop;
    if (going)
        (void)pthread_cond_timedwait(&s->wake, &s->mutex, &until);
    (void)pthread_mutex_unlock(&s->mutex);
    return going;
}

static void give_up(struct gd_sqlite *s, int rc)
{
    (void)pthread_mutex_lock(&s->mutex);
    (void)snprintf(s->failure, sizeof(s->failure), "%s (%s)", sqlite3_errmsg(s->writer.db),
                   sqlite3_errstr(rc));
    (void)pthread_mutex_unlock(&s->mutex);
    (void)uv_async_send(&s->async);
}

/* Writes a group and hands it back. False: the store has failed for good. */
static bool write_group(struct gd_sqlite *s, struct gd_node *group)
{
    int rc = commit(s, group);
    if (rc == SQLITE_OK) {
        hand_back(s, group);
        return true;
    }
    struct gd_node refused;
    gd_list_init(&refused);
    bool passing = (rc & 0xff) == SQLITE_FULL || (rc & 0xff) == SQLITE_NOMEM;
    if (!passing) {
        refuse(group, GD_E_STORE, &refused);
        hand_back(s, &refused);
        give_up(s, rc);
        return false;
    }
    refuse(group, (rc & 0xff) == SQLITE_NOMEM ? -ENOMEM : GD_E_STORE_FULL, &refused);
    hand_back(s, &refused);
    if (gd_list_empty(group))
        return true;
    /* Without what was refused there may be room already. */
    rc = commit(s, group);
    if (rc == SQLITE_OK)
        hand_back(s, group);
    else if (((rc & 0xff) != SQLITE_FULL && (rc & 0xff) != SQLITE_NOMEM) ||
             !wait_for_room(s, group))
        give_up(s, rc);
    return s->failure[0] == '\0';
}

/* Time that has not been used for commits; each costs GAP_US. */
struct pace {
    int64_t credit_us;
    int64_t last_us;
};

static void earn(struct pace *p)
{
    int64_t now_us = gd_mono_us();
    p->credit_us += now_us - p->last_us;
    if (p->credit_us > BURST * GAP_US)
        p->credit_us = BURST * GAP_US;
    p->last_us = now_us;
}

/* Waits until there is a group to write. False: the end. Called with the mutex held. */
static bool wait_for_work(struct gd_sqlite *s, struct pace *p)
{
    while (gd_list_empty(&s->queue) && !s->stop)
        (void)pthread_cond_wait(&s->wake, &s->mutex);
    earn(p);
    while (!s->urgent && !s->stop && p->credit_us < GAP_US) {
        struct timespec until;
        deadline_in(&until, GAP_US - p->credit_us);
        (void)pthread_cond_timedwait(&s->wake, &s->mutex, &until);
        earn(p);
    }
    p->credit_us = p->credit_us > GAP_US ? p->credit_us - GAP_US : 0;
    return !gd_list_empty(&s->queue);
}

void *gd_sqlite_write_loop(void *arg)
{
    struct gd_sqlite *s = arg;
    struct pace pace = {.credit_us = BURST * GAP_US, .last_us = gd_mono_us()};
    bool going = true;
    while (going) {
        struct gd_node group;
        gd_list_init(&group);
        (void)pthread_mutex_lock(&s->mutex);
        going = wait_for_work(s, &pace);
        gd_list_splice(&group, &s->queue);
        s->urgent = false;
        (void)pthread_mutex_unlock(&s->mutex);
        if (going)
            going = write_group(s, &group);
    }
    return NULL;
}
