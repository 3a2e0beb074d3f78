#include "base/suggest.h"

#include <string.h>

#define LONGEST 32U

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
    unsigned least = a < b ? a : b;
    return least < c ? least : c;
}

/* Levenshtein's distance; both at most LONGEST long. */
static unsigned distance(struct gd_span a, const char *b, size_t nb)
{
    unsigned row[LONGEST + 1];
    for (unsigned k = 0; k <= nb; k++)
        row[k] = k;
    for (unsigned i = 0; i < a.len; i++) {
        unsigned diagonal = row[0];
        row[0] = i + 1;
        for (unsigned k = 0; k < nb; k++) {
            unsigned above = row[k + 1];
            row[k + 1] = min3(above + 1, row[k] + 1, diagonal + (a.ptr[i] != b[k]));
            diagonal = above;
        }
    }
    return row[nb];
}

const char *gd_suggest(struct gd_span text, const char *const *words)
{
    const char *best = NULL;
    unsigned least = 0;
    if (text.len > LONGEST)
        return NULL;
    for (; *words; words++) {
        size_t n = strlen(*words);
        if (n > LONGEST)
            continue;
        unsigned d = distance(text, *words, n);
        if (d <= (n + 2) / 3 && (!best || d < least)) {
            best = *words;
            least = d;
        }
    }
    return best;
}
