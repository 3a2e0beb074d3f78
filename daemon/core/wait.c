#include "daemon/core/wait.h"

#include <errno.h>
#include <stdlib.h>

bool gd_wait_is_enough(const struct gd_wait *w)
{
    return w->n_left == 0 || (w->when == GD_FIRST_COMPLETED && w->has_one) ||
           (w->when == GD_FIRST_EXCEPTION && w->has_fail);
}

static void tell(struct gd_soon *s)
{
    struct gd_wait *w = GD_OWNER(s, struct gd_wait, soon);
    w->enough(w);
}

static void is_done(struct gd_callback *cb, struct gd_future *f)
{
    struct gd_wait *w = GD_OWNER(cb, struct gd_wait_slot, callback)->wait;
    w->n_left--;
    w->has_one = true;
    w->has_fail = w->has_fail || f->state == GD_FAILED;
    if (gd_wait_is_enough(w))
        gd_soon(w->loop, &w->soon);
}

int gd_wait_init(struct gd_wait *w, size_t n, enum gd_return_when when, struct gd_loop *l,
                 void (*enough)(struct gd_wait *w))
{
    *w = (struct gd_wait){.n = n, .when = (uint8_t)when, .loop = l, .enough = enough};
    w->soon.fn = tell;
    w->slots = calloc(n, sizeof(*w->slots));
    return w->slots ? 0 : -ENOMEM;
}

void gd_wait_done(struct gd_wait *w)
{
    gd_soon_cancel(&w->soon);
    for (size_t i = 0; w->slots && i < w->n; i++)
        gd_future_unwatch(&w->slots[i].callback);
    free(w->slots);
    w->slots = NULL;
}

void gd_wait_add(struct gd_wait *w, size_t i, struct gd_future *f)
{
    struct gd_wait_slot *slot = &w->slots[i];
    slot->wait = w;
    slot->callback.fn = is_done;
    if (gd_future_watch(f, &slot->callback))
        w->n_left++;
    else
        gd_wait_add_done(w, i, (enum gd_state)f->state);
}

void gd_wait_add_done(struct gd_wait *w, size_t i, enum gd_state state)
{
    (void)i; /* its slot stays empty, which is what done means */
    w->has_one = true;
    w->has_fail = w->has_fail || state == GD_FAILED;
}
