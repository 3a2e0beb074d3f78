/* The cursor of base/json_scan.h, names and strings. */
#include "base/json_scan.h"

#include "tests/support/failalloc.h"
#include "tests/support/suite.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static struct gd_json_cursor cursor;
static char *copy; /* exactly as many bytes as the text has */

static void begin(const char *text, unsigned depth)
{
    gd_json_cursor_done(&cursor);
    free(copy);
    size_t n = strlen(text);
    copy = malloc(n);
    memcpy(copy, text, n);
    gd_json_cursor_init(&cursor, (struct gd_span){copy, n}, depth);
}

static void setup(void)
{
    cursor = (struct gd_json_cursor){0};
    copy = NULL;
}

static void teardown(void)
{
    gd_json_cursor_done(&cursor);
    gd_json_cursor_done(&cursor); /* twice is fine */
    free(copy);
}

static void assert_span(struct gd_span s, const char *text)
{
    ck_assert_msg(s.len == strlen(text) && memcmp(s.ptr, text, s.len) == 0, "\"%.*s\", not \"%s\"",
                  (int)s.len, s.ptr, text);
}

/* Walks the array `text` to its end and puts its elements one per line into
 * `ret_all`. Returns the cursor's fault. */
static struct gd_json_fault walk_array(const char *text, struct gd_buf *ret_all)
{
    begin(text, 8);
    ck_assert_int_eq(gd_json_peek(&cursor), '[');
    gd_json_open(&cursor);
    bool first = true;
    struct gd_span value;
    while (gd_json_next_element(&cursor, &first) && gd_json_value(&cursor, &value)) {
        struct gd_json_fault fault;
        ck_assert(gd_json_check(value, 8, &fault));
        gd_buf_span(ret_all, value);
        gd_buf_putc(ret_all, '\n');
    }
    bool good = gd_json_end(&cursor);
    ck_assert_int_eq(good, !cursor.fault.what);
    return cursor.fault;
}

static struct gd_json_fault walk_object(const char *text, struct gd_buf *ret_all)
{
    begin(text, 8);
    ck_assert_int_eq(gd_json_peek(&cursor), '{');
    gd_json_open(&cursor);
    bool first = true;
    struct gd_span name;
    struct gd_span value;
    while (gd_json_next_member(&cursor, &first, &name) && gd_json_value(&cursor, &value)) {
        gd_buf_span(ret_all, name);
        gd_buf_putc(ret_all, '=');
        gd_buf_span(ret_all, value);
        gd_buf_putc(ret_all, '\n');
    }
    bool good = gd_json_end(&cursor);
    ck_assert_int_eq(good, !cursor.fault.what);
    return cursor.fault;
}

START_TEST(an_array_is_cut_into_its_elements)
{
    static const struct {
        const char *text;
        const char *elements;
    } table[] = {
        {"[]", ""},
        {" [ ] ", ""},
        {"[1]", "1\n"},
        {"\n[ {\"a\" : [1, 2]} ,\t\"x]\",[ ],{}, -1.5e3 ,null]\r",
         "{\"a\" : [1, 2]}\n\"x]\"\n[ ]\n{}\n-1.5e3\nnull\n"},
        {"[[[[[[[[[]]]]]]]]]", "[[[[[[[[]]]]]]]]\n"}, /* depth is counted inside an element */
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct gd_buf all = {0};
        struct gd_json_fault fault = walk_array(table[i].text, &all);
        ck_assert_msg(!fault.what, "%s: %s", table[i].text, fault.what);
        assert_span(gd_buf_view(&all), table[i].elements);
        gd_buf_free(&all);
    }
}

START_TEST(an_object_is_cut_into_its_members)
{
    struct gd_buf all = {0};
    struct gd_json_fault fault =
        walk_object(" { \"a\" : 1 ,\"\\u0062\":[{\"x\":1}],\"\":{} } ", &all);
    ck_assert_ptr_null(fault.what);
    assert_span(gd_buf_view(&all), "\"a\"=1\n\"\\u0062\"=[{\"x\":1}]\n\"\"={}\n");
    gd_buf_reset(&all);
    fault = walk_object("{ }", &all);
    ck_assert_ptr_null(fault.what);
    assert_span(gd_buf_view(&all), "");
    gd_buf_free(&all);
}

