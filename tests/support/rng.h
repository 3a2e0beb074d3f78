/* tests/support/rng.h — random numbers that are the same in every run. */
#ifndef GD_TESTS_RNG_H
#define GD_TESTS_RNG_H

#include <stdint.h>

/* SplitMix64; any start value of `*state` is good. */
static inline uint64_t rng_next(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15U;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9U;
    z = (z ^ z >> 27) * 0x94d049bb133111ebU;
    return z ^ z >> 31;
}

/* A number below `n` (> 0). */
static inline unsigned rng_below(uint64_t *state, unsigned n)
{
    return (unsigned)(rng_next(state) % n);
}

#endif
