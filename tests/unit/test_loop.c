/* call_soon, call_at, add_reader: order, slices, and taking back what was asked for from
 * inside of what runs. */
#include "base/clock.h"
#include "daemon/loop/loop.h"

#include "tests/support/failalloc.h"
#include "tests/support/suite.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define MANY 2000

static uv_loop_t uv;
static struct gd_loop loop;
static unsigned n_ran;

static void setup(void)
{
    ck_assert_int_eq(uv_loop_init(&uv), 0);
    ck_assert_int_eq(gd_loop_init(&loop, &uv), 0);
    n_ran = 0;
}

static void teardown(void)
{
    gd_loop_close(&loop);
    (void)uv_run(&uv, UV_RUN_DEFAULT);
    ck_assert_uint_eq(loop.n_open, 0);
    ck_assert_int_eq(uv_loop_close(&uv), 0);
}

static void round_of_loop(void)
{
    (void)uv_run(&uv, UV_RUN_NOWAIT);
}

/* --- soon */

static struct gd_soon soons[3];
static unsigned order[8];

static void note(struct gd_soon *s)
{
    order[n_ran++] = (unsigned)(s - soons);
}

static void again(struct gd_soon *s)
{
    note(s);
    gd_soon(&loop, s);
    gd_soon_cancel(&soons[2]);
}

START_TEST(what_comes_soon_comes_once_and_in_order)
{
    for (unsigned i = 0; i < 3; i++)
        soons[i].fn = note;
    gd_soon(&loop, &soons[1]);
    gd_soon(&loop, &soons[0]);
    gd_soon(&loop, &soons[1]); /* is asked for already */
    gd_soon(&loop, &soons[2]);
    gd_soon_cancel(&soons[2]);
    gd_soon_cancel(&soons[2]);
    ck_assert_uint_eq(n_ran, 0); /* never from inside */
    round_of_loop();
    round_of_loop();
    ck_assert_uint_eq(n_ran, 2);
    ck_assert_uint_eq(order[0], 1);
    ck_assert_uint_eq(order[1], 0);
}

START_TEST(what_is_asked_for_from_inside_waits_for_the_next_round)
{
    soons[0].fn = again;
    soons[1].fn = soons[2].fn = note;
    for (unsigned i = 0; i < 3; i++)
        gd_soon(&loop, &soons[i]);
    round_of_loop();
    ck_assert_uint_eq(n_ran, 2); /* the third was taken back while the round ran */
    round_of_loop();
    ck_assert_uint_eq(n_ran, 3);
    ck_assert_uint_eq(order[2], 0);
    gd_soon_cancel(&soons[0]);
}

/* --- timers */

static struct gd_timer timers[MANY];
static int64_t last_due;

static void is_due(struct gd_timer *t)
{
    ck_assert(!gd_timer_is_set(t));
    ck_assert_int_le(t->node.key, gd_mono_ms());
    ck_assert_int_ge(t->node.key, last_due);
    last_due = t->node.key;
    n_ran++;
}

START_TEST(a_crowd_of_timers_runs_in_slices_and_in_order)
{
    int64_t now_ms = gd_mono_ms();
    last_due = 0;
    for (int i = 0; i < MANY; i++) {
        timers[i].fn = is_due;
        ck_assert_int_eq(gd_timer_at(&loop, &timers[i], now_ms - (i * 7) % 100), 0);
    }
    round_of_loop();
    ck_assert_uint_gt(n_ran, 0);
    ck_assert_uint_lt(n_ran, MANY); /* others get their turn */
    while (n_ran < MANY)
        (void)uv_run(&uv, UV_RUN_ONCE);
}

static void stop_loop(struct gd_timer *t)
{
    (void)t;
    n_ran++;
    uv_stop(&uv);
}

