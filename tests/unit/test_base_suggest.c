#include "base/suggest.h"

#include "tests/support/suite.h"

#include <stdlib.h>
#include <string.h>

static const char *const words[] = {"timeout", "priority", "name", "labels", "to", "on", NULL};

START_TEST(near_misses_are_understood)
{
    ck_assert_str_eq(gd_suggest(GD_SPAN("timout"), words), "timeout");
    ck_assert_str_eq(gd_suggest(GD_SPAN("timeouts"), words), "timeout");
    ck_assert_str_eq(gd_suggest(GD_SPAN("tiemout"), words), "timeout");
    ck_assert_str_eq(gd_suggest(GD_SPAN("label"), words), "labels");
    ck_assert_str_eq(gd_suggest(GD_SPAN("prority"), words), "priority");
    ck_assert_str_eq(gd_suggest(GD_SPAN("nmae"), words), "name");
    ck_assert_str_eq(gd_suggest(GD_SPAN("t0"), words), "to");
    ck_assert_str_eq(gd_suggest(GD_SPAN("tn"), words), "to"); /* the first of equals */
}

START_TEST(neighbours_that_changed_places_are_one_mistake)
{
    static const char *const commands[] = {"logs", "status", "list", "show", NULL};
    ck_assert_str_eq(gd_suggest(GD_SPAN("statsu"), commands), "status");
    ck_assert_str_eq(gd_suggest(GD_SPAN("tsatus"), commands), "status");
    ck_assert_str_eq(gd_suggest(GD_SPAN("tsatsu"), commands), "status");
    ck_assert_str_eq(gd_suggest(GD_SPAN("lsit"), commands), "list");
    ck_assert_str_eq(gd_suggest(GD_SPAN("sohw"), commands), "show");
    ck_assert_str_eq(gd_suggest(GD_SPAN("olgs"), commands), "logs");
    ck_assert_ptr_null(gd_suggest(GD_SPAN("sgol"), commands));
    ck_assert_ptr_null(gd_suggest(GD_SPAN("bogus"), commands));
    ck_assert_ptr_null(gd_suggest(GD_SPAN("sl"), commands));
}

START_TEST(the_word_itself_is_the_nearest)
{
    for (size_t i = 0; words[i]; i++)
        ck_assert_str_eq(gd_suggest((struct gd_span){words[i], strlen(words[i])}, words), words[i]);
}

START_TEST(what_is_far_from_all_gives_nothing)
{
    ck_assert_ptr_null(gd_suggest(GD_SPAN("retries"), words));
    ck_assert_ptr_null(gd_suggest(GD_SPAN("xyz"), words));
    ck_assert_ptr_null(gd_suggest(GD_SPAN(""), words));
    ck_assert_ptr_null(gd_suggest(GD_SPAN("tt"), (const char *const[]){NULL}));
}

START_TEST(long_texts_and_words_are_left_alone)
{
    const char *const long_words[] = {"abcdefghijklmnopqrstuvwxyz-abcdef-more", NULL};
    ck_assert_ptr_null(gd_suggest(GD_SPAN("abcdefghijklmnopqrstuvwxyz-abcdef"), long_words));
    ck_assert_ptr_null(gd_suggest(GD_SPAN("abcdefghijklmnopqrstuvwxyz-abcde"), long_words));
    size_t n = 1U << 20;
    char *huge = malloc(n);
    memset(huge, 't', n);
    ck_assert_ptr_null(gd_suggest((struct gd_span){huge, n}, words));
    free(huge);
    const char *const longest[] = {"abcdefghijklmnopqrstuvwxyz-abcde", NULL};
    ck_assert_str_eq(gd_suggest(GD_SPAN("abcdefghijklmnopqrstuvwxyz-abcdX"), longest), longest[0]);
}

int main(void)
{
    TCase *tc = tcase_create("core");
    tcase_add_test(tc, near_misses_are_understood);
    tcase_add_test(tc, neighbours_that_changed_places_are_one_mistake);
    tcase_add_test(tc, the_word_itself_is_the_nearest);
    tcase_add_test(tc, what_is_far_from_all_gives_nothing);
    tcase_add_test(tc, long_texts_and_words_are_left_alone);
    return suite_main("base_suggest", tc);
}