START_TEST(a_broken_walk_says_where)
{
    static const struct {
        const char *text;
        size_t at;
    } table[] = {
        {"[", 1},
        {"[1", 2},
        {"[1,", 3},
        {"[1,]", 3},
        {"[,1]", 1},
        {"[1 2]", 3},
        {"[1}", 2},
        {"[}", 1},
        {"[1,,2]", 3},
        {"[1]]", 3},
        {"[1] 2", 4},
        {"[tru]", 1},
        {"[1,\"a]", 6},
        {"[[1}]", 3},
        {"[{\"a\":1,\"a\":2}]", 8},
        {"[[[[[[[[[[", 9},
        {"{", 1},
        {"{\"a\"", 4},
        {"{\"a\":", 5},
        {"{\"a\":1", 6},
        {"{\"a\":1,", 7},
        {"{\"a\":1,}", 7},
        {"{,}", 1},
        {"{1:2}", 1},
        {"{\"a\" 1}", 5},
        {"{\"a\":1]", 6},
        {"{\"a\":}", 5},
        {"{\"a\":1}}", 7},
        {"{\"a\":1 \"b\":2}", 7},
        {"{\"\\x\":1}", 2},
        {"{]", 1},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct gd_buf all = {0};
        struct gd_json_fault fault = table[i].text[0] == '[' ? walk_array(table[i].text, &all)
                                                             : walk_object(table[i].text, &all);
        ck_assert_msg(fault.what != NULL, "%s", table[i].text);
        ck_assert_msg(fault.offset == table[i].at, "%s: %s at %zu, not %zu", table[i].text,
                      fault.what, fault.offset, table[i].at);
        gd_buf_free(&all);
    }
}

START_TEST(every_prefix_breaks_the_walk)
{
    const char *array = "[{\"a\":1},[2,3],\"x\\n\",-4]";
    const char *object = "{\"a\":{\"b\":1},\"c\":[2,3],\"\\u0064\":\"x\"}";
    for (size_t n = 1; n <= strlen(object); n++) {
        struct gd_buf all = {0};
        char prefix[64];
        memcpy(prefix, object, n);
        prefix[n] = '\0';
        ck_assert_int_eq(walk_object(prefix, &all).what != NULL, n < strlen(object));
        if (n <= strlen(array)) {
            memcpy(prefix, array, n);
            prefix[n] = '\0';
            ck_assert_int_eq(walk_array(prefix, &all).what != NULL, n < strlen(array));
        }
        gd_buf_free(&all);
    }
}

START_TEST(the_first_fault_stays)
{
    begin("[x,y]", 4);
    struct gd_span value;
    bool first = true;
    gd_json_open(&cursor);
    ck_assert(gd_json_next_element(&cursor, &first));
    ck_assert(!gd_json_value(&cursor, &value));
    ck_assert(!gd_json_value(&cursor, &value));
    ck_assert(!gd_json_next_element(&cursor, &first));
    ck_assert(!gd_json_next_member(&cursor, &first, &value));
    ck_assert(!gd_json_end(&cursor));
    ck_assert_uint_eq(cursor.fault.offset, 1);
}

START_TEST(several_documents_follow_each_other)
{
    begin("1 {\"a\":1}\n\"x\" ", 4);
    struct gd_span value;
    ck_assert(gd_json_value(&cursor, &value));
    assert_span(value, "1");
    ck_assert(gd_json_value(&cursor, &value));
    assert_span(value, "{\"a\":1}");
    ck_assert(gd_json_value(&cursor, &value));
    assert_span(value, "\"x\"");
    ck_assert_int_eq(gd_json_peek(&cursor), '\0');
    ck_assert(gd_json_end(&cursor));
    ck_assert(!gd_json_value(&cursor, &value));
}

START_TEST(the_first_nul_escape_is_noted)
{
    struct gd_span value;
    begin("[\"a\",{\"b\\u0000\":\"\\u0000\"}]", 4);
    ck_assert(gd_json_value(&cursor, &value));
    ck_assert_uint_eq(cursor.nul_offset, 8);
    begin("\"\\\\u0000 u0000 \\u0001\\u1000\"", 4);
    ck_assert(gd_json_value(&cursor, &value));
    ck_assert_uint_eq(cursor.nul_offset, SIZE_MAX);
}

/* An object of `n` members "k0" to "k<n-1>"; the name of number `again` is
 * written as `name`, if not NULL. */
static bool check_wide(size_t n, size_t again, const char *name, struct gd_json_fault *fault)
{
    struct gd_buf b = {0};
    for (size_t i = 0; i < n; i++) {
        gd_buf_putc(&b, i == 0 ? '{' : ',');
        if (name && i == again)
            gd_buf_printf(&b, "\"%s\":{\"k0\":[]}", name);
        else
            gd_buf_printf(&b, "\"k%zu\":{\"k0\":[]}", i);
    }
    gd_buf_putc(&b, '}');
    bool good = gd_json_check(gd_buf_view(&b), 8, fault);
    gd_buf_free(&b);
    return good;
}

