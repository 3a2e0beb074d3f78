#include "daemon/core/future.h"

#include "tests/support/suite.h"

#include <signal.h>
#include <stdlib.h>

#define MOST 16

struct watcher {
    struct gd_callback callback;
    unsigned number;
    void (*also)(struct watcher *w, struct gd_future *f);
};

static struct gd_future future;
static struct watcher watchers[MOST];
static unsigned order[MOST]; /* numbers of watchers as they ran */
static unsigned n_ran;

static void ran(struct gd_callback *cb, struct gd_future *f)
{
    struct watcher *w = GD_OWNER(cb, struct watcher, callback);
    ck_assert(!gd_node_linked(&cb->node));
    ck_assert(gd_future_done(f));
    ck_assert_uint_lt(n_ran, MOST);
    order[n_ran++] = w->number;
    if (w->also)
        w->also(w, f);
}

static void watch(unsigned number)
{
    watchers[number].callback.fn = ran;
    watchers[number].number = number;
    ck_assert(gd_future_watch(&future, &watchers[number].callback));
}

static void ran_are(unsigned n, const unsigned *numbers)
{
    ck_assert_uint_eq(n_ran, n);
    for (unsigned i = 0; i < n; i++)
        ck_assert_uint_eq(order[i], numbers[i]);
}

static void setup(void)
{
    gd_future_init(&future);
    for (unsigned i = 0; i < MOST; i++)
        watchers[i] = (struct watcher){.number = i};
    n_ran = 0;
}

START_TEST(a_new_future_is_pending)
{
    ck_assert(!gd_future_done(&future));
    ck_assert_int_eq(future.state, GD_PENDING);
}

START_TEST(settling_makes_it_done_in_that_state)
{
    gd_future_settle(&future, GD_CANCELLED);
    ck_assert(gd_future_done(&future));
    ck_assert_int_eq(future.state, GD_CANCELLED);
}

START_TEST(callbacks_run_once_in_the_order_of_adding)
{
    for (unsigned i = 0; i < 5; i++)
        watch(i);
    ck_assert_uint_eq(n_ran, 0);
    gd_future_settle(&future, GD_SUCCEEDED);
    ran_are(5, (unsigned[]){0, 1, 2, 3, 4});
}

START_TEST(a_done_future_takes_no_callback)
{
    gd_future_settle(&future, GD_FAILED);
    ck_assert(!gd_future_watch(&future, &watchers[0].callback));
    ck_assert(!gd_node_linked(&watchers[0].callback.node));
}

START_TEST(removed_callbacks_do_not_run)
{
    for (unsigned i = 0; i < 4; i++)
        watch(i);
    gd_future_unwatch(&watchers[0].callback);
    gd_future_unwatch(&watchers[2].callback);
    gd_future_unwatch(&watchers[2].callback); /* in none is fine */
    gd_future_settle(&future, GD_SUCCEEDED);
    ran_are(2, (unsigned[]){1, 3});
}

START_TEST(a_removed_callback_may_come_back)
{
    watch(0);
    watch(1);
    gd_future_unwatch(&watchers[0].callback);
    watch(0);
    gd_future_settle(&future, GD_SUCCEEDED);
    ran_are(2, (unsigned[]){1, 0});
}

static void remove_two_and_four(struct watcher *w, struct gd_future *f)
{
    (void)w;
    (void)f;
    gd_future_unwatch(&watchers[2].callback);
    gd_future_unwatch(&watchers[4].callback);
}

START_TEST(a_callback_may_remove_others_that_have_not_run)
{
    for (unsigned i = 0; i < 5; i++)
        watch(i);
    watchers[1].also = remove_two_and_four;
    gd_future_settle(&future, GD_SUCCEEDED);
    ran_are(3, (unsigned[]){0, 1, 3});
}

static void remove_the_first(struct watcher *w, struct gd_future *f)
{
    (void)w;
    (void)f;
    gd_future_unwatch(&watchers[0].callback);
}

START_TEST(a_callback_may_remove_one_that_has_run)
{
    watch(0);
    watch(1);
    watch(2);
    watchers[1].also = remove_the_first;
    gd_future_settle(&future, GD_SUCCEEDED);
    ran_are(3, (unsigned[]){0, 1, 2});
}

static void watch_again(struct watcher *w, struct gd_future *f)
{
    ck_assert(!gd_future_watch(f, &w->callback));
}

START_TEST(a_callback_that_watches_again_is_told_that_it_is_done)
{
    watch(0);
    watchers[0].also = watch_again;
    gd_future_settle(&future, GD_SUCCEEDED);
    ran_are(1, (unsigned[]){0});
}

static struct gd_future other;

