/* client/wait.h — the time that a wait has, cut into slices; inside libgather only. */
#ifndef GATHER_WAIT_H
#define GATHER_WAIT_H

#include "client/http.h"

#include <stdbool.h>
#include <stdint.h>

struct gather_clock {
    int64_t end_ms;   /* monotonic; GATHER_NEVER: none */
    int64_t every_ms; /* the longest slice */
    int64_t began_ms; /* this slice */
    int64_t slice_ms;
};

/* `w` may be NULL. */
void gather_clock_init(struct gather_clock *k, const struct gather_wait *w);

/* Sets the longest slice; 0: as long as slices may be. */
void gather_clock_every(struct gather_clock *k, int64_t every_ms);

/* Begins a slice and asks for it: adds ?wait= and lets the call be silent for so
 * long. Returns the time at which the client itself stops waiting. */
int64_t gather_clock_ask(struct gather_clock *k, struct gather_call *call);

/* The slice's answer says "not yet". Ends the wait (E_TIMEOUT) when its time is
 * over; else, if the answer came far too early, lets the rest of a second pass,
 * so that a server which ignores ?wait= is not flooded. */
GD_MUST_CHECK enum gather_code gather_clock_next(struct gather_clock *k, struct gather_client *c,
                                                 struct gather_error *err);

#endif
