#include "base/fault.h"
#include "base/limits.h"

#include "tests/support/failalloc.h"
#include "tests/support/suite.h"

#include <stdlib.h>
#include <string.h>

static struct gd_faults faults;

static void setup(void)
{
    faults = (struct gd_faults){0};
}

static void teardown(void)
{
    gd_faults_free(&faults);
}

START_TEST(faults_keep_their_order_and_their_story)
{
    gd_faults_add(&faults, "/jobs/3", "timeout", "must be between %d and %d", 0, 9);
    gd_faults_add(&faults, "", NULL, "must be an object");
    ck_assert_uint_eq(faults.n, 2);
    ck_assert_uint_eq(faults.n_all, 2);
    ck_assert_str_eq(faults.items[0].pointer, "/jobs/3/timeout");
    ck_assert_str_eq(faults.items[0].detail, "must be between 0 and 9");
    ck_assert_str_eq(faults.items[1].pointer, "");
    ck_assert_str_eq(faults.items[1].detail, "must be an object");
}

START_TEST(members_are_escaped_as_rfc_6901_has_it)
{
    gd_faults_add(&faults, "/a", "m~n/o~1", "x");
    gd_faults_add(&faults, "/a", "", "x");
    ck_assert_str_eq(faults.items[0].pointer, "/a/m~0n~1o~01");
    ck_assert_str_eq(faults.items[1].pointer, "/a/");
}

START_TEST(the_limit_is_kept_and_one_above_is_counted)
{
    for (unsigned i = 0; i < GD_MAX_FAULTS; i++)
        gd_faults_add(&faults, "/x", NULL, "fault %u", i);
    ck_assert_uint_eq(faults.n, GD_MAX_FAULTS);
    gd_faults_add(&faults, "/x", NULL, "one too many");
    ck_assert_uint_eq(faults.n, GD_MAX_FAULTS);
    ck_assert_uint_eq(faults.n_all, GD_MAX_FAULTS + 1);
    ck_assert_str_eq(faults.items[GD_MAX_FAULTS - 1].detail, "fault 99");
    ck_assert(!faults.no_memory);
}

START_TEST(long_stories_are_cut_and_long_pointers_are_not)
{
    size_t n = 100000;
    char *text = malloc(n + 1);
    memset(text, 'p', n);
    text[n] = '\0';
    gd_faults_add(&faults, text, NULL, "%s", text);
    ck_assert_uint_eq(strlen(faults.items[0].pointer), n);
    ck_assert_uint_lt(strlen(faults.items[0].detail), 600);
    free(text);
}

START_TEST(free_makes_it_new)
{
    gd_faults_add(&faults, "/x", "y", "z");
    gd_faults_free(&faults);
    ck_assert_uint_eq(faults.n_all, 0);
    ck_assert_ptr_null(faults.items);
    gd_faults_free(NULL);
}

START_TEST(without_memory_a_fault_is_counted_and_the_loss_is_noted)
{
    unsigned long nth = 1;
    for (bool fired = true; fired; nth++) {
        failalloc_arm(nth);
        gd_faults_add(&faults, "/jobs/0", "name", "must be a string");
        fired = failalloc_disarm();
        ck_assert_uint_eq(faults.n_all, 1);
        ck_assert_uint_eq(faults.n, fired ? 0 : 1);
        ck_assert_int_eq(faults.no_memory, fired);
        gd_faults_free(&faults);
    }
    ck_assert_uint_gt(nth, 3);
}

int main(void)
{
    TCase *tc = tcase_create("core");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, faults_keep_their_order_and_their_story);
    tcase_add_test(tc, members_are_escaped_as_rfc_6901_has_it);
    tcase_add_test(tc, the_limit_is_kept_and_one_above_is_counted);
    tcase_add_test(tc, long_stories_are_cut_and_long_pointers_are_not);
    tcase_add_test(tc, free_makes_it_new);
    tcase_add_test(tc, without_memory_a_fault_is_counted_and_the_loss_is_noted);
    return suite_main("base_fault", tc);
}