START_TEST(duplicates_are_found_in_objects_of_any_width)
{
    static const size_t widths[] = {2, 3, 22, 23, 24, 25, 26, 47, 100, 5000};
    for (size_t i = 0; i < sizeof(widths) / sizeof(widths[0]); i++) {
        size_t n = widths[i];
        struct gd_json_fault fault;
        ck_assert(check_wide(n, 0, NULL, &fault));
        ck_assert(!check_wide(n, n - 1, "k0", &fault));
        ck_assert_str_eq(fault.what, "a name that this object has already");
        ck_assert(!check_wide(n, n - 1, "\\u006b\\u0030", &fault));
        ck_assert(!check_wide(n, 0, "k1", &fault));
        ck_assert(!check_wide(n, 1, "\\u006b0", &fault));
        ck_assert(check_wide(n, n - 1, "K0", &fault));
        ck_assert(check_wide(n, n - 1, "\\\\u006b0", &fault));
    }
}

START_TEST(the_fault_of_a_duplicate_is_at_the_later_name)
{
    struct gd_buf b = {0};
    size_t at = 0;
    gd_buf_puts(&b, "{\"dup\":0");
    for (unsigned i = 0; i < 60; i++) {
        if (i == 40)
            at = b.len + 1;
        gd_buf_printf(&b, ",\"%s%u\":{\"dup\":1}", i == 40 ? "dup\":0,\"" : "k", i);
    }
    gd_buf_putc(&b, '}');
    struct gd_json_fault fault;
    ck_assert(!gd_json_check(gd_buf_view(&b), 8, &fault));
    ck_assert_uint_eq(fault.offset, at);
    gd_buf_free(&b);
}

START_TEST(the_same_name_in_nested_objects_is_fine)
{
    struct gd_buf b = {0};
    for (unsigned i = 0; i < 30; i++)
        gd_buf_printf(&b, "{\"a\":0,\"b\":[{\"a\":1},{\"a\":2}],\"c\":");
    gd_buf_puts(&b, "0");
    for (unsigned i = 0; i < 30; i++)
        gd_buf_puts(&b, ",\"d\":1}");
    struct gd_json_fault fault;
    ck_assert_msg(gd_json_check(gd_buf_view(&b), 64, &fault), "%s", fault.what);
    gd_buf_free(&b);
}

/* Names whose hashes collide (FNV-1a, 32 bit): any choice of one from each pair.
 * Found by search, for the hash that base/json_scan.c uses. */
static const char *const collisions[16][2] = {
    {"kdcvk", "yxyh1"}, {"4bv7c", "fwqt0"}, {"lo0n0", "61mfa"}, {"bjbfk", "7k44i"},
    {"fef2u", "gqj2d"}, {"du30n", "1eohk"}, {"byx6v", "y0s4g"}, {"eo821", "m3miq"},
    {"c904k", "1nkzq"}, {"ffwec", "4n83h"}, {"5nppc", "st6x9"}, {"wf52q", "vh8ng"},
    {"iohec", "u43vx"}, {"no5nh", "ahe17"}, {"byk2r", "4vkhc"}, {"81v7r", "qum2c"},
};

/* An object of 2^`bits` names with one hash. */
static void put_colliding(struct gd_buf *b, unsigned bits)
{
    for (unsigned i = 0; i < 1U << bits; i++) {
        gd_buf_puts(b, i == 0 ? "{\"" : ",\"");
        for (unsigned k = 0; k < bits; k++)
            gd_buf_puts(b, collisions[k][i >> k & 1]);
        gd_buf_puts(b, "\":0");
    }
}

START_TEST(names_that_collide_cost_no_more_than_others)
{
    struct gd_buf b = {0};
    struct gd_json_fault fault;
    put_colliding(&b, 16); /* comparing all pairs would take minutes */
    gd_buf_putc(&b, '}');
    ck_assert(gd_json_check(gd_buf_view(&b), 8, &fault));
    b.len--;
    gd_buf_printf(&b, ",\"");
    for (unsigned k = 0; k < 16; k++)
        gd_buf_puts(&b, collisions[k][1]);
    gd_buf_puts(&b, "\":0}");
    ck_assert(!gd_json_check(gd_buf_view(&b), 8, &fault));
    gd_buf_free(&b);
}

START_TEST(names_that_collide_are_told_apart)
{
    static const char *const objects[] = {
        "{\"\\ud83d\\ude00pwkwaon\":1,\"abc\\ud83d\\ude0028msb3r\":2}",
        "{\"abc\\ud83d\\ude0028msb3r\":1,\"\\ud83d\\ude00pwkwaon\":2}",
        "{\"\xf0\x9f\x98\x80pwkwaon\":1,\"abc\\ud83d\\ude0028msb3r\":2}",
        "{\"kdcvk\":1,\"yxyh1\":2}",
        "{\"kdcvk4bv7c\":1,\"yxyh14bv7c\":2,\"kdcvkfwqt0\":3}",
    };
    for (size_t i = 0; i < sizeof(objects) / sizeof(objects[0]); i++) {
        struct gd_json_fault fault;
        struct gd_span text = {objects[i], strlen(objects[i])};
        ck_assert_msg(gd_json_check(text, 8, &fault), "%s", objects[i]);
    }
}