START_TEST(a_timer_moves_and_stops)
{
    struct gd_timer t = {.fn = stop_loop};
    struct gd_timer never = {.fn = stop_loop};
    int64_t now_ms = gd_mono_ms();
    gd_timer_stop(&loop, &t); /* not set is fine */
    ck_assert_int_eq(gd_timer_at(&loop, &never, now_ms), 0);
    ck_assert_int_eq(gd_timer_at(&loop, &t, now_ms + 3600000), 0);
    ck_assert_int_eq(gd_timer_at(&loop, &t, now_ms + 5), 0); /* nearer */
    gd_timer_stop(&loop, &never);
    (void)uv_run(&uv, UV_RUN_DEFAULT);
    ck_assert_uint_eq(n_ran, 1);
    ck_assert_int_ge(gd_mono_ms(), now_ms + 5); /* not too early */
    ck_assert(!gd_timer_is_set(&t) && !gd_timer_is_set(&never));
}

START_TEST(without_memory_a_timer_is_not_set)
{
    struct gd_timer t = {.fn = stop_loop};
    failalloc_arm(1);
    ck_assert_int_eq(gd_timer_at(&loop, &t, 0), -ENOMEM);
    ck_assert(failalloc_disarm());
    ck_assert(!gd_timer_is_set(&t));
    ck_assert_int_eq(gd_timer_at(&loop, &t, 0), 0);
    (void)uv_run(&uv, UV_RUN_DEFAULT);
    ck_assert_uint_eq(n_ran, 1);
}

/* --- watches */

static struct gd_watch watches[2];

static void ready(struct gd_watch *w, uint32_t events)
{
    ck_assert_uint_eq(events, EPOLLIN);
    n_ran++;
    gd_watch_close(&loop, &watches[w == watches]); /* the other one */
}

/* Both are ready in the same batch of events; whoever is first closes the other. */
START_TEST(a_watch_that_was_ended_is_not_called_any_more)
{
    for (unsigned i = 0; i < 2; i++) {
        watches[i] = (struct gd_watch){.fn = ready};
        ck_assert_int_eq(
            gd_watch_start(&loop, &watches[i], eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK), EPOLLIN), 0);
    }
    round_of_loop();
    ck_assert_uint_eq(n_ran, 1);
    ck_assert_uint_eq(watches[0].on + watches[1].on, 1);
    round_of_loop();
    ck_assert_uint_eq(n_ran, 2); /* level-triggered */
    gd_watch_close(&loop, &watches[0]);
    gd_watch_close(&loop, &watches[1]);
    round_of_loop();
    ck_assert_uint_eq(n_ran, 2);
}

static void note_ready(struct gd_watch *w, uint32_t events)
{
    (void)w;
    ck_assert_uint_eq(events, EPOLLOUT);
    n_ran++;
}

START_TEST(a_watch_changes_what_it_waits_for)
{
    struct gd_watch w = {.fn = note_ready};
    int fd = eventfd(0, EFD_CLOEXEC);
    gd_watch_stop(&loop, &w); /* off is fine */
    ck_assert_int_eq(gd_watch_start(&loop, &w, fd, EPOLLIN), 0);
    round_of_loop();
    ck_assert_uint_eq(n_ran, 0);
    ck_assert_int_eq(gd_watch_change(&loop, &w, EPOLLOUT), 0);
    round_of_loop();
    ck_assert_uint_eq(n_ran, 1);
    gd_watch_stop(&loop, &w);
    round_of_loop();
    ck_assert_uint_eq(n_ran, 1);
    ck_assert_int_eq(close(fd), 0); /* stopping does not close */
    ck_assert_int_eq(gd_watch_start(&loop, &w, fd, EPOLLIN), -EBADF);
    ck_assert(!w.on);
}

int main(void)
{
    TCase *tc = tcase_create("core");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    suite_add(tc, 1, what_comes_soon_comes_once_and_in_order,
              what_is_asked_for_from_inside_waits_for_the_next_round,
              a_crowd_of_timers_runs_in_slices_and_in_order, a_timer_moves_and_stops,
              without_memory_a_timer_is_not_set, a_watch_that_was_ended_is_not_called_any_more,
              a_watch_changes_what_it_waits_for);
    return suite_main("loop", tc);
}
