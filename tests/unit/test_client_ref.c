#include "client/cli_ref.h"

#include "tests/support/suite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[] = "/tmp/test_client_ref.XXXXXX";

static void setup(void)
{
    ck_assert_ptr_nonnull(mkdtemp(folder));
    ck_assert_int_eq(setenv("XDG_STATE_HOME", folder, 1), 0);
}

static void remove_in_folder(const char *name)
{
    char path[128];
    ck_assert_int_gt(snprintf(path, sizeof(path), "%s%s", folder, name), 0);
    (void)remove(path); /* some tests make no file */
}

static void teardown(void)
{
    remove_in_folder("/gather/last");
    remove_in_folder("/gather");
    ck_assert_int_eq(rmdir(folder), 0);
}

START_TEST(every_way_to_write_an_id_is_understood)
{
    static const struct {
        const char *text;
        struct cli_ref ref;
    } good[] = {
        {"17", {.id = 17}},
        {"t17", {.id = 17}},
        {"task/17", {.id = 17}},
        {"b5", {.is_batch = true, .id = 5}},
        {"batch/5", {.is_batch = true, .id = 5}},
        {"5/3", {.is_batch = true, .has_index = true, .id = 5, .index = 3}},
        {"b5/0", {.is_batch = true, .has_index = true, .id = 5, .index = 0}},
        {"batch/5/3", {.is_batch = true, .has_index = true, .id = 5, .index = 3}},
        {"last", {.is_last = true}},
        {"last/3", {.is_last = true, .is_batch = true, .has_index = true, .index = 3}},
        {"9223372036854775807", {.id = INT64_MAX}},
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct cli_ref ref = {0};
        ck_assert_msg(cli_ref_parse(good[i].text, &ref), "%s", good[i].text);
        ck_assert_uint_eq(ref.id, good[i].ref.id);
        ck_assert_uint_eq(ref.index, good[i].ref.index);
        ck_assert_int_eq(ref.is_last, good[i].ref.is_last);
        ck_assert_int_eq(ref.is_batch, good[i].ref.is_batch);
        ck_assert_int_eq(ref.has_index, good[i].ref.has_index);
    }
}

START_TEST(what_is_no_id_is_refused)
{
    static const char *const bad[] = {"",
                                      "0",
                                      "b0",
                                      "-1",
                                      "+1",
                                      "017",
                                      " 17",
                                      "17 ",
                                      "1.0",
                                      "1e3",
                                      "b",
                                      "t",
                                      "tb5",
                                      "bt5",
                                      "B5",
                                      "5/",
                                      "/5",
                                      "5/x",
                                      "5/03",
                                      "5/3/1",
                                      "t17/3",
                                      "task/1/2",
                                      "last/",
                                      "lasts",
                                      "last5",
                                      "batch",
                                      "batch/",
                                      "batches/5",
                                      "9223372036854775808",
                                      "99999999999999999999999",
                                      "5//3",
                                      "all"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct cli_ref ref;
        ck_assert_msg(!cli_ref_parse(bad[i], &ref), "\"%s\" was taken", bad[i]);
    }
}

START_TEST(the_last_one_is_remembered_for_each_daemon)
{
    bool is_batch = false;
    uint64_t id = 0;
    ck_assert(!cli_last_recall("http://a", &is_batch, &id));
    cli_last_remember("http://a", false, 17);
    cli_last_remember("http://ab", true, 5);
    ck_assert(cli_last_recall("http://a", &is_batch, &id));
    ck_assert_uint_eq(id, 17);
    ck_assert(!is_batch);
    ck_assert(cli_last_recall("http://ab", &is_batch, &id));
    ck_assert_uint_eq(id, 5);
    ck_assert(is_batch);
    cli_last_remember("http://a", true, 6);
    ck_assert(cli_last_recall("http://a", &is_batch, &id));
    ck_assert_uint_eq(id, 6);
    ck_assert(!cli_last_recall("http://b", &is_batch, &id));
}

START_TEST(many_daemons_push_out_the_one_used_longest_ago)
{
    bool is_batch = false;
    uint64_t id = 0;
    char url[32];
    for (unsigned i = 0; i < 40; i++) {
        ck_assert_int_gt(snprintf(url, sizeof(url), "http://%u", i), 0);
        cli_last_remember(url, false, i + 1);
    }
    ck_assert(!cli_last_recall("http://0", &is_batch, &id));
    ck_assert(cli_last_recall("http://39", &is_batch, &id));
    ck_assert_uint_eq(id, 40);
    ck_assert(cli_last_recall("http://8", &is_batch, &id));
    ck_assert_uint_eq(id, 9);
}

START_TEST(a_damaged_file_is_no_memory_and_can_be_replaced)
{
    static const char *const damaged[] = {
        "b5",      "b5 http://a",   "x http://a\n", "last http://a\n", "5/3 http://a\n",
        "\n\n \n", "17  http://a\n"};
    char path[128];
    cli_last_remember("http://x", false, 1); /* makes the folder */
    ck_assert_int_gt(snprintf(path, sizeof(path), "%s/gather/last", folder), 0);
    for (size_t i = 0; i < sizeof(damaged) / sizeof(damaged[0]); i++) {
        bool is_batch = false;
        uint64_t id = 0;
        FILE *f = fopen(path, "we");
        ck_assert_ptr_nonnull(f);
        ck_assert_int_ge(fputs(damaged[i], f), 0);
        ck_assert_int_eq(fclose(f), 0);
        bool found = cli_last_recall("http://a", &is_batch, &id);
        ck_assert_msg(!found || i == 1, "%s", damaged[i]);
        cli_last_remember("http://a", true, 7);
        ck_assert(cli_last_recall("http://a", &is_batch, &id));
        ck_assert_uint_eq(id, 7);
    }
}

START_TEST(without_a_place_nothing_is_remembered)
{
    bool is_batch = false;
    uint64_t id = 0;
    ck_assert_int_eq(setenv("XDG_STATE_HOME", "/dev/null/no", 1), 0);
    cli_last_remember("http://a", false, 17);
    ck_assert(!cli_last_recall("http://a", &is_batch, &id));
    ck_assert_int_eq(unsetenv("XDG_STATE_HOME"), 0);
    ck_assert_int_eq(unsetenv("HOME"), 0);
    cli_last_remember("http://a", false, 17);
    ck_assert(!cli_last_recall("http://a", &is_batch, &id));
}

int main(void)
{
    TCase *tc = tcase_create("ref");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, every_way_to_write_an_id_is_understood);
    tcase_add_test(tc, what_is_no_id_is_refused);
    tcase_add_test(tc, the_last_one_is_remembered_for_each_daemon);
    tcase_add_test(tc, many_daemons_push_out_the_one_used_longest_ago);
    tcase_add_test(tc, a_damaged_file_is_no_memory_and_can_be_replaced);
    tcase_add_test(tc, without_a_place_nothing_is_remembered);
    return suite_main("client_ref", tc);
}