START_TEST(a_name_is_the_same_however_it_is_written)
{
    static const struct {
        const char *quoted;
        const char *literal;
        bool same;
    } table[] = {
        {"\"run\"", "run", true},
        {"\"\\u0072un\"", "run", true},
        {"\"\\u0072\\u0075\\u006e\"", "run", true},
        {"\"\\/\"", "/", true},
        {"\"\"", "", true},
        {"\"\\u20ac\"", "\xe2\x82\xac", true},
        {"\"x\\ud83d\\ude00\"", "x\xf0\x9f\x98\x80", true},
        {"\"ru\"", "run", false},
        {"\"runs\"", "run", false},
        {"\"\\u0072u\"", "run", false},
        {"\"\\u0072uns\"", "run", false},
        {"\"run\\u0000\"", "run", false},
        {"\"\\u0000run\"", "run", false},
        {"\"\\u0000\"", "", false},
        {"\"\"", "run", false},
        {"\"run\"", "", false},
        {"\"Run\"", "run", false},
        {"\"x\\ud83d\\ude00\"", "x\xf0\x9f\x98", false},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct gd_span name = {table[i].quoted, strlen(table[i].quoted)};
        failalloc_arm(1); /* it must not need memory: what would it say? */
        bool same = gd_json_name_is(name, table[i].literal);
        ck_assert_msg(!failalloc_disarm(), "%s", table[i].quoted);
        ck_assert_msg(same == table[i].same, "%s", table[i].quoted);
    }
}

START_TEST(unquoting_decodes_every_escape)
{
    struct gd_buf b = {0};
    gd_json_unquote(GD_SPAN("\"\""), &b);
    assert_span(gd_buf_view(&b), "");
    gd_json_unquote(GD_SPAN("\"plain \xc3\xa9\""), &b);
    gd_json_unquote(GD_SPAN("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""), &b);
    gd_json_unquote(GD_SPAN("\"\\u0041\\u00e9\\u20AC\\ud83d\\uDE00\xc3\xa9!\""), &b);
    assert_span(gd_buf_view(&b), "plain \xc3\xa9\"\\/\b\f\n\r\t"
                                 "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\xc3\xa9!");
    gd_buf_reset(&b);
    gd_json_unquote(GD_SPAN("\"a\\u0000b\""), &b);
    ck_assert_uint_eq(b.len, 3);
    ck_assert_mem_eq(b.ptr, "a\0b", 3);
    gd_buf_free(&b);
}

START_TEST(without_memory_a_wide_object_is_not_called_bad)
{
    struct gd_buf b = {0};
    put_colliding(&b, 8);
    gd_buf_putc(&b, '}');
    for (unsigned long nth = 1;; nth++) {
        struct gd_json_fault fault;
        failalloc_arm(nth);
        bool good = gd_json_check(gd_buf_view(&b), 8, &fault);
        if (!failalloc_disarm()) {
            ck_assert(good);
            ck_assert_uint_gt(nth, 4);
            break;
        }
        ck_assert(!good);
        ck_assert(fault.no_memory);
    }
    gd_buf_free(&b);
}

int main(void)
{
    TCase *tc = tcase_create("core");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, an_array_is_cut_into_its_elements);
    tcase_add_test(tc, an_object_is_cut_into_its_members);
    tcase_add_test(tc, a_broken_walk_says_where);
    tcase_add_test(tc, every_prefix_breaks_the_walk);
    tcase_add_test(tc, the_first_fault_stays);
    tcase_add_test(tc, several_documents_follow_each_other);
    tcase_add_test(tc, the_first_nul_escape_is_noted);
    tcase_add_test(tc, duplicates_are_found_in_objects_of_any_width);
    tcase_add_test(tc, the_fault_of_a_duplicate_is_at_the_later_name);
    tcase_add_test(tc, the_same_name_in_nested_objects_is_fine);
    tcase_add_test(tc, names_that_collide_cost_no_more_than_others);
    tcase_add_test(tc, names_that_collide_are_told_apart);
    tcase_add_test(tc, a_name_is_the_same_however_it_is_written);
    tcase_add_test(tc, unquoting_decodes_every_escape);
    tcase_add_test(tc, without_memory_a_wide_object_is_not_called_bad);
    return suite_main("base_json_walk", tc);
}
