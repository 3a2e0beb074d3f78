#include "base/utf8.h"

#include "tests/support/suite.h"

#include <stdlib.h>
#include <string.h>

/* A decoder written after RFC 3629's ranges by value instead of by byte. Returns
 * the length of the sequence at `s`, 0 if it is not well-formed. */
static unsigned reference_len(const unsigned char *s, size_t n)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned len = s[0] < 0x80       ? 1
                   : s[0] >> 5 == 6  ? 2
                   : s[0] >> 4 == 14 ? 3
                   : s[0] >> 3 == 30 ? 4
                                     : 0;
    if (len <= 1)
        return len;
    if (len > n)
        return 0;
    uint32_t c = s[0] & (0x7fU >> len);
    for (unsigned i = 1; i < len; i++) {
        if (s[i] >> 6 != 2)
            return 0;
        c = c << 6 | (s[i] & 0x3f);
    }
    return c >= least[len] && c <= 0x10ffff && (c < 0xd800 || c > 0xdfff) ? len : 0;
}

START_TEST(every_code_point_round_trips)
{
    for (uint32_t c = 0; c <= 0x10ffff; c++) {
        if (c >= 0xd800 && c <= 0xdfff)
            continue;
        char bytes[4];
        unsigned n = gd_utf8_encode(bytes, c);
        if (n != (c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4))
            ck_abort_msg("U+%04X has %u bytes", c, n);
        if (gd_utf8_len(bytes, n) != n || reference_len((const unsigned char *)bytes, n) != n)
            ck_abort_msg("U+%04X", c);
    }
}

START_TEST(every_three_bytes_are_judged_as_the_rfc_does)
{
    for (uint32_t v = 0; v < 1U << 24; v++) {
        unsigned char s[3] = {(unsigned char)(v >> 16), (unsigned char)(v >> 8), (unsigned char)v};
        if (gd_utf8_len((const char *)s, 3) != reference_len(s, 3))
            ck_abort_msg("%02x %02x %02x", s[0], s[1], s[2]);
    }
}

static void assert_judged(unsigned first, unsigned second, unsigned third, unsigned fourth)
{
    unsigned char s[4] = {(unsigned char)first, (unsigned char)second, (unsigned char)third,
                          (unsigned char)fourth};
    if (gd_utf8_len((const char *)s, 4) != reference_len(s, 4))
        ck_abort_msg("%02x %02x %02x %02x", s[0], s[1], s[2], s[3]);
}

START_TEST(four_byte_sequences_are_judged_as_the_rfc_does)
{
    static const unsigned char edges[] = {0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f,
                                          0xa0, 0xbf, 0xc0, 0xc2, 0xf0, 0xff};
    for (unsigned first = 0xee; first <= 0xff; first++)
        for (unsigned second = 0; second <= 0xff; second++)
            for (unsigned i = 0; i < sizeof(edges); i++)
                for (unsigned k = 0; k < sizeof(edges); k++)
                    assert_judged(first, second, edges[i], edges[k]);
}

START_TEST(a_sequence_cut_short_is_not_well_formed_but_cut)
{
    static const char *const whole[] = {"\xc2\x80",        "\xdf\xbf",     "\xe0\xa0\x80",
                                        "\xed\x9f\xbf",    "\xef\xbf\xbf", "\xf0\x90\x80\x80",
                                        "\xf4\x8f\xbf\xbf"};
    for (size_t i = 0; i < sizeof(whole) / sizeof(whole[0]); i++) {
        size_t len = strlen(whole[i]);
        for (size_t n = 1; n <= len; n++) {
            char *exact = malloc(n);
            memcpy(exact, whole[i], n);
            ck_assert_uint_eq(gd_utf8_len(exact, n), n == len ? len : 0);
            ck_assert_int_eq(gd_utf8_is_cut(exact, n), n < len);
            ck_assert_int_eq(gd_utf8_valid(exact, n), n == len);
            free(exact);
        }
    }
}

START_TEST(what_no_further_byte_can_mend_is_not_cut)
{
    static const char *const bad[] = {"a",        "\x80",         "\xc0",        "\xc1",
                                      "\xf5",     "\xff",         "\xe0\x80",    "\xe0\x9f",
                                      "\xed\xa0", "\xf0\x80",     "\xf0\x8f",    "\xf4\x90",
                                      "\xc3\xc3", "\xe2\x82\x41", "\xf0\x9f\x41"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ck_assert_msg(!gd_utf8_is_cut(bad[i], strlen(bad[i])), "entry %zu", i);
}

START_TEST(valid_looks_at_every_byte)
{
    ck_assert(gd_utf8_valid("", 0));
    ck_assert(gd_utf8_valid("a\0b", 3));
    ck_assert(gd_utf8_valid("z\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 10));
    ck_assert(!gd_utf8_valid("abc\xff", 4));
    ck_assert(!gd_utf8_valid("\xffz", 2));
    ck_assert(!gd_utf8_valid("a\xc3", 2));
    ck_assert(!gd_utf8_valid("\xed\xa0\xbd\xed\xb8\x80", 6)); /* CESU-8 */
}

int main(void)
{
    TCase *tc = tcase_create("core");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, every_code_point_round_trips);
    tcase_add_test(tc, every_three_bytes_are_judged_as_the_rfc_does);
    tcase_add_test(tc, four_byte_sequences_are_judged_as_the_rfc_does);
    tcase_add_test(tc, a_sequence_cut_short_is_not_well_formed_but_cut);
    tcase_add_test(tc, what_no_further_byte_can_mend_is_not_cut);
    tcase_add_test(tc, valid_looks_at_every_byte);
    return suite_main("base_utf8", tc);
}
