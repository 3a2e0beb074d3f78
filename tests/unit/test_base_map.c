#include "base/map.h"

#include "tests/support/failalloc.h"
#include "tests/support/rng.h"
#include "tests/support/suite.h"

#include <errno.h>
#include <string.h>

/* Keys of the random tests: neighbours, ones that share their low bits, ones
 * that share their high bits, and the bounds. */
enum {
    N_KEYS = 3000
};

static struct gd_map map;
static uint64_t keys[N_KEYS];
static char cells[N_KEYS][2]; /* two values for each key */
static const char *model[N_KEYS];

static void setup(void)
{
    map = (struct gd_map){0};
    memset(model, 0, sizeof(model));
    for (unsigned i = 0; i < N_KEYS; i++)
        keys[i] = i % 3 == 0 ? i : i % 3 == 1 ? (uint64_t)i << 40 : UINT64_MAX - i;
    keys[2] = UINT64_MAX;
}

static void teardown(void)
{
    gd_map_free(&map);
}

/* Every key has the model's value, and the walk meets exactly those. */
static void assert_agrees(void)
{
    size_t n = 0;
    for (unsigned i = 0; i < N_KEYS; i++) {
        if (gd_map_get(&map, keys[i]) != model[i]) /* an assertion each takes too long */
            ck_abort_msg("key %u has another value", i);
        n += model[i] != NULL;
    }
    ck_assert_uint_eq(map.n, n);
    size_t pos = 0;
    for (char *value; (value = gd_map_next(&map, &pos)); n--)
        if (value != model[(size_t)(value - cells[0]) / 2])
            ck_abort_msg("the walk meets what is not there");
    ck_assert_uint_eq(n, 0);
}

/* One random step among the first `n_keys` keys: of 100, `puts` are puts. */
static void step(uint64_t *seed, unsigned n_keys, unsigned puts)
{
    unsigned i = rng_below(seed, n_keys);
    if (rng_below(seed, 100) < puts) {
        char *value = &cells[i][rng_below(seed, 2)];
        if (gd_map_put(&map, keys[i], value) != 0)
            ck_abort_msg("put");
        model[i] = value;
    } else {
        if (gd_map_del(&map, keys[i]) != model[i])
            ck_abort_msg("del");
        model[i] = NULL;
    }
}

START_TEST(all_zero_bytes_is_an_empty_map)
{
    size_t pos = 0;
    ck_assert_ptr_null(gd_map_get(&map, 0));
    ck_assert_ptr_null(gd_map_del(&map, 7));
    ck_assert_ptr_null(gd_map_next(&map, &pos));
    gd_map_free(NULL);
}

START_TEST(put_replaces_and_del_returns_what_was_there)
{
    ck_assert_int_eq(gd_map_put(&map, 0, &cells[0][0]), 0);
    ck_assert_int_eq(gd_map_put(&map, 0, &cells[0][1]), 0);
    ck_assert_uint_eq(map.n, 1);
    ck_assert_ptr_eq(gd_map_get(&map, 0), &cells[0][1]);
    ck_assert_ptr_eq(gd_map_del(&map, 0), &cells[0][1]);
    ck_assert_ptr_null(gd_map_del(&map, 0));
    ck_assert_ptr_null(gd_map_get(&map, 0));
    ck_assert_uint_eq(map.n, 0);
}

START_TEST(random_operations_agree_with_an_array)
{
    uint64_t seed = 3;
    for (unsigned round = 0; round < 12; round++) {
        for (unsigned i = 0; i < 8000; i++)
            step(&seed, N_KEYS, round % 3 == 2 ? 10 : 65); /* every third one shrinks */
        assert_agrees();
    }
}

START_TEST(small_crowded_tables_agree_after_every_step)
{
    uint64_t seed = 4;
    for (unsigned i = 0; i < 3000; i++) {
        step(&seed, 12, 60); /* clusters that wrap around the end of 16 slots */
        assert_agrees();
    }
}

