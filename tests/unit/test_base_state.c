#include "base/state.h"

#include "tests/support/suite.h"

START_TEST(the_moves_are_exactly_these)
{
    /* from (row) to (column): pending running succeeded failed cancelled */
    static const bool moves[GD_N_STATES][GD_N_STATES] = {
        {false, true, true, true, true},     {true, false, true, true, true},
        {false, false, false, false, false}, {false, false, false, false, false},
        {false, false, false, false, false},
    };
    ck_assert_int_eq(GD_N_STATES, 5);
    for (unsigned from = 0; from < GD_N_STATES; from++)
        for (unsigned to = 0; to < GD_N_STATES; to++)
            ck_assert_msg(gd_state_may_go(from, to) == moves[from][to], "%s to %s",
                          gd_state_name(from), gd_state_name(to));
}

START_TEST(final_states_have_no_way_out)
{
    for (unsigned from = 0; from < GD_N_STATES; from++) {
        unsigned ways = 0;
        for (unsigned to = 0; to < GD_N_STATES; to++)
            ways += gd_state_may_go(from, to);
        ck_assert_int_eq(gd_state_is_final(from), ways == 0);
    }
}

START_TEST(numbers_are_those_of_the_file_format)
{
    ck_assert_int_eq(GD_PENDING, 0);
    ck_assert_int_eq(GD_RUNNING, 1);
    ck_assert_int_eq(GD_SUCCEEDED, 2);
    ck_assert_int_eq(GD_FAILED, 3);
    ck_assert_int_eq(GD_CANCELLED, 4);
    ck_assert_int_eq(GD_KIND_NONE, 0);
    ck_assert_int_eq(GD_KIND_RUN, 1);
    ck_assert_int_eq(GD_KIND_SHELL, 2);
    ck_assert_int_eq(GD_KIND_SLEEP, 3);
    ck_assert_int_eq(GD_KIND_FETCH, 4);
}

START_TEST(names_are_those_of_the_wire_format)
{
    ck_assert_str_eq(gd_state_name(GD_PENDING), "pending");
    ck_assert_str_eq(gd_state_name(GD_RUNNING), "running");
    ck_assert_str_eq(gd_state_name(GD_SUCCEEDED), "succeeded");
    ck_assert_str_eq(gd_state_name(GD_FAILED), "failed");
    ck_assert_str_eq(gd_state_name(GD_CANCELLED), "cancelled");
    ck_assert_str_eq(gd_kind_name(GD_KIND_NONE), "none");
    ck_assert_str_eq(gd_kind_name(GD_KIND_RUN), "run");
    ck_assert_str_eq(gd_kind_name(GD_KIND_SHELL), "shell");
    ck_assert_str_eq(gd_kind_name(GD_KIND_SLEEP), "sleep");
    ck_assert_str_eq(gd_kind_name(GD_KIND_FETCH), "fetch");
    ck_assert_str_eq(gd_reason_name(GD_REASON_NONE), "");
    ck_assert_str_eq(gd_reason_name(GD_REASON_QUEUED), "queued");
    ck_assert_str_eq(gd_reason_name(GD_REASON_LIMIT), "limit");
    ck_assert_str_eq(gd_reason_name(GD_REASON_LOST), "lost");
}

START_TEST(every_name_is_read_back)
{
    for (unsigned s = 0; s < GD_N_STATES; s++) {
        enum gd_state back = GD_N_STATES;
        ck_assert(gd_state_parse(gd_state_name(s), &back));
        ck_assert_uint_eq(back, s);
    }
}

START_TEST(other_words_are_no_states)
{
    static const char *const bad[] = {"", "Pending", "done", "pendin", "pendings", "0", " running"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        enum gd_state s = GD_FAILED;
        ck_assert_msg(!gd_state_parse(bad[i], &s), "%s", bad[i]);
        ck_assert_int_eq(s, GD_FAILED);
    }
}

int main(void)
{
    TCase *tc = tcase_create("core");
    tcase_add_test(tc, the_moves_are_exactly_these);
    tcase_add_test(tc, final_states_have_no_way_out);
    tcase_add_test(tc, numbers_are_those_of_the_file_format);
    tcase_add_test(tc, names_are_those_of_the_wire_format);
    tcase_add_test(tc, every_name_is_read_back);
    tcase_add_test(tc, other_words_are_no_states);
    return suite_main("base_state", tc);
}