static void watch_the_other(struct watcher *w, struct gd_future *f)
{
    w->also = NULL;
    if (f == &future)
        ck_assert(gd_future_watch(&other, &w->callback));
}

START_TEST(a_callback_may_watch_another_future)
{
    gd_future_init(&other);
    watch(0);
    watchers[0].also = watch_the_other;
    gd_future_settle(&future, GD_SUCCEEDED);
    ran_are(1, (unsigned[]){0});
    gd_future_settle(&other, GD_FAILED);
    ran_are(2, (unsigned[]){0, 0});
}

static void settle_the_other(struct watcher *w, struct gd_future *f)
{
    (void)w;
    (void)f;
    gd_future_settle(&other, GD_SUCCEEDED);
}

START_TEST(a_callback_may_settle_another_future)
{
    gd_future_init(&other);
    watch(0);
    watch(1);
    watchers[0].also = settle_the_other;
    watchers[2] = (struct watcher){.callback.fn = ran, .number = 2};
    ck_assert(gd_future_watch(&other, &watchers[2].callback));
    gd_future_settle(&future, GD_SUCCEEDED);
    ran_are(3, (unsigned[]){0, 2, 1});
}

static struct gd_future *on_heap;

static void free_it(struct watcher *w, struct gd_future *f)
{
    (void)w;
    ck_assert_ptr_eq(f, on_heap);
    free(f);
    on_heap = NULL;
}

static void only_count(struct gd_callback *cb, struct gd_future *f)
{
    (void)f; /* gone: must not be looked at */
    order[n_ran++] = GD_OWNER(cb, struct watcher, callback)->number;
}

START_TEST(a_callback_may_free_the_future)
{
    on_heap = malloc(sizeof(*on_heap));
    ck_assert_ptr_nonnull(on_heap);
    gd_future_init(on_heap);
    for (unsigned i = 0; i < 3; i++) {
        watchers[i].callback.fn = i == 0 ? ran : only_count;
        ck_assert(gd_future_watch(on_heap, &watchers[i].callback));
    }
    watchers[0].also = free_it;
    gd_future_settle(on_heap, GD_SUCCEEDED);
    ck_assert_ptr_null(on_heap);
    ran_are(3, (unsigned[]){0, 1, 2}); /* the others are told all the same */
}

static struct watcher *heap_watcher;

static void free_the_watcher(struct watcher *w, struct gd_future *f)
{
    (void)w;
    (void)f;
    gd_future_unwatch(&heap_watcher->callback);
    free(heap_watcher);
    heap_watcher = NULL;
}

START_TEST(a_callback_may_free_another_that_has_not_run)
{
    heap_watcher = calloc(1, sizeof(*heap_watcher));
    ck_assert_ptr_nonnull(heap_watcher);
    watch(0);
    heap_watcher->callback.fn = ran;
    ck_assert(gd_future_watch(&future, &heap_watcher->callback));
    watch(1);
    watchers[0].also = free_the_watcher;
    gd_future_settle(&future, GD_SUCCEEDED);
    ran_are(2, (unsigned[]){0, 1});
}

START_TEST(a_future_settles_once)
{
    gd_future_settle(&future, GD_SUCCEEDED);
    gd_future_settle(&future, GD_FAILED); /* a bug: aborts */
}

START_TEST(a_future_settles_only_in_a_final_state)
{
    gd_future_settle(&future, GD_RUNNING);
}

int main(void)
{
    TCase *tc = tcase_create("core");
    tcase_add_checked_fixture(tc, setup, NULL);
    tcase_add_test(tc, a_new_future_is_pending);
    tcase_add_test(tc, settling_makes_it_done_in_that_state);
    tcase_add_test(tc, callbacks_run_once_in_the_order_of_adding);
    tcase_add_test(tc, a_done_future_takes_no_callback);
    tcase_add_test(tc, removed_callbacks_do_not_run);
    tcase_add_test(tc, a_removed_callback_may_come_back);
    tcase_add_test(tc, a_callback_may_remove_others_that_have_not_run);
    tcase_add_test(tc, a_callback_may_remove_one_that_has_run);
    tcase_add_test(tc, a_callback_that_watches_again_is_told_that_it_is_done);
    tcase_add_test(tc, a_callback_may_watch_another_future);
    tcase_add_test(tc, a_callback_may_settle_another_future);
    tcase_add_test(tc, a_callback_may_free_the_future);
    tcase_add_test(tc, a_callback_may_free_another_that_has_not_run);
    tcase_add_test_raise_signal(tc, a_future_settles_once, SIGABRT);
    tcase_add_test_raise_signal(tc, a_future_settles_only_in_a_final_state, SIGABRT);
    return suite_main("core_future", tc);
}
