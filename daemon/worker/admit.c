#include "daemon/worker/admit.h"

#include "daemon/worker/worker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void gd_admit_init(struct gd_admit *a)
{
    *a = (struct gd_admit){0};
    gd_list_init(&a->waiting);
}

void gd_admit_free(struct gd_admit *a)
{
    size_t pos = 0;
    for (struct gd_group *g; (g = gd_map_next(&a->groups, &pos));)
        free(g);
    gd_map_free(&a->groups);
}

static struct gd_group *join(struct gd_admit *a, struct gd_msg_group wish)
{
    struct gd_group *g = gd_map_get(&a->groups, wish.key);
    if (!g) {
        g = calloc(1, sizeof(*g));
        if (!g || gd_map_put(&a->groups, wish.key, g) < 0) {
            free(g);
            return NULL;
        }
        g->key = wish.key;
    }
    g->limit = wish.limit;
    g->n_units++;
    return g;
}

static void leave_groups(struct gd_admit *a, struct gd_unit *u, bool running)
{
    for (unsigned i = 0; i < GD_MSG_GROUPS && u->groups[i]; i++) {
        struct gd_group *g = u->groups[i];
        u->groups[i] = NULL;
        g->n_running -= running;
        if (--g->n_units == 0) {
            (void)gd_map_del(&a->groups, g->key);
            free(g);
        }
    }
}

static int join_groups(struct gd_admit *a, struct gd_unit *u, const struct gd_msg_view *start)
{
    size_t pos = 0;
    unsigned field = 0;
    unsigned n = 0;
    struct gd_span bytes;
    while (n < GD_MSG_GROUPS && gd_msg_next(start, &pos, &field, &bytes)) {
        struct gd_msg_group wish;
        if (field != GD_FIELD_GROUP || bytes.len != sizeof(wish))
            continue;
        memcpy(&wish, bytes.ptr, sizeof(wish));
        u->groups[n] = join(a, wish);
        if (!u->groups[n++]) {
            leave_groups(a, u, false);
            return -ENOMEM;
        }
    }
    return 0;
}

int gd_admit_wait(struct gd_admit *a, struct gd_unit *u, const struct gd_msg_view *start)
{
    int rc = join_groups(a, u, start);
    if (rc < 0)
        return rc;
    struct gd_node *at = &a->waiting;
    while (at->prev != &a->waiting &&
           GD_OWNER(at->prev, struct gd_unit, node)->priority < u->priority)
        at = at->prev;
    gd_list_push(at, &u->node); /* before `at` */
    return 0;
}

static bool may_run(const struct gd_unit *u)
{
    for (unsigned i = 0; i < GD_MSG_GROUPS && u->groups[i]; i++)
        if (u->groups[i]->n_running >= u->groups[i]->limit)
            return false;
    return true;
}

struct gd_unit *gd_admit_next(struct gd_admit *a)
{
    if (a->n_running >= a->slots)
        return NULL;
    gd_list_each (node, &a->waiting) {
        struct gd_unit *u = GD_OWNER(node, struct gd_unit, node);
        if (!may_run(u))
            continue;
        gd_node_unlink(node);
        for (unsigned i = 0; i < GD_MSG_GROUPS && u->groups[i]; i++)
            u->groups[i]->n_running++;
        a->n_running++;
        return u;
    }
    return NULL;
}

void gd_admit_leave(struct gd_admit *a, struct gd_unit *u)
{
    bool running = u->phase == GD_PHASE_RUNNING;
    a->n_running -= running;
    gd_node_unlink(&u->node);
    leave_groups(a, u, running);
}
