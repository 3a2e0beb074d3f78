#include "base/err.h"

#include "tests/support/suite.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

static const int codes[] = {
#define X(id, code, name, text) (code),
    GD_ERRORS(X)
#undef X
};

#define N_CODES (sizeof(codes) / sizeof(codes[0]))

START_TEST(every_code_has_a_text)
{
    ck_assert_str_eq(gd_err_text(0), "Success");
    ck_assert_str_eq(gd_err_text(-ENOMEM), "Cannot allocate memory");
    ck_assert_str_eq(gd_err_text(GD_E_FULL), "the queue is full");
    ck_assert_str_eq(gd_err_text(-4000), "unknown error");
    ck_assert_str_eq(gd_err_text(-99999), "unknown error");
    ck_assert_str_eq(gd_err_text(ENOMEM), "unknown error");
    ck_assert_str_eq(gd_err_text(INT_MIN), "unknown error");
    ck_assert_str_eq(gd_err_text(INT_MAX), "unknown error");
}

START_TEST(own_codes_are_apart_from_errno_and_from_each_other)
{
    for (size_t i = 0; i < N_CODES; i++) {
        ck_assert_int_lt(codes[i], -5000);
        for (size_t k = 0; k < i; k++) {
            ck_assert_int_ne(codes[i], codes[k]);
            ck_assert_str_ne(gd_err_name(codes[i]), gd_err_name(codes[k]));
            ck_assert_str_ne(gd_err_text(codes[i]), gd_err_text(codes[k]));
        }
    }
}

START_TEST(wire_names_are_slugs)
{
    for (size_t i = 0; i < N_CODES; i++) {
        const char *name = gd_err_name(codes[i]);
        ck_assert_uint_gt(strlen(name), 2);
        ck_assert_uint_eq(strspn(name, "abcdefghijklmnopqrstuvwxyz-"), strlen(name));
    }
    ck_assert_str_eq(gd_err_name(GD_E_FULL), "queue-full");
    ck_assert_str_eq(gd_err_name(-EIO), "internal");
    ck_assert_str_eq(gd_err_name(0), "internal");
}

START_TEST(errno_names_take_either_sign)
{
    ck_assert_str_eq(gd_err_errno_name(-ENOENT), "ENOENT");
    ck_assert_str_eq(gd_err_errno_name(ENOENT), "ENOENT");
    ck_assert_str_eq(gd_err_errno_name(-4000), "E?");
    ck_assert_str_eq(gd_err_errno_name(GD_E_FULL), "E?");
    ck_assert_str_eq(gd_err_errno_name(INT_MIN), "E?");
}

START_TEST(set_keeps_code_and_story)
{
    struct gd_err err = {0};
    ck_assert_int_eq(gd_err_set(&err, GD_E_BAD_JOB, "job %d is empty", 3), GD_E_BAD_JOB);
    ck_assert_int_eq(err.code, GD_E_BAD_JOB);
    ck_assert_str_eq(err.text, "job 3 is empty");
    ck_assert_int_eq(gd_err_set(NULL, -EIO, "x"), -EIO);
}

START_TEST(a_long_story_is_cut)
{
    struct gd_err err = {0};
    char story[2000];
    memset(story, 's', sizeof(story) - 1);
    story[sizeof(story) - 1] = '\0';
    ck_assert_int_eq(gd_err_set(&err, -EIO, "%s", story), -EIO);
    ck_assert_uint_eq(strlen(err.text), sizeof(err.text) - 1);
}

int main(void)
{
    TCase *tc = tcase_create("core");
    tcase_add_test(tc, every_code_has_a_text);
    tcase_add_test(tc, own_codes_are_apart_from_errno_and_from_each_other);
    tcase_add_test(tc, wire_names_are_slugs);
    tcase_add_test(tc, errno_names_take_either_sign);
    tcase_add_test(tc, set_keeps_code_and_story);
    tcase_add_test(tc, a_long_story_is_cut);
    return suite_main("base_err", tc);
}