START_TEST(a_map_that_emptied_gives_its_memory_back)
{
    for (unsigned i = 0; i < N_KEYS; i++)
        ck_assert_int_eq(gd_map_put(&map, keys[i], cells[i]), 0);
    size_t most = map.n_slots;
    for (unsigned i = 0; i < N_KEYS; i++)
        ck_assert_ptr_eq(gd_map_del(&map, keys[i]), cells[i]);
    ck_assert_uint_lt(map.n_slots, most / 16);
    assert_agrees();
}

START_TEST(put_without_memory_changes_nothing)
{
    failalloc_arm(1);
    int rc = gd_map_put(&map, 1, cells[0]);
    ck_assert(failalloc_disarm());
    ck_assert_int_eq(rc, -ENOMEM);
    assert_agrees();
    for (unsigned i = 0; i < N_KEYS; i++) {
        failalloc_arm(1);
        rc = gd_map_put(&map, keys[i], cells[i]);
        if (failalloc_disarm()) {
            ck_assert_int_eq(rc, -ENOMEM);
            ck_assert_ptr_null(gd_map_get(&map, keys[i]));
            rc = gd_map_put(&map, keys[i], cells[i]);
        }
        ck_assert_int_eq(rc, 0);
        model[i] = cells[i];
    }
    assert_agrees();
}

START_TEST(after_reserving_nothing_can_fail)
{
    for (size_t n = 1; n <= N_KEYS; n = n * 2 + 7) {
        ck_assert_int_eq(gd_map_reserve(&map, n), 0);
        failalloc_arm(1);
        for (size_t i = 0; i < n; i++)
            if (gd_map_put(&map, keys[i], cells[i]) != 0)
                ck_abort_msg("put %zu of %zu", i, n);
        ck_assert(!failalloc_disarm());
        ck_assert_uint_eq(map.n, n);
        gd_map_free(&map);
    }
}

START_TEST(reserving_keeps_what_is_there)
{
    for (unsigned i = 0; i < 100; i++) {
        ck_assert_int_eq(gd_map_put(&map, keys[i], cells[i]), 0);
        model[i] = cells[i];
    }
    size_t n_slots = map.n_slots;
    ck_assert_int_eq(gd_map_reserve(&map, 10), 0);
    ck_assert_uint_eq(map.n_slots, n_slots);
    failalloc_arm(1);
    int rc = gd_map_reserve(&map, 1000);
    ck_assert(failalloc_disarm());
    ck_assert_int_eq(rc, -ENOMEM);
    assert_agrees();
    ck_assert_int_eq(gd_map_reserve(&map, 1000), 0);
    assert_agrees();
}

START_TEST(del_needs_no_memory)
{
    for (unsigned i = 0; i < N_KEYS; i++)
        ck_assert_int_eq(gd_map_put(&map, keys[i], cells[i]), 0);
    unsigned n_fired = 0;
    for (unsigned i = 0; i < N_KEYS; i++) {
        failalloc_arm(1);
        void *value = gd_map_del(&map, keys[i]);
        n_fired += failalloc_disarm();
        ck_assert_ptr_eq(value, cells[i]);
    }
    ck_assert_uint_gt(n_fired, 0);
    assert_agrees();
}

int main(void)
{
    TCase *tc = tcase_create("core");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, all_zero_bytes_is_an_empty_map);
    tcase_add_test(tc, put_replaces_and_del_returns_what_was_there);
    tcase_add_test(tc, random_operations_agree_with_an_array);
    tcase_add_test(tc, small_crowded_tables_agree_after_every_step);
    tcase_add_test(tc, a_map_that_emptied_gives_its_memory_back);
    tcase_add_test(tc, put_without_memory_changes_nothing);
    tcase_add_test(tc, after_reserving_nothing_can_fail);
    tcase_add_test(tc, reserving_keeps_what_is_there);
    tcase_add_test(tc, del_needs_no_memory);
    return suite_main("base_map", tc);
}
