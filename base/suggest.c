#include "base/suggest.h"

#include <stdbool.h>
#include <string.h>

#define LONGEST 32U

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
    unsigned least = a < b ? a : b;
    return least < c ? least : c;
}

/* How many letters must be added, left out, replaced, or swapped with their neighbour
 * (each at most once: Damerau and Levenshtein, restricted). Both at most LONGEST
 * long. */
static unsigned distance(struct gd_span a, const char *b, size_t nb)
{
    unsigned rows[3][LONGEST + 1]; /* this letter of `a`, the one before, and before that */
    for (unsigned k = 0; k <= nb; k++)
        rows[0][k] = k;
    for (unsigned i = 1; i <= a.len; i++) {
        unsigned *row = rows[i % 3];
        const unsigned *above = rows[(i + 2) % 3];
        const unsigned *two_above = rows[(i + 1) % 3];
        row[0] = i;
        for (unsigned k = 1; k <= nb; k++) {
            row[k] = min3(above[k] + 1, row[k - 1] + 1, above[k - 1] + (a.ptr[i - 1] != b[k - 1]));
            bool swapped = i > 1 && k > 1 && a.ptr[i - 1] == b[k - 2] && a.ptr[i - 2] == b[k - 1];
            if (swapped && two_above[k - 2] + 1 < row[k])
                row[k] = two_above[k - 2] + 1;
        }
    }
    return rows[a.len % 3][nb];
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
        if (d <= (n < 6 ? 1 : n / 3) && (!best || d < least)) {
            best = *words;
            least = d;
        }
    }
    return best;
}
