/* api/idempotency.h — Idempotency-Key: the same request twice makes things once.
 *
 * The key is kept with what it made, in the same transaction, for a day. It belongs to
 * the request: method, target and body are part of its fingerprint (SHA-256), so that
 * the same key with anything else is a conflict. draft-ietf-httpapi-idempotency-key.
 */
#ifndef GD_API_IDEMPOTENCY_H
#define GD_API_IDEMPOTENCY_H

#include "api/http.h"
#include "daemon/core/store.h"

/* Reads the header, if it is there: `*ret_key` owns the text of `ret`. The body must be
 * complete in h->body, or have been added to h->digest line by line. False: answered. */
GD_MUST_CHECK bool gd_idempotency_read(struct gd_http *h, char **ret_key,
                                       struct gd_idempotency *ret);

#endif
