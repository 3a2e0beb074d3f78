/* base/utf8.h — UTF-8 as RFC 3629 has it. */
#ifndef GD_BASE_UTF8_H
#define GD_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Length of the well-formed sequence at the start of `s` (1 to 4), or 0: cut
 * short, overlong, a surrogate, beyond U+10FFFF or not a first byte. `n` > 0. */
unsigned gd_utf8_len(const char *s, size_t n);

/* True if the `n` bytes at `s` could be the start of a sequence that needs
 * more bytes than there are. */
bool gd_utf8_is_cut(const char *s, size_t n);

/* True if all `n` bytes are well-formed. */
bool gd_utf8_valid(const char *s, size_t n);

/* Writes code point `c` (a scalar value) to `to` and returns its length. */
unsigned gd_utf8_encode(char to[4], uint32_t c);

#endif
