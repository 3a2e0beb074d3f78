/* Messages: fields in, fields out, and what is cut off or strange. */
#include "daemon/proto/msg.h"

#include "tests/support/failalloc.h"
#include "tests/support/suite.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct gd_msg m;

static void setup(void)
{
    gd_msg_init(&m, GD_MSG_START, 7, 2);
}

static void teardown(void)
{
    gd_msg_free(&m);
}

static struct gd_msg_view view(void)
{
    return (struct gd_msg_view){.type = (enum gd_msg_type)m.head.type,
                                .task = m.head.task,
                                .attempt = m.head.attempt,
                                .fields = gd_buf_view(&m.fields)};
}

START_TEST(fields_come_out_as_they_went_in)
{
    struct gd_span bytes;
    unsigned field = 0;
    size_t pos = 0;
    gd_msg_str(&m, GD_FIELD_CWD, "/home");
    gd_msg_str(&m, GD_FIELD_TO, NULL); /* left out */
    gd_msg_u64(&m, GD_FIELD_TIMEOUT_MS, UINT64_MAX);
    gd_msg_put(&m, GD_FIELD_STDIN, "a\0b", 3);
    gd_msg_put(&m, GD_FIELD_BODY, NULL, 0);
    size_t opened = gd_msg_open(&m, GD_FIELD_ARGV);
    gd_buf_put(&m.fields, "x\0yy", 5);
    gd_msg_close(&m, opened);
    const struct gd_msg_view v = view();
    static const struct {
        unsigned field;
        size_t len;
    } expected[] = {{GD_FIELD_CWD, 5},
                    {GD_FIELD_TIMEOUT_MS, 8},
                    {GD_FIELD_STDIN, 3},
                    {GD_FIELD_BODY, 0},
                    {GD_FIELD_ARGV, 5}};
    for (unsigned i = 0; i < 5; i++) {
        ck_assert(gd_msg_next(&v, &pos, &field, &bytes));
        ck_assert_uint_eq(field, expected[i].field);
        ck_assert_uint_eq(bytes.len, expected[i].len);
    }
    ck_assert(!gd_msg_next(&v, &pos, &field, &bytes));
    ck_assert(gd_msg_is_whole(&v));
    ck_assert(gd_msg_find(&v, GD_FIELD_STDIN, &bytes));
    ck_assert_mem_eq(bytes.ptr, "a\0b", 3);
    ck_assert(!gd_msg_find(&v, GD_FIELD_URL, &bytes));
}

START_TEST(a_number_has_eight_bytes)
{
    gd_msg_u64(&m, GD_FIELD_SLOTS, 12);
    gd_msg_put(&m, GD_FIELD_PID, "1234", 4);
    const struct gd_msg_view v = view();
    ck_assert_uint_eq(gd_msg_num(&v, GD_FIELD_SLOTS, 5), 12);
    ck_assert_uint_eq(gd_msg_num(&v, GD_FIELD_PID, 5), 5);
    ck_assert_uint_eq(gd_msg_num(&v, GD_FIELD_EPOCH, 5), 5);
    ck_assert_uint_eq(gd_msg_as_u64((struct gd_span){"1234", 4}), 0);
}

START_TEST(the_first_of_two_fields_counts)
{
    gd_msg_u64(&m, GD_FIELD_SLOTS, 1);
    gd_msg_u64(&m, GD_FIELD_SLOTS, 2);
    const struct gd_msg_view v = view();
    ck_assert_uint_eq(gd_msg_num(&v, GD_FIELD_SLOTS, 0), 1);
}

/* Any message that is cut off anywhere, copied to exactly its size: nothing beyond it is
 * read, and only whole fields are handed out. */
START_TEST(what_is_cut_off_is_not_whole)
{
    gd_msg_str(&m, GD_FIELD_CWD, "/home");
    gd_msg_u64(&m, GD_FIELD_SLOTS, 1);
    const struct gd_msg_view whole = view();
    for (size_t n = 1; n < whole.fields.len; n++) {
        char *copy = malloc(n);
        ck_assert_ptr_nonnull(copy);
        memcpy(copy, whole.fields.ptr, n);
        struct gd_msg_view v = {.fields = {copy, n}};
        struct gd_span bytes;
        ck_assert_int_eq(gd_msg_is_whole(&v), n == 13); /* between the two */
        ck_assert_int_eq(gd_msg_find(&v, GD_FIELD_CWD, &bytes), n >= 13);
        ck_assert_uint_eq(gd_msg_num(&v, GD_FIELD_SLOTS, 9), 9);
        free(copy);
    }
}

START_TEST(a_length_beyond_the_end_is_not_followed)
{
    uint32_t head[2] = {GD_FIELD_CWD, _i == 0 ? 1 : _i == 1 ? UINT32_MAX : UINT32_MAX - 7};
    const struct gd_msg_view v = {.fields = {(const char *)head, sizeof(head)}};
    struct gd_span bytes;
    ck_assert(!gd_msg_find(&v, GD_FIELD_CWD, &bytes));
    ck_assert(!gd_msg_is_whole(&v));
}

START_TEST(a_copy_ends_with_nul)
{
    gd_msg_put(&m, GD_FIELD_CWD, "/home", 3);
    const struct gd_msg_view v = view();
    char *copy = gd_msg_dup(&v, GD_FIELD_CWD);
    ck_assert_str_eq(copy, "/ho");
    free(copy);
    ck_assert_ptr_null(gd_msg_dup(&v, GD_FIELD_URL));
}

START_TEST(without_memory_the_error_sticks)
{
    char *big = calloc(1, 100000);
    ck_assert_ptr_nonnull(big);
    gd_msg_str(&m, GD_FIELD_CWD, "/home");
    size_t opened = gd_msg_open(&m, GD_FIELD_ARGV);
    failalloc_arm(1);
    gd_msg_put(&m, GD_FIELD_STDIN, big, 100000);
    ck_assert(failalloc_disarm());
    gd_msg_close(&m, opened);
    gd_msg_u64(&m, GD_FIELD_SLOTS, 1);
    ck_assert_int_eq(gd_buf_error(&m.fields), -ENOMEM);
    free(big);
}

START_TEST(every_type_has_a_name)
{
    ck_assert_str_eq(gd_msg_type_name(GD_MSG_LIST_END), "list-end");
    ck_assert_str_eq(gd_msg_type_name(31), "?");
    ck_assert_str_eq(gd_msg_type_name(UINT32_MAX), "?");
}

int main(void)
{
    TCase *tc = tcase_create("core");
    tcase_add_checked_fixture(tc, setup, teardown);
    suite_add(tc, 1, fields_come_out_as_they_went_in, a_number_has_eight_bytes,
              the_first_of_two_fields_counts, what_is_cut_off_is_not_whole, a_copy_ends_with_nul,
              without_memory_the_error_sticks, every_type_has_a_name);
    suite_add(tc, 3, a_length_beyond_the_end_is_not_followed);
    return suite_main("proto_msg", tc);
}
