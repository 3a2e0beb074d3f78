#include "base/heap.h"

#include "tests/support/failalloc.h"
#include "tests/support/rng.h"
#include "tests/support/suite.h"

#include <errno.h>
#include <string.h>

enum {
    N_NODES = 2000
};

static struct gd_heap heap;
static struct gd_heap_node nodes[N_NODES];

static void setup(void)
{
    heap = (struct gd_heap){0};
    memset(nodes, 0, sizeof(nodes));
}

static void teardown(void)
{
    gd_heap_free(&heap);
}

static void add(unsigned i, int64_t key)
{
    ck_assert_int_eq(gd_heap_add(&heap, &nodes[i], key), 0);
}

/* Every node knows its place, no parent is larger than a child, and the nodes
 * that say they are in the heap are as many as are there. */
static void assert_sound(void)
{
    uint32_t n = 0;
    for (unsigned i = 0; i < N_NODES; i++)
        if (nodes[i].pos > 0) {
            if (heap.nodes[nodes[i].pos - 1] != &nodes[i]) /* an assertion each takes too long */
                ck_abort_msg("node %u is not in its place", i);
            n++;
        }
    ck_assert_uint_eq(n, heap.n);
    for (uint32_t i = 1; i < heap.n; i++)
        if (heap.nodes[(i - 1) / 2]->key > heap.nodes[i]->key)
            ck_abort_msg("node %u is smaller than its parent", i);
}

static int64_t least_of_model(void)
{
    int64_t least = INT64_MAX;
    for (unsigned i = 0; i < N_NODES; i++)
        if (nodes[i].pos > 0 && nodes[i].key < least)
            least = nodes[i].key;
    return least;
}

START_TEST(all_zero_bytes_is_an_empty_heap)
{
    ck_assert_ptr_null(gd_heap_min(&heap));
    gd_heap_del(&heap, &nodes[0]); /* in no heap */
    gd_heap_free(NULL);
}

START_TEST(nodes_come_out_smallest_first)
{
    uint64_t seed = 5;
    for (unsigned i = 0; i < N_NODES; i++)
        add(i, (int64_t)rng_next(&seed));
    assert_sound();
    int64_t last = INT64_MIN;
    for (unsigned i = 0; i < N_NODES; i++) {
        struct gd_heap_node *node = gd_heap_min(&heap);
        ck_assert_int_ge(node->key, last);
        last = node->key;
        gd_heap_del(&heap, node);
        ck_assert_uint_eq(node->pos, 0);
    }
    ck_assert_ptr_null(gd_heap_min(&heap));
}

START_TEST(keys_may_be_anything)
{
    add(0, INT64_MAX);
    add(1, INT64_MIN);
    add(2, 0);
    add(3, -1);
    ck_assert_ptr_eq(gd_heap_min(&heap), &nodes[1]);
    gd_heap_del(&heap, &nodes[1]);
    ck_assert_ptr_eq(gd_heap_min(&heap), &nodes[3]);
    gd_heap_del(&heap, &nodes[3]);
    gd_heap_del(&heap, &nodes[2]);
    ck_assert_ptr_eq(gd_heap_min(&heap), &nodes[0]);
}

START_TEST(equal_keys_all_come_out)
{
    for (unsigned i = 0; i < 100; i++)
        add(i, 7);
    for (unsigned i = 0; i < 100; i++)
        gd_heap_del(&heap, gd_heap_min(&heap));
    assert_sound();
    ck_assert_uint_eq(heap.n, 0);
}

START_TEST(random_adds_and_deletions_anywhere_keep_it_sound)
{
    uint64_t seed = 6;
    for (unsigned step = 0; step < 60000; step++) {
        unsigned i = rng_below(&seed, N_NODES);
        unsigned add_percent = step / 10000 % 2 ? 20 : 80; /* grows and shrinks in turns */
        if (nodes[i].pos == 0 && rng_below(&seed, 100) < add_percent)
            add(i, (int64_t)rng_below(&seed, 500));
        else if (rng_below(&seed, 100) >= add_percent)
            gd_heap_del(&heap, &nodes[i]);
        if (step % 50 == 0) {
            assert_sound();
            if (heap.n > 0)
                ck_assert_int_eq(gd_heap_min(&heap)->key, least_of_model());
        }
    }
}

START_TEST(add_without_memory_leaves_the_node_out)
{
    for (unsigned i = 0; i < N_NODES; i++) {
        failalloc_arm(1);
        int rc = gd_heap_add(&heap, &nodes[i], -(int64_t)i);
        if (failalloc_disarm()) {
            ck_assert_int_eq(rc, -ENOMEM);
            ck_assert_uint_eq(nodes[i].pos, 0);
            assert_sound();
            add(i, -(int64_t)i);
        } else {
            ck_assert_int_eq(rc, 0);
        }
    }
    assert_sound();
}

START_TEST(a_heap_that_emptied_gives_its_memory_back_if_it_can)
{
    for (unsigned i = 0; i < N_NODES; i++)
        add(i, i);
    uint32_t most = heap.cap;
    unsigned n_fired = 0;
    for (unsigned i = 0; i < N_NODES; i++) {
        failalloc_arm(i % 2 + 1); /* every other chance to shrink fails */
        gd_heap_del(&heap, &nodes[i]);
        n_fired += failalloc_disarm();
    }
    ck_assert_uint_gt(n_fired, 0);
    ck_assert_uint_lt(heap.cap, most / 8);
    assert_sound();
    add(0, 1);
    assert_sound();
}

int main(void)
{
    TCase *tc = tcase_create("core");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, all_zero_bytes_is_an_empty_heap);
    tcase_add_test(tc, nodes_come_out_smallest_first);
    tcase_add_test(tc, keys_may_be_anything);
    tcase_add_test(tc, equal_keys_all_come_out);
    tcase_add_test(tc, random_adds_and_deletions_anywhere_keep_it_sound);
    tcase_add_test(tc, add_without_memory_leaves_the_node_out);
    tcase_add_test(tc, a_heap_that_emptied_gives_its_memory_back_if_it_can);
    return suite_main("base_heap", tc);
}
