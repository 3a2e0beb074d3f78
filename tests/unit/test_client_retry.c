#include "client/retry.h"

#include "tests/support/suite.h"

static struct gather_attempt broken(enum gather_repeat repeat)
{
    return (struct gather_attempt){.repeat = repeat,
                                   .reached = true,
                                   .sent = true,
                                   .retry_after_ms = -1,
                                   .patience_ms = 30000,
                                   .n = 1};
}

static int64_t again(struct gather_attempt a)
{
    return gather_retry_ms(&a, 0);
}

START_TEST(what_may_be_sent_twice_is)
{
    ck_assert_int_eq(again(broken(GATHER_REPEAT_SAFE)), 100);
    ck_assert_int_eq(again(broken(GATHER_REPEAT_KEYED)), 100);
    ck_assert_int_eq(again(broken(GATHER_REPEAT_ONCE)), -1);
}

START_TEST(what_never_left_may_be_sent_again_in_any_case)
{
    struct gather_attempt a = broken(GATHER_REPEAT_ONCE);
    a.sent = false;
    ck_assert_int_eq(again(a), 100);
}

START_TEST(an_address_that_never_answered_is_an_error_at_once)
{
    struct gather_attempt a = broken(GATHER_REPEAT_SAFE);
    a.reached = a.sent = false;
    ck_assert_int_eq(again(a), -1);
}

START_TEST(answers_that_will_pass_are_waited_out)
{
    static const struct {
        int status;
        int64_t safe;
        int64_t keyed;
        int64_t once;
    } cases[] = {
        {200, -1, -1, -1},   {202, -1, -1, -1},    {400, -1, -1, -1},   {404, -1, -1, -1},
        {409, -1, -1, -1},   {424, -1, -1, -1},    {429, 100, -1, -1},  {500, -1, -1, -1},
        {502, 100, 100, -1}, {503, 100, 100, 100}, {504, 100, 100, -1},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct gather_attempt a = broken(GATHER_REPEAT_SAFE);
        a.status = cases[i].status;
        ck_assert_msg(again(a) == cases[i].safe, "GET, %d", a.status);
        a.repeat = GATHER_REPEAT_KEYED;
        ck_assert_msg(again(a) == cases[i].keyed, "POST with a key, %d", a.status);
        a.repeat = GATHER_REPEAT_ONCE;
        ck_assert_msg(again(a) == cases[i].once, "POST without, %d", a.status);
    }
}

START_TEST(the_time_between_doubles_up_to_two_seconds)
{
    static const int64_t wait[] = {100, 200, 400, 800, 1600, 2000, 2000, 2000};
    struct gather_attempt a = broken(GATHER_REPEAT_SAFE);
    for (unsigned i = 0; i < sizeof(wait) / sizeof(wait[0]); i++) {
        a.n = i + 1;
        ck_assert_int_eq(again(a), wait[i]);
    }
    a.n = 4000000000U;
    ck_assert_int_eq(again(a), 2000);
}

START_TEST(jitter_is_less_than_a_fifth)
{
    struct gather_attempt a = broken(GATHER_REPEAT_SAFE);
    a.n = 100;
    for (uint32_t random = 0; random < 5000; random += 7) {
        int64_t wait = gather_retry_ms(&a, random);
        ck_assert_int_ge(wait, 2000);
        ck_assert_int_lt(wait, 2400);
    }
}

START_TEST(retry_after_is_kept_if_it_is_longer)
{
    struct gather_attempt a = broken(GATHER_REPEAT_SAFE);
    a.status = 503;
    a.retry_after_ms = 5000;
    ck_assert_int_eq(again(a), 5000);
    a.retry_after_ms = 0;
    ck_assert_int_eq(again(a), 100);
    a.retry_after_ms = 30001; /* longer than anybody is ready to wait */
    ck_assert_int_eq(again(a), -1);
}

START_TEST(a_request_that_is_still_being_worked_on_is_asked_about)
{
    struct gather_attempt a = broken(GATHER_REPEAT_KEYED);
    a.status = 409;
    ck_assert_int_eq(again(a), -1);
    a.retry_after_ms = 1000;
    ck_assert_int_eq(again(a), 1000);
    a.repeat = GATHER_REPEAT_SAFE;
    ck_assert_int_eq(again(a), -1);
}

START_TEST(patience_ends)
{
    struct gather_attempt a = broken(GATHER_REPEAT_SAFE);
    a.away_ms = 29900;
    ck_assert_int_eq(again(a), 100);
    a.away_ms = 29901;
    ck_assert_int_eq(again(a), -1);
    a.away_ms = 0;
    a.patience_ms = 0;
    ck_assert_int_eq(again(a), -1);
}

int main(void)
{
    TCase *tc = tcase_create("retry");
    tcase_add_test(tc, what_may_be_sent_twice_is);
    tcase_add_test(tc, what_never_left_may_be_sent_again_in_any_case);
    tcase_add_test(tc, an_address_that_never_answered_is_an_error_at_once);
    tcase_add_test(tc, answers_that_will_pass_are_waited_out);
    tcase_add_test(tc, the_time_between_doubles_up_to_two_seconds);
    tcase_add_test(tc, jitter_is_less_than_a_fifth);
    tcase_add_test(tc, retry_after_is_kept_if_it_is_longer);
    tcase_add_test(tc, a_request_that_is_still_being_worked_on_is_asked_about);
    tcase_add_test(tc, patience_ends);
    return suite_main("client_retry", tc);
}
