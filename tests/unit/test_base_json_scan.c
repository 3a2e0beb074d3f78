/* Whole texts; test_base_json_walk.c has the cursor. */
#include "base/json_scan.h"

#include "tests/support/failalloc.h"
#include "tests/support/rng.h"
#include "tests/support/suite.h"
#include "tests/unit/json_texts.h"

#include <cjson/cJSON.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Checks a copy of exactly `n` bytes, so that a sanitizer sees every step too far. */
static bool check(const char *text, size_t n, unsigned depth, struct gd_json_fault *fault)
{
    char *copy = malloc(n);
    memcpy(copy, text, n);
    bool good = gd_json_check((struct gd_span){copy, n}, depth, fault);
    free(copy);
    ck_assert_int_eq(good, !fault->what);
    ck_assert_uint_le(fault->offset, n);
    return good;
}

START_TEST(what_the_rfc_allows_is_accepted)
{
    for (size_t i = 0; i < N_JSON_GOOD; i++) {
        struct gd_json_fault fault;
        ck_assert_msg(check(json_good[i].text, json_good[i].n, 16, &fault), "%s: %s at %zu",
                      json_good[i].text, fault.what, fault.offset);
    }
}

START_TEST(what_the_rfc_forbids_is_rejected_where_it_goes_wrong)
{
    for (size_t i = 0; i < N_JSON_BAD; i++) {
        const struct json_text *bad = &json_bad[i];
        struct gd_json_fault fault;
        ck_assert_msg(!check(bad->text, bad->n, 16, &fault), "accepted: %s", bad->text);
        ck_assert_msg(fault.offset == bad->at, "%s: %s at %zu, not %zu", bad->text, fault.what,
                      fault.offset, bad->at);
    }
}

/* Puts `text` between `before` and `after` and checks that. */
static bool check_within(const char *before, const struct json_text *text, const char *after,
                         struct gd_json_fault *fault)
{
    struct gd_buf b = {0};
    gd_buf_puts(&b, before);
    gd_buf_put(&b, text->text, text->n);
    gd_buf_puts(&b, after);
    bool good = check(b.ptr, b.len, 16, fault);
    gd_buf_free(&b);
    return good;
}

START_TEST(good_texts_stay_good_inside_others)
{
    for (size_t i = 0; i < N_JSON_GOOD; i++) {
        struct gd_json_fault fault;
        ck_assert_msg(check_within("[1,", &json_good[i], ",2]", &fault), "%s", json_good[i].text);
        ck_assert_msg(check_within("{\"k\":", &json_good[i], "}", &fault), "%s", json_good[i].text);
    }
}

START_TEST(bad_texts_stay_bad_inside_others)
{
    for (size_t i = 0; i < N_JSON_BAD; i++) {
        const struct json_text *bad = &json_bad[i];
        struct gd_json_fault fault;
        if (bad->n == strspn(bad->text, " \t\r\n"))
            continue; /* nothing is fine inside an array */
        ck_assert_msg(!check_within("[[", bad, "]]", &fault), "%s", bad->text);
        ck_assert_msg(!check_within("{\"k\":[", bad, "],\"l\":0}", &fault), "%s", bad->text);
    }
}

START_TEST(every_prefix_of_a_good_text_is_rejected)
{
    unsigned n_texts = 0;
    for (size_t i = 0; i < N_JSON_GOOD; i++) {
        const struct json_text *good = &json_good[i];
        char last = good->text[good->n - 1];
        if (last != ']' && last != '}' && last != '"')
            continue; /* a prefix of a number may well be one */
        n_texts++;
        for (size_t n = 0; n < good->n; n++) {
            struct gd_json_fault fault;
            ck_assert_msg(!check(good->text, n, 16, &fault), "%zu bytes of %s", n, good->text);
        }
    }
    ck_assert_uint_gt(n_texts, 50);
}

START_TEST(every_prefix_of_a_large_document_is_rejected)
{
    static const char text[] =
        " {\"jobs\" : [{\"run\":[\"a\\u00e9\\ud83d\\ude00\xf0\x9f\x98\x80\",\"\"],\"timeout\":-1.5e+10},"
        "{\"env\":{\"A\":\"1\",\"\\u0042\":\"2\"},\"on\":[true,false,null]}],\"z\":{\"y\":{}}}";
    struct gd_json_fault fault;
    ck_assert(check(text, sizeof(text) - 1, 5, &fault));
    for (size_t n = 0; n < sizeof(text) - 1; n++)
        ck_assert_msg(!check(text, n, 5, &fault), "%zu bytes", n);
}

