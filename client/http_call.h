/* client/http_call.h — between the two halves of the transport; nobody else's. */
#ifndef GATHER_HTTP_CALL_H
#define GATHER_HTTP_CALL_H

#include "client/http.h"

#include <curl/curl.h>

/* Hands one attempt to the multi handle. False: out of memory. */
bool gather_attempt_start(struct gather_call *call);

/* Takes it back and frees it; none under way is fine. */
void gather_attempt_end(struct gather_call *call);

/* The attempt is over with `rc` (or with silence, if `idle`): the call is DONE or
 * PAUSED afterwards. */
void gather_attempt_over(struct gather_call *call, CURLcode rc, bool idle);

#endif
