#include "base/list.h"

#include "tests/support/rng.h"
#include "tests/support/suite.h"

#include <string.h>

struct item {
    int id;
    struct gd_node node;
};

static struct gd_node list;
static struct item items[6];

static void setup(void)
{
    gd_list_init(&list);
    memset(items, 0, sizeof(items));
    for (int i = 0; i < 6; i++)
        items[i].id = i;
}

/* The ids in order as digits, forwards; checks that backwards is the mirror. */
static const char *ids(const struct gd_node *head)
{
    static char text[8];
    size_t n = 0;
    gd_list_each (node, head)
        text[n++] = (char)('0' + GD_OWNER(node, struct item, node)->id);
    text[n] = '\0';
    for (struct gd_node *node = head->prev; node != head; node = node->prev)
        ck_assert_int_eq(text[--n], '0' + GD_OWNER(node, struct item, node)->id);
    ck_assert_uint_eq(n, 0);
    return text;
}

static void push(struct gd_node *head, int from, int to)
{
    for (int i = from; i <= to; i++)
        gd_list_push(head, &items[i].node);
}

START_TEST(a_fresh_list_is_empty)
{
    ck_assert(gd_list_empty(&list));
    ck_assert_ptr_null(gd_list_shift(&list));
    ck_assert_str_eq(ids(&list), "");
}

START_TEST(push_appends_and_unshift_prepends)
{
    push(&list, 1, 3);
    gd_list_unshift(&list, &items[0].node);
    ck_assert_str_eq(ids(&list), "0123");
    ck_assert(!gd_list_empty(&list));
    ck_assert(gd_node_linked(&items[0].node));
    ck_assert(!gd_node_linked(&items[5].node));
}

START_TEST(unlink_works_anywhere_and_twice)
{
    push(&list, 0, 4);
    gd_node_unlink(&items[2].node);
    gd_node_unlink(&items[0].node);
    gd_node_unlink(&items[4].node);
    gd_node_unlink(&items[4].node);
    ck_assert_str_eq(ids(&list), "13");
    ck_assert(!gd_node_linked(&items[4].node));
    gd_list_push(&list, &items[4].node);
    ck_assert_str_eq(ids(&list), "134");
}

START_TEST(shift_takes_in_order)
{
    push(&list, 0, 2);
    for (int i = 0; i < 3; i++) {
        struct gd_node *node = gd_list_shift(&list);
        ck_assert_ptr_eq(node, &items[i].node);
        ck_assert(!gd_node_linked(node));
    }
    ck_assert(gd_list_empty(&list));
}

START_TEST(splice_moves_all_to_the_end)
{
    struct gd_node other;
    gd_list_init(&other);
    gd_list_splice(&list, &other);
    ck_assert_str_eq(ids(&list), "");
    push(&list, 0, 1);
    gd_list_splice(&list, &other);
    ck_assert_str_eq(ids(&list), "01");
    push(&other, 2, 4);
    gd_list_splice(&list, &other);
    ck_assert_str_eq(ids(&list), "01234");
    ck_assert(gd_list_empty(&other));
    gd_list_splice(&other, &list);
    ck_assert_str_eq(ids(&other), "01234");
    ck_assert(gd_list_empty(&list));
    while (gd_list_shift(&other))
        ;
}

START_TEST(the_safe_walk_may_unlink_what_it_is_at)
{
    push(&list, 0, 5);
    gd_list_each_safe (node, &list) {
        if (GD_OWNER(node, struct item, node)->id % 2 == 0)
            gd_node_unlink(node);
    }
    ck_assert_str_eq(ids(&list), "135");
    gd_list_each_safe (node, &list)
        gd_node_unlink(node);
    ck_assert(gd_list_empty(&list));
}

START_TEST(random_operations_agree_with_a_string)
{
    char model[8] = "";
    uint64_t seed = 2;
    for (unsigned step = 0; step < 20000; step++) {
        unsigned id = rng_below(&seed, 6);
        char *at = strchr(model, (int)('0' + id));
        size_t n = strlen(model);
        ck_assert_int_eq(gd_node_linked(&items[id].node), at != NULL);
        if (at) {
            memmove(at, at + 1, strlen(at));
            gd_node_unlink(&items[id].node);
        } else if (rng_below(&seed, 2)) {
            model[n] = (char)('0' + id);
            model[n + 1] = '\0';
            gd_list_push(&list, &items[id].node);
        } else {
            memmove(model + 1, model, n + 1);
            model[0] = (char)('0' + id);
            gd_list_unshift(&list, &items[id].node);
        }
        ck_assert_str_eq(ids(&list), model);
    }
}

int main(void)
{
    TCase *tc = tcase_create("core");
    tcase_set_timeout(tc, 30);
    tcase_add_checked_fixture(tc, setup, NULL);
    tcase_add_test(tc, a_fresh_list_is_empty);
    tcase_add_test(tc, push_appends_and_unshift_prepends);
    tcase_add_test(tc, unlink_works_anywhere_and_twice);
    tcase_add_test(tc, shift_takes_in_order);
    tcase_add_test(tc, splice_moves_all_to_the_end);
    tcase_add_test(tc, the_safe_walk_may_unlink_what_it_is_at);
    tcase_add_test(tc, random_operations_agree_with_a_string);
    return suite_main("base_list", tc);
}