START_TEST(a_byte_too_much_is_rejected_after_every_closed_document)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        char text[3] = {'[', ']', (char)byte};
        struct gd_json_fault fault;
        bool space = byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
        ck_assert_int_eq(check(text, 3, 1, &fault), space);
        ck_assert_uint_eq(fault.offset, space ? 0 : 2);
    }
}

START_TEST(every_byte_in_a_string_is_judged)
{
    for (unsigned at = 1; at < 20; at++)
        for (unsigned byte = 0; byte < 256; byte++) {
            char text[] = "\"0123456789acdeghijk\"";
            text[at] = (char)byte;
            struct gd_json_fault fault;
            bool good = check(text, sizeof(text) - 1, 1, &fault);
            ck_assert_int_eq(good, byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\');
            if (!good && byte != '"')
                ck_assert_uint_eq(fault.offset, byte == '\\' && at == 19 ? 21 : at);
        }
}

/* Texts that resemble JSON: `n` tokens without much sense. */
static void put_tokens(struct gd_buf *b, uint64_t *seed, unsigned n)
{
    static const char *const tokens[] = {
        "{",      "}",   "[",    "]",    ",",       ":",       "\"a\"", "\"",     "1",     "-",
        "0",      ".5",  "e1",   "true", "nul",     "null",    " ",     "\"\\",   "\\u12", "\xc3",
        "\"b\":", "{\"", "\xa9", "[[[",  "\\ud83d", "\\ude00", "]}",    "\"c\":1"};
    while (n-- > 0)
        gd_buf_puts(b, tokens[rng_below(seed, sizeof(tokens) / sizeof(tokens[0]))]);
}

START_TEST(whatever_is_accepted_cjson_accepts_too)
{
    uint64_t seed = 9;
    unsigned n_good = 0;
    for (unsigned round = 0; round < 60000; round++) {
        struct gd_buf b = {0};
        put_tokens(&b, &seed, 1 + rng_below(&seed, 8));
        struct gd_json_fault fault;
        if (check(b.ptr, b.len, 16, &fault)) {
            cJSON *tree = cJSON_ParseWithLength(b.ptr, b.len);
            ck_assert_msg(tree != NULL, "%.*s", (int)b.len, b.ptr);
            cJSON_Delete(tree);
            n_good++;
        }
        gd_buf_free(&b);
    }
    ck_assert_uint_gt(n_good, 1000);
}

START_TEST(mutations_of_good_texts_break_nothing)
{
    uint64_t seed = 10;
    for (unsigned round = 0; round < 60000; round++) {
        const struct json_text *good = &json_good[rng_below(&seed, N_JSON_GOOD)];
        char text[200];
        ck_assert_uint_lt(good->n, sizeof(text));
        memcpy(text, good->text, good->n);
        for (unsigned n = rng_below(&seed, 3); n < 3; n++)
            text[rng_below(&seed, (unsigned)good->n)] = (char)rng_below(&seed, 256);
        struct gd_json_fault fault;
        (void)check(text, good->n, 16, &fault);
    }
}

/* `depth` open brackets, alternating as the bits of `kinds`, and their ends. */
static void put_nested(struct gd_buf *b, unsigned depth, unsigned kinds)
{
    for (unsigned i = 0; i < depth; i++)
        gd_buf_puts(b, kinds >> (i % 4) & 1 ? "{\"a\":" : "[");
    gd_buf_putc(b, '0');
    for (unsigned i = depth; i-- > 0;)
        gd_buf_putc(b, kinds >> (i % 4) & 1 ? '}' : ']');
}

START_TEST(nesting_is_accepted_at_the_limit_and_rejected_above)
{
    static const unsigned limits[] = {0, 1, 2, 64, GD_JSON_MAX_DEPTH};
    for (unsigned i = 0; i < sizeof(limits) / sizeof(limits[0]); i++)
        for (unsigned kinds = 0; kinds < 16; kinds++) {
            struct gd_buf b = {0};
            struct gd_json_fault fault;
            put_nested(&b, limits[i], kinds);
            ck_assert(check(b.ptr, b.len, limits[i], &fault));
            gd_buf_reset(&b);
            put_nested(&b, limits[i] + 1, kinds);
            ck_assert(!check(b.ptr, b.len, limits[i], &fault));
            ck_assert_str_eq(fault.what, "nested too deeply");
            gd_buf_free(&b);
        }
}

START_TEST(no_limit_goes_beyond_the_largest)
{
    struct gd_buf b = {0};
    struct gd_json_fault fault;
    for (unsigned i = 0; i < 2000000; i++)
        gd_buf_putc(&b, '[');
    ck_assert(!check(b.ptr, b.len, UINT32_MAX, &fault));
    ck_assert_str_eq(fault.what, "nested too deeply");
    ck_assert_uint_eq(fault.offset, GD_JSON_MAX_DEPTH);
    gd_buf_free(&b);
}

START_TEST(depth_counts_open_brackets_only)
{
    struct gd_json_fault fault;
    ck_assert(check("[[],[],[[]],[]]", 15, 3, &fault));
    ck_assert(!check("[[],[],[[]],[]]", 15, 2, &fault));
    ck_assert_uint_eq(fault.offset, 8);
    ck_assert(check("\"[[[[[[\"", 8, 0, &fault));
}

/* `n` times `byte` after `head`, then `tail`. */
static bool check_long(const char *head, char byte, size_t n, const char *tail)
{
    struct gd_buf b = {0};
    struct gd_json_fault fault;
    gd_buf_puts(&b, head);
    memset(gd_buf_reserve(&b, n), byte, n);
    b.len += n;
    gd_buf_puts(&b, tail);
    bool good = check(b.ptr, b.len, 1, &fault);
    gd_buf_free(&b);
    return good;
}

START_TEST(numbers_are_accepted_as_far_as_a_double_goes)
{
    ck_assert(check_long("", '1', 308, ""));
    ck_assert(check_long("", '9', 308, ""));
    ck_assert(check_long("1", '0', 308, "")); /* 1e308 */
    ck_assert(!check_long("1", '0', 309, ""));
    ck_assert(!check_long("-", '9', 309, ""));
    ck_assert(check_long("0.", '0', 100000, "1"));
    ck_assert(check_long("1.", '9', 100000, ""));
    ck_assert(check_long("0.", '0', 500, "1e501"));
    ck_assert(!check_long("1", '0', 100000, "e-1"));
    ck_assert(check_long("1", '0', 1000, "e-1000"));
    ck_assert(!check_long("", '9', 1000000, ""));
    ck_assert(check_long("1e", '0', 1000, "1"));
}

START_TEST(without_memory_a_good_text_is_not_called_bad)
{
    static const char *const texts[] = {"[{\"a\":[{\"b\":1}]}]", "1e300"};
    for (size_t i = 0; i < 2; i++)
        for (unsigned long nth = 1;; nth++) {
            struct gd_json_fault fault;
            failalloc_arm(nth);
            bool good = gd_json_check((struct gd_span){texts[i], strlen(texts[i])}, 8, &fault);
            if (!failalloc_disarm()) {
                ck_assert(good);
                ck_assert_uint_gt(nth, 1);
                break;
            }
            ck_assert(!good);
            ck_assert_str_eq(fault.what, "out of memory");
            ck_assert(fault.no_memory);
        }
}

int main(void)
{
    TCase *tc = tcase_create("core");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, what_the_rfc_allows_is_accepted);
    tcase_add_test(tc, what_the_rfc_forbids_is_rejected_where_it_goes_wrong);
    tcase_add_test(tc, good_texts_stay_good_inside_others);
    tcase_add_test(tc, bad_texts_stay_bad_inside_others);
    tcase_add_test(tc, every_prefix_of_a_good_text_is_rejected);
    tcase_add_test(tc, every_prefix_of_a_large_document_is_rejected);
    tcase_add_test(tc, a_byte_too_much_is_rejected_after_every_closed_document);
    tcase_add_test(tc, every_byte_in_a_string_is_judged);
    tcase_add_test(tc, whatever_is_accepted_cjson_accepts_too);
    tcase_add_test(tc, mutations_of_good_texts_break_nothing);
    tcase_add_test(tc, nesting_is_accepted_at_the_limit_and_rejected_above);
    tcase_add_test(tc, no_limit_goes_beyond_the_largest);
    tcase_add_test(tc, depth_counts_open_brackets_only);
    tcase_add_test(tc, numbers_are_accepted_as_far_as_a_double_goes);
    tcase_add_test(tc, without_memory_a_good_text_is_not_called_bad);
    return suite_main("base_json_scan", tc);
}
